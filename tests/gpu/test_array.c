/* SPDX-License-Identifier: MIT */
/* CUDA arrays: what they say of themselves, and copies between them, memory of the device and all kinds of host memory. */
#include "gpu_test.h"

static CUarray array_of(size_t width, size_t height, size_t depth, CUarray_format format, unsigned channels,
			unsigned flags)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = width, .Height = height, .Depth = depth, .Format = format,
				      .NumChannels = channels, .Flags = flags };
	CUarray a = NULL;

	ok(cuArray3DCreate(&a, &d));
	assert_non_null(a);
	return a;
}

static void descriptors(void **state)
{
	CUDA_ARRAY_DESCRIPTOR two = { .Width = 37, .Height = 11, .Format = CU_AD_FORMAT_HALF, .NumChannels = 4 }, got2;
	CUDA_ARRAY3D_DESCRIPTOR got3;
	CUarray a;

	(void)state;
	ok(cuArrayCreate(&a, &two));
	ok(cuArrayGetDescriptor(&got2, a));
	assert_int_equal(got2.Width, 37);
	assert_int_equal(got2.Height, 11);
	assert_int_equal(got2.Format, CU_AD_FORMAT_HALF);
	assert_int_equal(got2.NumChannels, 4);
	ok(cuArray3DGetDescriptor(&got3, a));
	assert_int_equal(got3.Width, 37);
	assert_int_equal(got3.Height, 11);
	assert_int_equal(got3.Depth, 0);
	ok(cuArrayDestroy(a));

	a = array_of(16, 8, 4, CU_AD_FORMAT_SIGNED_INT16, 2, CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST);
	ok(cuArray3DGetDescriptor(&got3, a));
	assert_int_equal(got3.Width, 16);
	assert_int_equal(got3.Height, 8);
	assert_int_equal(got3.Depth, 4);
	assert_int_equal(got3.Format, CU_AD_FORMAT_SIGNED_INT16);
	assert_int_equal(got3.NumChannels, 2);
	assert_int_equal(got3.Flags & CUDA_ARRAY3D_LAYERED, CUDA_ARRAY3D_LAYERED);
	ok(cuArrayDestroy(a));
}

static void wrong_descriptors(void **state)
{
	CUDA_ARRAY_DESCRIPTOR d = { .Width = 8, .Height = 8, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUarray a;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, NULL));
	d.NumChannels = 3;
	expect(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, &d));
	d.NumChannels = 1;
	d.Width = 0;
	expect(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, &d));
	d.Width = (size_t)1 << 60;
	expect(CUDA_ERROR_INVALID_VALUE, cuArrayCreate(&a, &d));
}

static void one_dimension(void **state)
{
	size_t n = 1000 * 8;
	uint8_t *src = gpu_random(n, 3), *dst = calloc(1, n);
	CUarray a = array_of(1000, 0, 0, CU_AD_FORMAT_UNSIGNED_INT32, 2, 0), b;
	CUdeviceptr p;
	CUstream s;

	(void)state;
	b = array_of(1000, 0, 0, CU_AD_FORMAT_UNSIGNED_INT32, 2, 0);
	ok(cuMemAlloc(&p, n));
	ok(cuMemcpyHtoA(a, 0, src, n));
	ok(cuMemcpyAtoA(b, 80, a, 0, n - 80));
	ok(cuMemcpyAtoA(b, 0, a, n - 80, 80));
	ok(cuMemcpyAtoD(p, b, 0, n));
	ok(cuMemcpyDtoH(dst, p, n));
	assert_memory_equal(dst, src + n - 80, 80);
	assert_memory_equal(dst + 80, src, n - 80);

	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemcpyDtoA(a, 8, p, n - 8));
	ok(cuMemcpyHtoAAsync(a, 0, src, 8, s));
	ok(cuStreamSynchronize(s));
	memset(src, 0, n);
	ok(cuMemcpyAtoHAsync(src, a, 8, n - 8, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(src, dst, n - 8);
	ok(cuStreamDestroy(s));
	ok(cuMemFree(p));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(b));
	free(src);
	free(dst);
}

