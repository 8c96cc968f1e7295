/* SPDX-License-Identifier: MIT */
/*
 * A portion at a time: under a guard its content is copied, then the fresh pages are moved over it. Portions are huge pages where
 * there are any: fresh pages lie in theirs as the application's do in its own, so that the kernel moves page tables, not pages.
 * Owns nothing between two calls.
 */
#include "pages.h"

#include <errno.h>
#include <sys/mman.h>

#include "guard.h"

#define PORTION	(2ull << 20)	/* bytes under a guard at once; a huge page, and what one entry of a page table's directory covers */

/* ---- fresh pages ---- */

/* Address space that lies in its portions as `start` does. */
static uint8_t *place(uint64_t start, uint64_t bytes, int prot)
{
	uint64_t spare = bytes < PORTION ? 0 : PORTION, before;
	uint8_t *p = mmap(NULL, bytes + spare, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || !spare)
		return p == MAP_FAILED ? NULL : p;
	before = (start - (uint64_t)(uintptr_t)p) % PORTION;
	if (before)
		munmap(p, before);
	munmap(p + before + bytes, spare - before);
	return p + before;
}

/* From `at` to the end of its portion, or all that is left. */
static uint64_t portion_at(uint64_t at, uint64_t left)
{
	uint64_t bytes = PORTION - at % PORTION;

	return bytes < left ? bytes : left;
}

/* A mapping for each portion: the kernel joins them, but for those of a device's memory, which it does not like to split either. */
uint8_t *vgpu_pages_of_file(uint64_t start, uint64_t bytes, int fd, uint64_t offset)
{
	uint8_t *p = place(start, bytes, PROT_NONE);
	uint64_t at, part;

	for (at = 0; p && at < bytes; at += part) {
		part = portion_at(start + at, bytes - at);
		if (mmap(p + at, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)(offset + at)) == MAP_FAILED) {
			munmap(p, bytes);
			return NULL;
		}
	}
	return p;
}

uint8_t *vgpu_pages_private(uint64_t start, uint64_t bytes)
{
	uint8_t *p = place(start, bytes, PROT_READ | PROT_WRITE);

	if (p && bytes >= PORTION)
		madvise(p, bytes, MADV_HUGEPAGE);
	if (p)
		madvise(p, bytes, MADV_POPULATE_WRITE);	/* if not, faults do it */
	return p;
}

void vgpu_pages_drop(uint8_t *fresh, uint64_t bytes)
{
	if (fresh && bytes)
		munmap(fresh, bytes);
}

/* ---- the exchange ---- */

/* 64 bytes at once, of whatever type. */
typedef uint64_t line __attribute__((vector_size(64), may_alias));

/*
 * Whole pages, whoever has what in them: memcpy() may be a sanitizer's, which knows better than to read between
 * two blocks. `bytes` in pages.
 */
__attribute__((no_sanitize("address", "thread"))) static void copy_pages(void *to, const void *from, uint64_t bytes)
{
	const line *in = from;
	line *out = to;
	uint64_t i;

	for (i = 0; i < bytes / sizeof(line); i++) {
		out[i] = in[i];
		__asm__ volatile("" ::: "memory");	/* else the compiler sees what it is, and calls memcpy() */
	}
}

/* mremap() and not mmap(): a thread sanitizer takes the latter for a store to every byte, which races with other threads. */
static int exchange_guarded(void *at, uint8_t *fresh, uint64_t bytes, int prot)
{
	copy_pages(fresh, at, bytes);
	if (prot != (PROT_READ | PROT_WRITE) && mprotect(fresh, bytes, prot))
		return -errno;
	return mremap(fresh, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED ? -errno : 0;
}

static int exchange_portion(void *at, uint8_t *fresh, uint64_t bytes, int prot)
{
	uint64_t start = (uint64_t)(uintptr_t)at;
	struct vgpu_guard g;
	int r;

	r = vgpu_guard_begin(&g, start, start + bytes);
	if (r)
		return r;
	if (prot & PROT_WRITE && mprotect(at, bytes, PROT_READ)) {
		r = -errno;
	} else {
		r = exchange_guarded(at, fresh, bytes, prot);
		if (r && prot & PROT_WRITE)
			mprotect(at, bytes, prot);
	}
	vgpu_guard_end(&g);
	return r;
}

int vgpu_pages_exchange(const struct vgpu_area *a, uint8_t *fresh, uint64_t *done)
{
	uint64_t bytes, size = a->end - a->start;
	int r;

	for (*done = 0; *done < size; *done += bytes) {
		bytes = portion_at(a->start + *done, size - *done);
		r = exchange_portion((void *)(uintptr_t)(a->start + *done), fresh + *done, bytes, a->prot);
		if (r)
			return r;
	}
	return 0;
}
