/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of boxes, see copy_shape.h: the application's, checked and
 * brought to one form, and the wire's. Nothing is sent from here.
 */
#include "copy_shape.h"

#include <vgpu/operands.h>

#include "array.h"
#include "session.h"

/* What one side's description says; either structure's. */
struct given {
	CUmemorytype type;
	const void *host;
	CUdeviceptr device;
	CUarray array;
	uint64_t x, y, z;
	uint64_t pitch, rows;	/* 0: as the box has it */
};

static CUresult place_array(const struct given *g, const struct vgpu_shape *c, struct vgpu_side *s)
{
	const struct vgpu_array *a = vgpu_array_get(g->array, &s->array);
	const uint64_t at[3] = { g->x, g->y, g->z };

	if (!a || !vgpu_array_holds(a, at, c->width, c->height, c->depth))
		return CUDA_ERROR_INVALID_VALUE;
	s->place = VGPU_PLACE_DEVICE;
	s->x = g->x;
	s->y = g->y;
	s->z = g->z;
	return CUDA_SUCCESS;
}

static CUresult place(const struct given *g, const struct vgpu_shape *c, struct vgpu_side *s)
{
	switch ((int)g->type) {
	case CU_MEMORYTYPE_HOST:
		s->at = (uint64_t)(uintptr_t)g->host;
		break;
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		s->at = g->device;
		break;
	case CU_MEMORYTYPE_ARRAY:
		return place_array(g, c, s);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	s->place = vgpu_memory_place(s->at);
	if (g->type == CU_MEMORYTYPE_DEVICE && s->place == VGPU_PLACE_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	if (g->rows && (g->y > g->rows || c->height > g->rows - g->y))
		return CUDA_ERROR_INVALID_VALUE;
	if (g->pitch && c->height > 1 && (g->x > g->pitch || c->width > g->pitch - g->x))
		return CUDA_ERROR_INVALID_VALUE;
	s->pitch = g->pitch ? g->pitch : c->width;
	s->slice = s->pitch * (g->rows ? g->rows : c->height);
	s->at += g->z * s->slice + g->y * s->pitch + g->x;
	return CUDA_SUCCESS;
}

CUresult vgpu_shape_of_2d(const CUDA_MEMCPY2D *c, struct vgpu_shape *shape)
{
	const struct given src = { c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray,
				   c->srcXInBytes, c->srcY, 0, c->srcPitch, 0 };
	const struct given dst = { c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray,
				   c->dstXInBytes, c->dstY, 0, c->dstPitch, 0 };
	CUresult r;

	*shape = (struct vgpu_shape){ .width = c->WidthInBytes, .height = c->Height, .depth = 1 };
	r = place(&src, shape, &shape->src);
	return r ? r : place(&dst, shape, &shape->dst);
}

/* As natively, levels of detail mean nothing: a level of a mipmapped array is an array. */
CUresult vgpu_shape_of_3d(const CUDA_MEMCPY3D *c, struct vgpu_shape *shape)
{
	const struct given src = { c->srcMemoryType, c->srcHost, c->srcDevice, c->srcArray,
				   c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch, c->srcHeight };
	const struct given dst = { c->dstMemoryType, c->dstHost, c->dstDevice, c->dstArray,
				   c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch, c->dstHeight };
	CUresult r;

	*shape = (struct vgpu_shape){ .width = c->WidthInBytes, .height = c->Height, .depth = c->Depth };
	r = place(&src, shape, &shape->src);
	return r ? r : place(&dst, shape, &shape->dst);
}

/* The side's rows lie in one allocation. */
static CUresult check_side(const struct vgpu_side *s, const struct vgpu_shape *c)
{
	uint64_t last;

	if (s->array)
		return CUDA_SUCCESS;
	if (c->height > 1 && s->pitch < c->width)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->place == VGPU_PLACE_HOST)
		return s->at ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(s->slice, c->depth - 1, &last) ||
	    __builtin_add_overflow(last, s->pitch * (c->height - 1) + c->width, &last))
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_memory_check(s->at, last);
}

CUresult vgpu_shape_check(const struct vgpu_shape *shape)
{
	CUresult r = check_side(&shape->dst, shape);

	return r ? r : check_side(&shape->src, shape);
}

static void wire_side(const struct vgpu_side *s, struct vgpu_rec_copy_side *w)
{
	bool arena = s->place == VGPU_PLACE_ARENA;

	*w = (struct vgpu_rec_copy_side){
		.at = s->array ? s->array : arena ? s->at - (uint64_t)(uintptr_t)vgpu_session.base : s->at,
		.pitch = s->pitch, .slice = s->slice, .x = s->x, .y = s->y, .z = s->z, .context = s->context,
		.kind = s->array ? VGPU_COPY_ARRAY : arena ? VGPU_COPY_ARENA : VGPU_COPY_DEVICE,
	};
}

void vgpu_shape_wire(const struct vgpu_shape *shape, struct vgpu_rec_copy_box *box)
{
	wire_side(&shape->src, &box->src);
	wire_side(&shape->dst, &box->dst);
	box->width = shape->width;
	box->height = shape->height;
	box->depth = shape->depth;
}
