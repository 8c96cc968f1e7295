/* SPDX-License-Identifier: MIT */
/*
 * Modules: loading, binding to memory, look-up of functions and variables.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "memory.h"
#include "module.h"

static void release_module(struct soft_object *o)
{
	struct soft_module *m = (struct soft_module *)o;
	size_t i;

	for (i = 0; m->globals && i < ptx_global_count(m->ptx); i++)
		if (m->globals[i])
			soft_memory_free(o->ctx, m->globals[i]);
	ptx_free(m->ptx);
	free(m->globals);
	free(m->functions.handles);
	free(m);
}

static void release_function(struct soft_object *o)
{
	struct soft_function *f = (struct soft_function *)o;

	soft_put(&f->module->obj);
	free(f);
}

/* Gives every variable memory, then writes what they hold at first. */
static CUresult bind_globals(struct soft_module *m)
{
	const struct ptx_global *g;
	size_t i, n = ptx_global_count(m->ptx);

	m->globals = calloc(n + 1, sizeof(*m->globals));
	if (!m->globals)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (i = 0; i < n; i++) {
		g = ptx_global_at(m->ptx, i);
		if (soft_memory_alloc(m->obj.ctx, g->size, SOFT_TAG_MODULE | (g->managed ? SOFT_TAG_MANAGED : 0),
				      &m->globals[i]) < 0)
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (ptx_bind_global(m->ptx, i, m->globals[i]) < 0)
			return CUDA_ERROR_INVALID_PTX;
	}
	for (i = 0; i < n; i++) {
		/* Blocks of whole chunks are zeros already, and need no memory until they are written. */
		if (!ptx_global_at(m->ptx, i)->has_initial && ptx_global_at(m->ptx, i)->size > SOFT_CHUNK)
			continue;
		if (ptx_write_initial(m->ptx, i, (void *)m->globals[i]) < 0)
			return CUDA_ERROR_INVALID_PTX;
	}
	return CUDA_SUCCESS;
}

static CUresult make_functions(struct soft_module *m)
{
	CUresult rc = soft_entries_init(&m->functions, m->ptx);
	struct soft_function *f;

	for (size_t i = 0; !rc && i < ptx_entry_count(m->ptx); i++) {
		f = calloc(1, sizeof(*f));
		if (!f)
			return CUDA_ERROR_OUT_OF_MEMORY;
		soft_object_init(&f->obj, SOFT_FUNCTION, m->obj.ctx, release_function);
		soft_ref(&m->obj);
		f->module = m;
		f->entry = ptx_entry_at(m->ptx, i);
		atomic_init(&f->settings.carveout, -1);
		rc = soft_entries_add(&m->functions, &f->obj);
	}
	return rc;
}

CUresult soft_module_create(struct soft_context *ctx, struct ptx_module *ptx, uint64_t library,
			    struct soft_module **out)
{
	struct soft_module *m = calloc(1, sizeof(*m));
	CUresult rc;

