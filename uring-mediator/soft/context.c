/* SPDX-License-Identifier: MIT */
/*
 * Contexts: creation, destruction, the stack of each thread, and the state of the process (initialised, poisoned,
 * forked, shut down). A mutex guards the array; the fields that checks read are atomic.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "grid.h"
#include "memory.h"

#define STACK_DEPTH 256
#define HANDLE_MARK (3ull << 61)
#define DESTROY_GRACE_MS 2000

enum { COLD, READY, DOWN, FORKED };

static atomic_int process_state = COLD;
static atomic_int fault;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct soft_context contexts[SOFT_MAX_CONTEXTS];
static uint64_t generation;

static _Thread_local struct {
	uint64_t stack[STACK_DEPTH];
	unsigned depth;
} current;

CUresult vgpu_soft_fault(void)
{
	return (CUresult)atomic_load_explicit(&fault, memory_order_acquire);
}

bool soft_poisoned(void)
{
	return vgpu_soft_fault() != CUDA_SUCCESS;
}

void soft_poison(CUresult error)
{
	int none = 0;

	atomic_compare_exchange_strong(&fault, &none, (int)error);
}

/* Runs in the child of fork(): CUDA is unusable there, as natively. */
static void forked(void)
{
	atomic_store(&process_state, FORKED);
}

static void start_process(void)
{
	unsigned i;

	for (i = 0; i < soft_config.devices; i++)
		atomic_store(&contexts[i].handle, HANDLE_MARK | i);
	pthread_atfork(NULL, NULL, forked);
	atomic_store(&process_state, READY);
}

CUresult soft_enter_poisoned(void)
{
	switch (atomic_load_explicit(&process_state, memory_order_acquire)) {
	case READY:
		return CUDA_SUCCESS;
	case DOWN:
		return CUDA_ERROR_DEINITIALIZED;
	default:
		return CUDA_ERROR_NOT_INITIALIZED;
	}
}

CUresult soft_enter_any(void)
{
	CUresult rc = soft_enter_poisoned();

	return rc ? rc : vgpu_soft_fault();
}

static CUresult soft_cuInit(unsigned int flags)
{
	CUresult rc = CUDA_SUCCESS;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if (atomic_load(&process_state) != COLD)
		rc = soft_enter_poisoned();
	else if (soft_start() < 0 || soft_sched_start() < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	else
		start_process();
	pthread_mutex_unlock(&lock);
	return rc;
}

void vgpu_soft_shutdown(void)
{
	int ready = READY;

	if (!atomic_compare_exchange_strong(&process_state, &ready, DOWN))
		return;
	soft_poison(CUDA_ERROR_DEINITIALIZED);
	soft_grids_cancel(NULL);
	soft_sched_stop();
	soft_grids_stop();
}

CUcontext soft_context_handle(const struct soft_context *ctx)
{
	return (CUcontext)(uintptr_t)atomic_load(&ctx->handle);
}

struct soft_context *soft_primary_of(const struct soft_device *d)
{
	return &contexts[d->ordinal];
}

struct soft_context *soft_context_at(uint32_t index)
{
	struct soft_context *ctx = index < SOFT_MAX_CONTEXTS ? &contexts[index] : NULL;

	return ctx && atomic_load(&ctx->active) ? ctx : NULL;
}

struct soft_context *soft_context_get(CUcontext handle)
{
	uint64_t h = (uint64_t)(uintptr_t)handle;
	struct soft_context *ctx = soft_context_at((uint32_t)h);

	return h && ctx && atomic_load(&ctx->handle) == h ? ctx : NULL;
}

CUresult soft_enter(struct soft_context **ctx)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!current.depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	*ctx = soft_context_get((CUcontext)(uintptr_t)current.stack[current.depth - 1]);
	if (!*ctx)
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	*ctx = (*ctx)->base;
	return CUDA_SUCCESS;
}

