/* SPDX-License-Identifier: MIT */
/*
 * Launches: results against the CPU, both forms of parameters, shapes that are refused, kernels in several streams,
 * printf, memory that the host shares.
 */
#include <stdatomic.h>

#include "soft_kernels.h"

#define N 10000

static char printed[4096];

static void keep_print(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	strncat(printed, text, len < sizeof(printed) - strlen(printed) - 1 ? len : 0);
}

static int begin(void **state)
{
	const struct vgpu_soft_config config = { .print = keep_print, .threads = 3, .seed = 99, .memory = 1 << 30 };

	return vgpu_soft_configure(&config) ? -1 : soft_test_begin(state);
}

static CUfunction function(CUmodule *m, const char *file, const char *name)
{
	CUfunction f;

	assert_int_equal(load_kernels(m, file), CUDA_SUCCESS);
	assert_int_equal(drv->cuModuleGetFunction(&f, *m, name), CUDA_SUCCESS);
	return f;
}

static void check_vector_add(CUfunction f, int use_extra, CUstream s)
{
	float *a = malloc(N * 4), *b = malloc(N * 4), *c = malloc(N * 4);
	struct { CUdeviceptr a, b, c; int n; } packed;
	size_t size = sizeof(packed);
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
			  CU_LAUNCH_PARAM_END };
	void *params[] = { &packed.a, &packed.b, &packed.c, &packed.n };
	int i;

	for (i = 0; i < N; i++) {
		a[i] = (float)i * 0.5f;
		b[i] = (float)(N - i) * 1.25f;
	}
	ok(cuMemAlloc_v2(&packed.a, N * 4));
	ok(cuMemAlloc_v2(&packed.b, N * 4));
	ok(cuMemAlloc_v2(&packed.c, N * 4));
	packed.n = N;
	ok(cuMemcpyHtoDAsync_v2(packed.a, a, N * 4, s));
	ok(cuMemcpyHtoDAsync_v2(packed.b, b, N * 4, s));
	ok(cuLaunchKernel(f, (N + 255) / 256, 1, 1, 256, 1, 1, 0, s, use_extra ? NULL : params,
			  use_extra ? extra : NULL));
	ok(cuMemcpyDtoHAsync_v2(c, packed.c, N * 4, s));
	for (i = 0; i < N; i++)
		if (c[i] != a[i] + b[i])
			fail_msg("element %d", i);
	ok(cuMemFree_v2(packed.a));
	ok(cuMemFree_v2(packed.b));
	ok(cuMemFree_v2(packed.c));
	free(a);
	free(b);
	free(c);
}

static void vector_add(void **state)
{
	CUmodule m;
	CUfunction f = function(&m, "vector_add.ptx", "vector_add");
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	check_vector_add(f, 0, NULL);
	check_vector_add(f, 1, s);
	check_vector_add(f, 0, CU_STREAM_PER_THREAD);
	ok(cuStreamDestroy_v2(s));
	ok(cuModuleUnload(m));
}

static void library_kernel(void **state)
{
	char *text = kernel_text("vector_add.ptx", NULL);
	CUlibrary lib;
	CUkernel k;

	(void)state;
	ok(cuLibraryLoadData(&lib, text, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernel(&k, lib, "vector_add"));
	check_vector_add((CUfunction)k, 0, NULL);
	ok(cuLibraryUnload(lib));
	free(text);
}

static void refused_shapes(void **state)
{
	CUmodule m;
	CUfunction f = function(&m, "vector_add.ptx", "vector_add");
	CUdeviceptr p = 0;
	int n = 0;
	void *params[] = { &p, &p, &p, &n }, *hole[] = { &p, NULL, &p, &n };
	size_t small = 8;
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, params, CU_LAUNCH_PARAM_BUFFER_SIZE, &small,
			  CU_LAUNCH_PARAM_END };
	void *junk[] = { (void *)77, params, CU_LAUNCH_PARAM_END };
	CUlaunchAttribute a = { .id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE };
	CUlaunchConfig c = { 1, 1, 1, 1, 1, 1, 0, NULL, &a, 1 };

	(void)state;
	fails(INVALID_VALUE, cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 0, 1, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1025, 1, 1, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 65, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 65536, 1, 1, 1, 1, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1u << 31, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 49153, NULL, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, hole, NULL));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, extra));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, extra));
	fails(INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, junk));
	fails(INVALID_HANDLE, cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	fails(INVALID_HANDLE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, (CUstream)3, params, NULL));
	fails(INVALID_VALUE, cuLaunchKernelEx(NULL, f, params, NULL));
	ok(cuLaunchKernelEx(&c, f, params, NULL));
	a.value.cooperative = 1;
	c.gridDimX = 10000;
	fails(COOPERATIVE_LAUNCH_TOO_LARGE, cuLaunchKernelEx(&c, f, params, NULL));
	a.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
	a.value.clusterDim.x = a.value.clusterDim.y = a.value.clusterDim.z = 2;
	fails(NOT_SUPPORTED, cuLaunchKernelEx(&c, f, params, NULL));
	ok(cuCtxSynchronize());
	ok(cuModuleUnload(m));
}

