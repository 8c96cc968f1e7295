/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes: what the application describes, brought to one form, and
 * that form on the wire. For the copy calls and for nodes of graphs.
 */
#ifndef VGPU_SHIM_COPY_SHAPE_H
#define VGPU_SHIM_COPY_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>

#include "memory.h"

struct vgpu_side {
	uint64_t at;		/* memory: address of the first byte */
	uint64_t pitch, slice;	/* memory: bytes from row to row, from slice to slice */
	uint64_t array;		/* wire id; 0: memory, and `place` says which */
	uint64_t x, y, z;	/* array: where the box begins; bytes, rows, slices or layers */
	uint64_t context;	/* wire id, of a copy between contexts */
	enum vgpu_place place;
};

struct vgpu_shape {
	struct vgpu_side dst, src;
	uint64_t width, height, depth;	/* bytes, rows, slices */
};

/* Checked but for whether memory is ours (vgpu_shape_check). INVALID_VALUE, INVALID_HANDLE. */
CUresult vgpu_shape_of_2d(const CUDA_MEMCPY2D *c, struct vgpu_shape *shape);
CUresult vgpu_shape_of_3d(const CUDA_MEMCPY3D *c, struct vgpu_shape *shape);
/* Are all bytes of both sides, where they are not the application's own memory, inside allocations? */
CUresult vgpu_shape_check(const struct vgpu_shape *shape);
/* Both sides must be such as the worker reaches: not VGPU_PLACE_HOST. */
void vgpu_shape_wire(const struct vgpu_shape *shape, struct vgpu_rec_copy_box *box);
/* Copies in the order of the stream; `wait` as in copy.h. */
CUresult vgpu_shape_copy(const struct vgpu_shape *shape, CUstream stream, bool wait);

#endif
