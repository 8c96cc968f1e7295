/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes: the two- and three-dimensional calls, all brought to one form. An array is a plane of memory like
 * any other here, once its handle and the extents have been checked.
 */
#include "array.h"
#include "calls.h"
#include "context.h"
#include "copy.h"
#include "graph.h"

#define MAX_PITCH 0x7fffffffu

/* One side of a copy as the calls describe it. */
struct side {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
	uint64_t x, y, z, pitch, height;
};

static bool place_memory(const struct side *s, uint64_t width, uint64_t height, uint64_t depth, struct soft_plane *out)
{
	uint64_t end_x, rows, at, skip_y, skip_z;

	if (__builtin_add_overflow(s->x, width, &end_x) || __builtin_add_overflow(s->y, height, &rows))
		return false;
	/* A pitch or a height of 0 is one that does not matter, because there is only one row or plane. */
	out->pitch = s->pitch || height > 1 || s->y ? s->pitch : end_x;
	rows = s->height || depth > 1 || s->z ? s->height : rows;
	if (out->pitch < end_x || out->pitch > MAX_PITCH || rows < s->y + height ||
	    __builtin_mul_overflow(out->pitch, rows, &out->slice) ||
	    __builtin_mul_overflow(s->y, out->pitch, &skip_y) || __builtin_mul_overflow(s->z, out->slice, &skip_z))
		return false;
	at = s->type == CU_MEMORYTYPE_HOST ? (uint64_t)s->host : s->device;
	return !__builtin_add_overflow(at, s->x, &at) && !__builtin_add_overflow(at, skip_y, &at) &&
	       !__builtin_add_overflow(at, skip_z, &out->addr);
}

static bool inside(uint64_t at, uint64_t n, uint64_t extent)
{
	return at <= extent && n <= extent - at;
}

