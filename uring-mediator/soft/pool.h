/* SPDX-License-Identifier: MIT */
/*
 * Memory pools. Which pool a block belongs to stands in its tag.
 */
#ifndef VGPU_SOFT_POOL_H
#define VGPU_SOFT_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"

struct soft_context;

#define SOFT_TAG_POOL_NUMBER 16 /* shift: number of the pool */

/* What a pool is called in all processes that have it. */
struct soft_pool_name {
	uint64_t word[2];
};

struct soft_pool {
	struct soft_object obj;
	uint32_t number;
	int device;
	bool shareable, imported;
	struct soft_pool_name name; /* of shareable and imported ones */
	uint64_t max_size;      /* 0: none */
	uint64_t threshold;
	int reuse[3];           /* the three REUSE_ attributes, in their order */
	uint64_t used, high;    /* under the lock of pool.c */
};

/* A new pool, bound to its handle; NULL for want of memory. */
struct soft_pool *soft_pool_make(int device, uint64_t max_size);
/* Counts a block of this pool as used. */
void soft_pool_count(struct soft_pool *p, uint64_t size);
/* The pool whose number stands in @tag, with a reference, or NULL. */
struct soft_pool *soft_pool_of(uint32_t tag);

/* Gives a pool a name, so that it can be shared. */
void soft_pool_offer(struct soft_pool *p);

/* A block of @size bytes with this tag is gone; nothing happens when it is of no pool. */
void soft_pool_freed(uint32_t tag, uint64_t size);
/* All blocks of @ctx are about to be freed. */
void soft_pool_forget(struct soft_context *ctx);

#endif
