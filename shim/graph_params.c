/* SPDX-License-Identifier: MIT */
/*
 * Parameters of graph nodes, between the application's structures and the wire. What the driver refuses at once for
 * NULL, a dead handle or an impossible shape is refused here. Owns nothing; any thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "event.h"
#include "function.h"
#include "graph.h"
#include "handle.h"
#include "launch.h"
#include "memory.h"
#include "thread.h"

#define BATCH_MOST	256u
#define ACCESS_MOST	64u
#define BODIES_MOST	4096u

/* A context by its handle; NULL is the current one. */
static CUresult encode_context(CUcontext *ctx)
{
	struct vgpu_context *c;
	CUresult r = vgpu_context_get(*ctx, &c);

	if (!r)
		*ctx = (CUcontext)(uintptr_t)c->wire;
	return r;
}

static CUresult encode_kernel(struct vgpu_node_wire *w)
{
	CUDA_KERNEL_NODE_PARAMS_v3 *k = &w->p.kernel;
	const struct vgpu_function *f;
	struct vgpu_launch l = {
		.grid = { k->gridDimX, k->gridDimY, k->gridDimZ }, .block = { k->blockDimX, k->blockDimY, k->blockDimZ },
		.shared_bytes = k->sharedMemBytes, .params = k->kernelParams, .extra = k->extra,
	};
	CUresult r;

	f = k->func ? vgpu_handle_object(VGPU_HANDLE_FUNCTION, k->func) : vgpu_handle_object(VGPU_HANDLE_KERNEL, k->kern);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_thread.current ? vgpu_launch_check(&l, f) : CUDA_ERROR_INVALID_CONTEXT;
	if (!r)
		r = vgpu_launch_block(&l, f, &w->owned, &w->tail_bytes);
	if (r)
		return r;
	w->tail = w->owned;
	k->func = (CUfunction)(uintptr_t)f->wire;
	k->kern = NULL;
	k->kernelParams = k->extra = NULL;
	return encode_context(&k->ctx);
}

