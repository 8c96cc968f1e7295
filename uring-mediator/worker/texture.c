/* SPDX-License-Identifier: MIT */
/*
 * Texture and surface objects.  The guest names them by ids; the driver's value goes to the guest too, since kernels
 * are given it among their parameters, but nothing comes back by it.  Tensor maps are the guest's own bytes: the driver
 * changes an aligned copy.  The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include <vgpu/array_format.h>

#include "session.h"

#define WIDEST_CHANNEL	4u	/* bytes */

/* An array or mipmapped array of the guest. */
static CUresult resolve_array(struct vgpu_session *s, const struct vgpu_rec_resource *w, CUDA_RESOURCE_DESC *d)
{
	bool mipmap = w->type == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
	void *obj = NULL;
	CUresult r = vgpu_session_lookup(s, mipmap ? VGPU_HANDLE_MIPMAP : VGPU_HANDLE_ARRAY, w->at, &obj);

	if (mipmap)
		d->res.mipmap.hMipmappedArray = obj;
	else
		d->res.array.hArray = obj;
	return r;
}

static CUresult resolve_linear(struct vgpu_session *s, const struct vgpu_rec_resource *w, CUDA_RESOURCE_DESC *d)
{
	d->res.linear.devPtr = w->at;
	d->res.linear.format = (CUarray_format)w->format;
	d->res.linear.numChannels = w->channels;
	d->res.linear.sizeInBytes = w->width;
	return w->width ? vgpu_memory_check(s, w->at, w->width) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult resolve_pitch(struct vgpu_session *s, const struct vgpu_rec_resource *w, CUDA_RESOURCE_DESC *d)
{
	uint64_t element = w->channels ? (uint64_t)vgpu_array_channel_bytes((CUarray_format)w->format) * w->channels : 0;
	uint64_t row, bytes;

	d->res.pitch2D.devPtr = w->at;
	d->res.pitch2D.format = (CUarray_format)w->format;
	d->res.pitch2D.numChannels = w->channels;
	d->res.pitch2D.width = w->width;
	d->res.pitch2D.height = w->height;
	d->res.pitch2D.pitchInBytes = w->pitch;
	if (!w->width || !w->height || __builtin_mul_overflow(w->width, element ? element : WIDEST_CHANNEL, &row) ||
	    __builtin_mul_overflow(w->pitch, w->height - 1, &bytes) || __builtin_add_overflow(bytes, row, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_memory_check(s, w->at, bytes);
}

static CUresult resolve(struct vgpu_session *s, const struct vgpu_rec_resource *w, CUDA_RESOURCE_DESC *d)
{
	memset(d, 0, sizeof(*d));
	d->resType = (CUresourcetype)w->type;
	d->flags = w->flags;
	switch (w->type) {
	case CU_RESOURCE_TYPE_ARRAY:
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return resolve_array(s, w, d);
	case CU_RESOURCE_TYPE_LINEAR:
		return resolve_linear(s, w, d);
	case CU_RESOURCE_TYPE_PITCH2D:
		return resolve_pitch(s, w, d);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUDA_TEXTURE_DESC sampler_of(const struct vgpu_rec_sampler *w)
{
	CUDA_TEXTURE_DESC d = {
		.filterMode = (CUfilter_mode)w->filter, .flags = w->flags, .maxAnisotropy = w->anisotropy,
		.mipmapFilterMode = (CUfilter_mode)w->level_filter, .mipmapLevelBias = w->level_bias,
		.minMipmapLevelClamp = w->level_min, .maxMipmapLevelClamp = w->level_max,
	};

	for (int i = 0; i < 3; i++)
		d.addressMode[i] = (CUaddress_mode)w->address[i];
	for (int i = 0; i < 4; i++)
		d.borderColor[i] = w->border[i];
	return d;
}

static CUDA_RESOURCE_VIEW_DESC view_of(const struct vgpu_rec_resource_view *w)
{
	return (CUDA_RESOURCE_VIEW_DESC){
		.format = (CUresourceViewFormat)w->format, .width = w->width, .height = w->height, .depth = w->depth,
		.firstMipmapLevel = w->first_level, .lastMipmapLevel = w->last_level,
		.firstLayer = w->first_layer, .lastLayer = w->last_layer,
	};
}

CUresult vgpu_handle_texture_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_texture_create *a = rq->args;
	struct vgpu_ret_texture_create *o = rq->ret;
	CUDA_TEXTURE_DESC sampler = sampler_of(&a->sampler);
	CUDA_RESOURCE_VIEW_DESC view = view_of(&a->view);
	CUDA_RESOURCE_DESC resource;
	CUtexObject object = 0;
	CUresult r;

	if (!s->drv->cuTexObjectCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = resolve(s, &a->resource, &resource);
	if (!r)
		r = s->drv->cuTexObjectCreate(&object, &resource, &sampler, a->has_view ? &view : NULL);
	if (r)
		return r;
	o->object = object;
	rq->ret_size = sizeof(*o);
	return vgpu_session_bind(s, VGPU_HANDLE_TEXOBJECT, a->id, (void *)(uintptr_t)object);
}

CUresult vgpu_handle_surface_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_surface_create *a = rq->args;
	struct vgpu_ret_surface_create *o = rq->ret;
	CUDA_RESOURCE_DESC resource;
	CUsurfObject object = 0;
	CUresult r;

	if (!s->drv->cuSurfObjectCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = resolve(s, &a->resource, &resource);
	if (!r)
		r = s->drv->cuSurfObjectCreate(&object, &resource);
	if (r)
		return r;
	o->object = object;
	rq->ret_size = sizeof(*o);
	return vgpu_session_bind(s, VGPU_HANDLE_SURFOBJECT, a->id, (void *)(uintptr_t)object);
}

CUresult vgpu_texture_destroy(const struct vgpu_driver *drv, const struct vgpu_handle_entry *e)
{
	if (vgpu_handle_kind_of(e->id) == VGPU_HANDLE_TEXOBJECT)
		return drv->cuTexObjectDestroy ? drv->cuTexObjectDestroy((CUtexObject)(uintptr_t)e->obj) :
						 CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuSurfObjectDestroy ? drv->cuSurfObjectDestroy((CUsurfObject)(uintptr_t)e->obj) :
					  CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_texture_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_texture_destroy *a = rq->args;
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(a->id);
	const struct vgpu_handle_entry *e;
	CUresult r;

	if (kind != VGPU_HANDLE_TEXOBJECT && kind != VGPU_HANDLE_SURFOBJECT)
		return vgpu_session_broken(s, "0x%016llx is not a texture or surface", (unsigned long long)a->id);
	e = vgpu_handles_find(&s->handles, kind, a->id);
	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_texture_destroy(s->drv, e);
	if (!r)
		vgpu_session_unbind(s, kind, a->id);
	return r;
}

CUresult vgpu_handle_tensor_map_replace(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_tensor_map_replace *a = rq->args;
	struct vgpu_ret_tensor_map_replace *o = rq->ret;
	CUtensorMap map;
	CUresult r;

	if (!s->drv->cuTensorMapReplaceAddress)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&map, a->map, sizeof(map));
	r = s->drv->cuTensorMapReplaceAddress(&map, (void *)(uintptr_t)a->address);
	if (r)
		return r;
	memcpy(o->map, &map, sizeof(o->map));
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}