/* Out of one kind of host memory into an array of @width x @height floats, and back by another way. */
static void two_dimensions_of(size_t width, size_t height, uint8_t *src, uint8_t *dst)
{
	CUarray a = array_of(width, height, 0, CU_AD_FORMAT_FLOAT, 1, 0);
	size_t row = width * 4, pitch = row + 12;
	CUDA_MEMCPY2D c = { 0 };

	for (size_t i = 0; i < pitch * height; i++)
		src[i] = (uint8_t)(i * 7 + i / pitch);
	memset(dst, 0xee, pitch * height);
	c.srcMemoryType = CU_MEMORYTYPE_HOST;
	c.srcHost = src;
	c.srcPitch = pitch;
	c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
	c.dstArray = a;
	c.WidthInBytes = row;
	c.Height = height;
	ok(cuMemcpy2D(&c));
	/* Without the first row and the first element. */
	c = (CUDA_MEMCPY2D){ .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a, .srcXInBytes = 4, .srcY = 1,
			     .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst, .dstPitch = pitch, .dstXInBytes = 8,
			     .WidthInBytes = row - 4, .Height = height - 1 };
	ok(cuMemcpy2D(&c));
	for (size_t y = 0; y + 1 < height; y++) {
		assert_memory_equal(dst + y * pitch + 8, src + (y + 1) * pitch + 4, row - 4);
		for (size_t x = 0; x < 8; x++)
			assert_int_equal(dst[y * pitch + x], 0xee);
	}
	ok(cuArrayDestroy(a));
}

static void two_dimensions(void **state)
{
	/* The last is wider than what is copied at once. */
	static const size_t sizes[][2] = { { 5, 3 }, { 640, 480 }, { 32768, 3 }, { 131072, 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = (sizes[i][0] * 4 + 12) * sizes[i][1];
		uint8_t *pageable[2] = { malloc(bytes), malloc(bytes) }, *pinned[2];

		ok(cuMemAllocHost((void **)&pinned[0], bytes));
		ok(cuMemAllocHost((void **)&pinned[1], bytes));
		two_dimensions_of(sizes[i][0], sizes[i][1], pageable[0], pageable[1]);
		two_dimensions_of(sizes[i][0], sizes[i][1], pinned[0], pinned[1]);
		two_dimensions_of(sizes[i][0], sizes[i][1], pageable[0], pinned[1]);
		ok(cuMemFreeHost(pinned[0]));
		ok(cuMemFreeHost(pinned[1]));
		free(pageable[0]);
		free(pageable[1]);
	}
}

enum { W = 20, H = 9, D = 5, ROW = W * 4 };

/* The box of elements (x, y, z) + (w, h, d) of a volume of W x H x D, moved to the origin. */
static void expect_box(const uint8_t *got, const uint8_t *volume, size_t x, size_t y, size_t z, size_t w, size_t h,
		       size_t d)
{
	for (size_t k = 0; k < d; k++)
		for (size_t j = 0; j < h; j++)
			assert_memory_equal(got + (k * h + j) * w * 4,
					    volume + (((z + k) * H + y + j) * W + x) * 4, w * 4);
}

static void three_dimensions(void **state)
{
	uint8_t *src = gpu_random(ROW * H * D, 5), *dst = calloc(1, ROW * H * D);
	CUarray a = array_of(W, H, D, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0), b;
	CUDA_MEMCPY3D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = src, .srcPitch = ROW, .srcHeight = H,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a,
			    .WidthInBytes = ROW, .Height = H, .Depth = D };
	CUdeviceptr p;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, 0));
	ok(cuMemAlloc(&p, ROW * H * D));
	ok(cuMemcpy3D(&c));
	/* A box of it to the device, packed. */
	c = (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a, .srcXInBytes = 8, .srcY = 2, .srcZ = 1,
			     .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p, .dstPitch = 40, .dstHeight = 6,
			     .WidthInBytes = 40, .Height = 6, .Depth = 3 };
	ok(cuMemcpy3DAsync(&c, s));
	ok(cuMemcpyDtoHAsync(dst, p, 40 * 6 * 3, s));
	ok(cuStreamSynchronize(s));
	expect_box(dst, src, 2, 2, 1, 10, 6, 3);
	/* Array to array, then all of it home. */
	b = array_of(W, H, D, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0);
	c = (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a,
			     .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = b,
			     .WidthInBytes = ROW, .Height = H, .Depth = D };
	ok(cuMemcpy3DAsync(&c, s));
	c = (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = b,
			     .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst, .dstPitch = ROW, .dstHeight = H,
			     .WidthInBytes = ROW, .Height = H, .Depth = D };
	memset(dst, 0, ROW * H * D);
	ok(cuMemcpy3DAsync(&c, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(dst, src, ROW * H * D);
	ok(cuMemFree(p));
	ok(cuStreamDestroy(s));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(b));
	free(src);
	free(dst);
}