CUresult soft_enter_context(CUcontext handle, struct soft_context **ctx)
{
	CUresult rc;

	if (!handle)
		return soft_enter(ctx);
	rc = soft_enter_any();
	if (rc)
		return rc;
	*ctx = soft_context_get(handle);
	return *ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

void *soft_enter_object(CUresult *rc, uint64_t handle, unsigned kinds, bool arguments_ok)
{
	void *o = NULL;

	if (*rc)
		return NULL;
	if (arguments_ok)
		o = soft_get(handle, kinds);
	if (!o)
		*rc = arguments_ok ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
	return o;
}

struct soft_context *soft_context_here(struct soft_context *ctx)
{
	struct soft_context *here;

	if (!current.depth)
		return ctx;
	here = soft_context_get((CUcontext)(uintptr_t)current.stack[current.depth - 1]);
	return here && here->base == ctx ? here : ctx;
}

bool soft_context_flags_valid(unsigned flags)
{
	unsigned sched = flags & CU_CTX_SCHED_MASK;

	return !(flags & ~(CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_SYNC_MEMOPS)) &&
	       (sched == 0 || sched == 1 || sched == 2 || sched == 4);
}

/* The default stream is never released: its context holds it. */
static void keep(struct soft_object *o)
{
	(void)o;
}

/* Once for each slot. */
static void open_streams(struct soft_context *ctx)
{
	if (ctx->legacy.obj.ctx)
		return;
	soft_object_init(&ctx->legacy.obj, SOFT_STREAM, ctx, keep);
	ctx->legacy.legacy = true;
	soft_object_init(&ctx->gate.obj, SOFT_STREAM, ctx, keep);
	ctx->gate.flags = CU_STREAM_NON_BLOCKING;
}

void soft_context_open(struct soft_context *ctx, struct soft_device *d, unsigned flags)
{
	static _Atomic uint64_t next_id = 1;

	ctx->device = d;
	ctx->base = ctx;
	ctx->num_sms = (unsigned)soft_device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, d);
	ctx->index = (uint32_t)(ctx - contexts);
	ctx->flags = flags | CU_CTX_MAP_HOST;
	ctx->id = atomic_fetch_add(&next_id, 1);
	memset(ctx->limits, 0, sizeof(ctx->limits));
	ctx->limits[CU_LIMIT_STACK_SIZE] = 1024;
	ctx->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20;
	ctx->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20;
	ctx->limits[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2;
	ctx->limits[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048;
	ctx->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
	soft_fifo_open(&ctx->fifo, ctx->limits[CU_LIMIT_PRINTF_FIFO_SIZE]);
	ctx->cache_config = CU_FUNC_CACHE_PREFER_NONE;
	ctx->shared_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	ctx->peers = 0;
	open_streams(ctx);
	atomic_store(&ctx->cancelled, false);
	atomic_store(&ctx->active, true);
}

struct soft_context *soft_context_green(const struct soft_context *ctx, uint32_t *at)
{
	struct soft_context *green;

	while (*at < SOFT_MAX_CONTEXTS) {
		green = soft_context_at((*at)++);
		if (green && green != ctx && green->base == ctx)
			return green;
	}
	return NULL;
}

void soft_context_close(struct soft_context *ctx)
{
	struct soft_context *green;
	struct soft_object *o;
	uint32_t at = 0, slot = 0;

	while ((green = soft_context_green(ctx, &slot)))
		soft_context_free(green);
	atomic_store(&ctx->active, false);
	if (!soft_poisoned() && !soft_context_drain(ctx, DESTROY_GRACE_MS)) {
		soft_log(VGPU_SOFT_WARNING, "context destroyed while work is running: it is stopped");
		atomic_store(&ctx->cancelled, true);
		soft_grids_cancel(ctx);
		soft_sched_kick();
		soft_context_drain(ctx, -1);
	}
	soft_fifo_flush(&ctx->fifo);
	while ((o = soft_take_next(ctx, &at)))
		soft_put(o);
	soft_memory_release(ctx);
}

void soft_context_drain_all(void)
{
	struct soft_context *ctx;
	uint32_t i;

	for (i = 0; i < SOFT_MAX_CONTEXTS; i++) {
		ctx = soft_context_at(i);
		if (ctx)
			soft_context_drain(ctx, -1);
	}
}

struct soft_context *soft_context_make(struct soft_device *d, unsigned flags, struct soft_context *base)
{
	struct soft_context *ctx = NULL;
	uint32_t i = SOFT_MAX_DEVICES;

	pthread_mutex_lock(&lock);
	while (i < SOFT_MAX_CONTEXTS && atomic_load(&contexts[i].handle))
		i++;
	if (i < SOFT_MAX_CONTEXTS) {
		ctx = &contexts[i];
		atomic_store(&ctx->handle, HANDLE_MARK | (++generation & 0xffffff) << 32 | i);
		soft_context_open(ctx, d, flags);
		if (base)
			ctx->base = base;
	}
	pthread_mutex_unlock(&lock);
	return ctx;
}

void soft_context_free(struct soft_context *ctx)
{
	soft_context_close(ctx);
	atomic_store(&ctx->handle, 0);
}

static CUresult create(CUcontext *out, unsigned flags, CUdevice dev)
{
	struct soft_context *ctx;
	struct soft_device *d;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !soft_context_flags_valid(flags))
		return CUDA_ERROR_INVALID_VALUE;
	d = soft_device_get(dev);
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	ctx = current.depth < STACK_DEPTH ? soft_context_make(d, flags, NULL) : NULL;
	if (!ctx)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = soft_context_handle(ctx);
	current.stack[current.depth++] = atomic_load(&ctx->handle);
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev)
{
	return create(ctx, flags, dev);
}

static CUresult soft_cuCtxCreate_v3(CUcontext *ctx, CUexecAffinityParam *params, int num_params, unsigned int flags,
				    CUdevice dev)
{
	return params || num_params ? CUDA_ERROR_NOT_SUPPORTED : create(ctx, flags, dev);
}

static CUresult soft_cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params, unsigned int flags, CUdevice dev)
{
	if (params && (params->execAffinityParams || params->cigParams))
		return CUDA_ERROR_NOT_SUPPORTED;
	return create(ctx, flags, dev);
}

