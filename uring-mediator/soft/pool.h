/* SPDX-License-Identifier: MIT */
/*
 * Memory pools, seen from memory: which pool a block belongs to stands in its tag.
 */
#ifndef VGPU_SOFT_POOL_H
#define VGPU_SOFT_POOL_H

#include <stdint.h>

struct soft_context;

#define SOFT_TAG_POOL_NUMBER 16 /* shift: number of the pool */

/* A block of @size bytes with this tag is gone; nothing happens when it is of no pool. */
void soft_pool_freed(uint32_t tag, uint64_t size);
/* All blocks of @ctx are about to be freed. */
void soft_pool_forget(struct soft_context *ctx);

#endif
