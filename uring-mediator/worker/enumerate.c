/* SPDX-License-Identifier: MIT */
/* The names of all functions of a module, or of all kernels of a library.  The worker's only thread. */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

#define MOST	(1u << 20)	/* functions of one module */

/* What the two kinds of code have each a call for. */
struct list {
	bool library;
	unsigned int count;
	void **handle;
};

static CUresult count_of(const struct vgpu_driver *drv, void *code, struct list *l)
{
	if (l->library)
		return drv->cuLibraryGetKernelCount ? drv->cuLibraryGetKernelCount(&l->count, code) :
						      CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuModuleGetFunctionCount ? drv->cuModuleGetFunctionCount(&l->count, code) : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult fill(const struct vgpu_driver *drv, void *code, struct list *l)
{
	if (l->library)
		return drv->cuLibraryEnumerateKernels ?
			       drv->cuLibraryEnumerateKernels((CUkernel *)l->handle, l->count, code) :
			       CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuModuleEnumerateFunctions ?
		       drv->cuModuleEnumerateFunctions((CUfunction *)l->handle, l->count, code) : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult name_of(const struct vgpu_driver *drv, const struct list *l, uint32_t i, const char **name)
{
	if (l->library)
		return drv->cuKernelGetName ? drv->cuKernelGetName(name, l->handle[i]) : CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuFuncGetName ? drv->cuFuncGetName(name, l->handle[i]) : CUDA_ERROR_NOT_SUPPORTED;
}

/* As many names as fit. A name that does not fit alone is longer than the guest could ask for. */
static CUresult put_names(const struct vgpu_driver *drv, const struct list *l, uint32_t first,
			  struct vgpu_ret_code_names *o)
{
	char *text = (char *)(o + 1);

	for (uint32_t i = first; i < l->count; i++) {
		const char *name = NULL;
		CUresult r = name_of(drv, l, i, &name);
		size_t size;

		if (r)
			return r;
		size = name ? strlen(name) + 1 : SIZE_MAX;
		if (size > VGPU_RET_PAYLOAD_MAX_code_names - o->bytes)
			return o->count ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
		memcpy(text + o->bytes, name, size);
		o->bytes += (uint32_t)size;
		o->count++;
	}
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_code_names(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_code_names *a = rq->args;
	struct vgpu_ret_code_names *o = rq->ret;
	struct list l = { .library = vgpu_handle_kind_of(a->code) == VGPU_HANDLE_LIBRARY };
	void *code = NULL;
	CUresult r = vgpu_session_lookup(s, l.library ? VGPU_HANDLE_LIBRARY : VGPU_HANDLE_MODULE, a->code, &code);

	if (!r)
		r = count_of(s->drv, code, &l);
	if (r)
		return r;
	if (l.count > MOST)
		return CUDA_ERROR_NOT_SUPPORTED;
	l.handle = calloc(l.count ? l.count : 1, sizeof(*l.handle));
	if (!l.handle)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (l.count)
		r = fill(s->drv, code, &l);
	if (!r)
		r = put_names(s->drv, &l, a->first, o);
	free(l.handle);
	if (!r)
		rq->ret_size = (uint32_t)sizeof(*o) + o->bytes;
	return r;
}
