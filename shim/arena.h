/* SPDX-License-Identifier: MIT */
/*
 * Memory that application, worker and GPU see at one address. Extents of the
 * shared arena are claimed for this channel by compare-and-swap in the shared
 * table; inside one extent a buddy allocator serves small requests, larger
 * ones get a run of extents. All bookkeeping is private to this process.
 * Registering memory with the driver is what costs, so extents that become
 * free are kept for later requests, and given up when the arena runs short.
 */
#ifndef VGPU_SHIM_ARENA_H
#define VGPU_SHIM_ARENA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/shm.h>

#include "buddy.h"

#define VGPU_ARENA_MIN	512u	/* bytes of the smallest block, and alignment of each */

struct vgpu_arena_extent;

struct vgpu_arena {
	pthread_mutex_t lock;
	uint8_t *base;			/* of extent 0 */
	uint64_t extent_size;		/* a power of two */
	uint32_t extent_count;
	_Atomic uint32_t *owners;	/* shared table */
	uint32_t owner;			/* our channel + 1 */
	uint32_t orders;		/* order o holds blocks of VGPU_ARENA_MIN << o; the last is the extent */
	struct vgpu_arena_extent *extents;
	uint32_t split[VGPU_BUDDY_ORDERS_MAX + 2];	/* lists of split extents by their vgpu_buddy_largest(): index + 1 */
	uint64_t used;			/* bytes handed out, rounded */
	uint32_t kept;			/* free extents that are still ours and registered */
	uint32_t keep;			/* of them, this many at most; 0 after init: none */
	uint32_t step;			/* extents claimed at once for small blocks; 1 after init */
	uint32_t ahead_most;		/* extents claimed ahead of use, at most; 0 after init: none */
	uint32_t ahead;			/* of the stretch that is claimed ahead now, 0: there is none */
	uint32_t used_up;		/* length of the stretch that was last put to use: so long is the next one ahead */
	_Atomic bool refused;		/* the worker would not take extents: the last failure was not for want of them */
	/*
	 * Told of extents that come into use, are claimed for later and are about to be released, under the lock; may be
	 * NULL.  `claimed` other than 0 means that the worker would not take them.
	 */
	int (*claimed)(uint32_t first, uint32_t count);
	void (*claimed_ahead)(uint32_t first, uint32_t count);
	void (*released)(uint32_t first, uint32_t count);
};

/* `memory` is the whole shared memory, `channel` ours. 0 or -ENOMEM. */
int vgpu_arena_init(struct vgpu_arena *a, void *memory, const struct vgpu_shm_geometry *g, uint32_t channel);
void vgpu_arena_destroy(struct vgpu_arena *a);
/* Claim extents that are likely to be needed next, at least `least` bytes, if none are. Costs a command, and waits for nothing. */
void vgpu_arena_prepare(struct vgpu_arena *a, uint64_t least);
/* `size` bytes (above 0), aligned to VGPU_ARENA_MIN, pages of 4 KiB and more to their size. NULL: exhausted. */
void *vgpu_arena_alloc(struct vgpu_arena *a, uint64_t size);
/* The same where the device does not come by this address: what has to be claimed for it alone is not registered. */
void *vgpu_arena_alloc_plain(struct vgpu_arena *a, uint64_t size);
/* What one of them returned. -EINVAL if it did not, or twice. */
int vgpu_arena_free(struct vgpu_arena *a, void *p);

#endif
