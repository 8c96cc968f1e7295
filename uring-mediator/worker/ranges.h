/* SPDX-License-Identifier: MIT */
/*
 * The device memory of a session: disjoint address ranges, by start address.  Every device pointer of a copy or a
 * memset (unless it is captured) is looked up here first, because the real driver, left to itself, would take any address
 * of the worker's own memory for a host pointer.  A treap; one thread; bounded by the memory of the device, not by us.
 */
#ifndef VGPU_WORKER_RANGES_H
#define VGPU_WORKER_RANGES_H

#include <stdbool.h>
#include <stdint.h>

enum vgpu_range_kind {
	VGPU_RANGE_ALLOC = 1,	/* cuMemAlloc and kin: freed by cuMemFree, charged to the session */
	VGPU_RANGE_POOL = 2,	/* cuMemAllocAsync: freed by cuMemFreeAsync or cuMemFree, charged */
	VGPU_RANGE_GLOBAL = 3,	/* a module's variable: lives as long as `owner` */
	VGPU_RANGE_MAPPED = 4,	/* cuMemMap: neighbours form one stretch */
	VGPU_RANGE_IMPORTED = 5,	/* cuIpcOpenMemHandle: charged to the session that allocated it */
	VGPU_RANGE_POINTER = 6,	/* cuMemPoolImportPointer: freed as POOL, charged as IMPORTED */
};

struct vgpu_mem_range {
	uint64_t start, size;
	uint64_t owner;		/* GLOBAL: wire id of the module or library; MAPPED: id of the physical memory; else 0 */
	enum vgpu_range_kind kind;
	uint32_t context;	/* index of the context that it dies with, 0: none */
	uint32_t priority;
	struct vgpu_mem_range *left, *right;
};

/* Is it charged to the session, and freed with it? */
static inline bool vgpu_range_charged(const struct vgpu_mem_range *r)
{
	return r->kind == VGPU_RANGE_ALLOC || r->kind == VGPU_RANGE_POOL;
}

struct vgpu_ranges {
	struct vgpu_mem_range *root;
	uint32_t count;
	uint32_t random;
};

/* 0; -EINVAL: empty, wraps, or overlaps a range that is there; -ENOMEM. */
int vgpu_ranges_add(struct vgpu_ranges *r, uint64_t start, uint64_t size, enum vgpu_range_kind kind, uint64_t owner,
		    uint32_t context);

/* The range that contains addr, or NULL. Valid until it is removed. */
const struct vgpu_mem_range *vgpu_ranges_find(const struct vgpu_ranges *r, uint64_t addr);

/* Some range that shares an address with [addr, addr + size), or NULL. */
const struct vgpu_mem_range *vgpu_ranges_overlap(const struct vgpu_ranges *r, uint64_t addr, uint64_t size);

/* Does [addr, addr + size) lie inside one range, or in adjoining MAPPED ones? Size 0 never does. */
bool vgpu_ranges_cover(const struct vgpu_ranges *r, uint64_t addr, uint64_t size);

/* Remove the range that starts at `start`. Returns its size, or 0 if there is none. */
uint64_t vgpu_ranges_remove(struct vgpu_ranges *r, uint64_t start);

/* Some range that dies with a context, or NULL. */
const struct vgpu_mem_range *vgpu_ranges_of_context(const struct vgpu_ranges *r, uint32_t context);

/* Remove all ranges of an owner. */
void vgpu_ranges_disown(struct vgpu_ranges *r, uint64_t owner);

void vgpu_ranges_free(struct vgpu_ranges *r);

#endif
