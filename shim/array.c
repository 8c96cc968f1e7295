/* SPDX-License-Identifier: MIT */
/*
 * Arrays: made by the worker, described here. The descriptor is asked for
 * once, when a handle is new; after that queries and the checks of copies
 * need no message. Levels and planes have handles of their own, the same at
 * each call, which die with the array that they are part of.
 */
#include "array.h"

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <vgpu/array_format.h>

#include "call.h"
#include "context.h"
#include "handle.h"
#include "thread.h"

static struct vgpu_array *object(enum vgpu_handle_kind kind, const void *app)
{
	return vgpu_handle_object(kind, app);
}

const struct vgpu_array *vgpu_array_get(CUarray app, uint64_t *wire)
{
	*wire = vgpu_handle_to_wire(app);
	return object(VGPU_HANDLE_ARRAY, app);
}

uint64_t vgpu_array_element(const struct vgpu_array *a)
{
	return (uint64_t)vgpu_array_channel_bytes(a->desc.Format) * a->desc.NumChannels;
}

/* @at + @n is at most @extent. */
static bool inside(uint64_t at, uint64_t n, uint64_t extent)
{
	return at <= extent && n <= extent - at;
}

bool vgpu_array_holds(const struct vgpu_array *a, const uint64_t at[3], uint64_t width, uint64_t height, uint64_t depth)
{
	const CUDA_ARRAY3D_DESCRIPTOR *d = &a->desc;
	uint64_t element = vgpu_array_element(a);

	if (!element)	/* not a format of single elements: the driver checks */
		return true;
	return inside(at[0], width, d->Width * element) && inside(at[1], height, vgpu_array_extent(d->Height)) &&
	       inside(at[2], depth, vgpu_array_extent(d->Depth)) && at[0] % element == 0 && width % element == 0;
}

/* A new array: ask what it is. If that fails, it is gone again. */
static CUresult describe(CUarray *app, uint64_t owner)
{
	struct vgpu_array *a = object(VGPU_HANDLE_ARRAY, *app);
	CUDA_ARRAY3D_DESCRIPTOR desc;
	CUresult r = vgpu_remote_cuArray3DGetDescriptor_v2(&desc, *app);

	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	if (r) {
		if (!owner)
			vgpu_remote_cuArrayDestroy(*app);
		return r;
	}
	a->desc = desc;
	a->context = vgpu_context_home();
	a->owner = owner;
	return CUDA_SUCCESS;
}

CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *desc)
{
	CUresult r = vgpu_remote_cuArrayCreate_v2(array, desc);

	return r ? r : describe(array, 0);
}

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
	CUresult r = vgpu_remote_cuArray3DCreate_v2(array, desc);

	return r ? r : describe(array, 0);
}

/* What is part of this is no more, as the worker knows too. */
static void drop_parts(uint64_t owner)
{
	struct vgpu_array *a;
	uint64_t wire = 0;

	while ((wire = vgpu_handle_next(VGPU_HANDLE_ARRAY, wire))) {
		a = vgpu_handle_object_wire(VGPU_HANDLE_ARRAY, wire);
		if (a && a->owner == owner)
			vgpu_handle_drop(VGPU_HANDLE_ARRAY, wire);
	}
}

static bool has_parts(const struct vgpu_array *a)
{
	int i;

	for (i = 0; a && i < VGPU_ARRAY_PARTS; i++)
		if (atomic_load_explicit(&a->parts[i], memory_order_relaxed))
			return true;
	return false;
}

CUresult cuArrayDestroy(CUarray array)
{
	const struct vgpu_array *a = object(VGPU_HANDLE_ARRAY, array);
	bool parts = has_parts(a);
	CUresult r;

	r = vgpu_remote_cuArrayDestroy(array);
	if (!r && parts)
		drop_parts(vgpu_handle_to_wire(array));
	return r;
}

