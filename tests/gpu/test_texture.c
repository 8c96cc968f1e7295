/* SPDX-License-Identifier: MIT */
/*
 * Textures and surfaces, from kernels: formats, address modes, filtering, layers, levels, boundaries. Places and
 * contents are chosen so that the documented arithmetic has one exact answer.
 */
#include <math.h>

#include "gpu_test.h"

enum { W = 16, H = 8 };

static CUmodule module;

static CUarray array_of(size_t width, size_t height, size_t depth, CUarray_format format, unsigned channels,
			unsigned flags)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = width, .Height = height, .Depth = depth, .Format = format,
				      .NumChannels = channels, .Flags = flags };
	CUarray a = NULL;

	ok(cuArray3DCreate(&a, &d));
	return a;
}

static void fill(CUarray a, const void *data, size_t row, size_t height, size_t depth)
{
	CUDA_MEMCPY3D c = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = data, .srcPitch = row, .srcHeight = height,
			    .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = a,
			    .WidthInBytes = row, .Height = height, .Depth = depth };

	ok(cuMemcpy3D(&c));
}

static void fetch_back(CUarray a, void *data, size_t row, size_t height, size_t depth)
{
	CUDA_MEMCPY3D c = { .srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = a,
			    .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = data, .dstPitch = row, .dstHeight = height,
			    .WidthInBytes = row, .Height = height, .Depth = depth };

	ok(cuMemcpy3D(&c));
}

static CUtexObject texture_of(CUarray a, CUaddress_mode mode, CUfilter_mode filter, unsigned flags)
{
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = a };
	CUDA_TEXTURE_DESC d = { .addressMode = { mode, mode, mode }, .filterMode = filter, .flags = flags,
				.borderColor = { 77, 78, 79, 80 } };
	CUtexObject t = 0;

	ok(cuTexObjectCreate(&t, &r, &d, NULL));
	assert_true(t != 0);
	return t;
}

static CUsurfObject surface_of(CUarray a)
{
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = a };
	CUsurfObject s = 0;

	ok(cuSurfObjectCreate(&s, &r));
	return s;
}

/* Runs a reading kernel at @n places of @place bytes each; the results, @result bytes each, come to @out. */
static void read_at(const char *kernel, CUtexObject t, const void *at, size_t place, void *out, size_t result, int n)
{
	CUdeviceptr from, to;
	void *args[] = { &t, &to, &from, &n };
	CUfunction f;

	ok(cuModuleGetFunction(&f, module, kernel));
	ok(cuMemAlloc(&from, place * (size_t)n));
	ok(cuMemAlloc(&to, result * (size_t)n));
	ok(cuMemcpyHtoD(from, at, place * (size_t)n));
	ok(cuLaunchKernel(f, ((unsigned)n + 63) / 64, 1, 1, 64, 1, 1, 0, 0, args, NULL));
	ok(cuMemcpyDtoH(out, to, result * (size_t)n));
	ok(cuMemFree(from));
	ok(cuMemFree(to));
}

static void launch(const char *kernel, unsigned blocks, unsigned threads, void **args)
{
	CUfunction f;

	ok(cuModuleGetFunction(&f, module, kernel));
	ok(cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, 0, 0, args, NULL));
	ok(cuCtxSynchronize());
}

static void linear_memory(void **state)
{
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_LINEAR };
	CUDA_TEXTURE_DESC d = { .flags = CU_TRSF_READ_AS_INTEGER };
	int16_t data[64][2];
	int out[64][4], first = 3, n = 61;
	CUtexObject t;
	CUdeviceptr p, to;
	void *args[] = { &t, &to, &first, &n };

	(void)state;
	for (int i = 0; i < 64; i++) {
		data[i][0] = (int16_t)(i * 100 - 3000);
		data[i][1] = (int16_t)-i;
	}
	ok(cuMemAlloc(&p, sizeof(data)));
	ok(cuMemAlloc(&to, sizeof(out)));
	ok(cuMemcpyHtoD(p, data, sizeof(data)));
	r.res.linear.devPtr = p;
	r.res.linear.format = CU_AD_FORMAT_SIGNED_INT16;
	r.res.linear.numChannels = 2;
	r.res.linear.sizeInBytes = sizeof(data);
	ok(cuTexObjectCreate(&t, &r, &d, NULL));
	launch("read_linear", 1, 64, args);
	ok(cuMemcpyDtoH(out, to, (size_t)n * sizeof(out[0])));
	for (int i = 0; i < n; i++) {
		assert_int_equal(out[i][0], data[i + 3][0]);
		assert_int_equal(out[i][1], data[i + 3][1]);
	}
	ok(cuTexObjectDestroy(t));
	ok(cuMemFree(p));
	ok(cuMemFree(to));
}

