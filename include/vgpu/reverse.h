/* SPDX-License-Identifier: MIT */
/*
 * Calls from the worker to the guest, in the reverse ring: commands with operation host_call whose arguments are this
 * structure. cookie != 0: a function that the guest queued in a stream, by its number; the guest knows the rest, and
 * the command may end behind the cookie. cookie 0: a function that the worker was told of, in a graph or as the
 * destructor of a user object. The guest runs them one after the other, in the order of the ring.
 */
#ifndef VGPU_REVERSE_H
#define VGPU_REVERSE_H

#include <stddef.h>
#include <stdint.h>

#define VGPU_HOST_RUN_ANSWER	1u	/* afterwards set fence `word` to `value` */
#define VGPU_HOST_RUN_LOST	2u	/* call nothing: `data` calls that a launch promised will not come */

struct vgpu_host_run {
	uint64_t cookie;
	uint64_t fn, data;	/* as the guest gave them: addresses of its own */
	uint64_t value;		/* ANSWER: for the word; for a destructor the wire id of the user object */
	uint32_t word;
	uint32_t flags;
};

_Static_assert(sizeof(struct vgpu_host_run) == 40, "layout");
_Static_assert(offsetof(struct vgpu_host_run, value) == 24, "layout");
_Static_assert(offsetof(struct vgpu_host_run, word) == 32, "layout");

#endif
