/* SPDX-License-Identifier: MIT */
/*
 * Libraries and kernels: code that does not belong to a context until it is used in one. A library keeps its PTX text,
 * which each instance parses again (variables are bound once for a parsed module), and a parsed copy that answers
 * questions. A mutex in the library guards its instances.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "module.h"

struct soft_library {
	struct soft_object obj;
	struct soft_code code;
	struct ptx_module *ptx; /* parsed, unbound: for names and attributes */
	struct soft_entries kernels;
	pthread_mutex_t lock;
	uint64_t instance[SOFT_MAX_CONTEXTS]; /* modules, by the context's index */
};

static void release_library(struct soft_object *o)
{
	struct soft_library *l = (struct soft_library *)o;

	ptx_free(l->ptx);
	soft_code_free(&l->code);
	free(l->kernels.handles);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void release_kernel(struct soft_object *o)
{
	struct soft_kernel *k = (struct soft_kernel *)o;

	soft_put(&k->library->obj);
	free(k);
}

static void unload(struct soft_library *l)
{
	soft_entries_drop(&l->kernels, SOFT_KERNEL);
	for (size_t i = 0; i < SOFT_MAX_CONTEXTS; i++)
		if (l->instance[i])
			soft_module_unload(l->instance[i]);
}

static CUresult make_kernels(struct soft_library *l)
{
	CUresult rc = soft_entries_init(&l->kernels, l->ptx);
	struct soft_kernel *k;

	for (size_t i = 0; !rc && i < ptx_entry_count(l->ptx); i++) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return CUDA_ERROR_OUT_OF_MEMORY;
		soft_object_init(&k->obj, SOFT_KERNEL, NULL, release_kernel);
		soft_ref(&l->obj);
		k->library = l;
		k->index = i;
		k->entry = ptx_entry_at(l->ptx, i);
		atomic_init(&k->settings.carveout, -1);
		rc = soft_entries_add(&l->kernels, &k->obj);
	}
	return rc;
}

/* Lock held. The instance in @ctx, made if there is none; with a reference. */
static CUresult instance(struct soft_library *l, struct soft_context *ctx, struct soft_module **out)
{
	struct ptx_module *ptx;
	CUresult rc;

	*out = l->instance[ctx->index] ? soft_get(l->instance[ctx->index], SOFT_MODULE) : NULL;
	if (*out)
		return CUDA_SUCCESS;
	rc = soft_code_parse(&l->code, &ptx);
	if (!rc)
		rc = soft_module_create(ctx, ptx, l->obj.handle, out);
	if (!rc)
		l->instance[ctx->index] = (*out)->obj.handle;
	return rc;
}

