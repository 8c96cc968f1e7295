/* SPDX-License-Identifier: MIT */
/*
 * Texture references. One that has a name in a module is the module's: its handle entry says so, and nobody destroys it.
 * The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

CUresult vgpu_handle_cuModuleGetTexRef(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuModuleGetTexRef *a = rq->args;
	CUresult r = vgpu_default_cuModuleGetTexRef(s, rq);

	if (!r)
		vgpu_handles_find(&s->handles, VGPU_HANDLE_TEXREF, a->texref)->owner = a->module;
	return r;
}

CUresult vgpu_handle_cuTexRefDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuTexRefDestroy *a = rq->args;
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_TEXREF, a->texref);

	return e && e->owner ? CUDA_ERROR_INVALID_VALUE : vgpu_default_cuTexRefDestroy(s, rq);
}

/* Address 0 takes what was set away. */
static CUresult check(const struct vgpu_session *s, uint64_t address, uint64_t bytes)
{
	return address ? vgpu_memory_check(s, address, bytes) : CUDA_SUCCESS;
}

CUresult vgpu_handle_cuTexRefSetAddress_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuTexRefSetAddress_v2 *a = rq->args;
	CUresult r = check(s, a->address, a->bytes);

	return r ? r : vgpu_default_cuTexRefSetAddress_v2(s, rq);
}

CUresult vgpu_handle_cuTexRefSetAddress2D_v3(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuTexRefSetAddress2D_v3 *a = rq->args;
	CUresult r = CUDA_ERROR_INVALID_VALUE;
	uint64_t bytes;

	if (!__builtin_mul_overflow(a->pitch, a->desc.Height, &bytes))
		r = check(s, a->address, bytes);
	return r ? r : vgpu_default_cuTexRefSetAddress2D_v3(s, rq);
}

CUresult vgpu_handle_texref_border(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_texref_border *a = rq->args;
	float color[4];
	void *texref;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_TEXREF, a->texref, &texref);

	if (r)
		return r;
	if (!s->drv->cuTexRefSetBorderColor)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(color, a->color, sizeof(color));
	return s->drv->cuTexRefSetBorderColor(texref, color);
}

CUresult vgpu_handle_texref_get_border(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_texref_get_border *a = rq->args;
	struct vgpu_ret_texref_get_border *o = rq->ret;
	void *texref;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_TEXREF, a->texref, &texref);

	if (r)
		return r;
	if (!s->drv->cuTexRefGetBorderColor)
		return CUDA_ERROR_NOT_SUPPORTED;
	rq->ret_size = sizeof(*o);
	return s->drv->cuTexRefGetBorderColor(o->color, texref);
}
