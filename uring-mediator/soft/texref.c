/* SPDX-License-Identifier: MIT */
/*
 * Texture references: they keep what is set. None has a name in a module, since PTX with such names (.texref) is refused
 * when it is loaded; a kernel samples texture objects.
 */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "calls.h"
#include "context.h"
#include "handle.h"
#include "memory.h"
#include "module.h"
#include "vgpu/array_format.h"

#define ALIGNMENT 512 /* CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT */

struct soft_texref {
	struct soft_object obj; /* SOFT_TEXREF */
	CUarray_format format;
	int channels;
	CUaddress_mode address_mode[3];
	CUfilter_mode filter, mip_filter;
	unsigned flags, anisotropy;
	float bias, clamp[2], border[4];
	CUdeviceptr address; /* 0: it shows an array, or nothing */
};

static void release(struct soft_object *o)
{
	free(o);
}

static CUresult soft_cuTexRefCreate(CUtexref *out)
{
	struct soft_texref *t;
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	t = calloc(1, sizeof(*t));
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&t->obj, SOFT_TEXREF, ctx, release);
	t->format = CU_AD_FORMAT_UNSIGNED_INT8;
	t->channels = 1;
	if (soft_bind(&t->obj) < 0) {
		soft_put(&t->obj);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = (CUtexref)(uintptr_t)t->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult soft_cuTexRefDestroy(CUtexref handle)
{
	struct soft_texref *t;
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	t = soft_take((uint64_t)(uintptr_t)handle, SOFT_TEXREF);
	if (!t)
		return CUDA_ERROR_INVALID_HANDLE;
	soft_put(&t->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuModuleGetTexRef(CUtexref *out, CUmodule module, const char *name)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);
	struct soft_module *m = soft_enter_object(&rc, (uint64_t)(uintptr_t)module, SOFT_MODULE, out && name);

	if (rc)
		return rc;
	soft_put(&m->obj);
	return CUDA_ERROR_NOT_FOUND;
}

/* What the calls below begin with; takes a reference, which done() gives back. */
static CUresult enter(CUtexref handle, bool arguments_ok, struct soft_texref **t)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	*t = soft_enter_object(&rc, (uint64_t)(uintptr_t)handle, SOFT_TEXREF, arguments_ok);
	return rc;
}

static CUresult done(struct soft_texref *t)
{
	soft_put(&t->obj);
	return CUDA_SUCCESS;
}

static bool format_ok(CUarray_format format, unsigned channels)
{
	return vgpu_array_channel_bytes(format) && (channels == 1 || channels == 2 || channels == 4);
}

static CUresult soft_cuTexRefSetFormat(CUtexref handle, CUarray_format format, int components)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, components > 0 && format_ok(format, (unsigned)components), &t);

	if (rc)
		return rc;
	t->format = format;
	t->channels = components;
	return done(t);
}

static CUresult soft_cuTexRefGetFormat(CUarray_format *format, int *components, CUtexref handle)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, format || components, &t);

	if (rc)
		return rc;
	if (format)
		*format = t->format;
	if (components)
		*components = t->channels;
	return done(t);
}

static bool valid(CUdeviceptr address, size_t bytes)
{
	struct soft_region r;

	return soft_memory_covers(address, bytes, &r) && r.kind == SOFT_MEM_DEVICE;
}

/* Memory that a reference shows begins at a multiple of the alignment; the rest is for the caller to add. */
static CUresult soft_cuTexRefSetAddress_v2(size_t *offset, CUtexref handle, CUdeviceptr address, size_t bytes)
{
	size_t rest = address % ALIGNMENT;
	struct soft_texref *t;
	CUresult rc = enter(handle, (!rest || offset) && (!address || valid(address, bytes)), &t);

	if (rc)
		return rc;
	if (offset)
		*offset = rest;
	t->address = address;
	return done(t);
}

static CUresult soft_cuTexRefSetAddress2D_v3(CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *desc, CUdeviceptr address,
					     size_t pitch)
{
	struct soft_texref *t;
	size_t bytes = 0;
	bool ok = desc && !(address % ALIGNMENT) && format_ok(desc->Format, desc->NumChannels) &&
		  !__builtin_mul_overflow(pitch, desc->Height, &bytes) && (!address || valid(address, bytes));
	CUresult rc = enter(handle, ok, &t);

	if (rc)
		return rc;
	t->address = address;
	t->format = desc->Format;
	t->channels = (int)desc->NumChannels;
	return done(t);
}

static CUresult soft_cuTexRefGetAddress_v2(CUdeviceptr *address, CUtexref handle)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, address, &t);

	if (rc)
		return rc;
	*address = t->address;
	done(t);
	return *address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static const CUDA_ARRAY3D_DESCRIPTOR *descriptor(const struct soft_object *o)
{
	return o->kind == SOFT_ARRAY ? &((const struct soft_array *)o)->desc : &((const struct soft_mipmap *)o)->desc;
}

static CUresult show_array(CUtexref handle, uint64_t array, enum soft_kind kind, unsigned flags)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, flags == CU_TRSA_OVERRIDE_FORMAT, &t);
	struct soft_object *o;

	if (rc)
		return rc;
	o = soft_get(array, kind);
	if (o) {
		t->format = descriptor(o)->Format;
		t->channels = (int)descriptor(o)->NumChannels;
		t->address = 0;
		soft_put(o);
	}
	done(t);
	return o ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult soft_cuTexRefSetArray(CUtexref handle, CUarray array, unsigned int flags)
{
	return show_array(handle, (uint64_t)(uintptr_t)array, SOFT_ARRAY, flags);
}

