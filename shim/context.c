/* SPDX-License-Identifier: MIT */
/*
 * Context handles, the stack of each thread, and waiting for a whole context.
 * Objects are type-stable (handle.h); `alive` says whether the worker has the
 * real one. primary_context.c keeps the primary ones.
 */
#include "context.h"

#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context_internal.h"
#include "device.h"
#include "handle.h"
#include "output.h"
#include "thread.h"

#define DUMP_FLAGS	(CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE)
#define CTX_FLAGS	(CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_SYNC_MEMOPS | DUMP_FLAGS)
#define API_VERSION	3020u

static _Atomic uint64_t next_id = 1;
static pthread_key_t exit_key;

struct vgpu_context *vgpu_context_current(void)
{
	return vgpu_thread.current;
}

struct vgpu_context *vgpu_context_home(void)
{
	return vgpu_thread.current ? vgpu_thread.current->home : NULL;
}

CUcontext vgpu_context_app(const struct vgpu_context *ctx)
{
	return ctx ? vgpu_handle_app(VGPU_HANDLE_CONTEXT, ctx->wire) : NULL;
}

CUresult vgpu_context_get(CUcontext app, struct vgpu_context **ctx)
{
	*ctx = app ? vgpu_handle_object(VGPU_HANDLE_CONTEXT, app) : vgpu_thread.current;
	return *ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

/* ---- threads ---- */

static void thread_exit(void *unused)
{
	struct vgpu_thread *t = &vgpu_thread;

	(void)unused;
	if (!vgpu_ready())
		vgpu_thread_streams_drop();
	free(t->stack);
	t->stack = NULL;
	t->depth = t->room = 0;
	t->current = NULL;
}

void vgpu_thread_at_exit(void)
{
	pthread_setspecific(exit_key, &vgpu_thread);
}

CUresult vgpu_context_push(struct vgpu_context *ctx)
{
	struct vgpu_thread *t = &vgpu_thread;
	struct vgpu_context **stack;
	uint32_t room;

	if (t->depth == t->room) {
		room = t->room ? 2 * t->room : 8;
		stack = realloc(t->stack, room * sizeof(*stack));
		if (!stack)
			return CUDA_ERROR_OUT_OF_MEMORY;
		t->stack = stack;
		t->room = room;
		vgpu_thread_at_exit();
	}
	t->stack[t->depth++] = ctx;
	t->current = ctx;
	return CUDA_SUCCESS;
}

static void pop(void)
{
	struct vgpu_thread *t = &vgpu_thread;

	t->depth--;
	t->current = t->depth ? t->stack[t->depth - 1] : NULL;
}

/* ---- life ---- */

CUresult vgpu_context_setup(struct vgpu_context *ctx, int device, uint32_t flags)
{
	pthread_mutex_init(&ctx->lock, NULL);
	ctx->id = atomic_fetch_add(&next_id, 1);
	ctx->home = ctx;
	ctx->device = device;
	ctx->flags = flags;
	ctx->api_version = API_VERSION;
	ctx->attached = 0;
	return vgpu_stream_setup_legacy(ctx);
}

void vgpu_context_teardown(struct vgpu_context *ctx)
{
	ctx->alive = false;
	vgpu_context_storage_drop(ctx);
	vgpu_objects_drop(ctx);
	vgpu_streams_drop(ctx);
}

static CUresult create_remote(struct vgpu_context *ctx)
{
	struct vgpu_args_ctx_create *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_ctx_create, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->context = ctx->wire;
	a->device = vgpu_device_real(ctx->device);
	a->flags = ctx->flags & ~(unsigned int)DUMP_FLAGS;	/* a dump would be the worker's */
	return vgpu_call_finish(&c);
}

static CUresult destroy(struct vgpu_context *ctx)
{
	struct vgpu_args_ctx_destroy *a;
	struct vgpu_call c;
	CUresult r;

	vgpu_context_teardown(ctx);
	r = vgpu_call_begin(&c, VGPU_OP_ctx_destroy, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->context = ctx->wire;
	return vgpu_call_finish(&c);
}

/* Both halves of a new context, and make it current. After an error nothing is left of it but the handle. */
static CUresult create(struct vgpu_context *ctx, CUdevice dev, unsigned int flags)
{
	CUresult r = vgpu_context_setup(ctx, dev, flags);

	if (r)
		return r;
	r = create_remote(ctx);
	if (r) {
		vgpu_streams_drop(ctx);
		return r;
	}
	ctx->alive = true;
	r = vgpu_context_push(ctx);
	if (r)
		destroy(ctx);
	return r;
}

CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev)
{
	struct vgpu_context *o;
	uint64_t wire;
	CUresult r;

	r = vgpu_ready();
	if (r)
		return r;
	if (!ctx || flags & ~CTX_FLAGS || (flags & CU_CTX_SCHED_MASK) > CU_CTX_SCHED_BLOCKING_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	r = vgpu_handle_new(VGPU_HANDLE_CONTEXT, &wire);
	if (r)
		return r;
	o = vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, wire);
	o->wire = wire;
	r = create(o, dev, flags);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_CONTEXT, wire);
		return r;
	}
	*ctx = vgpu_context_app(o);
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params_array, int num_params, unsigned int flags, CUdevice dev)
{
	if (params_array || num_params)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return cuCtxCreate_v2(ctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *ctx_create_params, unsigned int flags, CUdevice dev)
{
	if (ctx_create_params && ctx_create_params->numExecAffinityParams && !ctx_create_params->execAffinityParams)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	if (ctx_create_params && ctx_create_params->numExecAffinityParams)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	if (ctx_create_params && ctx_create_params->cigParams)
		return vgpu_ready() ? vgpu_ready() : vgpu_unsupported("cuCtxCreate_v4 with parameters");
	return cuCtxCreate_v2(ctx, flags, dev);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	struct vgpu_context *o;
	CUresult r;

	r = vgpu_ready();
	if (r)
		return r;
	o = ctx ? vgpu_handle_object(VGPU_HANDLE_CONTEXT, ctx) : NULL;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	if (!o || o->home->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (vgpu_thread.current == o)
		pop();
	r = destroy(o);
	vgpu_output_fetch();	/* its kernels have ended */
	vgpu_handle_drop(VGPU_HANDLE_CONTEXT, o->wire);
	return r;
}

CUresult cuCtxAttach(CUcontext *ctx, unsigned int flags)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx || flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_thread.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	vgpu_thread.current->attached++;
	*ctx = vgpu_context_app(vgpu_thread.current);
	return CUDA_SUCCESS;
}

/* Of the current context only. The last one to go destroys it. */
CUresult cuCtxDetach(CUcontext ctx)
{
	struct vgpu_context *o = vgpu_thread.current;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!o || ctx != vgpu_context_app(o))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!o->attached)
		return cuCtxDestroy_v2(ctx);
	o->attached--;
	return CUDA_SUCCESS;
}

