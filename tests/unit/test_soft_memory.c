/* SPDX-License-Identifier: MIT */
/*
 * Memory of the soft device: allocation, look-up, copies in all directions, fills.
 */
#include "soft_test.h"

static void alloc_and_free(void **state)
{
	size_t free0, free1, total, size;
	CUdeviceptr p, q, base;

	(void)state;
	ok(cuMemGetInfo_v2(&free0, &total));
	ok(cuMemGetInfo_v2(NULL, NULL));
	fails(INVALID_VALUE, cuMemAlloc_v2(&p, 0));
	fails(INVALID_VALUE, cuMemAlloc_v2(NULL, 16));
	fails(OUT_OF_MEMORY, cuMemAlloc_v2(&p, total + 1));
	fails(OUT_OF_MEMORY, cuMemAlloc_v2(&p, SIZE_MAX));
	ok(cuMemAlloc_v2(&p, 1000));
	ok(cuMemAlloc_v2(&q, 5 << 20));
	assert_true(p % 256 == 0 && q % 256 == 0);
	ok(cuMemGetAddressRange_v2(&base, &size, q + 12345));
	assert_true(base == q && size == 5 << 20);
	ok(cuMemGetAddressRange_v2(&base, NULL, p + 999));
	assert_true(base == p);
	fails(NOT_FOUND, cuMemGetAddressRange_v2(&base, &size, p + 1000));
	fails(NOT_FOUND, cuMemGetAddressRange_v2(&base, &size, WILD));
	fails(INVALID_VALUE, cuMemFree_v2(p + 256));
	fails(INVALID_VALUE, cuMemFree_v2(WILD));
	ok(cuMemFree_v2(0));
	ok(cuMemFree_v2(p));
	fails(INVALID_VALUE, cuMemFree_v2(p));
	ok(cuMemFree_v2(q));
	ok(cuMemGetInfo_v2(&free1, &total));
	assert_int_equal(free0, free1);
}

static void memory_is_limited_and_reusable(void **state)
{
	CUdeviceptr p[5];
	size_t free0, total;
	int i, round;

	(void)state;
	ok(cuMemGetInfo_v2(&free0, &total));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 4; i++)
			ok(cuMemAlloc_v2(&p[i], total / 5));
		fails(OUT_OF_MEMORY, cuMemAlloc_v2(&p[4], total / 4));
		for (i = 0; i < 4; i++)
			ok(cuMemFree_v2(p[i]));
	}
}

/* Freed and given out again in large blocks, memory reads as zeros. */
static void pages_come_back_clean(void **state)
{
	unsigned char *host = malloc(8 << 20);
	CUdeviceptr p;
	size_t i;

	(void)state;
	ok(cuMemAlloc_v2(&p, 8 << 20));
	ok(cuMemsetD8_v2(p, 0xee, 8 << 20));
	ok(cuMemFree_v2(p));
	ok(cuMemAlloc_v2(&p, 8 << 20));
	ok(cuMemcpyDtoH_v2(host, p, 8 << 20));
	for (i = 0; i < 8 << 20; i++)
		if (host[i])
			fail_msg("byte %zu is not zero", i);
	ok(cuMemFree_v2(p));
	free(host);
}

#define MANY 200000

static void many_allocations(void **state)
{
	CUdeviceptr *p = malloc(MANY * sizeof(*p)), base;
	size_t before, after, total, size, i;

	(void)state;
	ok(cuMemGetInfo_v2(&before, &total));
	for (i = 0; i < MANY; i++)
		ok(cuMemAlloc_v2(&p[i], 1 + i * 37 % 3000));
	for (i = 0; i < MANY; i++) {
		ok(cuMemGetAddressRange_v2(&base, &size, p[i] + i * 37 % 3000));
		assert_true(base == p[i] && size == 1 + i * 37 % 3000);
	}
	for (i = 0; i < MANY; i += 2)
		ok(cuMemFree_v2(p[i]));
	for (i = 1; i < MANY; i += 2)
		ok(cuMemFree_v2(p[i]));
	ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	free(p);
}

static void fill_pattern(unsigned char *p, size_t n, unsigned seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 131 + seed + (i >> 8));
}

static void copies(void **state)
{
	static const size_t sizes[] = { 1, 7, 4096, 65536, 65537, 1 << 20 };
	unsigned char *a = malloc(1 << 20), *b = malloc(1 << 20), *pin = pinned(1 << 20);
	CUdeviceptr p, q;
	CUstream s;
	unsigned i;

	(void)state;
	ok(cuMemAlloc_v2(&p, 1 << 20));
	ok(cuMemAlloc_v2(&q, 1 << 20));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t n = sizes[i];

		fill_pattern(a, n, i);
		ok(cuMemcpyHtoDAsync_v2(p, a, n, s));
		memset(a, 0, n); /* the source was read before the call returned */
		ok(cuMemcpyDtoDAsync_v2(q, p, n, s));
		ok(cuMemcpyDtoHAsync_v2(pin, q, n, s));
		ok(cuMemcpyDtoHAsync_v2(b, q, n, s));
		fill_pattern(a, n, i);
		assert_memory_equal(a, b, n); /* pageable: there when the call returns */
		assert_memory_equal(a, pin, n);
		ok(cuMemcpyHtoD_v2(q, a, n));
		ok(cuMemcpyDtoD_v2(p, q, n));
		ok(cuMemcpy(dptr(b), p, n));
		assert_memory_equal(a, b, n);
	}
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFree_v2(p));
	ok(cuMemFree_v2(q));
	ok(cuMemFreeHost(pin));
	free(a);
	free(b);
}

