/* SPDX-License-Identifier: MIT */
/*
 * Modules, libraries and what comes out of them.  A function's handle entry keeps its owner (module or library: it
 * dies with it) and in `aux` the bytes of its parameter block, which launch.c compares.  The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "function.h"
#include "image.h"
#include "jit.h"
#include "log.h"
#include "output.h"
#include "session.h"

#define ATTRIBUTES	(CU_FUNC_ATTRIBUTE_MAX < 24 ? CU_FUNC_ATTRIBUTE_MAX : 24)
#define PARAMS_MOST	(VGPU_RET_PAYLOAD_MAX_function_info / sizeof(struct vgpu_rec_param))

static void log_failure(CUresult r, uint64_t bytes, const char *error)
{
	vgpu_log(VGPU_LOG_NOTICE, NULL, "code image of %llu bytes refused, CUDA error %d%s%.200s",
		 (unsigned long long)bytes, r, error[0] ? ": " : "", error);
}

/* A load call: what it loads, with what, and how it went. */
struct load {
	const void *data;
	uint64_t bytes;
	struct vgpu_jit *jit;
	bool lent;		/* the driver need not copy it: it stays until the library goes */
	CUmodule module;
	CUlibrary library;
};

static CUresult load_module(const struct vgpu_driver *drv, struct load *l)
{
	if (!drv->cuModuleLoadDataEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuModuleLoadDataEx(&l->module, l->data, l->jit->count, l->jit->option, l->jit->value);
}

static CUresult load_library(const struct vgpu_driver *drv, struct load *l)
{
	CUlibraryOption preserved = CU_LIBRARY_BINARY_IS_PRESERVED;
	void *yes = (void *)(uintptr_t)1;

	if (!drv->cuLibraryLoadData)
		return CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuLibraryLoadData(&l->library, l->data, l->jit->option, l->jit->value, l->jit->count, &preserved, &yes,
				      l->lent);
}

_Static_assert(sizeof(struct vgpu_args_module_load) == sizeof(struct vgpu_args_library_load) &&
	       sizeof(struct vgpu_ret_module_load) == sizeof(struct vgpu_ret_library_load), "one shape");

/* module_load and library_load have the same arguments and reply but for the handle. */
static CUresult load(struct vgpu_session *s, struct vgpu_request *rq, struct load *l,
		     CUresult (*call)(const struct vgpu_driver *, struct load *))
{
	const struct vgpu_args_module_load *a = rq->args;
	struct vgpu_ret_module_load *o = rq->ret;
	uint32_t at = 0;
	CUresult r = vgpu_image_get(s, a->image, a->kind, &l->data, &l->bytes);

	if (!r)
		r = vgpu_jit_take(s, rq, &a->jit, &at, true, &l->jit);
	if (r)
		return r;
	/* The wrapper of parts is ours, and each of them as long as it says. */
	if (s->device->limit_image && a->kind != VGPU_IMAGE_PARTS)
		s->device->limit_image(l->bytes);
	r = call(s->drv, l);
	if (r)
		log_failure(r, l->bytes, vgpu_jit_error(l->jit));
	else
		vgpu_image_loaded(s, a->image);
	o->prints = !r && vgpu_output_may_come(s, a->image, a->kind);
	vgpu_jit_reply(l->jit, &o->jit, rq, sizeof(*o));
	return r;
}

/* Logs that are longer than a reply wait at their image. */
static void end_load(struct vgpu_session *s, uint64_t image, struct load *l)
{
	if (l->jit && !vgpu_jit_fits(l->jit))
		vgpu_image_keep(s, image, l->jit);
	else
		vgpu_jit_free(l->jit);
}

CUresult vgpu_handle_module_load(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_module_load *a = rq->args;
	struct load l = { .data = NULL };
	CUresult r = load(s, rq, &l, load_module);

	end_load(s, a->image, &l);
	return r ? r : vgpu_session_bind(s, VGPU_HANDLE_MODULE, a->module, l.module);
}

CUresult vgpu_handle_library_load(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_library_load *a = rq->args;
	struct load l = { .lent = vgpu_image_lendable(s, a->image) };
	CUresult r = load(s, rq, &l, load_library);

	end_load(s, a->image, &l);
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_LIBRARY, a->library, l.library);
	if (!r && l.lent)
		vgpu_image_lend(s, a->image, a->library);
	return r;
}

static void forget_module(struct vgpu_session *s, uint64_t id)
{
	vgpu_handles_disown(&s->handles, VGPU_HANDLE_FUNCTION, id);
	vgpu_handles_disown(&s->handles, VGPU_HANDLE_TEXREF, id);
	vgpu_ranges_disown(&s->ranges, id);
	vgpu_session_unbind(s, VGPU_HANDLE_MODULE, id);
}

