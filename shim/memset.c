/* SPDX-License-Identifier: MIT */
/*
 * Fills. All forms are one wire; only the synchronous
 * forms wait, and only for memory that the host sees, as natively. What is captured may name any address, as natively:
 * cuDNN captures what an engine would do with addresses that it makes up, to count its kernels.
 */
#include <stdatomic.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "channel.h"
#include "memory.h"
#include "stream.h"
#include "thread.h"

struct fill {
	uint64_t dst, pitch, width, height;	/* width in elements, pitch in bytes */
	uint32_t value, element;		/* bytes of an element: 1, 2, 4 */
};

static CUresult fill(const struct fill *f, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	const struct vgpu_rec_rows rows = { f->pitch, f->height };
	uint64_t row = f->width * f->element, pitch = f->height > 1 ? f->pitch : row;
	uint32_t more = f->height > 1 ? sizeof(rows) : 0;
	struct vgpu_args_memset *a;
	struct vgpu_stream *s;
	struct vgpu_call c;
	bool made_up;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (!f->width || !f->height)
		return CUDA_SUCCESS;
	if (f->width > UINT64_MAX / f->element || pitch < row || f->dst % f->element ||
	    pitch % f->element || f->height > UINT64_MAX / pitch)
		return CUDA_ERROR_INVALID_VALUE;
	made_up = vgpu_memory_check(f->dst, pitch * (f->height - 1) + row);
	if (made_up && atomic_load_explicit(&s->capture, memory_order_relaxed) != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_call_begin(&c, VGPU_OP_memset, sizeof(*a), more, VGPU_CALL_CONTEXT | (made_up ? VGPU_CALL_REPLY : 0));
	if (r)
		return r;
	a = c.args;
	a->dst = f->dst;
	a->width = f->width;
	a->stream = s->wire;
	a->value = f->value;
	a->element_size = f->element;
	if (more)
		memcpy(c.payload, &rows, more);
	vgpu_touch(s);
	if (made_up)
		return vgpu_call_finish(&c);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

/* The forms that are synchronous: only for memory that the host can look at does that make a difference, unless that is asked for. */
static CUresult fill_now(const struct fill *f, CUstream stream)
{
	struct vgpu_stream *s;
	CUresult r = fill(f, stream);

	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (!r && vgpu_memory_place(f->dst) != VGPU_PLACE_ARENA)
		return vgpu_memory_settle(f->dst, 0, s);
	if (!r)
		r = vgpu_stream_wait(s);
	return vgpu_error_after(r);
}

CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char uc, size_t n, CUstream stream)
{
	return fill(&(struct fill){ dst, 0, n, 1, uc, 1 }, stream);
}

CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short us, size_t n, CUstream stream)
{
	return fill(&(struct fill){ dst, 0, n, 1, us, 2 }, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned int ui, size_t n, CUstream stream)
{
	return fill(&(struct fill){ dst, 0, n, 1, ui, 4 }, stream);
}

CUresult cuMemsetD2D8Async(CUdeviceptr dst, size_t dst_pitch, unsigned char uc, size_t width, size_t height, CUstream stream)
{
	return fill(&(struct fill){ dst, dst_pitch, width, height, uc, 1 }, stream);
}

CUresult cuMemsetD2D16Async(CUdeviceptr dst, size_t dst_pitch, unsigned short us, size_t width, size_t height, CUstream stream)
{
	return fill(&(struct fill){ dst, dst_pitch, width, height, us, 2 }, stream);
}

CUresult cuMemsetD2D32Async(CUdeviceptr dst, size_t dst_pitch, unsigned int ui, size_t width, size_t height, CUstream stream)
{
	return fill(&(struct fill){ dst, dst_pitch, width, height, ui, 4 }, stream);
}

CUresult vgpu_on_cuMemsetD8_v2(CUstream default_stream, CUdeviceptr dst, unsigned char uc, size_t n)
{
	return fill_now(&(struct fill){ dst, 0, n, 1, uc, 1 }, default_stream);
}

CUresult vgpu_on_cuMemsetD16_v2(CUstream default_stream, CUdeviceptr dst, unsigned short us, size_t n)
{
	return fill_now(&(struct fill){ dst, 0, n, 1, us, 2 }, default_stream);
}

CUresult vgpu_on_cuMemsetD32_v2(CUstream default_stream, CUdeviceptr dst, unsigned int ui, size_t n)
{
	return fill_now(&(struct fill){ dst, 0, n, 1, ui, 4 }, default_stream);
}

CUresult vgpu_on_cuMemsetD2D8_v2(CUstream default_stream, CUdeviceptr dst, size_t dst_pitch, unsigned char uc,
				 size_t width, size_t height)
{
	return fill_now(&(struct fill){ dst, dst_pitch, width, height, uc, 1 }, default_stream);
}

CUresult vgpu_on_cuMemsetD2D16_v2(CUstream default_stream, CUdeviceptr dst, size_t dst_pitch, unsigned short us,
				  size_t width, size_t height)
{
	return fill_now(&(struct fill){ dst, dst_pitch, width, height, us, 2 }, default_stream);
}

CUresult vgpu_on_cuMemsetD2D32_v2(CUstream default_stream, CUdeviceptr dst, size_t dst_pitch, unsigned int ui,
				  size_t width, size_t height)
{
	return fill_now(&(struct fill){ dst, dst_pitch, width, height, ui, 4 }, default_stream);
}
