/* SPDX-License-Identifier: MIT */
/*
 * Copies as operations of a stream. A copy is a box of rows; a plain one has one row. Addresses are checked when the
 * copy is submitted, against the table of memory.
 */
#ifndef VGPU_SOFT_COPY_H
#define VGPU_SOFT_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler.h"

enum soft_side {
	SOFT_SIDE_ANY,    /* device memory, or any host memory */
	SOFT_SIDE_HOST,   /* any memory of the process that is not free device memory */
	SOFT_SIDE_DEVICE, /* memory that CUDA knows */
};

struct soft_plane {
	uint64_t addr;         /* of the first byte */
	uint64_t pitch, slice; /* bytes from row to row, from plane to plane */
};

struct soft_box {
	struct soft_plane dst, src;
	uint64_t width, height, depth; /* width in bytes */
};

/*
 * Submits a copy and, for a synchronous one or when pageable memory is involved, waits for as long as CUDA's rules
 * say. INVALID_VALUE when a side is not what the call says it is.
 */
CUresult soft_copy(struct soft_stream *s, const struct soft_box *box, enum soft_side dst, enum soft_side src,
		   bool sync);
/* Whether all bytes of a plane lie in memory of that kind. *pageable: in host memory that CUDA does not know. */
bool soft_plane_valid(const struct soft_plane *p, uint64_t width, uint64_t height, uint64_t depth,
		      enum soft_side side, bool *pageable);

#endif
