/* SPDX-License-Identifier: MIT */
/*
 * Libraries: code that belongs to no context. cudart loads all its kernels
 * this way. Each context that needs it has a module of the library, made on
 * first use.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "function.h"
#include "handle.h"
#include "mirror.h"
#include "module.h"
#include "output.h"
#include "thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* lists of modules */

static CUresult load(CUlibrary *library, const struct vgpu_image *image, struct vgpu_jit *jit)
{
	struct vgpu_module *l;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_LIBRARY, &wire);
	if (r)
		return r;
	l = vgpu_handle_object_wire(VGPU_HANDLE_LIBRARY, wire);
	l->wire = wire;
	r = vgpu_module_load_image(VGPU_OP_library_load, wire, image, jit);
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_LIBRARY, wire);
	else
		*library = vgpu_handle_app(VGPU_HANDLE_LIBRARY, wire);
	return r;
}

/* That the binary stays where it is helps nobody here; tables of host functions are not available. */
static CUresult check_options(CUlibraryOption *options, void **values, unsigned int count)
{
	unsigned int i;

	if (count && !options)
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < count; i++)
		if (options[i] == CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE && values && values[i])
			return vgpu_unsupported("CU_LIBRARY_HOST_UNIVERSAL_FUNCTION_AND_DATA_TABLE");
	return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit_options, void **jit_options_values,
			   unsigned int num_jit_options, CUlibraryOption *library_options,
			   void **library_option_values, unsigned int num_library_options)
{
	struct vgpu_image image;
	struct vgpu_jit jit;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!library || !code)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_jit_parse(num_jit_options, jit_options, jit_options_values, &jit);
	if (!r)
		r = check_options(library_options, library_option_values, num_library_options);
	if (r)
		return r;
	if (vgpu_image_parse(code, UINT64_MAX, &image))
		return CUDA_ERROR_INVALID_IMAGE;
	return load(library, &image, &jit);
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *file_name, CUjit_option *jit_options,
			       void **jit_options_values, unsigned int num_jit_options,
			       CUlibraryOption *library_options, void **library_option_values,
			       unsigned int num_library_options)
{
	struct vgpu_image image;
	struct vgpu_jit jit;
	void *data;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!library || !file_name)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_jit_parse(num_jit_options, jit_options, jit_options_values, &jit);
	if (!r)
		r = check_options(library_options, library_option_values, num_library_options);
	if (!r)
		r = vgpu_module_read_file(file_name, &data, &image);
	if (r)
		return r;
	r = load(library, &image, &jit);
	free(data);
	return r;
}

static void drop_modules(struct vgpu_module *l)
{
	struct vgpu_module *m;

	vgpu_lock(&lock);
	while ((m = l->modules)) {
		l->modules = m->next;
		vgpu_functions_drop(m);
		vgpu_handle_drop(VGPU_HANDLE_MODULE, m->wire);
	}
	vgpu_unlock(&lock);
}

CUresult cuLibraryUnload(CUlibrary library)
{
	struct vgpu_args_library_unload *a;
	struct vgpu_module *l;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	if (r)
		return r;
	l = vgpu_handle_object(VGPU_HANDLE_LIBRARY, library);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	vgpu_output_fetch();
	vgpu_mirror_drop(l->wire, NULL);
	drop_modules(l);
	vgpu_functions_drop(l);
	r = vgpu_call_begin(&c, VGPU_OP_library_unload, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->library = l->wire;
	vgpu_call_submit(&c);
	vgpu_handle_drop(VGPU_HANDLE_LIBRARY, l->wire);
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name)
{
	struct vgpu_function *f;
	struct vgpu_module *l;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!kernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	l = vgpu_handle_object(VGPU_HANDLE_LIBRARY, library);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	r = *name ? vgpu_function_find(l, VGPU_HANDLE_KERNEL, name, &f) : CUDA_ERROR_NOT_FOUND;
	if (!r)
		*kernel = vgpu_handle_app(VGPU_HANDLE_KERNEL, f->wire);
	return r;
}

static CUresult make_module(struct vgpu_module *l, struct vgpu_module **out)
{
	struct vgpu_args_library_get_module *a;
	struct vgpu_module *m;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_MODULE, &wire);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_library_get_module, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (!r) {
		a = c.args;
		a->library = l->wire;
		a->module = wire;
		r = vgpu_call_finish(&c);
	}
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_MODULE, wire);
		return r;
	}
	m = vgpu_handle_object_wire(VGPU_HANDLE_MODULE, wire);
	m->wire = wire;
	m->context = vgpu_context_home();
	m->library = l->wire;
	m->next = l->modules;
	l->modules = m;
	*out = m;
	return CUDA_SUCCESS;
}

CUresult vgpu_library_module(struct vgpu_module *library, struct vgpu_module **out)
{
	struct vgpu_module *m;
	CUresult r = CUDA_SUCCESS;

	vgpu_lock(&lock);
	for (m = library->modules; m && m->context != vgpu_context_home(); m = m->next)
		;
	if (!m)
		r = make_module(library, &m);
	vgpu_unlock(&lock);
	*out = m;
	return r;
}

void vgpu_library_forget_context(const struct vgpu_context *ctx)
{
	struct vgpu_module **at, *l;
	uint64_t wire = 0;

	vgpu_lock(&lock);
	while ((wire = vgpu_handle_next(VGPU_HANDLE_LIBRARY, wire))) {
		l = vgpu_handle_object_wire(VGPU_HANDLE_LIBRARY, wire);
		for (at = l ? &l->modules : NULL; at && *at;) {
			if ((*at)->context == ctx)
				*at = (*at)->next;
			else
				at = &(*at)->next;
		}
	}
	vgpu_unlock(&lock);
}

CUresult cuLibraryGetModule(CUmodule *mod, CUlibrary library)
{
	struct vgpu_module *l, *m;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!mod)
		return CUDA_ERROR_INVALID_VALUE;
	l = vgpu_handle_object(VGPU_HANDLE_LIBRARY, library);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_library_module(l, &m);
	if (!r)
		*mod = vgpu_handle_app(VGPU_HANDLE_MODULE, m->wire);
	return r;
}

/* As natively where CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS is 0: the addresses would be the worker's. */
CUresult cuLibraryGetUnifiedFunction(void **fptr, CUlibrary library, const char *symbol)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	return fptr && symbol && !library ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_VALUE;
}
