/* SPDX-License-Identifier: MIT */
/*
 * Lists of graph nodes: asked of the worker piece by piece, and written into commands. Owns nothing; any thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "graph.h"
#include "handle.h"

_Static_assert(sizeof(CUgraphEdgeData) == sizeof(uint64_t), "an edge's data is one word");

static bool is_node(const CUgraphNode node)
{
	uint64_t wire;

	return !vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, node, &wire);
}

CUresult vgpu_links_check(const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	size_t i;

	if (count > VGPU_LINKS_MOST || (count && !from))
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < count; i++)
		if (!is_node(from[i]) || (to && !is_node(to[i])))
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

uint32_t vgpu_links_bytes(size_t count)
{
	return (uint32_t)(count * sizeof(struct vgpu_rec_graph_link));
}

void vgpu_links_write(void *payload, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *data,
		      size_t count)
{
	struct vgpu_rec_graph_link *out = payload;
	size_t i;

	for (i = 0; i < count; i++) {
		out[i].from = vgpu_handle_to_wire(from[i]);
		out[i].to = to ? vgpu_handle_to_wire(to[i]) : 0;
		out[i].data = 0;
		if (data)
			memcpy(&out[i].data, &data[i], sizeof(out[i].data));
	}
}

void vgpu_links_free(struct vgpu_links *l)
{
	free(l->from);
	free(l->to);
	free(l->data);
	*l = (struct vgpu_links){ 0 };
}

static CUresult make_room(struct vgpu_links *l, uint64_t total)
{
	if (total > SIZE_MAX / sizeof(uint64_t))
		return CUDA_ERROR_OUT_OF_MEMORY;
	l->from = calloc(total + 1, sizeof(CUgraphNode));
	l->to = calloc(total + 1, sizeof(CUgraphNode));
	l->data = calloc(total + 1, sizeof(*l->data));
	return l->from && l->to && l->data ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUgraphNode node_app(uint64_t wire)
{
	return wire ? vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, wire) : NULL;
}

/* Take a piece of `total` links; false if it brings nothing, or is malformed. */
static bool take(struct vgpu_links *l, const struct vgpu_call *c, uint64_t total)
{
	const struct vgpu_ret_graph_list *o = c->ret;
	const struct vgpu_rec_graph_link *in = (const void *)(o + 1);
	uint32_t n = (c->ret_size - (uint32_t)sizeof(*o)) / (uint32_t)sizeof(*in), i;

	if (!n || o->total != total)
		return false;
	for (i = 0; i < n && l->count < total; i++, l->count++) {
		l->from[l->count] = node_app(in[i].from);
		l->to[l->count] = node_app(in[i].to);
		memcpy(&l->data[l->count], &in[i].data, sizeof(in[i].data));
	}
	return true;
}

/* One piece. *total is what the worker said first; another thread may change the graph meanwhile. */
static CUresult fetch_piece(uint64_t object, uint32_t what, bool edges, struct vgpu_links *l, uint64_t *total)
{
	struct vgpu_args_graph_list *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_list, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->object = object;
	a->first = l->count;
	a->what = what;
	a->edges = edges;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r && c.ret_size < sizeof(struct vgpu_ret_graph_list))
		r = vgpu_call_broken();
	if (!r && !l->from) {
		*total = ((const struct vgpu_ret_graph_list *)c.ret)->total;
		r = make_room(l, *total);
	}
	if (!r && l->count < *total && !take(l, &c, *total))
		r = CUDA_ERROR_INVALID_VALUE;
	vgpu_call_end(&c);
	return r;
}

CUresult vgpu_links_fetch(uint64_t object, uint32_t what, bool edges, struct vgpu_links *l)
{
	uint64_t total = 0;
	CUresult r;

	*l = (struct vgpu_links){ 0 };
	do
		r = fetch_piece(object, what, edges, l, &total);
	while (!r && l->count < total);
	if (r)
		vgpu_links_free(l);
	return r;
}

/* ---- API ---- */

/* Where the application wants a list. */
struct wanted {
	CUgraphNode *from, *to;
	CUgraphEdgeData *data;
	size_t *count;
};

