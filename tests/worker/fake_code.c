/* SPDX-License-Identifier: MIT */
/* Modules, libraries and launches of the driver that checks its caller. One thread. */
#include <stdio.h>
#include <string.h>

#include "fake_parts.h"

static void **find_option(unsigned int n, const CUjit_option *options, void **values, CUjit_option which)
{
	for (unsigned int i = 0; i < n; i++)
		if (options[i] == which)
			return &values[i];
	return NULL;
}

static uint64_t count_of(unsigned int n, const CUjit_option *options, void **values, CUjit_option which)
{
	void **value = find_option(n, options, values, which);

	return value ? (uint64_t)(uintptr_t)*value : 0;
}

/* Reads all names, as a driver does; what is no memory is ASan's to find. */
static void read_names(unsigned int n, const CUjit_option *options, void **values, CUjit_option names, CUjit_option count)
{
	void **list = find_option(n, options, values, names);
	uint64_t most = count_of(n, options, values, count);
	size_t at = strlen(fake.names);

	for (uint64_t i = 0; list && i < most; i++)
		at += (size_t)snprintf(fake.names + at, at < sizeof(fake.names) ? sizeof(fake.names) - at : 0, "%s",
				       ((const char **)*list)[i]);
}

/* A log of digits into a buffer; the option says how long it is. */
static void write_log(unsigned int n, const CUjit_option *options, void **values, CUjit_option buffer, CUjit_option size)
{
	void **text = find_option(n, options, values, buffer), **bytes = find_option(n, options, values, size);
	uint64_t room = bytes ? (uint64_t)(uintptr_t)*bytes : 0, i;

	if (!text || !room)
		return;
	for (i = 0; i < fake.log_bytes && i + 1 < room; i++)
		((char *)*text)[i] = (char)('0' + i % 10);
	((char *)*text)[i] = '\0';
	*bytes = (void *)(uintptr_t)i;
}

