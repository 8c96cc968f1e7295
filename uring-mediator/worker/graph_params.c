/* SPDX-License-Identifier: MIT */
/*
 * Parameters of graph nodes, from and to the wire.  What the guest sends is the driver's own structure with ids for
 * handles; every member that the driver would follow is looked up or checked here, and what is not known is refused:
 * graphs may do no more than streams may.  The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>

#include "graph.h"
#include "log.h"

#define BATCH_MOST	256u
#define ACCESS_MOST	64u
#define PARAMS_MOST	4096u	/* of one kernel */

/* An optional context. */
static CUresult take_context(struct vgpu_session *s, CUcontext *ctx)
{
	void *obj = NULL;
	uint64_t id = (uint64_t)(uintptr_t)*ctx;
	CUresult r = id ? vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, id, &obj) : CUDA_SUCCESS;

	*ctx = obj;
	return r;
}

static CUresult take_kernel(struct vgpu_session *s, struct vgpu_node_params *n)
{
	CUDA_KERNEL_NODE_PARAMS_v3 *k = &n->p.kernel;
	uint64_t id = (uint64_t)(uintptr_t)k->func;
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(id);
	struct vgpu_handle_entry *f = NULL;

	if (kind == VGPU_HANDLE_FUNCTION || kind == VGPU_HANDLE_KERNEL)
		f = vgpu_handles_find(&s->handles, kind, id);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (n->tail_bytes < f->aux)
		return CUDA_ERROR_INVALID_VALUE;
	k->func = kind == VGPU_HANDLE_FUNCTION ? f->obj : NULL;
	k->kern = kind == VGPU_HANDLE_KERNEL ? f->obj : NULL;
	k->kernelParams = NULL;
	n->block_bytes = n->tail_bytes;
	n->extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	n->extra[1] = (void *)(uintptr_t)n->tail;
	n->extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	n->extra[3] = &n->block_bytes;
	n->extra[4] = CU_LAUNCH_PARAM_END;
	k->extra = n->extra;
	return take_context(s, &k->ctx);
}

/* One side of a copy: everything between its first and last byte must be the guest's. */
static CUresult take_side(struct vgpu_session *s, CUmemorytype type, CUarray *array, uint64_t at, size_t x, size_t y,
			  size_t z, size_t pitch, size_t height, const CUDA_MEMCPY3D *c)
{
	uint64_t rows, start, span, width = pitch ? pitch : x + c->WidthInBytes;
	void *obj = NULL;
	CUresult r;

	if (type == CU_MEMORYTYPE_ARRAY) {
		r = vgpu_session_lookup(s, VGPU_HANDLE_ARRAY, (uint64_t)(uintptr_t)*array, &obj);
		*array = obj;
		return r;
	}
	*array = NULL;
	if (type != CU_MEMORYTYPE_HOST && type != CU_MEMORYTYPE_DEVICE && type != CU_MEMORYTYPE_UNIFIED)
		return CUDA_ERROR_INVALID_VALUE;
	height = height ? height : y + c->Height;
	if (!c->WidthInBytes || !c->Height || !c->Depth)
		return CUDA_SUCCESS;
	if (__builtin_mul_overflow(z, height, &rows) || __builtin_add_overflow(rows, y, &rows) ||
	    __builtin_mul_overflow(rows, width, &start) || __builtin_add_overflow(start, x, &start))
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(c->Depth - 1, height, &rows) || __builtin_add_overflow(rows, c->Height - 1, &rows) ||
	    __builtin_mul_overflow(rows, width, &span) || __builtin_add_overflow(span, c->WidthInBytes, &span) ||
	    __builtin_add_overflow(at, start, &start))
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_memory_check(s, start, span);
}

static CUresult take_memcpy(struct vgpu_session *s, struct vgpu_node_params *n)
{
	CUDA_MEMCPY3D *c = &n->p.memcpy.copyParams;
	CUresult r;

	r = take_side(s, c->srcMemoryType, &c->srcArray,
		      c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)(uintptr_t)c->srcHost : c->srcDevice,
		      c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch, c->srcHeight, c);
	if (!r)
		r = take_side(s, c->dstMemoryType, &c->dstArray,
			      c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)(uintptr_t)c->dstHost : c->dstDevice,
			      c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch, c->dstHeight, c);
	c->reserved0 = c->reserved1 = NULL;
	return r ? r : take_context(s, &n->p.memcpy.copyCtx);
}

