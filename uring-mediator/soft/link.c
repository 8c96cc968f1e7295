/* SPDX-License-Identifier: MIT */
/*
 * Linking at run time: a link collects PTX texts, each checked when it is added, and makes a cubin of our own of them
 * (cubin.h). Machine code and LTO-IR are refused with a line in the log. A link belongs to no context; one thread at a
 * time uses it, as natively.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "cubin.h"
#include "device.h"
#include "elf_file.h"
#include "fatbin.h"
#include "handle.h"

#define INPUTS_MOST 32768 /* sections of an ELF file are counted in 16 bits */

struct soft_link {
	struct soft_object obj; /* SOFT_LINK */
	struct soft_jit jit;    /* its values and buffers are the caller's for as long as the link lives */
	struct soft_code code;
	char **names;           /* of the texts, for the log */
	size_t num_names;
	void *cubin;            /* of the last cuLinkComplete */
};

static void release(struct soft_object *o)
{
	struct soft_link *l = (struct soft_link *)o;

	while (l->num_names)
		free(l->names[--l->num_names]);
	free(l->names);
	soft_code_free(&l->code);
	free(l->cubin);
	free(l);
}

static CUresult soft_cuLinkCreate_v2(unsigned int n, CUjit_option *options, void **values, CUlinkState *out)
{
	struct soft_link *l;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&l->obj, SOFT_LINK, NULL, release);
	rc = soft_jit_open(&l->jit, n, options, values);
	if (!rc && soft_bind(&l->obj) < 0)
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (rc) {
		soft_put(&l->obj);
		return rc;
	}
	*out = (CUlinkState)(uintptr_t)l->obj.handle;
	return CUDA_SUCCESS;
}

/* An input on its way into a link. */
struct input {
	struct soft_link *link;
	const char *name;
	bool optional; /* one of an archive: what it lacks shows when the link is completed */
	size_t found;  /* texts */
	CUresult result;
};

static bool remember_name(struct soft_link *l, const char *name)
{
	char **names = reallocarray(l->names, l->num_names + 1, sizeof(*names));

	if (!names)
		return false;
	l->names = names;
	names[l->num_names] = strdup(name);
	return names[l->num_names] && ++l->num_names;
}

