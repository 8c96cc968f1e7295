/* SPDX-License-Identifier: MIT */
/*
 * Primary contexts: one for each device, made when first retained. Its handle
 * exists from cuInit on and never changes (cudart asks for it ahead of use). One
 * mutex over the counts of all; the queries that frameworks repeat tens of
 * thousands of times take no lock.
 */
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "context_internal.h"
#include "device.h"
#include "handle.h"
#include "thread.h"

static struct {
	pthread_mutex_t lock;
	struct vgpu_context *contexts[VGPU_DEVICES];
	_Atomic uint32_t flags[VGPU_DEVICES];
} primaries = { .lock = PTHREAD_MUTEX_INITIALIZER };

CUresult vgpu_primary_init(void)
{
	struct vgpu_context *ctx;
	uint64_t wire;
	CUresult r;
	int i;

	for (i = 0; i < vgpu_device_count(); i++) {
		r = vgpu_handle_new(VGPU_HANDLE_CONTEXT, &wire);
		if (r)
			return r;
		ctx = vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, wire);
		ctx->wire = wire;
		ctx->primary = true;
		ctx->home = ctx;
		ctx->device = i;
		primaries.contexts[i] = ctx;
		primaries.flags[i] = vgpu_device(i)->primary_flags;
	}
	return CUDA_SUCCESS;
}

struct vgpu_context *vgpu_context_primary(int device)
{
	return primaries.contexts[device];
}

static CUresult device_ready(CUdevice dev)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	return vgpu_device_valid(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

_Static_assert(sizeof(struct vgpu_args_primary_ctx_retain) == sizeof(struct vgpu_args_primary_ctx_release) &&
	       sizeof(struct vgpu_args_primary_ctx_retain) == sizeof(struct vgpu_args_primary_ctx_reset), "one form");

/* Retain, release or reset it at the worker's: they say the same, which context of which device. */
static CUresult send(const struct vgpu_context *ctx, uint16_t op, bool wait)
{
	struct vgpu_args_primary_ctx_retain *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, op, sizeof(*a), 0, wait ? VGPU_CALL_REPLY : 0);

	if (r)
		return r;
	a = c.args;
	a->device = vgpu_device_real(ctx->device);
	a->context = ctx->wire;
	if (wait)
		return vgpu_call_finish(&c);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

/* Make the real one. Under the lock. */
static CUresult activate(struct vgpu_context *ctx)
{
	CUresult r = vgpu_context_setup(ctx, ctx->device, primaries.flags[ctx->device]);

	if (r)
		return r;
	r = send(ctx, VGPU_OP_primary_ctx_retain, true);
	if (r)
		vgpu_streams_drop(ctx);
	else
		ctx->alive = true;
	return r;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice dev)
{
	struct vgpu_context *o;
	CUresult r = device_ready(dev);

	if (r)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	o = primaries.contexts[dev];
	vgpu_lock(&primaries.lock);
	if (!o->alive)
		r = activate(o);
	if (!r)
		o->uses++;
	vgpu_unlock(&primaries.lock);
	if (!r)
		*ctx = vgpu_context_app(o);
	return r;
}

static void forget(struct vgpu_context *ctx)
{
	vgpu_greens_drop(ctx);
	vgpu_context_teardown(ctx);
}

/* The application's count is zero. Under the lock. */
static CUresult deactivate(struct vgpu_context *ctx)
{
	forget(ctx);
	return send(ctx, VGPU_OP_primary_ctx_release, false);
}

/* The driver may refuse: then all stays as it is. Under the lock. */
static CUresult reset(struct vgpu_context *ctx)
{
	CUresult r = send(ctx, VGPU_OP_primary_ctx_reset, true);

	if (!r)
		forget(ctx);
	return r;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	struct vgpu_context *o;
	CUresult r = device_ready(dev);

	if (r)
		return r;
	o = primaries.contexts[dev];
	vgpu_lock(&primaries.lock);
	if (!o->uses)
		r = CUDA_ERROR_INVALID_CONTEXT;
	else if (!--o->uses && o->alive)
		r = deactivate(o);
	vgpu_unlock(&primaries.lock);
	return r;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	struct vgpu_context *o;
	CUresult r = device_ready(dev);

	if (r)
		return r;
	o = primaries.contexts[dev];
	vgpu_lock(&primaries.lock);
	if (o->alive)
		r = reset(o);
	if (!r)
		o->uses = 0;
	vgpu_unlock(&primaries.lock);
	return r;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	struct vgpu_args_primary_ctx_set_flags *a;
	struct vgpu_call c;
	CUresult r = device_ready(dev);

	if (r)
		return r;
	if (flags & ~(unsigned int)CU_CTX_FLAGS_MASK || (flags & CU_CTX_SCHED_MASK) > CU_CTX_SCHED_BLOCKING_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_call_begin(&c, VGPU_OP_primary_ctx_set_flags, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->device = vgpu_device_real(dev);
	a->flags = flags;
	r = vgpu_call_finish(&c);
	if (r)
		return r;
	primaries.contexts[dev]->flags = flags;
	primaries.flags[dev] = flags;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	CUresult r = device_ready(dev);

	if (r)
		return r;
	if (!flags || !active)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = atomic_load_explicit(&primaries.flags[dev], memory_order_relaxed);
	*active = primaries.contexts[dev]->alive;
	return CUDA_SUCCESS;
}
