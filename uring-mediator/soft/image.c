/* SPDX-License-Identifier: MIT */
/*
 * Recognises images: PTX text, fat binaries (with the wrapper only when the image is trusted), ELF. Machine code is
 * refused with a line that says what there is and what would be needed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "fatbin.h"
#include "image.h"

struct wrapper {
	uint32_t magic, version;
	const void *data, *prelinked;
};

struct load {
	struct soft_code *code;
	struct ptx_module **module;
	char *log;
	size_t log_size;
};

static _Thread_local size_t image_limit;

void vgpu_soft_set_image_limit(size_t size)
{
	image_limit = size ? size : 1; /* 0 stands for "not set"; both are too small for any image */
}

__attribute__((format(printf, 2, 3)))
static void complain(const struct load *l, const char *format, ...)
{
	char line[384];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	soft_log(VGPU_SOFT_ERROR, "module: %s", line);
	if (l->log && l->log_size)
		snprintf(l->log, l->log_size, "%s", line);
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

/* Takes over @text. */
static CUresult parse(const struct load *l, char *text, size_t len)
{
	struct ptx_diag diag = { 0 };
	size_t n = strnlen(text, len);
	int rc = ptx_parse(text, n, l->module, &diag);

	if (rc) {
		complain(l, "PTX line %d: %s: %s", diag.line,
			 rc == -ENOTSUP ? "unknown instruction or feature" : "error", diag.text);
		free(text);
		return parse_result(rc);
	}
	l->code->text = text;
	l->code->len = n;
	return CUDA_SUCCESS;
}

CUresult soft_code_parse(const struct soft_code *code, struct ptx_module **module)
{
	return parse_result(ptx_parse(code->text, code->len, module, NULL));
}

static CUresult load_text(const struct load *l, const char *image, size_t limit)
{
	size_t len = limit ? strnlen(image, limit) : strlen(image);
	char *text = malloc(len + 1);

	if (!text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(text, image, len);
	text[len] = 0;
	return parse(l, text, len);
}

/* The PTX entry with the highest architecture below @below; 1, 0 for none, -EINVAL. */
static int best_entry(const void *image, size_t limit, unsigned below, struct fatbin_entry *best)
{
	struct fatbin_entry e;
	struct fatbin f;
	int rc, found = 0;

	rc = fatbin_open(&f, image, limit);
	while (!rc && (rc = fatbin_next(&f, &e)) > 0) {
		rc = 0;
		if (e.kind == FATBIN_PTX && e.arch < below && (!found || e.arch > best->arch)) {
			*best = e;
			found = 1;
		}
	}
	return rc < 0 ? rc : found;
}

static CUresult load_fatbin(const struct load *l, const void *image, size_t limit)
{
	unsigned below = soft_config.capability + 1;
	CUresult result = CUDA_ERROR_NO_BINARY_FOR_GPU;
	struct fatbin_entry e;
	size_t len;
	char *text;
	int rc;

	/* What was written for a newer device may use what the interpreter lacks: then the next lower entry has a go. */
	while ((rc = best_entry(image, limit, below, &e)) > 0) {
		rc = fatbin_unpack(&e, &text, &len);
		if (rc == -ENOMEM)
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (rc < 0)
			break;
		result = parse(l, text, len);
		if (result != CUDA_ERROR_INVALID_PTX)
			return result;
		below = e.arch;
	}
	if (rc < 0) {
		complain(l, "the fat binary is damaged");
		return CUDA_ERROR_INVALID_IMAGE;
	}
	if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
		complain(l, "the fat binary has no PTX for compute capability %u.%u or lower; machine code is not executed",
			 soft_config.capability / 10, soft_config.capability % 10);
	return result;
}

static CUresult load_wrapped(const struct load *l, const void *image)
{
	struct wrapper w;

	memcpy(&w, image, sizeof(w));
	if ((w.version != 1 && w.version != 2) || !w.data)
		return CUDA_ERROR_INVALID_IMAGE;
	return load_fatbin(l, w.data, SIZE_MAX - (uintptr_t)w.data);
}

/* The first four bytes decide; less than that is no image. */
CUresult soft_image_load(const void *image, struct soft_code *code, struct ptx_module **module, char *log,
			 size_t log_size)
{
	const struct load l = { code, module, log, log_size };
	size_t limit = image_limit;
	const char *text = image;
	uint32_t magic;

	image_limit = 0;
	if ((limit && limit < 4) || (!limit && strnlen(text, 4) < 4))
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&magic, image, 4);
	if (magic == FATBIN_MAGIC)
		return load_fatbin(&l, image, limit ? limit : SIZE_MAX - (uintptr_t)image);
	if (magic == FATBIN_WRAPPER_MAGIC) {
		if (!limit)
			return load_wrapped(&l, image);
		complain(&l, "a fat binary wrapper, which holds pointers, cannot come from elsewhere");
		return CUDA_ERROR_INVALID_IMAGE;
	}
	if (!memcmp(text, "\177ELF", 4)) {
		complain(&l, "an ELF image holds only machine code, which is not executed: PTX is needed");
		return CUDA_ERROR_NO_BINARY_FOR_GPU;
	}
	return load_text(&l, text, limit);
}
