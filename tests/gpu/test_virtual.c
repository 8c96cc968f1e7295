/* SPDX-License-Identifier: MIT */
/* Virtual memory management: addresses and memory apart, joined, taken apart again. */
#include "gpu_test.h"

#define PIECES 3

static size_t grain;

static CUmemAllocationProp device_memory(void)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED };

	prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	prop.location.id = gpu_device();
	return prop;
}

static CUmemAccessDesc access_of(CUmemAccess_flags flags)
{
	CUmemAccessDesc d = { .flags = flags };

	d.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	d.location.id = gpu_device();
	return d;
}

static CUmemGenericAllocationHandle create(size_t size)
{
	CUmemAllocationProp prop = device_memory();
	CUmemGenericAllocationHandle h = 0;

	ok(cuMemCreate(&h, size, &prop, 0));
	return h;
}

static void set_access(CUdeviceptr at, size_t size)
{
	CUmemAccessDesc d = access_of(CU_MEM_ACCESS_FLAGS_PROT_READWRITE);

	ok(cuMemSetAccess(at, size, &d, 1));
}

static int setup(void **state)
{
	CUmemAllocationProp prop;
	int supported = 0;

	if (gpu_setup(state))
		return -1;
	ok(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, gpu_device()));
	assert_true(supported);
	prop = device_memory();
	ok(cuMemGetAllocationGranularity(&grain, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	assert_true(grain >= 4096);
	assert_int_equal(grain & (grain - 1), 0);
	return 0;
}

/* One stretch of addresses grows piece by piece, and is used as one. */
static void pieces(void **state)
{
	CUmemGenericAllocationHandle h;
	uint32_t edge[2] = { 0, 0 };
	CUdeviceptr at, base;
	size_t size;
	CUstream s;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&at, grain, 0, 1, 0));
	ok(cuMemAddressReserve(&at, 8 * grain, 0, 0, 0));
	assert_int_equal(at % grain, 0);
	for (int i = 0; i < PIECES; i++) {
		h = create(grain);
		ok(cuMemMap(at + i * grain, grain, 0, h, 0));
		ok(cuMemRelease(h));
		set_access(at + i * grain, grain);
	}
	ok(cuMemGetAddressRange(&base, &size, at + grain + 4));
	assert_int_equal(base, at + grain);
	assert_int_equal(size, grain);
	expect(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &size, at + PIECES * grain));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemsetD32Async(at, 7, PIECES * grain / 4, s));
	ok(cuMemsetD32Async(at + grain - 4, 8, 2, s));
	ok(cuMemcpyDtoHAsync(edge, at + grain - 4, 8, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(edge[0], 8);
	assert_int_equal(edge[1], 8);
	expect(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(at + PIECES * grain - 4, 0, 2));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFree(at));
	ok(cuMemUnmap(at + (PIECES - 1) * grain, grain));
	ok(cuMemUnmap(at, (PIECES - 1) * grain));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(edge, at, 8));
	ok(cuMemAddressFree(at, 8 * grain));
	ok(cuStreamDestroy(s));
}

/* The same memory at two addresses, one after the other and at once. */
static void twice(void **state)
{
	CUmemGenericAllocationHandle h = create(grain), again = 0, third = 0;
	CUmemAllocationProp prop;
	CUdeviceptr at;
	uint32_t v = 0;

	(void)state;
	ok(cuMemAddressReserve(&at, 2 * grain, 0, 0, 0));
	ok(cuMemMap(at, grain, 0, h, 0));
	set_access(at, grain);
	ok(cuMemsetD32(at, 0x1234abcd, grain / 4));
	ok(cuMemMap(at + grain, grain, 0, h, 0));
	set_access(at + grain, grain);
	ok(cuMemcpyDtoH(&v, at + 2 * grain - 4, 4));
	assert_int_equal(v, 0x1234abcd);
	ok(cuMemUnmap(at, grain));
	ok(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(at + grain)));
	ok(cuMemRelease(h));
	memset(&prop, 0, sizeof(prop));
	ok(cuMemGetAllocationPropertiesFromHandle(&prop, again));
	assert_int_equal(prop.type, CU_MEM_ALLOCATION_TYPE_PINNED);
	assert_int_equal(prop.location.id, gpu_device());
	ok(cuMemRelease(again));
	/* No handle is left: the mapping alone holds the memory, and gives a handle again. */
	ok(cuMemRetainAllocationHandle(&third, (void *)(uintptr_t)(at + grain)));
	ok(cuMemUnmap(at + grain, grain));
	ok(cuMemMap(at, grain, 0, third, 0));
	set_access(at, grain);
	v = 0;
	ok(cuMemcpyDtoH(&v, at, 4));
	assert_int_equal(v, 0x1234abcd);
	ok(cuMemUnmap(at, grain));
	ok(cuMemRelease(third));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemRelease(third));
	ok(cuMemAddressFree(at, 2 * grain));
}

