/* SPDX-License-Identifier: MIT */
/*
 * The linear copy calls: arguments checked, sent on to copy.c. A device
 * argument may be any address that the device can reach, as natively with
 * unified addresses; a host argument may be any address at all.
 */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "copy.h"
#include "memory.h"
#include "output.h"
#include "stream.h"
#include "thread.h"

enum side { DST = 1, SRC = 2 };

/* `device`: sides that must be addresses of the device. */
static CUresult copy(uint64_t dst, uint64_t src, size_t bytes, CUstream stream, unsigned device, bool wait)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_stream *s;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (!bytes)
		return CUDA_SUCCESS;
	if (!dst || !src || (device & DST && vgpu_memory_place(dst) == VGPU_PLACE_HOST) ||
	    (device & SRC && vgpu_memory_place(src) == VGPU_PLACE_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_copy(dst, src, bytes, s, wait);
	if (!r && wait)
		r = vgpu_memory_settle(dst, src, s);
	if (!r && wait && device & DST)
		vgpu_output_fetch();
	/* Whoever waited is told what went wrong before; a queued copy is not a point of synchronisation. */
	return wait && !(device & DST) ? vgpu_error_after(r) : r;
}

CUresult vgpu_on_cuMemcpy(CUstream default_stream, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy(dst, src, bytes, default_stream, 0, true);
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return copy(dst, src, bytes, stream, 0, false);
}

CUresult vgpu_on_cuMemcpyHtoD_v2(CUstream default_stream, CUdeviceptr dst, const void *src, size_t bytes)
{
	return copy(dst, (uintptr_t)src, bytes, default_stream, DST, true);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
	return copy(dst, (uintptr_t)src, bytes, stream, DST, false);
}

CUresult vgpu_on_cuMemcpyDtoH_v2(CUstream default_stream, void *dst, CUdeviceptr src, size_t bytes)
{
	return copy((uintptr_t)dst, src, bytes, default_stream, SRC, true);
}

CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return copy((uintptr_t)dst, src, bytes, stream, SRC, false);
}

CUresult vgpu_on_cuMemcpyDtoD_v2(CUstream default_stream, CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
	return copy(dst, src, bytes, default_stream, DST | SRC, true);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return copy(dst, src, bytes, stream, DST | SRC, false);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context,
			   size_t bytes, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_context *to, *from;
	struct vgpu_args_memcpy_peer *a;
	struct vgpu_stream *s;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_context_get(dst_context, &to);
	if (!r)
		r = vgpu_context_get(src_context, &from);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (!r && bytes)
		r = vgpu_memory_check(dst, bytes);
	if (!r && bytes)
		r = vgpu_memory_check(src, bytes);
	if (r || !bytes)
		return r;
	r = vgpu_capture_never(stream);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_memcpy_peer, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->dst = dst;
	a->dst_context = to->wire;
	a->src = src;
	a->src_context = from->wire;
	a->bytes = bytes;
	a->stream = s->wire;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

CUresult vgpu_on_cuMemcpyPeer(CUstream default_stream, CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src,
			      CUcontext src_context, size_t bytes)
{
	CUresult r = cuMemcpyPeerAsync(dst, dst_context, src, src_context, bytes, default_stream);
	struct vgpu_stream *s;

	if (!r)
		r = vgpu_stream_get(default_stream, &s);
	return r ? r : vgpu_memory_settle(dst, src, s);
}
