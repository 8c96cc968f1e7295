/* SPDX-License-Identifier: MIT */
/*
 * Fences: "the GPU has come this far". A word of the channel belongs to one
 * stream at a time; its values only grow, across owners too, so a fence seen
 * once stays true for ever. Written by the GPU, read here: a query is a load.
 */
#ifndef VGPU_SHIM_FENCE_H
#define VGPU_SHIM_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "record.h"
#include "session.h"

/* Word in the upper 16 bits, value in the lower 48; 0: nothing to wait for. */
typedef uint64_t vgpu_fence;

static inline vgpu_fence vgpu_fence_make(uint32_t word, uint64_t value)
{
	return (uint64_t)word << 48 | (value & 0xffffffffffffull);
}

static inline uint32_t vgpu_fence_word(vgpu_fence f)
{
	return (uint32_t)(f >> 48);
}

static inline uint64_t vgpu_fence_value(vgpu_fence f)
{
	return f & 0xffffffffffffull;
}

/* A word for a new stream, and the last value that an earlier owner issued on it. 0: none left. */
uint32_t vgpu_fence_word_get(uint64_t *issued);
/* The stream is gone; the word is used again once `issued` has been seen. */
void vgpu_fence_word_put(uint32_t word, uint64_t issued);

static inline uint64_t vgpu_fence_seen(uint32_t word)
{
	return atomic_load_explicit(&vgpu_session.channel->fences[word], memory_order_acquire);
}

static inline bool vgpu_fence_done(vgpu_fence f)
{
	if (f && vgpu_fence_seen(vgpu_fence_word(f)) < vgpu_fence_value(f))
		return false;
	if (f && vgpu_recording())
		vgpu_record_wait(f);
	return true;
}

/* Wait. 0, or the sticky error, or what ended the session. */
CUresult vgpu_fence_wait(vgpu_fence f);

#endif
