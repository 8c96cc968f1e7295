/* SPDX-License-Identifier: MIT */
/*
 * Nodes of graphs: adding, changing, asking, connecting.  All kinds go through the driver's general calls (CUDA 12.2);
 * what can be asked only by kind is asked by kind (graph_params.c).  The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"
#include "log.h"

static CUresult add(const struct vgpu_driver *d, CUgraphNode *node, CUgraph graph, const struct vgpu_links *l,
		    bool edges, CUgraphNodeParams *p)
{
	const CUgraphNode *from = l->count ? l->from : NULL;

	if (d->cuGraphAddNode_v2)
		return d->cuGraphAddNode_v2(node, graph, from, edges && l->count ? l->data : NULL, l->count, p);
	if (d->cuGraphAddNode && !edges)
		return d->cuGraphAddNode(node, graph, from, l->count, p);
	return CUDA_ERROR_NOT_SUPPORTED;
}

/* The driver made the bodies of a condition: they get the ids that the guest has for them. */
static CUresult bind_bodies(struct vgpu_session *s, uint64_t graph, const struct vgpu_node_params *n)
{
	const uint64_t *ids = n->tail;
	CUresult r = CUDA_SUCCESS;

	for (uint32_t i = 0; i < n->p.conditional.size && !r; i++) {
		r = vgpu_session_bind(s, VGPU_HANDLE_GRAPH, ids[i], n->p.conditional.phGraph_out[i]);
		if (!r)
			vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, ids[i])->owner = graph;
	}
	return r;
}

/* What has to be noted of a node that is there now. */
static CUresult added(struct vgpu_session *s, uint64_t graph, const struct vgpu_node_params *n, uint64_t child,
		      uint64_t *value)
{
	CUgraph root = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, vgpu_graph_root(s, graph))->obj;
	struct vgpu_handle_entry *e;
	CUresult r;

	switch (n->p.type) {
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		*value = n->p.alloc.dptr;
		r = vgpu_memory_enter(s, n->p.alloc.dptr, n->p.alloc.bytesize, VGPU_RANGE_POOL);
		return r ? r : vgpu_graph_memory_alloc(s, root, n->p.alloc.dptr, n->p.alloc.bytesize);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return vgpu_graph_memory_free(s, root, n->p.free.dptr);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return bind_bodies(s, graph, n);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, child);
		if (e && n->p.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE) {
			e->owner = graph;
			vgpu_graph_memory_move(s, e->obj, root);
		}
		return CUDA_SUCCESS;
	default:
		return CUDA_SUCCESS;
	}
}

CUresult vgpu_handle_graph_add_node(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_add_node *a = rq->args;
	struct vgpu_ret_graph_add_node *o = rq->ret;
	const CUgraphNodeParams *wire = rq->payload;
	struct vgpu_node_params n = { 0 };
	struct vgpu_links l = { 0 };
	CUgraphNode node = NULL;
	uint32_t at = 0;
	void *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = vgpu_node_params_take(s, rq, &at, a->tail, &n);
	if (!r && n.p.type == CU_GRAPH_NODE_TYPE_GRAPH && n.p.graph.graph == graph)
		r = CUDA_ERROR_INVALID_VALUE;	/* the driver would follow it without end */
	if (!r)
		r = vgpu_links_take(s, rq, at, false, &l);
	if (!r)
		r = add(s->drv, &node, graph, &l, a->edges, &n.p);
	vgpu_links_free(&l);
	if (!r)
		n.charged = 0;	/* given back with the memory */
	if (!r)
		r = added(s, a->graph, &n, (uint64_t)(uintptr_t)wire->graph.graph, &o->value);
	if (!r)
		r = vgpu_node_id(s, node, a->graph, &o->node);
	vgpu_memory_release(s, n.charged);
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_graph_set_node(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_set_node *a = rq->args;
	struct vgpu_node_params n = { 0 };
	void *node, *exec = NULL;
	uint32_t at = 0;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, a->node, &node);

	if (!r && a->exec)
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHEXEC, a->exec, &exec);
	if (!r)
		r = vgpu_node_params_take(s, rq, &at, a->tail, &n);
	vgpu_memory_release(s, n.charged);	/* only a new node allocates */
	if (r)
		return r;
	if (exec)
		return s->drv->cuGraphExecNodeSetParams ? s->drv->cuGraphExecNodeSetParams(exec, node, &n.p) :
							  CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuGraphNodeSetParams ? s->drv->cuGraphNodeSetParams(node, &n.p) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_graph_get_node(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_get_node *a = rq->args;
	struct vgpu_ret_graph_get_node *o = rq->ret;
	uint32_t end = sizeof(*o), tail_bytes = 0, piece;
	CUgraphNodeParams p = { 0 };
	void *node, *tail = NULL, *to;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, a->node, &node);

	if (!r)
		r = vgpu_node_params_get(s, node, &p, &tail, &tail_bytes);
	if (r)
		goto out;
	o->graph = vgpu_graph_root(s, vgpu_node_graph(s, a->node));
	o->tail = tail_bytes;
	memcpy(vgpu_room(rq, &end, sizeof(p)), &p, sizeof(p));
	piece = VGPU_RET_PAYLOAD_MAX_graph_get_node - sizeof(p);
	if (a->first < tail_bytes) {
		piece = piece < tail_bytes - a->first ? piece : tail_bytes - a->first;
		to = vgpu_room(rq, &end, piece);
		if (to)
			memcpy(to, (const uint8_t *)tail + a->first, piece);
	}
	rq->ret_size = end;