static CUresult soft_cuTexRefSetMipmappedArray(CUtexref handle, CUmipmappedArray mipmap, unsigned int flags)
{
	return show_array(handle, (uint64_t)(uintptr_t)mipmap, SOFT_MIPMAP, flags);
}

/* A member of its own for each pair of calls: set it if the new value makes sense, tell it. */
#define SET_AND_GET(what, type, out_type, member, ok)                                       \
	static CUresult soft_cuTexRefSet##what(CUtexref handle, type value)                 \
	{                                                                                   \
		struct soft_texref *t;                                                      \
		CUresult rc = enter(handle, ok, &t);                                        \
                                                                                            \
		if (rc)                                                                     \
			return rc;                                                          \
		t->member = value;                                                          \
		return done(t);                                                             \
	}                                                                                   \
                                                                                            \
	static CUresult soft_cuTexRefGet##what(out_type *value, CUtexref handle)            \
	{                                                                                   \
		struct soft_texref *t;                                                      \
		CUresult rc = enter(handle, value, &t);                                     \
                                                                                            \
		if (rc)                                                                     \
			return rc;                                                          \
		*value = (out_type)t->member;                                               \
		return done(t);                                                             \
	}

static bool filter_ok(CUfilter_mode mode)
{
	return mode == CU_TR_FILTER_MODE_POINT || mode == CU_TR_FILTER_MODE_LINEAR;
}

SET_AND_GET(FilterMode, CUfilter_mode, CUfilter_mode, filter, filter_ok(value))
SET_AND_GET(MipmapFilterMode, CUfilter_mode, CUfilter_mode, mip_filter, filter_ok(value))
SET_AND_GET(Flags, unsigned int, unsigned int, flags, true)
SET_AND_GET(MaxAnisotropy, unsigned int, int, anisotropy, true)
SET_AND_GET(MipmapLevelBias, float, float, bias, true)

static CUresult soft_cuTexRefSetAddressMode(CUtexref handle, int dim, CUaddress_mode mode)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, dim >= 0 && dim < 3 && (unsigned)mode <= CU_TR_ADDRESS_MODE_BORDER, &t);

	if (rc)
		return rc;
	t->address_mode[dim] = mode;
	return done(t);
}

static CUresult soft_cuTexRefGetAddressMode(CUaddress_mode *mode, CUtexref handle, int dim)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, mode && dim >= 0 && dim < 3, &t);

	if (rc)
		return rc;
	*mode = t->address_mode[dim];
	return done(t);
}

static CUresult soft_cuTexRefSetMipmapLevelClamp(CUtexref handle, float least, float most)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, true, &t);

	if (rc)
		return rc;
	t->clamp[0] = least;
	t->clamp[1] = most;
	return done(t);
}

static CUresult soft_cuTexRefGetMipmapLevelClamp(float *least, float *most, CUtexref handle)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, least && most, &t);

	if (rc)
		return rc;
	*least = t->clamp[0];
	*most = t->clamp[1];
	return done(t);
}

static CUresult soft_cuTexRefSetBorderColor(CUtexref handle, float *color)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, color, &t);

	if (rc)
		return rc;
	memcpy(t->border, color, sizeof(t->border));
	return done(t);
}

static CUresult soft_cuTexRefGetBorderColor(float *color, CUtexref handle)
{
	struct soft_texref *t;
	CUresult rc = enter(handle, color, &t);

	if (rc)
		return rc;
	memcpy(color, t->border, sizeof(t->border));
	return done(t);
}

void soft_fill_texref(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuTexRefCreate);
	SOFT_SLOT(d, cuTexRefDestroy);
	SOFT_SLOT(d, cuModuleGetTexRef);
	SOFT_SLOT(d, cuTexRefSetFormat);
	SOFT_SLOT(d, cuTexRefGetFormat);
	SOFT_SLOT(d, cuTexRefSetAddress_v2);
	SOFT_SLOT(d, cuTexRefSetAddress2D_v3);
	SOFT_SLOT(d, cuTexRefGetAddress_v2);
	SOFT_SLOT(d, cuTexRefSetArray);
	SOFT_SLOT(d, cuTexRefSetMipmappedArray);
	SOFT_SLOT(d, cuTexRefSetFilterMode);
	SOFT_SLOT(d, cuTexRefGetFilterMode);
	SOFT_SLOT(d, cuTexRefSetMipmapFilterMode);
	SOFT_SLOT(d, cuTexRefGetMipmapFilterMode);
	SOFT_SLOT(d, cuTexRefSetFlags);
	SOFT_SLOT(d, cuTexRefGetFlags);
	SOFT_SLOT(d, cuTexRefSetMaxAnisotropy);
	SOFT_SLOT(d, cuTexRefGetMaxAnisotropy);
	SOFT_SLOT(d, cuTexRefSetMipmapLevelBias);
	SOFT_SLOT(d, cuTexRefGetMipmapLevelBias);
	SOFT_SLOT(d, cuTexRefSetAddressMode);
	SOFT_SLOT(d, cuTexRefGetAddressMode);
	SOFT_SLOT(d, cuTexRefSetMipmapLevelClamp);
	SOFT_SLOT(d, cuTexRefGetMipmapLevelClamp);
	SOFT_SLOT(d, cuTexRefSetBorderColor);
	SOFT_SLOT(d, cuTexRefGetBorderColor);
}
