/* SPDX-License-Identifier: MIT */
/*
 * Reserved device addresses that have memory: the immediate errors of copies to those that do not. Reservations
 * themselves are ranges of memory.h.
 */
#ifndef VGPU_SHIM_VIRTUAL_H
#define VGPU_SHIM_VIRTUAL_H

#include <stdbool.h>
#include <stdint.h>

#include "range.h"

/* Whether memory is mapped at all of [address, address + bytes). Any thread. */
bool vgpu_virtual_covers(uint64_t address, uint64_t bytes);
/* The mapping that contains `address`: false if there is none. Any thread. */
bool vgpu_virtual_find(uint64_t address, struct vgpu_range_info *info);

#endif
