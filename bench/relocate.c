/* SPDX-License-Identifier: MIT */
#include "relocate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first range that begins above `address`. */
static size_t above(const struct relocation *r, uint64_t address)
{
	size_t low = 0, high = r->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (r->ranges[middle].from > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void erase(struct relocation *r, size_t first, size_t count)
{
	size_t i;

	if (!count)
		return;
	for (i = first; i < first + count; i++)
		r->moved -= r->ranges[i].from != r->ranges[i].to;
	memmove(&r->ranges[first], &r->ranges[first + count], (r->count - first - count) * sizeof(*r->ranges));
	r->count -= count;
}

static int make_room(struct relocation *r)
{
	size_t room = r->room ? 2 * r->room : 64;
	struct relocation_range *ranges;

	if (r->count < r->room)
		return 0;
	ranges = realloc(r->ranges, room * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	r->ranges = ranges;
	r->room = room;
	return 0;
}

int relocation_add(struct relocation *r, uint64_t from, uint64_t size, uint64_t to)
{
	size_t first = above(r, from), last;

	if (!size || from + size < from)
		return 0;
	if (first && from - r->ranges[first - 1].from < r->ranges[first - 1].size)
		first--;
	for (last = first; last < r->count && r->ranges[last].from < from + size; last++)
		;
	erase(r, first, last - first);
	if (make_room(r))
		return -ENOMEM;
	memmove(&r->ranges[first + 1], &r->ranges[first], (r->count - first) * sizeof(*r->ranges));
	r->ranges[first] = (struct relocation_range){ from, size, to };
	r->count++;
	r->moved += from != to;
	return 0;
}

void relocation_remove(struct relocation *r, uint64_t from)
{
	size_t i = above(r, from);

	if (i && r->ranges[i - 1].from == from)
		erase(r, i - 1, 1);
}

uint64_t relocation_of(const struct relocation *r, uint64_t address)
{
	size_t i = above(r, address);

	if (!i || address - r->ranges[i - 1].from > r->ranges[i - 1].size)
		return address;
	return r->ranges[i - 1].to + (address - r->ranges[i - 1].from);
}

void relocation_words(const struct relocation *r, void *data, size_t bytes)
{
	uint64_t low, high, word;
	uint8_t *p = data;

	/* Nothing has moved: addresses are what they were. */
	if (!r->moved)
		return;
	low = r->ranges[0].from;
	high = r->ranges[r->count - 1].from + r->ranges[r->count - 1].size;
	for (; bytes >= 8; bytes -= 8, p += 8) {
		memcpy(&word, p, 8);
		if (word < low || word > high)
			continue;
		word = relocation_of(r, word);
		memcpy(p, &word, 8);
	}
}

void relocation_free(struct relocation *r)
{
	free(r->ranges);
	memset(r, 0, sizeof(*r));
}
