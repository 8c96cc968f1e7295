/* SPDX-License-Identifier: MIT */
/*
 * Texture and surface objects. All that a kernel needs to sample is worked out when the object is made; it holds the arrays
 * that it shows. Resource views and sRGB are not supported; the
 * edges of a cube's faces are not filtered across.
 */
#include "texture.h"

#include <stdlib.h>

#include "array.h"
#include "calls.h"
#include "context.h"
#include "memory.h"
#include "ptx.h"
#include "vgpu/array_format.h"

#define ALIGNMENT 512       /* CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT */
#define PITCH_ALIGNMENT 32  /* CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT */
#define LINEAR_MAX (1u << 28)

struct soft_texture {
	struct soft_object obj; /* SOFT_TEXTURE or SOFT_SURFACE */
	struct ptx_texture image;
	struct soft_object *holds[SOFT_LEVELS]; /* references */
	unsigned held;
};

_Static_assert(SOFT_LEVELS <= PTX_LEVELS, "each level of an array is one of its texture");

bool soft_texture_find(void *ctx, uint64_t handle, bool surface, struct ptx_texture *out)
{
	struct soft_texture *t = soft_get(handle, surface ? SOFT_SURFACE : SOFT_TEXTURE);

	(void)ctx;
	if (!t)
		return false;
	*out = t->image;
	soft_put(&t->obj);
	return true;
}

static void release(struct soft_object *o)
{
	struct soft_texture *t = (struct soft_texture *)o;

	while (t->held)
		soft_put(t->holds[--t->held]);
	free(t);
}

static CUresult set_format(struct ptx_texture *x, CUarray_format format, unsigned channels)
{
	x->bits = (uint8_t)(8 * vgpu_array_channel_bytes(format));
	if (!x->bits || (channels != 1 && channels != 2 && channels != 4))
		return CUDA_ERROR_INVALID_VALUE;
	x->channels = (uint8_t)channels;
	if (format == CU_AD_FORMAT_HALF || format == CU_AD_FORMAT_FLOAT)
		x->channel = PTX_CHANNEL_FLOAT;
	else if (format >= CU_AD_FORMAT_SIGNED_INT8)
		x->channel = PTX_CHANNEL_SIGNED;
	else
		x->channel = PTX_CHANNEL_UNSIGNED;
	return CUDA_SUCCESS;
}

/* The array of a handle becomes the next level. */
static CUresult add_level(struct soft_texture *t, uint64_t handle)
{
	struct soft_array *a = soft_get(handle, SOFT_ARRAY);

	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	t->holds[t->held++] = &a->obj;
	t->image.level[t->image.levels++] = (struct ptx_level){
		(unsigned char *)a->start, (uint32_t)a->width, (uint32_t)a->height, (uint32_t)a->depth, a->pitch, a->slice };
	t->image.layered = a->desc.Flags & CUDA_ARRAY3D_LAYERED;
	t->image.cube = a->desc.Flags & CUDA_ARRAY3D_CUBEMAP;
	return set_format(&t->image, a->desc.Format, a->desc.NumChannels);
}

static CUresult from_mipmap(struct soft_texture *t, CUmipmappedArray handle)
{
	struct soft_mipmap *m = soft_get((uint64_t)handle, SOFT_MIPMAP);
	CUresult rc = m ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
	unsigned i;

	for (i = 0; !rc && i < m->levels; i++)
		rc = add_level(t, m->handles[i]);
	if (m)
		soft_put(&m->obj);
	return rc;
}

/* Rows of @width elements in memory of the device. */
static CUresult from_memory(struct soft_texture *t, CUdeviceptr at, uint64_t width, uint64_t height, uint64_t pitch)
{
	struct ptx_texture *x = &t->image;
	uint64_t row = width * x->channels * (x->bits / 8u), bytes;
	struct soft_region r;

	if (!at || at % ALIGNMENT || !width || !height || width > LINEAR_MAX || pitch < row ||
	    __builtin_mul_overflow(pitch, height - 1, &bytes) || !soft_memory_covers(at, bytes + row, &r))
		return CUDA_ERROR_INVALID_VALUE;
	x->level[x->levels++] = (struct ptx_level){ (unsigned char *)at, (uint32_t)width, (uint32_t)height, 1, pitch, 0 };
	return CUDA_SUCCESS;
}

static CUresult from_linear(struct soft_texture *t, const CUDA_RESOURCE_DESC *d)
{
	CUresult rc = set_format(&t->image, d->res.linear.format, d->res.linear.numChannels);
	uint64_t width;

	if (rc)
		return rc;
	width = d->res.linear.sizeInBytes / (t->image.channels * (t->image.bits / 8u));
	t->image.linear_memory = true;
	return from_memory(t, d->res.linear.devPtr, width, 1, d->res.linear.sizeInBytes);
}

