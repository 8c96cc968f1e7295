/* SPDX-License-Identifier: MIT */
/* What of stream capture and graphs is not a plain call. The worker's only thread. */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

static CUresult capture_info(const struct vgpu_driver *drv, CUstream stream, CUstreamCaptureStatus *status,
			     cuuint64_t *id, CUgraph *graph)
{
	if (drv->cuStreamGetCaptureInfo_v3)
		return drv->cuStreamGetCaptureInfo_v3(stream, status, id, graph, NULL, NULL, NULL);
	if (drv->cuStreamGetCaptureInfo_v2)
		return drv->cuStreamGetCaptureInfo_v2(stream, status, id, graph, NULL, NULL);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_stream_capture_info(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_capture_info *a = rq->args;
	struct vgpu_ret_stream_capture_info *o = rq->ret;
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	cuuint64_t id = 0;
	CUgraph graph = NULL;
	void *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!r)
		r = capture_info(s->drv, stream, &status, &id, &graph);
	if (r)
		return r;
	o->status = status;
	o->id = id;
	rq->ret_size = sizeof(*o);
	if (!a->graph || status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	r = vgpu_session_bind(s, VGPU_HANDLE_GRAPH, a->graph, graph);
	if (!r)	/* the capture owns it */
		vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, a->graph)->owner = a->stream;
	return r;
}

CUresult vgpu_handle_cuGraphLaunch(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphLaunch *a = rq->args;
	CUresult r = vgpu_default_cuGraphLaunch(s, rq);
	void *stream;

	if (!r && !vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream))
		vgpu_timeout_launched(s, stream);
	return r;
}

CUresult vgpu_handle_graph_count_nodes(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_count_nodes *a = rq->args;
	struct vgpu_ret_graph_count_nodes *o = rq->ret;
	size_t count = 0;
	void *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = s->drv->cuGraphGetNodes ? s->drv->cuGraphGetNodes(graph, NULL, &count) : CUDA_ERROR_NOT_SUPPORTED;
	o->count = count;
	rq->ret_size = sizeof(*o);
	return r;
}
