/* SPDX-License-Identifier: MIT */
/*
 * Filling memory with a value of one, two or four bytes, in a row or in a box. As natively, these do not wait.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "copy.h"
#include "graph.h"

#define QUICK_MAX 32768 /* bytes that the submitting thread fills itself when the stream is idle */

struct fill_op {
	struct soft_op op;
	struct soft_plane to;
	uint64_t width, height; /* width in bytes */
	unsigned size;
	uint32_t value;
};

static void fill_row(uint64_t at, uint64_t bytes, unsigned size, uint32_t value)
{
	uint64_t i;

	if (size == 1)
		memset((void *)at, (int)value, bytes);
	else if (size == 2)
		for (i = 0; i < bytes / 2; i++)
			((uint16_t *)at)[i] = (uint16_t)value;
	else
		for (i = 0; i < bytes / 4; i++)
			((uint32_t *)at)[i] = value;
}

static void run_fill(struct soft_op *op)
{
	struct fill_op *f = (struct fill_op *)op;
	uint64_t y;

	for (y = 0; y < f->height; y++)
		fill_row(f->to.addr + y * f->to.pitch, f->width, f->size, f->value);
}

static CUresult submit(struct soft_stream *s, struct fill_op *f)
{
	struct fill_op *copy;
	bool pageable;

	if (!soft_plane_valid(&f->to, f->width, f->height, 1, SOFT_SIDE_DEVICE, &pageable))
		return CUDA_ERROR_INVALID_VALUE;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*copy = *f;
	copy->op.run = run_fill;
	copy->op.quick = f->width * f->height <= QUICK_MAX;
	soft_submit(s, &copy->op);
	return CUDA_SUCCESS;
}

static CUresult capture(struct soft_stream *s, const struct fill_op *f)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMSET };

	p.memset = (CUDA_MEMSET_NODE_PARAMS_v2){ .dst = f->to.addr, .pitch = f->to.pitch, .value = f->value,
						 .elementSize = f->size, .width = f->width / f->size,
						 .height = f->height };
	return soft_capture(s, &p, NULL);
}

static CUresult fill_call(CUdeviceptr dst, size_t pitch, unsigned size, uint32_t value, size_t width, size_t height,
			  CUstream stream)
{
	struct fill_op f = { .to = { dst, pitch, 0 }, .height = height, .size = size, .value = value };
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(stream, &s);

	if (rc)
		return rc;
	if (dst % size || (height > 1 && pitch % size) || __builtin_mul_overflow(width, size, &f.width) ||
	    (height > 1 && pitch < f.width))
		rc = CUDA_ERROR_INVALID_VALUE;
	else if (width && height)
		rc = soft_captured(s) ? capture(s, &f) : submit(s, &f);
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuMemsetD8_v2(CUdeviceptr dst, unsigned char v, size_t n)
{
	return fill_call(dst, 0, 1, v, n, 1, NULL);
}

static CUresult soft_cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream stream)
{
	return fill_call(dst, 0, 1, v, n, 1, stream);
}

static CUresult soft_cuMemsetD16_v2(CUdeviceptr dst, unsigned short v, size_t n)
{
	return fill_call(dst, 0, 2, v, n, 1, NULL);
}

static CUresult soft_cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n, CUstream stream)
{
	return fill_call(dst, 0, 2, v, n, 1, stream);
}

static CUresult soft_cuMemsetD32_v2(CUdeviceptr dst, unsigned int v, size_t n)
{
	return fill_call(dst, 0, 4, v, n, 1, NULL);
}

static CUresult soft_cuMemsetD32Async(CUdeviceptr dst, unsigned int v, size_t n, CUstream stream)
{
	return fill_call(dst, 0, 4, v, n, 1, stream);
}

static CUresult soft_cuMemsetD2D8_v2(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h)
{
	return fill_call(dst, pitch, 1, v, w, h, NULL);
}

static CUresult soft_cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h,
				       CUstream stream)
{
	return fill_call(dst, pitch, 1, v, w, h, stream);
}

static CUresult soft_cuMemsetD2D16_v2(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h)
{
	return fill_call(dst, pitch, 2, v, w, h, NULL);
}

static CUresult soft_cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h,
					CUstream stream)
{
	return fill_call(dst, pitch, 2, v, w, h, stream);
}

static CUresult soft_cuMemsetD2D32_v2(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w, size_t h)
{
	return fill_call(dst, pitch, 4, v, w, h, NULL);
}

static CUresult soft_cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w, size_t h,
					CUstream stream)
{
	return fill_call(dst, pitch, 4, v, w, h, stream);
}

void soft_fill_fill(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemsetD8_v2);
	SOFT_SLOT(d, cuMemsetD8Async);
	SOFT_SLOT(d, cuMemsetD16_v2);
	SOFT_SLOT(d, cuMemsetD16Async);
	SOFT_SLOT(d, cuMemsetD32_v2);
	SOFT_SLOT(d, cuMemsetD32Async);
	SOFT_SLOT(d, cuMemsetD2D8_v2);
	SOFT_SLOT(d, cuMemsetD2D8Async);
	SOFT_SLOT(d, cuMemsetD2D16_v2);
	SOFT_SLOT(d, cuMemsetD2D16Async);
	SOFT_SLOT(d, cuMemsetD2D32_v2);
	SOFT_SLOT(d, cuMemsetD2D32Async);
}
