/* SPDX-License-Identifier: MIT */
/* Arrays and mipmapped arrays: their descriptors, so that copies are checked and described here. Any thread. */
#ifndef VGPU_SHIM_ARRAY_H
#define VGPU_SHIM_ARRAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#define VGPU_ARRAY_PARTS	32	/* levels of a mipmapped array, planes of an array: no more are known */

struct vgpu_context;

/* The object behind handles of both kinds. */
struct vgpu_array {
	CUDA_ARRAY3D_DESCRIPTOR desc;	/* of a mipmapped array: of its first level */
	struct vgpu_context *context;
	uint64_t owner;			/* wire id of what it is a part of, 0: nothing */
	uint32_t levels;		/* mipmapped arrays */
	_Atomic uint64_t parts[VGPU_ARRAY_PARTS];	/* wire ids of levels or planes that were asked for */
};

/* The array behind a handle and its wire id; NULL: not live. */
const struct vgpu_array *vgpu_array_get(CUarray app, uint64_t *wire);
/* Bytes of an element; 0: not a format of single elements. */
uint64_t vgpu_array_element(const struct vgpu_array *a);
/* Does a box of `width` bytes, `height` rows and `depth` slices or layers at (x, y, z) lie in the array? */
bool vgpu_array_holds(const struct vgpu_array *a, const uint64_t at[3], uint64_t width, uint64_t height, uint64_t depth);
/* Forget the arrays of a context. */
void vgpu_arrays_drop(const struct vgpu_context *ctx);

#endif
