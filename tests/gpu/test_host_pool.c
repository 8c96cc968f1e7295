/* SPDX-License-Identifier: MIT */
/* Pools of the host and of managed memory: memory in the order of streams that the application reaches as well. */
#include <stdbool.h>
#include <unistd.h>

#include "gpu_test.h"

#define SIZE (1u << 20)

static CUmemPoolProps kinds[] = {
	{ .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { .type = CU_MEM_LOCATION_TYPE_HOST } },
	{ .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = { .type = CU_MEM_LOCATION_TYPE_HOST_NUMA } },
	{ .allocType = CU_MEM_ALLOCATION_TYPE_MANAGED, .location = { .type = CU_MEM_LOCATION_TYPE_NONE } },
	{ .allocType = CU_MEM_ALLOCATION_TYPE_MANAGED, .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE } },
};
enum { HOST, NUMA, MANAGED, MANAGED_DEVICE, KINDS };

static int attribute(CUdevice_attribute a)
{
	int v = 0;

	ok(cuDeviceGetAttribute(&v, a, gpu_device()));
	return v;
}

static bool have(int kind)
{
	switch (kind) {
	case HOST:
		return attribute(CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED);
	case NUMA:
		return attribute(CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED);
	default:
		return attribute(CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS);
	}
}

/* A pool of this kind that the device may use. */
static CUmemoryPool new_pool(int kind)
{
	CUmemAccessDesc access = { .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu_device() },
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemAccess_flags flags;
	CUmemoryPool pool;

	kinds[MANAGED_DEVICE].location.id = gpu_device();
	ok(cuMemPoolCreate(&pool, &kinds[kind]));
	if (kind == HOST || kind == NUMA) {
		ok(cuMemPoolSetAccess(pool, &access, 1));
		ok(cuMemPoolGetAccess(&flags, pool, &access.location));
		assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	}
	return pool;
}

static void all_are(const unsigned char *at, size_t n, int value)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(at[i], value);
}

static uint64_t number(CUmemoryPool pool, CUmemPool_attribute a)
{
	uint64_t v = 0;

	ok(cuMemPoolGetAttribute(pool, a, &v));
	return v;
}

/* The device writes, the application reads, and the other way round. */
static void both_reach_it(void **state)
{
	CUmemoryPool pool;
	CUstream stream;
	CUdeviceptr p, device;

	(void)state;
	ok(cuMemAlloc(&device, SIZE));
	ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	for (int kind = 0; kind < KINDS; kind++) {
		if (!have(kind))
			continue;
		pool = new_pool(kind);
		ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, stream));
		ok(cuMemsetD8Async(p, 0x5a, SIZE, stream));
		ok(cuStreamSynchronize(stream));
		all_are((unsigned char *)(uintptr_t)p, SIZE, 0x5a);
		memset((void *)(uintptr_t)p, 0x33, SIZE);
		ok(cuMemcpyAsync(device, p, SIZE, stream));
		ok(cuMemsetD8Async(p, 0, SIZE, stream));
		ok(cuMemcpyAsync(p, device, SIZE, stream));
		ok(cuStreamSynchronize(stream));
		all_are((unsigned char *)(uintptr_t)p, SIZE, 0x33);
		ok(cuMemFreeAsync(p, stream));
		ok(cuStreamSynchronize(stream));
		ok(cuMemPoolDestroy(pool));
	}
	ok(cuStreamDestroy(stream));
	ok(cuMemFree(device));
}

static void pointers_know_it(void **state)
{
	CUmemoryPool pool, giver;
	CUdeviceptr p;
	unsigned int v;

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		if (!have(kind))
			continue;
		pool = new_pool(kind);
		ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, NULL));
		ok(cuPointerGetAttribute(&giver, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, p + 5));
		assert_ptr_equal(giver, pool);
		ok(cuPointerGetAttribute(&v, CU_POINTER_ATTRIBUTE_IS_MANAGED, p));
		assert_int_equal(v & 0xff, kind == MANAGED || kind == MANAGED_DEVICE);
		ok(cuMemFree(p));	/* at once */
		ok(cuMemPoolDestroy(pool));
	}
}