static CUresult place_array(const struct side *s, uint64_t width, uint64_t height, uint64_t depth,
			    struct soft_plane *out)
{
	struct soft_array *a = soft_get((uint64_t)s->array, SOFT_ARRAY);
	bool fits;

	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	fits = inside(s->x, width, a->pitch) && inside(s->y, height, a->height) && inside(s->z, depth, a->depth) &&
	       s->x % a->element == 0 && width % a->element == 0;
	if (fits)
		*out = (struct soft_plane){ a->start + s->z * a->slice + s->y * a->pitch + s->x, a->pitch, a->slice };
	soft_put(&a->obj);
	return fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult side_of(const struct side *s, enum soft_side *out)
{
	switch (s->type) {
	case CU_MEMORYTYPE_HOST:
		*out = SOFT_SIDE_HOST;
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_ARRAY:
		*out = SOFT_SIDE_DEVICE;
		return CUDA_SUCCESS;
	case CU_MEMORYTYPE_UNIFIED:
		*out = SOFT_SIDE_ANY;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult place(const struct side *s, uint64_t width, uint64_t height, uint64_t depth, struct soft_plane *out)
{
	if (s->type == CU_MEMORYTYPE_ARRAY)
		return place_array(s, width, height, depth, out);
	return place_memory(s, width, height, depth, out) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_box(const struct side *dst, const struct side *src, uint64_t width, uint64_t height,
			 uint64_t depth, CUstream stream, bool sync)
{
	enum soft_side dst_side, src_side;
	struct soft_box box = { .width = width, .height = height, .depth = depth };
	struct soft_context *ctx;
	struct soft_stream *s;
	CUresult rc = soft_enter(&ctx);

	if (!rc)
		rc = side_of(dst, &dst_side);
	if (!rc)
		rc = side_of(src, &src_side);
	if (rc)
		return rc;
	if (!width || !height || !depth)
		return CUDA_SUCCESS;
	rc = place(dst, width, height, depth, &box.dst);
	if (!rc)
		rc = place(src, width, height, depth, &box.src);
	if (!rc)
		rc = soft_stream_of(ctx, stream, &s);
	if (rc)
		return rc;
	rc = soft_copy(s, &box, dst_side, src_side, sync);
	soft_put(&s->obj);
	return rc;
}

/* Whether the stream is captured: then *rc says what became of the copy as a node. */
static bool capture(const CUDA_MEMCPY3D *c, CUstream handle, bool sync, CUresult *rc)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };
	struct soft_stream *s;
	bool captured;

	if (soft_enter_stream(handle, &s))
		return false;
	captured = soft_captured(s);
	p.memcpy.copyParams = *c;
	if (captured)
		*rc = sync ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : soft_capture(s, &p, NULL);
	soft_put(&s->obj);
	return captured;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *c, CUstream stream, bool sync)
{
	struct side dst, src;
	CUDA_MEMCPY3D whole;
	CUresult rc;

	if (!c)
		return CUDA_ERROR_INVALID_VALUE;
	whole = (CUDA_MEMCPY3D){
		.srcXInBytes = c->srcXInBytes, .srcY = c->srcY, .srcMemoryType = c->srcMemoryType,
		.srcHost = c->srcHost, .srcDevice = c->srcDevice, .srcArray = c->srcArray, .srcPitch = c->srcPitch,
		.dstXInBytes = c->dstXInBytes, .dstY = c->dstY, .dstMemoryType = c->dstMemoryType,
		.dstHost = c->dstHost, .dstDevice = c->dstDevice, .dstArray = c->dstArray, .dstPitch = c->dstPitch,
		.WidthInBytes = c->WidthInBytes, .Height = c->Height, .Depth = 1,
	};
	if (capture(&whole, stream, sync, &rc))
		return rc;
	dst = (struct side){ c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray, c->dstXInBytes, c->dstY, 0, c->dstPitch, 0 };
	src = (struct side){ c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray, c->srcXInBytes, c->srcY, 0, c->srcPitch, 0 };
	return copy_box(&dst, &src, c->WidthInBytes, c->Height, 1, stream, sync);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *c, CUstream stream, bool sync)
{
	struct side dst, src;
	CUresult rc;

	if (!c || c->srcLOD || c->dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	if (capture(c, stream, sync, &rc))
		return rc;
	dst = (struct side){ c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray, c->dstXInBytes,
			     c->dstY, c->dstZ, c->dstPitch, c->dstHeight };
	src = (struct side){ c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray, c->srcXInBytes,
			     c->srcY, c->srcZ, c->srcPitch, c->srcHeight };
	return copy_box(&dst, &src, c->WidthInBytes, c->Height, c->Depth, stream, sync);
}

static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *c, CUstream stream, bool sync)
{
	struct side dst, src;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!c || c->srcLOD || c->dstLOD)
		return CUDA_ERROR_INVALID_VALUE;
	if ((c->srcMemoryType == CU_MEMORYTYPE_DEVICE && !soft_context_get(c->srcContext)) ||
	    (c->dstMemoryType == CU_MEMORYTYPE_DEVICE && !soft_context_get(c->dstContext)))
		return CUDA_ERROR_INVALID_CONTEXT;
	dst = (struct side){ c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray, c->dstXInBytes,
			     c->dstY, c->dstZ, c->dstPitch, c->dstHeight };
	src = (struct side){ c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray, c->srcXInBytes,
			     c->srcY, c->srcZ, c->srcPitch, c->srcHeight };
	return copy_box(&dst, &src, c->WidthInBytes, c->Height, c->Depth, stream, sync);
}

static CUresult soft_cuMemcpy2D_v2(const CUDA_MEMCPY2D *c)
{
	return copy_2d(c, NULL, true);
}

static CUresult soft_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *c, CUstream stream)
{
	return copy_2d(c, stream, false);
}

static CUresult soft_cuMemcpy3D_v2(const CUDA_MEMCPY3D *c)
{
	return copy_3d(c, NULL, true);
}

static CUresult soft_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *c, CUstream stream)
{
	return copy_3d(c, stream, false);
}

static CUresult soft_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *c)
{
	return copy_3d_peer(c, NULL, true);
}

static CUresult soft_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *c, CUstream stream)
{
	return copy_3d_peer(c, stream, false);
}

void soft_fill_copy_3d(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemcpy2D_v2);
	d->cuMemcpy2DUnaligned_v2 = soft_cuMemcpy2D_v2;
	SOFT_SLOT(d, cuMemcpy2DAsync_v2);
	SOFT_SLOT(d, cuMemcpy3D_v2);
	SOFT_SLOT(d, cuMemcpy3DAsync_v2);
	SOFT_SLOT(d, cuMemcpy3DPeer);
	SOFT_SLOT(d, cuMemcpy3DPeerAsync);
}