static CUresult get_instance(struct soft_library *l, struct soft_context *ctx, struct soft_module **out)
{
	CUresult rc;

	pthread_mutex_lock(&l->lock);
	rc = instance(l, ctx, out);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

CUresult soft_kernel_function(struct soft_kernel *k, struct soft_context *ctx, struct soft_function **out)
{
	struct soft_module *m;
	CUresult rc = get_instance(k->library, ctx, &m);

	if (rc)
		return rc;
	*out = soft_module_function(m, k->index);
	if (*out)
		atomic_store(&(*out)->settings.max_dynamic_shared, atomic_load(&k->settings.max_dynamic_shared));
	soft_put(&m->obj);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult load(CUlibrary *out, const void *code, struct soft_jit *jit)
{
	struct soft_library *l;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !code)
		return CUDA_ERROR_INVALID_VALUE;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = soft_image_load(code, &l->code, &l->ptx, jit);
	if (rc) {
		free(l);
		return rc;
	}
	soft_object_init(&l->obj, SOFT_LIBRARY, NULL, release_library);
	pthread_mutex_init(&l->lock, NULL);
	rc = make_kernels(l);
	if (!rc && soft_bind(&l->obj) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (rc) {
		unload(l);
		soft_put(&l->obj);
		return rc;
	}
	*out = (CUlibrary)(uintptr_t)l->obj.handle;
	return CUDA_SUCCESS;
}

/* Library options only say whether to keep the image; nothing here depends on them. */
static CUresult soft_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *options, void **values,
				       unsigned int n, CUlibraryOption *library_options, void **library_values,
				       unsigned int num_library_options)
{
	struct soft_jit jit;
	CUresult rc = soft_jit_open(&jit, n, options, values);

	if (rc)
		return rc;
	if (num_library_options && !library_options)
		return CUDA_ERROR_INVALID_VALUE;
	(void)library_values;
	soft_jit_begin(&jit);
	rc = load(library, code, &jit);
	soft_jit_end(&jit);
	return rc;
}

static CUresult soft_cuLibraryUnload(CUlibrary handle)
{
	struct soft_library *l;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	l = soft_take((uint64_t)(uintptr_t)handle, SOFT_LIBRARY);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	unload(l);
	soft_put(&l->obj);
	return CUDA_SUCCESS;
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_library(CUlibrary handle, bool arguments_ok, struct soft_library **l)
{
	CUresult rc = soft_enter_any();

	*l = soft_enter_object(&rc, (uint64_t)(uintptr_t)handle, SOFT_LIBRARY, arguments_ok);
	return rc;
}

static CUresult soft_cuLibraryGetKernel(CUkernel *out, CUlibrary handle, const char *name)
{
	struct soft_library *l;
	uint64_t found;
	CUresult rc = enter_library(handle, out && name, &l);

	if (rc)
		return rc;
	found = soft_entries_find(&l->kernels, l->ptx, name);
	soft_put(&l->obj);
	if (!found)
		return CUDA_ERROR_NOT_FOUND;
	*out = (CUkernel)(uintptr_t)found;
	return CUDA_SUCCESS;
}

static CUresult soft_cuLibraryEnumerateKernels(CUkernel *out, unsigned int most, CUlibrary handle)
{
	struct soft_library *l;
	size_t i;
	CUresult rc = enter_library(handle, out && most, &l);

	if (rc)
		return rc;
	for (i = 0; i < l->kernels.count && i < most; i++)
		out[i] = (CUkernel)(uintptr_t)l->kernels.handles[i];
	soft_put(&l->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuLibraryGetKernelCount(unsigned int *count, CUlibrary handle)
{
	struct soft_library *l;
	CUresult rc = enter_library(handle, count, &l);

	if (rc)
		return rc;
	*count = (unsigned)l->kernels.count;
	soft_put(&l->obj);
	return CUDA_SUCCESS;
}

/* The instance in the current context; with a reference. */
static CUresult current_instance(CUlibrary handle, bool arguments_ok, struct soft_module **m)
{
	struct soft_library *l;
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	rc = enter_library(handle, arguments_ok, &l);
	if (rc)
		return rc;
	rc = get_instance(l, ctx, m);
	soft_put(&l->obj);
	return rc;
}

static CUresult soft_cuLibraryGetModule(CUmodule *out, CUlibrary handle)
{
	struct soft_module *m;
	CUresult rc = current_instance(handle, out, &m);

	if (rc)
		return rc;
	*out = (CUmodule)(uintptr_t)m->obj.handle;
	soft_put(&m->obj);
	return CUDA_SUCCESS;
}

static CUresult get_variable(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle, const char *name, bool managed)
{
	struct soft_module *m;
	CUresult rc = current_instance(handle, name && (dptr || bytes), &m);

	if (rc)
		return rc;
	rc = soft_module_variable(m, name, managed, dptr, bytes);
	soft_put(&m->obj);
	return rc;
}

static CUresult soft_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle, const char *name)
{
	return get_variable(dptr, bytes, handle, name, false);
}

static CUresult soft_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary handle, const char *name)
{
	return get_variable(dptr, bytes, handle, name, true);
}

/* cuLibraryLoadFromFile is the guest's: it reads the file, and what travels is data. */
void soft_fill_library(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuLibraryLoadData);
	SOFT_SLOT(d, cuLibraryUnload);
	SOFT_SLOT(d, cuLibraryGetKernel);
	SOFT_SLOT(d, cuLibraryEnumerateKernels);
	SOFT_SLOT(d, cuLibraryGetKernelCount);
	SOFT_SLOT(d, cuLibraryGetModule);
	SOFT_SLOT(d, cuLibraryGetGlobal);
	SOFT_SLOT(d, cuLibraryGetManaged);
}
