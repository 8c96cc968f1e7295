/* SPDX-License-Identifier: MIT */
/*
 * The arena's allocator. The shared extent table is the only thing that other
 * processes of the VM touch; what it says about extents of ours is never read
 * back. Any thread; one mutex, never held across a wait for the GPU.
 *
 * An extent is FREE (not ours), KEPT (ours, unused), HEAD of a run of whole extents, TAIL of one,
 * or BUDDY: split. Extents claimed together are a stretch: registered, and given up, as a whole. A run never leaves its
 * stretch, because the driver does not copy across two registrations. One stretch may be claimed ahead: KEPT like others,
 * and the worker is asked for its answer when it comes into use. Split extents are listed by what can still be had from
 * them, so that a block is found without a look at those that are full.
 */
#include "arena.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "buddy.h"
#include "thread.h"

enum kind { FREE, KEPT, HEAD, TAIL, BUDDY };

struct vgpu_arena_extent {
	uint8_t kind;
	uint8_t largest;	/* BUDDY: the list that it is on */
	uint32_t prev, next;	/* BUDDY: on that list, index + 1 */
	uint32_t run;		/* HEAD: extents in the run */
	uint32_t stretch;	/* not FREE: first extent of its stretch */
	uint32_t length;	/* first of a stretch: extents in it */
	struct vgpu_buddy *buddy;	/* BUDDY: its blocks */
	bool ahead;		/* first of a stretch: the worker has not said yet that it is registered */
	bool plain;		/* first of a stretch: it is not to be, and is given up when it is free */
};

static uint32_t order_of(uint64_t size)
{
	uint32_t order = 0;

	while (((uint64_t)VGPU_ARENA_MIN << order) < size)
		order++;
	return order;
}

int vgpu_arena_init(struct vgpu_arena *a, void *memory, const struct vgpu_shm_geometry *g, uint32_t channel)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->lock, NULL);
	a->base = (uint8_t *)memory + g->arena_at;
	a->extent_size = g->extent_size;
	a->extent_count = g->extent_count;
	a->owners = vgpu_shm_extents(memory, g);
	a->owner = channel + 1;
	a->step = 1;
	a->orders = order_of(g->extent_size);
	a->extents = calloc(g->extent_count, sizeof(*a->extents));
	return a->extents ? 0 : -ENOMEM;
}

void vgpu_arena_destroy(struct vgpu_arena *a)
{
	uint32_t i;

	for (i = 0; a->extents && i < a->extent_count; i++)
		vgpu_buddy_delete(a->extents[i].buddy);
	free(a->extents);
	a->extents = NULL;
	pthread_mutex_destroy(&a->lock);
}

static void give_back(struct vgpu_arena *a, uint32_t first, uint32_t count)
{
	uint32_t i;

	for (i = first; i < first + count; i++)
		atomic_store_explicit(&a->owners[i], VGPU_EXTENT_FREE, memory_order_release);
}

/* Claim exactly [first, first + count); false with nothing claimed if one is taken. */
static bool claim_run(struct vgpu_arena *a, uint32_t first, uint32_t count)
{
	uint32_t i, none;

	for (i = 0; i < count; i++) {
		none = VGPU_EXTENT_FREE;
		if (!atomic_compare_exchange_strong(&a->owners[first + i], &none, a->owner)) {
			give_back(a, first, i);
			return false;
		}
	}
	return true;
}

/* A run of `count` extents that nobody owns, now claimed. Its index, or -1. */
static int64_t claim(struct vgpu_arena *a, uint32_t count)
{
	uint32_t i, have = 0;

	for (i = 0; i < a->extent_count; i++) {
		if (atomic_load_explicit(&a->owners[i], memory_order_relaxed) != VGPU_EXTENT_FREE) {
			have = 0;
			continue;
		}
		if (++have < count)
			continue;
		if (claim_run(a, i + 1 - count, count))
			return i + 1 - count;
		have = 0;
	}
	return -1;
}

static void keep_stretch(struct vgpu_arena *a, uint32_t first, uint32_t count)
{
	uint32_t i;

	for (i = first; i < first + count; i++)
		a->extents[i] = (struct vgpu_arena_extent){ .kind = KEPT, .stretch = first };
	a->extents[first].length = count;
	a->kept += count;
}

static void forget_stretch(struct vgpu_arena *a, uint32_t first)
{
	uint32_t count = a->extents[first].length;

	if (a->extents[first].ahead)
		a->ahead = 0;
	memset(&a->extents[first], 0, count * sizeof(*a->extents));
	a->kept -= count;
	give_back(a, first, count);
}

