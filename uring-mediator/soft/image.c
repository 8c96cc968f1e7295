/* SPDX-License-Identifier: MIT */
/*
 * Recognises images: PTX text, fat binaries (with the wrapper only when the image is trusted), ELF. Machine code is
 * refused with a line that says what there is and what would be needed; beside PTX that can be linked it is left out,
 * as the linker notices when it would have been needed.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cubin.h"
#include "device.h"
#include "fatbin.h"
#include "image.h"

struct wrapper {
	uint32_t magic, version;
	const void *data;
	const void *const *parts; /* version 2: to be linked, NULL at the end */
};

struct load {
	struct soft_code *code;
	struct ptx_module **module;
	struct soft_jit *jit;
};

static _Thread_local size_t image_limit;

void vgpu_soft_set_image_limit(size_t size)
{
	image_limit = size ? size : 1; /* 0 stands for "not set"; both are too small for any image */
}

static CUresult parse_result(int rc)
{
	switch (rc) {
	case 0:
		return CUDA_SUCCESS;
	case -ENOMEM:
		return CUDA_ERROR_OUT_OF_MEMORY;
	default:
		return CUDA_ERROR_INVALID_PTX;
	}
}

void soft_code_free(struct soft_code *code)
{
	while (code->count)
		free((char *)code->texts[--code->count].text);
	free(code->texts);
	code->texts = NULL;
}

int soft_code_adopt(struct soft_code *code, char *text, size_t len)
{
	struct ptx_text *texts = reallocarray(code->texts, code->count + 1, sizeof(*texts));

	if (!texts) {
		free(text);
		return -ENOMEM;
	}
	code->texts = texts;
	texts[code->count++] = (struct ptx_text){ text, len };
	return 0;
}

int soft_code_add(struct soft_code *code, const void *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = 0;
	return soft_code_adopt(code, copy, len);
}

