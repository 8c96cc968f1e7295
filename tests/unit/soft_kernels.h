/* SPDX-License-Identifier: MIT */
/*
 * Reads the PTX of tests/kernels (the folder is the macro KERNELS).
 */
#ifndef VGPU_SOFT_KERNELS_H
#define VGPU_SOFT_KERNELS_H

#include <stdio.h>

#include "soft_test.h"

/* NUL-terminated text for the caller to free; *len without the NUL, may be NULL. */
static inline char *kernel_text(const char *name, size_t *len)
{
	char path[512], *text;
	FILE *f;
	long n;

	if (len)
		*len = 0;
	snprintf(path, sizeof(path), "%s/%s", KERNELS, name);
	f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) <= 0)
		return NULL;
	rewind(f);
	text = calloc(1, (size_t)n + 1);
	if (fread(text, 1, (size_t)n, f) != (size_t)n)
		n = 0;
	fclose(f);
	if (len)
		*len = (size_t)n;
	return text;
}

static inline CUresult load_kernels(CUmodule *module, const char *name)
{
	char *text = kernel_text(name, NULL);
	CUresult rc = text ? drv->cuModuleLoadData(module, text) : CUDA_ERROR_FILE_NOT_FOUND;

	free(text);
	return rc;
}

#endif
