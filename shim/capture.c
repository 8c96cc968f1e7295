/* SPDX-License-Identifier: MIT */
/*
 * Stream capture as far as the guest must know it: whether a stream is being
 * captured, because then no fence may be put into it. Graphs are the worker's.
 */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "handle.h"
#include "stream.h"
#include "thread.h"

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *capture_status)
{
	struct vgpu_stream *s;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!capture_status)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (s == &s->context->legacy && s->context->capturing)
		return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	*capture_status = (CUstreamCaptureStatus)s->capture;
	return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	struct vgpu_stream *s;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (s == &s->context->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_ERROR_ILLEGAL_STATE;
	r = vgpu_remote_cuStreamBeginCapture_v2(stream, mode);
	if (r)
		return r;
	s->capture = CU_STREAM_CAPTURE_STATUS_ACTIVE;
	s->context->capturing++;
	return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
	struct vgpu_stream *s;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (!graph)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->capture == CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_ERROR_ILLEGAL_STATE;
	r = vgpu_remote_cuStreamEndCapture(stream, graph);
	s->capture = CU_STREAM_CAPTURE_STATUS_NONE;
	s->context->capturing--;
	return r;
}

static CUresult capture_info(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph)
{
	const struct vgpu_ret_stream_capture_info *o;
	struct vgpu_args_stream_capture_info *a;
	struct vgpu_stream *s;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = status ? vgpu_stream_get(stream, &s) : CUDA_ERROR_INVALID_VALUE;
	if (r)
		return r;
	*status = (CUstreamCaptureStatus)s->capture;
	if (s->capture == CU_STREAM_CAPTURE_STATUS_NONE || !id)
		return CUDA_SUCCESS;
	if (graph)
		return vgpu_unsupported("cuStreamGetCaptureInfo with the graph being captured");
	r = vgpu_call_begin(&c, VGPU_OP_stream_capture_info, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r && c.ret_size != sizeof(*o))
		r = vgpu_call_broken();
	if (!r) {
		o = c.ret;
		*status = (CUstreamCaptureStatus)o->status;
		*id = o->id;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out)
{
	return capture_info(stream, capture_status_out, id_out, NULL);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out,
				   CUgraph *graph_out, const CUgraphNode **dependencies_out, size_t *num_dependencies_out)
{
	if (dependencies_out || num_dependencies_out)
		return vgpu_ready() ? vgpu_ready() : vgpu_unsupported("cuStreamGetCaptureInfo with dependencies");
	return capture_info(stream, capture_status_out, id_out, graph_out);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out,
				   CUgraph *graph_out, const CUgraphNode **dependencies_out,
				   const CUgraphEdgeData **edge_data_out, size_t *num_dependencies_out)
{
	if (edge_data_out)
		return vgpu_ready() ? vgpu_ready() : vgpu_unsupported("cuStreamGetCaptureInfo with dependencies");
	return cuStreamGetCaptureInfo_v2(stream, capture_status_out, id_out, graph_out, dependencies_out,
					 num_dependencies_out);
}

/* How many nodes; the nodes themselves have no handles yet. */
static CUresult count_nodes(CUgraph graph, CUgraphNode *nodes, size_t *count, uint32_t roots)
{
	const struct vgpu_ret_graph_count_nodes *o;
	struct vgpu_args_graph_count_nodes *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (r)
		return r;
	if (nodes)
		return vgpu_unsupported("handles of graph nodes");
	r = vgpu_call_begin(&c, VGPU_OP_graph_count_nodes, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->graph = wire;
	a->roots = roots;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r && c.ret_size != sizeof(*o))
		r = vgpu_call_broken();
	if (!r) {
		o = c.ret;
		*count = o->count;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *num_nodes)
{
	return count_nodes(graph, nodes, num_nodes, 0);
}

CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode *root_nodes, size_t *num_root_nodes)
{
	return count_nodes(graph, root_nodes, num_root_nodes, 1);
}
