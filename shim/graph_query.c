/* SPDX-License-Identifier: MIT */
/*
 * Questions about single graph nodes: type, parameters, the graph inside, the twin in a clone; and their end. Owns
 * nothing; any thread.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "graph.h"
#include "handle.h"

/* A node that stands for a copy of pageable memory is a child graph to the worker, and a copy to the application. */
static bool is_copy(CUgraphNode node, CUDA_MEMCPY3D *c)
{
	uint64_t wire;

	return !vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, node, &wire) && vgpu_view_copy(wire, c);
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type)
{
	CUresult r = vgpu_remote_cuGraphNodeGetType(node, type);

	if (!r && *type == CU_GRAPH_NODE_TYPE_GRAPH && is_copy(node, NULL))
		*type = CU_GRAPH_NODE_TYPE_MEMCPY;
	return r;
}

/* The parameters of a node of that type: the member of *p goes to `out`. */
static CUresult get(CUgraphNode node, CUgraphNodeType type, CUgraphNodeParams *p, const void *member, void *out,
		    size_t size)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_node_fetch(node, p);
	if (r)
		return r;
	if (p->type != type)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(out, member, size);
	return CUDA_SUCCESS;
}

#define GET(node, type, member, out) \
	get(node, CU_GRAPH_NODE_TYPE_##type, &p, &p.member, out, sizeof(*(out)))

CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
	CUgraphNodeParams p;
	CUresult r = GET(node, KERNEL, kernel, params);

	/* This form has a member for one of them only. */
	if (!r && !params->func)
		params->func = (CUfunction)(uintptr_t)p.kernel.kern;
	return r;
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return GET(node, KERNEL, kernel, params);
}

CUresult cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *params)
{
	CUgraphNodeParams p;
	CUresult r = vgpu_call_ready(0);

	if (!r && params && is_copy(node, params))
		return CUDA_SUCCESS;
	return GET(node, MEMCPY, memcpy.copyParams, params);
}

CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return GET(node, MEMSET, memset, params);
}

CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return GET(node, HOST, host, params);
}

CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event_out)
{
	CUgraphNodeParams p;

	return GET(node, EVENT_RECORD, eventRecord.event, event_out);
}

CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *event_out)
{
	CUgraphNodeParams p;

	return GET(node, WAIT_EVENT, eventWait.event, event_out);
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return GET(node, MEM_ALLOC, alloc, params);
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *dptr_out)
{
	CUgraphNodeParams p;

	return GET(node, MEM_FREE, free.dptr, dptr_out);
}

CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *params)
{
	CUgraphNodeParams p;

	return GET(node, BATCH_MEM_OP, memOp, params);
}

static CUresult graph_of(uint64_t node, uint64_t fresh, uint64_t *graph)
{
	const struct vgpu_ret_graph_of_node *o;
	struct vgpu_args_graph_of_node *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_of_node, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->node = node;
	a->graph = fresh;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*graph = o->graph;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *graph_out)
{
	uint64_t wire, fresh, graph = 0;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!graph_out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, node, &wire);
	if (!r)
		r = vgpu_handle_new(VGPU_HANDLE_GRAPH, &fresh);
	if (r)
		return r;
	r = graph_of(wire, fresh, &graph);
	if (graph != fresh)
		vgpu_handle_drop(VGPU_HANDLE_GRAPH, fresh);
	if (!r)
		*graph_out = vgpu_handle_app(VGPU_HANDLE_GRAPH, graph);
	return r;
}

CUresult cuGraphNodeFindInClone(CUgraphNode *node, CUgraphNode original, CUgraph clone)
{
	const struct vgpu_ret_graph_find_in_clone *o;
	struct vgpu_args_graph_find_in_clone *a;
	uint64_t original_wire, clone_wire;
	CUDA_MEMCPY3D copy;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!node)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPHNODE, original, &original_wire);
	if (!r)
		r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, clone, &clone_wire);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_graph_find_in_clone, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->node = original_wire;
	a->clone = clone_wire;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*node = vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, o->node);
		if (vgpu_view_copy(original_wire, &copy))
			r = vgpu_view_set_copy(o->node, clone_wire, &copy);
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuGraphDestroyNode(CUgraphNode node)
{
	CUresult r = vgpu_remote_cuGraphDestroyNode(node);

	if (!r)
		vgpu_view_drop_node(vgpu_handle_to_wire(node));
	return r;
}
