/* SPDX-License-Identifier: MIT */
/*
 * Texture references, for what was written before texture objects. The driver keeps what is set; here is which handle of
 * the application a module's name stands for, and which array was set.
 */
#include "texref.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "function.h"
#include "handle.h"
#include "thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* who has which name */

static void adopt(CUtexref app, uint64_t module, char *name)
{
	struct vgpu_texref *t = vgpu_handle_object(VGPU_HANDLE_TEXREF, app);

	vgpu_lock(&lock);
	*t = (struct vgpu_texref){ .wire = vgpu_handle_to_wire(app), .context = vgpu_thread.current, .module = module,
				   .name = name };
	vgpu_unlock(&lock);
}

/* The reference that this name has been found to be. */
static bool find_name(uint64_t module, const char *name, CUtexref *texref)
{
	const struct vgpu_texref *t;
	uint64_t wire = 0;

	vgpu_lock(&lock);
	while ((wire = vgpu_handle_next(VGPU_HANDLE_TEXREF, wire))) {
		t = vgpu_handle_object_wire(VGPU_HANDLE_TEXREF, wire);
		if (t && t->module == module && t->name && !strcmp(t->name, name))
			break;
	}
	if (wire)
		*texref = vgpu_handle_app(VGPU_HANDLE_TEXREF, wire);
	vgpu_unlock(&lock);
	return wire;
}

CUresult cuModuleGetSurfRef(CUsurfref *ref, CUmodule module, const char *name)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ref || !name)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_handle_live(VGPU_HANDLE_MODULE, module) ? vgpu_unsupported("cuModuleGetSurfRef") : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuModuleGetTexRef(CUtexref *texref, CUmodule module, const char *name)
{
	struct vgpu_module *m;
	char *copy;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!texref || !name)
		return CUDA_ERROR_INVALID_VALUE;
	m = vgpu_handle_object(VGPU_HANDLE_MODULE, module);
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	if (find_name(m->wire, name, texref))
		return CUDA_SUCCESS;
	copy = strdup(name);
	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgpu_remote_cuModuleGetTexRef(texref, module, name);
	if (r)
		free(copy);
	else
		adopt(*texref, m->wire, copy);
	return r;
}

CUresult cuTexRefCreate(CUtexref *texref)
{
	CUresult r = vgpu_remote_cuTexRefCreate(texref);

	if (!r)
		adopt(*texref, 0, NULL);
	return r;
}

/* One that has a name lives as long as its module. */
CUresult cuTexRefDestroy(CUtexref texref)
{
	const struct vgpu_texref *t = vgpu_handle_object(VGPU_HANDLE_TEXREF, texref);

	if (t && t->module)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_remote_cuTexRefDestroy(texref);
}

/* It shows something else from now on. */
static void show(CUtexref texref, CUarray array, CUmipmappedArray mipmap)
{
	struct vgpu_texref *t = vgpu_handle_object(VGPU_HANDLE_TEXREF, texref);

	if (!t)
		return;
	t->array = array;
	t->mipmap = mipmap;
}

CUresult cuTexRefSetAddress_v2(size_t *offset, CUtexref texref, CUdeviceptr address, size_t bytes)
{
	CUresult r = vgpu_remote_cuTexRefSetAddress_v2(offset, texref, address, bytes);

	if (!r)
		show(texref, NULL, NULL);
	return r;
}

CUresult cuTexRefSetAddress2D_v3(CUtexref texref, const CUDA_ARRAY_DESCRIPTOR *desc, CUdeviceptr address, size_t pitch)
{
	CUresult r = vgpu_remote_cuTexRefSetAddress2D_v3(texref, desc, address, pitch);

	if (!r)
		show(texref, NULL, NULL);
	return r;
}

CUresult cuTexRefSetArray(CUtexref texref, CUarray array, unsigned int flags)
{
	CUresult r = vgpu_remote_cuTexRefSetArray(texref, array, flags);

	if (!r)
		show(texref, array, NULL);
	return r;
}

CUresult cuTexRefSetMipmappedArray(CUtexref texref, CUmipmappedArray mipmap, unsigned int flags)
{
	CUresult r = vgpu_remote_cuTexRefSetMipmappedArray(texref, mipmap, flags);

	if (!r)
		show(texref, NULL, mipmap);
	return r;
}

/* What the queries below begin with. */
static CUresult get(CUtexref texref, const void *out, const struct vgpu_texref **t)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*t = vgpu_handle_object(VGPU_HANDLE_TEXREF, texref);
	return *t ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuTexRefGetArray(CUarray *array, CUtexref texref)
{
	const struct vgpu_texref *t;
	CUresult r = get(texref, array, &t);

	if (r)
		return r;
	*array = t->array;
	return t->array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuTexRefGetMipmappedArray(CUmipmappedArray *mipmap, CUtexref texref)
{
	const struct vgpu_texref *t;
	CUresult r = get(texref, mipmap, &t);

	if (r)
		return r;
	*mipmap = t->mipmap;
	return t->mipmap ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuTexRefSetBorderColor(CUtexref texref, float *color)
{
	struct vgpu_args_texref_border *a;
	const struct vgpu_texref *t;
	struct vgpu_call c;
	CUresult r = get(texref, color, &t);

	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_texref_border, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->texref = t->wire;
	memcpy(a->color, color, sizeof(a->color));
	return vgpu_call_finish(&c);
}

CUresult cuTexRefGetBorderColor(float *color, CUtexref texref)
{
	const struct vgpu_ret_texref_get_border *o;
	struct vgpu_args_texref_get_border *a;
	const struct vgpu_texref *t;
	struct vgpu_call c;
	CUresult r = get(texref, color, &t);

	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_texref_get_border, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->texref = t->wire;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		memcpy(color, o->color, sizeof(o->color));
	}
	vgpu_call_end(&c);
	return r;
}

static void drop(const struct vgpu_context *ctx, uint64_t module)
{
	struct vgpu_texref *t;
	uint64_t wire = 0;

	vgpu_lock(&lock);
	while ((wire = vgpu_handle_next(VGPU_HANDLE_TEXREF, wire))) {
		t = vgpu_handle_object_wire(VGPU_HANDLE_TEXREF, wire);
		if (!t || t->module != module || (ctx && t->context != ctx))
			continue;
		free(t->name);
		t->name = NULL;
		vgpu_handle_drop(VGPU_HANDLE_TEXREF, wire);
	}
	vgpu_unlock(&lock);
}

void vgpu_texrefs_drop_module(const struct vgpu_module *m)
{
	drop(NULL, m->wire);
}

void vgpu_texrefs_drop(const struct vgpu_context *ctx)
{
	drop(ctx, 0);
}
