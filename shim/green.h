/* SPDX-License-Identifier: MIT */
/* A CUgreenCtx of the application: the other name of a context. */
#ifndef VGPU_SHIM_GREEN_H
#define VGPU_SHIM_GREEN_H

#include <stdint.h>

struct vgpu_context;

struct vgpu_green {
	uint64_t wire;
	struct vgpu_context *context;	/* which names this one in `green` */
};

#endif
