/* SPDX-License-Identifier: MIT */
/*
 * Vector addition: c = a + b, in device memory, checked on the CPU.
 * Usage: vectoradd [ELEMENTS]
 */
#include "program.h"

static size_t count_wrong(const float *a, const float *b, const float *c, size_t n)
{
	size_t wrong = 0;

	for (size_t i = 0; i < n; i++)
		wrong += c[i] != a[i] + b[i];
	return wrong;
}

static void add_on_device(CUfunction kernel, const float *a, const float *b, float *c, int n)
{
	size_t bytes = (size_t)n * sizeof(float);
	CUdeviceptr da, db, dc;
	void *args[] = {&da, &db, &dc, &n};

	CHECK(cuMemAlloc(&da, bytes));
	CHECK(cuMemAlloc(&db, bytes));
	CHECK(cuMemAlloc(&dc, bytes));
	CHECK(cuMemcpyHtoD(da, a, bytes));
	CHECK(cuMemcpyHtoD(db, b, bytes));
	CHECK(cuLaunchKernel(kernel, (n + 255) / 256, 1, 1, 256, 1, 1, 0, NULL, args, NULL));
	CHECK(cuMemcpyDtoH(c, dc, bytes));
	CHECK(cuMemFree(da));
	CHECK(cuMemFree(db));
	CHECK(cuMemFree(dc));
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100000;
	float *a, *b, *c;
	CUdevice device;
	CUmodule module;
	CUfunction kernel;
	size_t wrong;

	if (n < 1 || n > 1 << 28) {
		fprintf(stderr, "usage: %s [ELEMENTS]\n", argv[0]);
		return 2;
	}
	device = program_open("vectoradd");
	kernel = program_kernel(&module, "vector_add.ptx", "vector_add");
	a = calloc(n, sizeof(*a));
	b = calloc(n, sizeof(*b));
	c = calloc(n, sizeof(*c));
	if (!a || !b || !c)
		return 2;
	for (int i = 0; i < n; i++) {
		a[i] = program_value(i);
		b[i] = program_value(i + 12345) / 3;
	}
	add_on_device(kernel, a, b, c, n);
	wrong = count_wrong(a, b, c, n);
	CHECK(cuModuleUnload(module));
	CHECK(cuDevicePrimaryCtxRelease(device));
	free(a);
	free(b);
	free(c);
	return program_verdict("vectoradd", wrong, n);
}
