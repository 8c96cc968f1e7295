/* SPDX-License-Identifier: MIT */
/*
 * Copies of two and three dimensions. Between places that the worker reaches,
 * a slice of memory, or a whole box with an array, is one command. A pageable
 * side is gathered into staging slots, or scattered from them, a block of rows
 * at a time; rows wider than a slot go in pieces.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>
#include <vgpu/operands.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "copy.h"
#include "copy_shape.h"
#include "graph.h"
#include "memory.h"
#include "session.h"
#include "staging.h"
#include "stream.h"
#include "thread.h"

#define WHOLE_ELEMENTS	16u	/* bytes: a row is cut between elements of any size */

static uint64_t wire_address(const struct vgpu_side *s)
{
	return s->place == VGPU_PLACE_ARENA ? s->at - (uint64_t)(uintptr_t)vgpu_session.base : s->at;
}

/* Rows of memory, both sides reachable. */
static CUresult send_2d(const struct vgpu_side *dst, const struct vgpu_side *src, uint64_t width, uint64_t height,
			struct vgpu_stream *s)
{
	struct vgpu_args_memcpy_2d *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_memcpy_2d, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->src = wire_address(src);
	a->src_pitch = src->pitch;
	a->dst = wire_address(dst);
	a->dst_pitch = dst->pitch;
	a->width = width;
	a->height = height;
	a->stream = s->wire;
	a->src_kind = src->place == VGPU_PLACE_ARENA ? VGPU_COPY_ARENA : VGPU_COPY_DEVICE;
	a->dst_kind = dst->place == VGPU_PLACE_ARENA ? VGPU_COPY_ARENA : VGPU_COPY_DEVICE;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

static CUresult send_box(const struct vgpu_shape *shape, struct vgpu_stream *s)
{
	struct vgpu_args_memcpy_box *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_memcpy_box, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	vgpu_shape_wire(shape, &a->box);
	a->stream = s->wire;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

/* One slice, both sides reachable. *f, if wanted: its fence. */
static CUresult send_rows(const struct vgpu_side *dst, const struct vgpu_side *src, uint64_t width, uint64_t height,
			  struct vgpu_stream *s, vgpu_fence *f)
{
	struct vgpu_shape box = { *dst, *src, width, height, 1 };
	CUresult r = dst->array || src->array ? send_box(&box, s) : send_2d(dst, src, width, height, s);

	return r || !f ? r : vgpu_stream_fence(s, f);
}

static void rows_copy(uint8_t *dst, uint64_t dst_pitch, const uint8_t *src, uint64_t src_pitch, uint64_t width,
		      uint64_t height)
{
	uint64_t i;

	for (i = 0; i < height; i++)
		memcpy(dst + i * dst_pitch, src + i * src_pitch, width);
}

/* A block of rows of which one side is pageable, through one slot. */
static CUresult staged_block(const struct vgpu_side *dst, const struct vgpu_side *src, uint64_t width, uint64_t height,
			     struct vgpu_stream *s)
{
	struct vgpu_side middle = { .pitch = width, .slice = width * height, .place = VGPU_PLACE_ARENA };
	struct vgpu_staging *slot;
	CUresult r;

	r = vgpu_staging_get(&slot);
	if (r)
		return r;
	middle.at = (uint64_t)(uintptr_t)slot->memory;
	if (src->place == VGPU_PLACE_HOST) {
		rows_copy(slot->memory, width, (const uint8_t *)(uintptr_t)src->at, src->pitch, width, height);
		middle.context = dst->context;
		r = send_rows(dst, &middle, width, height, s, &slot->fence);
	} else {
		middle.context = src->context;
		r = send_rows(&middle, src, width, height, s, &slot->fence);
		if (!r)
			r = vgpu_fence_wait(slot->fence);
		if (!r)
			rows_copy((uint8_t *)(uintptr_t)dst->at, dst->pitch, slot->memory, width, width, height);
	}
	vgpu_staging_put(slot);
	return r;
}

static void skip_rows(struct vgpu_side *s, uint64_t rows)
{
	if (s->array)
		s->y += rows;
	else
		s->at += rows * s->pitch;
}

static void skip_bytes(struct vgpu_side *s, uint64_t bytes)
{
	if (s->array)
		s->x += bytes;
	else
		s->at += bytes;
}

static void skip_slice(struct vgpu_side *s)
{
	if (s->array)
		s->z++;
	else
		s->at += s->slice;
}

static CUresult staged_rows(struct vgpu_side dst, struct vgpu_side src, uint64_t width, uint64_t height,
			    struct vgpu_stream *s)
{
	uint64_t most = vgpu_staging_bytes() / width, rows;
	CUresult r = CUDA_SUCCESS;

	for (; height && !r; height -= rows) {
		rows = most < height ? most : height;
		r = staged_block(&dst, &src, width, rows, s);
		skip_rows(&dst, rows);
		skip_rows(&src, rows);
	}
	return r;
}

/* Rows between memory and memory that are wider than a slot, or have no other side than the application's. */
static CUresult linear_rows(struct vgpu_side dst, struct vgpu_side src, uint64_t width, uint64_t height,
			    struct vgpu_stream *s)
{
	CUresult r = CUDA_SUCCESS;

	for (; height && !r; height--) {
		r = vgpu_copy(dst.at, src.at, width, s, true);
		skip_rows(&dst, 1);
		skip_rows(&src, 1);
	}
	return r;
}

static CUresult staged_slice(struct vgpu_side dst, struct vgpu_side src, const struct vgpu_shape *c,
			     struct vgpu_stream *s)
{
	uint64_t slot = vgpu_staging_bytes() / WHOLE_ELEMENTS * WHOLE_ELEMENTS, left = c->width, width;
	CUresult r = CUDA_SUCCESS;

	if (!dst.array && !src.array &&
	    (left > slot || (dst.place == VGPU_PLACE_HOST && src.place == VGPU_PLACE_HOST)))
		return linear_rows(dst, src, left, c->height, s);
	for (; left && !r; left -= width) {
		width = left < slot ? left : slot;
		r = staged_rows(dst, src, width, c->height, s);
		skip_bytes(&dst, width);
		skip_bytes(&src, width);
	}
	return r;
}

static CUresult slices(const struct vgpu_shape *c, struct vgpu_stream *s, bool staged)
{
	struct vgpu_side dst = c->dst, src = c->src;
	CUresult r = CUDA_SUCCESS;
	uint64_t i;

	for (i = 0; i < c->depth && !r; i++) {
		r = staged ? staged_slice(dst, src, c, s) : send_rows(&dst, &src, c->width, c->height, s, NULL);
		skip_slice(&dst);
		skip_slice(&src);
	}
	return r;
}

/* A node of the graph copies whenever that runs. */
static CUresult capture_staged(const struct vgpu_shape *c, struct vgpu_stream *s)
{
	const struct vgpu_side *src = &c->src, *dst = &c->dst;
	const CUDA_MEMCPY3D whole = {
		.srcMemoryType = src->array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_UNIFIED, .srcDevice = src->at,
		.srcArray = src->array ? vgpu_handle_app(VGPU_HANDLE_ARRAY, src->array) : NULL,
		.srcXInBytes = src->x, .srcY = src->y, .srcZ = src->z, .srcPitch = src->pitch,
		.srcHeight = src->pitch ? src->slice / src->pitch : 0,
		.dstMemoryType = dst->array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_UNIFIED, .dstDevice = dst->at,
		.dstArray = dst->array ? vgpu_handle_app(VGPU_HANDLE_ARRAY, dst->array) : NULL,
		.dstXInBytes = dst->x, .dstY = dst->y, .dstZ = dst->z, .dstPitch = dst->pitch,
		.dstHeight = dst->pitch ? dst->slice / dst->pitch : 0,
		.WidthInBytes = c->width, .Height = c->height, .Depth = c->depth,
	};

	return vgpu_graph_copy_capture(s, &whole);
}

CUresult vgpu_shape_copy(const struct vgpu_shape *c, CUstream stream, bool wait)
{
	bool staged = c->dst.place == VGPU_PLACE_HOST || c->src.place == VGPU_PLACE_HOST, captured;
	struct vgpu_stream *s;
	CUresult r;

	if (!c->width || !c->height || !c->depth)
		return CUDA_SUCCESS;
	r = vgpu_shape_check(c);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	captured = s->capture != CU_STREAM_CAPTURE_STATUS_NONE;
	if (wait && captured)
		return vgpu_capture_invalidate(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	if (captured && staged)
		return capture_staged(c, s);
	r = !staged && (c->dst.array || c->src.array) ? send_box(c, s) : slices(c, s, staged);
	if (!r && wait && (c->dst.place != VGPU_PLACE_DEVICE || c->src.place == VGPU_PLACE_ARENA))
		r = vgpu_error_after(vgpu_stream_wait(s));
	return !r && wait ? vgpu_memory_settle(c->dst.at, c->src.at, s) : r;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *c, CUstream stream, bool wait)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_shape shape;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_shape_of_2d(c, &shape);
	return r ? r : vgpu_shape_copy(&shape, stream, wait);
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
	VGPU_STREAM_LENDS(stream);
	struct vgpu_shape shape;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_shape_of_3d(c, &shape);
	return r ? r : vgpu_shape_copy(&shape, stream, wait);
}

CUresult vgpu_on_cuMemcpy3D_v2(CUstream default_stream, const CUDA_MEMCPY3D *copy)
{
	return copy_3d(copy, default_stream, true);
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
	return copy_3d(copy, stream, false);
}

/* Device addresses are unique across devices: the contexts say only where arrays are. */
static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *c, CUstream stream, bool wait)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_context *from, *to;
	struct vgpu_shape shape;
	CUDA_MEMCPY3D plain;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(c->srcContext, &from);
	if (!r)
		r = vgpu_context_get(c->dstContext, &to);
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
	r = vgpu_shape_of_3d(&plain, &shape);
	if (r)
		return r;
	shape.src.context = from->wire;
	shape.dst.context = to->wire;
	return vgpu_shape_copy(&shape, stream, wait);
}

CUresult vgpu_on_cuMemcpy3DPeer(CUstream default_stream, const CUDA_MEMCPY3D_PEER *copy)
{
	return copy_3d_peer(copy, default_stream, true);
}

CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
	return copy_3d_peer(copy, stream, false);
}
