/* SPDX-License-Identifier: MIT */
/*
 * What of a code image has to travel.  Libraries bring fat binaries with machine code for a dozen generations of devices;
 * the host has one or two.  An image leaves as pieces of the application's memory: nothing is copied to leave parts out.
 */
#ifndef VGPU_SHIM_IMAGE_CHOOSE_H
#define VGPU_SHIM_IMAGE_CHOOSE_H

#include <stdint.h>

#include "image.h"

struct vgpu_image_piece {
	const void *data;
	uint64_t bytes;
};

struct vgpu_image_choice {
	struct vgpu_image_piece *pieces;	/* one after the other the image that is sent */
	uint32_t count;
	uint64_t bytes;				/* of all */
	struct vgpu_image_piece whole;		/* pieces points here if nothing is left out */
	uint8_t head[16];			/* of the fat binary that is sent */
};

/*
 * `archs`: of `count` devices, 10 * major + minor.  Left out is what none of them could ever run, by the rules that the
 * CUDA programming guide gives for cubins and PTX; all of it is sent if nothing else were left, if the headers make no
 * sense, or without memory.  *c must stay where it is until vgpu_image_choice_free().
 */
void vgpu_image_choose(const struct vgpu_image *image, const uint32_t *archs, uint32_t count,
		       struct vgpu_image_choice *c);
void vgpu_image_choice_free(struct vgpu_image_choice *c);

#endif
