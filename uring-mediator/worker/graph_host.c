/* SPDX-License-Identifier: MIT */
/*
 * Functions of the guest in graphs, and user objects, whose destructors are functions of the guest.
 *
 * A host node has the driver call vgpu_host_run() with a record of function and data.  The driver keeps the record's
 * address in graphs, clones and executables of which nothing here need know, so a record lives as long as the session,
 * and nodes with the same function and data share one.  How many there may be is bounded.
 *
 * Records are made on the worker's only thread and read on threads of the driver.
 */
#include <stdlib.h>

#include <gen/driver_table.h>
#include <gen/worker_hand.h>

#include "graph.h"
#include "log.h"

#define BUCKETS		1024u
#define RECORDS_MOST	(1u << 20)

struct record {
	struct record *next;
	struct vgpu_callbacks *callbacks;
	uint64_t fn, data;
};

struct vgpu_host_records {
	struct record *buckets[BUCKETS];
	uint32_t count;
};

/* A user object that the guest may still name. Freed with the handle, or by the destructor, whichever is later. */
struct user_object {
	struct vgpu_callbacks *callbacks;
	CUuserObject object;
	uint64_t id;		/* wire */
	uint64_t fn, data;
	uint64_t references;	/* the guest's own */
	_Atomic uint32_t holders;	/* the handle, and the driver until it has called destroy() */
	_Atomic bool gone;		/* the driver has: the object may not be given to it any more */
};

static uint32_t bucket(uint64_t fn, uint64_t data)
{
	return (uint32_t)(((fn ^ data * 31) * 0x9e3779b97f4a7c15ull) >> 40) % BUCKETS;
}

CUresult vgpu_host_record(struct vgpu_session *s, uint64_t fn, uint64_t data, uint64_t word, void **record)
{
	struct vgpu_host_records *h = s->host_records;
	CUresult r = vgpu_callback_word(s, word);
	struct record **b, *rec;

	if (r)
		return r;
	if (!h)
		h = s->host_records = calloc(1, sizeof(*h));
	if (!h)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b = &h->buckets[bucket(fn, data)];
	for (rec = *b; rec && (rec->fn != fn || rec->data != data); rec = rec->next)
		;
	if (!rec) {
		rec = h->count < RECORDS_MOST ? malloc(sizeof(*rec)) : NULL;
		if (!rec)
			return CUDA_ERROR_OUT_OF_MEMORY;
		*rec = (struct record){ *b, vgpu_callbacks_of(s), fn, data };
		*b = rec;
		h->count++;
	}
	*record = rec;
	return CUDA_SUCCESS;
}

void vgpu_host_record_read(const void *record, uint64_t *fn, uint64_t *data)
{
	const struct record *rec = record;

	*fn = rec->fn;
	*data = rec->data;
}

void vgpu_host_run(void *record)
{
	const struct record *rec = record;

	vgpu_callback_post(rec->callbacks, &(struct vgpu_host_run){ .fn = rec->fn, .data = rec->data,
								    .flags = VGPU_HOST_RUN_ANSWER });
}

void vgpu_host_lost(struct vgpu_session *s, uint32_t count)
{
	struct vgpu_callbacks *c = vgpu_callbacks_of(s);

	if (c && count)
		vgpu_callback_post(c, &(struct vgpu_host_run){ .data = count, .flags = VGPU_HOST_RUN_LOST });
}

static CUresult count_nodes(const struct vgpu_driver *d, const CUgraphNode *nodes, size_t n, uint32_t *count,
			    unsigned depth);

