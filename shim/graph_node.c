/* SPDX-License-Identifier: MIT */
/*
 * The calls for graph nodes. Each kind has calls of its own; all of them are here brought to the general form, a
 * CUgraphNodeParams, which travels as one command. Owns nothing; any thread.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "graph.h"
#include "handle.h"
#include "memory.h"

#define LONG_TAIL	16384u	/* bytes of parameters that leave room for fewer dependencies */
#define BESIDE_LONG	2048u	/* dependencies in one command with such parameters */

/* ---- adding ---- */

/* What the driver gave back beside the node. */
static CUresult finish(uint64_t graph, const struct vgpu_node_wire *w, const struct vgpu_ret_graph_add_node *o,
		       CUgraphNodeParams *params)
{
	const uint64_t *ids = w->tail;
	CUgraph *bodies;
	uint32_t i;

	if (params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
		params->alloc.dptr = o->value;
		return vgpu_memory_add(VGPU_RANGE_DEVICE, o->value, params->alloc.bytesize,
				       VGPU_MEMORY_OF_GRAPH | VGPU_MEMORY_ORDERED);
	}
	if (params->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return CUDA_SUCCESS;
	bodies = vgpu_view_room(o->node, graph, params->conditional.size * sizeof(CUgraph));
	if (!bodies)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (i = 0; i < params->conditional.size; i++)
		bodies[i] = vgpu_handle_app(VGPU_HANDLE_GRAPH, ids[i]);
	params->conditional.phGraph_out = bodies;
	return CUDA_SUCCESS;
}

/* One command; at most VGPU_LINKS_MOST dependencies. */
static CUresult send(CUgraphNode *node, uint64_t graph, struct vgpu_node_wire *w, const CUgraphNode *dependencies,
		     const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *params)
{
	uint32_t head = (uint32_t)(sizeof(w->p) + vgpu_align8(w->tail_bytes));
	const struct vgpu_ret_graph_add_node *o;
	struct vgpu_args_graph_add_node *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_add_node, sizeof(*a), head + vgpu_links_bytes(count), VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->graph = graph;
	a->tail = w->tail_bytes;
	a->edges = edges != NULL;
	memcpy(c.payload, &w->p, sizeof(w->p));
	if (w->tail_bytes)
		memcpy((uint8_t *)c.payload + sizeof(w->p), w->tail, w->tail_bytes);
	vgpu_links_write((uint8_t *)c.payload + head, dependencies, NULL, edges, count);
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		w->made = true;
		*node = vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, o->node);
		r = finish(graph, w, o, params);
	}
	vgpu_call_end(&c);
	return r;
}

/* Dependencies that did not fit beside the parameters. */
static CUresult connect_rest(CUgraph graph, CUgraphNode node, const CUgraphNode *dependencies,
			     const CUgraphEdgeData *edges, size_t count)
{
	CUresult r = CUDA_SUCCESS;
	size_t i;

	for (i = 0; i < count && !r; i++)
		r = edges ? cuGraphAddDependencies_v2(graph, &dependencies[i], &node, &edges[i], 1) :
			    cuGraphAddDependencies(graph, &dependencies[i], &node, 1);
	return r;
}

CUresult vgpu_node_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
		       size_t count, CUgraphNodeParams *params)
{
	struct vgpu_node_wire w;
	uint64_t wire;
	size_t first;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!node || !params || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (r)
		return r;
	if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY && vgpu_graph_copy_is_pageable(&params->memcpy.copyParams))
		return vgpu_graph_copy_add(node, graph, dependencies, edges, count, &params->memcpy.copyParams,
					   params->memcpy.copyCtx);
	r = vgpu_node_encode(params, &w);
	if (r)
		return r;
	first = sizeof(w.p) + w.tail_bytes > LONG_TAIL ? BESIDE_LONG : VGPU_LINKS_MOST;
	if (first > count)
		first = count;
	r = vgpu_links_check(dependencies, NULL, first);
	if (!r)
		r = send(node, wire, &w, dependencies, edges, first, params);
	vgpu_node_wire_free(&w);
	if (!r && first < count)
		r = connect_rest(graph, *node, dependencies + first, edges ? edges + first : NULL, count - first);
	if (r && w.made)
		cuGraphDestroyNode(*node);
	return r;
}

CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			CUgraphNodeParams *params)
{
	return vgpu_node_add(node, graph, dependencies, NULL, count, params);
}

CUresult cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
			   const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *params)
{
	return vgpu_node_add(node, graph, dependencies, edges, count, params);
}

/* Parameters of one kind in the general form; NULL stays NULL. */
static CUgraphNodeParams *general(CUgraphNodeParams *p, CUgraphNodeType type, void *member, const void *params,
				  size_t size)
{
	memset(p, 0, sizeof(*p));
	p->type = type;
	if (params)
		memcpy(member, params, size);
	return params ? p : NULL;
}

#define GENERAL(p, type, member, params) general(p, CU_GRAPH_NODE_TYPE_##type, &(p)->member, params, sizeof(*(params)))

