/* SPDX-License-Identifier: MIT */
/*
 * Addresses of a recording and where they are now: a sorted list of ranges that do not overlap. One thread.
 */
#ifndef VGPU_BENCH_RELOCATE_H
#define VGPU_BENCH_RELOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relocation {
	struct relocation_range {
		uint64_t from, size, to;
	} *ranges;
	size_t count, room;
	size_t moved;		/* ranges whose two addresses differ */
};

/* What was at [from, from + size) is at `to`; what overlaps it is forgotten. 0 or -ENOMEM. */
int relocation_add(struct relocation *r, uint64_t from, uint64_t size, uint64_t to);
/* The range that begins there is gone. */
void relocation_remove(struct relocation *r, uint64_t from);
/* Where it is now: inside a range, or at its very end if nothing begins there; else as it was. */
uint64_t relocation_of(const struct relocation *r, uint64_t address);
/* Each aligned word of `bytes` bytes that is an address of a range. */
void relocation_words(const struct relocation *r, void *data, size_t bytes);
void relocation_free(struct relocation *r);

#endif
