/* SPDX-License-Identifier: MIT */
/*
 * Stream capture.  Which thread of the guest captures in which mode, and what that forbids its threads, the guest
 * decides: to the driver all of it is one thread, so it always captures in the relaxed mode.  The worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"

static CUresult ask(const struct vgpu_driver *d, CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id,
		    CUgraph *graph)
{
	if (d->cuStreamGetCaptureInfo_v3)
		return d->cuStreamGetCaptureInfo_v3(stream, status, id, graph, NULL, NULL, NULL);
	if (d->cuStreamGetCaptureInfo_v2)
		return d->cuStreamGetCaptureInfo_v2(stream, status, id, graph, NULL, NULL);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUgraph vgpu_capture_graph(struct vgpu_session *s, uint64_t stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUgraph graph = NULL;
	void *obj;

	if (vgpu_session_lookup(s, VGPU_HANDLE_STREAM, stream, &obj) || ask(s->drv, obj, &status, NULL, &graph))
		return NULL;
	return status == CU_STREAM_CAPTURE_STATUS_ACTIVE ? graph : NULL;
}

CUresult vgpu_handle_capture_info(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_capture_info *a = rq->args;
	struct vgpu_ret_capture_info *o = rq->ret;
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	cuuint64_t id = 0;
	CUgraph graph = NULL;
	void *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!r)
		r = ask(s->drv, stream, &status, &id, &graph);
	if (r)
		return r;
	o->status = status;
	o->id = id;
	rq->ret_size = sizeof(*o);
	if (!a->graph || status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	return vgpu_graph_id(s, graph, a->graph, a->stream, &o->graph);	/* the capture owns it */
}

CUresult vgpu_handle_capture_to_graph(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_capture_to_graph *a = rq->args;
	void *stream, *graph;
	struct vgpu_links l;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!s->drv->cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);
	if (!r)
		r = vgpu_links_take(s, rq, 0, false, &l);
	if (r)
		return r;
	r = s->drv->cuStreamBeginCaptureToGraph(stream, graph, l.count ? l.from : NULL,
						a->edges && l.count ? l.data : NULL, l.count,
						CU_STREAM_CAPTURE_MODE_RELAXED);
	vgpu_links_free(&l);
	return r;
}

/* The graph that a capture had so far is not wanted, or not there any more. */
static void give_up(struct vgpu_session *s, CUgraph graph, CUgraph captured, uint64_t known)
{
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, known);

	/* One that the guest made and captured to stays the guest's. */
	if (e && vgpu_handle_kind_of(e->owner) != VGPU_HANDLE_STREAM)
		return;
	if (e) {
		vgpu_graph_forget(s, known);
		vgpu_session_unbind(s, VGPU_HANDLE_GRAPH, known);
	}
	if (graph && s->drv->cuGraphDestroy)
		s->drv->cuGraphDestroy(graph);
	vgpu_graph_memory_gone(s, captured);
}

CUresult vgpu_handle_stream_end_capture(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_end_capture *a = rq->args;
	struct vgpu_ret_stream_end_capture *o = rq->ret;
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUgraph before = NULL, graph = NULL;
	struct vgpu_handle_entry *e;
	uint64_t known;
	void *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (r)
		return r;
	if (!s->drv->cuStreamEndCapture)
		return CUDA_ERROR_NOT_SUPPORTED;
	ask(s->drv, stream, &status, NULL, &before);
	known = before ? vgpu_graph_known(s, before) : 0;
	r = s->drv->cuStreamEndCapture(stream, &graph);
	if (r || a->discard) {
		give_up(s, r ? NULL : graph, before ? before : graph, known);
		return r;
	}
	r = vgpu_graph_id(s, graph, a->graph, 0, &o->graph);
	e = r ? NULL : vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, o->graph);
	if (e && vgpu_handle_kind_of(e->owner) == VGPU_HANDLE_STREAM)
		e->owner = 0;	/* from now on it is the guest's */
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_capture_update(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_capture_update *a = rq->args;
	const struct vgpu_driver *d = s->drv;
	struct vgpu_links l;
	void *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!r)
		r = vgpu_links_take(s, rq, 0, false, &l);
	if (r)
		return r;
	if (a->edges)
		r = d->cuStreamUpdateCaptureDependencies_v2 ?
			    d->cuStreamUpdateCaptureDependencies_v2(stream, l.from, l.data, l.count, a->flags) :
			    CUDA_ERROR_NOT_SUPPORTED;
	else
		r = d->cuStreamUpdateCaptureDependencies ?
			    d->cuStreamUpdateCaptureDependencies(stream, l.from, l.count, a->flags) :
			    CUDA_ERROR_NOT_SUPPORTED;
	vgpu_links_free(&l);
	return r;
}

CUresult vgpu_handle_capture_host_call(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_capture_host_call *a = rq->args;
	void *stream, *record;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!s->drv->cuLaunchHostFunc)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_host_record(s, a->fn, a->data, a->word, &record);
	return r ? r : s->drv->cuLaunchHostFunc(stream, vgpu_host_run, record);
}

CUresult vgpu_handle_event_query(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_event_query *a = rq->args;
	void *event;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, a->event, &event);

	if (r)
		return r;
	return s->drv->cuEventQuery ? s->drv->cuEventQuery(event) : CUDA_ERROR_NOT_SUPPORTED;
}