static CUresult from_pitch(struct soft_texture *t, const CUDA_RESOURCE_DESC *d)
{
	CUresult rc = set_format(&t->image, d->res.pitch2D.format, d->res.pitch2D.numChannels);

	if (rc || d->res.pitch2D.pitchInBytes % PITCH_ALIGNMENT)
		return CUDA_ERROR_INVALID_VALUE;
	return from_memory(t, d->res.pitch2D.devPtr, d->res.pitch2D.width, d->res.pitch2D.height,
			   d->res.pitch2D.pitchInBytes);
}

static CUresult set_resource(struct soft_texture *t, const CUDA_RESOURCE_DESC *d)
{
	switch ((int)d->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		return add_level(t, (uint64_t)d->res.array.hArray);
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return from_mipmap(t, d->res.mipmap.hMipmappedArray);
	case CU_RESOURCE_TYPE_LINEAR:
		return from_linear(t, d);
	case CU_RESOURCE_TYPE_PITCH2D:
		return from_pitch(t, d);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult set_sampler(struct ptx_texture *x, const CUDA_TEXTURE_DESC *d)
{
	unsigned i;

	if ((unsigned)d->filterMode > CU_TR_FILTER_MODE_LINEAR || (unsigned)d->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
		return CUDA_ERROR_INVALID_VALUE;
	if (d->flags & CU_TRSF_SRGB) {
		soft_log(VGPU_SOFT_WARNING, "texture: sRGB is not supported");
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	for (i = 0; i < 3; i++) {
		if ((unsigned)d->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
			return CUDA_ERROR_INVALID_VALUE;
		x->address[i] = x->cube ? PTX_ADDRESS_CLAMP : (enum ptx_address_mode)d->addressMode[i];
	}
	for (i = 0; i < 4; i++)
		x->border[i] = d->borderColor[i];
	x->normalized = x->cube || (d->flags & CU_TRSF_NORMALIZED_COORDINATES && !x->linear_memory);
	x->as_float = !(d->flags & CU_TRSF_READ_AS_INTEGER);
	x->filter = d->filterMode == CU_TR_FILTER_MODE_LINEAR && !x->linear_memory;
	x->mip_filter = d->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR;
	x->lod_bias = d->mipmapLevelBias;
	x->lod_min = d->minMipmapLevelClamp;
	x->lod_max = d->maxMipmapLevelClamp;
	return CUDA_SUCCESS;
}

/* Gives the object a handle, or gives it up. */
static CUresult finish(struct soft_texture *t, CUresult rc, unsigned long long *out)
{
	if (!rc && soft_bind(&t->obj) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (rc)
		soft_put(&t->obj);
	else
		*out = t->obj.handle;
	return rc;
}

static CUresult begin(enum soft_kind kind, const void *out, const void *desc, struct soft_texture **t)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || !desc)
		return CUDA_ERROR_INVALID_VALUE;
	*t = calloc(1, sizeof(**t));
	if (!*t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&(*t)->obj, kind, ctx, release);
	return CUDA_SUCCESS;
}

static CUresult soft_cuTexObjectCreate(CUtexObject *out, const CUDA_RESOURCE_DESC *resource,
				       const CUDA_TEXTURE_DESC *desc, const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct soft_texture *t;
	CUresult rc = begin(SOFT_TEXTURE, out, resource, &t);

	if (rc)
		return rc;
	rc = desc ? set_resource(t, resource) : CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		rc = set_sampler(&t->image, desc);
	if (!rc && view) {
		soft_log(VGPU_SOFT_WARNING, "texture: resource views are not supported");
		rc = CUDA_ERROR_NOT_SUPPORTED;
	}
	return finish(t, rc, out);
}

static CUresult soft_cuSurfObjectCreate(CUsurfObject *out, const CUDA_RESOURCE_DESC *resource)
{
	struct soft_texture *t;
	CUresult rc = begin(SOFT_SURFACE, out, resource, &t);

	if (rc)
		return rc;
	rc = resource->resType == CU_RESOURCE_TYPE_ARRAY ? set_resource(t, resource) : CUDA_ERROR_INVALID_VALUE;
	return finish(t, rc, out);
}

static CUresult destroy(uint64_t handle, enum soft_kind kind)
{
	struct soft_context *ctx;
	struct soft_object *o;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	o = soft_get(handle, kind);
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	soft_context_drain(o->ctx, -1);
	if (soft_take(handle, kind))
		soft_put(o);
	soft_put(o);
	return vgpu_soft_fault();
}

static CUresult soft_cuTexObjectDestroy(CUtexObject object)
{
	return destroy(object, SOFT_TEXTURE);
}

static CUresult soft_cuSurfObjectDestroy(CUsurfObject object)
{
	return destroy(object, SOFT_SURFACE);
}

void soft_fill_texture(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuTexObjectCreate);
	SOFT_SLOT(d, cuTexObjectDestroy);
	SOFT_SLOT(d, cuSurfObjectCreate);
	SOFT_SLOT(d, cuSurfObjectDestroy);
}
