/* SPDX-License-Identifier: MIT */
/* What the conformance programs share: fixtures, PTX files, random data. */
#include "gpu_test.h"

#include <time.h>

static CUcontext primary;

void gpu_expect(CUresult want, CUresult got, const char *call, const char *file, int line)
{
	const char *want_name = "?", *got_name = "?";

	if (want == got)
		return;
	cuGetErrorName(want, &want_name);
	cuGetErrorName(got, &got_name);
	print_error("%s: wanted %s (%d), got %s (%d)\n", call, want_name, want, got_name, got);
	_fail(file, line);
}

void gpu_need_device(void)
{
	CUresult err = cuInit(0);
	int count = 0;

	if (err == CUDA_SUCCESS)
		err = cuDeviceGetCount(&count);
	if (err == CUDA_SUCCESS && count > 0)
		return;
	/* Whoever starts a mediator for us means that there is one. */
	if (getenv("VGPU_TEST_NEEDS_DEVICE")) {
		fprintf(stderr, "FAILED: no CUDA device (error %d)\n", err);
		exit(1);
	}
	fprintf(stderr, "skipped: no CUDA device (error %d)\n", err);
	exit(SKIPPED);
}

CUdevice gpu_device(void)
{
	CUdevice dev;

	ok(cuDeviceGet(&dev, 0));
	return dev;
}

CUcontext gpu_context(void)
{
	return primary;
}

int gpu_setup(void **state)
{
	CUdevice dev;

	(void)state;
	if (cuDeviceGet(&dev, 0) || cuDevicePrimaryCtxRetain(&primary, dev))
		return -1;
	return cuCtxSetCurrent(primary) ? -1 : 0;
}

int gpu_teardown(void **state)
{
	CUdevice dev;

	(void)state;
	if (cuCtxSetCurrent(NULL) || cuDeviceGet(&dev, 0))
		return -1;
	return cuDevicePrimaryCtxRelease(dev) ? -1 : 0;
}

char *gpu_ptx(const char *name)
{
	const char *dir = getenv("VGPU_TEST_KERNELS");
	char path[4096];
	char *text;
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : "tests/kernels", name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("cannot open %s (VGPU_TEST_KERNELS names the folder)", path);
	fseek(f, 0, SEEK_END);
	size = (size_t)ftell(f);
	rewind(f);
	text = calloc(1, size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, size, f), size);
	fclose(f);
	return text;
}

CUmodule gpu_module(const char *name)
{
	char *text = gpu_ptx(name);
	CUmodule mod;

	ok(cuModuleLoadData(&mod, text));
	free(text);
	return mod;
}

void gpu_nap(void)
{
	const struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

uint32_t gpu_word(CUdeviceptr at)
{
	uint32_t value = 0;

	ok(cuMemcpyDtoH(&value, at, sizeof(value)));
	return value;
}

void *gpu_random(size_t size, uint32_t seed)
{
	uint8_t *p = malloc(size);
	uint32_t x = seed * 2654435761u + 1;

	assert_non_null(p);
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
	}
	return p;
}
