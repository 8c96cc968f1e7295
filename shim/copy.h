/* SPDX-License-Identifier: MIT */
/*
 * Linear copies between any two places, the ground under all copy calls.
 * Addresses are the application's; what each is was classified by range.
 */
#ifndef VGPU_SHIM_COPY_H
#define VGPU_SHIM_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "fence.h"

struct vgpu_stream;

/*
 * Copy in stream order. `wait`: return when the data has arrived (a pageable
 * source: when it has been read). A copy into pageable memory always waits.
 */
CUresult vgpu_copy(uint64_t dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s, bool wait);
/*
 * One command: `bytes` between the device and the shared memory at `offset`. `op` is memcpy_h2d_arena or
 * memcpy_d2h_arena; *f, if wanted, is its fence.
 */
CUresult vgpu_copy_arena(uint16_t op, uint64_t device, uint64_t offset, uint64_t bytes, struct vgpu_stream *s,
			 vgpu_fence *f);

#endif