/* The worker registers the stretch, or has already. False: it will not, and the stretch is given up. */
static bool settle(struct vgpu_arena *a, uint32_t first)
{
	uint32_t count = a->extents[first].length;

	if (a->claimed && a->claimed(first, count)) {
		a->refused = true;
		forget_stretch(a, first);
		return false;
	}
	if (a->extents[first].ahead)
		a->ahead = 0;
	a->extents[first].ahead = false;
	a->used_up = count;
	return true;
}

/* Claim a stretch of `count`: all KEPT. False: none to be had. */
static bool claim_stretch(struct vgpu_arena *a, uint32_t count, bool plain)
{
	int64_t first = claim(a, count);

	if (first < 0)
		return false;
	keep_stretch(a, (uint32_t)first, count);
	a->extents[first].plain = plain;
	return plain || settle(a, (uint32_t)first);
}

/* Give up the stretch if all of it is KEPT. */
static void drop_stretch(struct vgpu_arena *a, uint32_t first)
{
	uint32_t i, count = a->extents[first].length;

	for (i = first; i < first + count; i++)
		if (a->extents[i].kind != KEPT)
			return;
	if (a->released)
		a->released(first, count);
	forget_stretch(a, first);
}

/* Give up unused stretches until at most `keep` extents are kept, or none can be. */
static void shed(struct vgpu_arena *a, uint32_t keep)
{
	uint32_t i, next;

	for (i = 0; i < a->extent_count && a->kept > keep; i = next) {
		next = i + 1;
		if (a->extents[i].kind == FREE)
			continue;
		next = a->extents[i].stretch + a->extents[a->extents[i].stretch].length;
		drop_stretch(a, a->extents[i].stretch);
	}
}

/* The shortest run of at least `count` KEPT extents of one stretch. Its index, or -1. */
static int64_t find_kept(const struct vgpu_arena *a, uint32_t count)
{
	uint32_t i, end, best = UINT32_MAX;
	int64_t at = -1;

	for (i = 0; i < a->extent_count && a->kept >= count; i = end) {
		end = i + 1;
		if (a->extents[i].kind != KEPT)
			continue;
		while (end < a->extent_count && a->extents[end].kind == KEPT &&
		       a->extents[end].stretch == a->extents[i].stretch)
			end++;
		if (end - i >= count && end - i < best) {
			best = end - i;
			at = i;
		}
	}
	return at;
}

/*
 * `count` extents of ours in one stretch, unused: kept ones, or `step` new ones if the arena has them, or just so many,
 * if need be after what is kept elsewhere was given up. Their index, or -1. `plain`: new ones are.
 */
static int64_t take(struct vgpu_arena *a, uint32_t count, uint32_t step, bool plain)
{
	int64_t at = find_kept(a, count);

	if (at >= 0 && a->extents[a->extents[at].stretch].ahead && !settle(a, a->extents[at].stretch))
		at = -1;
	if (at < 0 && !(step > count && claim_stretch(a, step, plain)) && !claim_stretch(a, count, plain)) {
		shed(a, 0);
		if (!claim_stretch(a, count, plain))
			return -1;
	}
	if (at < 0)
		at = find_kept(a, count);
	if (at >= 0)
		a->kept -= count;
	return at;
}

static void *alloc_run(struct vgpu_arena *a, uint64_t size, bool plain)
{
	uint64_t count = (size + a->extent_size - 1) / a->extent_size;
	int64_t first;
	uint64_t i;

	if (count > a->extent_count)
		return NULL;
	first = take(a, (uint32_t)count, (uint32_t)count, plain);
	if (first < 0)
		return NULL;
	a->extents[first].kind = HEAD;
	a->extents[first].run = (uint32_t)count;
	for (i = 1; i < count; i++)
		a->extents[(uint64_t)first + i].kind = TAIL;
	a->used += count * a->extent_size;
	return a->base + (uint64_t)first * a->extent_size;
}

static void list(struct vgpu_arena *a, struct vgpu_arena_extent *e)
{
	uint32_t self = (uint32_t)(e - a->extents) + 1, *head;

	e->largest = (uint8_t)vgpu_buddy_largest(e->buddy);
	head = &a->split[e->largest];
	e->prev = 0;
	e->next = *head;
	if (*head)
		a->extents[*head - 1].prev = self;
	*head = self;
}

static void unlist(struct vgpu_arena *a, struct vgpu_arena_extent *e)
{
	if (e->prev)
		a->extents[e->prev - 1].next = e->next;
	else
		a->split[e->largest] = e->next;
	if (e->next)
		a->extents[e->next - 1].prev = e->prev;
}

static void relist(struct vgpu_arena *a, struct vgpu_arena_extent *e)
{
	if (e->largest == vgpu_buddy_largest(e->buddy))
		return;
	unlist(a, e);
	list(a, e);
}

