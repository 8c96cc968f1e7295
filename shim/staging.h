/* SPDX-License-Identifier: MIT */
/*
 * Pieces of the arena through which pageable memory travels. A slot is used
 * again when the fence of its last copy has arrived; a copy of many chunks
 * goes around the slots, so that one is filled while others are on the bus.
 */
#ifndef VGPU_SHIM_STAGING_H
#define VGPU_SHIM_STAGING_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "fence.h"

#define VGPU_STAGING_BYTES	(512u << 10)	/* of a slot at least: stays in the cache between copy and DMA */
#define VGPU_STAGING_SLOTS	16u

struct vgpu_staging {
	uint8_t *memory;	/* vgpu_staging_bytes() in the arena; NULL: not made yet */
	vgpu_fence fence;	/* of the last copy out of or into it; the holder sets it before putting */
	uint32_t held;
	uint64_t used;		/* when it was given out last, counted in such events */
};

/* Bytes of a slot in this process: more where several threads copy and the arena is large. */
uint64_t vgpu_staging_bytes(void);
/* Bytes of the slots that large copies will want and that are not made yet: for vgpu_arena_prepare(). */
uint64_t vgpu_staging_missing(void);
/* A free slot whose fence has arrived. Waits, also for other threads. 0 or the error. */
CUresult vgpu_staging_get(struct vgpu_staging **slot);
/* The same without waiting: NULL if there is none now. */
struct vgpu_staging *vgpu_staging_try(void);
void vgpu_staging_put(struct vgpu_staging *slot);
/* Where its memory lies in the shared memory. */
uint64_t vgpu_staging_offset(const struct vgpu_staging *slot);

#endif
