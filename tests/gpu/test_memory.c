/* SPDX-License-Identifier: MIT */
/* Device and host allocations: ranges, attributes, limits, wrong frees. */
#include <stdbool.h>

#include "gpu_test.h"

/* Is an allocation of `size` missing from the free memory? Another process that ends in between can hide it once, not always. */
static bool allocation_shows(CUdeviceptr *p, size_t size)
{
	size_t before, after, total;

	for (int i = 0; i < 500; i++) {
		ok(cuMemGetInfo(&before, &total));
		assert_true(before <= total);
		ok(cuMemAlloc(p, size));
		ok(cuMemGetInfo(&after, &total));
		if (after + size <= before + (2u << 20))
			return true;
		ok(cuMemFree(*p));
		gpu_nap();
	}
	return false;
}

static void alloc_free(void **state)
{
	size_t total, free1, size;
	CUdeviceptr p, q, base;

	(void)state;
	assert_true(allocation_shows(&p, 32u << 20));
	assert_int_equal(p % 256, 0);
	ok(cuMemAlloc(&q, 1));
	assert_true(q != p);
	ok(cuMemGetAddressRange(&base, &size, p + 12345));
	assert_int_equal(base, p);
	assert_int_equal(size, 32u << 20);
	ok(cuMemGetAddressRange(NULL, &size, p));
	ok(cuMemFree(p));
	ok(cuMemFree(q));
	ok(cuMemFree(0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFree(p));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(&p, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(NULL, 16));
	expect(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&p, (size_t)1 << 50));
	ok(cuMemGetInfo(&free1, &total));
}

static void inner_free(void **state)
{
	CUdeviceptr p, base;
	size_t size;

	(void)state;
	ok(cuMemAlloc(&p, 4096));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFree(p + 256));
	ok(cuMemFree(p));
	expect(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &size, p));
}

static void pitch(void **state)
{
	CUdeviceptr p;
	size_t pitch;

	(void)state;
	ok(cuMemAllocPitch(&p, &pitch, 1000, 20, 4));
	assert_true(pitch >= 1000);
	assert_int_equal(pitch % 32, 0);
	ok(cuMemFree(p));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&p, &pitch, 1000, 20, 5));
}

static void host_alloc(void **state)
{
	CUdeviceptr d, got;
	unsigned flags;
	uint8_t *h;

	(void)state;
	ok(cuMemAllocHost((void **)&h, 1u << 20));
	memset(h, 0x5a, 1u << 20);
	ok(cuMemHostGetFlags(&flags, h));
	ok(cuMemHostGetDevicePointer(&d, h, 0));
	assert_int_equal(d, (uintptr_t)h);
	ok(cuPointerGetAttribute(&got, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, (uintptr_t)h));
	assert_int_equal(got, (uintptr_t)h);
	ok(cuMemFreeHost(h));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(h));
	ok(cuMemHostAlloc((void **)&h, 4096, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP));
	ok(cuMemHostGetFlags(&flags, h));
	assert_true(flags & CU_MEMHOSTALLOC_PORTABLE);
	ok(cuMemFreeHost(h));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostAlloc((void **)&h, 4096, 0x1000));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemAllocHost(NULL, 4096));
	ok(cuMemAllocHost((void **)&h, 0));
}