CUresult vgpu_handle_module_unload(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_module_unload *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_MODULE, a->module);
	CUresult r;

	if (!e || e->owner)
		return CUDA_ERROR_INVALID_HANDLE;
	r = s->drv->cuModuleUnload ? s->drv->cuModuleUnload(e->obj) : CUDA_ERROR_NOT_SUPPORTED;
	forget_module(s, a->module);
	return r;
}

struct owned {
	struct vgpu_session *s;
	uint64_t owner;
};

static void forget_owned_module(void *ctx, const struct vgpu_handle_entry *e)
{
	const struct owned *o = ctx;

	if (e->owner == o->owner)
		forget_module(o->s, e->id);
}

CUresult vgpu_handle_library_unload(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_library_unload *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_LIBRARY, a->library);
	struct owned o = { s, a->library };
	CUresult r;

	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	r = s->drv->cuLibraryUnload ? s->drv->cuLibraryUnload(e->obj) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		vgpu_image_return(s, a->library);
	vgpu_handles_each(&s->handles, VGPU_HANDLE_MODULE, forget_owned_module, &o);
	vgpu_handles_disown(&s->handles, VGPU_HANDLE_FUNCTION, a->library);
	vgpu_handles_disown(&s->handles, VGPU_HANDLE_KERNEL, a->library);
	vgpu_ranges_disown(&s->ranges, a->library);
	vgpu_session_unbind(s, VGPU_HANDLE_LIBRARY, a->library);
	return r;
}

static CUresult attribute(struct vgpu_session *s, const struct vgpu_handle_entry *e, uint32_t i, int *value)
{
	CUdevice device = 0;

	if (vgpu_handle_kind_of(e->id) != VGPU_HANDLE_KERNEL)
		return s->drv->cuFuncGetAttribute ? s->drv->cuFuncGetAttribute(value, (CUfunction_attribute)i, e->obj) :
						    CUDA_ERROR_NOT_SUPPORTED;
	if (s->drv->cuCtxGetDevice)
		s->drv->cuCtxGetDevice(&device);
	return s->drv->cuKernelGetAttribute ?
		       s->drv->cuKernelGetAttribute(value, (CUfunction_attribute)i, e->obj, device) :
		       CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_function_parameter(const struct vgpu_session *s, const struct vgpu_handle_entry *e, size_t i, size_t *offset,
				 size_t *size)
{
	if (vgpu_handle_kind_of(e->id) == VGPU_HANDLE_KERNEL)
		return s->drv->cuKernelGetParamInfo ? s->drv->cuKernelGetParamInfo(e->obj, i, offset, size) :
						      CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuFuncGetParamInfo ? s->drv->cuFuncGetParamInfo(e->obj, i, offset, size) :
					    CUDA_ERROR_NOT_SUPPORTED;
}

/* Attributes and parameter layout of a function or kernel into the reply; its parameter bytes into aux. */
static CUresult describe(struct vgpu_session *s, struct vgpu_handle_entry *e, struct vgpu_request *rq)
{
	struct vgpu_rec_function_info *info = rq->ret;	/* all three replies consist of it */
	struct vgpu_rec_param *p = (struct vgpu_rec_param *)(info + 1);
	size_t offset = 0, size = 0, end = 0;
	uint32_t n;
	CUresult r;

	for (uint32_t i = 0; i < ATTRIBUTES; i++)
		if (attribute(s, e, i, &info->attributes[i]))
			info->attributes[i] = 0;	/* newer than this driver */
	info->attribute_count = ATTRIBUTES;
	for (n = 0; n < PARAMS_MOST; n++) {
		r = vgpu_function_parameter(s, e, n, &offset, &size);
		if (r)
			break;
		p[n] = (struct vgpu_rec_param){ (uint16_t)offset, (uint16_t)size };
		end = offset + size > end ? offset + size : end;
	}
	if (r == CUDA_ERROR_NOT_SUPPORTED) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "the driver does not tell the layout of parameters (before 12.4)");
		return r;
	}
	info->param_count = n;
	info->param_bytes = (uint32_t)end;
	e->aux = end;
	rq->ret_size = (uint32_t)(sizeof(*info) + n * sizeof(*p));
	return CUDA_SUCCESS;
}

/* Bind a function or kernel to its owner and describe it. */
static CUresult adopt(struct vgpu_session *s, struct vgpu_request *rq, enum vgpu_handle_kind kind, uint64_t id, void *obj,
		      uint64_t owner)
{
	struct vgpu_handle_entry *e;
	CUresult r = vgpu_session_bind(s, kind, id, obj);

	if (r)
		return r;
	e = vgpu_handles_find(&s->handles, kind, id);
	e->owner = owner;
	r = describe(s, e, rq);
	if (r)
		vgpu_session_unbind(s, kind, id);
	return r;
}

