/* SPDX-License-Identifier: MIT */
/* Kernels that nvcc compiled give exactly the results of the same computation on the CPU, on random data. */
#include <errno.h>
#include <math.h>

#include "ptx_device.h"

static float random_float(void)
{
	return (float)(int32_t)random_u64() / 65536.0f;
}

static void test_vector_add(void **state)
{
	struct device dev;
	int n = 1000;
	float *a, *b, *c;

	(void)state;
	device_load(&dev, "vector_add");
	a = device_alloc(&dev, sizeof(float) * 1000);
	b = device_alloc(&dev, sizeof(float) * 1000);
	c = device_alloc(&dev, sizeof(float) * 1000);
	for (int i = 0; i < n; i++) {
		a[i] = random_float();
		b[i] = random_float();
	}
	assert_int_equal(device_launch(&dev, "vector_add", 8, 1, 128, 1, 0, (const void *[]){&a, &b, &c, &n}), 0);
	for (int i = 0; i < n; i++)
		assert_true(c[i] == a[i] + b[i]);
	device_free(&dev);
}

static void test_saxpy(void **state)
{
	struct device dev;
	int n = 777;
	float *x, *y, alpha = 1.7f, want[777];
	double *dx, *dy, dalpha = -0.3, dwant[777];

	(void)state;
	device_load(&dev, "saxpy");
	x = device_alloc(&dev, sizeof(float) * 777);
	y = device_alloc(&dev, sizeof(float) * 777);
	dx = device_alloc(&dev, sizeof(double) * 777);
	dy = device_alloc(&dev, sizeof(double) * 777);
	for (int i = 0; i < n; i++) {
		x[i] = random_float();
		y[i] = random_float();
		dx[i] = random_float() * 1e-9;
		dy[i] = random_float();
		want[i] = fmaf(alpha, x[i], y[i]);
		dwant[i] = fma(dalpha, dx[i], dy[i]);
	}
	assert_int_equal(device_launch(&dev, "saxpy", 3, 1, 64, 1, 0, (const void *[]){&alpha, &x, &y, &n}), 0);
	assert_int_equal(device_launch(&dev, "daxpy", 2, 1, 96, 1, 0, (const void *[]){&dalpha, &dx, &dy, &n}), 0);
	assert_memory_equal(y, want, sizeof(want));
	assert_memory_equal(dy, dwant, sizeof(dwant));
	device_free(&dev);
}

static void test_matmul(void **state)
{
	struct device dev;
	int n = 37;
	float *a, *b, *c;

	(void)state;
	device_load(&dev, "matmul");
	a = device_alloc(&dev, sizeof(float) * 37 * 37);
	b = device_alloc(&dev, sizeof(float) * 37 * 37);
	c = device_alloc(&dev, sizeof(float) * 37 * 37);
	for (int i = 0; i < n * n; i++) {
		a[i] = random_float();
		b[i] = random_float();
	}
	assert_int_equal(ptx_entry_find(dev.module, "matmul")->static_shared, 2048);
	assert_int_equal(device_launch(&dev, "matmul", 3, 3, 16, 16, 0, (const void *[]){&a, &b, &c, &n}), 0);
	for (int row = 0; row < n; row++)
		for (int col = 0; col < n; col++) {
			float sum = 0;

			for (int k = 0; k < n; k++)
				sum = fmaf(a[row * n + k], b[k * n + col], sum);
			assert_true(c[row * n + col] == sum);
		}
	device_free(&dev);
}

static void test_reduce(void **state)
{
	struct device dev;
	int n = 1000, *in, *out, *counts, want[4] = {0}, positive = 0;

	(void)state;
	device_load(&dev, "reduce");
	in = device_alloc(&dev, sizeof(int) * 1000);
	out = device_alloc(&dev, sizeof(int) * 4);
	counts = device_alloc(&dev, sizeof(int) * 4);
	for (int i = 0; i < n; i++) {
		in[i] = i >= 256 && i < 512 ? 1 : (int)random_u64() / 1000;
		want[i / 256] += in[i];
		positive += in[i] > 0;
	}
	assert_int_equal(device_launch(&dev, "reduce", 4, 1, 256, 1, 0, (const void *[]){&in, &out, &n}), 0);
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(device_launch(&dev, "votes", 4, 1, 256, 1, 0, (const void *[]){&in, &counts, &n}), 0);
	assert_int_equal(counts[0], positive);
	assert_int_equal(counts[1], 1);
	assert_int_equal(counts[2], 4);
	assert_int_equal(counts[3], positive);
	device_free(&dev);
}

