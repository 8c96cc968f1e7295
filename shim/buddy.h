/* SPDX-License-Identifier: MIT */
/*
 * A stretch of 2^orders equal blocks, cut in halves as blocks of 2^order are asked for and joined again when both halves
 * are free. Numbers only: it never touches the memory that they stand for. Taking and giving back cost a few words for
 * each order, however many blocks are out. Not locked: the owner (arena.c) does that.
 */
#ifndef VGPU_SHIM_BUDDY_H
#define VGPU_SHIM_BUDDY_H

#include <stdint.h>

#define VGPU_BUDDY_ORDERS_MAX	24u

struct vgpu_buddy;

/* All free. NULL without memory, or for too many orders. */
struct vgpu_buddy *vgpu_buddy_new(uint32_t orders);
void vgpu_buddy_delete(struct vgpu_buddy *b);
/* A run of 2^order blocks, cut from the smallest one that is large enough. Its first block, or -1. */
int64_t vgpu_buddy_take(struct vgpu_buddy *b, uint32_t order);
/* What take returned. Its order, or -EINVAL if it did not, or twice. */
int vgpu_buddy_give(struct vgpu_buddy *b, uint32_t block);
/* One more than the order of the largest free run; 0: none is free, orders + 1: all are. */
uint32_t vgpu_buddy_largest(const struct vgpu_buddy *b);

#endif
