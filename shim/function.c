/* SPDX-License-Identifier: MIT */
/*
 * Functions and kernels: found by name once, their attributes and parameter
 * layout kept. A mutex guards the lists; a function found stays as it is until its module goes.
 */
#include "function.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "context.h"
#include "device.h"
#include "handle.h"
#include "launch_state.h"
#include "texref.h"
#include "thread.h"

#define NAME_MAX_BYTES	4096u	/* with the NUL; the wire's */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

_Static_assert(sizeof(((struct vgpu_rec_function_info *)0)->attributes) == VGPU_FUNCTION_ATTRIBUTES * sizeof(int), "room");
_Static_assert(sizeof(struct vgpu_rec_param) == sizeof(struct vgpu_param), "copied as they are");

/* What the three replies with a function_info have in common. */
static CUresult take_info(struct vgpu_function *f, const struct vgpu_call *c)
{
	const struct vgpu_rec_function_info *info = c->ret;
	uint32_t i, count;

	if (c->ret_size < sizeof(*info))
		return vgpu_call_broken();
	count = info->param_count;
	if (count > (c->ret_size - sizeof(*info)) / sizeof(struct vgpu_rec_param))
		return vgpu_call_broken();
	if (!f->params && count) {
		f->params = malloc(count * sizeof(*f->params));
		if (!f->params)
			return CUDA_ERROR_OUT_OF_MEMORY;
		memcpy(f->params, info + 1, count * sizeof(*f->params));
		f->param_count = count;
	}
	f->param_bytes = info->param_bytes;
	for (i = 0; i < f->param_count; i++)
		if (f->params[i].offset + f->params[i].size > f->param_bytes)
			return vgpu_call_broken();
	f->attribute_count = info->attribute_count < VGPU_FUNCTION_ATTRIBUTES ? info->attribute_count :
										VGPU_FUNCTION_ATTRIBUTES;
	for (i = 0; i < f->attribute_count; i++)
		f->attributes[i] = info->attributes[i];
	return CUDA_SUCCESS;
}

_Static_assert(sizeof(struct vgpu_ret_module_get_function) == sizeof(struct vgpu_rec_function_info), "take_info");
_Static_assert(sizeof(struct vgpu_ret_library_get_kernel) == sizeof(struct vgpu_rec_function_info), "take_info");
_Static_assert(sizeof(struct vgpu_ret_function_info) == sizeof(struct vgpu_rec_function_info), "take_info");
_Static_assert(sizeof(struct vgpu_args_module_get_function) == sizeof(struct vgpu_args_library_get_kernel), "ask");

static CUresult ask(struct vgpu_function *f, const char *name, uint32_t size)
{
	struct vgpu_args_module_get_function *a;	/* the library's has the same members */
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, f->kind == VGPU_HANDLE_KERNEL ? VGPU_OP_library_get_kernel : VGPU_OP_module_get_function,
			    sizeof(*a), size, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->module = f->owner;
	a->function = f->wire;
	a->name_size = size;
	memcpy(c.payload, name, size);
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r)
		r = take_info(f, &c);
	vgpu_call_end(&c);
	return r;
}

static void discard(struct vgpu_function *f)
{
	char *name = f->name;
	struct vgpu_param *params = f->params;

	f->name = NULL;
	f->params = NULL;
	f->param_count = 0;
	vgpu_launch_state_drop(f);
	vgpu_handle_drop(f->kind, f->wire);
	free(name);
	free(params);
}

