/* SPDX-License-Identifier: MIT */
/*
 * Nodes: their parameters, set and asked. Parameters are kept as the application gave them, handles as handles, and
 * all that they point to copied. External semaphores are not supported.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"
#include "memory.h"
#include "module.h"

static atomic_ullong memory_used, memory_high;

/* ---- memory of mem alloc nodes: there from the first, allocated by launches, freed by whoever frees it ---- */

/* What graphs no longer hold is like any other memory, if it is allocated. */
static void put_memory(struct soft_graph_memory *m)
{
	struct soft_region r;

	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	if (!soft_memory_find(m->start, &r) || r.start != m->start || !(r.tag & SOFT_TAG_GRAPH))
		;	/* it went with its context */
	else if (r.tag & SOFT_TAG_IDLE)
		soft_heap_free(&soft_devices[r.device].heap, m->start);
	else
		soft_heap_retag(&soft_devices[r.device].heap, m->start, r.tag, r.tag & ~SOFT_TAG_GRAPH);
	atomic_fetch_sub(&memory_used, m->size);
	free(m);
}

static CUresult make_memory(struct soft_node *n, CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a)
{
	struct soft_graph_memory *m = calloc(1, sizeof(*m));
	unsigned long long used, high = atomic_load(&memory_high);
	struct soft_region r;
	CUresult rc = m ? vgpu_soft_driver()->cuMemAlloc_v2(&m->start, a->bytesize) : CUDA_ERROR_OUT_OF_MEMORY;

	if (rc) {
		free(m);
		return rc;
	}
	atomic_init(&m->refs, 1);
	m->size = a->bytesize;
	if (soft_memory_find(m->start, &r))
		soft_heap_retag(&soft_devices[r.device].heap, m->start, r.tag, r.tag | SOFT_TAG_GRAPH | SOFT_TAG_IDLE);
	used = atomic_fetch_add(&memory_used, m->size) + m->size;
	while (used > high && !atomic_compare_exchange_weak(&memory_high, &high, used))
		;
	n->memory = m;
	a->dptr = m->start;
	return CUDA_SUCCESS;
}

/* ---- parameters ---- */

void soft_node_drop_params(struct soft_node *n)
{
	free(n->tail);
	free(n->args);
	n->tail = NULL;
	n->args = NULL;
	if (n->child)
		soft_graph_free(n->child);
	n->child = NULL;
	put_memory(n->memory);
	n->memory = NULL;
}