/* Which element stands for number @i of @n; -1: the border. */
static int settle(int i, int n, CUaddress_mode mode)
{
	if (i >= 0 && i < n)
		return i;
	switch (mode) {
	case CU_TR_ADDRESS_MODE_WRAP:
		return ((i % n) + n) % n;
	case CU_TR_ADDRESS_MODE_MIRROR:
		i = ((i % (2 * n)) + 2 * n) % (2 * n);
		return i < n ? i : 2 * n - 1 - i;
	case CU_TR_ADDRESS_MODE_BORDER:
		return -1;
	default:
		return i < 0 ? 0 : n - 1;
	}
}

static float element(const float *line, int i, CUaddress_mode mode)
{
	i = settle(i, W, mode);
	return i < 0 ? 77 : line[i];
}

/*
 * What a filter makes of a line at x, in elements. The line is a plane of one row, read at its upper edge: with a border,
 * half of every value is the border above it.
 */
static float filtered(const float *line, float x, CUaddress_mode mode)
{
	float whole = floorf(x - 0.5f), part = x - 0.5f - whole;
	float v = (1 - part) * element(line, (int)whole, mode) + part * element(line, (int)whole + 1, mode);

	return mode == CU_TR_ADDRESS_MODE_BORDER ? (v + 77) / 2 : v;
}

/* Steps of an eighth of an element, from one width before the texture to one behind it. */
static void address_modes(void **state)
{
	enum { N = 3 * W * 8 };
	static float line[W], at[N], out[N][4];
	CUarray a = array_of(W, 0, 0, CU_AD_FORMAT_FLOAT, 1, 0);

	(void)state;
	for (int i = 0; i < W; i++)
		line[i] = (float)(i * i);
	fill(a, line, sizeof(line), 1, 1);
	for (CUaddress_mode mode = CU_TR_ADDRESS_MODE_WRAP; mode <= CU_TR_ADDRESS_MODE_BORDER; mode++) {
		for (int linear = 0; linear < 2; linear++) {
			CUtexObject t = texture_of(a, mode, (CUfilter_mode)linear, CU_TRSF_NORMALIZED_COORDINATES);

			/* In the middle of an eighth, so that no rounding decides. */
			for (int i = 0; i < N; i++)
				at[i] = ((float)(i - W * 8) + (linear ? 0 : 0.5f)) / (8 * W);
			read_at("read_1d", t, at, sizeof(at[0]), out, sizeof(out[0]), N);
			for (int i = 0; i < N; i++) {
				float want = linear ? filtered(line, at[i] * W, mode) :
						      element(line, (int)floorf(at[i] * W), mode);

				assert_true(fabsf(out[i][0] - want) < 1e-3f);
			}
			ok(cuTexObjectDestroy(t));
		}
	}
	ok(cuArrayDestroy(a));
}

static void two_dimensions(void **state)
{
	enum { N = 64 };
	static float data[H][W][4], at[N][2], out[N][4];
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_FLOAT, 4, 0);
	CUtexObject t;

	(void)state;
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			for (int c = 0; c < 4; c++)
				data[y][x][c] = (float)(x * 4 + y * 128 + c * 1024);
	fill(a, data, sizeof(data[0]), H, 1);
	t = texture_of(a, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
	for (int i = 0; i < N; i++) {
		at[i][0] = 0.5f + (float)(i * 7 % 60) * 0.25f;
		at[i][1] = 0.5f + (float)(i * 3 % 28) * 0.25f;
	}
	read_at("read_2d", t, at, sizeof(at[0]), out, sizeof(out[0]), N);
	for (int i = 0; i < N; i++)
		for (int c = 0; c < 4; c++)	/* the contents are linear, so the middle of elements is, too */
			assert_true(fabsf(out[i][c] - ((at[i][0] - 0.5f) * 4 + (at[i][1] - 0.5f) * 128 + (float)c * 1024)) <
				    1e-2f);
	ok(cuTexObjectDestroy(t));
	ok(cuArrayDestroy(a));
}

