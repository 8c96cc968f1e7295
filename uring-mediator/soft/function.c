/* SPDX-License-Identifier: MIT */
/*
 * Functions and kernels: attributes, parameters, names. Both come here; what differs is where they get their settings.
 */
#include "calls.h"
#include "module.h"

/* A function or kernel as the calls see it; one of the two references is set. */
struct either {
	struct soft_object *obj;
	const struct ptx_entry *entry;
	struct soft_settings *settings;
};

static CUresult enter_either(uint64_t handle, bool arguments_ok, struct either *e)
{
	CUresult rc = soft_enter_any();

	e->obj = soft_enter_object(&rc, handle, SOFT_FUNCTION | SOFT_KERNEL, arguments_ok);
	if (rc)
		return rc;
	if (e->obj->kind == SOFT_FUNCTION) {
		e->entry = ((struct soft_function *)e->obj)->entry;
		e->settings = &((struct soft_function *)e->obj)->settings;
	} else {
		e->entry = ((struct soft_kernel *)e->obj)->entry;
		e->settings = &((struct soft_kernel *)e->obj)->settings;
	}
	return CUDA_SUCCESS;
}

CUresult soft_function_of(CUfunction handle, struct soft_context *ctx, struct soft_function **out)
{
	struct soft_object *o = soft_get((uint64_t)(uintptr_t)handle, SOFT_FUNCTION | SOFT_KERNEL);
	CUresult rc = CUDA_SUCCESS;

	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	if (o->kind == SOFT_FUNCTION) {
		*out = (struct soft_function *)o;
		return CUDA_SUCCESS;
	}
	rc = soft_kernel_function((struct soft_kernel *)o, ctx, out);
	soft_put(o);
	return rc;
}

