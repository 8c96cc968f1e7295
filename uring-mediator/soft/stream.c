/* SPDX-License-Identifier: MIT */
/*
 * Streams as objects: creation, the default ones, queries. What runs in them is the scheduler's.
 *
 * A thread's own default stream (CU_STREAM_PER_THREAD) is made when it is first named and destroyed with the thread.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

#define PRIORITY_GREATEST (-5)

struct thread_stream {
	struct thread_stream *next;
	uint64_t context; /* its handle */
	uint64_t id;      /* of that life of the context */
	uint64_t stream;  /* handle */
};

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void release(struct soft_object *o)
{
	struct soft_stream *s = (struct soft_stream *)o;

	soft_capture_forget_stream(s);
	free(s);
}

static void forget_thread(void *list)
{
	struct thread_stream *t = list, *next;
	struct soft_object *o;

	for (; t; t = next) {
		next = t->next;
		o = soft_take(t->stream, SOFT_STREAM);
		if (o)
			soft_put(o);
		free(t);
	}
}

static void make_key(void)
{
	pthread_key_create(&thread_key, forget_thread);
}

struct soft_stream *soft_stream_hidden(struct soft_context *ctx)
{
	struct soft_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	soft_object_init(&s->obj, SOFT_STREAM, ctx, release);
	s->flags = CU_STREAM_NON_BLOCKING;
	return s;
}

static struct soft_stream *new_stream(struct soft_context *ctx, unsigned flags, int priority)
{
	static _Atomic uint64_t next_id = 16;
	struct soft_stream *s = soft_stream_hidden(ctx);

	if (!s)
		return NULL;
	s->flags = flags;
	s->priority = priority > 0 ? 0 : priority < PRIORITY_GREATEST ? PRIORITY_GREATEST : priority;
	s->id = atomic_fetch_add(&next_id, 1);
	if (soft_bind(&s->obj) < 0) {
		soft_put(&s->obj);
		return NULL;
	}
	return s;
}

static CUresult thread_stream(struct soft_context *ctx, struct soft_stream **out)
{
	struct thread_stream *t;
	struct soft_stream *s;

	pthread_once(&thread_once, make_key);
	for (t = pthread_getspecific(thread_key); t; t = t->next)
		if (t->context == atomic_load(&ctx->handle) && t->id == ctx->id) {
			*out = soft_get(t->stream, SOFT_STREAM);
			return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
		}
	t = malloc(sizeof(*t));
	s = t ? new_stream(ctx, 0, 0) : NULL;
	if (!s) {
		free(t);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*t = (struct thread_stream){ pthread_getspecific(thread_key), atomic_load(&ctx->handle), ctx->id,
				     s->obj.handle };
	pthread_setspecific(thread_key, t);
	soft_ref(&s->obj);
	*out = s;
	return CUDA_SUCCESS;
}

CUresult soft_stream_of(struct soft_context *ctx, CUstream handle, struct soft_stream **out)
{
	struct soft_context *here = soft_context_here(ctx);

	if (!handle || handle == CU_STREAM_LEGACY) {
		soft_ref(&here->legacy.obj);
		*out = &here->legacy;
		return CUDA_SUCCESS;
	}
	if (handle == CU_STREAM_PER_THREAD)
		return here == ctx ? thread_stream(ctx, out) : CUDA_ERROR_INVALID_HANDLE;
	*out = soft_get((uint64_t)(uintptr_t)handle, SOFT_STREAM);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult soft_enter_stream(CUstream handle, struct soft_stream **s)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	return rc ? rc : soft_stream_of(ctx, handle, s);
}

static CUresult soft_cuStreamCreateWithPriority(CUstream *out, unsigned int flags, int priority)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || flags & ~CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	s = new_stream(soft_context_here(ctx), flags, priority);
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = (CUstream)(uintptr_t)s->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult soft_cuStreamCreate(CUstream *out, unsigned int flags)
{
	return soft_cuStreamCreateWithPriority(out, flags, 0);
}

/* Work that is queued still runs: the queue holds the stream. */
static CUresult soft_cuStreamDestroy_v2(CUstream handle)
{
	struct soft_context *ctx;
	struct soft_object *o;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	o = soft_take((uint64_t)(uintptr_t)handle, SOFT_STREAM);
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	soft_capture_forget_stream((struct soft_stream *)o);
	soft_put(o);
	return CUDA_SUCCESS;
}

static CUresult soft_cuStreamSynchronize(CUstream handle)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	rc = soft_captured(s) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : soft_stream_drain(s);
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamQuery(CUstream handle)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	rc = soft_stream_idle(s) ? vgpu_soft_fault() : CUDA_ERROR_NOT_READY;
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamGetPriority(CUstream handle, int *priority)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	if (priority)
		*priority = s->priority;
	soft_put(&s->obj);
	return priority ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuStreamGetFlags(CUstream handle, unsigned int *flags)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	if (flags)
		*flags = s->flags;
	soft_put(&s->obj);
	return flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuStreamGetId(CUstream handle, unsigned long long *id)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	if (id)
		*id = s->legacy ? 1 : s->id;
	soft_put(&s->obj);
	return id ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuStreamGetCtx(CUstream handle, CUcontext *out)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	if (out)
		*out = soft_context_handle(s->obj.ctx);
	soft_put(&s->obj);
	return out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuStreamGetCtx_v2(CUstream handle, CUcontext *out, CUgreenCtx *green)
{
	CUresult rc = soft_cuStreamGetCtx(handle, out);

	if (!rc && green)
		*green = NULL;
	return rc;
}

static CUresult soft_cuStreamGetDevice(CUstream handle, CUdevice *device)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	if (device)
		*device = s->obj.ctx->device->ordinal;
	soft_put(&s->obj);
	return device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void soft_fill_stream(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuStreamCreate);
	SOFT_SLOT(d, cuStreamCreateWithPriority);
	SOFT_SLOT(d, cuStreamDestroy_v2);
	SOFT_SLOT(d, cuStreamSynchronize);
	SOFT_SLOT(d, cuStreamQuery);
	SOFT_SLOT(d, cuStreamGetPriority);
	SOFT_SLOT(d, cuStreamGetFlags);
	SOFT_SLOT(d, cuStreamGetId);
	SOFT_SLOT(d, cuStreamGetCtx);
	SOFT_SLOT(d, cuStreamGetCtx_v2);
	SOFT_SLOT(d, cuStreamGetDevice);
}