/* A new one, which is still to be kept. */
static CUresult make(struct vgpu_module *m, enum vgpu_handle_kind kind, const char *name, struct vgpu_function **out)
{
	struct vgpu_function *f;
	uint64_t wire;
	CUresult r;

	if (!vgpu_function_table_reserve(&m->functions))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgpu_handle_new(kind, &wire);
	if (r)
		return r;
	f = vgpu_handle_object_wire(kind, wire);
	f->wire = wire;
	f->kind = kind;
	f->owner = m->wire;
	f->name = strdup(name);
	*out = f;
	return f->name ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* What was made is among its module's, or gone if that failed. Returns `made`. */
static CUresult keep(struct vgpu_module *m, struct vgpu_function *f, CUresult made)
{
	if (!made)
		vgpu_function_table_add(&m->functions, f);
	else if (f)
		discard(f);
	return made;
}

CUresult vgpu_function_find(struct vgpu_module *m, enum vgpu_handle_kind kind, const char *name,
			    struct vgpu_function **out)
{
	size_t size = strnlen(name, NAME_MAX_BYTES) + 1;
	struct vgpu_function *f = NULL;
	CUresult r;

	if (size > NAME_MAX_BYTES)
		return CUDA_ERROR_NOT_FOUND;
	vgpu_lock(&lock);
	f = vgpu_function_table_find(&m->functions, name, 0);
	if (f) {
		*out = f;
		vgpu_unlock(&lock);
		return CUDA_SUCCESS;
	}
	r = make(m, kind, name, &f);
	if (!r)
		r = ask(f, name, (uint32_t)size);
	r = keep(m, f, r);
	*out = f;
	vgpu_unlock(&lock);
	return r;
}

void vgpu_functions_drop(struct vgpu_module *m)
{
	struct vgpu_function *f;

	vgpu_texrefs_drop_module(m);
	vgpu_lock(&lock);
	while ((f = vgpu_function_table_take(&m->functions)))
		discard(f);
	vgpu_unlock(&lock);
}

/* ---- kernels as functions ---- */

static CUresult bind_kernel(struct vgpu_function *f, const struct vgpu_function *kernel)
{
	struct vgpu_args_kernel_get_function *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_kernel_get_function, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->kernel = kernel->wire;
	a->function = f->wire;
	r = vgpu_call_finish(&c);
	return r ? r : vgpu_function_refresh(f);
}

CUresult vgpu_function_of_kernel(struct vgpu_function *kernel, struct vgpu_function **out)
{
	struct vgpu_module *library = vgpu_handle_object_wire(VGPU_HANDLE_LIBRARY, kernel->owner);
	struct vgpu_function *f = NULL;
	struct vgpu_module *m;
	CUresult r;

	if (!library)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_library_module(library, &m);
	if (r)
		return r;
	vgpu_lock(&lock);
	f = vgpu_function_table_find(&m->functions, kernel->name, kernel->wire);
	if (!f) {
		r = make(m, VGPU_HANDLE_FUNCTION, kernel->name, &f);
		if (!r) {
			f->kernel = kernel->wire;
			r = bind_kernel(f, kernel);
		}
		r = keep(m, f, r);
	}
	vgpu_unlock(&lock);
	*out = f;
	return r;
}

CUresult vgpu_function_refresh(struct vgpu_function *f)
{
	struct vgpu_args_function_info *a;
	struct vgpu_call c;
	CUresult r;

	atomic_store_explicit(&f->occupancy, 0, memory_order_relaxed);
	r = vgpu_call_begin(&c, VGPU_OP_function_info, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->function = f->wire;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r)
		r = take_info(f, &c);
	vgpu_call_end(&c);
	return r;
}

/* ---- API ---- */

/*
 * The object for a query of something: initialised, out pointer there, handle live, and of that kind: here the driver
 * takes no kernel for a function, as launches do.
 */
static CUresult look(enum vgpu_handle_kind kind, const void *app, const void *out, struct vgpu_function **f)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	*f = vgpu_handle_object(kind, app);
	return *f ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attrib, CUfunction func)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_FUNCTION, func, value, &f);

	if (r)
		return r;
	if ((uint32_t)attrib >= f->attribute_count)
		return CUDA_ERROR_INVALID_VALUE;
	*value = f->attributes[attrib];
	return CUDA_SUCCESS;
}

CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_KERNEL, kernel, value, &f);

	if (r)
		return r;
	if (!vgpu_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if ((uint32_t)attrib >= f->attribute_count)
		return CUDA_ERROR_INVALID_VALUE;
	*value = f->attributes[attrib];
	return CUDA_SUCCESS;
}

