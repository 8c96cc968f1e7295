/* SPDX-License-Identifier: MIT */
/*
 * Copies and fills.  Every side is resolved here to what the driver may touch: device memory of this session, the
 * arena, or the private copy of the command.  An address that is none of them never reaches the driver, which would
 * take it for a host pointer of this process.  The worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

enum { SIDE_DEVICE = 1, SIDE_ARENA = 2 };	/* src_kind, dst_kind on the wire */

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static CUresult stream_of(struct vgpu_session *s, struct vgpu_request *rq, uint64_t id, CUstream *stream)
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
	r = stream_of(s, rq, a->stream, &stream);
	if (!r)
		r = vgpu_memory_check(s, a->dst, rq->payload_size);
	/* The driver has read pageable memory when it returns, so the command's copy may go. */
	if (!r && rq->payload_size)
		r = s->drv->cuMemcpyHtoDAsync_v2(a->dst, rq->payload, rq->payload_size, stream);
	if (!r) {
		rq->bytes = rq->payload_size;
		add(&s->stats->bytes_h2d, rq->bytes);
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
	r = s->drv->cuMemcpyHtoDAsync_v2 ? stream_of(s, rq, a->stream, &stream) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_memory_check(s, a->dst, a->bytes);
	if (!r && a->bytes)
		r = s->drv->cuMemcpyHtoDAsync_v2(a->dst, src, a->bytes, stream);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->fence_value, r);
	rq->bytes = a->bytes;
	add(&s->stats->bytes_h2d, a->bytes);
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
	r = s->drv->cuMemcpyDtoHAsync_v2 ? stream_of(s, rq, a->stream, &stream) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_memory_check(s, a->src, a->bytes);
	if (!r && a->bytes)
		r = s->drv->cuMemcpyDtoHAsync_v2(dst, a->src, a->bytes, stream);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->fence_value, r);
	rq->bytes = a->bytes;
	add(&s->stats->bytes_d2h, a->bytes);
	return vgpu_fence_write(s, rq, stream, a->fence, a->fence_value);
}

