/* SPDX-License-Identifier: MIT */
/* Launches whose blocks meet; memory that kernels allocate. */
#include "gpu_test.h"

#define BLOCKS 4
#define THREADS 64
#define SLOTS (BLOCKS * THREADS - 7)
#define ROUNDS 6

static CUfunction kernel(CUmodule m, const char *name)
{
	CUfunction f;

	ok(cuModuleGetFunction(&f, m, name));
	return f;
}

static void expected_rounds(uint32_t *slots)
{
	uint32_t next[SLOTS];

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SLOTS; i++)
			next[i] = slots[i] + slots[(i + 33) % SLOTS];
		memcpy(slots, next, sizeof(next));
	}
}

static void blocks_meet(void **state)
{
	uint32_t want[SLOTS], got[SLOTS], n = SLOTS, count = ROUNDS;
	CUlaunchAttribute together = { .id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1 };
	CUlaunchConfig c = { BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, &together, 1 };
	CUmodule m = gpu_module("cooperative.ptx");
	CUfunction f = kernel(m, "rounds");
	CUdeviceptr slots;
	void *params[] = { &slots, &n, &count };

	(void)state;
	ok(cuMemAlloc(&slots, 2 * sizeof(got)));
	for (int how = 0; how < 2; how++) {
		for (uint32_t i = 0; i < SLOTS; i++)
			want[i] = i * i + 1;
		ok(cuMemcpyHtoD(slots, want, sizeof(want)));
		if (how)
			ok(cuLaunchKernelEx(&c, f, params, NULL));
		else
			ok(cuLaunchCooperativeKernel(f, BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, params));
		expected_rounds(want);
		ok(cuMemcpyDtoH(got, slots, sizeof(got)));
		assert_memory_equal(got, want, sizeof(got));
	}
	ok(cuMemFree(slots));
	ok(cuModuleUnload(m));
}

static void too_many_to_meet(void **state)
{
	CUmodule m = gpu_module("cooperative.ptx");
	CUfunction f = kernel(m, "rounds");
	uint32_t n = 0, count = 0;
	CUdeviceptr slots = 0;
	void *params[] = { &slots, &n, &count };
	int sms, each;

	(void)state;
	ok(cuDeviceGetAttribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, gpu_device()));
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&each, f, THREADS, 0));
	assert_true(each > 0);
	ok(cuLaunchCooperativeKernel(f, (unsigned)(sms * each), 1, 1, THREADS, 1, 1, 0, NULL, params));
	expect(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	       cuLaunchCooperativeKernel(f, (unsigned)(sms * each) + 1, 1, 1, THREADS, 1, 1, 0, NULL, params));
	ok(cuCtxSynchronize());
	ok(cuModuleUnload(m));
}

static void kernels_allocate(void **state)
{
	uint32_t length = 20, sums[64], failures, got;
	unsigned long long size = 1ull << 40;
	CUdeviceptr out, count;
	CUmodule m = gpu_module("heap.ptx");
	void *build_params[] = { &length, &count }, *drain_params[] = { &out }, *greedy_params[] = { &size, &count };

	(void)state;
	ok(cuMemAlloc(&out, sizeof(sums)));
	ok(cuMemAlloc(&count, 4));
	ok(cuMemsetD32(count, 0, 1));
	for (int again = 0; again < 2; again++) {
		ok(cuLaunchKernel(kernel(m, "build"), 1, 1, 1, 64, 1, 1, 0, NULL, build_params, NULL));
		ok(cuLaunchKernel(kernel(m, "drain"), 1, 1, 1, 64, 1, 1, 0, NULL, drain_params, NULL));
		ok(cuMemcpyDtoH(sums, out, sizeof(sums)));
		ok(cuMemcpyDtoH(&failures, count, 4));
		assert_int_equal(failures, 0);
		for (uint32_t i = 0; i < 64; i++)
			assert_int_equal(sums[i], length * (length - 1) / 2 + length * i);
	}
	ok(cuLaunchKernel(kernel(m, "greedy"), 1, 1, 1, 1, 1, 1, 0, NULL, greedy_params, NULL));
	ok(cuMemcpyDtoH(&got, count, 4));
	assert_int_equal(got, 0);
	ok(cuMemFree(out));
	ok(cuMemFree(count));
	ok(cuModuleUnload(m));
}

/* What is wrong with a launch in clusters is said by the launch, and harms nothing after it. */
static void clusters(void **state)
{
	CUlaunchAttribute cluster = { .id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value.clusterDim = { 2, 1, 1 } };
	CUlaunchConfig c = { 3, 1, 1, THREADS, 1, 1, 0, NULL, &cluster, 1 };
	CUmodule m = gpu_module("cooperative.ptx");
	CUfunction f = kernel(m, "rounds");
	uint32_t n = SLOTS, count = 0;
	CUdeviceptr slots;
	void *params[] = { &slots, &n, &count };
	int supported;

	(void)state;
	ok(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, gpu_device()));
	ok(cuMemAlloc(&slots, 2 * SLOTS * sizeof(uint32_t)));
	for (int again = 0; again < 2; again++) {
		c.gridDimX = 3;		/* no whole number of clusters */
		assert_int_not_equal(cuLaunchKernelEx(&c, f, params, NULL), CUDA_SUCCESS);
		ok(cuCtxSynchronize());
		c.gridDimX = 4;
		for (int i = 0; i < 3 && supported; i++)
			ok(cuLaunchKernelEx(&c, f, params, NULL));
		ok(cuCtxSynchronize());
	}
	ok(cuMemFree(slots));
	ok(cuModuleUnload(m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_meet),
		cmocka_unit_test(too_many_to_meet),
		cmocka_unit_test(kernels_allocate),
		cmocka_unit_test(clusters),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("launch", tests, gpu_setup, gpu_teardown);
}
