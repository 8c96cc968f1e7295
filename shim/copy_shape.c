/* SPDX-License-Identifier: MIT */
/*
 * Copies of two and three dimensions. Between places that the worker reaches,
 * a slice is one command. A pageable side is gathered into staging slots, or
 * scattered from them, a block of rows at a time; rows wider than a slot go
 * one by one. Arrays are not supported.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "channel.h"
#include "context.h"
#include "copy.h"
#include "memory.h"
#include "session.h"
#include "staging.h"
#include "stream.h"
#include "thread.h"

struct side {
	uint64_t at;		/* first byte */
	uint64_t pitch, slice;	/* bytes from row to row, from slice to slice */
	enum vgpu_place place;
};

struct shape {
	struct side dst, src;
	uint64_t width, height, depth;	/* bytes, rows, slices */
};

enum { KIND_DEVICE = 1, KIND_ARENA = 2 };	/* the wire's */

static uint64_t wire_address(uint64_t at, enum vgpu_place place)
{
	return place == VGPU_PLACE_ARENA ? at - (uint64_t)(uintptr_t)vgpu_session.base : at;
}

/* One slice, both sides reachable. *f, if wanted: its fence. */
static CUresult send_rows(const struct side *dst, const struct side *src, uint64_t width, uint64_t height,
			  struct vgpu_stream *s, vgpu_fence *f)
{
	struct vgpu_args_memcpy_2d *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_memcpy_2d, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->src = wire_address(src->at, src->place);
	a->src_pitch = src->pitch;
	a->dst = wire_address(dst->at, dst->place);
	a->dst_pitch = dst->pitch;
	a->width = width;
	a->height = height;
	a->stream = s->wire;
	a->src_kind = src->place == VGPU_PLACE_ARENA ? KIND_ARENA : KIND_DEVICE;
	a->dst_kind = dst->place == VGPU_PLACE_ARENA ? KIND_ARENA : KIND_DEVICE;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return f ? vgpu_stream_fence(s, f) : CUDA_SUCCESS;
}

static void rows_copy(uint8_t *dst, uint64_t dst_pitch, const uint8_t *src, uint64_t src_pitch, uint64_t width,
		      uint64_t height)
{
	uint64_t i;

	for (i = 0; i < height; i++)
		memcpy(dst + i * dst_pitch, src + i * src_pitch, width);
}

/* A block of rows of which one side is pageable, through one slot. */
static CUresult staged_block(const struct side *dst, const struct side *src, uint64_t width, uint64_t height,
			     struct vgpu_stream *s)
{
	struct side middle = { .pitch = width, .place = VGPU_PLACE_ARENA };
	struct vgpu_staging *slot;
	CUresult r;

	r = vgpu_staging_get(&slot);
	if (r)
		return r;
	middle.at = (uint64_t)(uintptr_t)slot->memory;
	if (src->place == VGPU_PLACE_HOST) {
		rows_copy(slot->memory, width, (const uint8_t *)(uintptr_t)src->at, src->pitch, width, height);
		r = send_rows(dst, &middle, width, height, s, &slot->fence);
	} else {
		r = send_rows(&middle, src, width, height, s, &slot->fence);
		if (!r)
			r = vgpu_fence_wait(slot->fence);
		if (!r)
			rows_copy((uint8_t *)(uintptr_t)dst->at, dst->pitch, slot->memory, width, width, height);
	}
	vgpu_staging_put(slot);
	return r;
}

static CUresult staged_slice(struct side dst, struct side src, const struct shape *c, struct vgpu_stream *s)
{
	uint64_t left = c->height, rows = vgpu_staging_bytes() / c->width;
	CUresult r = CUDA_SUCCESS;

	while (left && !r) {
		if (!rows || (dst.place == VGPU_PLACE_HOST && src.place == VGPU_PLACE_HOST)) {
			r = vgpu_copy(dst.at, src.at, c->width, s, true);
			rows = 0;
		} else {
			if (rows > left)
				rows = left;
			r = staged_block(&dst, &src, c->width, rows, s);
		}
		dst.at += (rows ? rows : 1) * dst.pitch;
		src.at += (rows ? rows : 1) * src.pitch;
		left -= rows ? rows : 1;
	}
	return r;
}

/* The side's rows lie in one allocation. */
static CUresult check_side(const struct side *s, const struct shape *c)
{
	uint64_t last;

	if (c->height > 1 && s->pitch < c->width)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->place == VGPU_PLACE_HOST)
		return s->at ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(s->slice, c->depth - 1, &last) ||
	    __builtin_add_overflow(last, s->pitch * (c->height - 1) + c->width, &last))
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_memory_check(s->at, last);
}

static CUresult run(const struct shape *c, CUstream stream, bool wait)
{
	struct side dst = c->dst, src = c->src;
	struct vgpu_stream *s;
	bool staged;
	uint64_t i;
	CUresult r;

	if (!c->width || !c->height || !c->depth)
		return CUDA_SUCCESS;
	r = check_side(&dst, c);
	if (!r)
		r = check_side(&src, c);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	staged = dst.place == VGPU_PLACE_HOST || src.place == VGPU_PLACE_HOST;
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE && (staged || wait))
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	for (i = 0; i < c->depth && !r; i++) {
		r = staged ? staged_slice(dst, src, c, s) : send_rows(&dst, &src, c->width, c->height, s, NULL);
		dst.at += dst.slice;
		src.at += src.slice;
	}
	if (!r && wait && (dst.place != VGPU_PLACE_DEVICE || src.place == VGPU_PLACE_ARENA)) {
		r = vgpu_stream_wait(s);
		if (!r)
			r = vgpu_error_take();
	}
	return r;
}

