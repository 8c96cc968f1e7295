/* SPDX-License-Identifier: MIT */
/* Initialisation, version, devices, error names; calls before cuInit. */
#include "gpu_test.h"

static void before_init(void **state)
{
	CUdevice dev;
	CUcontext ctx;
	CUdeviceptr p;
	int n;

	(void)state;
	expect(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&n));
	expect(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGet(&dev, 0));
	expect(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&ctx));
	expect(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 16));
	expect(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
	expect(CUDA_ERROR_INVALID_VALUE, cuInit(1));
	ok(cuDriverGetVersion(&n));
	assert_in_range(n, 12000, 99000);
	expect(CUDA_ERROR_INVALID_VALUE, cuDriverGetVersion(NULL));
}

static void devices(void **state)
{
	char name[128], tiny[4], busid[32], cut[32];
	CUuuid uuid;
	size_t total;
	CUdevice dev;
	int n, v;

	(void)state;
	gpu_need_device();
	ok(cuInit(0));
	ok(cuDeviceGetCount(&n));
	assert_in_range(n, 1, 64);
	ok(cuDeviceGet(&dev, 0));
	expect(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&dev, n));
	expect(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&dev, -1));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGet(NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetCount(NULL));

	ok(cuDeviceGet(&dev, 0));
	memset(name, 'x', sizeof(name));
	ok(cuDeviceGetName(name, sizeof(name), dev));
	assert_non_null(memchr(name, 0, sizeof(name)));
	assert_true(name[0] != 0);
	ok(cuDeviceGetName(tiny, sizeof(tiny), dev));
	assert_int_equal(tiny[3], 0);
	assert_memory_equal(tiny, name, 3);
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetName(NULL, 8, dev));
	expect(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetName(name, sizeof(name), n + 5));

	ok(cuDeviceTotalMem(&total, dev));
	assert_true(total >= 64u << 20);
	ok(cuDeviceGetUuid(&uuid, dev));
	ok(cuDeviceGetPCIBusId(busid, sizeof(busid), dev));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetPCIBusId(cut, (int)strlen(busid), dev));
	ok(cuDeviceGetByPCIBusId(&dev, busid));
	assert_int_equal(dev, 0);

	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, dev));
	assert_int_equal(v, 32);
	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, dev));
	assert_int_equal(v, 1024);
	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, dev));
	assert_int_equal(v, 1);
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)0, dev));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)100000, dev));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, dev));
	expect(CUDA_ERROR_INVALID_DEVICE,
	       cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, n + 1));
}

static void errors(void **state)
{
	const char *s;

	(void)state;
	ok(cuGetErrorName(CUDA_ERROR_INVALID_VALUE, &s));
	assert_string_equal(s, "CUDA_ERROR_INVALID_VALUE");
	ok(cuGetErrorString(CUDA_ERROR_INVALID_VALUE, &s));
	assert_string_equal(s, "invalid argument");
	ok(cuGetErrorName(CUDA_SUCCESS, &s));
	assert_string_equal(s, "CUDA_SUCCESS");
	ok(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &s));
	assert_string_equal(s, "out of memory");
	ok(cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &s));
	assert_string_equal(s, "an illegal memory access was encountered");
	s = "untouched";
	expect(CUDA_ERROR_INVALID_VALUE, cuGetErrorName((CUresult)12345, &s));
	assert_null(s);
	expect(CUDA_ERROR_INVALID_VALUE, cuGetErrorString((CUresult)12345, &s));
}

static void proc_address(void **state)
{
	CUdriverProcAddressQueryResult st;
	CUresult (*alloc)(CUdeviceptr *, size_t) = NULL;
	int version;
	void *fn;

	(void)state;
	ok(cuGetProcAddress("cuMemAlloc", (void **)&alloc, 12000, 0, &st));
	assert_int_equal(st, CU_GET_PROC_ADDRESS_SUCCESS);
	assert_ptr_equal((void *)alloc, (void *)cuMemAlloc);
	fn = &fn;
	ok(cuGetProcAddress("cuNoSuchCall", &fn, 12000, 0, &st));
	assert_int_equal(st, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	assert_null(fn);
	ok(cuGetProcAddress("cuMemAllocAsync", &fn, 10000, 0, &st));
	assert_int_equal(st, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	assert_null(fn);
	ok(cuGetProcAddress("cuMemAlloc_v2", &fn, 12000, 0, &st));
	assert_int_equal(st, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	ok(cuGetProcAddress("cuStreamSynchronize", &fn, 12000,
			    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &st));
	assert_true(fn != (void *)cuStreamSynchronize);
	/* The per-thread form or none; and nothing of a version that the driver is too old for. */
	ok(cuGetProcAddress("cuStreamSynchronize", &fn, 6000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &st));
	assert_int_equal(st, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	assert_null(fn);
	ok(cuDriverGetVersion(&version));
	ok(cuGetProcAddress("cuInit", &fn, version, 0, &st));
	expect(CUDA_ERROR_INVALID_VALUE, cuGetProcAddress("cuInit", &fn, version + 1000, 0, &st));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_init),
		cmocka_unit_test(devices),
		cmocka_unit_test(errors),
		cmocka_unit_test(proc_address),
	};

	return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
