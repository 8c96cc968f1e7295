/* SPDX-License-Identifier: MIT */
/*
 * Linear copies, and fills.  Every side is resolved here to what the driver may touch: device memory of this session, the
 * arena, or the private copy of the command.  An address that is none of them never reaches the driver, which would
 * take it for a host pointer of this process.  The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "copy.h"
#include "session.h"

CUresult vgpu_copy_stream(struct vgpu_session *s, struct vgpu_request *rq, uint64_t id, CUstream *stream)
{
	void *obj = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, id, &obj);

	rq->stream = id;
	*stream = obj;
	if (!r)
		vgpu_timeline_begin(s, rq, obj);
	return r;
}

CUresult vgpu_handle_memcpy_h2d_inline(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_h2d_inline *a = rq->args;
	CUstream stream;
	CUresult r;

	if (!s->drv->cuMemcpyHtoDAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_copy_stream(s, rq, a->stream, &stream);
	if (!r)
		r = vgpu_memory_check(s, a->dst, rq->payload_size);
	/* The driver has read pageable memory when it returns, so the command's copy may go. */
	if (!r && rq->payload_size)
		r = s->drv->cuMemcpyHtoDAsync_v2(a->dst, rq->payload, rq->payload_size, stream);
	if (!r) {
		rq->bytes = rq->payload_size;
		vgpu_count(&s->stats->bytes_h2d, rq->bytes);
	}
	return r;
}

CUresult vgpu_handle_memcpy_h2d_arena(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_h2d_arena *a = rq->args;
	const void *src = vgpu_arena_at(s, a->src_offset, a->bytes);
	CUstream stream = NULL;
	CUresult r;

	if (!src)
		return vgpu_session_broken(s, "copy of %llu bytes from arena offset %llu", (unsigned long long)a->bytes,
					   (unsigned long long)a->src_offset);
	r = s->drv->cuMemcpyHtoDAsync_v2 ? vgpu_copy_stream(s, rq, a->stream, &stream) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_memory_check(s, a->dst, a->bytes);
	if (!r && a->bytes)
		r = s->drv->cuMemcpyHtoDAsync_v2(a->dst, src, a->bytes, stream);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->fence_value, r);
	rq->bytes = a->bytes;
	vgpu_count(&s->stats->bytes_h2d, a->bytes);
	return vgpu_fence_write(s, rq, stream, a->fence, a->fence_value);
}

CUresult vgpu_handle_memcpy_d2h_arena(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_d2h_arena *a = rq->args;
	void *dst = vgpu_arena_at(s, a->dst_offset, a->bytes);
	CUstream stream = NULL;
	CUresult r;

	if (!dst)
		return vgpu_session_broken(s, "copy of %llu bytes to arena offset %llu", (unsigned long long)a->bytes,
					   (unsigned long long)a->dst_offset);
	r = s->drv->cuMemcpyDtoHAsync_v2 ? vgpu_copy_stream(s, rq, a->stream, &stream) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_memory_check(s, a->src, a->bytes);
	if (!r && a->bytes)
		r = s->drv->cuMemcpyDtoHAsync_v2(dst, a->src, a->bytes, stream);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->fence_value, r);
	rq->bytes = a->bytes;
	vgpu_count(&s->stats->bytes_d2h, a->bytes);
	return vgpu_prompt_fence_write(s, rq, stream, a->fence, a->fence_value, a->bytes);
}

