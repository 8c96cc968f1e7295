/* SPDX-License-Identifier: MIT */
/*
 * The line between generated and hand-written code of the worker.
 *
 * gen/worker_dispatch.c (from include/api) holds a row for each operation and a handler for every simple call: it
 * unpacks the args struct, looks handles up, calls the driver table and packs the reply.  What is special (memory,
 * copies, launches, images, fences) is an extern `vgpu_handle_<wire>` of gen/worker_hand.h, written by hand in the
 * files beside this one.  All of it runs on the worker's only thread, on a private copy of the command: nothing
 * reachable from struct vgpu_request can change under a handler.
 */
#ifndef VGPU_WORKER_DISPATCH_H
#define VGPU_WORKER_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>

struct vgpu_session;
struct vgpu_driver;

/* What a handler returns when the command itself is malformed: the session ends, nothing is answered. */
#define VGPU_BROKEN ((CUresult)-1)

struct vgpu_request {
	const void *args;	/* 8-byte aligned, exactly the row's args_size bytes can be read */
	uint32_t args_size;
	const void *payload;	/* 8-byte aligned; payload_size bytes, any content */
	uint32_t payload_size;
	void *ret;		/* 16-byte aligned, private, zeroed; sent whatever the result */
	uint32_t ret_cap;	/* bytes of it */
	uint32_t ret_size;	/* handler: bytes to send */
	uint16_t op;
	uint64_t seq;
	uint64_t bytes;		/* handler: bytes moved, for the trace */
	uint64_t stream;	/* handler: wire id of the stream, for the trace */
	uint32_t late_fence;	/* handler: fence word to set, once the error has been noted; 0: none */
	uint64_t late_value;
	bool traced;		/* device times are wanted */
	uint16_t span;		/* timeline.c: events around the work, plus 1; 0: none */
};

typedef CUresult (*vgpu_handler)(struct vgpu_session *s, struct vgpu_request *rq);

struct vgpu_op_info {
	vgpu_handler fn;
	const char *name;	/* wire name, for logs */
	uint16_t op;
	bool sync;		/* the caller waits: a command without a reply slot is broken */
	uint32_t args_size;	/* bytes; a command with another size is broken */
	uint32_t payload_max;	/* bytes; a command with more is broken */
	uint32_t ret_max;
};

/* The row of an operation, or NULL. Generated. */
const struct vgpu_op_info *vgpu_op_find(uint16_t op);

/*
 * Next `size` bytes of the payload; *at moves behind them, rounded up to 8.  NULL: not that many left.  Size 0 gives
 * a pointer that is not NULL.
 */
const void *vgpu_take(const struct vgpu_request *rq, uint32_t *at, uint32_t size);

/* As vgpu_take, for a string of `size` bytes that must end with its only NUL and be no longer than `limit` with it. */
const char *vgpu_take_string(const struct vgpu_request *rq, uint32_t *at, uint32_t size, uint32_t limit);

/* Zeroed room for `size` bytes at *end of the reply, *end moves behind them, rounded up to 8. NULL: does not fit. */
void *vgpu_room(struct vgpu_request *rq, uint32_t *end, uint32_t size);

/*
 * The object behind a wire id.  A wrong kind, index or generation is the kind's native error (INVALID_CONTEXT, else
 * INVALID_HANDLE).  VGPU_HANDLE_FUNCTION accepts ids of kind KERNEL too, since the driver takes a CUkernel for a
 * CUfunction, and VGPU_HANDLE_STREAM knows the streams that nobody created (0, VGPU_STREAM_INDEX_LEGACY and the
 * per-thread ones, which are made here on first use).
 */
CUresult vgpu_session_lookup(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void **obj);

/*
 * Bind an id that the guest chose to an object that the driver has just made.  VGPU_BROKEN: not an id of this kind,
 * index beyond the table or taken; a shim hands out no such id.
 */
CUresult vgpu_session_bind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void *obj);

/* Forget an id (destroyed by the guest). Unknown ids are ignored. */
void vgpu_session_unbind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id);

const struct vgpu_driver *vgpu_session_driver(const struct vgpu_session *s);

#endif
