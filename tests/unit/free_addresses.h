/* SPDX-License-Identifier: MIT */
/*
 * Addresses for a test that plays a device: free, and where nothing of this
 * process comes to lie by itself. They are near those of mmap(), because
 * ThreadSanitizer ends a program that maps memory beside what it calls a
 * program's memory.
 */
#ifndef TEST_FREE_ADDRESSES_H
#define TEST_FREE_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define FREE_ADDRESSES_BELOW	(64ull << 30)	/* the kernel gives addresses from the top down */
#define FREE_ADDRESSES_ALIGN	(1ull << 30)

/* The start of at least 1 GiB, aligned to as much; 0 when the process can map nothing. */
static inline uint64_t free_addresses(void)
{
	const size_t page = 4096;
	void *p = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 0;
	munmap(p, page);
	return ((uint64_t)(uintptr_t)p - FREE_ADDRESSES_BELOW) & ~(FREE_ADDRESSES_ALIGN - 1);
}

#endif
