/* SPDX-License-Identifier: MIT */
/*
 * How bytes travel.
 *
 *	pageable -> device	up to 64 KiB inside the command; more by bulk.c. A synchronous copy of more waits for
 *				its end: programs count on it in streams that the default stream does not order, though
 *				natively the last piece may still be under way (seen on an H100)
 *	device -> pageable	by bulk.c; waits
 *	arena <-> device	the device's DMA works on the application's own memory
 *	device -> device	one command
 *	host -> host		here, after the stream has come that far
 *
 * Runs in the calling thread; nothing is held between two commands.
 */
#include "copy.h"

#include <string.h>

#include <gen/wire.h>

#include "bulk.h"
#include "call.h"
#include "capture.h"
#include "channel.h"
#include "graph.h"
#include "memory.h"
#include "session.h"
#include "stream.h"
#include "thread.h"

#define INLINE_BYTES	(64u << 10)

static bool capturing(const struct vgpu_stream *s)
{
	return s->capture != CU_STREAM_CAPTURE_STATUS_NONE;
}

static uint64_t arena_offset(uint64_t address)
{
	return address - (uint64_t)(uintptr_t)vgpu_session.base;
}

static void count(_Atomic uint64_t *counter, uint64_t bytes)
{
	atomic_fetch_add_explicit(counter, bytes, memory_order_relaxed);
}

CUresult vgpu_copy_arena(uint16_t op, uint64_t device, uint64_t offset, uint64_t bytes, struct vgpu_stream *s,
			 vgpu_fence *f)
{
	struct vgpu_args_memcpy_h2d_arena *h2d;
	struct vgpu_args_memcpy_d2h_arena *d2h;
	uint64_t value = 0;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, op, sizeof(*h2d), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (f) {
		value = vgpu_stream_next_value(s);
		*f = vgpu_fence_make(s->word, value);
	} else {
		vgpu_touch(s);
	}
	if (op == VGPU_OP_memcpy_h2d_arena) {
		h2d = c.args;
		*h2d = (struct vgpu_args_memcpy_h2d_arena){ .dst = device, .src_offset = offset, .bytes = bytes,
			.stream = s->wire, .fence_value = value, .fence = f ? s->word : 0 };
	} else {
		d2h = c.args;
		*d2h = (struct vgpu_args_memcpy_d2h_arena){ .src = device, .dst_offset = offset, .bytes = bytes,
			.stream = s->wire, .fence_value = value, .fence = f ? s->word : 0 };
	}
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

_Static_assert(sizeof(struct vgpu_args_memcpy_h2d_arena) == sizeof(struct vgpu_args_memcpy_d2h_arena), "one size");

static CUresult send_inline(uint64_t dst, const void *src, uint32_t bytes, struct vgpu_stream *s)
{
	struct vgpu_args_memcpy_h2d_inline *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_memcpy_h2d_inline, sizeof(*a), bytes, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->dst = dst;
	a->stream = s->wire;
	memcpy(c.payload, src, bytes);
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

static CUresult from_pageable(uint64_t dst, const uint8_t *src, uint64_t bytes, struct vgpu_stream *s, bool wait)
{
	vgpu_fence f = 0;
	CUresult r;

	count(&vgpu_counters()->bytes_h2d, bytes);
	if (bytes <= INLINE_BYTES)
		return send_inline(dst, src, (uint32_t)bytes, s);
	r = vgpu_bulk_to_device(dst, src, bytes, s);
	if (!r && wait)
		r = vgpu_stream_fence_own(s, &f);
	return r ? r : vgpu_fence_wait(f);
}

static CUresult device_to_device(uint64_t dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s)
{
	struct vgpu_args_memcpy_d2d *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_memcpy_d2d, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->dst = dst;
	a->src = src;
	a->bytes = bytes;
	a->stream = s->wire;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

static CUresult pinned(uint16_t op, uint64_t device, uint64_t host, uint64_t bytes, struct vgpu_stream *s, bool wait)
{
	vgpu_fence f = 0;
	CUresult r;

	count(op == VGPU_OP_memcpy_h2d_arena ? &vgpu_counters()->bytes_h2d : &vgpu_counters()->bytes_d2h, bytes);
	r = vgpu_copy_arena(op, device, arena_offset(host), bytes, s, wait ? &f : NULL);
	return r ? r : vgpu_fence_wait(f);
}

/* Neither side is the device's: the stream's earlier work first, then this thread copies. */
static CUresult host_to_host(uint64_t dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s)
{
	CUresult r = vgpu_stream_wait(s);

	if (!r)
		memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, bytes);
	return r;
}

static CUresult capture_pageable(uint64_t dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s)
{
	const CUDA_MEMCPY3D c = {
		.srcMemoryType = CU_MEMORYTYPE_UNIFIED, .srcDevice = src, .srcPitch = bytes, .srcHeight = 1,
		.dstMemoryType = CU_MEMORYTYPE_UNIFIED, .dstDevice = dst, .dstPitch = bytes, .dstHeight = 1,
		.WidthInBytes = bytes, .Height = 1, .Depth = 1,
	};

	return vgpu_graph_copy_capture(s, &c);
}

CUresult vgpu_copy(uint64_t dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s, bool wait)
{
	enum vgpu_place to = vgpu_memory_place(dst), from = vgpu_memory_place(src);
	CUresult r;

	if (!bytes)
		return CUDA_SUCCESS;
	r = to == VGPU_PLACE_HOST ? CUDA_SUCCESS : vgpu_memory_check(dst, bytes);
	if (!r && from != VGPU_PLACE_HOST)
		r = vgpu_memory_check(src, bytes);
	if (r)
		return r;
	if (wait && capturing(s))
		return vgpu_capture_invalidate(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	if (capturing(s) && (to == VGPU_PLACE_HOST || from == VGPU_PLACE_HOST))
		return capture_pageable(dst, src, bytes, s);
	if (to == VGPU_PLACE_DEVICE && from == VGPU_PLACE_DEVICE)
		return device_to_device(dst, src, bytes, s);
	if (to == VGPU_PLACE_DEVICE && from == VGPU_PLACE_ARENA)
		return pinned(VGPU_OP_memcpy_h2d_arena, dst, src, bytes, s, wait);
	if (to == VGPU_PLACE_ARENA && from == VGPU_PLACE_DEVICE)
		return pinned(VGPU_OP_memcpy_d2h_arena, src, dst, bytes, s, wait);
	if (to == VGPU_PLACE_DEVICE)
		return from_pageable(dst, (const uint8_t *)(uintptr_t)src, bytes, s, wait);
	if (from == VGPU_PLACE_DEVICE) {
		count(&vgpu_counters()->bytes_d2h, bytes);
		return vgpu_bulk_from_device((uint8_t *)(uintptr_t)dst, src, bytes, s);
	}
	if (to == VGPU_PLACE_ARENA && from == VGPU_PLACE_ARENA && !wait)
		return device_to_device(dst, src, bytes, s);
	return host_to_host(dst, src, bytes, s);
}
