/* SPDX-License-Identifier: MIT */
/* Managed memory: one address for host and kernels, its attributes, advice and prefetches. */
#include "gpu_test.h"

#define BYTES (4u << 20)
#define HALF (BYTES / 2)

static CUdeviceptr p;

static int32_t attribute(CUmem_range_attribute which, CUdeviceptr at, size_t bytes)
{
	int32_t v = 99;

	ok(cuMemRangeGetAttribute(&v, sizeof(v), which, at, bytes));
	return v;
}

static CUmemLocation on(CUdevice device)
{
	CUmemLocation l = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device };

	if (device == CU_DEVICE_CPU)
		l = (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_HOST };
	return l;
}

static int setup(void **state)
{
	int concurrent = 0;

	if (gpu_setup(state))
		return -1;
	ok(cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, gpu_device()));
	if (!concurrent) {	/* then prefetches and most advice are refused */
		print_message("skipped: this device does not share managed memory with the host\n");
		exit(SKIPPED);
	}
	ok(cuMemAllocManaged(&p, BYTES, CU_MEM_ATTACH_GLOBAL));
	return 0;
}

static int teardown(void **state)
{
	ok(cuMemFree(p));
	return gpu_teardown(state);
}

static void shared_with_kernels(void **state)
{
	CUmodule m = gpu_module("vector_add.ptx");
	CUdeviceptr a = p, b = p + 4096, c = p + 8192;
	float *host = (float *)(uintptr_t)p;
	int n = 1024;
	void *params[] = { &a, &b, &c, &n };
	CUfunction f;

	(void)state;
	for (int i = 0; i < n; i++) {
		host[i] = (float)i;
		host[1024 + i] = 1.0f;
	}
	ok(cuModuleGetFunction(&f, m, "vector_add"));
	ok(cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
	ok(cuCtxSynchronize());
	for (int i = 0; i < n; i++)
		assert_true(host[2048 + i] == (float)i + 1.0f);
	ok(cuMemsetD32(p, 5, 16));
	assert_int_equal(((uint32_t *)host)[15], 5);
	ok(cuModuleUnload(m));
}

static void attributes(void **state)
{
	CUdeviceptr base, device = 0;
	void *host = NULL;
	int managed = 0;
	size_t size;

	(void)state;
	ok(cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, p + 64));
	assert_int_equal(managed & 0xff, 1);
	ok(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p + 64));
	assert_int_equal(device, p + 64);
	ok(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, p + 64));
	assert_int_equal((uintptr_t)host, p + 64);
	ok(cuMemGetAddressRange(&base, &size, p + HALF));
	assert_int_equal(base, p);
	assert_int_equal(size, BYTES);
}

static void read_mostly(void **state)
{
	(void)state;
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, BYTES), 0);
	ok(cuMemAdvise(p, HALF, CU_MEM_ADVISE_SET_READ_MOSTLY, on(0)));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, HALF), 1);
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, BYTES), 0);
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p + HALF, HALF), 0);
	ok(cuMemAdvise(p + HALF, HALF, CU_MEM_ADVISE_SET_READ_MOSTLY, on(0)));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, BYTES), 1);
	ok(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_UNSET_READ_MOSTLY, on(0)));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, HALF), 0);
}

static void preferred_location(void **state)
{
	(void)state;
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, BYTES), CU_DEVICE_INVALID);
	ok(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, on(CU_DEVICE_CPU)));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, BYTES), CU_DEVICE_CPU);
	ok(cuMemAdvise(p, HALF, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, on(gpu_device())));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, HALF), gpu_device());
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, BYTES), CU_DEVICE_INVALID);
	ok(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, on(0)));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, HALF), CU_DEVICE_INVALID);
}

