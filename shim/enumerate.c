/* SPDX-License-Identifier: MIT */
/*
 * The functions of a module and the kernels of a library, all of them: the
 * worker lists their names, then each is asked for as if the application had
 * named it.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "function.h"
#include "handle.h"

struct names {
	uint32_t count, bytes;
	char text[VGPU_RET_PAYLOAD_MAX_code_names];
};

/* Names from the `first`-th on; each ends inside the text. */
static CUresult ask(uint64_t code, uint32_t first, struct names *names)
{
	const struct vgpu_ret_code_names *o;
	struct vgpu_args_code_names *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_code_names, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->code = code;
	a->first = first;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	o = c.ret;
	if (!r && (c.ret_size < sizeof(*o) || o->bytes > c.ret_size - sizeof(*o) || o->bytes > sizeof(names->text))) {
		r = vgpu_call_broken();
	} else if (!r) {
		names->count = o->count;
		names->bytes = o->bytes;
		memcpy(names->text, o + 1, o->bytes);
	}
	vgpu_call_end(&c);
	return r;
}

static CUresult find_all(struct vgpu_module *m, enum vgpu_handle_kind kind, const struct names *names, void **out,
			 uint32_t most)
{
	const char *name = names->text, *end = names->text + names->bytes;
	struct vgpu_function *f;
	CUresult r = CUDA_SUCCESS;
	uint32_t i;

	for (i = 0; i < names->count && i < most && !r; i++) {
		size_t length = strnlen(name, (size_t)(end - name));

		if (name + length == end)
			return vgpu_call_broken();
		r = vgpu_function_find(m, kind, name, &f);
		if (!r)
			out[i] = vgpu_handle_app(kind, f->wire);
		name += length + 1;
	}
	return r;
}

static CUresult enumerate(enum vgpu_handle_kind whole, const void *app, enum vgpu_handle_kind kind, void **out,
			  unsigned int most)
{
	struct vgpu_module *m;
	struct names names;
	uint32_t done = 0;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!most)
		return CUDA_SUCCESS;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	m = vgpu_handle_object(whole, app);
	if (!m)
		return CUDA_ERROR_INVALID_HANDLE;
	do {
		r = ask(m->wire, done, &names);
		if (!r)
			r = find_all(m, kind, &names, out + done, most - done);
		done += names.count;
	} while (!r && names.count && done < most);
	return r;
}

CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned int num_functions, CUmodule module)
{
	return enumerate(VGPU_HANDLE_MODULE, module, VGPU_HANDLE_FUNCTION, (void **)functions, num_functions);
}

CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int num_kernels, CUlibrary library)
{
	return enumerate(VGPU_HANDLE_LIBRARY, library, VGPU_HANDLE_KERNEL, (void **)kernels, num_kernels);
}