static CUresult encode_array(CUmemorytype type, CUarray *array)
{
	uint64_t wire = 0;
	bool array_there = type != CU_MEMORYTYPE_ARRAY || !vgpu_handle_wire(VGPU_HANDLE_ARRAY, *array, &wire);

	*array = (CUarray)(uintptr_t)wire;
	return array_there ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult encode_memcpy(struct vgpu_node_wire *w)
{
	CUDA_MEMCPY3D *c = &w->p.memcpy.copyParams;
	CUresult r = encode_array(c->srcMemoryType, &c->srcArray);

	if (!r)
		r = encode_array(c->dstMemoryType, &c->dstArray);
	return r ? r : encode_context(&w->p.memcpy.copyCtx);
}

static CUresult encode_host(struct vgpu_node_wire *w)
{
	CUresult r = w->p.host.fn ? vgpu_host_word(&w->word) : CUDA_ERROR_INVALID_VALUE;

	w->tail = &w->word;
	w->tail_bytes = sizeof(w->word);
	return r;
}

static CUresult encode_event(CUevent *event, bool record)
{
	struct vgpu_event *e = vgpu_handle_object(VGPU_HANDLE_EVENT, *event);

	if (!e)
		return *event ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	if (record)
		atomic_store_explicit(&e->in_graph, true, memory_order_release);
	*event = (CUevent)(uintptr_t)e->wire;
	return CUDA_SUCCESS;
}

static CUresult encode_child(struct vgpu_node_wire *w)
{
	uint64_t wire;
	CUresult r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, w->p.graph.graph, &wire);

	if (!r && (unsigned)w->p.graph.ownership > CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
		r = CUDA_ERROR_INVALID_VALUE;
	if (!r)
		w->p.graph.graph = (CUgraph)(uintptr_t)wire;
	return r;
}

static CUresult encode_alloc(struct vgpu_node_wire *w)
{
	CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a = &w->p.alloc;

	if (a->accessDescCount > ACCESS_MOST || (a->accessDescCount && !a->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	w->tail = a->accessDescs;
	w->tail_bytes = (uint32_t)(a->accessDescCount * sizeof(*a->accessDescs));
	a->accessDescs = NULL;
	a->poolProps.win32SecurityAttributes = NULL;
	return CUDA_SUCCESS;
}

static CUresult encode_batch(struct vgpu_node_wire *w)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = &w->p.memOp;

	if (!b->count || b->count > BATCH_MOST || !b->paramArray)
		return CUDA_ERROR_INVALID_VALUE;
	w->tail = b->paramArray;
	w->tail_bytes = (uint32_t)(b->count * sizeof(*b->paramArray));
	b->paramArray = NULL;
	return encode_context(&b->ctx);
}

/* An id for each body, since the driver makes them with the node. */
static CUresult encode_conditional(struct vgpu_node_wire *w)
{
	CUDA_CONDITIONAL_NODE_PARAMS *c = &w->p.conditional;
	uint64_t *ids;
	uint32_t i;
	CUresult r = CUDA_SUCCESS;

	if (!c->size || c->size > BODIES_MOST)
		return CUDA_ERROR_INVALID_VALUE;
	w->owned = ids = calloc(c->size, sizeof(*ids));
	if (!ids)
		return CUDA_ERROR_OUT_OF_MEMORY;
	w->tail = ids;
	w->tail_bytes = (uint32_t)(c->size * sizeof(*ids));
	for (i = 0; i < c->size && !r; i++)
		r = vgpu_handle_new(VGPU_HANDLE_GRAPH, &ids[i]);
	c->phGraph_out = NULL;
	return r ? r : encode_context(&c->ctx);
}

static CUresult encode(struct vgpu_node_wire *w)
{
	switch ((int)w->p.type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return encode_kernel(w);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return encode_memcpy(w);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return encode_context(&w->p.memset.ctx);
	case CU_GRAPH_NODE_TYPE_HOST:
		return encode_host(w);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return encode_child(w);
	case CU_GRAPH_NODE_TYPE_EMPTY:
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return encode_event(&w->p.eventWait.event, false);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return encode_event(&w->p.eventRecord.event, true);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return encode_alloc(w);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return encode_batch(w);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return encode_conditional(w);
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
	case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
		return vgpu_unsupported("graph nodes for external semaphores");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

void vgpu_node_wire_free(struct vgpu_node_wire *w)
{
	const uint64_t *ids = w->owned;
	uint32_t i;

	for (i = 0; w->p.type == CU_GRAPH_NODE_TYPE_CONDITIONAL && !w->made && ids && i < w->p.conditional.size; i++)
		if (ids[i])
			vgpu_handle_drop(VGPU_HANDLE_GRAPH, ids[i]);
	free(w->owned);
}

CUresult vgpu_node_encode(const CUgraphNodeParams *in, struct vgpu_node_wire *out)
{
	CUresult r;

	memset(out, 0, sizeof(*out));
	out->p = *in;
	r = encode(out);
	if (r)
		vgpu_node_wire_free(out);
	return r;
}

/* ---- from the worker ---- */

static void *app(enum vgpu_handle_kind kind, const void *id)
{
	return id ? vgpu_handle_app(kind, (uint64_t)(uintptr_t)id) : NULL;
}

/* The parameter block becomes an array of pointers to its parts, as the driver hands it out. */
static CUresult decode_kernel(uint64_t node, uint64_t graph, CUDA_KERNEL_NODE_PARAMS_v3 *k, const uint8_t *tail,
			      uint32_t bytes)
{
	uint64_t id = (uint64_t)(uintptr_t)k->func;
	const struct vgpu_function *f;
	uint8_t *block;
	void **params;
	uint32_t i;

	/* A kernel is told as a kernel: cudart finds the application's function by it. */
	k->func = vgpu_handle_kind_of(id) == VGPU_HANDLE_FUNCTION ? vgpu_handle_app(VGPU_HANDLE_FUNCTION, id) : NULL;
	k->kern = vgpu_handle_kind_of(id) == VGPU_HANDLE_KERNEL ? vgpu_handle_app(VGPU_HANDLE_KERNEL, id) : NULL;
	k->ctx = app(VGPU_HANDLE_CONTEXT, k->ctx);
	f = vgpu_function_get(k->func ? (const void *)k->func : (const void *)k->kern);
	if (!f || bytes < f->param_bytes)
		return CUDA_ERROR_INVALID_HANDLE;
	params = vgpu_view_room(node, graph, f->param_count * sizeof(void *) + bytes + sizeof(void *));
	if (!params)
		return CUDA_ERROR_OUT_OF_MEMORY;
	block = (uint8_t *)(params + f->param_count);
	if (bytes)
		memcpy(block, tail, bytes);
	for (i = 0; i < f->param_count; i++)
		params[i] = block + f->params[i].offset;
	k->kernelParams = f->param_count ? params : NULL;
	return CUDA_SUCCESS;
}

/* What lies in the tail, as an array that the application may look at. */
static CUresult decode_array(uint64_t node, uint64_t graph, const void *tail, uint32_t bytes, const void **out)
{
	void *room = vgpu_view_room(node, graph, bytes + 1);

	if (!room)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (bytes)
		memcpy(room, tail, bytes);
	*out = bytes ? room : NULL;
	return CUDA_SUCCESS;
}

static CUresult decode(uint64_t node, uint64_t graph, CUgraphNodeParams *p, const uint8_t *tail, uint32_t bytes)
{
	const void *array = NULL;
	CUresult r = CUDA_SUCCESS;

	switch ((int)p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return decode_kernel(node, graph, &p->kernel, tail, bytes);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		p->memcpy.copyParams.srcArray = app(VGPU_HANDLE_ARRAY, p->memcpy.copyParams.srcArray);
		p->memcpy.copyParams.dstArray = app(VGPU_HANDLE_ARRAY, p->memcpy.copyParams.dstArray);
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		p->eventWait.event = app(VGPU_HANDLE_EVENT, p->eventWait.event);
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		p->eventRecord.event = app(VGPU_HANDLE_EVENT, p->eventRecord.event);
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		r = decode_array(node, graph, tail, bytes, &array);
		p->alloc.accessDescs = array;
		return r;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		r = decode_array(node, graph, tail, bytes, &array);
		p->memOp.paramArray = (CUstreamBatchMemOpParams *)(uintptr_t)array;
		p->memOp.ctx = app(VGPU_HANDLE_CONTEXT, p->memOp.ctx);
		return r;
	default:
		return CUDA_SUCCESS;
	}
}

/* A long tail comes in pieces. */
struct fetched {
	CUgraphNodeParams p;
	uint64_t graph;
	uint8_t *tail;
	uint32_t bytes, have;
};

static bool take(struct fetched *f, const struct vgpu_call *c)
{
	const struct vgpu_ret_graph_get_node *o = c->ret;
	const uint8_t *rest = (const uint8_t *)(o + 1) + sizeof(f->p);
	uint32_t n = c->ret_size - (uint32_t)(sizeof(*o) + sizeof(f->p));

	if (!f->tail) {
		f->bytes = o->tail;
		f->tail = malloc((size_t)f->bytes + 1);
		if (!f->tail)
			return false;
	}
	if (o->tail != f->bytes || (!n && f->have < f->bytes))
		return false;
	n = n < f->bytes - f->have ? n : f->bytes - f->have;
	memcpy(&f->p, o + 1, sizeof(f->p));
	memcpy(f->tail + f->have, rest, n);
	f->have += n;
	f->graph = o->graph;
	return true;
}

static CUresult fetch_piece(uint64_t node, struct fetched *f)
{
	struct vgpu_args_graph_get_node *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_get_node, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->node = node;
	a->first = f->have;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r && c.ret_size < sizeof(struct vgpu_ret_graph_get_node) + sizeof(f->p))
		r = vgpu_call_broken();
	if (!r && !take(f, &c))
		r = CUDA_ERROR_OUT_OF_MEMORY;
	vgpu_call_end(&c);
	return r;
}

CUresult vgpu_node_fetch(CUgraphNode node, CUgraphNodeParams *p)
{
	struct fetched f = { .bytes = 0 };
	uint64_t wire;
	CUresult r = vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, node, &wire);

	if (r)
		return r;
	do
		r = fetch_piece(wire, &f);
	while (!r && f.have < f.bytes);
	if (!r)
		r = decode(wire, f.graph, &f.p, f.tail, f.bytes);
	if (!r)
		*p = f.p;
	free(f.tail);
	return r;
}
