/* SPDX-License-Identifier: MIT */
/*
 * Streams of the application. Created ones have a handle; each context has a
 * legacy default stream; each thread has one default stream of its own in
 * each context that asked for it, made on first use as an ordinary stream.
 */
#include "stream.h"

#include <stdlib.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "context_internal.h"
#include "device.h"
#include "handle.h"
#include "thread.h"

static _Atomic uint64_t next_id = 1;

/* A thread's default streams; only that thread looks at its list. */
struct vgpu_thread_streams {
	struct vgpu_thread_streams *next;
	uint64_t context_id;
	uint64_t wire;
};

/* ---- the working streams ---- */

/* Under the channel's lock. */
static void begin_working(struct vgpu_stream *s)
{
	struct vgpu_context *ctx = s->context;

	if (s->working)
		return;
	s->working = true;
	s->working_prev = NULL;
	s->working_next = ctx->working;
	if (s->working_next)
		s->working_next->working_prev = s;
	ctx->working = s;
}

/* Under both locks. */
static void end_working(struct vgpu_stream *s)
{
	if (!s->working)
		return;
	s->working = false;
	if (s->working_prev)
		s->working_prev->working_next = s->working_next;
	else
		s->context->working = s->working_next;
	if (s->working_next)
		s->working_next->working_prev = s->working_prev;
}

struct vgpu_stream *vgpu_stream_working(struct vgpu_context *ctx)
{
	struct vgpu_stream *s;

	vgpu_channel_lock();
	s = ctx->working;
	vgpu_channel_unlock();
	return s;
}

void vgpu_stream_rest(struct vgpu_stream *s)
{
	vgpu_channel_lock();
	if (!atomic_load_explicit(&s->dirty, memory_order_relaxed) &&
	    vgpu_fence_done(vgpu_fence_make(s->word, atomic_load_explicit(&s->issued, memory_order_relaxed))))
		end_working(s);
	vgpu_channel_unlock();
}

/* ---- fences ---- */

void vgpu_stream_mark(struct vgpu_stream *s)
{
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		return;
	begin_working(s);
	atomic_store_explicit(&s->dirty, true, memory_order_release);
	if (!(s->flags & CU_STREAM_NON_BLOCKING))
		atomic_store_explicit(&s->context->legacy.implied, true, memory_order_release);
}

uint64_t vgpu_stream_next_value(struct vgpu_stream *s)
{
	uint64_t value = atomic_load_explicit(&s->issued, memory_order_relaxed) + 1;

	begin_working(s);
	atomic_store_explicit(&s->issued, value, memory_order_relaxed);
	atomic_store_explicit(&s->dirty, false, memory_order_release);
	if (s == &s->context->legacy)
		atomic_store_explicit(&s->implied, false, memory_order_release);
	else if (!(s->flags & CU_STREAM_NON_BLOCKING))
		atomic_store_explicit(&s->context->legacy.implied, true, memory_order_release);
	return value;
}