static void read_options(unsigned int n, const CUjit_option *options, void **values)
{
	void **list = find_option(n, options, values, CU_JIT_GLOBAL_SYMBOL_ADDRESSES);
	uint64_t most = count_of(n, options, values, CU_JIT_GLOBAL_SYMBOL_COUNT);

	fake.names[0] = '\0';
	fake.addresses = fake.unknown = 0;
	read_names(n, options, values, CU_JIT_GLOBAL_SYMBOL_NAMES, CU_JIT_GLOBAL_SYMBOL_COUNT);
	read_names(n, options, values, CU_JIT_REFERENCED_KERNEL_NAMES, CU_JIT_REFERENCED_KERNEL_COUNT);
	read_names(n, options, values, CU_JIT_REFERENCED_VARIABLE_NAMES, CU_JIT_REFERENCED_VARIABLE_COUNT);
	for (uint64_t i = 0; list && i < most; i++)
		fake.addresses += (uint64_t)(uintptr_t)((void **)*list)[i];
	for (unsigned int i = 0; i < n; i++)
		fake.unknown += (unsigned int)options[i] >= CU_JIT_NUM_OPTIONS;
	write_log(n, options, values, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
	write_log(n, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
}

static CUresult f_module(CUmodule *m, const void *image, unsigned int n, CUjit_option *options, void **values)
{
	read_options(n, options, values);
	fake.image = image;
	if (fake.result)
		return fake.result;
	*m = fake_make(VGPU_HANDLE_MODULE, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_link_create(unsigned int n, CUjit_option *options, void **values, CUlinkState *state)
{
	read_options(n, options, values);
	if (fake.result)
		return fake.result;
	*state = fake_make(VGPU_HANDLE_LINKSTATE, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_link_add(CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,
			   unsigned int n, CUjit_option *options, void **values)
{
	(void)type;
	fake_check(state, VGPU_HANDLE_LINKSTATE);
	fake.image = data;
	fake_insist(!((const char *)data)[size], "an input without a NUL behind it");
	read_options(n, options, values);
	if (name)
		snprintf(fake.names, sizeof(fake.names), "%s", name);
	return fake.result;
}

static CUresult f_link_complete(CUlinkState state, void **cubin, size_t *size)
{
	static uint8_t image[10000];

	fake_check(state, VGPU_HANDLE_LINKSTATE);
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i % 251);
	*cubin = image;
	*size = fake.link_bytes < sizeof(image) ? fake.link_bytes : sizeof(image);
	return fake.result;
}

static CUresult f_link_destroy(CUlinkState state)
{
	fake_destroy(fake_check(state, VGPU_HANDLE_LINKSTATE));
	return CUDA_SUCCESS;
}

static CUresult f_module_unload(CUmodule m)
{
	fake_destroy(fake_check(m, VGPU_HANDLE_MODULE));
	return CUDA_SUCCESS;
}

static CUresult f_get_function(CUfunction *f, CUmodule m, const char *name)
{
	(void)name;
	*f = fake_make(VGPU_HANDLE_FUNCTION, fake_check(m, VGPU_HANDLE_MODULE));
	return CUDA_SUCCESS;
}

static CUresult f_library(CUlibrary *l, const void *code, CUjit_option *jo, void **jv, unsigned int jn,
			  CUlibraryOption *lo, void **lv, unsigned int ln)
{
	(void)jo;
	(void)jv;
	(void)jn;
	fake_insist(ln <= 1 && (!ln || (*lo == CU_LIBRARY_BINARY_IS_PRESERVED && *lv)), "library options");
	fake.preserved = ln ? code : NULL;
	*l = fake_make(VGPU_HANDLE_LIBRARY, NULL);
	return CUDA_SUCCESS;
}

static CUresult f_library_unload(CUlibrary l)
{
	fake_destroy(fake_check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_get_kernel(CUkernel *k, CUlibrary l, const char *name)
{
	(void)name;
	*k = fake_make(VGPU_HANDLE_KERNEL, fake_check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_kernel_function(CUfunction *f, CUkernel k)
{
	*f = fake_make(VGPU_HANDLE_FUNCTION, fake_check(k, VGPU_HANDLE_KERNEL)->owner);
	return CUDA_SUCCESS;
}

static CUresult f_library_module(CUmodule *m, CUlibrary l)
{
	*m = fake_make(VGPU_HANDLE_MODULE, fake_check(l, VGPU_HANDLE_LIBRARY));
	return CUDA_SUCCESS;
}

static CUresult f_func_param(CUfunction f, size_t i, size_t *offset, size_t *size)
{
	fake_check(f, VGPU_HANDLE_FUNCTION);
	*offset = i * 8;
	*size = 8;
	return i < fake.param_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult f_kernel_param(CUkernel k, size_t i, size_t *offset, size_t *size)
{
	fake_check(k, VGPU_HANDLE_KERNEL);
	*offset = i * 8;
	*size = 8;
	return i < fake.param_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void fake_check_function(CUfunction f)
{
	for (struct fake_object *o = fake_objects; o; o = o->next)
		if ((void *)o == (void *)f) {
			fake_insist(o->kind == VGPU_HANDLE_FUNCTION || o->kind == VGPU_HANDLE_KERNEL, "no function to launch");
			return;
		}
	fake_insist(false, "a dead function to launch");
}

static CUresult launched(CUfunction f, CUstream s, void **params, void **extra)
{
	fake.calls++;
	fake_check_function(f);
	fake_check_stream(s);
	fake_insist(!params && extra, "kernelParams");
	fake.params = extra[1];
	fake.param_bytes = *(size_t *)extra[3];
	fake_insist(fake.param_bytes >= fake.param_count * 8, "a parameter block that is too short");
	fake_check_source(fake.params, fake.param_bytes);
	return fake.result;
}

static CUresult f_launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
			 unsigned int bz, unsigned int shared, CUstream s, void **params, void **extra)
{
	(void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
	return launched(f, s, params, extra);
}

/* NVIDIA's driver takes no packed block where blocks may wait for each other. */
static CUresult launched_cooperatively(CUfunction f, CUstream s, void **params, void **extra)
{
	fake.calls++;
	fake_check_function(f);
	fake_check_stream(s);
	fake_insist(params && !extra, "a packed block of a cooperative launch");
	for (uint32_t i = 0; i < fake.param_count; i++)
		fake_check_source(params[i], 8);
	fake.params = params[0];
	fake.param_bytes = fake.param_count * 8;
	return fake.result;
}

static CUresult f_launch_ex(const CUlaunchConfig *c, CUfunction f, void **params, void **extra)
{
	bool cooperative = false;

	for (unsigned int i = 0; i < c->numAttrs; i++) {
		if (c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
			fake_check(c->attrs[i].value.programmaticEvent.event, VGPU_HANDLE_EVENT);
		if (c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
			fake_check(c->attrs[i].value.launchCompletionEvent.event, VGPU_HANDLE_EVENT);
		fake_insist(c->attrs[i].id != CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE ||
				    !c->attrs[i].value.deviceUpdatableKernelNode.devNode, "a graph node's pointer");
		cooperative |= c->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
	}
	return cooperative ? launched_cooperatively(f, c->hStream, params, extra) : launched(f, c->hStream, params, extra);
}

static CUresult f_occupancy(int *n, CUfunction f, int block, size_t shared)
{
	(void)block;
	(void)shared;
	fake_check_function(f);
	*n = 4;
	return fake.result;
}

void fake_fill_code(struct vgpu_driver *t)
{
	t->cuModuleLoadDataEx = f_module;
	t->cuModuleUnload = f_module_unload;
	t->cuLinkCreate_v2 = f_link_create;
	t->cuLinkAddData_v2 = f_link_add;
	t->cuLinkComplete = f_link_complete;
	t->cuLinkDestroy = f_link_destroy;
	t->cuModuleGetFunction = f_get_function;
	t->cuLibraryLoadData = f_library;
	t->cuLibraryUnload = f_library_unload;
	t->cuLibraryGetKernel = f_get_kernel;
	t->cuLibraryGetModule = f_library_module;
	t->cuKernelGetFunction = f_kernel_function;
	t->cuFuncGetParamInfo = f_func_param;
	t->cuKernelGetParamInfo = f_kernel_param;
	t->cuLaunchKernel = f_launch;
	t->cuLaunchKernelEx = f_launch_ex;
	t->cuOccupancyMaxActiveBlocksPerMultiprocessor = f_occupancy;
}