/* Takes over the text. */
static CUresult add_text(struct input *in, char *text, size_t len)
{
	struct soft_link *l = in->link;
	struct ptx_diag diag;
	int rc = ptx_check(&(struct ptx_text){ text, len }, &diag);

	if (rc) {
		free(text);
		return soft_code_refuse(in->optional ? NULL : &l->jit, in->name, rc, &diag);
	}
	if (l->code.count >= INPUTS_MOST || !remember_name(l, in->name)) {
		free(text);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	in->found++;
	return soft_code_adopt(&l->code, text, len) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult add_ptx(struct input *in, const char *data, size_t size)
{
	size_t len = strnlen(data, size);
	char *text = strndup(data, len);

	return text ? add_text(in, text, len) : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The entry for the highest architecture that the device has and the interpreter understands. */
static CUresult add_fatbin(struct input *in, const void *image, size_t limit)
{
	unsigned below = soft_config.capability + 1;
	CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
	struct fatbin_entry e;
	size_t len;
	char *text;
	int rc;

	while ((rc = fatbin_best_ptx(image, limit, below, &e)) > 0) {
		rc = fatbin_unpack(&e, &text, &len);
		if (rc < 0)
			break;
		result = add_text(in, text, len);
		if (result != CUDA_ERROR_INVALID_PTX)
			return result;
		below = e.arch;
	}
	if (rc < 0) {
		soft_jit_error(&in->link->jit, "%s; error: the fat binary is damaged", in->name);
		return rc == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
	}
	if (result == CUDA_ERROR_NO_BINARY_FOR_GPU && !in->optional)
		soft_jit_error(&in->link->jit, "%s; error: no PTX for compute capability %u.%u or lower; machine code is not "
			       "executed", in->name, soft_config.capability / 10, soft_config.capability % 10);
	return result;
}

static int add_embedded(void *ctx, const void *fatbin, size_t limit)
{
	struct input *in = ctx;

	in->result = add_fatbin(in, fatbin, limit);
	return in->result == CUDA_ERROR_OUT_OF_MEMORY || (in->result && !in->optional);
}

/* What nvcc has put into host objects, or an archive of them. */
static CUresult add_objects(struct input *in, const void *data, size_t size)
{
	int rc = elf_each_fatbin(data, size, add_embedded, in);

	if (rc > 0)
		return in->result;
	if (rc < 0)
		soft_jit_error(&in->link->jit, "%s; error: neither an object nor an archive of objects", in->name);
	return rc < 0 ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
}

static CUresult add_cubin(struct input *in, const void *data, size_t size)
{
	struct soft_code code = { NULL, 0 };
	CUresult result = CUDA_SUCCESS;
	int rc = soft_cubin_read(data, size, &code);

	for (size_t i = 0; i < code.count && !result && !rc; i++)
		result = add_ptx(in, code.texts[i].text, code.texts[i].len);
	if (!rc && !code.count) {
		soft_jit_error(&in->link->jit, "%s; error: machine code, which is not executed: PTX is needed", in->name);
		result = CUDA_ERROR_NO_BINARY_FOR_GPU;
	}
	soft_code_free(&code);
	if (rc)
		return rc == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
	return result;
}

static CUresult add(struct input *in, CUjitInputType type, const void *data, size_t size)
{
	switch (type) {
	case CU_JIT_INPUT_PTX:
		return add_ptx(in, data, size);
	case CU_JIT_INPUT_FATBINARY:
		return add_fatbin(in, data, size);
	case CU_JIT_INPUT_CUBIN:
		return add_cubin(in, data, size);
	case CU_JIT_INPUT_LIBRARY:
		in->optional = true;
		return add_objects(in, data, size);
	case CU_JIT_INPUT_OBJECT:
		return add_objects(in, data, size);
	case CU_JIT_INPUT_NVVM:
		soft_jit_error(&in->link->jit, "%s; error: LTO-IR, for which there is no compiler here: PTX is needed", in->name);
		return CUDA_ERROR_INVALID_IMAGE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_link(CUlinkState handle, bool arguments_ok, struct soft_link **l)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	*l = soft_get((uint64_t)(uintptr_t)handle, SOFT_LINK);
	if (!*l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (arguments_ok)
		return CUDA_SUCCESS;
	soft_put(&(*l)->obj);
	return CUDA_ERROR_INVALID_VALUE;
}

/* Options of an input say how to compile it: none is needed, and logs are the link's. */
static CUresult soft_cuLinkAddData_v2(CUlinkState handle, CUjitInputType type, void *data, size_t size, const char *name,
				      unsigned int n, CUjit_option *options, void **values)
{
	struct input in = { .name = name ? name : "PTX input" };
	struct soft_jit own;
	CUresult rc = soft_jit_open(&own, n, options, values);

	if (!rc)
		rc = enter_link(handle, data && size, &in.link);
	if (rc)
		return rc;
	soft_jit_begin(&in.link->jit);
	rc = add(&in, type, data, size);
	if (!rc)
		soft_jit_info(&in.link->jit, "%s; %zu PTX texts", in.name, in.found);
	soft_jit_end(&in.link->jit);
	soft_put(&in.link->obj);
	return rc;
}

/* Links once, to see whether it can be done: the cubin holds the texts. */
static CUresult complete(struct soft_link *l, void **cubin, size_t *size)
{
	struct ptx_module *module;
	struct ptx_diag diag;
	size_t bytes;
	void *made;
	int rc;

	if (!l->code.count) {
		soft_jit_error(&l->jit, "link; error: there is no input");
		return CUDA_ERROR_INVALID_VALUE;
	}
	rc = ptx_link(l->code.texts, l->code.count, &module, &diag);
	if (rc) {
		const char *name = l->code.count == 1 ? l->names[0] : diag.part ? l->names[diag.part - 1] : "link";

		diag.part = 0;
		return soft_code_refuse(&l->jit, name, rc, &diag);
	}
	soft_jit_info(&l->jit, "link; %zu inputs, %zu kernels for sm_%u", l->code.count, ptx_entry_count(module),
		      ptx_module_target(module));
	ptx_free(module);
	if (!soft_cubin_make(&l->code, &made, &bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	free(l->cubin);
	l->cubin = made;
	*cubin = made;
	if (size)
		*size = bytes;
	return CUDA_SUCCESS;
}

static CUresult soft_cuLinkComplete(CUlinkState handle, void **cubin, size_t *size)
{
	struct soft_link *l;
	CUresult rc = enter_link(handle, cubin, &l);

	if (rc)
		return rc;
	soft_jit_begin(&l->jit);
	rc = complete(l, cubin, size);
	soft_jit_end(&l->jit);
	soft_put(&l->obj);
	return rc;
}

static CUresult soft_cuLinkDestroy(CUlinkState handle)
{
	struct soft_link *l;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	l = soft_take((uint64_t)(uintptr_t)handle, SOFT_LINK);
	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	soft_put(&l->obj);
	return CUDA_SUCCESS;
}

/* cuLinkAddFile is the guest's: it reads the file, and what travels is data. */
void soft_fill_link(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuLinkCreate_v2);
	SOFT_SLOT(d, cuLinkAddData_v2);
	SOFT_SLOT(d, cuLinkComplete);
	SOFT_SLOT(d, cuLinkDestroy);
}