CUresult soft_code_refuse(struct soft_jit *jit, const char *name, int rc, const struct ptx_diag *diag)
{
	const char *what = rc == -ENOTSUP ? "not known here: " : "";
	char part[32] = "";

	if (rc == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (diag->part)
		snprintf(part, sizeof(part), ", part %u", diag->part);
	soft_jit_error(jit, "%s%s, line %d; error: %s%s", name, part, diag->line, what, diag->text);
	return CUDA_ERROR_INVALID_PTX;
}

/* Links the texts of l->code, which are dropped if that fails. */
static CUresult parse(const struct load *l)
{
	struct ptx_diag diag;
	int rc = ptx_link(l->code->texts, l->code->count, l->module, &diag);

	if (!rc) {
		soft_jit_info(l->jit, "PTX input; %zu kernels for sm_%u", ptx_entry_count(*l->module),
			      ptx_module_target(*l->module));
		return CUDA_SUCCESS;
	}
	soft_code_free(l->code);
	return soft_code_refuse(l->jit, "PTX input", rc, &diag);
}

CUresult soft_code_parse(const struct soft_code *code, struct ptx_module **module)
{
	return parse_result(ptx_link(code->texts, code->count, module, NULL));
}

static CUresult load_text(const struct load *l, const char *image, size_t limit)
{
	if (soft_code_add(l->code, image, limit ? strnlen(image, limit) : strlen(image)))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return parse(l);
}

/* A cubin: one of ours has PTX in it. */
static CUresult load_elf(const struct load *l, const void *image, size_t limit)
{
	int rc = soft_cubin_read(image, limit, l->code);

	if (!rc && l->code->count)
		return parse(l);
	soft_code_free(l->code);
	if (rc == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_jit_error(l->jit, "an ELF image holds only machine code, which is not executed: PTX is needed");
	return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/* A fat binary of which at most @limit bytes are read. */
struct part {
	const void *image;
	size_t limit;
};

/* The best PTX below *@below of each part that has some; *@below becomes the highest architecture among them. */
static int take_texts(struct soft_code *code, const struct part *parts, size_t count, unsigned *below)
{
	struct fatbin_entry e;
	unsigned highest = 0;
	size_t i, len;
	char *text;
	int rc;

	for (i = 0; i < count; i++) {
		rc = fatbin_best_ptx(parts[i].image, parts[i].limit, *below, &e);
		if (!rc)
			continue;
		if (rc > 0)
			rc = fatbin_unpack(&e, &text, &len);
		if (!rc)
			rc = soft_code_adopt(code, text, len);
		if (rc < 0)
			return rc;
		if (highest < e.arch)
			highest = e.arch;
	}
	*below = highest;
	return code->count > 0;
}

/* What was written for a newer device may use what the interpreter lacks: then the next lower entries have a go. */
static CUresult load_parts(const struct load *l, const struct part *parts, size_t count)
{
	unsigned below = soft_config.capability + 1;
	CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
	int rc;

	do {
		rc = take_texts(l->code, parts, count, &below);
		if (rc > 0)
			result = parse(l);
		else
			soft_code_free(l->code);
	} while (rc > 0 && result == CUDA_ERROR_INVALID_PTX);
	if (rc == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (rc < 0) {
		soft_jit_error(l->jit, "the fat binary is damaged");
		return CUDA_ERROR_INVALID_IMAGE;
	}
	if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
		soft_jit_error(l->jit, "the fat binary has no PTX for compute capability %u.%u or lower; machine code is not executed",
			 soft_config.capability / 10, soft_config.capability % 10);
	return result;
}

static CUresult load_fatbin(const struct load *l, const void *image, size_t limit)
{
	return load_parts(l, &(struct part){ image, limit }, 1);
}

static struct part unlimited(const void *image)
{
	return (struct part){ image, SIZE_MAX - (uintptr_t)image };
}

/* Parts are linked when the fat binary itself, which holds what was linked when the program was built, has no PTX. */
static CUresult load_wrapped(const struct load *l, const void *image)
{
	struct part *parts, linked;
	struct fatbin_entry e;
	struct wrapper w;
	size_t count = 0, i;
	CUresult r;

	memcpy(&w, image, sizeof(w));
	if ((w.version != 1 && w.version != 2) || !w.data)
		return CUDA_ERROR_INVALID_IMAGE;
	linked = unlimited(w.data);
	while (w.version == 2 && w.parts && w.parts[count])
		count++;
	if (!count || fatbin_best_ptx(linked.image, linked.limit, soft_config.capability + 1, &e))
		return load_parts(l, &linked, 1);
	parts = calloc(count, sizeof(*parts));
	if (!parts)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (i = 0; i < count; i++)
		parts[i] = unlimited(w.parts[i]);
	r = load_parts(l, parts, count);
	free(parts);
	return r;
}

/* The first four bytes decide; less than that is no image. */
CUresult soft_image_load(const void *image, struct soft_code *code, struct ptx_module **module, struct soft_jit *jit)
{
	const struct load l = { code, module, jit };
	size_t limit = image_limit, most = limit ? limit : SIZE_MAX - (uintptr_t)image;
	const char *text = image;
	uint32_t magic;

	*code = (struct soft_code){ NULL, 0 };
	image_limit = 0;
	if ((limit && limit < 4) || (!limit && strnlen(text, 4) < 4))
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&magic, image, 4);
	if (magic == FATBIN_MAGIC)
		return load_fatbin(&l, image, most);
	if (magic == FATBIN_WRAPPER_MAGIC) {
		if (!limit)
			return load_wrapped(&l, image);
		soft_jit_error(jit, "a fat binary wrapper, which holds pointers, cannot come from elsewhere");
		return CUDA_ERROR_INVALID_IMAGE;
	}
	if (!memcmp(text, "\177ELF", 4))
		return load_elf(&l, image, most);
	return load_text(&l, text, limit);
}
