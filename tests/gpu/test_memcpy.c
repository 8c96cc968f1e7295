/* SPDX-License-Identifier: MIT */
/* Copies in all directions, sizes and forms; memset; wrong arguments. */
#include "gpu_test.h"

static const size_t sizes[] = { 1, 3, 8, 63, 64, 4095, 65536, 65537, 1 << 20, (5 << 20) + 17 };

static void round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];
		uint8_t *src = gpu_random(n, (uint32_t)n), *dst = calloc(1, n);
		CUdeviceptr a, b;

		ok(cuMemAlloc(&a, n));
		ok(cuMemAlloc(&b, n));
		ok(cuMemcpyHtoD(a, src, n));
		ok(cuMemcpyDtoD(b, a, n));
		ok(cuMemcpyDtoH(dst, b, n));
		assert_memory_equal(src, dst, n);
		memset(dst, 0, n);
		ok(cuMemcpy((uintptr_t)dst, a, n));
		assert_memory_equal(src, dst, n);
		ok(cuMemFree(a));
		ok(cuMemFree(b));
		free(src);
		free(dst);
	}
}

static void async_forms(void **state)
{
	size_t n = (3 << 20) + 5;
	uint8_t *src = gpu_random(n, 7), *dst = calloc(1, n), *pin;
	CUdeviceptr a, b;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&a, n));
	ok(cuMemAlloc(&b, n));
	ok(cuMemAllocHost((void **)&pin, n));
	memcpy(pin, src, n);
	ok(cuMemcpyHtoDAsync(a, pin, n, s));
	ok(cuMemcpyDtoDAsync(b, a, n, s));
	ok(cuStreamSynchronize(s));
	memset(pin, 0, n);
	ok(cuMemcpyDtoHAsync(pin, b, n, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(pin, src, n);

	/* Pageable: the source may be reused as soon as the call is back. */
	ok(cuMemcpyHtoDAsync(a, src, n, s));
	memset(src, 0xee, n);
	ok(cuMemcpyDtoHAsync(dst, a, n, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(pin, dst, n);
	ok(cuMemcpyAsync(b, (uintptr_t)pin, n, s));
	ok(cuMemcpyAsync((uintptr_t)dst, b, n, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(pin, dst, n);
	ok(cuMemFreeHost(pin));
	ok(cuMemFree(a));
	ok(cuMemFree(b));
	ok(cuStreamDestroy(s));
	free(src);
	free(dst);
}

/*
 * A synchronous copy has arrived when the call is back: also for streams that the default stream does not order. The driver
 * may return while the last piece is under way; ours waits, since what little time that is natively programs do not notice.
 */
static void arrived(void **state)
{
	size_t n = 4 << 20;
	uint8_t *src = gpu_random(n, 11), *dst = calloc(1, n);
	CUdeviceptr a, b;
	CUstream s;

	(void)state;
	if (!getenv("VGPU_TEST_NEEDS_DEVICE"))	/* set where a mediator is */
		skip();
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&a, n));
	ok(cuMemAlloc(&b, n));
	for (int i = 0; i < 5; i++) {
		src[n - 1] = (uint8_t)i;
		ok(cuMemcpyHtoD(a, src, n));
		ok(cuMemcpyDtoDAsync(b, a + n - 4096, 4096, s));
		ok(cuMemcpyDtoHAsync(dst, b, 4096, s));
		ok(cuStreamSynchronize(s));
		assert_memory_equal(dst, src + n - 4096, 4096);
	}
	ok(cuMemFree(a));
	ok(cuMemFree(b));
	ok(cuStreamDestroy(s));
	free(src);
	free(dst);
}

static void registered(void **state)
{
	size_t n = 1 << 20;
	uint8_t *src = gpu_random(n, 9), *dst = calloc(1, n);
	CUdeviceptr a;

	(void)state;
	ok(cuMemHostRegister(src, n, 0));
	ok(cuMemHostRegister(dst, n, 0));
	ok(cuMemAlloc(&a, n));
	ok(cuMemcpyHtoD(a, src, n));
	ok(cuMemcpyDtoH(dst, a, n));
	assert_memory_equal(src, dst, n);
	ok(cuMemHostUnregister(src));
	ok(cuMemHostUnregister(dst));
	ok(cuMemFree(a));
	free(src);
	free(dst);
}

static void wrong(void **state)
{
	uint8_t buf[64];
	CUdeviceptr a;

	(void)state;
	ok(cuMemAlloc(&a, 64));
	ok(cuMemcpyHtoD(a, buf, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(a, NULL, 16));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(NULL, a, 16));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(0, buf, 16));
	ok(cuMemFree(a));
}

static void memset_forms(void **state)
{
	uint8_t out[256];
	CUdeviceptr a;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, 0));
	ok(cuMemAlloc(&a, 256));
	ok(cuMemsetD8(a, 0x11, 256));
	ok(cuMemsetD16(a + 32, 0x2222, 8));
	ok(cuMemsetD32(a + 64, 0x33333333, 4));
	ok(cuMemsetD2D8(a + 128, 16, 0x44, 4, 3));
	ok(cuMemcpyDtoH(out, a, 256));
	for (int i = 0; i < 256; i++) {
		uint8_t want = 0x11;

		if (i >= 32 && i < 48)
			want = 0x22;
		if (i >= 64 && i < 80)
			want = 0x33;
		if (i >= 128 && i < 128 + 48 && (i & 15) < 4)
			want = 0x44;
		assert_int_equal(out[i], want);
	}
	ok(cuMemsetD8Async(a, 0x55, 256, s));
	ok(cuMemcpyDtoHAsync(out, a, 256, s));
	ok(cuStreamSynchronize(s));
	for (int i = 0; i < 256; i++)
		assert_int_equal(out[i], 0x55);
	expect(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(a + 1, 0, 4));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(0, 0, 4));
	ok(cuMemFree(a));
	ok(cuStreamDestroy(s));
}