out:
	free(tail);
	return r;
}

CUresult vgpu_handle_graph_dependencies(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_dependencies *a = rq->args;
	const struct vgpu_driver *d = s->drv;
	CUresult (*v2)(CUgraph, const CUgraphNode *, const CUgraphNode *, const CUgraphEdgeData *, size_t) =
		a->remove ? d->cuGraphRemoveDependencies_v2 : d->cuGraphAddDependencies_v2;
	CUresult (*v1)(CUgraph, const CUgraphNode *, const CUgraphNode *, size_t) =
		a->remove ? d->cuGraphRemoveDependencies : d->cuGraphAddDependencies;
	struct vgpu_links l;
	void *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = vgpu_links_take(s, rq, 0, true, &l);
	if (r)
		return r;
	if (a->edges && v2)
		r = v2(graph, l.from, l.to, l.data, l.count);
	else
		r = v1 && !a->edges ? v1(graph, l.from, l.to, l.count) : CUDA_ERROR_NOT_SUPPORTED;
	vgpu_links_free(&l);
	return r;
}

CUresult vgpu_handle_graph_of_node(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_of_node *a = rq->args;
	struct vgpu_ret_graph_of_node *o = rq->ret;
	CUgraph graph = NULL;
	void *node;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, a->node, &node);

	if (!r)
		r = s->drv->cuGraphChildGraphNodeGetGraph ? s->drv->cuGraphChildGraphNodeGetGraph(node, &graph) :
							    CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_graph_id(s, graph, a->graph, vgpu_node_graph(s, a->node), &o->graph);
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_graph_find_in_clone(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_find_in_clone *a = rq->args;
	struct vgpu_ret_graph_find_in_clone *o = rq->ret;
	CUgraphNode found = NULL;
	void *node, *clone;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, a->node, &node);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->clone, &clone);
	if (!r)
		r = s->drv->cuGraphNodeFindInClone ? s->drv->cuGraphNodeFindInClone(&found, node, clone) :
						     CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_node_id(s, found, a->clone, &o->node);
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_cuGraphDestroyNode(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphDestroyNode *a = rq->args;
	CUgraph child = NULL;
	uint64_t inner;
	void *node;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, a->node, &node);
	CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;

	if (r)
		return r;
	/* The graph inside goes with the node, and what was named in it. */
	if (s->drv->cuGraphNodeGetType && !s->drv->cuGraphNodeGetType(node, &type) &&
	    type == CU_GRAPH_NODE_TYPE_GRAPH && s->drv->cuGraphChildGraphNodeGetGraph)
		s->drv->cuGraphChildGraphNodeGetGraph(node, &child);
	r = vgpu_default_cuGraphDestroyNode(s, rq);
	if (r)
		return r;
	vgpu_node_forget(s, a->node);
	inner = child ? vgpu_graph_known(s, child) : 0;
	if (inner) {
		vgpu_graph_forget(s, inner);
		vgpu_session_unbind(s, VGPU_HANDLE_GRAPH, inner);
	}
	return CUDA_SUCCESS;
}

/* Attributes that hold no handle, or as DEVICE_UPDATABLE_KERNEL_NODE one that only comes out and only kernels use. */
static CUresult check_attribute(uint32_t attribute)
{
	switch (attribute) {
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		vgpu_log(VGPU_LOG_NOTICE, NULL, "kernel node attribute %u is not supported", attribute);
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult vgpu_handle_cuGraphKernelNodeSetAttribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	struct vgpu_args_cuGraphKernelNodeSetAttribute checked =
		*(const struct vgpu_args_cuGraphKernelNodeSetAttribute *)rq->args;
	struct vgpu_request clean = *rq;
	CUresult r = check_attribute(checked.attr);

	if (checked.attr == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		checked.value.deviceUpdatableKernelNode.devNode = NULL;
	clean.args = &checked;
	return r ? r : vgpu_default_cuGraphKernelNodeSetAttribute(s, &clean);
}

CUresult vgpu_handle_cuGraphKernelNodeGetAttribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphKernelNodeGetAttribute *a = rq->args;
	CUresult r = check_attribute(a->attr);

	return r ? r : vgpu_default_cuGraphKernelNodeGetAttribute(s, rq);
}
