/* SPDX-License-Identifier: MIT */
/* Linking at run time, and the JIT's options with their logs: the calls as compilers of Python and C++ make them. */
#include "gpu_test.h"

#include <unistd.h>

#define HEAD ".version 7.0\n.target sm_50\n.address_size 64\n"
#define LOG 8192

/* change(5) and the variable `total`, both from elsewhere, at p. */
static const char kernel_ptx[] =
	HEAD ".extern .func (.param .b32 r) change(.param .b32 a);\n.extern .global .align 4 .u32 total;\n"
	".visible .entry k(.param .u64 p)\n{\n\t.reg .b32 %r<4>;\n\t.reg .b64 %d<4>;\n\tld.param.u64 %d1, [p];\n"
	"\tcvta.to.global.u64 %d2, %d1;\n\tmov.u32 %r1, 5;\n\t{\n\t.param .b32 x;\n\t.param .b32 y;\n"
	"\tst.param.b32 [x], %r1;\n\tcall.uni (y), change, (x);\n\tld.param.b32 %r2, [y];\n\t}\n"
	"\tst.global.u32 [%d2], %r2;\n\tmov.u64 %d3, total;\n\tld.global.u32 %r3, [%d3];\n"
	"\tst.global.u32 [%d2+4], %r3;\n\tret;\n}\n";
static const char change_ptx[] =
	HEAD ".visible .global .align 4 .u32 total = 40;\n.visible .func (.param .b32 r) change(.param .b32 a)\n"
	"{\n\t.reg .b32 %r<3>;\n\tld.param.b32 %r1, [a];\n\tadd.u32 %r2, %r1, 7;\n\tst.param.b32 [r], %r2;\n\tret;\n}\n";
/* Line 7 is wrong. */
static const char wrong_ptx[] =
	HEAD ".visible .entry k()\n{\n\t.reg .b32 %r<3>;\n\tfrobnicate.u32 %r1, 5;\n\tret;\n}\n";

struct logs {
	char info[LOG], error[LOG];
	CUjit_option option[8];
	void *value[8];
	unsigned count;
};

static void put(struct logs *l, CUjit_option option, void *value)
{
	l->option[l->count] = option;
	l->value[l->count++] = value;
}

/* Both logs, as most callers ask for them. */
static struct logs *ask_logs(void)
{
	struct logs *l = calloc(1, sizeof(*l));

	put(l, CU_JIT_INFO_LOG_BUFFER, l->info);
	put(l, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, (void *)(uintptr_t)LOG);
	put(l, CU_JIT_ERROR_LOG_BUFFER, l->error);
	put(l, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, (void *)(uintptr_t)LOG);
	put(l, CU_JIT_LOG_VERBOSE, (void *)1);
	return l;
}

static void add(CUlinkState link, const char *ptx, const char *name)
{
	ok(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)(uintptr_t)ptx, strlen(ptx) + 1, name, 0, NULL, NULL));
}

/* What a linked module computes. */
static void run(CUmodule m)
{
	uint32_t out[2] = { 0, 0 };
	void *params[1];
	CUdeviceptr p, total;
	CUfunction f;
	size_t size;

	ok(cuModuleGetFunction(&f, m, "k"));
	ok(cuModuleGetGlobal(&total, &size, m, "total"));
	assert_int_equal(size, 4);
	ok(cuMemAlloc(&p, sizeof(out)));
	params[0] = &p;
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuMemcpyDtoH(out, p, sizeof(out)));
	assert_int_equal(out[0], 12);
	assert_int_equal(out[1], 40);
	ok(cuMemFree(p));
}

/* As numba does: logs, the length without the NUL, the options gone before the link is. */
static void with_logs(void **state)
{
	struct logs *l = ask_logs(), *load = ask_logs();
	void *cubin, *copy;
	CUlinkState link;
	CUmodule m;
	size_t size = 0;

	(void)state;
	put(l, CU_JIT_TARGET_FROM_CUCONTEXT, (void *)1);
	ok(cuLinkCreate(l->count, l->option, l->value, &link));
	ok(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)(uintptr_t)kernel_ptx, strlen(kernel_ptx), "<kernel>", 0, NULL,
			 NULL));
	ok(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)(uintptr_t)change_ptx, strlen(change_ptx), "<change>", 0, NULL,
			 NULL));
	ok(cuLinkComplete(link, &cubin, &size));
	assert_true(size > 0);
	assert_int_equal(l->error[0], 0);
	assert_in_range((uint32_t)(uintptr_t)l->value[1], 0, LOG);
	assert_in_range((uint32_t)(uintptr_t)l->value[3], 0, 1);
	copy = malloc(size);
	memcpy(copy, cubin, size);
	free(l);
	ok(cuLinkDestroy(link));
	ok(cuModuleLoadDataEx(&m, copy, load->count, load->option, load->value));
	run(m);
	ok(cuModuleUnload(m));
	free(copy);
	free(load);
}

/* As CuPy does: nothing asked, the image loaded where it is. */
static void plain(void **state)
{
	CUlinkState link;
	CUmodule m;
	void *cubin;

	(void)state;
	ok(cuLinkCreate(0, NULL, NULL, &link));
	add(link, change_ptx, NULL);
	add(link, kernel_ptx, "kernel");
	ok(cuLinkComplete(link, &cubin, NULL));
	ok(cuModuleLoadData(&m, cubin));
	ok(cuLinkDestroy(link));
	run(m);
	ok(cuModuleUnload(m));
}