static void copy_errors(void **state)
{
	unsigned char host[64];
	CUcontext ctx;
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc_v2(&p, 64));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(p, host, 65));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(p + 60, host, 8));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(WILD, host, 8));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(p, NULL, 8));
	fails(INVALID_VALUE, cuMemcpyDtoH_v2(NULL, p, 8));
	fails(INVALID_VALUE, cuMemcpyDtoH_v2(host, WILD, 8));
	fails(INVALID_VALUE, cuMemcpyDtoD_v2(p, WILD, 8));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(p, host, SIZE_MAX));
	fails(INVALID_HANDLE, cuMemcpyHtoDAsync_v2(p, host, 8, (CUstream)0x77));
	ok(cuMemcpyHtoD_v2(p, host, 0));
	ok(cuCtxGetCurrent(&ctx));
	ok(cuMemcpyPeer(p, ctx, p, ctx, 8));
	fails(INVALID_CONTEXT, cuMemcpyPeer(p, NULL, p, ctx, 8));
	ok(cuMemFree_v2(p));
	fails(INVALID_VALUE, cuMemcpyHtoD_v2(p, host, 8));
}

static void fills(void **state)
{
	uint32_t host[256];
	uint16_t *half = (uint16_t *)host;
	uint8_t *byte = (uint8_t *)host;
	CUdeviceptr p;
	int i;

	(void)state;
	ok(cuMemAlloc_v2(&p, sizeof(host)));
	ok(cuMemsetD32_v2(p, 0x01020304, 256));
	ok(cuMemsetD16_v2(p + 8, 0xabcd, 2));
	ok(cuMemsetD8_v2(p + 100, 0x7f, 3));
	ok(cuMemcpyDtoH_v2(host, p, sizeof(host)));
	assert_int_equal(host[0], 0x01020304);
	assert_int_equal(host[255], 0x01020304);
	assert_true(half[4] == 0xabcd && half[5] == 0xabcd && half[6] == 0x0304);
	assert_true(byte[100] == 0x7f && byte[102] == 0x7f && byte[103] == 0x01);
	ok(cuMemsetD2D8_v2(p, 64, 0x11, 10, 16));
	ok(cuMemsetD2D16Async(p + 16, 64, 0x2222, 4, 16, NULL));
	ok(cuMemsetD2D32Async(p + 32, 64, 0x33333333, 2, 16, NULL));
	ok(cuMemcpyDtoH_v2(host, p, sizeof(host)));
	for (i = 0; i < 16; i++) {
		assert_int_equal(byte[i * 64 + 9], 0x11);
		assert_int_equal(byte[i * 64 + 10], i == 0 ? 0xcd : i == 1 ? 2 : byte[i * 64 + 10]);
		assert_int_equal(half[i * 32 + 11], 0x2222);
		assert_int_equal(host[i * 16 + 9], 0x33333333);
	}
	fails(INVALID_VALUE, cuMemsetD32_v2(p + 2, 0, 1));
	fails(INVALID_VALUE, cuMemsetD16_v2(p + 1, 0, 1));
	fails(INVALID_VALUE, cuMemsetD32_v2(p, 0, 257));
	fails(INVALID_VALUE, cuMemsetD32_v2(p, 0, SIZE_MAX));
	fails(INVALID_VALUE, cuMemsetD8_v2(WILD, 0, 1));
	fails(INVALID_VALUE, cuMemsetD2D8_v2(p, 8, 0, 16, 2));
	ok(cuMemsetD8_v2(p, 0, 0));
	ok(cuMemFree_v2(p));
}

static void pitched(void **state)
{
	CUdeviceptr p, base;
	size_t pitch, size;

	(void)state;
	ok(cuMemAllocPitch_v2(&p, &pitch, 1000, 10, 4));
	assert_true(pitch >= 1000 && pitch % 512 == 0);
	ok(cuMemGetAddressRange_v2(&base, &size, p));
	assert_int_equal(size, pitch * 10);
	ok(cuMemFree_v2(p));
	fails(INVALID_VALUE, cuMemAllocPitch_v2(&p, &pitch, 0, 10, 4));
	fails(INVALID_VALUE, cuMemAllocPitch_v2(&p, &pitch, 10, 10, 3));
	fails(INVALID_VALUE, cuMemAllocPitch_v2(&p, NULL, 10, 10, 4));
}

