/* SPDX-License-Identifier: MIT */
/*
 * CUDA arrays and mipmapped arrays: the calls. Formats are those of one, two or four channels of 8, 16 or 32 bits; others, and
 * arrays whose memory comes later (sparse, deferred), are not supported.
 */
#include <stdlib.h>

#include "array.h"
#include "calls.h"
#include "context.h"
#include "memory.h"
#include "vgpu/array_format.h"

#define FLAGS (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_TEXTURE_GATHER)
#define UNSUPPORTED (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING | CUDA_ARRAY3D_DEPTH_TEXTURE | \
		     CUDA_ARRAY3D_COLOR_ATTACHMENT | CUDA_ARRAY3D_VIDEO_ENCODE_DECODE)

/* The largest extents, as the attributes of the device have them. */
static bool fits(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	bool layered = d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);

	if (layered)
		return d->Width <= 32768 && d->Height <= 32768 && d->Depth <= 2048;
	if (d->Depth)
		return d->Width <= 16384 && d->Height <= 16384 && d->Depth <= 16384;
	return d->Width <= 131072 && d->Height <= 65536;
}

static bool shape_valid(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	if (!d->Width || !fits(d))
		return false;
	if (d->Flags & CUDA_ARRAY3D_CUBEMAP)
		return d->Width == d->Height && d->Depth && d->Depth % 6 == 0 &&
		       (d->Depth == 6 || d->Flags & CUDA_ARRAY3D_LAYERED);
	if (d->Flags & CUDA_ARRAY3D_LAYERED)
		return d->Depth;
	return d->Height || !d->Depth;
}

