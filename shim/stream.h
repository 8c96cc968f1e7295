/* SPDX-License-Identifier: MIT */
/*
 * Streams: which fence word is theirs and whether work was queued that no
 * fence covers yet. `dirty` and `issued` change under the channel's lock only
 * (between vgpu_call_begin() and vgpu_call_submit()); anyone may load them.
 *
 * A stream is among its context's working ones from the first command after it was seen idle, so that waiting for the
 * context costs nothing for thousands of idle streams. It is put there under the channel's lock, and taken out under
 * that of the context and the channel's, in this order: who holds the context's may follow the list.
 */
#ifndef VGPU_SHIM_STREAM_H
#define VGPU_SHIM_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "fence.h"
#include "handle.h"
#include "mirror.h"
#include "thread.h"

struct vgpu_capture;
struct vgpu_context;

struct vgpu_stream {
	uint64_t wire;
	uint64_t id;			/* cuStreamGetId */
	struct vgpu_context *context;
	struct vgpu_stream *next, *prev;	/* in the context's list, under its lock */
	struct vgpu_stream *working_next, *working_prev;
	bool working;
	uint32_t flags;
	int32_t priority;
	uint32_t word;			/* fence word */
	_Atomic uint64_t issued;	/* last fence value asked for */
	_Atomic bool dirty;		/* work was queued after it */
	_Atomic bool implied;		/* legacy stream: work was queued in a stream that it waits for */
	uint32_t call_word;		/* host_call.c: its word for host functions, 0: none yet */
	uint64_t call_issued;		/* last value on it; under the channel's lock */
	_Atomic uint32_t capture;	/* enum CUstreamCaptureStatus */
	struct vgpu_capture *captured;	/* capture.c: what it takes part in, and the next that does; under its lock */
	struct vgpu_stream *capture_next;
};

/* The context of a stream that has a handle becomes the thread's, which has none: false if there is no such stream. */
bool vgpu_stream_lend(CUstream app);

static inline bool vgpu_stream_lent(CUstream app)
{
	return !vgpu_thread.current && vgpu_stream_lend(app);
}

static inline void vgpu_context_take_back(const bool *lent)
{
	if (*lent)
		vgpu_thread.current = NULL;
}

/*
 * At the beginning of a function that uses a stream: for its time a thread without a current context has that of the
 * stream, as natively, where no more than the default streams need a context.
 */
#define VGPU_STREAM_LENDS(app) \
	__attribute__((cleanup(vgpu_context_take_back), unused)) const bool lent_context = vgpu_stream_lent(app)

/* The stream that a handle means now, for the calling thread: NULL and CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, others. */
CUresult vgpu_stream_find(CUstream app, struct vgpu_stream **s);
/* The same for a call that does something to it: refused where a capture forbids that. */
CUresult vgpu_stream_use(CUstream app, struct vgpu_stream **s);
/* vgpu_stream_use(), which the common case has no need to call: a stream that was created, with no capture. */
static inline CUresult vgpu_stream_get(CUstream app, struct vgpu_stream **s)
{
	vgpu_mirror_push();
	*s = (uintptr_t)app > 2 ? vgpu_handle_object(VGPU_HANDLE_STREAM, app) : NULL;
	if (*s && atomic_load_explicit(&(*s)->capture, memory_order_acquire) == CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_SUCCESS;
	return vgpu_stream_use(app, s);
}
/* Make one in this context; the priority is brought into the device's range. */
CUresult vgpu_stream_create(CUstream *stream, struct vgpu_context *ctx, unsigned int flags, int priority);
CUstream vgpu_stream_app(const struct vgpu_stream *s);
/* Work of this stream was published. Under the channel's lock. */
void vgpu_stream_mark(struct vgpu_stream *s);
/* The value for a fence that the command being made will write; covers all before it. Under the channel's lock. */
uint64_t vgpu_stream_next_value(struct vgpu_stream *s);
/* The first of a context's working streams. Under the context's lock, the channel's not held. */
struct vgpu_stream *vgpu_stream_working(struct vgpu_context *ctx);
/* No longer one of them, unless there is new work. Likewise. */
void vgpu_stream_rest(struct vgpu_stream *s);
/* A fence behind all work queued so far; sends a command only if there is work without one. */
CUresult vgpu_stream_fence(struct vgpu_stream *s, vgpu_fence *f);
/* The same for the stream's own work: without what the legacy stream waits for elsewhere. */
CUresult vgpu_stream_fence_own(struct vgpu_stream *s, vgpu_fence *f);
/* Wait for all work queued so far. */
CUresult vgpu_stream_wait(struct vgpu_stream *s);

#endif
