/* SPDX-License-Identifier: MIT */
/*
 * Contexts.  The primary context of device 0 was retained before the guest came, and everything that must outlive the
 * guest's own references (fences, the arena, the watchdog's stream) is registered there.  When the guest's last
 * reference to it goes, natively the context would die with all that was made in it; here it is reset and furnished
 * again.  The worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "log.h"
#include "session.h"

/* The handle of a primary context that was reset, for the guest's id. */
static CUresult refresh(struct vgpu_session *s, struct vgpu_handle_entry *e, CUdevice device)
{
	CUcontext ctx = NULL;
	CUresult r = s->drv->cuDevicePrimaryCtxRetain(&ctx, device);

	if (!r && s->drv->cuDevicePrimaryCtxRelease_v2)
		r = s->drv->cuDevicePrimaryCtxRelease_v2(device);
	e->obj = ctx;
	return r;
}

CUresult vgpu_handle_primary_ctx_retain(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_primary_ctx_retain *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	CUcontext ctx = NULL;
	CUresult r;

	if (!s->drv->cuDevicePrimaryCtxRetain)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuDevicePrimaryCtxRetain(&ctx, a->device);
	if (r)
		return r;
	if (e && e->obj == ctx)
		return CUDA_SUCCESS;
	if (e)
		vgpu_session_unbind(s, VGPU_HANDLE_CONTEXT, a->context);
	r = vgpu_session_bind(s, VGPU_HANDLE_CONTEXT, a->context, ctx);
	if (!r)
		vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context)->context = 0;
	return r;
}

/*
 * A reset leaves the reference counts as they are and the old handle dead (seen with driver 580): retaining gives the
 * handle of the new context, releasing once afterwards restores the count.  Then what is ours must be there again.
 */
static CUresult furnish(struct vgpu_session *s)
{
	const struct vgpu_driver *drv = s->drv;
	CUresult r = drv->cuDevicePrimaryCtxRetain(&s->device->primary, 0);

	if (!r && drv->cuDevicePrimaryCtxRelease_v2)
		r = drv->cuDevicePrimaryCtxRelease_v2(0);
	if (!r)
		r = drv->cuCtxSetCurrent(s->device->primary);
	if (!r)
		r = vgpu_arena_restore(s);
	if (!r && drv->cuStreamCreate)
		r = drv->cuStreamCreate(&s->device->probe, CU_STREAM_NON_BLOCKING);
	if (r)
		vgpu_log(VGPU_LOG_ERROR, NULL, "the primary context cannot be furnished again: CUDA error %d", r);
	return r;
}

static CUresult reset(struct vgpu_session *s, CUdevice device, uint64_t context)
{
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, context);
	bool ours = device == 0;
	CUresult r;

	if (!s->drv->cuDevicePrimaryCtxReset_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (e && (e->obj == s->device->primary) != ours)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = s->drv->cuDevicePrimaryCtxReset_v2(device);
	if (r)
		return r;
	vgpu_green_drop(s, context);
	vgpu_session_drop_context(s, vgpu_handle_index(context));
	s->context = 0;
	r = ours ? furnish(s) : s->drv->cuCtxSetCurrent(s->device->primary);
	if (!r && e)
		r = refresh(s, e, device);
	return r;
}

CUresult vgpu_handle_primary_ctx_release(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_primary_ctx_release *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	CUresult r;

	if (!e)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!s->drv->cuDevicePrimaryCtxRelease_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* The guest sends this with its last reference only: natively the context dies. */
	r = reset(s, a->device, a->context);
	if (!r)
		r = s->drv->cuDevicePrimaryCtxRelease_v2(a->device);
	vgpu_session_unbind(s, VGPU_HANDLE_CONTEXT, a->context);
	return r;
}

CUresult vgpu_handle_primary_ctx_reset(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_primary_ctx_reset *a = rq->args;

	return reset(s, a->device, a->context);
}

CUresult vgpu_handle_primary_ctx_set_flags(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_primary_ctx_set_flags *a = rq->args;

	return s->drv->cuDevicePrimaryCtxSetFlags_v2 ? s->drv->cuDevicePrimaryCtxSetFlags_v2(a->device, a->flags) :
						       CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_ctx_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ctx_create *a = rq->args;
	CUcontext ctx = NULL;
	CUresult r;

	if (!s->drv->cuCtxCreate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuCtxCreate_v2(&ctx, a->flags, a->device);
	if (r)
		return r;
	s->context = vgpu_handle_index(a->context);	/* it is current now */
	r = vgpu_session_bind(s, VGPU_HANDLE_CONTEXT, a->context, ctx);
	return r;
}

CUresult vgpu_handle_ctx_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ctx_destroy *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	CUresult r;

	if (!e || e->owner || e->obj == s->device->primary)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = s->drv->cuCtxDestroy_v2 ? s->drv->cuCtxDestroy_v2(e->obj) : CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	vgpu_session_drop_context(s, vgpu_handle_index(a->context));
	vgpu_session_unbind(s, VGPU_HANDLE_CONTEXT, a->context);
	s->context = 0;
	return s->drv->cuCtxSetCurrent(s->device->primary);
}