/* Take an extent to be split. NULL without memory. */
static struct vgpu_arena_extent *split_new(struct vgpu_arena *a)
{
	struct vgpu_buddy *buddy = vgpu_buddy_new(a->orders);
	int64_t at = buddy ? take(a, 1, a->step, false) : -1;
	struct vgpu_arena_extent *e;

	if (at < 0) {
		vgpu_buddy_delete(buddy);
		return NULL;
	}
	e = &a->extents[at];
	e->buddy = buddy;
	e->kind = BUDDY;
	list(a, e);
	return e;
}

static void *alloc_block(struct vgpu_arena *a, uint32_t order)
{
	struct vgpu_arena_extent *e = NULL;
	uint32_t i;
	int64_t at;

	/* The fullest of them that will do. */
	for (i = order + 1; i <= a->orders + 1 && !e; i++)
		if (a->split[i])
			e = &a->extents[a->split[i] - 1];
	if (!e)
		e = split_new(a);
	if (!e)
		return NULL;
	at = vgpu_buddy_take(e->buddy, order);
	relist(a, e);
	a->used += (uint64_t)VGPU_ARENA_MIN << order;
	return a->base + (uint64_t)(e - a->extents) * a->extent_size + (uint64_t)at * VGPU_ARENA_MIN;
}

void vgpu_arena_prepare(struct vgpu_arena *a, uint64_t least)
{
	uint32_t count = (uint32_t)((least + a->extent_size - 1) / a->extent_size);
	int64_t first;

	vgpu_lock(&a->lock);
	count = count < a->step ? a->step : count;
	count = count < a->used_up ? a->used_up : count;
	count = count < a->ahead_most ? count : a->ahead_most;
	first = count && !a->ahead ? claim(a, count) : -1;
	if (first >= 0) {
		keep_stretch(a, (uint32_t)first, count);
		a->extents[first].ahead = true;
		a->ahead = count;
		a->claimed_ahead((uint32_t)first, count);
	}
	vgpu_unlock(&a->lock);
}

static void *alloc(struct vgpu_arena *a, uint64_t size, bool plain)
{
	void *p;

	if (!size)
		return NULL;
	vgpu_lock(&a->lock);
	a->refused = false;
	p = size > a->extent_size / 2 ? alloc_run(a, size, plain) : alloc_block(a, order_of(size));
	vgpu_unlock(&a->lock);
	return p;
}

void *vgpu_arena_alloc(struct vgpu_arena *a, uint64_t size)
{
	return alloc(a, size, false);
}

void *vgpu_arena_alloc_plain(struct vgpu_arena *a, uint64_t size)
{
	return alloc(a, size, true);
}

/* A run or a split extent is not used any more. */
static void release(struct vgpu_arena *a, uint32_t first, uint32_t count)
{
	uint32_t i, stretch = a->extents[first].stretch;

	for (i = first; i < first + count; i++) {
		vgpu_buddy_delete(a->extents[i].buddy);
		a->extents[i].buddy = NULL;
		a->extents[i].kind = KEPT;
	}
	a->kept += count;
	if (a->extents[stretch].plain)
		forget_stretch(a, stretch);
	else
		shed(a, a->keep);
}

static int free_block(struct vgpu_arena *a, uint32_t index, uint64_t offset)
{
	struct vgpu_arena_extent *e = &a->extents[index];
	int order = offset % VGPU_ARENA_MIN ? -EINVAL : vgpu_buddy_give(e->buddy, (uint32_t)(offset / VGPU_ARENA_MIN));

	if (order < 0)
		return order;
	a->used -= (uint64_t)VGPU_ARENA_MIN << order;
	if (vgpu_buddy_largest(e->buddy) <= a->orders) {
		relist(a, e);
		return 0;
	}
	unlist(a, e);
	release(a, index, 1);
	return 0;
}

int vgpu_arena_free(struct vgpu_arena *a, void *p)
{
	uint64_t at = (uint64_t)((uint8_t *)p - a->base);
	uint32_t index;
	int r = -EINVAL;

	if ((uint8_t *)p < a->base || at / a->extent_size >= a->extent_count)
		return -EINVAL;
	index = (uint32_t)(at / a->extent_size);
	vgpu_lock(&a->lock);
	if (a->extents[index].kind == BUDDY) {
		r = free_block(a, index, at % a->extent_size);
	} else if (a->extents[index].kind == HEAD && !(at % a->extent_size)) {
		a->used -= (uint64_t)a->extents[index].run * a->extent_size;
		release(a, index, a->extents[index].run);
		r = 0;
	}
	vgpu_unlock(&a->lock);
	return r;
}