static CUgraphNodeParams *memcpy_params(CUgraphNodeParams *p, const CUDA_MEMCPY3D *params, CUcontext ctx)
{
	CUgraphNodeParams *g = GENERAL(p, MEMCPY, memcpy.copyParams, params);

	p->memcpy.copyCtx = ctx;
	return g;
}

static CUgraphNodeParams *memset_params(CUgraphNodeParams *p, const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx)
{
	CUgraphNodeParams *g = GENERAL(p, MEMSET, memset, params);

	p->memset.ctx = ctx;
	return g;
}

CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			      const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				 const CUDA_KERNEL_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			      const CUDA_MEMCPY3D *params, CUcontext ctx)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, memcpy_params(&p, params, ctx));
}

CUresult cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			      const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, memset_params(&p, params, ctx));
}

CUresult cuGraphAddHostNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			    const CUDA_HOST_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, GENERAL(&p, HOST, host, params));
}

CUresult cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				  CUgraph child)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child };

	return vgpu_node_add(node, graph, dependencies, NULL, count, &p);
}

CUresult cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_EMPTY };

	return vgpu_node_add(node, graph, dependencies, NULL, count, &p);
}

CUresult cuGraphAddEventRecordNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				   CUevent event)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord.event = event };

	return vgpu_node_add(node, graph, dependencies, NULL, count, &p);
}

CUresult cuGraphAddEventWaitNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				 CUevent event)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT, .eventWait.event = event };

	return vgpu_node_add(node, graph, dependencies, NULL, count, &p);
}

CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
	CUgraphNodeParams p;
	CUresult r = vgpu_node_add(node, graph, dependencies, NULL, count, GENERAL(&p, MEM_ALLOC, alloc, params));

	if (!r)
		params->dptr = p.alloc.dptr;
	return r;
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			       CUdeviceptr dptr)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEM_FREE, .free.dptr = dptr };

	return vgpu_node_add(node, graph, dependencies, NULL, count, &p);
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				  const CUDA_BATCH_MEM_OP_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return vgpu_node_add(node, graph, dependencies, NULL, count, GENERAL(&p, BATCH_MEM_OP, memOp, params));
}

/* ---- changing ---- */

static CUresult set(uint64_t exec, uint64_t node, const struct vgpu_node_wire *w)
{
	struct vgpu_args_graph_set_node *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_set_node, sizeof(*a), (uint32_t)(sizeof(w->p) + vgpu_align8(w->tail_bytes)),
			    VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->node = node;
	a->exec = exec;
	a->tail = w->tail_bytes;
	memcpy(c.payload, &w->p, sizeof(w->p));
	if (w->tail_bytes)
		memcpy((uint8_t *)c.payload + sizeof(w->p), w->tail, w->tail_bytes);
	return vgpu_call_finish(&c);
}

CUresult vgpu_node_set(CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams *params)
{
	uint64_t exec_wire = 0, wire;
	struct vgpu_node_wire w;
	CUresult r;

	r = vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, node, &wire);
	if (!r && exec)
		r = vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, exec, &exec_wire);
	if (r)
		return r;
	if (params->type == CU_GRAPH_NODE_TYPE_MEMCPY &&
	    (vgpu_view_copy(wire, NULL) || vgpu_graph_copy_is_pageable(&params->memcpy.copyParams)))
		return vgpu_graph_copy_set(exec, node, &params->memcpy.copyParams, params->memcpy.copyCtx);
	r = vgpu_node_encode(params, &w);
	if (r)
		return r;
	r = set(exec_wire, wire, &w);
	vgpu_node_wire_free(&w);
	return r;
}

/* For the calls: in an executable graph, or in the graph itself. */
static CUresult set_exec(CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams *params)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	return exec && params ? vgpu_node_set(exec, node, params) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult set_own(CUgraphNode node, const CUgraphNodeParams *params)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	return params ? vgpu_node_set(NULL, node, params) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *params)
{
	return set_own(node, params);
}

CUresult cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *params)
{
	return set_exec(exec, node, params);
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
	CUgraphNodeParams p;

	return set_own(node, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_own(node, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, GENERAL(&p, KERNEL, kernel, params));
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *params)
{
	CUgraphNodeParams p;

	return set_own(node, memcpy_params(&p, params, NULL));
}

CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *params, CUcontext ctx)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, memcpy_params(&p, params, ctx));
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_own(node, memset_params(&p, params, NULL));
}

CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params,
					CUcontext ctx)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, memset_params(&p, params, ctx));
}

CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_own(node, GENERAL(&p, HOST, host, params));
}

CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, GENERAL(&p, HOST, host, params));
}

CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_own(node, GENERAL(&p, BATCH_MEM_OP, memOp, params));
}

CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
					    const CUDA_BATCH_MEM_OP_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return set_exec(exec, node, GENERAL(&p, BATCH_MEM_OP, memOp, params));
}

CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraph graph)
{
	return set_exec(exec, node, &(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = graph });
}

CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
	return set_own(node, &(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord.event = event });
}

CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event)
{
	return set_own(node, &(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT, .eventWait.event = event });
}

CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
	return set_exec(exec, node,
			&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord.event = event });
}

CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
	return set_exec(exec, node,
			&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT, .eventWait.event = event });
}
