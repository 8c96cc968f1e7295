/* SPDX-License-Identifier: MIT */
/*
 * The sorted map of ranges: a directory of leaves of up to 256 ranges each.
 * A full leaf splits in two, an empty one goes away. The caller locks.
 */
#include "range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAF	256u

struct vgpu_range_leaf {
	uint32_t count;
	uint64_t starts[LEAF];		/* apart from the rest: this is what is searched */
	struct vgpu_range_info infos[LEAF];
};

/* Number of keys that are <= `key`. */
static size_t rank(const uint64_t *keys, size_t count, uint64_t key)
{
	size_t low = 0, high = count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (keys[mid] <= key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The last range with start <= address, or NULL. *leaf, *at: where it is. */
static struct vgpu_range_info *floor_of(const struct vgpu_range_map *m, uint64_t address, size_t *leaf, size_t *at)
{
	size_t n = rank(m->firsts, m->leaf_count, address);
	struct vgpu_range_leaf *l;

	if (!n)
		return NULL;
	l = m->leaves[n - 1];
	*leaf = n - 1;
	*at = rank(l->starts, l->count, address) - 1;
	return &l->infos[*at];
}

bool vgpu_range_find(const struct vgpu_range_map *m, uint64_t address, struct vgpu_range_info *info)
{
	const struct vgpu_range_info *i;
	size_t leaf, at;

	i = floor_of(m, address, &leaf, &at);
	if (!i || address - i->start >= i->size)
		return false;
	*info = *i;
	return true;
}

bool vgpu_range_set_sync(struct vgpu_range_map *m, uint64_t address, bool on)
{
	struct vgpu_range_info *i;
	size_t leaf, at;

	i = floor_of(m, address, &leaf, &at);
	if (!i || address - i->start >= i->size)
		return false;
	i->sync_memops = on;
	return true;
}

bool vgpu_range_next(const struct vgpu_range_map *m, uint64_t from, struct vgpu_range_info *info)
{
	const struct vgpu_range_leaf *l;
	size_t n = rank(m->firsts, m->leaf_count, from), at;

	if (n) {
		l = m->leaves[n - 1];
		at = rank(l->starts, l->count, from);
		if (at && l->starts[at - 1] == from)
			at--;
		if (at < l->count) {
			*info = l->infos[at];
			return true;
		}
	}
	if (n >= m->leaf_count)
		return false;
	*info = m->leaves[n]->infos[0];
	return true;
}

static int grow_directory(struct vgpu_range_map *m)
{
	size_t room = m->leaf_room ? 2 * m->leaf_room : 16;
	struct vgpu_range_leaf **leaves;
	uint64_t *firsts;

	if (m->leaf_count < m->leaf_room)
		return 0;
	leaves = realloc(m->leaves, room * sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	m->leaves = leaves;
	firsts = realloc(m->firsts, room * sizeof(*firsts));
	if (!firsts)
		return -ENOMEM;
	m->firsts = firsts;
	m->leaf_room = room;
	return 0;
}

/* A new empty leaf at position `at` of the directory, or NULL. */
static struct vgpu_range_leaf *add_leaf(struct vgpu_range_map *m, size_t at)
{
	struct vgpu_range_leaf *l;

	if (grow_directory(m))
		return NULL;
	l = malloc(sizeof(*l));
	if (!l)
		return NULL;
	l->count = 0;
	memmove(&m->leaves[at + 1], &m->leaves[at], (m->leaf_count - at) * sizeof(*m->leaves));
	memmove(&m->firsts[at + 1], &m->firsts[at], (m->leaf_count - at) * sizeof(*m->firsts));
	m->leaves[at] = l;
	m->leaf_count++;
	return l;
}

/* Move the upper half of a full leaf into a new one. */
static int split(struct vgpu_range_map *m, size_t leaf)
{
	struct vgpu_range_leaf *to = add_leaf(m, leaf + 1), *from = m->leaves[leaf];
	uint32_t half = LEAF / 2;

	if (!to)
		return -ENOMEM;
	to->count = from->count - half;
	memcpy(to->starts, from->starts + half, to->count * sizeof(*to->starts));
	memcpy(to->infos, from->infos + half, to->count * sizeof(*to->infos));
	from->count = half;
	m->firsts[leaf + 1] = to->starts[0];
	return 0;
}

static void put(struct vgpu_range_map *m, size_t leaf, size_t at, const struct vgpu_range_info *info)
{
	struct vgpu_range_leaf *l = m->leaves[leaf];

	memmove(&l->starts[at + 1], &l->starts[at], (l->count - at) * sizeof(*l->starts));
	memmove(&l->infos[at + 1], &l->infos[at], (l->count - at) * sizeof(*l->infos));
	l->starts[at] = info->start;
	l->infos[at] = *info;
	l->count++;
	m->firsts[leaf] = l->starts[0];
	m->count++;
}

int vgpu_range_insert(struct vgpu_range_map *m, const struct vgpu_range_info *info)
{
	struct vgpu_range_info next;
	const struct vgpu_range_info *below;
	size_t leaf = 0, at = 0;

	if (!info->size || info->start + info->size < info->start)
		return -EINVAL;
	below = floor_of(m, info->start, &leaf, &at);
	if (below && info->start - below->start < below->size)
		return -EEXIST;
	if (vgpu_range_next(m, info->start, &next) && next.start - info->start < info->size)
		return -EEXIST;
	if (!m->leaf_count && !add_leaf(m, 0))
		return -ENOMEM;
	if (m->leaves[leaf]->count == LEAF) {
		if (split(m, leaf))
			return -ENOMEM;
		if (info->start >= m->firsts[leaf + 1])
			leaf++;
	}
	put(m, leaf, rank(m->leaves[leaf]->starts, m->leaves[leaf]->count, info->start), info);
	return 0;
}

bool vgpu_range_remove(struct vgpu_range_map *m, uint64_t start, struct vgpu_range_info *info)
{
	struct vgpu_range_leaf *l;
	struct vgpu_range_info *i;
	size_t leaf, at;

	i = floor_of(m, start, &leaf, &at);
	if (!i || i->start != start)
		return false;
	if (info)
		*info = *i;
	l = m->leaves[leaf];
	l->count--;
	m->count--;
	memmove(&l->starts[at], &l->starts[at + 1], (l->count - at) * sizeof(*l->starts));
	memmove(&l->infos[at], &l->infos[at + 1], (l->count - at) * sizeof(*l->infos));
	if (l->count) {
		m->firsts[leaf] = l->starts[0];
		return true;
	}
	free(l);
	m->leaf_count--;
	memmove(&m->leaves[leaf], &m->leaves[leaf + 1], (m->leaf_count - leaf) * sizeof(*m->leaves));
	memmove(&m->firsts[leaf], &m->firsts[leaf + 1], (m->leaf_count - leaf) * sizeof(*m->firsts));
	return true;
}

void vgpu_range_destroy(struct vgpu_range_map *m)
{
	size_t i;

	for (i = 0; i < m->leaf_count; i++)
		free(m->leaves[i]);
	free(m->leaves);
	free(m->firsts);
	memset(m, 0, sizeof(*m));
}
