/* SPDX-License-Identifier: MIT */
/*
 * Options of the JIT as a guest sends them, in the form that a driver takes, and what the driver answers in them. A
 * number means only what its option says: where a driver expects a pointer it gets one to memory of ours. Made for one
 * call, or for the life of a link. The worker's only thread.
 */
#ifndef VGPU_WORKER_JIT_H
#define VGPU_WORKER_JIT_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/image.h>

struct vgpu_session;
struct vgpu_request;
struct vgpu_rec_jit_request;
struct vgpu_rec_jit_result;

#define VGPU_JIT_ROOM	(VGPU_JIT_OPTIONS_MOST + 4)	/* the worker adds two logs with their sizes */

struct vgpu_jit_log {
	char *text;		/* room bytes; NULL: neither side wants one */
	uint32_t room, wanted;	/* wanted: bytes that the guest has asked for */
	unsigned int at;	/* index of the option that takes its size */
};

/* A list that is one option, its length another. */
struct vgpu_jit_list {
	void **entry;
	uint64_t count;
};

struct vgpu_jit {
	CUjit_option option[VGPU_JIT_ROOM];
	void *value[VGPU_JIT_ROOM];
	unsigned int count;
	unsigned int wall_at, threads_at;	/* index + 1 of options that are answers; 0: not there */
	struct vgpu_jit_log info, error;
	struct vgpu_jit_list list[4];
};

/*
 * The options at *at of a command's payload; *at moves behind them and their data. `explain`: collect errors for our own
 * log even if the guest does not ask. Names stay in the command, everything else in *out, which the caller frees, also
 * after a failure. OUT_OF_MEMORY; VGPU_BROKEN.
 */
CUresult vgpu_jit_take(struct vgpu_session *s, const struct vgpu_request *rq, const struct vgpu_rec_jit_request *asked,
		       uint32_t *at, bool explain, struct vgpu_jit **out);
void vgpu_jit_free(struct vgpu_jit *j);

/* What the driver says is wrong, or "". */
const char *vgpu_jit_error(const struct vgpu_jit *j);

/* The answers into a reply, and as much of the logs as fits behind `end` bytes of it. */
void vgpu_jit_reply(const struct vgpu_jit *j, struct vgpu_rec_jit_result *o, struct vgpu_request *rq, uint32_t end);
/* Do both logs fit there? */
bool vgpu_jit_fits(const struct vgpu_jit *j);
/* Bytes of the logs, which lie one behind the other, from `at` on, at most `room` of them. */
uint32_t vgpu_jit_read(const struct vgpu_jit *j, uint32_t at, void *to, uint32_t room);

#endif