static void kernel_access(void **state)
{
	CUmemGenericAllocationHandle h = create(grain);
	CUmodule m = gpu_module("vector_add.ptx");
	CUdeviceptr at, b, c;
	float *host = calloc(1024, sizeof(float));
	void *params[4];
	CUfunction f;
	int n = 1024;

	(void)state;
	ok(cuModuleGetFunction(&f, m, "vector_add"));
	ok(cuMemAddressReserve(&at, grain, 0, 0, 0));
	ok(cuMemMap(at, grain, 0, h, 0));
	set_access(at, grain);
	b = at + 4096;
	c = at + 8192;
	ok(cuMemsetD32(at, 0x3f800000, 1024));	/* 1.0f */
	ok(cuMemsetD32(b, 0x40000000, 1024));	/* 2.0f */
	params[0] = &at;
	params[1] = &b;
	params[2] = &c;
	params[3] = &n;
	ok(cuLaunchKernel(f, 8, 1, 1, 128, 1, 1, 0, NULL, params, NULL));
	ok(cuMemcpyDtoH(host, c, 4096));
	assert_true(host[0] == 3.0f && host[1023] == 3.0f);
	ok(cuMemUnmap(at, grain));
	ok(cuMemRelease(h));
	ok(cuMemAddressFree(at, grain));
	ok(cuModuleUnload(m));
	free(host);
}

static void access_flags(void **state)
{
	CUmemGenericAllocationHandle h = create(grain);
	CUmemLocation where = access_of(0).location;
	unsigned long long flags = 99;
	CUdeviceptr at;

	(void)state;
	ok(cuMemAddressReserve(&at, grain, 0, 0, 0));
	ok(cuMemMap(at, grain, 0, h, 0));
	set_access(at, grain);
	ok(cuMemGetAccess(&flags, &where, at));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	ok(cuMemUnmap(at, grain));
	ok(cuMemRelease(h));
	ok(cuMemAddressFree(at, grain));
}

static void refused(void **state)
{
	CUmemGenericAllocationHandle h = create(grain), none = 0;
	CUmemAllocationProp prop = device_memory();
	CUdeviceptr at;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, grain + 1, &prop, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, 0, &prop, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemCreate(NULL, grain, &prop, 0));
	expect(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&none, (size_t)1 << 46, &prop, 0));
	prop.win32HandleMetaData = &prop;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, grain, &prop, 0));
	prop = device_memory();
	prop.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, grain, &prop, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(NULL, grain, 0, 0, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&at, grain, 0, 0, 1));
	ok(cuMemAddressReserve(&at, 2 * grain, 0, 0, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, grain, 0, h, 1));
	ok(cuMemUnmap(at, grain));	/* what is not mapped is unmapped already */
	expect(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(at, 0));
	ok(cuMemMap(at, grain, 0, h, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at, grain));
	ok(cuMemUnmap(at, grain));
	ok(cuMemRelease(h));
	ok(cuMemAddressFree(at, 2 * grain));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at, 2 * grain));
}

/* Memory leaves as a descriptor if that was asked for when it was made, and comes back as one. */
static void not_shared(void **state)
{
	const CUmemAllocationHandleType file = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	CUmemGenericAllocationHandle h = create(grain), none = 0;
	void *closed = (void *)999;
	CUmemoryPool pool;
	int fd = -1;

	(void)state;
	for (int type = 0; type < 10; type++)
		expect(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, h, (CUmemAllocationHandleType)type, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(NULL, h, file, 0));
	ok(cuMemRelease(h));
	expect(CUDA_ERROR_UNKNOWN, cuMemImportFromShareableHandle(&none, closed, file));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemImportFromShareableHandle(&none, NULL, file));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemImportFromShareableHandle(&none, closed, CU_MEM_HANDLE_TYPE_NONE));
	expect(CUDA_ERROR_UNKNOWN, cuMemPoolImportFromShareableHandle(&pool, closed, file, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportFromShareableHandle(&pool, closed, file, 1));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportFromShareableHandle(&pool, closed, CU_MEM_HANDLE_TYPE_NONE, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportFromShareableHandle(&pool, NULL, file, 0));
}

/* Was the memory counted while it was mapped, and not any more after that? */
static int counted(size_t size)
{
	size_t before, held, after, total;
	CUmemGenericAllocationHandle h;
	CUdeviceptr at;

	ok(cuMemGetInfo(&before, &total));
	h = create(size);
	ok(cuMemAddressReserve(&at, size, 0, 0, 0));
	ok(cuMemMap(at, size, 0, h, 0));
	ok(cuMemRelease(h));
	ok(cuMemGetInfo(&held, &total));
	ok(cuMemUnmap(at, size));
	ok(cuMemGetInfo(&after, &total));
	ok(cuMemAddressFree(at, size));
	return held + size <= before && after >= held + size;
}

/* Memory counts against the device until the last mapping is gone. Others may come or go just then, but not every time. */
static void accounted(void **state)
{
	int tries = 20;

	(void)state;
	while (!counted((32u << 20) / grain * grain) && --tries)
		gpu_nap();
	assert_true(tries > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces),
		cmocka_unit_test(twice),
		cmocka_unit_test(kernel_access),
		cmocka_unit_test(access_flags),
		cmocka_unit_test(refused),
		cmocka_unit_test(not_shared),
		cmocka_unit_test(accounted),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("virtual", tests, setup, gpu_teardown);
}