static CUresult check(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	if (!d || d->Flags & ~(FLAGS | UNSUPPORTED) || !shape_valid(d))
		return CUDA_ERROR_INVALID_VALUE;
	if (d->Flags & UNSUPPORTED || !vgpu_array_channel_bytes(d->Format)) {
		soft_log(VGPU_SOFT_WARNING, "array: format 0x%x with flags 0x%x is not supported", (unsigned)d->Format,
			 d->Flags);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	if (d->NumChannels != 1 && d->NumChannels != 2 && d->NumChannels != 4)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static void release_array(struct soft_object *o)
{
	struct soft_array *a = (struct soft_array *)o;

	soft_memory_free(o->ctx, a->start);
	free(a);
}

/* An array with a handle, the caller's reference in the table. */
static CUresult make(struct soft_context *ctx, const CUDA_ARRAY3D_DESCRIPTOR *d, bool part, uint64_t *handle)
{
	struct soft_array *a = calloc(1, sizeof(*a));

	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&a->obj, SOFT_ARRAY, ctx, release_array);
	a->desc = *d;
	a->width = d->Width;
	a->height = vgpu_array_extent(d->Height);
	a->depth = vgpu_array_extent(d->Depth);
	a->element = vgpu_array_channel_bytes(d->Format) * d->NumChannels;
	a->pitch = a->width * a->element;
	a->slice = a->pitch * a->height;
	a->part = part;
	if (soft_memory_alloc(ctx, a->slice * a->depth, SOFT_TAG_MODULE, &a->start) < 0) {
		free(a);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (soft_bind(&a->obj) < 0) {
		soft_put(&a->obj);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*handle = a->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult create(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	struct soft_context *ctx;
	uint64_t handle;
	CUresult rc = soft_enter(&ctx);

	if (!rc)
		rc = out ? check(d) : CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		rc = make(ctx, d, false, &handle);
	if (!rc)
		*out = (CUarray)handle;
	return rc;
}

static CUresult soft_cuArrayCreate_v2(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *d)
{
	CUDA_ARRAY3D_DESCRIPTOR full = { 0 };

	if (d)
		full = (CUDA_ARRAY3D_DESCRIPTOR){ .Width = d->Width, .Height = d->Height, .Format = d->Format,
						  .NumChannels = d->NumChannels };
	return create(out, d ? &full : NULL);
}

static CUresult soft_cuArray3DCreate_v2(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	return create(out, d);
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_array(CUarray handle, struct soft_array **a)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	*a = soft_enter_object(&rc, (uint64_t)handle, SOFT_ARRAY, true);
	return rc;
}

static CUresult enter_mipmap(CUmipmappedArray handle, struct soft_mipmap **m)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	*m = soft_enter_object(&rc, (uint64_t)handle, SOFT_MIPMAP, true);
	return rc;
}

static CUresult soft_cuArrayDestroy(CUarray array)
{
	struct soft_array *a;
	CUresult rc = enter_array(array, &a);

	if (rc)
		return rc;
	if (a->part) {
		soft_put(&a->obj);
		return CUDA_ERROR_INVALID_VALUE;
	}
	soft_context_drain(a->obj.ctx, -1);
	if (soft_take((uint64_t)array, SOFT_ARRAY))
		soft_put(&a->obj);
	soft_put(&a->obj);
	return vgpu_soft_fault();
}

static CUresult soft_cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *d, CUarray array)
{
	struct soft_array *a;
	CUresult rc = enter_array(array, &a);

	if (rc)
		return rc;
	if (d)
		*d = a->desc;
	soft_put(&a->obj);
	return d ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *d, CUarray array)
{
	CUDA_ARRAY3D_DESCRIPTOR full;
	CUresult rc = soft_cuArray3DGetDescriptor_v2(d ? &full : NULL, array);

	if (!rc)
		*d = (CUDA_ARRAY_DESCRIPTOR){ full.Width, full.Height, full.Format, full.NumChannels };
	return rc;
}

static void drop_levels(struct soft_mipmap *m)
{
	struct soft_array *a;
	unsigned i;

	for (i = 0; i < m->levels; i++) {
		a = soft_take(m->handles[i], SOFT_ARRAY);
		if (a)
			soft_put(&a->obj);
	}
}

static void release_mipmap(struct soft_object *o)
{
	free(o);
}

static size_t half(size_t n)
{
	return n > 1 ? n / 2 : n;
}

/* The descriptor of the level below; layers stay. */
static void shrink(CUDA_ARRAY3D_DESCRIPTOR *d)
{
	d->Width = half(d->Width);
	d->Height = half(d->Height);
	if (!(d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)))
		d->Depth = half(d->Depth);
}

static unsigned most_levels(const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	bool layers = d->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
	size_t n = d->Width > d->Height ? d->Width : d->Height;
	unsigned levels = 1;

	if (!layers && d->Depth > n)
		n = d->Depth;
	while (n >>= 1)
		levels++;
	return levels < SOFT_LEVELS ? levels : SOFT_LEVELS;
}

static CUresult make_levels(struct soft_mipmap *m, unsigned levels)
{
	CUDA_ARRAY3D_DESCRIPTOR d = m->desc;
	CUresult rc = CUDA_SUCCESS;

	while (m->levels < levels && !rc) {
		rc = make(m->obj.ctx, &d, true, &m->handles[m->levels]);
		m->levels += !rc;
		shrink(&d);
	}
	return rc;
}

/* More levels than the extents have are as many as they have. */
static CUresult soft_cuMipmappedArrayCreate(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned int levels)
{
	struct soft_context *ctx;
	struct soft_mipmap *m;
	CUresult rc = soft_enter(&ctx);

	if (!rc)
		rc = out && levels ? check(d) : CUDA_ERROR_INVALID_VALUE;
	if (rc)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&m->obj, SOFT_MIPMAP, ctx, release_mipmap);
	m->desc = *d;
	rc = make_levels(m, levels < most_levels(d) ? levels : most_levels(d));
	if (!rc && soft_bind(&m->obj) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (rc) {
		drop_levels(m);
		soft_put(&m->obj);
		return rc;
	}
	*out = (CUmipmappedArray)m->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMipmappedArrayDestroy(CUmipmappedArray mipmap)
{
	struct soft_mipmap *m;
	CUresult rc = enter_mipmap(mipmap, &m);

	if (rc)
		return rc;
	soft_context_drain(m->obj.ctx, -1);
	if (soft_take((uint64_t)mipmap, SOFT_MIPMAP)) {
		drop_levels(m);
		soft_put(&m->obj);
	}
	soft_put(&m->obj);
	return vgpu_soft_fault();
}

static CUresult soft_cuMipmappedArrayGetLevel(CUarray *out, CUmipmappedArray mipmap, unsigned int level)
{
	struct soft_mipmap *m;
	CUresult rc = enter_mipmap(mipmap, &m);

	if (rc)
		return rc;
	if (!out || level >= m->levels)
		rc = CUDA_ERROR_INVALID_VALUE;
	else
		*out = (CUarray)m->handles[level];
	soft_put(&m->obj);
	return rc;
}

void soft_fill_array(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuArrayCreate_v2);
	SOFT_SLOT(d, cuArray3DCreate_v2);
	SOFT_SLOT(d, cuArrayDestroy);
	SOFT_SLOT(d, cuArrayGetDescriptor_v2);
	SOFT_SLOT(d, cuArray3DGetDescriptor_v2);
	SOFT_SLOT(d, cuMipmappedArrayCreate);
	SOFT_SLOT(d, cuMipmappedArrayDestroy);
	SOFT_SLOT(d, cuMipmappedArrayGetLevel);
}
