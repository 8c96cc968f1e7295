/* SPDX-License-Identifier: MIT */
/*
 * CUDA arrays: memory of the device that only copies, textures and surfaces reach, laid out here as rows of rows
 * without gaps. A mipmapped array owns an array for each of its levels.
 */
#ifndef VGPU_SOFT_ARRAY_H
#define VGPU_SOFT_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"
#include "vgpu/cuda_types.h"

#define SOFT_LEVELS 17 /* of the largest extent that an array can have */

struct soft_array {
	struct soft_object obj;       /* SOFT_ARRAY */
	CUDA_ARRAY3D_DESCRIPTOR desc; /* as it was given */
	uint64_t start;               /* of its memory; an address of this process */
	uint64_t width, height, depth; /* elements, rows, slices or layers; never 0 */
	uint32_t element;             /* bytes */
	uint64_t pitch, slice;        /* bytes */
	bool part;                    /* a level: goes with its mipmapped array */
};

struct soft_mipmap {
	struct soft_object obj; /* SOFT_MIPMAP */
	CUDA_ARRAY3D_DESCRIPTOR desc;
	unsigned levels;
	uint64_t handles[SOFT_LEVELS]; /* of the levels */
};

#endif