static void host_register(void **state)
{
	void *p = NULL, *own;

	(void)state;
	assert_int_equal(posix_memalign(&p, 4096, 65536), 0);
	ok(cuMemHostRegister(p, 65536, CU_MEMHOSTREGISTER_PORTABLE));
	expect(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(p, 65536, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostUnregister((char *)p + 4096));
	ok(cuMemHostUnregister(p));
	expect(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(p));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(NULL, 65536, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(p, 0, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister((void *)0x10000, 4096, 0));	/* there is nothing */
	ok(cuMemAllocHost(&own, 4096));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostRegister(own, 4096, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemHostUnregister(own));
	ok(cuMemFreeHost(own));
	free(p);
}

static void attributes(void **state)
{
	CUpointer_attribute which[] = {
		CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
		CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
	};
	CUcontext ctx = NULL;
	unsigned type = 99, managed = 99;
	CUdeviceptr dptr = 99, p, ordered;
	void *hptr = NULL;
	int ordinal = 99, on_stack;
	void *data[] = { &ctx, &type, &dptr, &hptr, &managed, &ordinal };

	(void)state;
	ok(cuMemAlloc(&p, 4096));
	ok(cuPointerGetAttributes(6, which, data, p + 8));
	assert_ptr_equal(ctx, gpu_context());
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	assert_int_equal(dptr, p + 8);
	assert_null(hptr);
	assert_int_equal(managed, 0);
	assert_int_equal(ordinal, 0);

	/* What cuIpcGetMemHandle takes. */
	ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p));
	assert_int_equal(type & 0xff, 1);
	ok(cuMemAllocAsync(&ordered, 4096, NULL));
	ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, ordered));
	assert_int_equal(type & 0xff, 0);
	ok(cuMemFree(ordered));

	/* Memory that CUDA does not know: the plural form answers zeros. */
	ok(cuPointerGetAttributes(6, which, data, (uintptr_t)&on_stack));
	assert_null(ctx);
	assert_int_equal(type, 0);
	assert_int_equal(dptr, 0);
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				     (uintptr_t)&on_stack));
	which[1] = (CUpointer_attribute)77;
	expect(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(6, which, data, p));
	ok(cuMemFree(p));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
}

/* What is wrong with these is said wherever they are not to be had. */
static void other_devices(void **state)
{
	CUdevice dev = gpu_device();
	CUasyncCallbackHandle handle;
	unsigned mask;
	char luid[8];
	CUdeviceptr p;
	CUmodule m;
	int fd;

	(void)state;
	ok(cuMemAlloc(&p, 1 << 20));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemGetHandleForAddressRange(NULL, p, 1 << 20, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemGetHandleForAddressRange(&fd, p, 64, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemGetHandleForAddressRange(&fd, p + 1, 64, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0));
	ok(cuMemFree(p));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuFlushGPUDirectRDMAWrites((CUflushGPUDirectRDMAWritesTarget)1, CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER));
	expect(CUDA_ERROR_INVALID_VALUE, cuFlushGPUDirectRDMAWrites(CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
								    (CUflushGPUDirectRDMAWritesScope)0));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetLuid(NULL, &mask, dev));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetLuid(luid, NULL, dev));
	expect(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetLuid(luid, &mask, -1));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceRegisterAsyncNotification(dev, NULL, NULL, &handle));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceUnregisterAsyncNotification(dev, NULL));
	m = gpu_module("texture.ptx");
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleGetSurfRef(NULL, m, "none"));
	expect(CUDA_ERROR_INVALID_HANDLE, cuModuleGetSurfRef(&(CUsurfref){ NULL }, NULL, "none"));
	ok(cuModuleUnload(m));
}

static void many(void **state)
{
	enum { N = 3000 };
	static CUdeviceptr p[N];

	(void)state;
	for (int i = 0; i < N; i++)
		ok(cuMemAlloc(&p[i], 1 + i % 1000));
	for (int i = 0; i < N; i++)
		ok(cuMemFree(p[(i * 7) % N]));
}