static CUresult soft_cuCtxDestroy_v2(CUcontext handle)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	ctx = soft_context_get(handle);
	if (!ctx || ctx->base < contexts + SOFT_MAX_DEVICES)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (current.depth && current.stack[current.depth - 1] == (uint64_t)(uintptr_t)handle)
		current.depth--;
	soft_context_free(ctx);
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = current.depth ? (CUcontext)(uintptr_t)current.stack[current.depth - 1] : NULL;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxPushCurrent_v2(CUcontext ctx)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (!soft_context_get(ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (current.depth == STACK_DEPTH)
		return CUDA_ERROR_OUT_OF_MEMORY;
	current.stack[current.depth++] = (uint64_t)(uintptr_t)ctx;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxPopCurrent_v2(CUcontext *ctx)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (!current.depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	current.depth--;
	if (ctx)
		*ctx = (CUcontext)(uintptr_t)current.stack[current.depth];
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSetCurrent(CUcontext ctx)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (ctx && !soft_context_get(ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (current.depth)
		current.depth--;
	if (ctx)
		current.stack[current.depth++] = (uint64_t)(uintptr_t)ctx;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSynchronize(void)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!soft_context_drain(soft_context_here(ctx), -1))
		return CUDA_ERROR_DEINITIALIZED;
	return vgpu_soft_fault();
}

static CUresult soft_cuCtxSynchronize_v2(CUcontext handle)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_context(handle, &ctx);

	if (rc)
		return rc;
	if (!soft_context_drain(ctx, -1))
		return CUDA_ERROR_DEINITIALIZED;
	return vgpu_soft_fault();
}

void soft_fill_context(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuInit);
	SOFT_SLOT(d, cuCtxCreate_v2);
	SOFT_SLOT(d, cuCtxCreate_v3);
	SOFT_SLOT(d, cuCtxCreate_v4);
	SOFT_SLOT(d, cuCtxDestroy_v2);
	SOFT_SLOT(d, cuCtxGetCurrent);
	SOFT_SLOT(d, cuCtxSetCurrent);
	SOFT_SLOT(d, cuCtxPushCurrent_v2);
	SOFT_SLOT(d, cuCtxPopCurrent_v2);
	SOFT_SLOT(d, cuCtxSynchronize);
	SOFT_SLOT(d, cuCtxSynchronize_v2);
}
