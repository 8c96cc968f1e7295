/* SPDX-License-Identifier: MIT */
/* The common part of the test programs; see program.h. */
#include "program.h"

#include <string.h>

#ifndef KERNELS
#define KERNELS "tests/kernels/"
#endif

void program_die(const char *call, CUresult result)
{
	const char *name = NULL;

	if (cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
		name = "an unknown error";
	fprintf(stderr, "%s: %s (%d)\n", call, name, (int)result);
	exit(2);
}

CUdevice program_open(const char *name)
{
	CUcontext context;
	CUdevice device;
	char text[256];

	CHECK(cuInit(0));
	CHECK(cuDeviceGet(&device, 0));
	CHECK(cuDeviceGetName(text, sizeof(text), device));
	CHECK(cuDevicePrimaryCtxRetain(&context, device));
	CHECK(cuCtxSetCurrent(context));
	printf("%s: device \"%s\"\n", name, text);
	fflush(stdout);
	return device;
}

/* The whole file as a string; the caller frees it. */
static char *read_text(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t size = 0, capacity = 1 << 16, n;
	char *text = malloc(capacity);

	if (!file || !text) {
		perror(path);
		exit(2);
	}
	while ((n = fread(text + size, 1, capacity - size - 1, file)) > 0) {
		size += n;
		if (size + 1 < capacity)
			continue;
		capacity *= 2;
		text = realloc(text, capacity);
		if (!text)
			exit(2);
	}
	fclose(file);
	text[size] = '\0';
	return text;
}

CUfunction program_kernel(CUmodule *module, const char *file, const char *kernel)
{
	const char *dir = getenv("VGPU_TEST_KERNELS");
	CUfunction function;
	char path[4096];
	char *text;

	snprintf(path, sizeof(path), "%s%s%s", strchr(file, '/') ? "" : dir ? dir : KERNELS,
		 strchr(file, '/') || !dir ? "" : "/", file);
	text = read_text(path);
	CHECK(cuModuleLoadData(module, text));
	free(text);
	CHECK(cuModuleGetFunction(&function, *module, kernel));
	return function;
}

float program_value(unsigned i)
{
	return (float)((i * 2654435761u >> 16) % 23) - 11;
}

int program_verdict(const char *name, size_t wrong, size_t count)
{
	if (wrong) {
		printf("%s: WRONG: %zu of %zu elements differ from the CPU's\n", name, wrong, count);
		return 1;
	}
	printf("%s: right: %zu elements agree with the CPU's\n", name, count);
	return 0;
}
