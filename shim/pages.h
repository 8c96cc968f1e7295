/* SPDX-License-Identifier: MIT */
/*
 * Pages of the application exchanged for fresh ones with the same content: of the shared memory, or of its own. Fresh pages
 * are made elsewhere first and moved into place, so that nobody pays for a fault at each. Nothing here
 * waits for other threads: a fork's child may call it. One exchange at a time: the caller sees to that.
 */
#ifndef VGPU_SHIM_PAGES_H
#define VGPU_SHIM_PAGES_H

#include <stdint.h>

#include "maps.h"

/*
 * What [start, start + bytes), whole pages, is to have; the caller's to exchange or drop. Those of a file the caller should
 * touch, private ones have been. NULL: no memory.
 */
uint8_t *vgpu_pages_of_file(uint64_t start, uint64_t bytes, int fd, uint64_t offset);
uint8_t *vgpu_pages_private(uint64_t start, uint64_t bytes);
/* Give up fresh pages that are not wanted, or what is left of them. */
void vgpu_pages_drop(uint8_t *fresh, uint64_t bytes);

/*
 * The area has its content in the pages of `fresh`, which are used up, with its own permissions. Other threads read and
 * store there meanwhile. 0, or -errno with the first *done bytes exchanged and the rest as it was.
 */
int vgpu_pages_exchange(const struct vgpu_area *a, uint8_t *fresh, uint64_t *done);

#endif
