/* SPDX-License-Identifier: MIT */
/*
 * Lists of nodes, from and to the wire. A long list is answered in pieces; each piece asks the driver for all of it,
 * since nothing here outlives a command. The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>
#include <vgpu/operands.h>

#include "graph.h"

#define LINK_SIZE	((uint32_t)sizeof(struct vgpu_rec_graph_link))

_Static_assert(sizeof(CUgraphEdgeData) == sizeof(uint64_t), "an edge's data is one word");

static CUresult links_alloc(struct vgpu_links *l, size_t count)
{
	*l = (struct vgpu_links){ .count = count };
	l->from = calloc(count ? count : 1, 2 * sizeof(CUgraphNode) + sizeof(CUgraphEdgeData));
	if (!l->from)
		return CUDA_ERROR_OUT_OF_MEMORY;
	l->to = l->from + count;
	l->data = (CUgraphEdgeData *)(void *)(l->to + count);
	return CUDA_SUCCESS;
}

void vgpu_links_free(struct vgpu_links *l)
{
	free(l->from);
	l->from = NULL;
}

CUresult vgpu_links_take(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t at, bool to,
			 struct vgpu_links *l)
{
	const struct vgpu_rec_graph_link *in;
	uint32_t count = (rq->payload_size - at) / LINK_SIZE;
	void *obj;
	CUresult r;

	*l = (struct vgpu_links){ 0 };
	in = at <= rq->payload_size ? vgpu_take(rq, &at, count * LINK_SIZE) : NULL;
	if (!in || at != rq->payload_size)
		return vgpu_session_broken(s, "a list of nodes does not fill its payload");
	r = links_alloc(l, count);
	for (uint32_t i = 0; i < count && !r; i++) {
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, in[i].from, &obj);
		if (!r)
			l->from[i] = obj;
		if (!r && to)
			r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHNODE, in[i].to, &obj);
		if (!r && to)
			l->to[i] = obj;
		memcpy(&l->data[i], &in[i].data, sizeof(l->data[i]));
	}
	if (r)
		vgpu_links_free(l);
	return r;
}

/* One question to the driver, with or without the data of edges. */
static CUresult ask(const struct vgpu_driver *d, uint32_t what, void *obj, bool edges, struct vgpu_links *l)
{
	switch (what) {
	case VGPU_LIST_NODES:
		return d->cuGraphGetNodes ? d->cuGraphGetNodes(obj, l->from, &l->count) : CUDA_ERROR_NOT_SUPPORTED;
	case VGPU_LIST_ROOTS:
		return d->cuGraphGetRootNodes ? d->cuGraphGetRootNodes(obj, l->from, &l->count) :
						CUDA_ERROR_NOT_SUPPORTED;
	case VGPU_LIST_EDGES:
		if (edges && d->cuGraphGetEdges_v2)
			return d->cuGraphGetEdges_v2(obj, l->from, l->to, l->data, &l->count);
		return d->cuGraphGetEdges ? d->cuGraphGetEdges(obj, l->from, l->to, &l->count) :
					    CUDA_ERROR_NOT_SUPPORTED;
	case VGPU_LIST_DEPENDENCIES:
		if (edges && d->cuGraphNodeGetDependencies_v2)
			return d->cuGraphNodeGetDependencies_v2(obj, l->from, l->data, &l->count);
		return d->cuGraphNodeGetDependencies ? d->cuGraphNodeGetDependencies(obj, l->from, &l->count) :
						       CUDA_ERROR_NOT_SUPPORTED;
	default:
		if (edges && d->cuGraphNodeGetDependentNodes_v2)
			return d->cuGraphNodeGetDependentNodes_v2(obj, l->from, l->data, &l->count);
		return d->cuGraphNodeGetDependentNodes ? d->cuGraphNodeGetDependentNodes(obj, l->from, &l->count) :
							 CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult fetch(const struct vgpu_driver *d, uint32_t what, void *obj, bool edges, struct vgpu_links *l)
{
	size_t count;
	CUresult r;

	*l = (struct vgpu_links){ 0 };
	r = ask(d, what, obj, edges, l);
	if (r)
		return r;
	count = l->count;
	r = links_alloc(l, count);
	if (!r && count)
		r = ask(d, what, obj, edges, l);
	if (r)
		vgpu_links_free(l);
	return r;
}

/* What the next operation of a captured stream depends on; the graph, for the ids. */
static CUresult fetch_capture(const struct vgpu_driver *d, CUstream stream, struct vgpu_links *l, CUgraph *graph)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	const CUgraphEdgeData *data = NULL;
	const CUgraphNode *nodes = NULL;
	size_t count = 0;
	CUresult r;

	if (d->cuStreamGetCaptureInfo_v3)
		r = d->cuStreamGetCaptureInfo_v3(stream, &status, NULL, graph, &nodes, &data, &count);
	else if (d->cuStreamGetCaptureInfo_v2)
		r = d->cuStreamGetCaptureInfo_v2(stream, &status, NULL, graph, &nodes, &count);
	else
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r && status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!r)
		r = links_alloc(l, count);
	for (size_t i = 0; i < count && !r; i++) {
		l->from[i] = nodes[i];
		if (data)
			l->data[i] = data[i];
	}
	return r;
}