static void two_dimensions(void **state)
{
	enum { W = 300, H = 41, HP = 320 };
	uint8_t *src = gpu_random(HP * H, 3), *dst = calloc(HP, H);
	CUDA_MEMCPY2D c = { 0 };
	CUdeviceptr a;
	size_t pitch;

	(void)state;
	ok(cuMemAllocPitch(&a, &pitch, W, H, 4));
	c.srcMemoryType = CU_MEMORYTYPE_HOST;
	c.srcHost = src;
	c.srcPitch = HP;
	c.srcXInBytes = 2;
	c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	c.dstDevice = a;
	c.dstPitch = pitch;
	c.dstXInBytes = 4;
	c.dstY = 1;
	c.WidthInBytes = W - 10;
	c.Height = H - 1;
	ok(cuMemcpy2D(&c));
	memset(&c, 0, sizeof(c));
	c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	c.srcDevice = a;
	c.srcPitch = pitch;
	c.srcXInBytes = 4;
	c.srcY = 1;
	c.dstMemoryType = CU_MEMORYTYPE_HOST;
	c.dstHost = dst;
	c.dstPitch = HP;
	c.WidthInBytes = W - 10;
	c.Height = H - 1;
	ok(cuMemcpy2DUnaligned(&c));
	for (int y = 0; y < H - 1; y++)
		assert_memory_equal(dst + y * HP, src + y * HP + 2, W - 10);
	c.dstPitch = 5;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	/* A row that runs over into the next. */
	c = (CUDA_MEMCPY2D){ .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = src, .srcPitch = HP,
			     .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = a, .dstPitch = pitch,
			     .dstXInBytes = pitch - W + 1, .WidthInBytes = W, .Height = 2 };
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D32(a, 63, 0, 4, 2));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(NULL));
	ok(cuMemFree(a));
	free(src);
	free(dst);
}

static void three_dimensions(void **state)
{
	enum { W = 17, H = 5, D = 4 };
	uint8_t *src = gpu_random(W * H * D, 5), dst[W * H * D] = { 0 };
	CUDA_MEMCPY3D c = { 0 };
	CUdeviceptr a;

	(void)state;
	ok(cuMemAlloc(&a, 32 * 8 * D));
	c.srcMemoryType = CU_MEMORYTYPE_HOST;
	c.srcHost = src;
	c.srcPitch = W;
	c.srcHeight = H;
	c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	c.dstDevice = a;
	c.dstPitch = 32;
	c.dstHeight = 8;
	c.WidthInBytes = W;
	c.Height = H;
	c.Depth = D;
	ok(cuMemcpy3D(&c));
	memset(&c, 0, sizeof(c));
	c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	c.srcDevice = a;
	c.srcPitch = 32;
	c.srcHeight = 8;
	c.dstMemoryType = CU_MEMORYTYPE_HOST;
	c.dstHost = dst;
	c.dstPitch = W;
	c.dstHeight = H;
	c.WidthInBytes = W;
	c.Height = H;
	c.Depth = D;
	ok(cuMemcpy3D(&c));
	assert_memory_equal(src, dst, sizeof(dst));
	ok(cuMemFree(a));
	free(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(async_forms),
		cmocka_unit_test(arrived),
		cmocka_unit_test(registered),
		cmocka_unit_test(wrong),
		cmocka_unit_test(memset_forms),
		cmocka_unit_test(two_dimensions),
		cmocka_unit_test(three_dimensions),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("memcpy", tests, gpu_setup, gpu_teardown);
}