	if (!m) {
		ptx_free(ptx);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	soft_object_init(&m->obj, SOFT_MODULE, ctx, release_module);
	m->ptx = ptx;
	m->library = library;
	rc = bind_globals(m);
	if (!rc)
		rc = make_functions(m);
	soft_ref(&m->obj); /* the caller's, beside the table's */
	if (!rc && soft_bind(&m->obj) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (rc) {
		soft_entries_drop(&m->functions, SOFT_FUNCTION);
		soft_put(&m->obj);
		soft_put(&m->obj);
		return rc;
	}
	*out = m;
	return CUDA_SUCCESS;
}

bool soft_module_unload(uint64_t handle)
{
	struct soft_module *m = soft_take(handle, SOFT_MODULE);

	if (!m)
		return false;
	soft_entries_drop(&m->functions, SOFT_FUNCTION);
	soft_put(&m->obj);
	return true;
}

struct soft_function *soft_module_function(struct soft_module *m, size_t index)
{
	return index < m->functions.count ? soft_get(m->functions.handles[index], SOFT_FUNCTION) : NULL;
}

CUresult soft_module_variable(struct soft_module *m, const char *name, bool managed, CUdeviceptr *dptr, size_t *bytes)
{
	const struct ptx_global *g;
	size_t i, n = ptx_global_count(m->ptx);

	for (i = 0; i < n; i++) {
		g = ptx_global_at(m->ptx, i);
		if (strcmp(g->name, name) || (managed && !g->managed))
			continue;
		if (dptr)
			*dptr = m->globals[i];
		if (bytes)
			*bytes = g->size;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_NOT_FOUND;
}

static CUresult load(CUmodule *out, const void *image, struct soft_jit *jit)
{
	struct ptx_module *ptx;
	struct soft_context *ctx;
	struct soft_module *m;
	struct soft_code code;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || !image)
		return CUDA_ERROR_INVALID_VALUE;
	rc = soft_image_load(image, &code, &ptx, jit);
	if (rc)
		return rc;
	soft_code_free(&code);
	rc = soft_module_create(ctx, ptx, 0, &m);
	if (rc)
		return rc;
	*out = (CUmodule)(uintptr_t)m->obj.handle;
	soft_put(&m->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuModuleLoadData(CUmodule *module, const void *image)
{
	return load(module, image, NULL);
}

static CUresult soft_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n, CUjit_option *options,
					void **values)
{
	struct soft_jit jit;
	CUresult rc = soft_jit_open(&jit, n, options, values);

	if (rc)
		return rc;
	soft_jit_begin(&jit);
	rc = load(module, image, &jit);
	soft_jit_end(&jit);
	return rc;
}

static CUresult soft_cuModuleUnload(CUmodule handle)
{
	struct soft_module *m;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	m = soft_get((uint64_t)(uintptr_t)handle, SOFT_MODULE);
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	/* The module of a library is the library's. */
	if (m->library || !soft_module_unload(m->obj.handle))
		rc = CUDA_ERROR_INVALID_HANDLE;
	soft_put(&m->obj);
	return rc;
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_module(CUmodule handle, bool arguments_ok, struct soft_module **m)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	*m = soft_enter_object(&rc, (uint64_t)(uintptr_t)handle, SOFT_MODULE, arguments_ok);
	return rc;
}

static CUresult soft_cuModuleGetFunction(CUfunction *out, CUmodule handle, const char *name)
{
	struct soft_module *m;
	uint64_t found;
	CUresult rc = enter_module(handle, out && name, &m);

	if (rc)
		return rc;
	found = soft_entries_find(&m->functions, m->ptx, name);
	soft_put(&m->obj);
	if (!found)
		return CUDA_ERROR_NOT_FOUND;
	*out = (CUfunction)(uintptr_t)found;
	return CUDA_SUCCESS;
}

static CUresult soft_cuModuleEnumerateFunctions(CUfunction *out, unsigned int most, CUmodule handle)
{
	struct soft_module *m;
	size_t i;
	CUresult rc = enter_module(handle, out && most, &m);

	if (rc)
		return rc;
	for (i = 0; i < m->functions.count && i < most; i++)
		out[i] = (CUfunction)(uintptr_t)m->functions.handles[i];
	soft_put(&m->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuModuleGetFunctionCount(unsigned int *count, CUmodule handle)
{
	struct soft_module *m;
	CUresult rc = enter_module(handle, count, &m);

	if (rc)
		return rc;
	*count = (unsigned)m->functions.count;
	soft_put(&m->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule handle, const char *name)
{
	struct soft_module *m;
	CUresult rc = enter_module(handle, name, &m);

	if (rc)
		return rc;
	rc = soft_module_variable(m, name, false, dptr, bytes);
	soft_put(&m->obj);
	return rc;
}

static CUresult soft_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_EAGER_LOADING;
	return CUDA_SUCCESS;
}

/* cuModuleLoad is the guest's: it reads the file, and what travels is data. */
void soft_fill_module(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuModuleLoadData);
	SOFT_SLOT(d, cuModuleLoadDataEx);
	d->cuModuleLoadFatBinary = soft_cuModuleLoadData;
	SOFT_SLOT(d, cuModuleUnload);
	SOFT_SLOT(d, cuModuleGetFunction);
	SOFT_SLOT(d, cuModuleEnumerateFunctions);
	SOFT_SLOT(d, cuModuleGetFunctionCount);
	SOFT_SLOT(d, cuModuleGetGlobal_v2);
	SOFT_SLOT(d, cuModuleGetLoadingMode);
}