static void attributes(void **state)
{
	CUmemoryPool pool;
	CUdeviceptr p;
	uint64_t v;
	int off = 0;

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		if (!have(kind))
			continue;
		pool = new_pool(kind);
		assert_int_equal(number(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
		ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &off));
		off = 1;
		ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &off));
		assert_int_equal(off, 0);
		v = 4u << 20;
		ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &v));
		assert_int_equal(number(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD), v);
		ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, NULL));
		assert_true(number(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) >= SIZE);
		assert_true(number(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) >= SIZE);
		ok(cuMemFreeAsync(p, NULL));
		ok(cuStreamSynchronize(NULL));
		assert_int_equal(number(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
		assert_true(number(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH) >= SIZE);
		v = 0;
		ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &v));
		assert_int_equal(number(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0);
		v = 1;
		expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &v));
		ok(cuMemPoolTrimTo(pool, 0));
		ok(cuMemPoolDestroy(pool));
	}
}

/* A location has a pool without its being made, and another one can be current instead. */
static void current(void **state)
{
	CUmemoryPool pool, standard, p;

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		if (!have(kind))
			continue;
		pool = new_pool(kind);
		ok(cuMemGetDefaultMemPool(&standard, &kinds[kind].location, kinds[kind].allocType));
		assert_ptr_not_equal(standard, pool);
		ok(cuMemSetMemPool(&kinds[kind].location, kinds[kind].allocType, pool));
		ok(cuMemGetMemPool(&p, &kinds[kind].location, kinds[kind].allocType));
		assert_ptr_equal(p, pool);
		ok(cuMemSetMemPool(&kinds[kind].location, kinds[kind].allocType, standard));
		ok(cuMemGetMemPool(&p, &kinds[kind].location, kinds[kind].allocType));
		assert_ptr_equal(p, standard);
		ok(cuMemPoolDestroy(pool));
	}
}

/* Blocks go from stream to stream, and none before the work of the one that freed it is done. */
static void in_order(void **state)
{
	CUmemoryPool pool;
	CUstream streams[3];
	CUdeviceptr p;

	(void)state;
	for (int i = 0; i < 3; i++)
		ok(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	for (int kind = 0; kind < KINDS; kind++) {
		if (!have(kind))
			continue;
		pool = new_pool(kind);
		for (int i = 0; i < 60; i++) {
			ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, streams[i % 3]));
			ok(cuMemsetD8Async(p, (unsigned char)i, SIZE, streams[i % 3]));
			if (i % 5 == 0) {
				ok(cuStreamSynchronize(streams[i % 3]));
				all_are((unsigned char *)(uintptr_t)p, SIZE, i);
			}
			ok(cuMemFreeAsync(p, streams[i % 3]));
		}
		ok(cuCtxSynchronize());
		ok(cuMemPoolDestroy(pool));
	}
	for (int i = 0; i < 3; i++)
		ok(cuStreamDestroy(streams[i]));
}

/* A pool may go before its memory. */
static void outlived(void **state)
{
	CUmemoryPool pool;
	CUdeviceptr p;

	(void)state;
	if (!have(HOST))
		skip();
	pool = new_pool(HOST);
	ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, NULL));
	ok(cuStreamSynchronize(NULL));
	ok(cuMemPoolDestroy(pool));
	memset((void *)(uintptr_t)p, 1, SIZE);
	ok(cuMemFreeAsync(p, NULL));
	ok(cuStreamSynchronize(NULL));
}

static void errors(void **state)
{
	CUmemPoolProps props = kinds[HOST];
	CUmemLocation none = { .type = CU_MEM_LOCATION_TYPE_NONE }, node = { .type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 5 };
	CUmemoryPool pool;
	CUdeviceptr p;

	(void)state;
	if (!have(HOST))
		skip();
	props.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemPoolCreate(&pool, &props));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemGetMemPool(&pool, &none, CU_MEM_ALLOCATION_TYPE_PINNED));
	if (access("/sys/devices/system/node/node5", F_OK))
		expect(CUDA_ERROR_INVALID_VALUE, cuMemGetMemPool(&pool, &node, CU_MEM_ALLOCATION_TYPE_PINNED));
	pool = new_pool(HOST);
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceSetMemPool(gpu_device(), pool));
	ok(cuMemAllocFromPoolAsync(&p, SIZE, pool, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost((void *)(uintptr_t)p));
	ok(cuMemFreeAsync(p, NULL));
	ok(cuStreamSynchronize(NULL));
	ok(cuMemPoolDestroy(pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_reach_it), cmocka_unit_test(pointers_know_it), cmocka_unit_test(attributes),
		cmocka_unit_test(current), cmocka_unit_test(in_order), cmocka_unit_test(outlived), cmocka_unit_test(errors),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("host_pool", tests, gpu_setup, gpu_teardown);
}