static CUresult described(CUarray app, const void *out, const struct vgpu_array **a)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*a = object(VGPU_HANDLE_ARRAY, app);
	return *a ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *desc, CUarray array)
{
	const struct vgpu_array *a;
	CUresult r = described(array, desc, &a);

	if (!r)
		*desc = (CUDA_ARRAY_DESCRIPTOR){ .Width = a->desc.Width, .Height = a->desc.Height,
						 .Format = a->desc.Format, .NumChannels = a->desc.NumChannels };
	return r;
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *desc, CUarray array)
{
	const struct vgpu_array *a;
	CUresult r = described(array, desc, &a);

	if (!r)
		*desc = a->desc;
	return r;
}

/* A part that was asked for before. */
static bool known_part(const struct vgpu_array *whole, unsigned int index, CUarray *part)
{
	uint64_t wire = whole && index < VGPU_ARRAY_PARTS ?
				atomic_load_explicit(&whole->parts[index], memory_order_acquire) : 0;

	if (wire && part)
		*part = vgpu_handle_app(VGPU_HANDLE_ARRAY, wire);
	return wire && part;
}

/* A new part. If another thread asked for it meanwhile, both get the same; the other handle waits for the end unused. */
static CUresult keep_part(struct vgpu_array *whole, uint64_t wire, unsigned int index, CUarray *part)
{
	CUresult r = describe(part, whole->owner ? whole->owner : wire);
	uint64_t none = 0;

	if (!r && index < VGPU_ARRAY_PARTS &&
	    !atomic_compare_exchange_strong(&whole->parts[index], &none, vgpu_handle_to_wire(*part)))
		*part = vgpu_handle_app(VGPU_HANDLE_ARRAY, none);
	return r;
}

CUresult cuArrayGetPlane(CUarray *plane, CUarray array, unsigned int index)
{
	struct vgpu_array *a = object(VGPU_HANDLE_ARRAY, array);
	VGPU_CONTEXT_LENDS(a ? a->context : NULL);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r || known_part(a, index, plane))
		return r;
	r = vgpu_remote_cuArrayGetPlane(plane, array, index);
	return r ? r : keep_part(a, vgpu_handle_to_wire(array), index, plane);
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *mipmap, const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned int levels)
{
	CUresult r = vgpu_remote_cuMipmappedArrayCreate(mipmap, desc, levels);
	struct vgpu_array *a;

	if (r)
		return r;
	a = object(VGPU_HANDLE_MIPMAP, *mipmap);
	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	a->desc = *desc;
	a->levels = levels;
	a->context = vgpu_context_home();
	return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray mipmap)
{
	bool parts = has_parts(object(VGPU_HANDLE_MIPMAP, mipmap));
	CUresult r = vgpu_remote_cuMipmappedArrayDestroy(mipmap);

	if (!r && parts)
		drop_parts(vgpu_handle_to_wire(mipmap));
	return r;
}

CUresult cuMipmappedArrayGetLevel(CUarray *array, CUmipmappedArray mipmap, unsigned int level)
{
	struct vgpu_array *a = object(VGPU_HANDLE_MIPMAP, mipmap);
	VGPU_CONTEXT_LENDS(a ? a->context : NULL);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r || known_part(a, level, array))
		return r;
	r = vgpu_remote_cuMipmappedArrayGetLevel(array, mipmap, level);
	return r ? r : keep_part(a, vgpu_handle_to_wire(mipmap), level, array);
}

static void drop_kind(enum vgpu_handle_kind kind, const struct vgpu_context *ctx)
{
	const struct vgpu_array *a;
	uint64_t wire = 0;

	while ((wire = vgpu_handle_next(kind, wire))) {
		a = vgpu_handle_object_wire(kind, wire);
		if (a && a->context == ctx)
			vgpu_handle_drop(kind, wire);
	}
}

void vgpu_arrays_drop(const struct vgpu_context *ctx)
{
	drop_kind(VGPU_HANDLE_ARRAY, ctx);
	drop_kind(VGPU_HANDLE_MIPMAP, ctx);
}