/* What a side's description says; 0, INVALID_VALUE, or NOT_SUPPORTED for arrays. */
static CUresult place(struct side *s, CUmemorytype type, const void *host, CUdeviceptr device)
{
	switch ((int)type) {
	case CU_MEMORYTYPE_HOST:
		s->at = (uint64_t)(uintptr_t)host;
		s->place = vgpu_memory_place(s->at);
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_DEVICE:
		s->at = device;
		s->place = vgpu_memory_place(device);
		return s->place == VGPU_PLACE_HOST ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	case CU_MEMORYTYPE_UNIFIED:
		s->at = device;
		s->place = vgpu_memory_place(device);
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_ARRAY:
		return vgpu_unsupported("copies from and to arrays");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void offset(struct side *s, uint64_t x, uint64_t y, uint64_t z, uint64_t width)
{
	if (!s->pitch)
		s->pitch = width;
	s->at += z * s->slice + y * s->pitch + x;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *c, CUstream stream, bool wait)
{
	struct shape shape = { .depth = 1 };
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	shape.width = c->WidthInBytes;
	shape.height = c->Height;
	shape.src.pitch = c->srcPitch;
	shape.dst.pitch = c->dstPitch;
	r = place(&shape.src, c->srcMemoryType, c->srcHost, c->srcDevice);
	if (!r)
		r = place(&shape.dst, c->dstMemoryType, c->dstHost, c->dstDevice);
	if (r)
		return r;
	offset(&shape.src, c->srcXInBytes, c->srcY, 0, c->WidthInBytes);
	offset(&shape.dst, c->dstXInBytes, c->dstY, 0, c->WidthInBytes);
	return run(&shape, stream, wait);
}

CUresult vgpu_on_cuMemcpy2D_v2(CUstream default_stream, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, default_stream, true);
}

CUresult vgpu_on_cuMemcpy2DUnaligned_v2(CUstream default_stream, const CUDA_MEMCPY2D *copy)
{
	return copy_2d(copy, default_stream, true);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
	return copy_2d(copy, stream, false);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *c, CUstream stream, bool wait)
{
	struct shape shape = { .depth = 0 };
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c || c->srcLOD || c->dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	shape.width = c->WidthInBytes;
	shape.height = c->Height;
	shape.depth = c->Depth;
	r = place(&shape.src, c->srcMemoryType, c->srcHost, c->srcDevice);
	if (!r)
		r = place(&shape.dst, c->dstMemoryType, c->dstHost, c->dstDevice);
	if (r)
		return r;
	shape.src.pitch = c->srcPitch ? c->srcPitch : c->WidthInBytes;
	shape.dst.pitch = c->dstPitch ? c->dstPitch : c->WidthInBytes;
	shape.src.slice = shape.src.pitch * (c->srcHeight ? c->srcHeight : c->Height);
	shape.dst.slice = shape.dst.pitch * (c->dstHeight ? c->dstHeight : c->Height);
	offset(&shape.src, c->srcXInBytes, c->srcY, c->srcZ, c->WidthInBytes);
	offset(&shape.dst, c->dstXInBytes, c->dstY, c->dstZ, c->WidthInBytes);
	return run(&shape, stream, wait);
}

CUresult vgpu_on_cuMemcpy3D_v2(CUstream default_stream, const CUDA_MEMCPY3D *copy)
{
	return copy_3d(copy, default_stream, true);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
	return copy_3d(copy, stream, false);
}

/* Device addresses are unique across devices, so the contexts add nothing but a check. */
static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *c, CUstream stream, bool wait)
{
	struct vgpu_context *ctx;
	CUDA_MEMCPY3D plain;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(c->srcContext, &ctx);
	if (!r)
		r = vgpu_context_get(c->dstContext, &ctx);
	if (r)
		return r;
	plain = (CUDA_MEMCPY3D){
		.srcXInBytes = c->srcXInBytes, .srcY = c->srcY, .srcZ = c->srcZ, .srcLOD = c->srcLOD,
		.srcMemoryType = c->srcMemoryType, .srcHost = c->srcHost, .srcDevice = c->srcDevice,
		.srcArray = c->srcArray, .srcPitch = c->srcPitch, .srcHeight = c->srcHeight,
		.dstXInBytes = c->dstXInBytes, .dstY = c->dstY, .dstZ = c->dstZ, .dstLOD = c->dstLOD,
		.dstMemoryType = c->dstMemoryType, .dstHost = c->dstHost, .dstDevice = c->dstDevice,
		.dstArray = c->dstArray, .dstPitch = c->dstPitch, .dstHeight = c->dstHeight,
		.WidthInBytes = c->WidthInBytes, .Height = c->Height, .Depth = c->Depth,
	};
	return copy_3d(&plain, stream, wait);
}

CUresult vgpu_on_cuMemcpy3DPeer(CUstream default_stream, const CUDA_MEMCPY3D_PEER *copy)
{
	return copy_3d_peer(copy, default_stream, true);
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
	return copy_3d_peer(copy, stream, false);
}
