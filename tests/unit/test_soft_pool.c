/* SPDX-License-Identifier: MIT */
/*
 * Allocation in stream order, memory pools, copies of boxes.
 */
#include <stdatomic.h>

#include "soft_test.h"

static uint64_t pool_used(CUmemoryPool pool)
{
	uint64_t used = ~0ull;

	ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
	return used;
}

/* Memory freed in a stream is usable by what was submitted before, and gone when the stream gets there. */
static void free_in_stream_order(void **state)
{
	uint32_t *w = pinned(64);
	CUmemoryPool pool;
	CUdeviceptr p;
	CUstream s;

	(void)state;
	ok(cuDeviceGetDefaultMemPool(&pool, 0));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAllocAsync(&p, 4096, s));
	assert_int_equal(pool_used(pool), 4096);
	ok(cuStreamWaitValue32_v2(s, dptr(w), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuMemsetD32Async(p, 0x55, 1024, s));
	ok(cuMemcpyDtoHAsync_v2(&w[1], p + 4000, 4, s));
	ok(cuMemFreeAsync(p, s));
	fails(INVALID_VALUE, cuMemFreeAsync(p, s));
	fails(INVALID_VALUE, cuMemFree_v2(p));
	ok(cuMemGetAddressRange_v2(NULL, NULL, p));
	atomic_store((_Atomic uint32_t *)w, 1);
	ok(cuStreamSynchronize(s));
	assert_int_equal(w[1], 0x55);
	fails(NOT_FOUND, cuMemGetAddressRange_v2(NULL, NULL, p));
	assert_int_equal(pool_used(pool), 0);
	fails(INVALID_VALUE, cuMemAllocAsync(&p, 0, s));
	fails(INVALID_VALUE, cuMemFreeAsync(WILD, s));
	fails(INVALID_HANDLE, cuMemAllocAsync(&p, 16, (CUstream)5));
	ok(cuMemAllocAsync(&p, 16, s));
	ok(cuMemFree_v2(p));
	assert_int_equal(pool_used(pool), 0);
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFreeHost(w));
}

static void pools(void **state)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .maxSize = 1 << 20,
				 .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
	CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 }, CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemAccess_flags flags;
	CUmemoryPool a, standard, now;
	uint64_t v = 12345;
	CUdeviceptr p, q;

	(void)state;
	ok(cuMemPoolCreate(&a, &props));
	ok(cuMemAllocFromPoolAsync(&p, 1 << 20, a, NULL));
	fails(OUT_OF_MEMORY, cuMemAllocFromPoolAsync(&q, 1, a, NULL));
	ok(cuMemPoolSetAttribute(a, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &v));
	v = 0;
	ok(cuMemPoolGetAttribute(a, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &v));
	assert_int_equal(v, 12345);
	fails(INVALID_VALUE, cuMemPoolSetAttribute(a, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &v));
	fails(INVALID_VALUE, cuMemPoolGetAttribute(a, (CUmemPool_attribute)77, &v));
	ok(cuMemPoolTrimTo(a, 0));
	ok(cuMemPoolSetAccess(a, &access, 1));
	ok(cuMemPoolGetAccess(&flags, a, &access.location));
	assert_int_equal(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	ok(cuDeviceSetMemPool(0, a));
	ok(cuDeviceGetMemPool(&now, 0));
	assert_ptr_equal(now, a);
	ok(cuMemFreeAsync(p, NULL));
	ok(cuCtxSynchronize());
	assert_int_equal(pool_used(a), 0);
	ok(cuMemPoolDestroy(a));
	fails(INVALID_VALUE, cuMemPoolDestroy(a));
	ok(cuDeviceGetDefaultMemPool(&standard, 0));
	ok(cuDeviceGetMemPool(&now, 0));
	assert_ptr_equal(now, standard);
	fails(INVALID_VALUE, cuMemPoolDestroy(standard));
	fails(INVALID_DEVICE, cuDeviceGetMemPool(&now, 3));
	props.handleTypes = CU_MEM_HANDLE_TYPE_FABRIC;
	fails(NOT_SUPPORTED, cuMemPoolCreate(&a, &props));
	fails(INVALID_VALUE, cuMemPoolCreate(&a, NULL));
}