static void async_pool(void **state)
{
	CUdeviceptr p;
	CUstream s;
	uint32_t v = 0;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAllocAsync(&p, 4096, s));
	ok(cuMemsetD32Async(p, 0xabcd1234, 1024, s));
	ok(cuMemcpyDtoHAsync(&v, p + 4092, 4, s));
	ok(cuMemFreeAsync(p, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(v, 0xabcd1234);
	ok(cuStreamDestroy(s));
}

/* Managed memory has the attribute from the first (H100, driver 580), and can lose it. */
static void sync_memops_of_managed(void **state)
{
	unsigned int off = 0, v = 0;
	CUdeviceptr p;

	(void)state;
	ok(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	assert_int_equal(v & 0xff, 1);
	ok(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	v = 7;
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	assert_int_equal(v & 0xff, 0);
	ok(cuMemFree(p));
}

/* Memory whose synchronous copies and fills are waited for. */
static void sync_memops(void **state)
{
	unsigned int on = 1, off = 0, v = 7, other = 0;
	CUdeviceptr p, q;

	(void)state;
	ok(cuMemAlloc(&p, 4096));
	ok(cuMemAlloc(&q, 4096));
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	assert_int_equal(v & 0xff, 0);
	ok(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	v = 0;
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	assert_int_equal(v, 1);
	v = 7;
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, q));
	assert_int_equal(v & 0xff, 0);
	ok(cuMemsetD32(p, 0x12345678, 1024));
	ok(cuMemcpyDtoD(q, p, 4096));
	ok(cuStreamQuery(CU_STREAM_LEGACY));	/* nothing is left to do */
	ok(cuMemcpyDtoH(&other, q + 4092, 4));
	assert_int_equal(other, 0x12345678);
	ok(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	v = 7;
	ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	assert_int_equal(v & 0xff, 0);
	expect(CUDA_ERROR_INVALID_VALUE, cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	expect(CUDA_ERROR_INVALID_VALUE, cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
	ok(cuMemFree(p));
	ok(cuMemFree(q));
}

/* The pools of a device, named by its location. */
static void pools_of_locations(void **state)
{
	CUmemLocation here = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu_device() };
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = here };
	CUmemoryPool standard, pool, p;

	(void)state;
	ok(cuDeviceGetDefaultMemPool(&standard, here.id));
	ok(cuMemGetDefaultMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(p, standard);
	ok(cuMemPoolCreate(&pool, &props));
	ok(cuMemSetMemPool(&here, CU_MEM_ALLOCATION_TYPE_PINNED, pool));
	ok(cuMemGetMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(p, pool);
	ok(cuDeviceGetMemPool(&p, here.id));
	assert_ptr_equal(p, pool);
	ok(cuMemGetDefaultMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(p, standard);
	ok(cuMemSetMemPool(&here, CU_MEM_ALLOCATION_TYPE_PINNED, standard));
	ok(cuMemGetMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	assert_ptr_equal(p, standard);
	/* The current one goes: the default one is again. */
	ok(cuDeviceSetMemPool(here.id, pool));
	ok(cuMemPoolDestroy(pool));
	ok(cuDeviceGetMemPool(&p, here.id));
	assert_ptr_equal(p, standard);
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetMemPool(&p, 99));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceSetMemPool(99, standard));
	here.id = 99;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemGetMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
	here.type = 5;
	expect(CUDA_ERROR_NOT_SUPPORTED, cuMemGetMemPool(&p, &here, CU_MEM_ALLOCATION_TYPE_PINNED));
}

/* What comes from a pool of host or managed memory, where there can be one, is memory of this process too. */
static void pools_of_host_memory(void **state)
{
	const CUmemPoolProps kinds[] = {
		{ .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { .type = CU_MEM_LOCATION_TYPE_HOST } },
		{ .allocType = CU_MEM_ALLOCATION_TYPE_MANAGED,
		  .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu_device() } },
	};
	int host_pools = 0;
	CUmemoryPool pool;
	CUdeviceptr p;
	CUresult r;

	(void)state;
	ok(cuDeviceGetAttribute(&host_pools, CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED, gpu_device()));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		r = cuMemPoolCreate(&pool, &kinds[i]);
		if (kinds[i].allocType == CU_MEM_ALLOCATION_TYPE_PINNED)
			assert_int_equal(!r, host_pools);
		if (r)
			continue;
		ok(cuMemAllocFromPoolAsync(&p, 4096, pool, NULL));
		ok(cuStreamSynchronize(NULL));
		memset((void *)(uintptr_t)p, 7, 4096);
		ok(cuMemFreeAsync(p, NULL));
		ok(cuStreamSynchronize(NULL));
		ok(cuMemPoolDestroy(pool));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alloc_free),
		cmocka_unit_test(inner_free),
		cmocka_unit_test(pitch),
		cmocka_unit_test(host_alloc),
		cmocka_unit_test(host_register),
		cmocka_unit_test(attributes),
		cmocka_unit_test(other_devices),
		cmocka_unit_test(many),
		cmocka_unit_test(async_pool),
		cmocka_unit_test(sync_memops),
		cmocka_unit_test(sync_memops_of_managed),
		cmocka_unit_test(pools_of_locations),
		cmocka_unit_test(pools_of_host_memory),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("memory", tests, gpu_setup, gpu_teardown);
}