/* An attribute that programs set before each launch has this value already. Others the driver may refuse to have set. */
static bool is_set(const struct vgpu_function *f, CUfunction_attribute attrib, int value)
{
	return (attrib == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ||
		attrib == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) &&
	       (uint32_t)attrib < f->attribute_count && f->attributes[attrib] == value;
}

CUresult cuFuncSetAttribute(CUfunction func, CUfunction_attribute attrib, int value)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_FUNCTION, func, &f, &f);

	if (r)
		return r;
	if (is_set(f, attrib, value))
		return CUDA_SUCCESS;
	r = vgpu_remote_cuFuncSetAttribute(func, attrib, value);
	return r ? r : vgpu_function_refresh(f);
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_KERNEL, kernel, &f, &f);

	if (r)
		return r;
	if (is_set(f, attrib, val))
		return CUDA_SUCCESS;
	r = vgpu_remote_cuKernelSetAttribute(attrib, val, kernel, dev);
	vgpu_occupancy_forget();	/* its functions are others */
	return r ? r : vgpu_function_refresh(f);
}

static CUresult param_info(enum vgpu_handle_kind kind, const void *app, size_t index, size_t *offset, size_t *size)
{
	struct vgpu_function *f;
	CUresult r = app ? look(kind, app, offset, &f) : CUDA_ERROR_INVALID_VALUE;

	if (r)
		return r;
	if (index >= f->param_count)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = f->params[index].offset;
	if (size)
		*size = f->params[index].size;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t param_index, size_t *param_offset, size_t *param_size)
{
	return param_info(VGPU_HANDLE_FUNCTION, func, param_index, param_offset, param_size);
}

/* As natively, kernels tell this only where there is a context. */
CUresult cuKernelGetParamInfo(CUkernel kernel, size_t param_index, size_t *param_offset, size_t *param_size)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : param_info(VGPU_HANDLE_KERNEL, kernel, param_index, param_offset, param_size);
}

static CUresult get_name(enum vgpu_handle_kind kind, const void *app, const char **name)
{
	struct vgpu_function *f;
	CUresult r = app ? look(kind, app, name, &f) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		*name = f->name;
	return r;
}

CUresult cuFuncGetName(const char **name, CUfunction func)
{
	return get_name(VGPU_HANDLE_FUNCTION, func, name);
}

CUresult cuKernelGetName(const char **name, CUkernel func)
{
	return get_name(VGPU_HANDLE_KERNEL, func, name);
}

CUresult cuFuncGetModule(CUmodule *module, CUfunction func)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_FUNCTION, func, module, &f);

	if (r == CUDA_ERROR_INVALID_HANDLE && !func)	/* as natively */
		return CUDA_ERROR_INVALID_VALUE;
	if (!r)
		*module = vgpu_handle_app(VGPU_HANDLE_MODULE, f->owner);
	return r;
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction func)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_FUNCTION, func, state, &f);

	if (!r)
		*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return r;
}

CUresult cuFuncLoad(CUfunction func)
{
	struct vgpu_function *f;

	return look(VGPU_HANDLE_FUNCTION, func, &f, &f);
}

CUresult cuKernelGetLibrary(CUlibrary *lib, CUkernel kernel)
{
	struct vgpu_function *f;
	CUresult r = look(VGPU_HANDLE_KERNEL, kernel, lib, &f);

	if (r)
		return r;
	*lib = vgpu_handle_app(VGPU_HANDLE_LIBRARY, f->owner);
	return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction *func, CUkernel kernel)
{
	struct vgpu_function *k, *f;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (!r)
		r = look(VGPU_HANDLE_KERNEL, kernel, func, &k);
	if (!r)
		r = vgpu_function_of_kernel(k, &f);
	if (!r)
		*func = vgpu_handle_app(VGPU_HANDLE_FUNCTION, f->wire);
	return r;
}
