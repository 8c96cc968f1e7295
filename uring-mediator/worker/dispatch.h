/* SPDX-License-Identifier: MIT */
/*
 * The line between generated and hand-written code of the worker.
 *
 * gen/worker_dispatch.c (from include/api) holds vgpu_dispatch_table, one entry for each operation, and a handler for
 * every simple call: it decodes the args struct, looks handles up, calls the driver table and encodes the reply.
 * What is special (memory, copies, launches, images, fences) is an extern `vgpu_handle_<wire>`, written by hand in the
 * files beside this one.  All of it runs on the worker's only thread, on a private copy of the command: nothing
 * reachable from struct vgpu_request can change under a handler.
 */
#ifndef VGPU_WORKER_DISPATCH_H
#define VGPU_WORKER_DISPATCH_H

#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>

struct vgpu_session;
struct vgpu_driver;

struct vgpu_request {
	const void *args;	/* 8-byte aligned, at least the table entry's args_size bytes */
	uint32_t args_size;
	const void *payload;	/* 8-byte aligned; payload_size bytes, any content */
	uint32_t payload_size;
	void *ret;		/* 16-byte aligned, private, zeroed for ret_cap bytes; sent whatever the result */
	uint32_t ret_cap;	/* VGPU_REPLY_DATA, or 0 if nobody waits for the answer */
	uint32_t ret_size;	/* handler: bytes of ret to send */
	uint16_t op;
	uint64_t seq;
	uint64_t bytes;		/* handler: bytes moved, for the trace */
	uint64_t stream;	/* handler: wire id of the stream, for the trace */
};

typedef CUresult (*vgpu_handler)(struct vgpu_session *session, struct vgpu_request *request);

struct vgpu_dispatch_entry {
	const char *name;	/* wire name, for logs; NULL: the operation does not exist */
	vgpu_handler handler;
	uint32_t args_size;	/* bytes; a command with less is a protocol violation */
	uint32_t ret_size;	/* bytes of the reply struct */
};

/* Indexed by operation; entry 0 is empty. */
extern const struct vgpu_dispatch_entry vgpu_dispatch_table[];
extern const uint32_t vgpu_dispatch_size;

/*
 * The object behind a wire id.  Id 0 is "no object": *obj becomes NULL and the driver judges it.  A wrong kind, index
 * or generation is the kind's native error (CUDA_ERROR_INVALID_CONTEXT, else CUDA_ERROR_INVALID_HANDLE).
 * VGPU_HANDLE_FUNCTION accepts ids of kind KERNEL too, since the driver takes a CUkernel for a CUfunction, and
 * VGPU_HANDLE_STREAM knows the streams that nobody created (VGPU_STREAM_INDEX_LEGACY and the per-thread ones).
 */
CUresult vgpu_session_lookup(struct vgpu_session *session, enum vgpu_handle_kind kind, uint64_t id, void **obj);

/*
 * Bind an id that the guest chose to an object that the driver has just made.  CUDA_ERROR_INVALID_HANDLE: not an id
 * of this kind, or its index is taken; CUDA_ERROR_OUT_OF_MEMORY: the table's limit.  The caller then destroys the object.
 */
CUresult vgpu_session_bind(struct vgpu_session *session, enum vgpu_handle_kind kind, uint64_t id, void *obj);

/* Can `id` be bound now?  Asked before the driver makes the object, so that nothing must be undone. */
CUresult vgpu_session_may_bind(struct vgpu_session *session, enum vgpu_handle_kind kind, uint64_t id);

/* Forget an id (destroyed by the guest). Unknown ids are ignored. */
void vgpu_session_unbind(struct vgpu_session *session, enum vgpu_handle_kind kind, uint64_t id);

const struct vgpu_driver *vgpu_session_driver(const struct vgpu_session *session);

#endif
