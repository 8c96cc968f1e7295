/* SPDX-License-Identifier: MIT */
/*
 * Copies of two and three dimensions, see copy.h.  Every side is resolved to what the driver may touch; rows in memory
 * are checked from the first to the last, places in an array by the driver.  The worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>
#include <vgpu/operands.h>

#include "copy.h"
#include "session.h"

struct side {
	CUmemorytype type;
	void *host;
	CUdeviceptr device;
	CUarray array;
};

bool vgpu_copy_span(uint64_t width, uint64_t height, uint64_t pitch, uint64_t depth, uint64_t slice, uint64_t *span)
{
	uint64_t rows, slices;

	if ((height > 1 && pitch < width) || __builtin_mul_overflow(height - 1, pitch, &rows) ||
	    __builtin_mul_overflow(depth - 1, slice, &slices))
		return false;
	return !__builtin_add_overflow(rows, slices, span) && !__builtin_add_overflow(*span, width, span);
}

/* What the driver may touch for one side in memory. */
static CUresult resolve(struct vgpu_session *s, uint32_t kind, uint64_t at, uint64_t span, struct side *side)
{
	void *p = NULL;

	if (kind == VGPU_COPY_ARENA) {
		p = vgpu_arena_at(s, at, span);
		if (!p)
			return vgpu_session_broken(s, "pitched copy of %llu bytes at arena offset %llu",
						   (unsigned long long)span, (unsigned long long)at);
	} else if (kind == VGPU_COPY_DEVICE) {
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

static void count(struct vgpu_session *s, struct vgpu_request *rq, bool from_host, bool to_host, uint64_t bytes)
{
	rq->bytes = bytes;
	if (from_host != to_host)
		vgpu_count(from_host ? &s->stats->bytes_h2d : &s->stats->bytes_d2h, bytes);
}

CUresult vgpu_handle_memcpy_2d(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_2d *a = rq->args;
	uint64_t src_span, dst_span;
	struct side src, dst;
	CUDA_MEMCPY2D c;
	CUstream stream;
	CUresult r = vgpu_copy_stream(s, rq, a->stream, &stream);

	if (!s->drv->cuMemcpy2DAsync_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (r || !a->width || !a->height)
		return r;
	if (!vgpu_copy_span(a->width, a->height, a->src_pitch, 1, 0, &src_span) ||
	    !vgpu_copy_span(a->width, a->height, a->dst_pitch, 1, 0, &dst_span))
		return CUDA_ERROR_INVALID_VALUE;
	r = resolve(s, a->src_kind, a->src, src_span, &src);
	if (!r)
		r = resolve(s, a->dst_kind, a->dst, dst_span, &dst);
	if (r)
		return r;
	c = (CUDA_MEMCPY2D){
		.srcMemoryType = src.type, .srcHost = src.host, .srcDevice = src.device, .srcPitch = a->src_pitch,
		.dstMemoryType = dst.type, .dstHost = dst.host, .dstDevice = dst.device, .dstPitch = a->dst_pitch,
		.WidthInBytes = a->width, .Height = a->height,
	};
	r = s->drv->cuMemcpy2DAsync_v2(&c, stream);
	if (!r)
		count(s, rq, src.host, dst.host, a->width * a->height);
	return r;
}

/* Slices are counted in rows by the driver: a slice must be whole rows, and they must not overlap. */
static bool slices_fit(const struct vgpu_rec_copy_side *m, uint64_t height, uint64_t depth)
{
	if (depth <= 1)
		return true;
	return m->pitch && m->slice % m->pitch == 0 && m->slice / m->pitch >= height;
}

static CUresult resolve_array(struct vgpu_session *s, const struct vgpu_rec_copy_side *m,
			      const struct vgpu_rec_copy_box *b, struct side *side)
{
	void *array = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_ARRAY, m->at, &array);
	uint64_t end;

	if (r)
		return r;
	if (__builtin_add_overflow(m->x, b->width, &end) || __builtin_add_overflow(m->y, b->height, &end) ||
	    __builtin_add_overflow(m->z, b->depth, &end))
		return CUDA_ERROR_INVALID_VALUE;
	*side = (struct side){ .type = CU_MEMORYTYPE_ARRAY, .array = array };
	return CUDA_SUCCESS;
}

static CUresult resolve_side(struct vgpu_session *s, const struct vgpu_rec_copy_side *m,
			     const struct vgpu_rec_copy_box *b, struct side *side, CUcontext *context)
{
	void *ctx = NULL;
	uint64_t span;
	CUresult r = CUDA_SUCCESS;

	if (m->context)
		r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, m->context, &ctx);
	*context = ctx;
	if (r)
		return r;
	if (m->kind == VGPU_COPY_ARRAY)
		return resolve_array(s, m, b, side);
	if (m->x || m->y || m->z)
		return vgpu_session_broken(s, "copy of a box with offsets in memory");
	if (!vgpu_copy_span(b->width, b->height, m->pitch, b->depth, m->slice, &span) ||
	    !slices_fit(m, b->height, b->depth))
		return CUDA_ERROR_INVALID_VALUE;
	return resolve(s, m->kind, m->at, span, side);
}

static uint64_t rows_of(const struct vgpu_rec_copy_side *m)
{
	return m->kind != VGPU_COPY_ARRAY && m->pitch ? m->slice / m->pitch : 0;
}

static uint64_t pitch_of(const struct vgpu_rec_copy_side *m)
{
	return m->kind != VGPU_COPY_ARRAY ? m->pitch : 0;
}

/*
 * The driver's description of a box whose extents are not 0.  Sides are device memory of this session, the arena, or
 * arrays; contexts are filled in where the box names them.  The driver checks the extents of arrays.  INVALID_VALUE,
 * INVALID_HANDLE, INVALID_CONTEXT, or VGPU_BROKEN.
 */
static CUresult resolve_box(struct vgpu_session *s, const struct vgpu_rec_copy_box *b, CUDA_MEMCPY3D_PEER *out)
{
	CUcontext from, to;
	struct side src, dst;
	CUresult r = resolve_side(s, &b->src, b, &src, &from);

	if (!r)
		r = resolve_side(s, &b->dst, b, &dst, &to);
	if (r)
		return r;
	*out = (CUDA_MEMCPY3D_PEER){
		.srcXInBytes = b->src.x, .srcY = b->src.y, .srcZ = b->src.z, .srcMemoryType = src.type,
		.srcHost = src.host, .srcDevice = src.device, .srcArray = src.array, .srcContext = from,
		.srcPitch = pitch_of(&b->src), .srcHeight = rows_of(&b->src),
		.dstXInBytes = b->dst.x, .dstY = b->dst.y, .dstZ = b->dst.z, .dstMemoryType = dst.type,
		.dstHost = dst.host, .dstDevice = dst.device, .dstArray = dst.array, .dstContext = to,
		.dstPitch = pitch_of(&b->dst), .dstHeight = rows_of(&b->dst),
		.WidthInBytes = b->width, .Height = b->height, .Depth = b->depth,
	};
	return CUDA_SUCCESS;
}

/* The same as the plain structure has it: for copies inside one context. */
static CUDA_MEMCPY3D plain(const CUDA_MEMCPY3D_PEER *p)
{
	return (CUDA_MEMCPY3D){
		.srcXInBytes = p->srcXInBytes, .srcY = p->srcY, .srcZ = p->srcZ, .srcMemoryType = p->srcMemoryType,
		.srcHost = p->srcHost, .srcDevice = p->srcDevice, .srcArray = p->srcArray,
		.srcPitch = p->srcPitch, .srcHeight = p->srcHeight,
		.dstXInBytes = p->dstXInBytes, .dstY = p->dstY, .dstZ = p->dstZ, .dstMemoryType = p->dstMemoryType,
		.dstHost = p->dstHost, .dstDevice = p->dstDevice, .dstArray = p->dstArray,
		.dstPitch = p->dstPitch, .dstHeight = p->dstHeight,
		.WidthInBytes = p->WidthInBytes, .Height = p->Height, .Depth = p->Depth,
	};
}

static CUresult copy(const struct vgpu_driver *drv, const CUDA_MEMCPY3D_PEER *p, CUstream stream)
{
	CUDA_MEMCPY3D c;

	if (p->srcContext || p->dstContext)
		return drv->cuMemcpy3DPeerAsync ? drv->cuMemcpy3DPeerAsync(p, stream) : CUDA_ERROR_NOT_SUPPORTED;
	c = plain(p);
	return drv->cuMemcpy3DAsync_v2 ? drv->cuMemcpy3DAsync_v2(&c, stream) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_memcpy_box(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memcpy_box *a = rq->args;
	CUDA_MEMCPY3D_PEER c;
	CUstream stream;
	CUresult r = vgpu_copy_stream(s, rq, a->stream, &stream);

	if (r || !a->box.width || !a->box.height || !a->box.depth)
		return r;
	r = resolve_box(s, &a->box, &c);
	if (!r)
		r = copy(s->drv, &c, stream);
	if (!r)
		count(s, rq, c.srcHost, c.dstHost, a->box.width * a->box.height * a->box.depth);
	return r;
}