static void peer_form(void **state)
{
	uint8_t *src = gpu_random(ROW * H, 6), *dst = calloc(1, ROW * H);
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0);
	CUDA_MEMCPY3D_PEER c = { .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = ROW, .srcHeight = H,
				 .srcContext = gpu_context(), .dstContext = gpu_context(),
				 .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a,
				 .WidthInBytes = ROW, .Height = H, .Depth = 1 };
	CUDA_MEMCPY2D back = { .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a,
			       .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst, .dstPitch = ROW,
			       .WidthInBytes = ROW, .Height = H };
	CUdeviceptr p;

	(void)state;
	ok(cuMemAlloc(&p, ROW * H));
	ok(cuMemcpyHtoD(p, src, ROW * H));
	c.srcDevice = p;
	ok(cuMemcpy3DPeer(&c));
	ok(cuMemcpy2D(&back));
	assert_memory_equal(dst, src, ROW * H);
	c.srcLOD = 1;	/* means nothing */
	ok(cuMemcpy3DPeer(&c));
	c.srcHeight = H - 1;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DPeer(&c));
	c.srcHeight = H;
	c.dstArray = NULL;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy3DPeer(&c));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoA(NULL, 0, p, 64));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyAtoD(p, NULL, 0, 64));
	ok(cuMemFree(p));
	ok(cuArrayDestroy(a));
	free(src);
	free(dst);
}

static void wrong_copies(void **state)
{
	CUarray a = array_of(16, 4, 0, CU_AD_FORMAT_FLOAT, 1, 0), line = array_of(16, 0, 0, CU_AD_FORMAT_FLOAT, 1, 0);
	uint8_t buf[16 * 4 * 5];
	CUDA_MEMCPY2D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = buf, .srcPitch = 64,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a, .WidthInBytes = 64, .Height = 5 };

	(void)state;
	memset(buf, 0, sizeof(buf));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	c.Height = 4;
	c.dstXInBytes = 4;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	c.dstXInBytes = 0;
	c.dstY = 1;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	c.dstY = 0;
	ok(cuMemcpy2D(&c));
	c.dstArray = NULL;
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoA(line, 4, buf, 64));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(line));
}

static void mipmaps(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = 64, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 }, got;
	CUDA_MEMCPY2D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .dstMemoryType = CU_MEMORYTYPE_ARRAY };
	float src[8 * 2], dst[8 * 2] = { 0 };
	CUmipmappedArray m;
	CUarray level;

	(void)state;
	ok(cuMipmappedArrayCreate(&m, &d, 5));
	for (unsigned i = 0; i < 5; i++) {
		ok(cuMipmappedArrayGetLevel(&level, m, i));
		ok(cuArray3DGetDescriptor(&got, level));
		assert_int_equal(got.Width, 64 >> i);
		assert_int_equal(got.Height, 16 >> i);
	}
	expect(CUDA_ERROR_INVALID_VALUE, cuMipmappedArrayGetLevel(&level, m, 5));
	ok(cuMipmappedArrayGetLevel(&level, m, 3));
	for (int i = 0; i < 16; i++)
		src[i] = (float)i;
	c.srcHost = src;
	c.srcPitch = 32;
	c.dstArray = level;
	c.WidthInBytes = 32;
	c.Height = 2;
	ok(cuMemcpy2D(&c));
	c = (CUDA_MEMCPY2D){ .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = level,
			     .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst, .dstPitch = 32,
			     .WidthInBytes = 32, .Height = 2 };
	ok(cuMemcpy2D(&c));
	assert_memory_equal(src, dst, sizeof(src));
	ok(cuMipmappedArrayDestroy(m));
}

