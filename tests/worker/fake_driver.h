/* SPDX-License-Identifier: MIT */
/*
 * A driver that computes nothing and believes nothing: every pointer and handle that the worker passes is checked, and
 * one that a driver must never see (an address outside device memory, the arena and the command; an object that was
 * not made here, or is gone) ends the program by abort().  One thread.
 */
#ifndef VGPU_TEST_FAKE_DRIVER_H
#define VGPU_TEST_FAKE_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include <gen/driver_table.h>

#include "session.h"

struct fake_driver {
	unsigned long calls;		/* of functions written out here */
	CUresult result;		/* what the next calls return, CUDA_SUCCESS at first */
	unsigned int param_count;	/* parameters of 8 bytes of every kernel */
	const void *params;		/* of the last launch */
	const void *image;		/* of the last module */
	const char *preserved;		/* code of the last library, if it is to stay as long as the library */
	size_t param_bytes;
	uint64_t live;			/* objects */
	CUcontext current;
	bool busy;			/* events do not come */
	bool slow;			/* nor do fences */
	bool capturing;			/* all streams */
	CUgraph captured;		/* what they capture to; NULL: they do not */
	unsigned long records;		/* of events */
	uint32_t log_bytes;		/* that the JIT has to say, in each log that is wanted */
	char names[64];			/* of the symbols in the last options of the JIT, one behind the other */
	uint64_t addresses;		/* sum of theirs */
	unsigned int unknown;		/* options there that do not exist */
	uint64_t link_bytes;		/* of the image of every link */
};

extern struct fake_driver fake;

/* Forget all objects and memory. */
void fake_reset(void);
const struct vgpu_driver *fake_driver(void);

/* Worker's session on that driver, over private memory instead of a memfd. Device and stats are its own. */
struct vgpu_session *fake_session(void);
void fake_session_free(struct vgpu_session *s);

/* Run one command in the session as if it had come through the ring. What vgpu_request_execute() returns. */
int fake_execute(struct vgpu_session *s, const struct vgpu_cmd *header, const void *args, const void *payload);

#endif
