/* SPDX-License-Identifier: MIT */
/*
 * Recognises images: PTX text, fat binaries (with the wrapper only when the image is trusted), ELF. Machine code is
 * refused with a line that says what there is and what would be needed; beside PTX that can be linked it is left out,
 * as the linker notices when it would have been needed.
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
	const void *data;
	const void *const *parts; /* version 2: to be linked, NULL at the end */
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

void soft_code_free(struct soft_code *code)
{
	while (code->count)
		free((char *)code->texts[--code->count].text);
	free(code->texts);
	code->texts = NULL;
}

/* Links the texts of l->code, which are dropped if that fails. */
static CUresult parse(const struct load *l)
{
	struct ptx_diag diag = { 0 };
	int rc = ptx_link(l->code->texts, l->code->count, l->module, &diag);
	char part[32] = "";

	if (!rc)
		return CUDA_SUCCESS;
	if (diag.part)
		snprintf(part, sizeof(part), "part %u, ", diag.part);
	complain(l, "PTX %sline %d: %s: %s", part, diag.line,
		 rc == -ENOTSUP ? "unknown instruction or feature" : "error", diag.text);
	soft_code_free(l->code);
	return parse_result(rc);
}

CUresult soft_code_parse(const struct soft_code *code, struct ptx_module **module)
{
	return parse_result(ptx_link(code->texts, code->count, module, NULL));
}

/* Room for @count texts, of which there are none yet. */
static bool make_room(struct soft_code *code, size_t count)
{
	*code = (struct soft_code){ calloc(count, sizeof(*code->texts)), 0 };
	return code->texts;
}

static CUresult load_text(const struct load *l, const char *image, size_t limit)
{
	size_t len = limit ? strnlen(image, limit) : strlen(image);
	char *text = malloc(len + 1);

	if (!text || !make_room(l->code, 1)) {
		free(text);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	memcpy(text, image, len);
	text[len] = 0;
	l->code->texts[l->code->count++] = (struct ptx_text){ text, len };
	return parse(l);
}

/* A fat binary of which at most @limit bytes are read. */
struct part {
	const void *image;
	size_t limit;
};

/* The PTX entry with the highest architecture below @below; 1, 0 for none, -EINVAL. */
static int best_entry(const struct part *part, unsigned below, struct fatbin_entry *best)
{
	struct fatbin_entry e;
	struct fatbin f;
	int rc, found = 0;

	rc = fatbin_open(&f, part->image, part->limit);
	while (!rc && (rc = fatbin_next(&f, &e)) > 0) {
		rc = 0;
		if (e.kind == FATBIN_PTX && e.arch < below && (!found || e.arch > best->arch)) {
			*best = e;
			found = 1;
		}
	}
	return rc < 0 ? rc : found;
}

/* The best PTX below *@below of each part that has some; *@below becomes the highest architecture among them. */
static int take_texts(struct soft_code *code, const struct part *parts, size_t count, unsigned *below)
{
	struct fatbin_entry e;
	unsigned highest = 0;
	size_t i, len;
	char *text;
	int rc;

	for (i = 0; i < count; i++) {
		rc = best_entry(&parts[i], *below, &e);
		if (!rc)
			continue;
		if (rc > 0)
			rc = fatbin_unpack(&e, &text, &len);
		if (rc < 0)
			return rc;
		code->texts[code->count++] = (struct ptx_text){ text, len };
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
		if (!make_room(l->code, count))
			return CUDA_ERROR_OUT_OF_MEMORY;
		rc = take_texts(l->code, parts, count, &below);
		if (rc > 0)
			result = parse(l);
		else
			soft_code_free(l->code);
	} while (rc > 0 && result == CUDA_ERROR_INVALID_PTX);
	if (rc == -ENOMEM)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (rc < 0) {
		complain(l, "the fat binary is damaged");
		return CUDA_ERROR_INVALID_IMAGE;
	}
	if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
		complain(l, "the fat binary has no PTX for compute capability %u.%u or lower; machine code is not executed",
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
	if (!count || best_entry(&linked, soft_config.capability + 1, &e))
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
