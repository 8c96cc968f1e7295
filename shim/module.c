/* SPDX-License-Identifier: MIT */
/*
 * Modules: code of one context. An image is the application's bare pointer
 * (image.c measures it) or a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "function.h"
#include "handle.h"
#include "image_send.h"
#include "log.h"
#include "memory.h"
#include "mirror.h"
#include "module.h"
#include "output.h"
#include "session.h"
#include "thread.h"

CUresult vgpu_file_read(const char *name, void **data, size_t *bytes)
{
	struct stat st;
	size_t at = 0;
	ssize_t n = 0;
	char *text;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return CUDA_ERROR_FILE_NOT_FOUND;
	if (fstat(fd, &st) || S_ISDIR(st.st_mode)) {
		close(fd);
		return CUDA_ERROR_FILE_NOT_FOUND;
	}
	text = malloc((size_t)st.st_size + 1);
	while (text && at < (size_t)st.st_size && (n = read(fd, text + at, (size_t)st.st_size - at)) > 0)
		at += (size_t)n;
	close(fd);
	if (!text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (n < 0) {
		free(text);
		return CUDA_ERROR_FILE_NOT_FOUND;
	}
	text[at] = '\0';	/* PTX files have none */
	*data = text;
	*bytes = at;
	return CUDA_SUCCESS;
}

CUresult vgpu_module_read_file(const char *name, void **data, struct vgpu_image *image)
{
	size_t bytes;
	CUresult r = *name ? vgpu_file_read(name, data, &bytes) : CUDA_ERROR_INVALID_VALUE;

	if (r)
		return r;
	if (vgpu_image_parse(*data, bytes + 1, image)) {
		free(*data);
		return CUDA_ERROR_INVALID_IMAGE;
	}
	return CUDA_SUCCESS;
}

CUresult vgpu_module_load_image(uint16_t op, uint64_t wire, const struct vgpu_image *image, struct vgpu_jit *jit)
{
	struct vgpu_image joined;
	uint64_t number;
	CUresult r;
	int err;

	if (vgpu_image_has_parts(image)) {
		err = vgpu_image_join(image, &joined);
		if (err)
			return err == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
		r = vgpu_image_send(&joined, &number);
		free((void *)joined.data);
		image = &joined;
	} else {
		r = vgpu_image_send(image, &number);
	}
	if (r)
		return r;
	r = vgpu_image_load(op, wire, number, image->kind, jit);
	vgpu_image_close(number);
	return r;
}

static CUresult load(CUmodule *module, const struct vgpu_image *image, struct vgpu_jit *jit)
{
	struct vgpu_module *m;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_MODULE, &wire);
	if (r)
		return r;
	m = vgpu_handle_object_wire(VGPU_HANDLE_MODULE, wire);
	m->wire = wire;
	m->context = vgpu_context_home();
	vgpu_output_fetch();
	r = vgpu_module_load_image(VGPU_OP_module_load, wire, image, jit);
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_MODULE, wire);
	else
		*module = vgpu_handle_app(VGPU_HANDLE_MODULE, wire);
	return r;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int num_options, CUjit_option *options,
			    void **option_values)
{
	struct vgpu_image parsed;
	struct vgpu_jit jit;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!module || !image)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_jit_parse(num_options, options, option_values, &jit);
	if (r)
		return r;
	if (vgpu_image_parse(image, UINT64_MAX, &parsed))
		return CUDA_ERROR_INVALID_IMAGE;
	return load(module, &parsed, &jit);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fat_cubin)
{
	return cuModuleLoadDataEx(module, fat_cubin, 0, NULL, NULL);
}

CUresult cuModuleLoad(CUmodule *module, const char *fname)
{
	struct vgpu_image image;
	struct vgpu_jit jit;
	void *data;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!module || !fname)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_module_read_file(fname, &data, &image);
	if (r)
		return r;
	memset(&jit, 0, sizeof(jit));
	r = load(module, &image, &jit);
	free(data);
	return r;
}

