/* SPDX-License-Identifier: MIT */
/*
 * The table of all memory that the application has from us, for address
 * queries, classification and the immediate errors of bad pointers. One
 * reader-writer lock; the table itself is range.c.
 */
#ifndef VGPU_SHIM_MEMORY_H
#define VGPU_SHIM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "arena.h"
#include "range.h"

struct vgpu_context;
struct vgpu_stream;

/* What the worker can do with an address. */
enum vgpu_place {
	VGPU_PLACE_HOST,	/* the application's own memory: the worker cannot reach it */
	VGPU_PLACE_ARENA,	/* one address everywhere: the arena, and the application's own memory that was moved there */
	VGPU_PLACE_DEVICE,
};

extern struct vgpu_arena vgpu_arena;

/* Flag of VGPU_RANGE_DEVICE: the address is a graph's, and each launch makes memory there anew. Freeing ends only that. */
#define VGPU_MEMORY_OF_GRAPH 1u
/* Flag of VGPU_RANGE_DEVICE: in the order of a stream, from a pool of the driver's; the older way to share memory does not take it. */
#define VGPU_MEMORY_ORDERED 2u
/* Flag of VGPU_RANGE_PINNED and VGPU_RANGE_MANAGED: a pool gave it (host_pool.h), and it belongs to no context. */
#define VGPU_MEMORY_OF_POOL 0x80000000u

CUresult vgpu_memory_init(void);
/* Note a range. The current context is its owner. */
CUresult vgpu_memory_add(enum vgpu_range_kind kind, uint64_t start, uint64_t size, uint32_t flags);
bool vgpu_memory_find(uint64_t address, struct vgpu_range_info *info);
/* Set CU_POINTER_ATTRIBUTE_SYNC_MEMOPS of the range that contains `address`: false if there is none. */
bool vgpu_memory_set_sync(uint64_t address, bool on);
/* A synchronous copy or fill was sent to `s` (src 0: a fill): wait for it if that attribute of its memory wants it. */
CUresult vgpu_memory_settle(uint64_t dst, uint64_t src, struct vgpu_stream *s);
/* Forget the range that starts there if it is of one of the kinds in `kinds` (bits 1 << kind). */
bool vgpu_memory_remove(uint64_t start, uint32_t kinds, struct vgpu_range_info *info);
/* Forget the ranges of a context. Arena memory goes back to the arena. */
void vgpu_memory_drop(const struct vgpu_context *ctx);

/* Have the kernel make these pages now, MADV_POPULATE_READ or _WRITE, with the crew's help if they are many. */
void vgpu_memory_touch(uint8_t *at, uint64_t bytes, int advice);

enum vgpu_place vgpu_memory_place(uint64_t address);
/* The worker's driver, which is asked, says that memory not in the table is managed. */
bool vgpu_memory_is_managed(uint64_t address);
/* INVALID_VALUE unless [address, address + bytes) is inside one range of ours that the device can reach. */
CUresult vgpu_memory_check(uint64_t address, uint64_t bytes);

#endif
