/* SPDX-License-Identifier: MIT */
/*
 * The runtime under the generated calls: one command from the calling thread
 * to the worker, and its reply.
 *
 *	vgpu_call_begin()	takes the channel's lock, finds space in the ring
 *	fill c.args, c.payload	directly in the ring: no copy, no allocation
 *	vgpu_call_submit()	publishes, rings if the worker sleeps, unlocks
 *	vgpu_call_wait()	only with VGPU_CALL_REPLY
 *	vgpu_call_end()		only with VGPU_CALL_REPLY; gives the reply slot back
 *
 * Between begin and submit the thread holds the channel: no other call may
 * be begun there, nothing may block, and nothing may return without submit.
 * Any thread may call; a signal handler that interrupts a call of its own
 * thread is answered CUDA_ERROR_NOT_PERMITTED.
 */
#ifndef VGPU_SHIM_CALL_H
#define VGPU_SHIM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>
#include <vgpu/ring.h>

struct vgpu_context;

#define VGPU_CALL_REPLY		1u	/* the caller waits: a reply slot is taken */
#define VGPU_CALL_CONTEXT	2u	/* refused with INVALID_CONTEXT when the thread has none */
#define VGPU_CALL_CHECKED	4u	/* vgpu_call_ready() has just said yes: not asked again */
#define VGPU_CALL_FILLED	8u	/* the caller writes each byte of the arguments: not zeroed first */
#define VGPU_CALL_UNSAFE	16u	/* (ready) refused while threads capture in a mode that forbids it, and they end */

struct vgpu_call {
	void *args;		/* args_size bytes in the ring, zeroed unless FILLED */
	void *payload;		/* payload_size bytes in the ring, 8-byte aligned */
	const void *ret;	/* reply data, valid from wait to end */
	uint32_t ret_size;	/* bytes of it */
	/* private to channel.c */
	uint32_t size;
	uint32_t slot;		/* reply slot + 1, 0: none */
	uint8_t flags;		/* of the command's header */
	uint64_t seq;
	void *command;
};

/* May this thread call with these flags now? 0 or the error; without side effects, but for what VGPU_CALL_UNSAFE does. */
CUresult vgpu_call_ready(unsigned flags);

/*
 * 0 with the channel locked and c->args, c->payload ready, or the error to
 * return to the application with nothing held: NOT_INITIALIZED,
 * INVALID_CONTEXT, NOT_PERMITTED (signal handler), INVALID_VALUE (larger than
 * a command can be), or what ended the session.
 */
CUresult vgpu_call_begin(struct vgpu_call *c, uint16_t op, uint32_t args_size, uint32_t payload_size,
			 unsigned flags);
/* Between begin and submit: the command is meant for this context, whichever the thread has. */
void vgpu_call_in(struct vgpu_call *c, const struct vgpu_context *ctx);
void vgpu_call_submit(struct vgpu_call *c);
/* The worker's CUresult for this call, or the error that ended the session. */
CUresult vgpu_call_wait(struct vgpu_call *c);
void vgpu_call_end(struct vgpu_call *c);
/* Submit and wait. A reply of success that is not `ret_size` bytes ends the session. The caller reads c->ret, then ends. */
CUresult vgpu_call_answer(struct vgpu_call *c, size_t ret_size);
/* Submit, wait and end: for a call whose result is all that comes back. */
CUresult vgpu_call_finish(struct vgpu_call *c);

/* Wait until the worker has executed all that was sent: what it said of that, if anything. */
CUresult vgpu_call_verdict(void);

/* The worker's reply does not have the agreed size: log it, end the session. Returns the error. */
CUresult vgpu_call_broken(void);

/* Wire id of an application's handle; INVALID_HANDLE (or the kind's own code) if it is not
 * live. NULL is the default stream for streams. A stream is noted as used by this thread's next command. */
CUresult vgpu_handle_wire(enum vgpu_handle_kind kind, const void *app, uint64_t *wire);
/* A fresh id of that kind, live at once. OUT_OF_MEMORY when there are too many. */
CUresult vgpu_handle_new(enum vgpu_handle_kind kind, uint64_t *wire);
/* What the application sees for a wire id. */
void *vgpu_handle_app(enum vgpu_handle_kind kind, uint64_t wire);
/* The id is dead from here on; a later use is INVALID_HANDLE. */
void vgpu_handle_drop(enum vgpu_handle_kind kind, uint64_t wire);

/* Log once for each name that the call is not supported; returns CUDA_ERROR_NOT_SUPPORTED. */
CUresult vgpu_unsupported(const char *name);

/*
 * What each entry point asks first: initialised, not a fork's child, not
 * inside another call of this thread, session alive. 0 or the error.
 */
CUresult vgpu_ready(void);

#define VGPU_EXPORT __attribute__((visibility("default")))

#endif