CUresult soft_attribute_get(const struct ptx_entry *e, struct soft_settings *s, CUfunction_attribute which, int *value)
{
	int dynamic = atomic_load(&s->max_dynamic_shared);

	switch (which) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = (int)e->max_threads;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*value = (int)e->static_shared;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
		*value = (int)e->const_size;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*value = (int)e->local_size;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*value = (int)e->num_regs;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		*value = (int)e->target;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*value = (int)soft_config.capability;
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*value = dynamic ? dynamic : (int)(SOFT_SHARED_BYTES - e->static_shared);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*value = atomic_load(&s->carveout);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*value = 0;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult attribute_set(const struct ptx_entry *e, struct soft_settings *s, CUfunction_attribute which, int value)
{
	switch (which) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || (unsigned)value + e->static_shared > SOFT_SHARED_OPTIN)
			return CUDA_ERROR_INVALID_VALUE;
		atomic_store(&s->max_dynamic_shared, value);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		atomic_store(&s->carveout, value);
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult get_attribute(uint64_t handle, int *value, CUfunction_attribute which)
{
	struct either e;
	CUresult rc = enter_either(handle, value, &e);

	if (rc)
		return rc;
	rc = soft_attribute_get(e.entry, e.settings, which, value);
	soft_put(e.obj);
	return rc;
}

static CUresult set_attribute(uint64_t handle, CUfunction_attribute which, int value)
{
	struct either e;
	CUresult rc = enter_either(handle, true, &e);

	if (rc)
		return rc;
	rc = attribute_set(e.entry, e.settings, which, value);
	soft_put(e.obj);
	return rc;
}

static CUresult param_info(uint64_t handle, size_t index, size_t *offset, size_t *size)
{
	struct either e;
	CUresult rc = enter_either(handle, offset, &e);

	if (rc)
		return rc;
	if (index < e.entry->num_params) {
		*offset = e.entry->params[index].offset;
		if (size)
			*size = e.entry->params[index].size;
	} else {
		rc = CUDA_ERROR_INVALID_VALUE;
	}
	soft_put(e.obj);
	return rc;
}

static CUresult get_name(uint64_t handle, const char **name)
{
	struct either e;
	CUresult rc = enter_either(handle, name, &e);

	if (rc)
		return rc;
	*name = e.entry->name;
	soft_put(e.obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction f)
{
	return get_attribute((uint64_t)(uintptr_t)f, value, which);
}

static CUresult soft_cuFuncSetAttribute(CUfunction f, CUfunction_attribute which, int value)
{
	return set_attribute((uint64_t)(uintptr_t)f, which, value);
}

static CUresult soft_cuFuncGetParamInfo(CUfunction f, size_t index, size_t *offset, size_t *size)
{
	return param_info((uint64_t)(uintptr_t)f, index, offset, size);
}

static CUresult soft_cuFuncGetName(const char **name, CUfunction f)
{
	return get_name((uint64_t)(uintptr_t)f, name);
}

static CUresult soft_cuKernelGetAttribute(int *value, CUfunction_attribute which, CUkernel k, CUdevice dev)
{
	if (soft_enter_any() == CUDA_SUCCESS && !soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return get_attribute((uint64_t)(uintptr_t)k, value, which);
}

static CUresult soft_cuKernelGetParamInfo(CUkernel k, size_t index, size_t *offset, size_t *size)
{
	return param_info((uint64_t)(uintptr_t)k, index, offset, size);
}

static CUresult soft_cuKernelGetName(const char **name, CUkernel k)
{
	return get_name((uint64_t)(uintptr_t)k, name);
}

static CUresult soft_cuKernelGetFunction(CUfunction *out, CUkernel k)
{
	struct soft_context *ctx;
	struct soft_function *f;
	CUresult rc = soft_enter(&ctx);
	struct soft_kernel *kernel = soft_enter_object(&rc, (uint64_t)(uintptr_t)k, SOFT_KERNEL, out);

	if (rc)
		return rc;
	rc = soft_kernel_function(kernel, ctx, &f);
	if (!rc) {
		*out = (CUfunction)(uintptr_t)f->obj.handle;
		soft_put(&f->obj);
	}
	soft_put(&kernel->obj);
	return rc;
}

static CUresult soft_cuKernelSetAttribute(CUfunction_attribute which, int value, CUkernel k, CUdevice dev)
{
	CUfunction unused;
	CUresult rc;

	if (soft_enter_any() == CUDA_SUCCESS && !soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	rc = set_attribute((uint64_t)(uintptr_t)k, which, value);
	if (!rc)
		soft_cuKernelGetFunction(&unused, k);	/* its function in this context, if there is one, learns of it */
	return rc;
}

static CUresult soft_cuKernelGetLibrary(CUlibrary *out, CUkernel k)
{
	CUresult rc = soft_enter_any();
	struct soft_kernel *kernel = soft_enter_object(&rc, (uint64_t)(uintptr_t)k, SOFT_KERNEL, out);

	if (rc)
		return rc;
	*out = (CUlibrary)(uintptr_t)((struct soft_object *)kernel->library)->handle;
	soft_put(&kernel->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuFuncGetModule(CUmodule *out, CUfunction f)
{
	struct soft_context *ctx;
	struct soft_function *function;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	rc = soft_function_of(f, ctx, &function);
	if (rc)
		return rc;
	*out = (CUmodule)(uintptr_t)function->module->obj.handle;
	soft_put(&function->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction f)
{
	struct either e;
	CUresult rc = enter_either((uint64_t)(uintptr_t)f, state, &e);

	if (rc)
		return rc;
	*state = CU_FUNCTION_LOADING_STATE_LOADED;
	soft_put(e.obj);
	return CUDA_SUCCESS;
}

/* Functions are loaded with their module; caches and banks have no settings here, so these only check. */
static CUresult soft_cuFuncLoad(CUfunction f)
{
	struct either e;
	CUresult rc = enter_either((uint64_t)(uintptr_t)f, true, &e);

	if (!rc)
		soft_put(e.obj);
	return rc;
}

static CUresult soft_cuFuncSetCacheConfig(CUfunction f, CUfunc_cache config)
{
	return (unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE : soft_cuFuncLoad(f);
}

static CUresult soft_cuKernelSetCacheConfig(CUkernel k, CUfunc_cache config, CUdevice dev)
{
	if (soft_enter_any() == CUDA_SUCCESS && !soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	return soft_cuFuncSetCacheConfig((CUfunction)k, config);
}

static CUresult soft_cuFuncSetSharedMemConfig(CUfunction f, CUsharedconfig config)
{
	return (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE :
									     soft_cuFuncLoad(f);
}

void soft_fill_function(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuFuncGetAttribute);
	SOFT_SLOT(d, cuFuncSetAttribute);
	SOFT_SLOT(d, cuFuncGetParamInfo);
	SOFT_SLOT(d, cuFuncGetName);
	SOFT_SLOT(d, cuFuncGetModule);
	SOFT_SLOT(d, cuFuncIsLoaded);
	SOFT_SLOT(d, cuFuncLoad);
	SOFT_SLOT(d, cuFuncSetCacheConfig);
	SOFT_SLOT(d, cuFuncSetSharedMemConfig);
	SOFT_SLOT(d, cuKernelGetAttribute);
	SOFT_SLOT(d, cuKernelSetAttribute);
	SOFT_SLOT(d, cuKernelSetCacheConfig);
	SOFT_SLOT(d, cuKernelGetParamInfo);
	SOFT_SLOT(d, cuKernelGetName);
	SOFT_SLOT(d, cuKernelGetFunction);
	SOFT_SLOT(d, cuKernelGetLibrary);
}