static void box_2d(void **state)
{
	unsigned char host[16 * 20], back[16 * 20];
	CUDA_MEMCPY2D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host, .srcPitch = 20, .srcXInBytes = 3,
			    .srcY = 2, .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstPitch = 33, .dstXInBytes = 5,
			    .dstY = 1, .WidthInBytes = 7, .Height = 4 };
	CUDA_MEMCPY2D d = { .srcMemoryType = CU_MEMORYTYPE_UNIFIED, .srcPitch = 33, .srcXInBytes = 5, .srcY = 1,
			    .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = back, .dstPitch = 20, .dstXInBytes = 3,
			    .dstY = 2, .WidthInBytes = 7, .Height = 4 };
	CUdeviceptr p;
	int x, y, i;

	(void)state;
	for (i = 0; i < 320; i++)
		host[i] = (unsigned char)(i * 7 + 1);
	memset(back, 0, sizeof(back));
	ok(cuMemAlloc_v2(&p, 33 * 4 + 12)); /* exactly up to the last byte of the box */
	c.dstDevice = d.srcDevice = p;
	ok(cuMemcpy2D_v2(&c));
	ok(cuMemcpy2DAsync_v2(&d, NULL));
	for (y = 0; y < 16; y++)
		for (x = 0; x < 20; x++)
			assert_int_equal(back[y * 20 + x],
					 y >= 2 && y < 6 && x >= 3 && x < 10 ? host[y * 20 + x] : 0);
	c.Height = 5;
	fails(INVALID_VALUE, cuMemcpy2DUnaligned_v2(&c));
	c.Height = 4;
	c.dstPitch = 11;
	fails(INVALID_VALUE, cuMemcpy2D_v2(&c));
	c.dstPitch = 1ull << 32;
	fails(INVALID_VALUE, cuMemcpy2D_v2(&c));
	c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	fails(INVALID_HANDLE, cuMemcpy2D_v2(&c));
	c.dstMemoryType = 9;
	fails(INVALID_VALUE, cuMemcpy2D_v2(&c));
	fails(INVALID_VALUE, cuMemcpy2D_v2(NULL));
	ok(cuMemFree_v2(p));
}

static void box_3d(void **state)
{
	unsigned char host[5 * 6 * 8], back[5 * 6 * 8];
	CUDA_MEMCPY3D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host, .srcPitch = 8, .srcHeight = 6,
			    .srcXInBytes = 1, .srcY = 2, .srcZ = 1, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
			    .dstPitch = 16, .dstHeight = 10, .WidthInBytes = 5, .Height = 3, .Depth = 4 }, d;
	CUDA_MEMCPY3D_PEER peer = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
				    .srcPitch = 16, .dstPitch = 16, .WidthInBytes = 5, .Height = 3, .Depth = 1 };
	CUdeviceptr p;
	int x, y, z, i;

	(void)state;
	for (i = 0; i < (int)sizeof(host); i++)
		host[i] = (unsigned char)(i + 1);
	memset(back, 0, sizeof(back));
	ok(cuMemAlloc_v2(&p, 16 * 10 * 4));
	c.dstDevice = p;
	ok(cuMemcpy3D_v2(&c));
	d = c;
	d.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	d.srcDevice = p;
	d.srcPitch = 16;
	d.srcHeight = 10;
	d.srcXInBytes = d.srcY = d.srcZ = 0;
	d.dstMemoryType = CU_MEMORYTYPE_HOST;
	d.dstHost = back;
	d.dstPitch = 8;
	d.dstHeight = 6;
	d.dstXInBytes = 1;
	d.dstY = 2;
	d.dstZ = 1;
	ok(cuMemcpy3DAsync_v2(&d, NULL));
	for (z = 0; z < 5; z++)
		for (y = 0; y < 6; y++)
			for (x = 0; x < 8; x++) {
				i = (z * 6 + y) * 8 + x;
				assert_int_equal(back[i], z >= 1 && y >= 2 && y < 5 && x >= 1 && x < 6 ? host[i] : 0);
			}
	c.dstHeight = 2;
	fails(INVALID_VALUE, cuMemcpy3D_v2(&c));
	c.dstHeight = 10;
	c.dstZ = 1ull << 60;
	fails(INVALID_VALUE, cuMemcpy3D_v2(&c));
	fails(INVALID_VALUE, cuMemcpy3D_v2(NULL));
	peer.srcDevice = p;
	peer.dstDevice = p + 160;
	fails(INVALID_CONTEXT, cuMemcpy3DPeer(&peer));
	ok(cuCtxGetCurrent(&peer.srcContext));
	peer.dstContext = peer.srcContext;
	ok(cuMemcpy3DPeer(&peer));
	ok(cuMemFree_v2(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(free_in_stream_order),
		cmocka_unit_test(pools),
		cmocka_unit_test(box_2d),
		cmocka_unit_test(box_3d),
	};

	return cmocka_run_group_tests(tests, soft_test_begin, soft_test_end);
}