static CUresult take_memset(struct vgpu_session *s, struct vgpu_node_params *n)
{
	const CUDA_MEMSET_NODE_PARAMS_v2 *m = &n->p.memset;
	uint64_t row, span = 0;
	CUresult r;

	if (m->elementSize != 1 && m->elementSize != 2 && m->elementSize != 4)
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(m->width, (uint64_t)m->elementSize, &row) ||
	    (m->height > 1 && (m->pitch < row || __builtin_mul_overflow(m->pitch, m->height - 1, &span))) ||
	    __builtin_add_overflow(span, row, &span))
		return CUDA_ERROR_INVALID_VALUE;
	r = m->height ? vgpu_memory_check(s, m->dst, span) : CUDA_SUCCESS;
	return r ? r : take_context(s, &n->p.memset.ctx);
}

static CUresult take_host(struct vgpu_session *s, struct vgpu_node_params *n)
{
	uint64_t word, fn = (uint64_t)(uintptr_t)n->p.host.fn;
	void *record = NULL;
	CUresult r;

	if (n->tail_bytes != sizeof(word))
		return vgpu_session_broken(s, "host node without a word for its answer");
	memcpy(&word, n->tail, sizeof(word));
	r = vgpu_host_record(s, fn, (uint64_t)(uintptr_t)n->p.host.userData, word, &record);
	n->p.host.fn = vgpu_host_run;
	n->p.host.userData = record;
	return r;
}

static CUresult take_event(struct vgpu_session *s, CUevent *event)
{
	void *obj = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, (uint64_t)(uintptr_t)*event, &obj);

	*event = obj;
	return r;
}

static CUresult take_child(struct vgpu_session *s, struct vgpu_node_params *n)
{
	void *obj = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, (uint64_t)(uintptr_t)n->p.graph.graph, &obj);

	n->p.graph.graph = obj;
	return r;
}

static CUresult take_alloc(struct vgpu_session *s, struct vgpu_node_params *n)
{
	CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a = &n->p.alloc;
	CUresult r;

	if (a->accessDescCount > ACCESS_MOST || n->tail_bytes != a->accessDescCount * sizeof(CUmemAccessDesc))
		return vgpu_session_broken(s, "mem alloc node with %zu access descriptors", a->accessDescCount);
	a->accessDescs = a->accessDescCount ? n->tail : NULL;
	a->poolProps.win32SecurityAttributes = NULL;
	r = vgpu_memory_charge(s, a->bytesize);
	if (!r)
		n->charged = a->bytesize;
	return r;
}

static CUresult take_batch(struct vgpu_session *s, struct vgpu_node_params *n)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = &n->p.memOp;
	const CUstreamBatchMemOpParams *op = n->tail;
	CUresult r = CUDA_SUCCESS;

	if (b->count > BATCH_MOST || n->tail_bytes != b->count * sizeof(*op))
		return vgpu_session_broken(s, "batch node with %u operations", b->count);
	for (uint32_t i = 0; i < b->count && !r; i++)
		r = vgpu_memory_operation_check(s, &op[i]);
	b->paramArray = (CUstreamBatchMemOpParams *)(uintptr_t)op;
	return r ? r : take_context(s, &b->ctx);
}

static CUresult take_conditional(struct vgpu_session *s, struct vgpu_node_params *n)
{
	CUDA_CONDITIONAL_NODE_PARAMS *c = &n->p.conditional;
	CUresult r = vgpu_conditional_check(s, c->handle);

	if (n->tail_bytes != c->size * sizeof(uint64_t))
		return vgpu_session_broken(s, "conditional node with %u bodies", c->size);
	c->phGraph_out = NULL;
	return r ? r : take_context(s, &c->ctx);
}

