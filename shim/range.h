/* SPDX-License-Identifier: MIT */
/*
 * Which allocation an address belongs to: device memory, pinned memory,
 * registered host memory, module globals. Disjoint ranges sorted by start, in
 * leaves under one directory, so that a lookup among a million is two short
 * binary searches and an insertion moves a few KiB. Not locked: the owner
 * (memory.c) does that.
 */
#ifndef VGPU_SHIM_RANGE_H
#define VGPU_SHIM_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vgpu_range_kind {
	VGPU_RANGE_DEVICE = 1,		/* cuMemAlloc and its relatives */
	VGPU_RANGE_GLOBAL = 2,		/* a variable of a module */
	VGPU_RANGE_PINNED = 3,		/* arena memory: one address everywhere */
	VGPU_RANGE_MANAGED = 4,		/* arena memory handed out as managed */
	VGPU_RANGE_REGISTERED = 5,	/* the application's own memory, registered */
	VGPU_RANGE_MOVED = 8,		/* the same, its pages in the arena: the device reaches them */
	VGPU_RANGE_RESERVED = 6,	/* device addresses of cuMemAddressReserve, mapped or not */
	VGPU_RANGE_IMPORTED = 7,	/* device memory of another process of this VM */
	VGPU_RANGE_MIRROR = 9,		/* a managed variable: device memory with a mirror here (mirror.h) */
};

struct vgpu_range_info {
	uint64_t start, size;		/* bytes */
	uint64_t id;			/* buffer id, never used twice */
	uint64_t context;		/* wire id of the context it was made in */
	uint32_t flags;			/* the call's flags */
	uint8_t kind;			/* enum vgpu_range_kind */
	bool sync_memops;		/* synchronous copies and fills of it are waited for */
	int16_t device;
};

struct vgpu_range_leaf;

struct vgpu_range_map {
	struct vgpu_range_leaf **leaves;	/* sorted, none empty */
	uint64_t *firsts;			/* start of the first range of each leaf */
	size_t leaf_count, leaf_room;
	size_t count;				/* ranges */
};

/* 0, -EEXIST if it overlaps another, -EINVAL for size 0 or wrap-around, -ENOMEM. */
int vgpu_range_insert(struct vgpu_range_map *t, const struct vgpu_range_info *info);
/* The range that contains `address`, copied to *info. */
bool vgpu_range_find(const struct vgpu_range_map *t, uint64_t address, struct vgpu_range_info *info);
/* Set sync_memops of the range that contains `address`: false if there is none. */
bool vgpu_range_set_sync(struct vgpu_range_map *t, uint64_t address, bool on);
/* Remove the range that starts at `start`; copied to *info if that is not NULL. */
bool vgpu_range_remove(struct vgpu_range_map *t, uint64_t start, struct vgpu_range_info *info);
/* Lowest range with start >= `from`. */
bool vgpu_range_next(const struct vgpu_range_map *t, uint64_t from, struct vgpu_range_info *info);
void vgpu_range_destroy(struct vgpu_range_map *t);

#endif