static void fill(const struct wanted *w, const struct vgpu_links *l)
{
	size_t i;

	/* As natively: what is there and not asked for is NULL. */
	for (i = 0; w->from && i < *w->count; i++) {
		w->from[i] = i < l->count ? l->from[i] : NULL;
		if (w->to)
			w->to[i] = i < l->count ? l->to[i] : NULL;
		if (w->data)
			w->data[i] = i < l->count ? l->data[i] : (CUgraphEdgeData){ 0 };
	}
	if (!w->from || *w->count > l->count)
		*w->count = l->count;
}

static CUresult list(enum vgpu_handle_kind kind, const void *object, uint32_t what, bool edges, const struct wanted *w)
{
	struct vgpu_links l;
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!w->count)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(kind, object, &wire);
	if (!r)
		r = vgpu_links_fetch(wire, what, edges, &l);
	if (r)
		return r;
	fill(w, &l);
	vgpu_links_free(&l);
	return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *num_nodes)
{
	return list(VGPU_HANDLE_GRAPH, graph, VGPU_LIST_NODES, false, &(struct wanted){ nodes, NULL, NULL, num_nodes });
}

CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode *root_nodes, size_t *num_root_nodes)
{
	return list(VGPU_HANDLE_GRAPH, graph, VGPU_LIST_ROOTS, false,
		    &(struct wanted){ root_nodes, NULL, NULL, num_root_nodes });
}

CUresult cuGraphGetEdges_v2(CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges, size_t *count)
{
	if (!from != !to || (edges && !from))
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	return list(VGPU_HANDLE_GRAPH, graph, VGPU_LIST_EDGES, true, &(struct wanted){ from, to, edges, count });
}

CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
	if (!from != !to)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	return list(VGPU_HANDLE_GRAPH, graph, VGPU_LIST_EDGES, false, &(struct wanted){ from, to, NULL, count });
}

/* What the edges are is told only with the nodes. */
static CUresult neighbours(CUgraphNode node, uint32_t what, CUgraphNode *nodes, CUgraphEdgeData *edges, size_t *count)
{
	if (edges && !nodes)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	return list(VGPU_HANDLE_GRAPHNODE, node, what, true, &(struct wanted){ nodes, NULL, edges, count });
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *edges, size_t *count)
{
	return neighbours(node, VGPU_LIST_DEPENDENCIES, nodes, edges, count);
}

CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return list(VGPU_HANDLE_GRAPHNODE, node, VGPU_LIST_DEPENDENCIES, false,
		    &(struct wanted){ nodes, NULL, NULL, count });
}

CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *edges, size_t *count)
{
	return neighbours(node, VGPU_LIST_DEPENDENTS, nodes, edges, count);
}

CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return list(VGPU_HANDLE_GRAPHNODE, node, VGPU_LIST_DEPENDENTS, false,
		    &(struct wanted){ nodes, NULL, NULL, count });
}

/* from and to are lists of one length; more than a command takes go in several. */
static CUresult connect(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *edges,
			size_t count, bool remove)
{
	struct vgpu_args_graph_dependencies *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (!r)
		r = vgpu_links_check(from, to, count);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_graph_dependencies, sizeof(*a), vgpu_links_bytes(count), VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->graph = wire;
	a->remove = remove;
	a->edges = edges != NULL;
	vgpu_links_write(c.payload, from, to, edges, count);
	return vgpu_call_finish(&c);
}

static CUresult connect_all(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *edges,
			    size_t count, bool remove)
{
	CUresult r = vgpu_call_ready(0);
	size_t n, at = 0;

	if (!r && count && (!from || !to))
		return CUDA_ERROR_INVALID_VALUE;
	do {
		n = count - at < VGPU_LINKS_MOST ? count - at : VGPU_LINKS_MOST;
		if (!r)
			r = connect(graph, from ? from + at : NULL, to ? to + at : NULL, edges ? edges + at : NULL, n,
				    remove);
		at += n;
	} while (!r && at < count);
	return r;
}

CUresult cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
				   const CUgraphEdgeData *edges, size_t count)
{
	return connect_all(graph, from, to, edges, count, false);
}

CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return connect_all(graph, from, to, NULL, count, false);
}

CUresult cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
				      const CUgraphEdgeData *edges, size_t count)
{
	return connect_all(graph, from, to, edges, count, true);
}

CUresult cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return connect_all(graph, from, to, NULL, count, true);
}
