/* SPDX-License-Identifier: MIT */
/* What was advised about managed memory, which does not move: see managed.c. */
#ifndef VGPU_SHIM_MANAGED_H
#define VGPU_SHIM_MANAGED_H

#include <stdint.h>

/* The allocation is freed: forget what was advised about it. */
void vgpu_managed_forget(uint64_t start, uint64_t size);

#endif