static CUresult issue(struct vgpu_stream *s, vgpu_fence *f)
{
	struct vgpu_args_fence *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_fence, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	a->value = vgpu_stream_next_value(s);
	a->fence = s->word;
	if (s == &s->context->legacy)
		vgpu_call_in(&c, s->context);	/* the id is that of all default streams */
	*f = vgpu_fence_make(a->fence, a->value);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

/* Nothing of ours goes into a stream that is captured, or that may not be used for now. */
static bool closed(const struct vgpu_stream *s)
{
	return s->capture != CU_STREAM_CAPTURE_STATUS_NONE || (s == &s->context->legacy && s->context->capturing);
}

/* Was work queued since the last fence? */
static bool unfenced(const struct vgpu_stream *s, bool implied)
{
	if (closed(s))
		return false;
	return atomic_load_explicit(&s->dirty, memory_order_acquire) ||
	       (implied && atomic_load_explicit(&s->implied, memory_order_acquire));
}

static CUresult fence(struct vgpu_stream *s, bool implied, vgpu_fence *f)
{
	if (unfenced(s, implied))
		return issue(s, f);
	*f = vgpu_fence_make(s->word, atomic_load_explicit(&s->issued, memory_order_acquire));
	return CUDA_SUCCESS;
}

CUresult vgpu_stream_fence(struct vgpu_stream *s, vgpu_fence *f)
{
	return fence(s, true, f);
}

CUresult vgpu_stream_fence_own(struct vgpu_stream *s, vgpu_fence *f)
{
	return fence(s, false, f);
}

CUresult vgpu_stream_wait(struct vgpu_stream *s)
{
	vgpu_fence f;
	CUresult r = vgpu_stream_fence(s, &f);

	return r ? r : vgpu_fence_wait(f);
}

/* ---- life ---- */

static CUresult setup(struct vgpu_stream *s, struct vgpu_context *ctx, uint32_t flags, int32_t priority)
{
	uint64_t issued;

	s->word = vgpu_fence_word_get(&issued);
	if (!s->word)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->issued = issued;
	s->dirty = s->implied = s->working = false;
	s->capture = CU_STREAM_CAPTURE_STATUS_NONE;
	s->captured = NULL;
	s->context = ctx;
	s->flags = flags;
	s->priority = priority;
	s->id = atomic_fetch_add(&next_id, 1);
	vgpu_lock(&ctx->lock);
	s->prev = NULL;
	s->next = ctx->streams;
	if (s->next)
		s->next->prev = s;
	ctx->streams = s;
	vgpu_unlock(&ctx->lock);
	return CUDA_SUCCESS;
}

CUresult vgpu_stream_setup_legacy(struct vgpu_context *ctx)
{
	ctx->streams = ctx->working = NULL;
	ctx->legacy.wire = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, VGPU_STREAM_INDEX_LEGACY);
	return setup(&ctx->legacy, ctx, CU_STREAM_DEFAULT, 0);
}

static void unlink_stream(struct vgpu_stream *s)
{
	struct vgpu_context *ctx = s->context;

	vgpu_capture_leave(s);
	vgpu_lock(&ctx->lock);
	if (s->prev)
		s->prev->next = s->next;
	else
		ctx->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	vgpu_channel_lock();
	end_working(s);
	vgpu_channel_unlock();
	vgpu_unlock(&ctx->lock);
	vgpu_fence_word_put(s->word, s->issued);
	if (s->call_word)
		vgpu_fence_word_put(s->call_word, s->call_issued);
	s->call_word = 0;
}

void vgpu_streams_drop(struct vgpu_context *ctx)
{
	struct vgpu_stream *s;

	while ((s = ctx->streams)) {
		unlink_stream(s);
		if (s != &ctx->legacy)
			vgpu_handle_drop(VGPU_HANDLE_STREAM, s->wire);
	}
}

static CUresult create(struct vgpu_context *ctx, uint32_t flags, int32_t priority, struct vgpu_stream **out)
{
	struct vgpu_args_stream_create *a;
	struct vgpu_stream *s;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_STREAM, &wire);
	if (r)
		return r;
	s = vgpu_handle_object_wire(VGPU_HANDLE_STREAM, wire);
	s->wire = wire;
	r = setup(s, ctx, flags, priority);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_STREAM, wire);
		return r;
	}
	r = vgpu_call_begin(&c, VGPU_OP_stream_create, sizeof(*a), 0, 0);
	if (r) {
		unlink_stream(s);
		vgpu_handle_drop(VGPU_HANDLE_STREAM, wire);
		return r;
	}
	a = c.args;
	a->stream = wire;
	a->flags = flags;
	a->priority = priority;
	a->fence = s->word;
	vgpu_call_in(&c, ctx);
	vgpu_call_submit(&c);
	*out = s;
	return CUDA_SUCCESS;
}