static void module_variables(void **state)
{
	CUmodule m;
	CUfunction f = function(&m, "globals.ptx", "globals"), g;
	float *xy = pinned(8 * 64); /* the kernel works on host memory */
	CUdeviceptr x = dptr(xy), y = dptr(xy + 64), p;
	int n = 64, v = 0, bias = 10, i;
	void *params[] = { &x, &y, &n }, *out_params[] = { &p };
	double out[4];

	(void)state;
	for (i = 0; i < n; i++)
		xy[i] = (float)i;
	ok(cuModuleGetGlobal_v2(&p, NULL, m, "bias"));
	ok(cuMemcpyHtoD_v2(p, &bias, 4));
	ok(cuLaunchKernel(f, 2, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	ok(cuModuleGetGlobal_v2(&p, NULL, m, "counter"));
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 5 + 64);
	assert_true(xy[64] == 11 && xy[65] == 3.0f + 0.25f - 0.5f + 1 + 10);
	ok(cuModuleGetFunction(&g, m, "global_pointers"));
	ok(cuMemAlloc_v2(&p, sizeof(out)));
	ok(cuLaunchKernel(g, 1, 1, 1, 1, 1, 1, 0, NULL, out_params, NULL));
	ok(cuMemcpyDtoH_v2(out, p, sizeof(out)));
	assert_true(out[0] == 3.0 && out[1] == -5.0 && out[3] == 10);
	ok(cuMemFree_v2(p));
	ok(cuMemFreeHost(xy));
	ok(cuModuleUnload(m));
}

/* A kernel that spins on a word ends only if a kernel or copy of another stream runs meanwhile. */
static void kernels_overlap(void **state)
{
	CUmodule m;
	CUfunction f = function(&m, "faults.ptx", "endless");
	CUdeviceptr flag[6];
	CUstream s[6];
	int i;

	(void)state;
	for (i = 0; i < 6; i++) {
		void *params[] = { &flag[i] };

		ok(cuMemAlloc_v2(&flag[i], 4));
		ok(cuMemsetD32_v2(flag[i], 0, 1));
		ok(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
		ok(cuStreamSynchronize(NULL));
		ok(cuLaunchKernel(f, 4, 1, 1, 1, 1, 1, 0, s[i], params, NULL));
		if (i)
			ok(cuStreamWriteValue32_v2(s[i], flag[i - 1], 1, 0));
	}
	fails(NOT_READY, cuStreamQuery(s[0]));
	ok(cuStreamWriteValue32_v2(CU_STREAM_PER_THREAD, flag[5], 1, 0));
	for (i = 0; i < 6; i++) {
		ok(cuStreamSynchronize(s[i]));
		ok(cuStreamDestroy_v2(s[i]));
		ok(cuMemFree_v2(flag[i]));
	}
	ok(cuModuleUnload(m));
}

/* Unloading does not pull the code away under a launch that is queued. */
static void unload_while_queued(void **state)
{
	uint32_t *w = pinned(64);
	CUmodule m;
	CUfunction f = function(&m, "globals.ptx", "global_pointers");
	double *out = pinned(64);
	CUdeviceptr p = dptr(out);
	void *params[] = { &p };
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamWaitValue32_v2(s, dptr(w), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
	ok(cuModuleUnload(m));
	atomic_store((_Atomic uint32_t *)w, 1);
	ok(cuStreamSynchronize(s));
	assert_true(out[3] == 10);
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFreeHost(w));
	ok(cuMemFreeHost(out));
}

static void printing(void **state)
{
	CUmodule m;
	CUfunction f = function(&m, "printf.ptx", "hello");
	CUdeviceptr name;
	int value = 42;
	double ratio = 2.5;
	void *params[] = { &value, &ratio, &name };

	(void)state;
	ok(cuMemAlloc_v2(&name, 8));
	ok(cuMemcpyHtoD_v2(name, "device", 7));
	ok(cuLaunchKernel(f, 1, 1, 1, 2, 1, 1, 0, NULL, params, NULL));
	ok(cuCtxSynchronize());
	assert_non_null(strstr(printed, "block 0 of 1\n"));
	assert_non_null(strstr(printed, "   42|2a    |0002.500|device|z|"));
	ok(cuMemFree_v2(name));
	ok(cuModuleUnload(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vector_add),
		cmocka_unit_test(library_kernel),
		cmocka_unit_test(refused_shapes),
		cmocka_unit_test(module_variables),
		cmocka_unit_test(kernels_overlap),
		cmocka_unit_test(unload_while_queued),
		cmocka_unit_test(printing),
	};

	return cmocka_run_group_tests(tests, begin, soft_test_end);
}
