/* SPDX-License-Identifier: MIT */
/*
 * Application handles to wire ids, for the generated calls. Four kinds are
 * special: a stream may be one of the default streams, and is noted as used;
 * a function may be a kernel; a graph node's id is the worker's, which alone
 * knows whether it is live; an executable graph may have the driver's name.
 */
#include "call.h"
#include "graph.h"
#include "handle.h"
#include "stream.h"
#include "thread.h"

CUresult vgpu_handle_wire(enum vgpu_handle_kind kind, const void *app, uint64_t *wire)
{
	struct vgpu_stream *s;
	CUresult r;

	if (kind == VGPU_HANDLE_STREAM) {
		r = vgpu_stream_get((CUstream)(uintptr_t)app, &s);
		if (r)
			return r;
		vgpu_touch(s);
		*wire = s->wire;
		return CUDA_SUCCESS;
	}
	if (kind == VGPU_HANDLE_GRAPHNODE) {
		*wire = vgpu_handle_to_wire(app);
		return (uintptr_t)app & 15 || vgpu_handle_kind_of(*wire) != kind ? vgpu_handle_error(kind) : CUDA_SUCCESS;
	}
	if (kind == VGPU_HANDLE_GRAPHEXEC && !vgpu_handle_live(kind, app))
		app = vgpu_handle_app(kind, vgpu_graph_name_find(app));
	if (!vgpu_handle_live(kind, app) &&
	    !(kind == VGPU_HANDLE_FUNCTION && vgpu_handle_live(VGPU_HANDLE_KERNEL, app)))
		return vgpu_handle_error(kind);
	*wire = vgpu_handle_to_wire(app);
	return CUDA_SUCCESS;
}