static CUresult destroy(struct vgpu_stream *s)
{
	struct vgpu_args_stream_destroy *a;
	struct vgpu_call c;
	uint64_t wire = s->wire;
	vgpu_fence f;
	CUresult r;

	/* The word may go to another stream only when all that was queued here is done. */
	r = vgpu_stream_fence(s, &f);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_stream_destroy, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->stream = wire;
	vgpu_call_submit(&c);
	unlink_stream(s);
	vgpu_handle_drop(VGPU_HANDLE_STREAM, wire);
	return CUDA_SUCCESS;
}

/* ---- default streams ---- */

static CUresult thread_stream(struct vgpu_stream **out)
{
	struct vgpu_thread *t = &vgpu_thread;
	struct vgpu_thread_streams *i;
	CUresult r;

	for (i = t->streams; i; i = i->next)
		if (i->context_id == t->current->id) {
			*out = vgpu_handle_object_wire(VGPU_HANDLE_STREAM, i->wire);
			return *out ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
		}
	i = malloc(sizeof(*i));
	if (!i)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = create(t->current, CU_STREAM_DEFAULT, 0, out);
	if (r) {
		free(i);
		return r;
	}
	i->context_id = t->current->id;
	i->wire = (*out)->wire;
	i->next = t->streams;
	t->streams = i;
	vgpu_thread_at_exit();
	return CUDA_SUCCESS;
}

void vgpu_thread_streams_drop(void)
{
	struct vgpu_thread_streams *i, *next;
	struct vgpu_stream *s;

	for (i = vgpu_thread.streams; i; i = next) {
		next = i->next;
		s = vgpu_handle_object_wire(VGPU_HANDLE_STREAM, i->wire);
		if (s)
			destroy(s);
		free(i);
	}
	vgpu_thread.streams = NULL;
}

bool vgpu_stream_lend(CUstream app)
{
	const struct vgpu_stream *s = (uintptr_t)app > 2 ? vgpu_handle_object(VGPU_HANDLE_STREAM, app) : NULL;

	if (s)
		vgpu_thread.current = s->context;
	return s;
}

CUresult vgpu_stream_find(CUstream app, struct vgpu_stream **s)
{
	struct vgpu_context *ctx = vgpu_thread.current;

	if ((uintptr_t)app > 2) {
		*s = vgpu_handle_object(VGPU_HANDLE_STREAM, app);
		return *s ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	}
	if (!ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!ctx->alive)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (app == CU_STREAM_PER_THREAD)
		return ctx->green ? CUDA_ERROR_INVALID_HANDLE : thread_stream(s);
	*s = &ctx->legacy;
	return CUDA_SUCCESS;
}

CUresult vgpu_stream_use(CUstream app, struct vgpu_stream **s)
{
	CUresult r = vgpu_stream_find(app, s);

	return r ? r : vgpu_capture_use(*s);
}

CUstream vgpu_stream_app(const struct vgpu_stream *s)
{
	return s == &s->context->legacy ? CU_STREAM_LEGACY : vgpu_handle_app(VGPU_HANDLE_STREAM, s->wire);
}

/* ---- API ---- */

CUresult vgpu_stream_create(CUstream *stream, struct vgpu_context *ctx, unsigned int flags, int priority)
{
	const struct vgpu_device *d = vgpu_device(ctx->device);
	struct vgpu_stream *s;
	CUresult r;

	if (priority > d->priority_least)
		priority = d->priority_least;
	if (priority < d->priority_greatest)
		priority = d->priority_greatest;
	r = create(ctx, flags, priority, &s);
	if (!r)
		*stream = vgpu_stream_app(s);
	return r;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!stream || flags & ~(unsigned int)CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_stream_create(stream, vgpu_thread.current, flags, priority);
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	return cuStreamCreateWithPriority(stream, flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	struct vgpu_stream *s;
	CUresult r;

	r = vgpu_ready();
	if (r)
		return r;
	if ((uintptr_t)stream <= 2)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_stream_find(stream, &s);
	return r ? r : destroy(s);
}

/* The stream for a call that needs no more than that it is there. */
static CUresult look(CUstream stream, const void *out, struct vgpu_stream **s)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_stream_find(stream, s);
}

