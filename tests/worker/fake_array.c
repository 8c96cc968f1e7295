/* SPDX-License-Identifier: MIT */
/* Arrays, textures and surfaces of the driver that checks its caller. One thread. */
#include "fake_parts.h"

static CUresult f_array(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *d)
{
	(void)d;
	fake.calls++;
	if (!fake.result)
		*out = fake_make(VGPU_HANDLE_ARRAY, NULL);
	return fake.result;
}

static CUresult f_array_3d(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *d)
{
	(void)d;
	return f_array(out, NULL);
}

static CUresult f_array_destroy(CUarray array)
{
	fake_destroy(fake_check(array, VGPU_HANDLE_ARRAY));
	return fake.result;
}

static CUresult f_mipmap(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *d, unsigned int levels)
{
	(void)d;
	(void)levels;
	if (!fake.result)
		*out = fake_make(VGPU_HANDLE_MIPMAP, NULL);
	return fake.result;
}

static CUresult f_mipmap_destroy(CUmipmappedArray mipmap)
{
	fake_destroy(fake_check(mipmap, VGPU_HANDLE_MIPMAP));
	return fake.result;
}

static CUresult f_level(CUarray *out, CUmipmappedArray mipmap, unsigned int level)
{
	struct fake_object *m = fake_check(mipmap, VGPU_HANDLE_MIPMAP);

	(void)level;
	if (!fake.result)
		*out = fake_make(VGPU_HANDLE_ARRAY, m);
	return fake.result;
}

static void check_resource(const CUDA_RESOURCE_DESC *d)
{
	if (d->resType == CU_RESOURCE_TYPE_ARRAY)
		fake_check(d->res.array.hArray, VGPU_HANDLE_ARRAY);
	else if (d->resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)
		fake_check(d->res.mipmap.hMipmappedArray, VGPU_HANDLE_MIPMAP);
	else if (d->resType == CU_RESOURCE_TYPE_LINEAR)
		fake_check_any(d->res.linear.devPtr, d->res.linear.sizeInBytes);
	else
		fake_check_any(d->res.pitch2D.devPtr, d->res.pitch2D.pitchInBytes * (d->res.pitch2D.height - 1));
}

static CUresult f_texture(CUtexObject *out, const CUDA_RESOURCE_DESC *d, const CUDA_TEXTURE_DESC *sampler,
			  const CUDA_RESOURCE_VIEW_DESC *view)
{
	(void)sampler;
	(void)view;
	check_resource(d);
	if (!fake.result)
		*out = (CUtexObject)(uintptr_t)fake_make(VGPU_HANDLE_TEXOBJECT, NULL);
	return fake.result;
}

static CUresult f_texture_destroy(CUtexObject t)
{
	fake_destroy(fake_check((const void *)(uintptr_t)t, VGPU_HANDLE_TEXOBJECT));
	return fake.result;
}

static CUresult f_surface(CUsurfObject *out, const CUDA_RESOURCE_DESC *d)
{
	check_resource(d);
	if (!fake.result)
		*out = (CUsurfObject)(uintptr_t)fake_make(VGPU_HANDLE_SURFOBJECT, NULL);
	return fake.result;
}

static CUresult f_surface_destroy(CUsurfObject t)
{
	fake_destroy(fake_check((const void *)(uintptr_t)t, VGPU_HANDLE_SURFOBJECT));
	return fake.result;
}

static CUresult f_texref_create(CUtexref *out)
{
	*out = fake_make(VGPU_HANDLE_TEXREF, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_texref_named(CUtexref *out, CUmodule module, const char *name)
{
	(void)name;
	*out = fake_make(VGPU_HANDLE_TEXREF, fake_check(module, VGPU_HANDLE_MODULE));
	return CUDA_SUCCESS;
}

static CUresult f_texref_destroy(CUtexref texref)
{
	struct fake_object *o = fake_check(texref, VGPU_HANDLE_TEXREF);

	fake_insist(!o->owner, "a module's texture reference to destroy");
	fake_destroy(o);
	return CUDA_SUCCESS;
}

static CUresult f_texref_address(size_t *offset, CUtexref texref, CUdeviceptr address, size_t bytes)
{
	fake_check(texref, VGPU_HANDLE_TEXREF);
	if (address)
		fake_check_device(address, bytes);
	*offset = 0;
	return CUDA_SUCCESS;
}

static CUresult f_texref_address_2d(CUtexref texref, const CUDA_ARRAY_DESCRIPTOR *desc, CUdeviceptr address, size_t pitch)
{
	fake_check(texref, VGPU_HANDLE_TEXREF);
	if (address)
		fake_check_device(address, pitch * desc->Height);
	return CUDA_SUCCESS;
}

void fake_fill_arrays(struct vgpu_driver *t)
{
	t->cuArrayCreate_v2 = f_array;
	t->cuArray3DCreate_v2 = f_array_3d;
	t->cuArrayDestroy = f_array_destroy;
	t->cuArrayGetPlane = NULL;
	t->cuMipmappedArrayCreate = f_mipmap;
	t->cuMipmappedArrayDestroy = f_mipmap_destroy;
	t->cuMipmappedArrayGetLevel = f_level;
	t->cuTexObjectCreate = f_texture;
	t->cuTexObjectDestroy = f_texture_destroy;
	t->cuSurfObjectCreate = f_surface;
	t->cuSurfObjectDestroy = f_surface_destroy;
	t->cuTexRefCreate = f_texref_create;
	t->cuModuleGetTexRef = f_texref_named;
	t->cuTexRefDestroy = f_texref_destroy;
	t->cuTexRefSetAddress_v2 = f_texref_address;
	t->cuTexRefSetAddress2D_v3 = f_texref_address_2d;
}