static void test_histogram(void **state)
{
	struct device dev;
	int n = 5000;
	unsigned char *in;
	unsigned *bins, want[256] = {0};

	(void)state;
	device_load(&dev, "histogram");
	in = device_alloc(&dev, 5000);
	bins = device_alloc(&dev, sizeof(want));
	for (int i = 0; i < n; i++) {
		in[i] = (unsigned char)(random_u64() & random_u64());
		want[in[i]]++;
	}
	assert_int_equal(device_launch(&dev, "histogram", 4, 1, 128, 1, 0, (const void *[]){&in, &bins, &n}), 0);
	assert_memory_equal(bins, want, sizeof(want));
	device_free(&dev);
}

static void test_transpose(void **state)
{
	struct device dev;
	int w = 70, h = 45;
	double *in, *out;

	(void)state;
	device_load(&dev, "transpose");
	in = device_alloc(&dev, sizeof(double) * 70 * 45);
	out = device_alloc(&dev, sizeof(double) * 70 * 45);
	for (int i = 0; i < w * h; i++)
		in[i] = random_float();
	assert_int_equal(device_launch(&dev, "transpose", 3, 2, 32, 8, 0, (const void *[]){&in, &out, &w, &h}), 0);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			assert_true(out[x * h + y] == in[y * w + x]);
	device_free(&dev);
}