/* The same for a question that ends a capture of the stream, as natively. */
static CUresult look_uncaptured(CUstream stream, const void *out, struct vgpu_stream **s)
{
	CUresult r = look(stream, out, s);

	if (!r)
		r = vgpu_capture_use(*s);
	if (!r && (*s)->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		r = vgpu_capture_invalidate(*s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	return r;
}

/* The same for a call that asks how far it is: a captured stream is nowhere. */
static CUresult look_progress(CUstream stream, struct vgpu_stream **s)
{
	CUresult r = look_uncaptured(stream, s, s);

	return r ? r : vgpu_capture_unsafe();
}

CUresult cuStreamSynchronize(CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_stream *s;
	CUresult r = look_progress(stream, &s);

	if (r)
		return r;
	r = vgpu_stream_wait(s);
	return vgpu_error_after(r);
}

/*
 * A fence that is put behind work only now comes too late for work that is
 * done already, which the driver would call done: the first question after
 * new work is the driver's to answer, the next ones are the fence's.
 */
static CUresult ask(struct vgpu_stream *s)
{
	struct vgpu_args_stream_query *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_stream_query, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	if (s == &s->context->legacy)
		vgpu_call_in(&c, s->context);	/* the id is that of all default streams */
	return vgpu_call_finish(&c);
}

CUresult cuStreamQuery(CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r, asked = CUDA_ERROR_NOT_READY;
	struct vgpu_stream *s;
	vgpu_fence f;

	r = look_progress(stream, &s);
	if (!r && unfenced(s, true)) {
		asked = ask(s);
		if (asked && asked != CUDA_ERROR_NOT_READY)
			return vgpu_error_after(asked);
	}
	if (!r)
		r = vgpu_stream_fence(s, &f);
	if (r)
		return r;
	if (!asked || vgpu_fence_done(f))
		return vgpu_error_take();
	vgpu_channel_flush();
	return CUDA_ERROR_NOT_READY;
}

CUresult cuStreamGetPriority(CUstream stream, int *priority)
{
	struct vgpu_stream *s;
	CUresult r = look(stream, priority, &s);

	if (!r)
		*priority = s->priority;
	return r;
}

CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
	struct vgpu_stream *s;
	CUresult r = look_uncaptured(stream, flags, &s);

	if (!r)
		*flags = s->flags;
	return r;
}

CUresult cuStreamGetId(CUstream stream, unsigned long long *stream_id)
{
	struct vgpu_stream *s;
	CUresult r = look_uncaptured(stream, stream_id, &s);

	if (!r)
		*stream_id = s->id;
	return r;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
	struct vgpu_stream *s;
	CUresult r = look(stream, ctx, &s);

	if (!r)
		*ctx = vgpu_context_app(s->context);
	return r;
}

static CUgreenCtx green_of(const struct vgpu_stream *s)
{
	return s->context->green ? vgpu_handle_app(VGPU_HANDLE_GREENCTX, s->context->green) : NULL;
}

CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext *ctx, CUgreenCtx *green_ctx)
{
	struct vgpu_stream *s;
	CUresult r = look(stream, ctx, &s);

	if (r)
		return r;
	*ctx = vgpu_context_app(s->context->home);
	if (green_ctx)
		*green_ctx = green_of(s);
	return CUDA_SUCCESS;
}

CUresult cuStreamGetGreenCtx(CUstream stream, CUgreenCtx *ctx)
{
	struct vgpu_stream *s;
	CUresult r = look(stream, ctx, &s);

	if (!r)
		*ctx = green_of(s);
	return r;
}

CUresult cuStreamGetDevice(CUstream stream, CUdevice *device)
{
	struct vgpu_stream *s;
	CUresult r = look_uncaptured(stream, device, &s);

	if (!r)
		*device = s->context->device;
	return r;
}
