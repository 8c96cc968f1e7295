/* SPDX-License-Identifier: MIT */
/*
 * While pages are replaced by others with the same content, no other thread may store to them, or its store is lost. A
 * guard takes write permission away for that moment; a thread that stores then faults, and its store is tried again
 * until it succeeds. One guard at a time: the caller sees to that.
 */
#ifndef VGPU_SHIM_GUARD_H
#define VGPU_SHIM_GUARD_H

#include <signal.h>
#include <stdint.h>

struct vgpu_guard {
	sigset_t mask;	/* of this thread, before */
};

/*
 * Stores to [start, end) may from here on fail for a moment. This thread takes no other signal until the end. 0 or
 * -errno.
 */
int vgpu_guard_begin(struct vgpu_guard *g, uint64_t start, uint64_t end);
/* Each store succeeds, as far as the pages have permission again, which is the caller's doing. */
void vgpu_guard_end(struct vgpu_guard *g);

#endif