/* Needs no current context: the module knows its own. */
CUresult cuModuleUnload(CUmodule module)
{
	struct vgpu_args_module_unload *a;
	struct vgpu_module *m;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	if (r)
		return r;
	m = vgpu_handle_object(VGPU_HANDLE_MODULE, module);
	if (!m || m->library)
		return CUDA_ERROR_INVALID_HANDLE;
	vgpu_output_fetch();
	vgpu_mirror_drop(m->wire, NULL);
	vgpu_functions_drop(m);
	r = vgpu_call_begin(&c, VGPU_OP_module_unload, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->module = m->wire;
	vgpu_call_submit(&c);
	vgpu_handle_drop(VGPU_HANDLE_MODULE, m->wire);
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *func, CUmodule module, const char *name)
{
	struct vgpu_function *f;
	struct vgpu_module *m;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!func || !name || !*name)
		return CUDA_ERROR_INVALID_VALUE;
	m = vgpu_handle_object(VGPU_HANDLE_MODULE, module);
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_function_find(m, VGPU_HANDLE_FUNCTION, name, &f);
	if (!r)
		*func = vgpu_handle_app(VGPU_HANDLE_FUNCTION, f->wire);
	return r;
}

/* A variable's address is device memory that nobody allocated: note it, once. `owner`: of a managed one. */
static CUresult note_global(CUdeviceptr p, size_t bytes, uint64_t owner)
{
	struct vgpu_range_info info;

	if (!p || !bytes || vgpu_memory_find(p, &info))
		return CUDA_SUCCESS;
	if (vgpu_memory_is_managed(p))
		return vgpu_mirror_make(p, bytes, owner, false);
	/* Refused as there already: another thread asked at the same time. */
	return vgpu_memory_add(VGPU_RANGE_GLOBAL, p, bytes, 0) == CUDA_ERROR_OUT_OF_MEMORY ? CUDA_ERROR_OUT_OF_MEMORY :
											     CUDA_SUCCESS;
}

/* Of a module: its own wire id, or that of the library that it is of. */
static uint64_t owner_of(CUmodule module)
{
	const struct vgpu_module *m = vgpu_handle_object(VGPU_HANDLE_MODULE, module);

	return !m ? 0 : m->library ? m->library : m->wire;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule module, const char *name)
{
	const struct vgpu_module *m = vgpu_handle_object(VGPU_HANDLE_MODULE, module);
	VGPU_CONTEXT_LENDS(m ? m->context : NULL);	/* whose memory it is */
	CUdeviceptr p = 0;
	size_t n = 0;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!name || (!dptr && !bytes))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_remote_cuModuleGetGlobal_v2(&p, &n, module, name);
	if (!r)
		r = note_global(p, n, owner_of(module));
	if (r)
		return r;
	if (dptr)
		*dptr = p;
	if (bytes)
		*bytes = n;
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	CUdeviceptr p = 0;
	size_t n = 0;
	CUresult r;

	r = vgpu_remote_cuLibraryGetGlobal(&p, &n, library, name);
	if (!r)
		r = note_global(p, n, vgpu_handle_to_wire(library));
	if (r)
		return r;
	if (dptr)
		*dptr = p;
	if (bytes)
		*bytes = n;
	return CUDA_SUCCESS;
}

static CUresult get_managed(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name, bool hold)
{
	CUdeviceptr p = 0;
	size_t n = 0;
	CUresult r = vgpu_remote_cuLibraryGetManaged(&p, &n, library, name);

	if (!r)
		r = vgpu_mirror_make(p, n, vgpu_handle_to_wire(library), hold);
	if (r)
		return r;
	if (dptr)
		*dptr = p;
	if (bytes)
		*bytes = n;
	return CUDA_SUCCESS;
}

/* The variable needs no context, and cudart asks before it has one; the copies of a mirror do. */
CUresult cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	CUresult r = vgpu_ready();
	CUcontext held;

	if (r)
		return r;
	if (!vgpu_handle_live(VGPU_HANDLE_LIBRARY, library))
		return CUDA_ERROR_INVALID_HANDLE;
	if (vgpu_thread.current)
		return get_managed(dptr, bytes, library, name, false);
	r = cuDevicePrimaryCtxRetain(&held, 0);
	if (r)
		return r;
	vgpu_thread.current = vgpu_context_primary(0);
	r = get_managed(dptr, bytes, library, name, true);
	vgpu_thread.current = NULL;
	cuDevicePrimaryCtxRelease(0);
	return r;
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_LAZY_LOADING;
	return CUDA_SUCCESS;
}