/* ---- current ---- */

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = vgpu_context_app(vgpu_thread.current);
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext ctx)
{
	struct vgpu_thread *t = &vgpu_thread;
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx) {
		if (t->depth)
			pop();
		return CUDA_SUCCESS;
	}
	if (t->current && ctx == vgpu_context_app(t->current))
		return CUDA_SUCCESS;
	r = vgpu_context_get(ctx, &o);
	if (r)
		return r;
	if (!t->depth)
		return vgpu_context_push(o);
	t->stack[t->depth - 1] = t->current = o;
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(ctx, &o);
	return r ? r : vgpu_context_push(o);
}

CUresult cuCtxPopCurrent_v2(CUcontext *ctx)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!vgpu_thread.depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (ctx)
		*ctx = vgpu_context_app(vgpu_thread.current);
	pop();
	return CUDA_SUCCESS;
}

/* ---- what is known of one ---- */

CUresult cuCtxGetDevice(CUdevice *device)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_thread.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	*device = vgpu_thread.current->device;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(ctx, &o);
	if (!r)
		*device = o->device;
	return r;
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_thread.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	*flags = vgpu_thread.current->flags;
	if (vgpu_thread.current->home->primary)
		*flags |= CU_CTX_MAP_HOST;	/* asked for or not */
	return CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned int flags)
{
	CUresult r = vgpu_remote_cuCtxSetFlags(flags);

	if (!r)
		vgpu_thread.current->flags = flags;
	return r;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *ctx_id)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx_id)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(ctx, &o);
	if (!r)
		*ctx_id = o->id;
	return r;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_context_get(ctx, &o);
	if (!r)
		*version = o->api_version;
	return r;
}

