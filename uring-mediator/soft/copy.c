/* SPDX-License-Identifier: MIT */
/*
 * Copying: the checks, the operation, and the one-dimensional calls.
 *
 * Pageable host memory belongs to the program and may change or vanish as soon as the call returns: small sources are
 * taken along with the operation, larger ones and all destinations are waited for.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "copy.h"
#include "graph.h"
#include "memory.h"

#define STAGED_MAX 65536 /* bytes of pageable source that travel with the operation */
#define QUICK_MAX 32768  /* bytes that the submitting thread copies itself when the stream is idle */

struct copy_op {
	struct soft_op op;
	struct soft_box box;
	unsigned char staged[];
};

static bool end_of(uint64_t start, uint64_t pitch, uint64_t n, uint64_t *end)
{
	uint64_t span;

	return !__builtin_mul_overflow(pitch, n, &span) && !__builtin_add_overflow(start, span, end);
}

bool soft_plane_valid(const struct soft_plane *p, uint64_t width, uint64_t height, uint64_t depth,
		      enum soft_side side, bool *pageable)
{
	struct soft_region r;
	uint64_t end;

	if (!end_of(p->addr, p->slice, depth - 1, &end) || !end_of(end, p->pitch, height - 1, &end) ||
	    __builtin_add_overflow(end, width, &end))
		return false;
	*pageable = false;
	if (soft_memory_covers(p->addr, end - p->addr, &r))
		return true;
	if (!p->addr || soft_memory_is_device(p->addr) || soft_memory_is_device(end - 1))
		return false;
	*pageable = !soft_memory_known_host(p->addr, end - p->addr);
	return side != SOFT_SIDE_DEVICE || !*pageable;
}

static void run_copy(struct soft_op *op)
{
	const struct soft_box *b = &((struct copy_op *)op)->box;
	uint64_t y, z;

	for (z = 0; z < b->depth; z++)
		for (y = 0; y < b->height; y++)
			memmove((void *)(b->dst.addr + z * b->dst.slice + y * b->dst.pitch),
				(const void *)(b->src.addr + z * b->src.slice + y * b->src.pitch), b->width);
}

/* Packs the source into the operation. */
static void stage(struct copy_op *c, const struct soft_box *b)
{
	struct soft_box in = *b;

	in.dst = (struct soft_plane){ (uint64_t)c->staged, b->width, b->width * b->height };
	c->box = in;
	run_copy(&c->op);
	c->box = *b;
	c->box.src = in.dst;
}

CUresult soft_copy(struct soft_stream *s, const struct soft_box *b, enum soft_side dst, enum soft_side src,
		   bool sync)
{
	bool dst_pageable, src_pageable, staged;
	struct copy_op *c;
	uint64_t bytes;

	if (!b->width || !b->height || !b->depth)
		return CUDA_SUCCESS;
	if (__builtin_mul_overflow(b->width, b->height, &bytes) || __builtin_mul_overflow(bytes, b->depth, &bytes) ||
	    !soft_plane_valid(&b->dst, b->width, b->height, b->depth, dst, &dst_pageable) ||
	    !soft_plane_valid(&b->src, b->width, b->height, b->depth, src, &src_pageable))
		return CUDA_ERROR_INVALID_VALUE;
	sync = sync || dst_pageable || (src_pageable && bytes > STAGED_MAX);
	staged = src_pageable && !sync;
	c = malloc(sizeof(*c) + (staged ? bytes : 0));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memset(&c->op, 0, sizeof(c->op));
	c->box = *b;
	if (staged)
		stage(c, b);
	c->op.run = run_copy;
	c->op.quick = sync || bytes <= QUICK_MAX;
	if (sync)
		return soft_submit_and_wait(s, &c->op);
	soft_submit(s, &c->op);
	return CUDA_SUCCESS;
}

static CUresult capture(struct soft_stream *s, CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };

	p.memcpy.copyParams = (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_UNIFIED, .srcDevice = src, .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
		.dstDevice = dst, .WidthInBytes = n, .Height = 1, .Depth = 1,
	};
	return soft_capture(s, &p, NULL);
}

/* The common part of all calls that copy @n bytes in a row. */
static CUresult copy_call(CUdeviceptr dst, enum soft_side dst_side, CUdeviceptr src, enum soft_side src_side, size_t n,
			  CUstream stream, bool sync)
{
	struct soft_box box = { { dst, n, n }, { src, n, n }, n, 1, 1 };
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(stream, &s);

	if (rc)
		return rc;
	if (!soft_captured(s))
		rc = soft_copy(s, &box, dst_side, src_side, sync);
	else if (sync)
		rc = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	else if (n)
		rc = capture(s, dst, src, n);
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t n)
{
	return copy_call(dst, SOFT_SIDE_DEVICE, (uint64_t)src, SOFT_SIDE_HOST, n, NULL, true);
}

static CUresult soft_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, CUstream stream)
{
	return copy_call(dst, SOFT_SIDE_DEVICE, (uint64_t)src, SOFT_SIDE_HOST, n, stream, false);
}

static CUresult soft_cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t n)
{
	return copy_call((uint64_t)dst, SOFT_SIDE_HOST, src, SOFT_SIDE_DEVICE, n, NULL, true);
}

static CUresult soft_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy_call((uint64_t)dst, SOFT_SIDE_HOST, src, SOFT_SIDE_DEVICE, n, stream, false);
}

/* As natively, this returns before the copy is done. */
static CUresult soft_cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	return copy_call(dst, SOFT_SIDE_DEVICE, src, SOFT_SIDE_DEVICE, n, NULL, false);
}

static CUresult soft_cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy_call(dst, SOFT_SIDE_DEVICE, src, SOFT_SIDE_DEVICE, n, stream, false);
}

static CUresult soft_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n)
{
	return copy_call(dst, SOFT_SIDE_ANY, src, SOFT_SIDE_ANY, n, NULL, true);
}

static CUresult soft_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream)
{
	return copy_call(dst, SOFT_SIDE_ANY, src, SOFT_SIDE_ANY, n, stream, false);
}

static CUresult soft_cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx,
				       size_t n, CUstream stream)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!soft_context_get(dst_ctx) || !soft_context_get(src_ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	return copy_call(dst, SOFT_SIDE_DEVICE, src, SOFT_SIDE_DEVICE, n, stream, false);
}

static CUresult soft_cuMemcpyPeer(CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx, size_t n)
{
	return soft_cuMemcpyPeerAsync(dst, dst_ctx, src, src_ctx, n, NULL);
}

void soft_fill_copy(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemcpyHtoD_v2);
	SOFT_SLOT(d, cuMemcpyHtoDAsync_v2);
	SOFT_SLOT(d, cuMemcpyDtoH_v2);
	SOFT_SLOT(d, cuMemcpyDtoHAsync_v2);
	SOFT_SLOT(d, cuMemcpyDtoD_v2);
	SOFT_SLOT(d, cuMemcpyDtoDAsync_v2);
	SOFT_SLOT(d, cuMemcpy);
	SOFT_SLOT(d, cuMemcpyAsync);
	SOFT_SLOT(d, cuMemcpyPeer);
	SOFT_SLOT(d, cuMemcpyPeerAsync);
}