static void host_memory(void **state)
{
	void *p, *q;
	CUdeviceptr d;
	unsigned flags;
	char *block = NULL;

	(void)state;
	fails(INVALID_VALUE, cuMemHostAlloc(&p, 0, 0));
	fails(INVALID_VALUE, cuMemHostAlloc(&p, 16, 0x100));
	fails(INVALID_VALUE, cuMemHostAlloc(NULL, 16, 0));
	ok(cuMemHostAlloc(&p, 10000, CU_MEMHOSTALLOC_PORTABLE));
	ok(cuMemAllocHost_v2(&q, 100));
	memset(p, 1, 10000);
	ok(cuMemHostGetDevicePointer_v2(&d, (char *)p + 5, 0));
	assert_true(d == dptr(p) + 5);
	fails(INVALID_VALUE, cuMemHostGetDevicePointer_v2(&d, p, 1));
	ok(cuMemHostGetFlags(&flags, p));
	assert_true(flags & CU_MEMHOSTALLOC_PORTABLE);
	fails(HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(p, 4096, 0));
	fails(INVALID_VALUE, cuMemFreeHost((char *)p + 1));
	ok(cuMemFreeHost(p));
	ok(cuMemFreeHost(q));
	fails(INVALID_VALUE, cuMemFreeHost(q));

	assert_int_equal(posix_memalign((void **)&block, 4096, 16384), 0);
	ok(cuMemHostRegister_v2(block + 4096, 4096, 0));
	ok(cuMemHostRegister_v2(block + 8192, 4096, 0));
	fails(HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(block, 8192, 0));
	fails(INVALID_VALUE, cuMemHostRegister_v2(NULL, 8192, 0));
	fails(INVALID_VALUE, cuMemHostRegister_v2(block, 0, 0));
	ok(cuMemHostGetDevicePointer_v2(&d, block + 8191, 0));
	fails(INVALID_VALUE, cuMemHostGetDevicePointer_v2(&d, block, 0));
	ok(cuMemsetD8_v2(dptr(block + 4096), 9, 8192)); /* across two pieces */
	fails(INVALID_VALUE, cuMemsetD8_v2(dptr(block + 4096), 9, 8193));
	ok(cuCtxSynchronize());
	assert_true(block[4096] == 9 && block[12287] == 9);
	fails(HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(block));
	ok(cuMemHostUnregister(block + 4096));
	ok(cuMemHostUnregister(block + 8192));
	fails(HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(block + 8192));
	free(block);
}

static void pointer_attributes(void **state)
{
	CUpointer_attribute which[] = { CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
					CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL };
	CUcontext ctx, now;
	unsigned type, managed;
	CUdeviceptr p, d;
	void *host, *data[] = { &ctx, &type, &d, &host, &managed, &now };
	int ordinal;

	(void)state;
	data[5] = &ordinal;
	ok(cuCtxGetCurrent(&now));
	ok(cuMemAlloc_v2(&p, 64));
	ok(cuPointerGetAttributes(6, which, data, p + 3));
	assert_ptr_equal(ctx, now);
	assert_true(type == CU_MEMORYTYPE_DEVICE && d == p + 3 && !host && !managed && ordinal == 0);
	ok(cuPointerGetAttributes(6, which, data, dptr(&type)));
	assert_true(!ctx && !type && !d && !host && !managed && ordinal == CU_DEVICE_INVALID);
	fails(INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, dptr(&type)));
	fails(INVALID_VALUE, cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
	fails(INVALID_VALUE, cuPointerGetAttribute(&type, (CUpointer_attribute)99, p));
	fails(INVALID_VALUE, cuPointerGetAttributes(0, which, data, p));
	ok(cuMemFree_v2(p));
	host = pinned(64);
	ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, dptr(host)));
	assert_int_equal(type, CU_MEMORYTYPE_HOST);
	ok(cuMemFreeHost(host));
	ok(cuMemAllocManaged(&p, 64, CU_MEM_ATTACH_GLOBAL));
	*(int *)(uintptr_t)p = 5; /* the host may touch it */
	ok(cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, p));
	assert_int_equal(managed, 1);
	fails(INVALID_VALUE, cuMemAllocManaged(&d, 64, 9));
	ok(cuMemFree_v2(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alloc_and_free),
		cmocka_unit_test(memory_is_limited_and_reusable),
		cmocka_unit_test(pages_come_back_clean),
		cmocka_unit_test(many_allocations),
		cmocka_unit_test(copies),
		cmocka_unit_test(copy_errors),
		cmocka_unit_test(fills),
		cmocka_unit_test(pitched),
		cmocka_unit_test(host_memory),
		cmocka_unit_test(pointer_attributes),
	};

	return cmocka_run_group_tests(tests, soft_test_begin, soft_test_end);
}