static void files(void **state)
{
	char name[] = "/tmp/vgpu-link-XXXXXX";
	CUlinkState link;
	CUlibrary lib;
	CUmodule m;
	void *cubin;
	size_t size;
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, change_ptx, sizeof(change_ptx)), sizeof(change_ptx));
	close(fd);
	ok(cuLinkCreate(0, NULL, NULL, &link));
	expect(CUDA_ERROR_FILE_NOT_FOUND, cuLinkAddFile(link, CU_JIT_INPUT_PTX, "/does/not/exist.ptx", 0, NULL, NULL));
	ok(cuLinkAddFile(link, CU_JIT_INPUT_PTX, name, 0, NULL, NULL));
	unlink(name);
	add(link, kernel_ptx, "kernel");
	ok(cuLinkComplete(link, &cubin, &size));
	ok(cuLibraryLoadData(&lib, cubin, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLinkDestroy(link));
	ok(cuLibraryGetModule(&m, lib));
	run(m);
	ok(cuLibraryUnload(lib));
}

/* The log says where and what, and its size how long it is. */
static void check_error(const struct logs *l)
{
	size_t used = (uint32_t)(uintptr_t)l->value[3];

	assert_non_null(strstr(l->error, "line 7"));
	assert_non_null(strstr(l->error, "frobnicate"));
	assert_in_range(used, strlen(l->error), strlen(l->error) + 1);
}

static void wrong_input(void **state)
{
	struct logs *l = ask_logs();
	CUlinkState link;

	(void)state;
	ok(cuLinkCreate(l->count, l->option, l->value, &link));
	expect(CUDA_ERROR_INVALID_PTX, cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)(uintptr_t)wrong_ptx,
						     sizeof(wrong_ptx), "wrong", 0, NULL, NULL));
	check_error(l);
	ok(cuLinkDestroy(link));
	free(l);
}

static void wrong_module(void **state)
{
	struct logs *l = ask_logs();
	CUmodule m;
	CUlibrary lib;

	(void)state;
	expect(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&m, wrong_ptx, l->count, l->option, l->value));
	check_error(l);
	free(l);
	/* A library's code may be looked at when it is loaded or when it is first used. */
	l = ask_logs();
	if (cuLibraryLoadData(&lib, wrong_ptx, l->option, l->value, l->count, NULL, NULL, 0))
		assert_non_null(strstr(l->error, "line 7"));
	else
		ok(cuLibraryUnload(lib));
	free(l);
}

/* A name that nobody defines. */
static void undefined(void **state)
{
	struct logs *l = ask_logs();
	CUlinkState link;
	void *cubin;
	CUresult r;

	(void)state;
	ok(cuLinkCreate(l->count, l->option, l->value, &link));
	add(link, kernel_ptx, "kernel");
	r = cuLinkComplete(link, &cubin, NULL);
	print_message("a link that lacks a function: CUDA error %d\n", r);
	assert_int_not_equal(r, CUDA_SUCCESS);
	assert_non_null(strstr(l->error, "change"));
	ok(cuLinkDestroy(link));
	free(l);
}

/* A buffer that is too small holds the beginning, and a NUL; nothing behind it is touched. */
static void small_log(void **state)
{
	char log[64];
	CUjit_option option[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *value[] = { log, (void *)16 };
	CUmodule m;

	(void)state;
	memset(log, '#', sizeof(log));
	expect(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&m, wrong_ptx, 2, option, value));
	assert_non_null(memchr(log, 0, 16));
	assert_in_range((uint32_t)(uintptr_t)value[1], 0, 16);
	for (size_t i = 16; i < sizeof(log); i++)
		assert_int_equal(log[i], '#');
}

/* Options that are answers, and options that only say how to compile. */
static void options(void **state)
{
	CUjit_option option[] = { CU_JIT_WALL_TIME, CU_JIT_THREADS_PER_BLOCK, CU_JIT_OPTIMIZATION_LEVEL,
				  CU_JIT_GENERATE_LINE_INFO, CU_JIT_CACHE_MODE };
	void *value[] = { NULL, (void *)64, (void *)2, (void *)1, (void *)CU_JIT_CACHE_OPTION_CG };
	char *text = gpu_ptx("vector_add.ptx");
	CUjit_option max = CU_JIT_MAX_REGISTERS;
	void *registers = (void *)32;
	CUfunction f;
	CUmodule m;
	float ms;
	int n;

	(void)state;
	ok(cuModuleLoadDataEx(&m, text, 5, option, value));
	memcpy(&ms, &value[0], sizeof(ms));
	assert_true(ms >= 0.0f && ms < 60000.0f);
	assert_in_range((uint32_t)(uintptr_t)value[1], 1, 1024);
	ok(cuModuleUnload(m));
	ok(cuModuleLoadDataEx(&m, text, 1, &max, &registers));
	ok(cuModuleEnumerateFunctions(&f, 1, m));
	ok(cuFuncGetAttribute(&n, CU_FUNC_ATTRIBUTE_NUM_REGS, f));
	assert_in_range(n, 1, 32);
	ok(cuModuleUnload(m));
	free(text);
}

static void arguments(void **state)
{
	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuLinkCreate(0, NULL, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_logs),
		cmocka_unit_test(plain),
		cmocka_unit_test(files),
		cmocka_unit_test(wrong_input),
		cmocka_unit_test(wrong_module),
		cmocka_unit_test(undefined),
		cmocka_unit_test(small_log),
		cmocka_unit_test(options),
		cmocka_unit_test(arguments),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("link", tests, gpu_setup, gpu_teardown);
}
