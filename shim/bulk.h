/* SPDX-License-Identifier: MIT */
/*
 * Large copies between the device and pageable memory: pieces that travel
 * through staging slots, several threads at work, one piece being copied by a
 * processor while others are on the bus. Any thread.
 */
#ifndef VGPU_SHIM_BULK_H
#define VGPU_SHIM_BULK_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_stream;

/* Returns when the source has been read; the device's side follows in the stream's order. 0 or the first error. */
CUresult vgpu_bulk_to_device(uint64_t dst, const uint8_t *src, uint64_t bytes, struct vgpu_stream *s);
/* Returns when the data is there. */
CUresult vgpu_bulk_from_device(uint8_t *dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s);

#endif