static CUresult take(struct vgpu_session *s, struct vgpu_node_params *n)
{
	switch (n->p.type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return take_kernel(s, n);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return take_memcpy(s, n);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return take_memset(s, n);
	case CU_GRAPH_NODE_TYPE_HOST:
		return take_host(s, n);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return take_child(s, n);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return take_event(s, &n->p.eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return take_event(s, &n->p.eventRecord.event);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return take_alloc(s, n);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return vgpu_memory_check(s, n->p.free.dptr, 1);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return take_batch(s, n);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return take_conditional(s, n);
	default:
		vgpu_log(VGPU_LOG_NOTICE, NULL, "graph nodes of type %d are not supported", n->p.type);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult vgpu_node_params_take(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t *at, uint32_t tail,
			       struct vgpu_node_params *out)
{
	const CUgraphNodeParams *p = vgpu_take(rq, at, sizeof(*p));

	memset(out, 0, sizeof(*out));
	out->tail = p ? vgpu_take(rq, at, tail) : NULL;
	if (!out->tail)
		return vgpu_session_broken(s, "node parameters do not fit their payload");
	out->p = *p;
	out->tail_bytes = tail;
	return take(s, out);
}

/* ---- to the wire ---- */

struct search {
	struct vgpu_session *s;
	const void *obj;
	uint64_t id;
};

static void match(void *ctx, const struct vgpu_handle_entry *e)
{
	struct search *w = ctx;

	if (e->obj == w->obj)
		w->id = e->id;
}

/* A kernel may be known to the driver by the function that it made of it. */
static void match_kernel(void *ctx, const struct vgpu_handle_entry *e)
{
	struct search *w = ctx;
	CUfunction f = NULL;

	if (!w->s->drv->cuKernelGetFunction(&f, e->obj) && f == w->obj)
		w->id = e->id;
}

static uint64_t id_of(struct vgpu_session *s, enum vgpu_handle_kind kind, const void *obj)
{
	struct search w = { s, obj, 0 };

	if (obj)
		vgpu_handles_each(&s->handles, kind, match, &w);
	return w.id;
}

static uint64_t function_id(struct vgpu_session *s, const CUDA_KERNEL_NODE_PARAMS *k)
{
	struct search w = { s, k->func, 0 };

	if (!k->func)
		return id_of(s, VGPU_HANDLE_KERNEL, k->kern);
	w.id = id_of(s, VGPU_HANDLE_FUNCTION, k->func);
	if (!w.id)
		w.id = id_of(s, VGPU_HANDLE_KERNEL, k->func);
	if (!w.id && s->drv->cuKernelGetFunction)
		vgpu_handles_each(&s->handles, VGPU_HANDLE_KERNEL, match_kernel, &w);
	return w.id;
}

static CUresult layout_of(const struct vgpu_driver *d, const CUDA_KERNEL_NODE_PARAMS *k, size_t i, size_t *offset,
			  size_t *size)
{
	if (k->func)
		return d->cuFuncGetParamInfo ? d->cuFuncGetParamInfo(k->func, i, offset, size) : CUDA_ERROR_NOT_SUPPORTED;
	return d->cuKernelGetParamInfo ? d->cuKernelGetParamInfo(k->kern, i, offset, size) : CUDA_ERROR_NOT_SUPPORTED;
}

/* The values that the driver holds, as one block. */
static CUresult gather(const struct vgpu_driver *d, const CUDA_KERNEL_NODE_PARAMS *k, uint8_t *block, size_t bytes)
{
	size_t offset, size;

	for (size_t i = 0; i < PARAMS_MOST && !layout_of(d, k, i, &offset, &size); i++) {
		if (offset > bytes || size > bytes - offset)
			return CUDA_ERROR_UNKNOWN;
		memcpy(block + offset, k->kernelParams[i], size);
	}
	return CUDA_SUCCESS;
}

static CUresult from_extra(void **extra, uint8_t *block, size_t bytes)
{
	const void *buffer = NULL;
	size_t size = 0;

	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE)
			size = *(const size_t *)extra[1];
	}
	if (buffer)
		memcpy(block, buffer, size < bytes ? size : bytes);
	return buffer ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static CUresult get_kernel(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p, void **tail, uint32_t *bytes)
{
	CUDA_KERNEL_NODE_PARAMS k = { 0 };
	const struct vgpu_handle_entry *f;
	uint64_t id;
	CUresult r;

	r = s->drv->cuGraphKernelNodeGetParams_v2 ? s->drv->cuGraphKernelNodeGetParams_v2(node, &k) :
						     CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	id = function_id(s, &k);
	f = vgpu_handles_find(&s->handles, vgpu_handle_kind_of(id), id);
	*bytes = f ? (uint32_t)f->aux : 0;
	*tail = calloc(1, *bytes + 1);
	if (!*tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (k.kernelParams)
		r = gather(s->drv, &k, *tail, *bytes);
	else if (k.extra && *bytes)
		r = from_extra(k.extra, *tail, *bytes);
	memcpy(&p->kernel, &k, sizeof(p->kernel));
	p->kernel.func = (CUfunction)(uintptr_t)id;
	p->kernel.kern = NULL;
	p->kernel.kernelParams = p->kernel.extra = NULL;
	p->kernel.ctx = (CUcontext)(uintptr_t)id_of(s, VGPU_HANDLE_CONTEXT, k.ctx);
	return r;
}

static CUresult get_memcpy(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p)
{
	CUDA_MEMCPY3D *c = &p->memcpy.copyParams;
	CUresult r = s->drv->cuGraphMemcpyNodeGetParams ? s->drv->cuGraphMemcpyNodeGetParams(node, c) :
							  CUDA_ERROR_NOT_SUPPORTED;

	c->srcArray = (CUarray)(uintptr_t)id_of(s, VGPU_HANDLE_ARRAY, c->srcArray);
	c->dstArray = (CUarray)(uintptr_t)id_of(s, VGPU_HANDLE_ARRAY, c->dstArray);
	return r;
}

static CUresult get_memset(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p)
{
	CUDA_MEMSET_NODE_PARAMS m = { 0 };
	CUresult r = s->drv->cuGraphMemsetNodeGetParams ? s->drv->cuGraphMemsetNodeGetParams(node, &m) :
							  CUDA_ERROR_NOT_SUPPORTED;

	memcpy(&p->memset, &m, sizeof(m));
	return r;
}

static CUresult get_host(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p)
{
	CUDA_HOST_NODE_PARAMS h = { 0 };
	uint64_t fn = 0, data = 0;
	CUresult r = s->drv->cuGraphHostNodeGetParams ? s->drv->cuGraphHostNodeGetParams(node, &h) :
							CUDA_ERROR_NOT_SUPPORTED;

	if (!r && h.fn == vgpu_host_run)
		vgpu_host_record_read(h.userData, &fn, &data);
	p->host.fn = (CUhostFn)(uintptr_t)fn;
	p->host.userData = (void *)(uintptr_t)data;
	return r;
}

static CUresult get_event(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p)
{
	bool wait = p->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT;
	CUresult (*get)(CUgraphNode, CUevent *) = wait ? s->drv->cuGraphEventWaitNodeGetEvent :
							  s->drv->cuGraphEventRecordNodeGetEvent;
	CUevent event = NULL;
	CUresult r = get ? get(node, &event) : CUDA_ERROR_NOT_SUPPORTED;

	event = (CUevent)(uintptr_t)id_of(s, VGPU_HANDLE_EVENT, event);
	if (wait)
		p->eventWait.event = event;
	else
		p->eventRecord.event = event;
	return r;
}

static CUresult copy_tail(const void *from, size_t bytes, void **tail, uint32_t *tail_bytes)
{
	*tail = malloc(bytes + 1);
	if (!*tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (bytes)
		memcpy(*tail, from, bytes);
	*tail_bytes = (uint32_t)bytes;
	return CUDA_SUCCESS;
}

static CUresult get_alloc(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p, void **tail, uint32_t *bytes)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a = { 0 };
	CUresult r = s->drv->cuGraphMemAllocNodeGetParams ? s->drv->cuGraphMemAllocNodeGetParams(node, &a) :
							    CUDA_ERROR_NOT_SUPPORTED;

	if (!r)
		r = copy_tail(a.accessDescs, a.accessDescCount * sizeof(CUmemAccessDesc), tail, bytes);
	p->alloc = (CUDA_MEM_ALLOC_NODE_PARAMS_v2){ .poolProps = a.poolProps, .accessDescCount = a.accessDescCount,
						    .bytesize = a.bytesize, .dptr = a.dptr };
	p->alloc.poolProps.win32SecurityAttributes = NULL;
	return r;
}

static CUresult get_batch(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p, void **tail, uint32_t *bytes)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS b = { 0 };
	CUresult r = s->drv->cuGraphBatchMemOpNodeGetParams ? s->drv->cuGraphBatchMemOpNodeGetParams(node, &b) :
							      CUDA_ERROR_NOT_SUPPORTED;

	if (!r)
		r = copy_tail(b.paramArray, b.count * sizeof(*b.paramArray), tail, bytes);
	p->memOp.ctx = (CUcontext)(uintptr_t)id_of(s, VGPU_HANDLE_CONTEXT, b.ctx);
	p->memOp.count = b.count;
	p->memOp.flags = b.flags;
	return r;
}

CUresult vgpu_node_params_get(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p, void **tail,
			      uint32_t *tail_bytes)
{
	CUresult r = s->drv->cuGraphNodeGetType ? s->drv->cuGraphNodeGetType(node, &p->type) : CUDA_ERROR_NOT_SUPPORTED;

	if (r)
		return r;
	switch (p->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return get_kernel(s, node, p, tail, tail_bytes);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return get_memcpy(s, node, p);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return get_memset(s, node, p);
	case CU_GRAPH_NODE_TYPE_HOST:
		return get_host(s, node, p);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return get_event(s, node, p);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return get_alloc(s, node, p, tail, tail_bytes);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return s->drv->cuGraphMemFreeNodeGetParams ? s->drv->cuGraphMemFreeNodeGetParams(node, &p->free.dptr) :
							     CUDA_ERROR_NOT_SUPPORTED;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return get_batch(s, node, p, tail, tail_bytes);
	default:
		return CUDA_SUCCESS;	/* there is nothing to say beside the type */
	}
}