CUresult vgpu_handle_memcpy_d2d(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_d2d *a = rq->args;
	bool host = vgpu_arena_pointer(s, a->dst, a->bytes) || vgpu_arena_pointer(s, a->src, a->bytes);
	CUstream stream;
	CUresult r = vgpu_copy_stream(s, rq, a->stream, &stream);

	if (!r)
		r = vgpu_memory_check(s, a->dst, a->bytes);
	if (!r)
		r = vgpu_memory_check(s, a->src, a->bytes);
	if (r || !a->bytes)
		return r;
	rq->bytes = a->bytes;
	/* Arena memory is host memory to the driver: let it find the direction. */
	if (host)
		return s->drv->cuMemcpyAsync ? s->drv->cuMemcpyAsync(a->dst, a->src, a->bytes, stream) :
					       CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuMemcpyDtoDAsync_v2 ? s->drv->cuMemcpyDtoDAsync_v2(a->dst, a->src, a->bytes, stream) :
					      CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_memcpy_peer(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_peer *a = rq->args;
	void *to = NULL, *from = NULL;
	CUstream stream;
	CUresult r = vgpu_copy_stream(s, rq, a->stream, &stream);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, a->dst_context, &to);
	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, a->src_context, &from);
	if (!r)
		r = vgpu_memory_check(s, a->dst, a->bytes);
	if (!r)
		r = vgpu_memory_check(s, a->src, a->bytes);
	if (r || !a->bytes)
		return r;
	rq->bytes = a->bytes;
	return s->drv->cuMemcpyPeerAsync ? s->drv->cuMemcpyPeerAsync(a->dst, to, a->src, from, a->bytes, stream) :
					   CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult fill_rows(const struct vgpu_driver *drv, const struct vgpu_args_memset *a,
			  const struct vgpu_rec_rows *rows, CUstream st)
{
	switch (a->element_size) {
	case 1:
		return drv->cuMemsetD2D8Async ? drv->cuMemsetD2D8Async(a->dst, rows->pitch, (unsigned char)a->value,
								       a->width, rows->height, st) :
						CUDA_ERROR_NOT_SUPPORTED;
	case 2:
		return drv->cuMemsetD2D16Async ? drv->cuMemsetD2D16Async(a->dst, rows->pitch, (unsigned short)a->value,
									 a->width, rows->height, st) :
						 CUDA_ERROR_NOT_SUPPORTED;
	default:
		return drv->cuMemsetD2D32Async ? drv->cuMemsetD2D32Async(a->dst, rows->pitch, a->value, a->width,
									 rows->height, st) :
						 CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult fill_row(const struct vgpu_driver *drv, const struct vgpu_args_memset *a, CUstream st)
{
	switch (a->element_size) {
	case 1:
		return drv->cuMemsetD8Async ? drv->cuMemsetD8Async(a->dst, (unsigned char)a->value, a->width, st) :
					      CUDA_ERROR_NOT_SUPPORTED;
	case 2:
		return drv->cuMemsetD16Async ? drv->cuMemsetD16Async(a->dst, (unsigned short)a->value, a->width, st) :
					       CUDA_ERROR_NOT_SUPPORTED;
	default:
		return drv->cuMemsetD32Async ? drv->cuMemsetD32Async(a->dst, a->value, a->width, st) :
					       CUDA_ERROR_NOT_SUPPORTED;
	}
}

/* A captured fill may go anywhere, as natively: it is the device's when it runs, and reaches no more than a kernel's stores. */
static bool captured(const struct vgpu_session *s, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	return s->drv->cuStreamIsCapturing && !s->drv->cuStreamIsCapturing(stream, &status) &&
	       status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult vgpu_handle_memset(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memset *a = rq->args;
	struct vgpu_rec_rows rows = { 0, 1 };
	uint64_t row, span;
	CUstream stream;
	CUresult r;

	if (rq->payload_size) {
		if (rq->payload_size != sizeof(rows))
			return vgpu_session_broken(s, "memset with %u bytes behind it", rq->payload_size);
		memcpy(&rows, rq->payload, sizeof(rows));
	}
	if (a->element_size != 1 && a->element_size != 2 && a->element_size != 4)
		return vgpu_session_broken(s, "memset of %u-byte elements", a->element_size);
	r = vgpu_copy_stream(s, rq, a->stream, &stream);
	if (r || !a->width || !rows.height)
		return r;
	if (__builtin_mul_overflow(a->width, (uint64_t)a->element_size, &row) ||
	    !vgpu_copy_span(row, rows.height, rows.pitch, 1, 0, &span))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_memory_check(s, a->dst, span);
	if (r && !captured(s, stream))
		return r;
	rq->bytes = row * rows.height;
	return rows.height == 1 ? fill_row(s->drv, a, stream) : fill_rows(s->drv, a, &rows, stream);
}
