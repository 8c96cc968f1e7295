/* SPDX-License-Identifier: MIT */
/*
 * What kernels print: it comes when somebody waits, the newest of it as far as CU_LIMIT_PRINTF_FIFO_SIZE reaches, in
 * whole messages.
 */
#include <time.h>

#include "soft_kernels.h"

#define FIFO 4096

static char printed[1 << 16];
static size_t used;

static void keep(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	assert_true(used + len < sizeof(printed));
	memcpy(printed + used, text, len);
	used += len;
	printed[used] = 0;
}

static int begin(void **state)
{
	const struct vgpu_soft_config config = { .print = keep, .threads = 1 };

	return vgpu_soft_configure(&config) ? -1 : soft_test_begin(state);
}

/* `blocks` blocks, each of which prints a line of its own and one that is the same for all. */
static void launch(CUmodule m, unsigned blocks)
{
	char *name = pinned(8);
	int value = 42;
	double ratio = 0.5;
	void *params[] = { &value, &ratio, &name };
	CUfunction f;

	memcpy(name, "device", 7);
	used = 0;
	ok(cuModuleGetFunction(&f, m, "hello"));
	ok(cuLaunchKernel(f, blocks, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	while (drv->cuStreamQuery(NULL))
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
	/* It is done, and nobody has waited. */
	assert_int_equal(used, 0);
	ok(cuCtxSynchronize());
	ok(cuMemFreeHost(name));
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *p = printed; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void newest(void **state)
{
	CUcontext other, current;
	CUmodule m;
	size_t size;

	(void)state;
	ok(cuCtxGetLimit(&size, CU_LIMIT_PRINTF_FIFO_SIZE));
	assert_int_equal(size, 1 << 20);
	ok(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, FIFO));
	ok(cuCtxGetLimit(&size, CU_LIMIT_PRINTF_FIFO_SIZE));
	assert_int_equal(size, FIFO);
	assert_int_equal(load_kernels(&m, "printf.ptx"), CUDA_SUCCESS);
	launch(m, 3);
	assert_int_equal(lines(), 6);
	assert_non_null(strstr(printed, "block 0 of 3\n"));
	launch(m, 500);
	assert_in_range(used, FIFO / 2, FIFO);
	assert_null(strstr(printed, "block 0 of 500\n"));
	assert_non_null(strstr(printed, "block 499 of 500\n"));
	assert_int_equal(printed[used - 1], '\n');
	assert_true(!strncmp(printed, "block ", 6) || !strncmp(printed, "   42|", 6));
	/* Too late in this context; another one has its own. */
	fails(INVALID_VALUE, cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20));
	ok(cuCtxGetCurrent(&current));
	ok(cuCtxCreate_v2(&other, 0, 0));
	ok(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 16));
	ok(cuCtxDestroy_v2(other));
	ok(cuCtxSetCurrent(current));
	ok(cuModuleUnload(m));
}

/* What the limit has no room for at all is lost. */
static void no_room(void **state)
{
	CUcontext other;
	CUmodule m;

	(void)state;
	ok(cuCtxCreate_v2(&other, 0, 0));
	ok(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 8));
	assert_int_equal(load_kernels(&m, "printf.ptx"), CUDA_SUCCESS);
	launch(m, 2);
	assert_int_equal(used, 0);
	ok(cuCtxDestroy_v2(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(newest), cmocka_unit_test(no_room) };

	return cmocka_run_group_tests(tests, begin, soft_test_end);
}