static void batches(void **state)
{
	enum { N = 3, BYTES = 4096 };
	uint8_t *host = gpu_random(N * BYTES, 11), *back = calloc(N, BYTES);
	CUmemcpyAttributes attrs[2] = { { .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM },
					{ .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL } };
	size_t from[2] = { 0, 2 }, sizes[N] = { BYTES, 100, BYTES - 1 };
	CUdeviceptr device[N], src[N], dst[N], p;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&p, N * BYTES));
	for (size_t i = 0; i < N; i++) {
		src[i] = (uintptr_t)(host + i * BYTES);
		device[i] = p + i * BYTES;
		dst[i] = (uintptr_t)(back + i * BYTES);
	}
	ok(cuMemcpyBatchAsync(device, src, sizes, N, attrs, from, 2, s));
	ok(cuMemcpyBatchAsync(dst, device, sizes, N, attrs, from, 1, s));
	ok(cuStreamSynchronize(s));
	for (size_t i = 0; i < N; i++)
		assert_memory_equal(back + i * BYTES, host + i * BYTES, sizes[i]);
	expect(CUDA_ERROR_INVALID_VALUE, cuMemcpyBatchAsync(device, src, sizes, 0, attrs, from, 1, s));
	ok(cuMemFree(p));
	ok(cuStreamDestroy(s));
	free(host);
	free(back);
}

static void batches_of_boxes(void **state)
{
	uint8_t *host = gpu_random(ROW * H, 12), *back = calloc(1, ROW * H);
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0);
	CUDA_MEMCPY3D_BATCH_OP op = { .extent = { W, H, 1 }, .srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM };
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	op.src.type = CU_MEMCPY_OPERAND_TYPE_POINTER;
	op.src.op.ptr.ptr = (uintptr_t)host;
	op.dst.type = CU_MEMCPY_OPERAND_TYPE_ARRAY;
	op.dst.op.array.array = a;
	ok(cuMemcpy3DBatchAsync(1, &op, 0, s));
	op.dst = (CUmemcpy3DOperand){ .type = CU_MEMCPY_OPERAND_TYPE_POINTER, .op.ptr.ptr = (uintptr_t)back };
	op.src = (CUmemcpy3DOperand){ .type = CU_MEMCPY_OPERAND_TYPE_ARRAY, .op.array.array = a };
	op.src.op.array.offset.y = 2;
	op.extent.height = H - 2;
	ok(cuMemcpy3DBatchAsync(1, &op, 0, s));
	ok(cuStreamSynchronize(s));
	assert_memory_equal(back, host + 2 * ROW, ROW * (H - 2));
	ok(cuStreamDestroy(s));
	ok(cuArrayDestroy(a));
	free(host);
	free(back);
}

/* What is destroyed comes back: 16 GiB, half of which would be missed, whatever other processes take at the same time. */
static void given_back(void **state)
{
	size_t before, after;

	(void)state;
	ok(cuMemGetInfo(&before, NULL));
	for (int i = 0; i < 64; i++)
		ok(cuArrayDestroy(array_of(4096, 4096, 0, CU_AD_FORMAT_FLOAT, 4, 0)));
	ok(cuMemGetInfo(&after, NULL));
	assert_true(after + ((size_t)8 << 30) > before);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors),	    cmocka_unit_test(wrong_descriptors),
		cmocka_unit_test(one_dimension),    cmocka_unit_test(two_dimensions),
		cmocka_unit_test(three_dimensions), cmocka_unit_test(peer_form),
		cmocka_unit_test(wrong_copies),	    cmocka_unit_test(mipmaps),
		cmocka_unit_test(batches),	    cmocka_unit_test(batches_of_boxes),
		cmocka_unit_test(given_back),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("arrays", tests, gpu_setup, gpu_teardown);
}
