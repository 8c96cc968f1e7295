/* SPDX-License-Identifier: MIT */
/* The device memory of a session, see ranges.h. Owned by the session, used on the worker's only thread. */
#include <errno.h>
#include <stdlib.h>

#include "ranges.h"

/* Tree of all starts below `at` and tree of the others. */
static void split(struct vgpu_mem_range *t, uint64_t at, struct vgpu_mem_range **low, struct vgpu_mem_range **high)
{
	while (t) {
		if (t->start < at) {
			*low = t;
			low = &t->right;
			t = t->right;
		} else {
			*high = t;
			high = &t->left;
			t = t->left;
		}
	}
	*low = NULL;
	*high = NULL;
}

static struct vgpu_mem_range *join(struct vgpu_mem_range *low, struct vgpu_mem_range *high)
{
	struct vgpu_mem_range *root, **at = &root;

	while (low && high) {
		if (low->priority > high->priority) {
			*at = low;
			at = &low->right;
			low = low->right;
		} else {
			*at = high;
			at = &high->left;
			high = high->left;
		}
	}
	*at = low ? low : high;
	return root;
}

static uint32_t next_priority(struct vgpu_ranges *r)
{
	uint32_t x = r->random ? r->random : 0x9e3779b9u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return r->random = x;
}

/* The range with the highest start that is at most addr. */
static struct vgpu_mem_range *floor_of(const struct vgpu_ranges *r, uint64_t addr)
{
	struct vgpu_mem_range *t = r->root, *best = NULL;

	while (t) {
		if (t->start <= addr) {
			best = t;
			t = t->right;
		} else {
			t = t->left;
		}
	}
	return best;
}

const struct vgpu_mem_range *vgpu_ranges_find(const struct vgpu_ranges *r, uint64_t addr)
{
	struct vgpu_mem_range *t = floor_of(r, addr);

	return t && addr - t->start < t->size ? t : NULL;
}

const struct vgpu_mem_range *vgpu_ranges_overlap(const struct vgpu_ranges *r, uint64_t addr, uint64_t size)
{
	struct vgpu_mem_range *last = size ? floor_of(r, addr + size - 1) : NULL;

	return last && last->start + last->size > addr ? last : NULL;
}

bool vgpu_ranges_cover(const struct vgpu_ranges *r, uint64_t addr, uint64_t size)
{
	const struct vgpu_mem_range *t = vgpu_ranges_find(r, addr);
	uint64_t room;

	if (!t || !size)
		return false;
	room = t->size - (addr - t->start);
	while (room < size && t->kind == VGPU_RANGE_MAPPED) {
		t = vgpu_ranges_find(r, t->start + t->size);
		if (!t || t->kind != VGPU_RANGE_MAPPED)
			return false;
		room += t->size;
	}
	return room >= size;
}

int vgpu_ranges_add(struct vgpu_ranges *r, uint64_t start, uint64_t size, enum vgpu_range_kind kind, uint64_t owner,
		    uint32_t context)
{
	struct vgpu_mem_range *low, *high, *n, *last;

	if (!size || start + size < start)
		return -EINVAL;
	last = floor_of(r, start + size - 1);
	if (last && last->start + last->size > start)
		return -EINVAL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->start = start;
	n->size = size;
	n->kind = kind;
	n->owner = owner;
	n->context = context;
	n->priority = next_priority(r);
	split(r->root, start, &low, &high);
	r->root = join(join(low, n), high);
	r->count++;
	return 0;
}

uint64_t vgpu_ranges_remove(struct vgpu_ranges *r, uint64_t start)
{
	struct vgpu_mem_range **at = &r->root, *t;
	uint64_t size;

	while (*at && (*at)->start != start)
		at = start < (*at)->start ? &(*at)->left : &(*at)->right;
	t = *at;
	if (!t)
		return 0;
	size = t->size;
	*at = join(t->left, t->right);
	free(t);
	r->count--;
	return size;
}

static const struct vgpu_mem_range *first_in(const struct vgpu_mem_range *t, uint32_t context)
{
	const struct vgpu_mem_range *found;

	if (!t || t->context == context)
		return t;
	found = first_in(t->left, context);
	return found ? found : first_in(t->right, context);
}

const struct vgpu_mem_range *vgpu_ranges_of_context(const struct vgpu_ranges *r, uint32_t context)
{
	return first_in(r->root, context);
}

static const struct vgpu_mem_range *first_of(const struct vgpu_mem_range *t, uint64_t owner)
{
	const struct vgpu_mem_range *found;

	if (!t || t->owner == owner)
		return t;
	found = first_of(t->left, owner);
	return found ? found : first_of(t->right, owner);
}

void vgpu_ranges_disown(struct vgpu_ranges *r, uint64_t owner)
{
	const struct vgpu_mem_range *t;

	while ((t = first_of(r->root, owner)))
		vgpu_ranges_remove(r, t->start);
}

void vgpu_ranges_free(struct vgpu_ranges *r)
{
	while (r->root)
		vgpu_ranges_remove(r, r->root->start);
}
