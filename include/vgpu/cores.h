/* SPDX-License-Identifier: MIT */
/* The processors that this process may run on. */
#ifndef VGPU_CORES_H
#define VGPU_CORES_H

#include <sched.h>

/* Up to so many, whoever looks for the end of something keeps the core that it would come from. */
#define VGPU_FEW_CORES 2u

/* At least 1, which is also said where the kernel does not tell. Any thread. */
static inline unsigned int vgpu_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
}

#endif