static CUresult keep_tail(struct soft_node *n, const void *from, size_t size)
{
	n->tail = malloc(size + 1);
	if (!n->tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (size)
		memcpy(n->tail, from, size);
	n->tail_size = size;
	return CUDA_SUCCESS;
}

static CUresult set_kernel(struct soft_node *n)
{
	CUDA_KERNEL_NODE_PARAMS_v3 *k = &n->p.kernel;
	CUresult rc;

	rc = soft_launch_take(k, &n->tail, &n->tail_size, &n->args);
	k->kernelParams = n->args;
	k->extra = NULL;
	return rc;
}

static CUresult set_memset(const CUDA_MEMSET_NODE_PARAMS_v2 *m)
{
	bool size_ok = m->elementSize == 1 || m->elementSize == 2 || m->elementSize == 4;

	return size_ok && m->width && m->height && m->dst % m->elementSize == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* The inside of the node is a copy, or the graph itself. */
static CUresult set_child(struct soft_node *n)
{
	struct soft_graph *g = soft_graph_get(n->p.graph.graph);
	bool move = n->p.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;

	if (!g || g == n->graph || (move && g->owner))
		return CUDA_ERROR_INVALID_VALUE;
	n->child = move ? g : soft_graph_copy(g);
	if (!n->child)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n->child->owner = n;
	return CUDA_SUCCESS;
}

static CUresult set_event(CUevent handle)
{
	struct soft_object *e = soft_get((uint64_t)(uintptr_t)handle, SOFT_EVENT);

	if (e)
		soft_put(e);
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult set_alloc(struct soft_node *n)
{
	CUDA_MEM_ALLOC_NODE_PARAMS_v2 *a = &n->p.alloc;
	CUresult rc;

	if (!a->bytesize || (a->accessDescCount && !a->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	rc = keep_tail(n, a->accessDescs, a->accessDescCount * sizeof(*a->accessDescs));
	a->accessDescs = n->tail;
	return rc ? rc : make_memory(n, a);
}

static CUresult set_batch(struct soft_node *n)
{
	CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = &n->p.memOp;
	CUresult rc;

	if (!b->count || b->count > 256 || !b->paramArray || b->flags)
		return CUDA_ERROR_INVALID_VALUE;
	rc = keep_tail(n, b->paramArray, b->count * sizeof(*b->paramArray));
	b->paramArray = n->tail;
	return rc;
}

static CUresult set(struct soft_node *n)
{
	struct soft_region r;

	switch (n->p.type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return set_kernel(n);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return n->p.memcpy.copyParams.srcLOD || n->p.memcpy.copyParams.dstLOD ? CUDA_ERROR_INVALID_VALUE :
											CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return set_memset(&n->p.memset);
	case CU_GRAPH_NODE_TYPE_HOST:
		return n->p.host.fn ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return set_child(n);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return set_event(n->p.eventWait.event);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return set_event(n->p.eventRecord.event);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return set_alloc(n);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return soft_memory_find(n->p.free.dptr, &r) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return set_batch(n);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return soft_condition_node(n);
	default:
		soft_log(VGPU_SOFT_WARNING, "graphs: nodes of type %d are not supported", n->p.type);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult soft_node_set(struct soft_node *n, const CUgraphNodeParams *p)
{
	struct soft_node made = { .graph = n->graph, .p = *p }, old = *n;
	CUresult rc = set(&made);

	if (rc) {
		soft_node_drop_params(&made);
		return rc;
	}
	soft_node_drop_params(&old);
	n->p = made.p;
	n->tail = made.tail;
	n->tail_size = made.tail_size;
	n->args = made.args;
	n->child = made.child;
	n->memory = made.memory;
	if (n->child)
		n->child->owner = n;
	return CUDA_SUCCESS;
}

CUresult soft_node_assign(struct soft_node *n, const struct soft_node *from)
{
	CUgraphNodeParams p = from->p;

	if (p.type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return soft_condition_copy(n, from);
	if (from->child) {
		p.graph.graph = (CUgraph)(uintptr_t)from->child->obj.handle;
		p.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE;
	}
	if (!from->memory)
		return soft_node_set(n, &p);
	/* Copies of a node that allocates share the memory: its address stands in other nodes. */
	soft_node_drop_params(n);
	n->p = p;
	atomic_fetch_add(&from->memory->refs, 1);
	n->memory = from->memory;
	n->p.alloc.accessDescs = NULL;
	n->p.alloc.accessDescCount = 0;
	return CUDA_SUCCESS;
}

CUresult soft_node_add(struct soft_graph *g, struct soft_node **deps, const CUgraphEdgeData *edges, size_t num_deps,
		       const CUgraphNodeParams *p, struct soft_node **out)
{
	struct soft_node *n = soft_node_new(g);
	CUresult rc = n ? soft_node_set(n, p) : CUDA_ERROR_OUT_OF_MEMORY;
	size_t i;

	for (i = 0; i < num_deps && !rc; i++)
		rc = soft_node_depend(n, deps[i], edges ? &edges[i] : NULL);
	if (rc && n)
		soft_node_free(n);
	else if (!rc)
		*out = n;
	return rc;
}

/* ---- calls ---- */

static CUresult soft_cuGraphAddNode_v2(CUgraphNode *out, CUgraph graph, const CUgraphNode *dependencies,
				       const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *p)
{
	struct soft_node **deps, *n;
	struct soft_graph *g;
	CUresult rc = soft_enter_any();
	size_t i;

	if (rc)
		return rc;
	if (!out || !p || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	deps = calloc(count + 1, sizeof(struct soft_node *));
	if (!deps)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_graph_lock();
	g = soft_graph_get(graph);
	for (i = 0; i < count; i++)
		deps[i] = soft_node_get(dependencies[i]);
	rc = g ? soft_node_add(g, deps, edges, count, p, &n) : CUDA_ERROR_INVALID_VALUE;
	if (!rc) {
		*out = (CUgraphNode)(uintptr_t)n->obj.handle;
		if (n->memory)
			p->alloc.dptr = n->memory->start;
		if (p->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
			p->conditional.phGraph_out = n->p.conditional.phGraph_out;
	}
	soft_graph_unlock();
	free(deps);
	return rc;
}

static CUresult soft_cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				    CUgraphNodeParams *p)
{
	return soft_cuGraphAddNode_v2(node, graph, dependencies, NULL, count, p);
}

static CUresult soft_cuGraphNodeSetParams(CUgraphNode handle, CUgraphNodeParams *p)
{
	struct soft_node *n;
	CUresult rc = p ? soft_enter_any() : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	n = soft_node_get(handle);
	if (!n || n->p.type != p->type || n->child || n->memory || p->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		rc = CUDA_ERROR_INVALID_VALUE;
	else
		rc = soft_node_set(n, p);
	soft_graph_unlock();
	return rc;
}

/* A node of that type: the lock is held when this succeeds. */
static CUresult enter(CUgraphNode handle, CUgraphNodeType type, const void *out, struct soft_node **n)
{
	CUresult rc = out ? soft_enter_any() : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	*n = soft_node_get(handle);
	if (*n && (*n)->p.type == type)
		return CUDA_SUCCESS;
	soft_graph_unlock();
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *type)
{
	struct soft_node *n;
	CUresult rc = type ? soft_enter_any() : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	n = soft_node_get(handle);
	if (n)
		*type = n->p.type;
	soft_graph_unlock();
	return n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

#define GETTER(name, kind, type, member)						\
	static CUresult soft_##name(CUgraphNode handle, type *out)			\
	{										\
		struct soft_node *n;							\
		CUresult rc = enter(handle, CU_GRAPH_NODE_TYPE_##kind, out, &n);	\
											\
		if (rc)									\
			return rc;							\
		memcpy(out, &n->p.member, sizeof(*out));				\
		soft_graph_unlock();							\
		return CUDA_SUCCESS;							\
	}

GETTER(cuGraphKernelNodeGetParams_v2, KERNEL, CUDA_KERNEL_NODE_PARAMS, kernel)
GETTER(cuGraphMemcpyNodeGetParams, MEMCPY, CUDA_MEMCPY3D, memcpy.copyParams)
GETTER(cuGraphMemsetNodeGetParams, MEMSET, CUDA_MEMSET_NODE_PARAMS, memset)
GETTER(cuGraphHostNodeGetParams, HOST, CUDA_HOST_NODE_PARAMS, host)
GETTER(cuGraphEventWaitNodeGetEvent, WAIT_EVENT, CUevent, eventWait.event)
GETTER(cuGraphEventRecordNodeGetEvent, EVENT_RECORD, CUevent, eventRecord.event)
GETTER(cuGraphMemAllocNodeGetParams, MEM_ALLOC, CUDA_MEM_ALLOC_NODE_PARAMS, alloc)
GETTER(cuGraphMemFreeNodeGetParams, MEM_FREE, CUdeviceptr, free.dptr)
GETTER(cuGraphBatchMemOpNodeGetParams, BATCH_MEM_OP, CUDA_BATCH_MEM_OP_NODE_PARAMS, memOp)

static CUresult soft_cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph *out)
{
	struct soft_node *n;
	CUresult rc = enter(handle, CU_GRAPH_NODE_TYPE_GRAPH, out, &n);

	if (rc)
		return rc;
	*out = (CUgraph)(uintptr_t)n->child->obj.handle;
	soft_graph_unlock();
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceGetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute attr, void *value)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!value || (unsigned)attr > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*(uint64_t *)value = attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH || attr == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH ?
				     atomic_load(&memory_high) : atomic_load(&memory_used);
	return CUDA_SUCCESS;
}

/* A high-water mark can be brought down to what is used. */
static CUresult soft_cuDeviceSetGraphMemAttribute(CUdevice dev, CUgraphMem_attribute attr, void *value)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!value || *(const uint64_t *)value ||
	    (attr != CU_GRAPH_MEM_ATTR_USED_MEM_HIGH && attr != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH))
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	atomic_store(&memory_high, atomic_load(&memory_used));
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceGraphMemTrim(CUdevice dev)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	return soft_device_get(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; /* nothing is held in reserve */
}

void soft_fill_graph_node(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuGraphAddNode);
	SOFT_SLOT(d, cuGraphAddNode_v2);
	SOFT_SLOT(d, cuGraphNodeSetParams);
	SOFT_SLOT(d, cuGraphNodeGetType);
	SOFT_SLOT(d, cuGraphKernelNodeGetParams_v2);
	SOFT_SLOT(d, cuGraphMemcpyNodeGetParams);
	SOFT_SLOT(d, cuGraphMemsetNodeGetParams);
	SOFT_SLOT(d, cuGraphHostNodeGetParams);
	SOFT_SLOT(d, cuGraphEventWaitNodeGetEvent);
	SOFT_SLOT(d, cuGraphEventRecordNodeGetEvent);
	SOFT_SLOT(d, cuGraphMemAllocNodeGetParams);
	SOFT_SLOT(d, cuGraphMemFreeNodeGetParams);
	SOFT_SLOT(d, cuGraphBatchMemOpNodeGetParams);
	SOFT_SLOT(d, cuGraphChildGraphNodeGetGraph);
	SOFT_SLOT(d, cuDeviceGetGraphMemAttribute);
	SOFT_SLOT(d, cuDeviceSetGraphMemAttribute);
	SOFT_SLOT(d, cuDeviceGraphMemTrim);
}
