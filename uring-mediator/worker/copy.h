/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes, for commands and for nodes of graphs: what the guest describes, checked, as the driver wants it.
 * The worker's only thread.
 */
#ifndef VGPU_WORKER_COPY_H
#define VGPU_WORKER_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>

struct vgpu_session;

/*
 * Bytes from the first to the last of `height` rows in each of `depth` slices, none of them 0; false if that is no
 * number or rows overlap.
 */
bool vgpu_copy_span(uint64_t width, uint64_t height, uint64_t pitch, uint64_t depth, uint64_t slice, uint64_t *span);

/*
 * The driver's description of a box whose extents are not 0.  Sides are device memory of this session, the arena, or
 * arrays; contexts are filled in where the box names them.  The driver checks the extents of arrays.  INVALID_VALUE,
 * INVALID_HANDLE, INVALID_CONTEXT, or VGPU_BROKEN.
 */
CUresult vgpu_copy_resolve(struct vgpu_session *s, const struct vgpu_rec_copy_box *box, CUDA_MEMCPY3D_PEER *out);

/* The same as the plain structure has it: for copies inside one context. */
CUDA_MEMCPY3D vgpu_copy_plain(const CUDA_MEMCPY3D_PEER *p);

#endif
