/* SPDX-License-Identifier: MIT */
/*
 * Memory of the mediator's processes.  This header is the only place that
 * knows which allocator that is: jemalloc, which also takes over malloc() of
 * the libraries linked into the process, or the C library's when the build
 * has a sanitizer (which brings an allocator of its own).
 *
 * Any thread.  What comes back is zero-filled, or NULL if there is no memory.
 */
#ifndef VGPU_ALLOC_H
#define VGPU_ALLOC_H

#include <stddef.h>
#include <stdlib.h>
#ifdef VGPU_JEMALLOC
#include <stdint.h>
#include <jemalloc/jemalloc.h>
#endif

static inline void *vgpu_zalloc(size_t size)
{
	return calloc(1, size);
}

static inline void vgpu_free(void *p)
{
	free(p);
}

/* Bytes in use by the process's heap, 0 if the allocator does not count them. */
static inline size_t vgpu_alloc_in_use(void)
{
	size_t bytes = 0;
#ifdef VGPU_JEMALLOC
	uint64_t epoch = 1;
	size_t size = sizeof(epoch);

	mallctl("epoch", &epoch, &size, &epoch, sizeof(epoch));
	size = sizeof(bytes);
	if (mallctl("stats.allocated", &bytes, &size, NULL, 0))
		bytes = 0;
#endif
	return bytes;
}

#endif
