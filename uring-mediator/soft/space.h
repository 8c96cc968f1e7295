/* SPDX-License-Identifier: MIT */
/*
 * Addresses without memory: one area, reserved at the start, out of which cuMemAddressReserve cuts reservations and into
 * which physical memory is mapped.
 */
#ifndef VGPU_SOFT_SPACE_H
#define VGPU_SOFT_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "vgpu/shm.h"

/* Reserves the area, near @base if that is free. 0 or -ENOMEM. */
int soft_space_init(uint64_t base, uint64_t span);
/* Where it lies. */
struct vgpu_range soft_space_range(void);
bool soft_space_owns(uint64_t addr);
/* The mapping around @addr, if some device has access to it. Any thread. */
bool soft_space_find(uint64_t addr, struct soft_region *out);

#endif