static void test_stencil(void **state)
{
	struct device dev;
	int n = 500, *in, *out;

	(void)state;
	device_load(&dev, "stencil");
	in = device_alloc(&dev, sizeof(int) * 500);
	out = device_alloc(&dev, sizeof(int) * 500);
	for (int i = 0; i < n; i++)
		in[i] = (int)(random_u64() % 1000000);
	assert_int_equal(device_launch(&dev, "stencil", 8, 1, 64, 1, 70 * 4, (const void *[]){&in, &out, &n}), 0);
	for (int i = 0; i < n; i++) {
		int sum = 0;

		for (int k = i - 3; k <= i + 3; k++)
			sum += k >= 0 && k < n ? in[k] : 0;
		assert_int_equal(out[i], sum);
	}
	/* the same with one element of shared memory too few */
	assert_int_equal(device_launch(&dev, "stencil", 8, 1, 64, 1, 69 * 4, (const void *[]){&in, &out, &n}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_ADDRESS);
	device_free(&dev);
}

static void test_scan(void **state)
{
	struct device dev;
	int n = 300;
	unsigned long long *in, *out, *totals, sum = 0;

	(void)state;
	device_load(&dev, "scan");
	in = device_alloc(&dev, 8 * 300);
	out = device_alloc(&dev, 8 * 300);
	totals = device_alloc(&dev, 8 * 3);
	for (int i = 0; i < n; i++)
		in[i] = random_u64();
	assert_int_equal(device_launch(&dev, "scan", 3, 1, 128, 1, 1024, (const void *[]){&in, &out, &totals, &n}), 0);
	for (int i = 0; i < n; i++) {
		sum = i % 128 ? sum + in[i] : in[i];
		assert_int_equal(out[i], sum);
	}
	assert_int_equal(totals[2], sum);
	device_free(&dev);
}

/* As nvcc contracts it: see mandelbrot.ptx. */
static int escape(float cx, float cy, int limit)
{
	float x = 0, y = 0, xx = 0, yy = 0;
	int i = 0;

	while (i < limit && xx + yy <= 4.0f) {
		float t = (xx - yy) + cx;

		y = fmaf(x + x, y, cy);
		x = t;
		xx = x * x;
		yy = y * y;
		i++;
	}
	return i;
}

static void test_mandelbrot(void **state)
{
	struct device dev;
	int w = 50, h = 40, limit = 60, *out;
	float x0 = -2.0f, y0 = -1.2f, step = 0.0601f;

	(void)state;
	device_load(&dev, "mandelbrot");
	out = device_alloc(&dev, sizeof(int) * 50 * 40);
	assert_int_equal(device_launch(&dev, "mandelbrot", 4, 5, 16, 8, 0,
				       (const void *[]){&out, &w, &h, &x0, &y0, &step, &limit}), 0);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			assert_int_equal(out[y * w + x], escape(fmaf((float)x, step, x0), fmaf((float)y, step, y0), limit));
	device_free(&dev);
}

static void test_struct_param(void **state)
{
	struct {
		const int *in;
		long long *out;
		short scale;
		char shift[5];
		double offset;
		int n;
	} job = {.scale = -3, .shift = {0, 3, 7, 1, 30}, .offset = -1e10, .n = 100};
	char first = -7;
	short last = -3000;
	struct device dev;
	int *in;

	(void)state;
	device_load(&dev, "struct_param");
	job.in = in = device_alloc(&dev, sizeof(int) * 100);
	job.out = device_alloc(&dev, 8 * 100);
	for (int i = 0; i < job.n; i++)
		in[i] = (int)random_u64() / 4;
	assert_int_equal(device_launch(&dev, "struct_param", 2, 1, 64, 1, 0, (const void *[]){&first, &job, &last}), 0);
	for (int i = 0; i < job.n; i++)
		assert_int_equal(job.out[i], (long long)((uint64_t)((long long)in[i] * job.scale) << job.shift[i % 5]) -
						     10000000000ll + first + last);
	device_free(&dev);
}

static void test_globals(void **state)
{
	static const float c[4] = {1.0f, -0.5f, 0.25f, 3.0f};
	struct device dev;
	int n = 100, *bias, *counter;
	float *x, *y;
	double *out;

	(void)state;
	device_load(&dev, "globals");
	bias = device_global(&dev, "bias");
	counter = device_global(&dev, "counter");
	assert_int_equal(*counter, 5);
	*bias = -17;
	x = device_alloc(&dev, sizeof(float) * 100);
	y = device_alloc(&dev, sizeof(float) * 100);
	out = device_alloc(&dev, sizeof(double) * 4);
	for (int i = 0; i < n; i++)
		x[i] = random_float() / 1000;
	assert_int_equal(device_launch(&dev, "globals", 2, 1, 64, 1, 0, (const void *[]){&x, &y, &n}), 0);
	for (int i = 0; i < n; i++) {
		float poly = fmaf(x[i], fmaf(x[i], fmaf(c[3], x[i], c[2]), c[1]), c[0]);

		assert_true(y[i] == poly + -17.0f);
	}
	assert_int_equal(*counter, 105);
	assert_int_equal(ptx_entry_find(dev.module, "globals")->const_size, 20);
	assert_int_equal(ptx_global_find(dev.module, "bias")->space, PTX_SPACE_CONST);
	assert_int_equal(device_launch(&dev, "global_pointers", 1, 1, 1, 1, 0, (const void *[]){&out}), 0);
	assert_true(out[0] == 3 && out[1] == -5 && out[2] == 2e300 && out[3] == 10);
	device_free(&dev);
}

static void test_printf(void **state)
{
	struct device dev;
	int value = 42;
	double ratio = 3.14159;
	char *name;

	(void)state;
	device_load(&dev, "printf");
	name = device_alloc(&dev, 16);
	memcpy(name, "world", 6);
	assert_int_equal(device_launch(&dev, "hello", 2, 1, 64, 1, 0, (const void *[]){&value, &ratio, &name}), 0);
	assert_string_equal(dev.output, "block 0 of 2\n   42|2a    |0003.142|world|z|1099511627776|%|3.14e+00\n"
					"block 1 of 2\n   42|2a    |0003.142|world|z|1099511627776|%|3.14e+00\n");
	device_free(&dev);
}

static int gcd(int a, int b)
{
	return b ? gcd(b, a % b) : a;
}

static int dispatched(int v)
{
	switch ((unsigned)v % 11) {
	case 0: return v + 1;
	case 1: return (int)((unsigned)v * 3);
	case 2: return v ^ 0x55;
	case 3: return v / 7;
	case 4: return gcd(v, 1000);
	case 5: return (int)((unsigned)v << 3);
	case 6: return ~v;
	case 7: return v % 13;
	default: return -1;
	}
}

static void test_recursion(void **state)
{
	static const unsigned long long fibonacci[15] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377};
	struct device dev;
	int n = 100, *in, *result;
	unsigned long long *out;

	(void)state;
	device_load(&dev, "recursion");
	in = device_alloc(&dev, sizeof(int) * 100);
	out = device_alloc(&dev, 8 * 100);
	result = device_alloc(&dev, sizeof(int) * 100);
	for (int i = 0; i < n; i++)
		in[i] = (int)(random_u64() >> 34);
	assert_int_equal(device_launch(&dev, "recursion", 2, 1, 64, 1, 0, (const void *[]){&in, &out, &n}), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(out[i], fibonacci[in[i] % 15] * 1000 + (unsigned long long)gcd(in[i], 360));
	assert_int_equal(device_launch(&dev, "indirect", 2, 1, 64, 1, 0, (const void *[]){&in, &result, &n}), 0);
	for (int i = 0; i < n; i++) {
		int v = in[i] % 1000, which = in[i] % 3;

		assert_int_equal(result[i], which == 0 ? 2 * v : which == 1 ? v * v : -v);
	}
	for (int i = 0; i < n; i++)
		in[i] = (int)random_u64();
	assert_int_equal(device_launch(&dev, "dispatch", 2, 1, 64, 1, 0, (const void *[]){&in, &result, &n}), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(result[i], dispatched(in[i]));
	device_free(&dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector_add), cmocka_unit_test(test_saxpy), cmocka_unit_test(test_matmul),
		cmocka_unit_test(test_reduce), cmocka_unit_test(test_histogram), cmocka_unit_test(test_transpose),
		cmocka_unit_test(test_stencil), cmocka_unit_test(test_scan), cmocka_unit_test(test_mandelbrot),
		cmocka_unit_test(test_struct_param), cmocka_unit_test(test_globals), cmocka_unit_test(test_printf),
		cmocka_unit_test(test_recursion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