static CUresult reply(struct vgpu_session *s, struct vgpu_request *rq, const struct vgpu_links *l, uint64_t first,
		      uint64_t graph)
{
	struct vgpu_ret_graph_list *o = rq->ret;
	uint32_t end = sizeof(*o), most = VGPU_RET_PAYLOAD_MAX_graph_list / LINK_SIZE;
	struct vgpu_rec_graph_link *out;
	CUresult r = CUDA_SUCCESS;

	o->total = l->count;
	for (uint64_t i = first; i < l->count && most-- && !r; i++) {
		out = vgpu_room(rq, &end, LINK_SIZE);
		if (!out)
			break;
		r = vgpu_node_id(s, l->from[i], graph, &out->from);
		if (!r)
			r = vgpu_node_id(s, l->to[i], graph, &out->to);
		memcpy(&out->data, &l->data[i], sizeof(out->data));
	}
	rq->ret_size = end;
	return r;
}

CUresult vgpu_handle_graph_list(struct vgpu_session *s, struct vgpu_request *rq)
{
	static const enum vgpu_handle_kind kinds[] = {
		[VGPU_LIST_NODES] = VGPU_HANDLE_GRAPH, [VGPU_LIST_ROOTS] = VGPU_HANDLE_GRAPH, [VGPU_LIST_EDGES] = VGPU_HANDLE_GRAPH,
		[VGPU_LIST_DEPENDENCIES] = VGPU_HANDLE_GRAPHNODE, [VGPU_LIST_DEPENDENTS] = VGPU_HANDLE_GRAPHNODE,
		[VGPU_LIST_CAPTURE] = VGPU_HANDLE_STREAM,
	};
	const struct vgpu_args_graph_list *a = rq->args;
	uint64_t graph = a->object;
	CUgraph captured = NULL;
	struct vgpu_links l;
	void *obj;
	CUresult r;

	if (a->what > VGPU_LIST_CAPTURE)
		return vgpu_session_broken(s, "list of kind %u", a->what);
	r = vgpu_session_lookup(s, kinds[a->what], a->object, &obj);
	if (r)
		return r;
	r = a->what == VGPU_LIST_CAPTURE ? fetch_capture(s->drv, obj, &l, &captured) :
				 fetch(s->drv, a->what, obj, a->edges, &l);
	if (r)
		return r;
	if (kinds[a->what] == VGPU_HANDLE_GRAPHNODE)
		graph = vgpu_node_graph(s, a->object);
	if (a->what == VGPU_LIST_CAPTURE)	/* asked for before: ids need a graph to die with */
		r = vgpu_graph_id(s, captured, 0, 0, &graph);
	if (!r)
		r = reply(s, rq, &l, a->first, graph);
	vgpu_links_free(&l);
	return r;
}
