/* SPDX-License-Identifier: MIT */
/* Links, as objects behind their handles. */
#ifndef VGPU_SHIM_LINK_H
#define VGPU_SHIM_LINK_H

#include <stdint.h>

#include "jit.h"

struct vgpu_link_image;

struct vgpu_link {
	uint64_t wire;
	struct vgpu_jit jit;		/* its values and buffers are the application's, until the link is destroyed */
	struct vgpu_link_image *images;	/* what the application has got pointers to */
};

#endif