static CUresult count_graph(const struct vgpu_driver *d, CUgraph graph, uint32_t *count, unsigned depth)
{
	CUgraphNode *nodes;
	size_t n = 0;
	CUresult r = d->cuGraphGetNodes(graph, NULL, &n);

	if (r || !n)
		return r;
	nodes = calloc(n, sizeof(CUgraphNode));
	if (!nodes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = d->cuGraphGetNodes(graph, nodes, &n);
	if (!r)
		r = count_nodes(d, nodes, n, count, depth);
	free(nodes);
	return r;
}

static CUresult count_nodes(const struct vgpu_driver *d, const CUgraphNode *nodes, size_t n, uint32_t *count,
			    unsigned depth)
{
	CUgraphNodeType type;
	CUgraph child;
	CUresult r = CUDA_SUCCESS;

	for (size_t i = 0; i < n && !r; i++) {
		r = d->cuGraphNodeGetType(nodes[i], &type);
		if (!r && type == CU_GRAPH_NODE_TYPE_HOST)
			++*count;
		if (r || type != CU_GRAPH_NODE_TYPE_GRAPH || !depth)
			continue;
		r = d->cuGraphChildGraphNodeGetGraph(nodes[i], &child);
		if (!r)
			r = count_graph(d, child, count, depth - 1);
	}
	return r;
}

CUresult vgpu_host_count(struct vgpu_session *s, CUgraph graph, uint32_t *count)
{
	const struct vgpu_driver *d = s->drv;

	*count = 0;
	if (!s->host_records || !d->cuGraphGetNodes || !d->cuGraphNodeGetType || !d->cuGraphChildGraphNodeGetGraph)
		return CUDA_SUCCESS;
	return count_graph(d, graph, count, 64);
}

/* ---- user objects ---- */

static void let_go(struct user_object *u)
{
	if (atomic_fetch_sub(&u->holders, 1) == 1)
		free(u);
}

/* On a thread of the driver: the last reference is gone. */
static void destroy(void *data)
{
	struct user_object *u = data;

	atomic_store(&u->gone, true);
	vgpu_callback_post(u->callbacks, &(struct vgpu_host_run){ .fn = u->fn, .data = u->data,
								  .value = u->id });
	let_go(u);
}

/* The guest has no handle of it: its references go, and with the last of them the object. */
static void abandon(struct vgpu_session *s, struct user_object *u)
{
	if (u->references && !atomic_load(&u->gone) && s->drv->cuUserObjectRelease)
		s->drv->cuUserObjectRelease(u->object, (unsigned int)u->references);
	let_go(u);
}

/* Give up handles of objects that are gone: they cost memory, and cannot be used. */
static void sweep(void *ctx, const struct vgpu_handle_entry *e)
{
	struct vgpu_session *s = ctx;
	struct user_object *u = e->obj;

	if (!atomic_load(&u->gone))
		return;
	vgpu_session_unbind(s, VGPU_HANDLE_USEROBJECT, e->id);
	let_go(u);
}

CUresult vgpu_handle_user_object_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_user_object_create *a = rq->args;
	struct vgpu_callbacks *c = vgpu_callbacks_of(s);
	struct user_object *u;
	CUresult r;

	if (!s->drv->cuUserObjectCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	vgpu_handles_each(&s->handles, VGPU_HANDLE_USEROBJECT, sweep, s);
	u = c ? calloc(1, sizeof(*u)) : NULL;
	if (!u)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*u = (struct user_object){ .callbacks = c, .id = a->object, .fn = a->fn, .data = a->data,
				   .references = a->references, .holders = 2 };
	r = s->drv->cuUserObjectCreate(&u->object, u, destroy, a->references, a->flags);
	if (r) {
		free(u);
		return r;
	}
	r = vgpu_session_bind(s, VGPU_HANDLE_USEROBJECT, a->object, u);
	if (r)
		abandon(s, u);
	return r;
}

static void abandon_one(void *ctx, const struct vgpu_handle_entry *e)
{
	struct vgpu_session *s = ctx;
	struct user_object *u = e->obj;

	vgpu_session_unbind(s, VGPU_HANDLE_USEROBJECT, e->id);
	abandon(s, u);
}

void vgpu_user_objects_end(struct vgpu_session *s)
{
	vgpu_handles_each(&s->handles, VGPU_HANDLE_USEROBJECT, abandon_one, s);
}

static CUresult find(struct vgpu_session *s, uint64_t id, struct user_object **u)
{
	void *obj;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_USEROBJECT, id, &obj);

	if (r)
		return r;
	*u = obj;
	return atomic_load(&(*u)->gone) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult vgpu_handle_cuUserObjectRetain(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuUserObjectRetain *a = rq->args;
	struct user_object *u;
	CUresult r = find(s, a->object, &u);

	if (r)
		return r;
	r = s->drv->cuUserObjectRetain ? s->drv->cuUserObjectRetain(u->object, a->count) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		u->references += a->count;
	return r;
}

/* What the guest has not got it cannot give up. */
static void give(struct user_object *u, uint32_t count)
{
	u->references -= count < u->references ? count : u->references;
}

CUresult vgpu_handle_cuUserObjectRelease(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuUserObjectRelease *a = rq->args;
	struct user_object *u;
	CUresult r = find(s, a->object, &u);

	if (r)
		return r;
	r = s->drv->cuUserObjectRelease ? s->drv->cuUserObjectRelease(u->object, a->count) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		give(u, a->count);
	return r;
}

CUresult vgpu_handle_cuGraphRetainUserObject(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphRetainUserObject *a = rq->args;
	struct user_object *u;
	void *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = find(s, a->object, &u);
	if (r)
		return r;
	if (!s->drv->cuGraphRetainUserObject)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuGraphRetainUserObject(graph, u->object, a->count, a->flags);
	if (!r && a->flags & CU_GRAPH_USER_OBJECT_MOVE)
		give(u, a->count);
	return r;
}

CUresult vgpu_handle_cuGraphReleaseUserObject(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphReleaseUserObject *a = rq->args;
	struct user_object *u;
	void *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = find(s, a->object, &u);
	if (r)
		return r;
	return s->drv->cuGraphReleaseUserObject ? s->drv->cuGraphReleaseUserObject(graph, u->object, a->count) :
						  CUDA_ERROR_NOT_SUPPORTED;
}