/* One element of each format, read as it is and as a float between -1 or 0 and 1. */
static void formats(void **state)
{
	static const uint8_t bytes[4] = { 0, 51, 255, 128 };
	static const int8_t signs[4] = { -128, -127, 127, 0 };
	static const uint16_t halves[4] = { 0x3c00, 0xc000, 0x3555, 0x7bff };	/* 1, -2, 0.33325195, 65504 */
	static const float half_values[4] = { 1, -2, 0.33325195f, 65504 };
	const float at[2] = { 0.5f, 0.5f };
	CUarray u = array_of(1, 1, 0, CU_AD_FORMAT_UNSIGNED_INT8, 4, 0), s = array_of(1, 1, 0, CU_AD_FORMAT_SIGNED_INT8, 4, 0);
	CUarray h = array_of(1, 1, 0, CU_AD_FORMAT_HALF, 4, 0);
	CUtexObject t;
	float f[4];
	int v[4];

	(void)state;
	fill(u, bytes, 4, 1, 1);
	fill(s, signs, 4, 1, 1);
	fill(h, halves, 8, 1, 1);
	t = texture_of(u, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, CU_TRSF_READ_AS_INTEGER);
	read_at("read_2d_int", t, at, sizeof(at), v, sizeof(v), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(v[i], bytes[i]);
	ok(cuTexObjectDestroy(t));
	t = texture_of(s, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, CU_TRSF_READ_AS_INTEGER);
	read_at("read_2d_int", t, at, sizeof(at), v, sizeof(v), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(v[i], signs[i]);
	ok(cuTexObjectDestroy(t));
	t = texture_of(u, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, 0);
	read_at("read_2d", t, at, sizeof(at), f, sizeof(f), 1);
	for (int i = 0; i < 4; i++)
		assert_true(fabsf(f[i] - (float)bytes[i] / 255) < 1e-6f);
	ok(cuTexObjectDestroy(t));
	t = texture_of(s, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, 0);
	read_at("read_2d", t, at, sizeof(at), f, sizeof(f), 1);
	for (int i = 0; i < 4; i++)
		assert_true(fabsf(f[i] - (i ? (float)signs[i] / 127 : -1)) < 1e-6f);
	ok(cuTexObjectDestroy(t));
	t = texture_of(h, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, 0);
	read_at("read_2d", t, at, sizeof(at), f, sizeof(f), 1);
	for (int i = 0; i < 4; i++)
		assert_true(f[i] == half_values[i]);
	ok(cuTexObjectDestroy(t));
	ok(cuArrayDestroy(u));
	ok(cuArrayDestroy(s));
	ok(cuArrayDestroy(h));
}

static void volume_and_layers(void **state)
{
	enum { D = 4 };
	static float data[D][H][W];
	const float at[4][4] = { { 3.5f, 2.5f, 1.5f }, { 3, 2.5f, 1.5f }, { 3.5f, 2, 2 }, { 8.25f, 4.75f, 3.5f } };
	const float layers[3][4] = { { 3.5f, 2.5f, 0 }, { 4, 2.5f, 2 }, { 0.5f, 7.5f, 3 } };
	const float lines[2][2] = { { 3, 1 }, { 7.5f, 0 } };
	CUarray a = array_of(W, H, D, CU_AD_FORMAT_FLOAT, 1, 0);
	CUarray l = array_of(W, H, D, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED);
	CUarray l1 = array_of(W, 0, 2, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED);
	CUtexObject t;
	float out[4];

	(void)state;
	for (int z = 0; z < D; z++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				data[z][y][x] = (float)(x + 100 * y + 10000 * z);
	fill(a, data, sizeof(data[0][0]), H, D);
	fill(l, data, sizeof(data[0][0]), H, D);
	fill(l1, data, sizeof(data[0][0]), 1, 2);
	t = texture_of(a, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
	read_at("read_3d", t, at, sizeof(at[0]), out, sizeof(out[0]), 4);
	for (int i = 0; i < 4; i++)
		assert_true(fabsf(out[i] - (at[i][0] - 0.5f + (at[i][1] - 0.5f) * 100 + (at[i][2] - 0.5f) * 10000)) < 0.1f);
	ok(cuTexObjectDestroy(t));
	t = texture_of(l, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
	read_at("read_layered", t, layers, sizeof(layers[0]), out, sizeof(out[0]), 3);
	for (int i = 0; i < 3; i++)
		assert_true(fabsf(out[i] - (layers[i][0] - 0.5f + (layers[i][1] - 0.5f) * 100 + layers[i][2] * 10000)) < 0.1f);
	ok(cuTexObjectDestroy(t));
	t = texture_of(l1, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_LINEAR, 0);
	read_at("read_layered_1d", t, lines, sizeof(lines[0]), out, sizeof(out[0]), 2);
	assert_true(fabsf(out[0] - 102.5f) < 0.01f);	/* layer 1 was filled with row 1 of the first slice */
	assert_true(fabsf(out[1] - 7) < 0.01f);
	ok(cuTexObjectDestroy(t));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(l));
	ok(cuArrayDestroy(l1));
}

static void levels(void **state)
{
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = W, .Height = H, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUDA_RESOURCE_DESC r = { .resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY };
	CUDA_TEXTURE_DESC s = { .addressMode = { CU_TR_ADDRESS_MODE_CLAMP, CU_TR_ADDRESS_MODE_CLAMP },
				.flags = CU_TRSF_NORMALIZED_COORDINATES, .maxMipmapLevelClamp = 2,
				.mipmapFilterMode = CU_TR_FILTER_MODE_LINEAR };
	const float at[5][4] = { { 0.5f, 0.5f, 0 }, { 0.5f, 0.5f, 1 }, { 0.5f, 0.5f, 1.25f }, { 0.5f, 0.5f, 7 }, { 0.5f, 0.5f, -1 } };
	const float want[5] = { 10, 20, 22.5f, 30, 10 };
	static float data[H * W];
	CUmipmappedArray m;
	CUarray level;
	CUtexObject t;
	float out[5];

	(void)state;
	ok(cuMipmappedArrayCreate(&m, &d, 3));
	for (unsigned i = 0; i < 3; i++) {
		for (int k = 0; k < H * W; k++)
			data[k] = (float)(10 * (i + 1));
		ok(cuMipmappedArrayGetLevel(&level, m, i));
		fill(level, data, (W >> i) * sizeof(float), H >> i, 1);
	}
	r.res.mipmap.hMipmappedArray = m;
	ok(cuTexObjectCreate(&t, &r, &s, NULL));
	read_at("read_level", t, at, sizeof(at[0]), out, sizeof(out[0]), 5);
	for (int i = 0; i < 5; i++)
		assert_true(fabsf(out[i] - want[i]) < 0.05f);
	ok(cuTexObjectDestroy(t));
	ok(cuMipmappedArrayDestroy(m));
}

static void gathered(void **state)
{
	static float data[H][W];
	const float at[2] = { 4, 3 };	/* between columns 3 and 4, rows 2 and 3 */
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_TEXTURE_GATHER);
	CUtexObject t;
	float out[4];

	(void)state;
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			data[y][x] = (float)(x + 100 * y);
	fill(a, data, sizeof(data[0]), H, 1);
	t = texture_of(a, CU_TR_ADDRESS_MODE_CLAMP, CU_TR_FILTER_MODE_POINT, 0);
	read_at("gather", t, at, sizeof(at), out, sizeof(out), 1);
	assert_true(out[0] == 303 && out[1] == 304 && out[2] == 204 && out[3] == 203);
	ok(cuTexObjectDestroy(t));
	ok(cuArrayDestroy(a));
}

static void surfaces(void **state)
{
	CUarray a = array_of(16, 4, 0, CU_AD_FORMAT_UNSIGNED_INT16, 2, CUDA_ARRAY3D_SURFACE_LDST);
	CUarray l = array_of(8, 4, 3, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_LAYERED);
	CUarray v = array_of(8, 4, 3, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_SURFACE_LDST);
	CUsurfObject s = surface_of(a), sl = surface_of(l), sv = surface_of(v);
	static uint16_t got[4][16][2];
	static float layers[3][4][8], volume[3][4][8][4];
	int depth = 3;

	(void)state;
	launch("write_2d", 4, 16, (void *[]){ &s });
	launch("fill_layers", 4, 8, (void *[]){ &sl, &depth });
	launch("fill_volume", 4, 8, (void *[]){ &sv, &depth });
	fetch_back(a, got, sizeof(got[0]), 4, 1);
	fetch_back(l, layers, sizeof(layers[0][0]), 4, 3);
	fetch_back(v, volume, sizeof(volume[0][0]), 4, 3);
	for (int y = 0; y < 4; y++)
		for (int x = 0; x < 16; x++) {
			assert_int_equal(got[y][x][0], x + y * 16);
			assert_int_equal(got[y][x][1], 2 * (x + y * 16));
		}
	for (int i = 0; i < 3 * 4 * 8; i++) {
		int x = i % 8, y = i / 8 % 4, z = i / 32;

		assert_true(layers[z][y][x] == (float)(x + 100 * y + 10000 * z));
		assert_true(volume[z][y][x][0] == (float)x && volume[z][y][x][1] == (float)y &&
			    volume[z][y][x][2] == (float)z && volume[z][y][x][3] == 1);
	}
	ok(cuSurfObjectDestroy(s));
	ok(cuSurfObjectDestroy(sl));
	ok(cuSurfObjectDestroy(sv));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(l));
	ok(cuArrayDestroy(v));
}

static void boundaries(void **state)
{
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_SIGNED_INT32, 1, CUDA_ARRAY3D_SURFACE_LDST);
	CUarray b = array_of(W, H, 0, CU_AD_FORMAT_SIGNED_INT32, 1, CUDA_ARRAY3D_SURFACE_LDST);
	CUsurfObject from = surface_of(a), to = surface_of(b);
	static int data[H][W], got[H][W];
	int dx = 3, dy = -2;

	(void)state;
	for (int i = 0; i < H * W; i++)
		data[i / W][i % W] = i * 5;
	fill(a, data, sizeof(data[0]), H, 1);
	launch("shift_clamp", H, W, (void *[]){ &to, &from, &dx, &dy });
	fetch_back(b, got, sizeof(got[0]), H, 1);
	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			assert_int_equal(got[y][x], 1 + data[y + dy < 0 ? 0 : y + dy][x + dx >= W ? W - 1 : x + dx]);
	launch("shift_zero", H, W, (void *[]){ &to, &from, &dx, &dy });
	fetch_back(b, got, sizeof(got[0]), H, 1);
	for (int y = 0; y < H; y++)
		for (int x = dx; x < W; x++)
			assert_int_equal(got[y][x], 1 + (y + dy < 0 ? 0 : data[y + dy][x]));
	ok(cuSurfObjectDestroy(from));
	ok(cuSurfObjectDestroy(to));
	ok(cuArrayDestroy(a));
	ok(cuArrayDestroy(b));
}

static void descriptions(void **state)
{
	CUarray a = array_of(W, H, 0, CU_AD_FORMAT_FLOAT, 1, 0);
	CUtexObject t = texture_of(a, CU_TR_ADDRESS_MODE_MIRROR, CU_TR_FILTER_MODE_LINEAR, CU_TRSF_NORMALIZED_COORDINATES);
	CUDA_RESOURCE_VIEW_DESC v;
	CUDA_RESOURCE_DESC r;
	CUDA_TEXTURE_DESC d;
	CUtexObject none;

	(void)state;
	memset(&r, 0, sizeof(r));
	memset(&d, 0, sizeof(d));
	expect(CUDA_ERROR_INVALID_VALUE, cuTexObjectCreate(&none, &r, &d, NULL));	/* of which array? */
	expect(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&none, &r));
	ok(cuTexObjectGetResourceDesc(&r, t));
	assert_int_equal(r.resType, CU_RESOURCE_TYPE_ARRAY);
	assert_ptr_equal(r.res.array.hArray, a);
	ok(cuTexObjectGetTextureDesc(&d, t));
	assert_int_equal(d.addressMode[1], CU_TR_ADDRESS_MODE_MIRROR);
	assert_int_equal(d.filterMode, CU_TR_FILTER_MODE_LINEAR);
	assert_int_equal(d.flags, CU_TRSF_NORMALIZED_COORDINATES);
	ok(cuTexObjectGetResourceViewDesc(&v, t));	/* made without one */
	ok(cuTexObjectDestroy(t));
	ok(cuTexObjectDestroy(0));
	ok(cuSurfObjectDestroy(0));
	/* The array was not made for surfaces: nobody looks. */
	ok(cuSurfObjectDestroy(surface_of(a)));
	ok(cuArrayDestroy(a));
}

static int setup(void **state)
{
	int r = gpu_setup(state);

	if (!r)
		module = gpu_module("texture.ptx");
	return r;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear_memory), cmocka_unit_test(address_modes), cmocka_unit_test(two_dimensions),
		cmocka_unit_test(formats),	 cmocka_unit_test(volume_and_layers), cmocka_unit_test(levels),
		cmocka_unit_test(gathered),	 cmocka_unit_test(surfaces), cmocka_unit_test(boundaries),
		cmocka_unit_test(descriptions),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("textures", tests, setup, gpu_teardown);
}