static void accessed_by(void **state)
{
	int32_t by[3];

	(void)state;
	ok(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_ACCESSED_BY, on(gpu_device())));
	ok(cuMemRangeGetAttribute(by, sizeof(by), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, p, BYTES));
	assert_int_equal(by[0], gpu_device());
	assert_int_equal(by[1], CU_DEVICE_INVALID);
	ok(cuMemAdvise(p, BYTES, CU_MEM_ADVISE_UNSET_ACCESSED_BY, on(gpu_device())));
	ok(cuMemRangeGetAttribute(by, sizeof(by), CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, p, BYTES));
	assert_int_equal(by[0], CU_DEVICE_INVALID);
}

static void prefetch(void **state)
{
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, BYTES), CU_DEVICE_INVALID);
	ok(cuMemPrefetchAsync(p, BYTES, on(gpu_device()), 0, s));
	ok(cuMemsetD32Async(p, 3, BYTES / 4, s));
	ok(cuMemPrefetchAsync(p, BYTES, on(CU_DEVICE_CPU), 0, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(((uint32_t *)(uintptr_t)p)[BYTES / 4 - 1], 3);
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, BYTES), CU_DEVICE_CPU);
	ok(cuStreamAttachMemAsync(s, p, 0, CU_MEM_ATTACH_GLOBAL));
	ok(cuStreamSynchronize(s));
	ok(cuStreamDestroy(s));
}

static void batches(void **state)
{
	CUdeviceptr at[3] = { p, p + HALF / 2, p + HALF };
	size_t sizes[3] = { HALF / 2, HALF / 2, HALF }, first[2] = { 0, 2 }, late[2] = { 1, 2 };
	CUmemLocation where[2] = { on(gpu_device()), on(CU_DEVICE_CPU) };
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	memset((void *)(uintptr_t)p, 1, BYTES);
	ok(cuMemPrefetchBatchAsync(at, sizes, 3, where, first, 2, 0, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, HALF), gpu_device());
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p + HALF, HALF), CU_DEVICE_CPU);
	assert_int_equal(((uint8_t *)(uintptr_t)p)[BYTES - 1], 1);
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchBatchAsync(at, sizes, 3, where, late, 2, 0, s));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchBatchAsync(at, sizes, 3, where, first, 2, 1, s));
	ok(cuMemDiscardBatchAsync(at, sizes, 3, 0, s));
	ok(cuMemDiscardAndPrefetchBatchAsync(at, sizes, 3, where, first, 1, 0, s));
	ok(cuStreamSynchronize(s));
	memset((void *)(uintptr_t)p, 2, BYTES);
	assert_int_equal(((uint8_t *)(uintptr_t)p)[HALF], 2);
	assert_int_equal(attribute(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, BYTES), gpu_device());
	ok(cuStreamDestroy(s));
}

static void refused(void **state)
{
	CUdeviceptr d;
	int32_t v;

	(void)state;
	ok(cuMemAlloc(&d, 65536));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync(d, 65536, on(gpu_device()), 0, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync(p, 0, on(gpu_device()), 0, NULL));
	expect(CUDA_ERROR_INVALID_DEVICE, cuMemPrefetchAsync(p, BYTES, on(12345), 0, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(p, BYTES, 77, on(0)));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(p, BYTES, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, on(12345)));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuMemRangeGetAttribute(&v, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, BYTES));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemRangeGetAttribute(&v, 4, 77, p, BYTES));
	expect(CUDA_ERROR_INVALID_VALUE, cuStreamAttachMemAsync(NULL, p, 0, CU_MEM_ATTACH_SINGLE));
	ok(cuMemFree(d));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&d, 4096, 0x1000));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&d, 0, CU_MEM_ATTACH_GLOBAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_with_kernels),
		cmocka_unit_test(attributes),
		cmocka_unit_test(read_mostly),
		cmocka_unit_test(preferred_location),
		cmocka_unit_test(accessed_by),
		cmocka_unit_test(prefetch),
		cmocka_unit_test(batches),
		cmocka_unit_test(refused),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("managed", tests, setup, teardown);
}