CUresult vgpu_handle_memcpy_d2d(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_d2d *a = rq->args;
	bool host = vgpu_arena_pointer(s, a->dst, a->bytes) || vgpu_arena_pointer(s, a->src, a->bytes);
	CUstream stream;
	CUresult r = stream_of(s, rq, a->stream, &stream);

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
	CUresult r = stream_of(s, rq, a->stream, &stream);

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

/* Bytes from the first to the last of rows and slices; false if that is no number or rows overlap. */
static bool span_of(uint64_t width, uint64_t height, uint64_t pitch, uint64_t depth, uint64_t slice, uint64_t *span)
{
	uint64_t rows, slices;

	if ((height > 1 && pitch < width) || __builtin_mul_overflow(height - 1, pitch, &rows) ||
	    __builtin_mul_overflow(depth - 1, slice, &slices))
		return false;
	return !__builtin_add_overflow(rows, slices, span) && !__builtin_add_overflow(*span, width, span);
}

struct side {
	CUmemorytype type;
	void *host;
	CUdeviceptr device;
};

/* What the driver may touch for one side of a pitched copy. */
static CUresult resolve(struct vgpu_session *s, uint32_t kind, uint64_t at, uint64_t span, struct side *side)
{
	void *p = NULL;

	if (kind == SIDE_ARENA) {
		p = vgpu_arena_at(s, at, span);
		if (!p)
			return vgpu_session_broken(s, "pitched copy of %llu bytes at arena offset %llu",
						   (unsigned long long)span, (unsigned long long)at);
	} else if (kind == SIDE_DEVICE) {
		p = vgpu_arena_pointer(s, at, span);
		if (!p && !vgpu_ranges_cover(&s->ranges, at, span))
			return CUDA_ERROR_INVALID_VALUE;
	} else {
		return vgpu_session_broken(s, "pitched copy with a side of kind %u", kind);
	}
	*side = (struct side){ .type = p ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE, .host = p,
			       .device = p ? 0 : at };
	return CUDA_SUCCESS;
}

static void count_directions(struct vgpu_session *s, struct vgpu_request *rq, const struct side *src,
			     const struct side *dst, uint64_t bytes)
{
	rq->bytes = bytes;
	if (src->host && !dst->host)
		add(&s->stats->bytes_h2d, bytes);
	if (!src->host && dst->host)
		add(&s->stats->bytes_d2h, bytes);
}

CUresult vgpu_handle_memcpy_2d(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_2d *a = rq->args;
	uint64_t src_span, dst_span;
	struct side src, dst;
	CUDA_MEMCPY2D c = { 0 };
	CUstream stream;
	CUresult r = stream_of(s, rq, a->stream, &stream);

	if (!s->drv->cuMemcpy2DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (r || !a->width || !a->height)
		return r;
	if (!span_of(a->width, a->height, a->src_pitch, 1, 0, &src_span) ||
	    !span_of(a->width, a->height, a->dst_pitch, 1, 0, &dst_span))
		return CUDA_ERROR_INVALID_VALUE;
	r = resolve(s, a->src_kind, a->src, src_span, &src);
	if (!r)
		r = resolve(s, a->dst_kind, a->dst, dst_span, &dst);
	if (r)
		return r;
	c.srcMemoryType = src.type;
	c.srcHost = src.host;
	c.srcDevice = src.device;
	c.srcPitch = a->src_pitch;
	c.dstMemoryType = dst.type;
	c.dstHost = dst.host;
	c.dstDevice = dst.device;
	c.dstPitch = a->dst_pitch;
	c.WidthInBytes = a->width;
	c.Height = a->height;
	r = s->drv->cuMemcpy2DAsync_v2(&c, stream);
	if (!r)
		count_directions(s, rq, &src, &dst, a->width * a->height);
	return r;
}

static void fill_3d(CUDA_MEMCPY3D_PEER *c, const struct vgpu_args_memcpy_3d *a, const struct side *src,
		    const struct side *dst)
{
	*c = (CUDA_MEMCPY3D_PEER){
		.srcMemoryType = src->type, .srcHost = src->host, .srcDevice = src->device,
		.srcPitch = a->src_pitch, .srcHeight = a->src_pitch ? a->src_slice / a->src_pitch : 0,
		.dstMemoryType = dst->type, .dstHost = dst->host, .dstDevice = dst->device,
		.dstPitch = a->dst_pitch, .dstHeight = a->dst_pitch ? a->dst_slice / a->dst_pitch : 0,
		.WidthInBytes = a->width, .Height = a->height, .Depth = a->depth,
	};
}

static CUresult copy_3d_peer(struct vgpu_session *s, const struct vgpu_args_memcpy_3d *a, CUDA_MEMCPY3D_PEER *c,
			     CUstream stream)
{
	void *from = NULL, *to = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, a->src_context, &from);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, a->dst_context, &to);
	if (r)
		return r;
	c->srcContext = from;
	c->dstContext = to;
	return s->drv->cuMemcpy3DPeerAsync ? s->drv->cuMemcpy3DPeerAsync(c, stream) : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult copy_3d(struct vgpu_session *s, const CUDA_MEMCPY3D_PEER *p, CUstream stream)
{
	CUDA_MEMCPY3D c = {
		.srcMemoryType = p->srcMemoryType, .srcHost = p->srcHost, .srcDevice = p->srcDevice,
		.srcPitch = p->srcPitch, .srcHeight = p->srcHeight,
		.dstMemoryType = p->dstMemoryType, .dstHost = p->dstHost, .dstDevice = p->dstDevice,
		.dstPitch = p->dstPitch, .dstHeight = p->dstHeight,
		.WidthInBytes = p->WidthInBytes, .Height = p->Height, .Depth = p->Depth,
	};

	return s->drv->cuMemcpy3DAsync_v2 ? s->drv->cuMemcpy3DAsync_v2(&c, stream) : CUDA_ERROR_NOT_SUPPORTED;
}

/* Slices are counted in rows by the driver: a slice must be whole rows, and they must not overlap. */
static bool slices_fit(uint64_t pitch, uint64_t slice, uint64_t height, uint64_t depth)
{
	if (depth <= 1)
		return true;
	return pitch && slice % pitch == 0 && slice / pitch >= height;
}

CUresult vgpu_handle_memcpy_3d(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_3d *a = rq->args;
	uint64_t src_span, dst_span;
	CUDA_MEMCPY3D_PEER c;
	struct side src, dst;
	CUstream stream;
	CUresult r = stream_of(s, rq, a->stream, &stream);

	if (r || !a->width || !a->height || !a->depth)
		return r;
	if (!span_of(a->width, a->height, a->src_pitch, a->depth, a->src_slice, &src_span) ||
	    !span_of(a->width, a->height, a->dst_pitch, a->depth, a->dst_slice, &dst_span) ||
	    !slices_fit(a->src_pitch, a->src_slice, a->height, a->depth) ||
	    !slices_fit(a->dst_pitch, a->dst_slice, a->height, a->depth))
		return CUDA_ERROR_INVALID_VALUE;
	r = resolve(s, a->src_kind, a->src, src_span, &src);
	if (!r)
		r = resolve(s, a->dst_kind, a->dst, dst_span, &dst);
	if (r)
		return r;
	fill_3d(&c, a, &src, &dst);
	r = a->src_context || a->dst_context ? copy_3d_peer(s, a, &c, stream) : copy_3d(s, &c, stream);
	if (!r)
		count_directions(s, rq, &src, &dst, a->width * a->height * a->depth);
	return r;
}

static CUresult fill_rows(const struct vgpu_driver *drv, const struct vgpu_args_memset *a, CUstream st)
{
	switch (a->element_size) {
	case 1:
		return drv->cuMemsetD2D8Async ? drv->cuMemsetD2D8Async(a->dst, a->pitch, (unsigned char)a->value, a->width,
								       a->height, st) : CUDA_ERROR_NOT_SUPPORTED;
	case 2:
		return drv->cuMemsetD2D16Async ? drv->cuMemsetD2D16Async(a->dst, a->pitch, (unsigned short)a->value,
									 a->width, a->height, st) :
						 CUDA_ERROR_NOT_SUPPORTED;
	default:
		return drv->cuMemsetD2D32Async ? drv->cuMemsetD2D32Async(a->dst, a->pitch, a->value, a->width, a->height,
									 st) : CUDA_ERROR_NOT_SUPPORTED;
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

CUresult vgpu_handle_memset(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memset *a = rq->args;
	uint64_t row, span;
	CUstream stream;
	CUresult r;

	if (a->element_size != 1 && a->element_size != 2 && a->element_size != 4)
		return vgpu_session_broken(s, "memset of %u-byte elements", a->element_size);
	r = stream_of(s, rq, a->stream, &stream);
	if (r || !a->width || !a->height)
		return r;
	if (__builtin_mul_overflow(a->width, (uint64_t)a->element_size, &row) ||
	    !span_of(row, a->height, a->pitch, 1, 0, &span))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_memory_check(s, a->dst, span);
	if (r)
		return r;
	rq->bytes = row * a->height;
	return a->height == 1 ? fill_row(s->drv, a, stream) : fill_rows(s->drv, a, stream);
}