CUresult vgpu_handle_module_get_function(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_module_get_function *a = rq->args;
	uint32_t at = 0;
	const char *name = vgpu_take_string(rq, &at, a->name_size, VGPU_PAYLOAD_MAX_module_get_function);
	CUfunction f = NULL;
	void *module;
	CUresult r;

	if (!name)
		return vgpu_session_broken(s, "module_get_function without a name");
	r = vgpu_session_lookup(s, VGPU_HANDLE_MODULE, a->module, &module);
	if (!r)
		r = s->drv->cuModuleGetFunction ? s->drv->cuModuleGetFunction(&f, module, name) :
						  CUDA_ERROR_NOT_SUPPORTED;
	return r ? r : adopt(s, rq, VGPU_HANDLE_FUNCTION, a->function, f, a->module);
}

CUresult vgpu_handle_library_get_kernel(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_library_get_kernel *a = rq->args;
	uint32_t at = 0;
	const char *name = vgpu_take_string(rq, &at, a->name_size, VGPU_PAYLOAD_MAX_library_get_kernel);
	CUkernel kernel = NULL;
	void *library;
	CUresult r;

	if (!name)
		return vgpu_session_broken(s, "library_get_kernel without a name");
	r = vgpu_session_lookup(s, VGPU_HANDLE_LIBRARY, a->library, &library);
	if (!r)
		r = s->drv->cuLibraryGetKernel ? s->drv->cuLibraryGetKernel(&kernel, library, name) :
						 CUDA_ERROR_NOT_SUPPORTED;
	return r ? r : adopt(s, rq, VGPU_HANDLE_KERNEL, a->kernel, kernel, a->library);
}

CUresult vgpu_handle_library_get_module(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_library_get_module *a = rq->args;
	CUmodule module = NULL;
	void *library;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_LIBRARY, a->library, &library);

	if (!r)
		r = s->drv->cuLibraryGetModule ? s->drv->cuLibraryGetModule(&module, library) :
						 CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_MODULE, a->module, module);
	if (!r)
		vgpu_handles_find(&s->handles, VGPU_HANDLE_MODULE, a->module)->owner = a->library;
	return r;
}

CUresult vgpu_handle_kernel_get_function(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_kernel_get_function *a = rq->args;
	struct vgpu_handle_entry *k = vgpu_handles_find(&s->handles, VGPU_HANDLE_KERNEL, a->kernel), *e;
	CUfunction f = NULL;
	CUresult r;

	if (!k)
		return CUDA_ERROR_INVALID_HANDLE;
	r = s->drv->cuKernelGetFunction ? s->drv->cuKernelGetFunction(&f, k->obj) : CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_FUNCTION, a->function, f);
	if (r)
		return r;
	e = vgpu_handles_find(&s->handles, VGPU_HANDLE_FUNCTION, a->function);
	e->owner = k->owner;
	e->aux = k->aux;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_function_info(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_function_info *a = rq->args;
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(a->function);
	struct vgpu_handle_entry *e;

	if (kind != VGPU_HANDLE_KERNEL)
		kind = VGPU_HANDLE_FUNCTION;
	e = vgpu_handles_find(&s->handles, kind, a->function);
	return e ? describe(s, e, rq) : CUDA_ERROR_INVALID_HANDLE;
}

/* A module's variable may be copied to and from: enter it. It may be there already. */
static void enter_global(struct vgpu_session *s, uint64_t start, uint64_t bytes, uint64_t owner, uint32_t context)
{
	if (start && bytes && !vgpu_ranges_cover(&s->ranges, start, bytes))
		vgpu_ranges_add(&s->ranges, start, bytes, VGPU_RANGE_GLOBAL, owner, context);
}

CUresult vgpu_handle_cuModuleGetGlobal_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuModuleGetGlobal_v2 *a = rq->args;
	const struct vgpu_ret_cuModuleGetGlobal_v2 *o = rq->ret;
	CUresult r = vgpu_default_cuModuleGetGlobal_v2(s, rq);

	if (!r)
		enter_global(s, o->dptr, o->bytes, a->module, vgpu_session_home(s));
	return r;
}

CUresult vgpu_handle_cuLibraryGetGlobal(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuLibraryGetGlobal *a = rq->args;
	const struct vgpu_ret_cuLibraryGetGlobal *o = rq->ret;
	CUresult r = vgpu_default_cuLibraryGetGlobal(s, rq);

	if (!r)
		enter_global(s, o->dptr, o->bytes, a->library, vgpu_session_home(s));
	return r;
}

CUresult vgpu_handle_cuLibraryGetManaged(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuLibraryGetManaged *a = rq->args;
	const struct vgpu_ret_cuLibraryGetManaged *o = rq->ret;
	CUresult r = vgpu_default_cuLibraryGetManaged(s, rq);

	if (!r)
		enter_global(s, o->dptr, o->bytes, a->library, 0);
	return r;
}
