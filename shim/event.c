/* SPDX-License-Identifier: MIT */
/*
 * Events. Completion is the stream's fence word, read in this process; time
 * comes from the worker's real events. Recording is fire-and-forget. An event that
 * a graph, a whole context or another process may record has no fence: the worker is asked for it. What is done to an
 * event of several processes is done when the call returns, since these tell each other of it behind our back.
 */
#include "event.h"

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "handle.h"
#include "mirror.h"
#include "stream.h"
#include "thread.h"
#include "wait.h"

#define EVENT_FLAGS	(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS)

#define PAUSE_SHARE	50u	/* of the time waited, between two questions to the worker */
#define PAUSE_LEAST_NS	20000u

enum { NEVER, IN_STREAM, IN_CAPTURE, IN_CONTEXT };

static CUresult get(CUevent app, struct vgpu_event **e)
{
	*e = vgpu_handle_object(VGPU_HANDLE_EVENT, app);
	return *e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUevent vgpu_event_init(uint64_t wire, uint32_t flags)
{
	struct vgpu_event *e = vgpu_handle_object_wire(VGPU_HANDLE_EVENT, wire);

	e->wire = wire;
	e->flags = flags;
	e->context = vgpu_context_home();
	return vgpu_handle_app(VGPU_HANDLE_EVENT, wire);
}

CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	struct vgpu_args_event_create *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!event || flags & ~(unsigned int)EVENT_FLAGS ||
	    (flags & CU_EVENT_INTERPROCESS && !(flags & CU_EVENT_DISABLE_TIMING)))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_new(VGPU_HANDLE_EVENT, &wire);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_event_create, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_EVENT, wire);
		return r;
	}
	a = c.args;
	a->event = wire;
	a->flags = flags;
	vgpu_call_submit(&c);
	*event = vgpu_event_init(wire, flags);
	return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	struct vgpu_args_event_destroy *a;
	struct vgpu_event *e;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_ready();
	if (!r)
		r = get(event, &e);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_event_destroy, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->event = e->wire;
	vgpu_call_submit(&c);
	vgpu_handle_drop(VGPU_HANDLE_EVENT, e->wire);
	return CUDA_SUCCESS;
}

/* Publish a command about an event, and see that it is done if other processes may hear of it. */
static CUresult submit(struct vgpu_call *c, const struct vgpu_event *e)
{
	if (vgpu_event_shared(e))
		return vgpu_call_finish(c);
	vgpu_call_submit(c);
	return CUDA_SUCCESS;
}

static unsigned call_flags(const struct vgpu_event *e)
{
	return VGPU_CALL_CONTEXT | (vgpu_event_shared(e) ? VGPU_CALL_REPLY : 0);
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_args_event_record *a;
	struct vgpu_event *e;
	struct vgpu_stream *s;
	struct vgpu_call c;
	uint64_t capture;
	CUresult r;

	r = vgpu_call_clear() ? CUDA_SUCCESS : vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (flags & ~(unsigned int)CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	r = get(event, &e);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (s->context->home != e->context)
		return CUDA_ERROR_INVALID_HANDLE;
	capture = s->capture == CU_STREAM_CAPTURE_STATUS_NONE ? 0 : vgpu_capture_serial(s);
	if (!capture && flags & CU_EVENT_RECORD_EXTERNAL)
		return CUDA_ERROR_ILLEGAL_STATE;
	r = vgpu_call_begin(&c, VGPU_OP_event_record, sizeof(*a), 0, call_flags(e) | VGPU_CALL_CHECKED | VGPU_CALL_FILLED);
	if (r)
		return r;
	a = c.args;
	*a = (struct vgpu_args_event_record){ .event = e->wire, .stream = s->wire, .flags = flags };
	if (!capture) {
		a->value = vgpu_stream_next_value(s);
		a->fence = s->word;
		atomic_store_explicit(&e->fence, vgpu_fence_make(s->word, a->value), memory_order_release);
		/* No more than this: an ordinary store to an atomic would wait for the lines of the ring. */
		atomic_store_explicit(&e->recorded, IN_STREAM, memory_order_release);
	} else if (flags & CU_EVENT_RECORD_EXTERNAL) {
		e->in_graph = true;	/* a node of the graph */
	} else {
		e->capture = capture;	/* a fence would become part of the graph */
		e->recorded = IN_CAPTURE;
	}
	return submit(&c, e);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	return cuEventRecordWithFlags(event, stream, 0);
}

/* Is the worker the only one who knows whether it is reached? */
static bool asked(const struct vgpu_event *e)
{
	return e->in_graph || e->recorded == IN_CONTEXT || vgpu_event_shared(e);
}

/* Ask the worker: 0, NOT_READY, an error. */
static CUresult ask(const struct vgpu_event *e)
{
	struct vgpu_args_event_query *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_event_query, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->event = e->wire;
	return vgpu_call_finish(&c);
}

/* The event of a call that looks at whether it is reached. */
static CUresult look(CUevent event, struct vgpu_event **e)
{
	CUresult r = vgpu_ready_clear() ? CUDA_SUCCESS : vgpu_ready();

	if (!r)
		r = get(event, e);
	if (r)
		return r;
	if ((*e)->recorded == IN_CAPTURE)
		return vgpu_capture_invalidate_serial((*e)->capture, CUDA_ERROR_CAPTURED_EVENT);
	return vgpu_capture_unsafe();
}

CUresult cuEventQuery(CUevent event)
{
	struct vgpu_event *e;
	CUresult r = look(event, &e);

	if (r)
		return r;
	if (asked(e))
		return ask(e);
	if (vgpu_fence_done(atomic_load_explicit(&e->fence, memory_order_acquire))) {
		vgpu_mirror_pull();
		return vgpu_error_sticky();
	}
	vgpu_channel_flush();
	r = vgpu_error_sticky();
	return r ? r : CUDA_ERROR_NOT_READY;
}

/* The pauses between questions grow with the time waited, so that the worker is not kept from its work. */
static CUresult wait_asking(const struct vgpu_event *e)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint64_t since;
	CUresult r;

	for (;;) {
		since = vgpu_wait_elapsed(&w);
		r = ask(e);
		if (r != CUDA_ERROR_NOT_READY)
			return r;
		do
			vgpu_wait_step(&w);
		while (vgpu_wait_elapsed(&w) < since + since / PAUSE_SHARE + PAUSE_LEAST_NS);
	}
}

