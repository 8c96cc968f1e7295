/* SPDX-License-Identifier: MIT */
/* One launch as the application described it, whichever call it used. */
#ifndef VGPU_SHIM_LAUNCH_H
#define VGPU_SHIM_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#define VGPU_LAUNCH_ATTRIBUTES	32u		/* more than there are kinds */
#define VGPU_LAUNCH_PARAM_BYTES	32764u		/* what the driver takes at most on any device */

struct vgpu_launch {
	CUfunction function;	/* or a CUkernel */
	CUstream stream;
	uint32_t grid[3], block[3];
	uint32_t shared_bytes;
	bool cooperative;
	CUlaunchAttribute *attrs;	/* DEVICE_UPDATABLE_KERNEL_NODE comes back filled in */
	uint32_t attr_count;
	void **params, **extra;
};

struct vgpu_function;

/* Checks all of it and sends the command; nothing is kept of *l. Any thread; the errors of cuLaunchKernelEx. */
CUresult vgpu_launch(const struct vgpu_launch *l);
/* What the driver says at once of a shape: 0, INVALID_VALUE, LAUNCH_OUT_OF_RESOURCES. There is a current context. */
CUresult vgpu_launch_check(const struct vgpu_launch *l, const struct vgpu_function *f);
/* The parameter block, from malloc(). */
CUresult vgpu_launch_block(const struct vgpu_launch *l, const struct vgpu_function *f, void **block, uint32_t *bytes);

#endif