CUresult cuCtxGetStreamPriorityRange(int *least_priority, int *greatest_priority)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (least_priority)
		*least_priority = vgpu_device(vgpu_thread.current->device)->priority_least;
	if (greatest_priority)
		*greatest_priority = vgpu_device(vgpu_thread.current->device)->priority_greatest;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	return vgpu_remote_cuCtxSetLimit(limit, value);
}

CUresult cuCtxGetLimit(size_t *value, CUlimit limit)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	return (unsigned int)limit < CU_LIMIT_MAX ? vgpu_remote_cuCtxGetLimit(value, limit) : CUDA_ERROR_INVALID_VALUE;
}

/* ---- waiting ---- */

#define FENCES_ON_STACK	64u

/* Fences for all streams with work, then wait without holding the list. */
static CUresult collect(struct vgpu_context *ctx, vgpu_fence *fences, size_t room, size_t *count)
{
	CUresult r = CUDA_SUCCESS;
	struct vgpu_stream *s, *next;
	vgpu_fence f;

	*count = 0;
	vgpu_lock(&ctx->lock);
	for (s = vgpu_stream_working(ctx); s && !r; s = next) {
		next = s->working_next;
		/* The streams that the legacy one would wait for are on the list themselves. */
		r = vgpu_stream_fence_own(s, &f);
		if (!r && vgpu_fence_done(f)) {
			vgpu_stream_rest(s);
		} else if (!r) {
			if (*count < room)
				fences[*count] = f;
			++*count;
		}
	}
	vgpu_unlock(&ctx->lock);
	return r;
}

static CUresult synchronize_one(struct vgpu_context *ctx)
{
	vgpu_fence on_stack[FENCES_ON_STACK], *fences = on_stack;
	size_t room = FENCES_ON_STACK, count, i;
	CUresult r;

	for (;;) {
		r = collect(ctx, fences, room, &count);
		if (r || count <= room)
			break;
		if (fences != on_stack)
			free(fences);
		room = 2 * count;
		fences = malloc(room * sizeof(*fences));
		if (!fences)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	for (i = 0; i < count && !r; i++)
		r = vgpu_fence_wait(fences[i]);
	if (fences != on_stack)
		free(fences);
	return r;
}

struct vgpu_context *vgpu_context_green(const struct vgpu_context *primary, const struct vgpu_context *after)
{
	uint64_t wire = after ? after->wire : 0;
	struct vgpu_context *ctx;

	while (primary->greens && (wire = vgpu_handle_next(VGPU_HANDLE_CONTEXT, wire))) {
		ctx = vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, wire);
		if (ctx && ctx->alive && ctx != primary && ctx->home == primary)
			return ctx;
	}
	return NULL;
}

CUresult vgpu_context_synchronize(struct vgpu_context *ctx)
{
	struct vgpu_context *green = NULL;
	CUresult r = synchronize_one(ctx);

	while (!r && (green = vgpu_context_green(ctx, green)))
		r = synchronize_one(green);
	return r;
}

void vgpu_context_touch(struct vgpu_context *ctx)
{
	struct vgpu_stream *s;

	vgpu_lock(&ctx->lock);
	vgpu_channel_lock();
	for (s = ctx->streams; s; s = s->next)
		vgpu_stream_mark(s);
	vgpu_channel_unlock();
	vgpu_unlock(&ctx->lock);
}

CUresult vgpu_context_synchronize_all(void)
{
	struct vgpu_context *ctx;
	CUresult r = CUDA_SUCCESS;
	uint64_t wire = 0;

	while (!r && (wire = vgpu_handle_next(VGPU_HANDLE_CONTEXT, wire))) {
		ctx = vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, wire);
		if (ctx && ctx->alive)
			r = synchronize_one(ctx);
	}
	return r;
}

static CUresult synchronize(struct vgpu_context *ctx)
{
	CUresult r = vgpu_error_sticky();

	if (!r)
		r = vgpu_capture_invalidate_all(ctx, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	if (r)
		return r;
	r = vgpu_context_synchronize(ctx);
	return vgpu_error_after(r);
}

CUresult cuCtxSynchronize(void)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : synchronize(vgpu_thread.current);
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (!r)
		r = vgpu_context_get(ctx, &o);
	if (r)
		return r;
	return o->alive ? synchronize(o) : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult vgpu_context_init(void)
{
	vgpu_handle_object_size(VGPU_HANDLE_CONTEXT, sizeof(struct vgpu_context));
	if (pthread_key_create(&exit_key, thread_exit))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return vgpu_primary_init();
}
