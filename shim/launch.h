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
	const CUlaunchAttribute *attrs;
	uint32_t attr_count;
	void **params, **extra;
};

#endif