CUresult cuEventSynchronize(CUevent event)
{
	struct vgpu_event *e;
	CUresult r = look(event, &e);

	if (r)
		return r;
	r = asked(e) ? wait_asking(e) : vgpu_fence_wait(atomic_load_explicit(&e->fence, memory_order_acquire));
	return vgpu_error_after(r);
}

/* Whether the worker may be asked for the time between two events. */
static CUresult timed(const struct vgpu_event *e)
{
	if (e->recorded == IN_CAPTURE)
		return CUDA_ERROR_CAPTURED_EVENT;
	if (e->flags & CU_EVENT_DISABLE_TIMING || (!asked(e) && e->recorded != IN_STREAM))
		return CUDA_ERROR_INVALID_HANDLE;
	if (asked(e) || vgpu_fence_done(e->fence))
		return CUDA_SUCCESS;
	vgpu_channel_flush();
	return CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end)
{
	struct vgpu_args_elapsed_time *a;
	const struct vgpu_ret_elapsed_time *o;
	struct vgpu_event *from, *to;
	struct vgpu_call c;
	CUresult r, early;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!milliseconds)
		return CUDA_ERROR_INVALID_VALUE;
	r = get(start, &from);
	if (!r)
		r = get(end, &to);
	if (r)
		return r;
	r = timed(to);
	if (!r || r == CUDA_ERROR_NOT_READY) {
		early = timed(from);
		r = early ? early : r;
	}
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_elapsed_time, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->start = from->wire;
	a->end = to->wire;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*milliseconds = o->milliseconds;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
	return cuEventElapsedTime_v2(milliseconds, start, end);
}

/*
 * What a capture makes of a wait: 0 and *send whether there is anything to say to the worker. A captured event draws the
 * stream into its capture; another one may not be waited for from inside, unless by a node of its own.
 */
static CUresult check_wait(struct vgpu_stream *s, const struct vgpu_event *e, unsigned int flags, bool *send)
{
	*send = true;
	if (e->recorded == IN_CAPTURE && !(flags & CU_EVENT_WAIT_EXTERNAL))
		return vgpu_capture_join(s, e->capture);
	if (s->capture == CU_STREAM_CAPTURE_STATUS_NONE && flags & CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE) {
		if (flags & CU_EVENT_WAIT_EXTERNAL)
			return CUDA_SUCCESS;
		*send = false;
		return e->recorded == NEVER && !vgpu_event_shared(e) ?
			CUDA_SUCCESS : vgpu_capture_invalidate(s, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
	}
	*send = asked(e) || !vgpu_fence_done(atomic_load_explicit(&e->fence, memory_order_acquire));
	return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_args_stream_wait *a;
	struct vgpu_event *e;
	struct vgpu_stream *s;
	struct vgpu_call c;
	bool send;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (flags & ~(unsigned int)CU_EVENT_WAIT_EXTERNAL)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_stream_get(stream, &s);
	if (!r)
		r = get(event, &e);
	if (r)
		return r;
	r = check_wait(s, e, flags, &send);
	if (r || !send)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_stream_wait, sizeof(*a), 0, call_flags(e));
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	a->event = e->wire;
	a->flags = flags;
	vgpu_touch(s);
	return submit(&c, e);
}

/* ---- whole contexts ---- */

/* The context and event of a call that no capture may be part of. */
static CUresult both(CUcontext ctx, CUevent event, struct vgpu_context **o, struct vgpu_event **e)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	*o = ctx ? vgpu_handle_object(VGPU_HANDLE_CONTEXT, ctx) : NULL;
	if (!*o || !(*o)->alive)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = get(event, e);
	return r ? r : vgpu_capture_invalidate_all(*o, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

CUresult cuCtxRecordEvent(CUcontext ctx, CUevent event)
{
	struct vgpu_context *o;
	struct vgpu_event *e;
	CUresult r = both(ctx, event, &o, &e);

	if (r)
		return r;
	if (o->home != e->context)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_remote_cuCtxRecordEvent(ctx, event);
	if (!r)
		e->recorded = IN_CONTEXT;
	return r;
}

CUresult cuCtxWaitEvent(CUcontext ctx, CUevent event)
{
	struct vgpu_context *o, *green = NULL;
	struct vgpu_event *e;
	CUresult r = both(ctx, event, &o, &e);

	if (r)
		return r;
	if (e->recorded == IN_CAPTURE)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	r = vgpu_remote_cuCtxWaitEvent(ctx, event);
	if (r)
		return r;
	vgpu_context_touch(o);
	while ((green = vgpu_context_green(o, green)))
		vgpu_context_touch(green);
	return CUDA_SUCCESS;
}
