/* SPDX-License-Identifier: MIT */
/*
 * Matrix product with tiles in shared memory, on a stream, timed with events, checked on the CPU.
 * The order of the matrix is not a multiple of the tile. Usage: matmul [ORDER]
 */
#include "program.h"

#define TILE 16

struct matrices {
	float *a, *b, *c;
	int n;
};

static size_t count_wrong(const struct matrices *m)
{
	size_t wrong = 0;

	for (int row = 0; row < m->n; row++) {
		for (int col = 0; col < m->n; col++) {
			float sum = 0;

			for (int k = 0; k < m->n; k++)
				sum += m->a[row * m->n + k] * m->b[k * m->n + col];
			wrong += m->c[row * m->n + col] != sum;
		}
	}
	return wrong;
}

/* Returns the kernel's time in milliseconds, as the device's events tell it. */
static float multiply_on_device(CUfunction kernel, struct matrices *m)
{
	size_t bytes = (size_t)m->n * m->n * sizeof(float);
	unsigned tiles = (m->n + TILE - 1) / TILE;
	CUdeviceptr da, db, dc;
	CUevent start, end;
	CUstream stream;
	float ms;
	void *args[] = {&da, &db, &dc, &m->n};

	CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	CHECK(cuEventCreate(&start, CU_EVENT_DEFAULT));
	CHECK(cuEventCreate(&end, CU_EVENT_DEFAULT));
	CHECK(cuMemAlloc(&da, bytes));
	CHECK(cuMemAlloc(&db, bytes));
	CHECK(cuMemAlloc(&dc, bytes));
	CHECK(cuMemcpyHtoDAsync(da, m->a, bytes, stream));
	CHECK(cuMemcpyHtoDAsync(db, m->b, bytes, stream));
	CHECK(cuEventRecord(start, stream));
	CHECK(cuLaunchKernel(kernel, tiles, tiles, 1, TILE, TILE, 1, 0, stream, args, NULL));
	CHECK(cuEventRecord(end, stream));
	CHECK(cuMemcpyDtoHAsync(m->c, dc, bytes, stream));
	CHECK(cuStreamSynchronize(stream));
	CHECK(cuEventElapsedTime(&ms, start, end));
	CHECK(cuMemFree(da));
	CHECK(cuMemFree(db));
	CHECK(cuMemFree(dc));
	CHECK(cuEventDestroy(start));
	CHECK(cuEventDestroy(end));
	CHECK(cuStreamDestroy(stream));
	return ms;
}

int main(int argc, char **argv)
{
	struct matrices m = {.n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100};
	CUdevice device;
	CUmodule module;
	CUfunction kernel;
	size_t count, wrong;

	if (m.n < 1 || m.n > 4096) {
		fprintf(stderr, "usage: %s [ORDER]\n", argv[0]);
		return 2;
	}
	count = (size_t)m.n * m.n;
	device = program_open("matmul");
	kernel = program_kernel(&module, "matmul.ptx", "matmul");
	m.a = calloc(count, sizeof(float));
	m.b = calloc(count, sizeof(float));
	m.c = calloc(count, sizeof(float));
	if (!m.a || !m.b || !m.c)
		return 2;
	for (size_t i = 0; i < count; i++) {
		m.a[i] = program_value(i);
		m.b[i] = program_value(i + 777);
	}
	printf("matmul: %d x %d in %.3f ms\n", m.n, m.n, multiply_on_device(kernel, &m));
	wrong = count_wrong(&m);
	CHECK(cuModuleUnload(module));
	CHECK(cuDevicePrimaryCtxRelease(device));
	free(m.a);
	free(m.b);
	free(m.c);
	return program_verdict("matmul", wrong, count);
}
