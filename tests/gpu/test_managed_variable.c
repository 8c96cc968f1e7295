/* SPDX-License-Identifier: MIT */
/* Variables of modules in managed memory: the host and kernels, which take turns, have them at one address. */
#include "gpu_test.h"

/* add: each thread adds 1 to counter and 2 to its place in table. */
static const char ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .global .attribute(.managed) .align 4 .u32 counter = 5;\n"
	".visible .global .attribute(.managed) .align 4 .u32 table[3000];\n"
	".visible .global .align 4 .u32 plain = 1;\n"
	".visible .entry add()\n"
	"{\n\t.reg .b32 %r<6>;\n\t.reg .b64 %d<5>;\n"
	"\tmov.u32 %r1, %tid.x;\n\tmov.u64 %d1, counter;\n\tatom.global.add.u32 %r2, [%d1], 1;\n"
	"\tmul.wide.u32 %d2, %r1, 4;\n\tmov.u64 %d3, table;\n\tadd.s64 %d4, %d3, %d2;\n"
	"\tld.global.u32 %r3, [%d4];\n\tadd.u32 %r4, %r3, 2;\n\tst.global.u32 [%d4], %r4;\n\tret;\n}\n";

static CUlibrary library;
static CUfunction add;
static volatile uint32_t *counter, *table;

static int setup(void **state)
{
	CUdeviceptr p;
	CUmodule m;
	size_t bytes;

	if (gpu_setup(state))
		return -1;
	ok(cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetManaged(&p, &bytes, library, "counter"));
	assert_int_equal(bytes, 4);
	counter = (void *)(uintptr_t)p;
	ok(cuLibraryGetManaged(&p, NULL, library, "table"));
	table = (void *)(uintptr_t)p;
	ok(cuLibraryGetModule(&m, library));
	ok(cuModuleGetFunction(&add, m, "add"));
	return 0;
}

static int teardown(void **state)
{
	ok(cuLibraryUnload(library));
	return gpu_teardown(state);
}

static void launch(CUstream stream, unsigned int threads)
{
	ok(cuLaunchKernel(add, 1, 1, 1, threads, 1, 1, 0, stream, NULL, NULL));
}

static void take_turns(void **state)
{
	(void)state;
	assert_int_equal(*counter, 5);
	assert_int_equal(table[2999], 0);
	*counter = 100;
	table[3] = 50;
	table[2999] = 7;
	launch(NULL, 64);
	launch(NULL, 32);
	ok(cuCtxSynchronize());
	assert_int_equal(*counter, 196);
	assert_int_equal(table[3], 54);
	assert_int_equal(table[40], 2);
	assert_int_equal(table[2999], 7);
	/* A wait without work in between takes nothing away. */
	*counter = 1;
	ok(cuCtxSynchronize());
	assert_int_equal(*counter, 1);
	launch(NULL, 1);
	ok(cuStreamSynchronize(NULL));
	assert_int_equal(*counter, 2);
}

static void by_global(void **state)
{
	CUdeviceptr p;
	CUmodule m;
	size_t bytes;

	(void)state;
	ok(cuLibraryGetModule(&m, library));
	ok(cuModuleGetGlobal(&p, &bytes, m, "counter"));
	assert_true(p == (uintptr_t)counter && bytes == 4);
	expect(CUDA_ERROR_NOT_FOUND, cuLibraryGetManaged(&p, &bytes, library, "nothing"));
	/* A module of its own has variables of its own. */
	ok(cuModuleLoadData(&m, ptx));
	ok(cuModuleGetGlobal(&p, &bytes, m, "counter"));
	assert_true(p != (uintptr_t)counter);
	assert_int_equal(*(volatile uint32_t *)(uintptr_t)p, 5);
	*(volatile uint32_t *)(uintptr_t)p = 6;
	ok(cuModuleUnload(m));
}

static void streams_and_events(void **state)
{
	CUstream s[2];
	CUevent e;

	(void)state;
	*counter = 0;
	for (int i = 0; i < 2; i++) {
		ok(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
		launch(s[i], 16);
	}
	ok(cuEventCreate(&e, CU_EVENT_DEFAULT));
	ok(cuEventRecord(e, s[0]));
	ok(cuEventSynchronize(e));
	ok(cuStreamSynchronize(s[1]));
	assert_int_equal(*counter, 32);
	*counter = 10;
	launch(s[0], 1);
	ok(cuEventRecord(e, s[0]));
	while (cuEventQuery(e) == CUDA_ERROR_NOT_READY)
		;
	assert_int_equal(*counter, 11);
	launch(s[1], 1);
	while (cuStreamQuery(s[1]) == CUDA_ERROR_NOT_READY)
		;
	assert_int_equal(*counter, 12);
	ok(cuEventDestroy(e));
	ok(cuStreamDestroy(s[0]));
	ok(cuStreamDestroy(s[1]));
}

static void copies_and_fills(void **state)
{
	CUdeviceptr c = (uintptr_t)counter, other;
	uint32_t v = 0;

	(void)state;
	*counter = 77;
	ok(cuMemcpyDtoH(&v, c, 4));
	assert_int_equal(v, 77);
	v = 78;
	ok(cuMemcpyHtoD(c, &v, 4));
	assert_int_equal(*counter, 78);
	ok(cuMemsetD32(c, 79, 1));
	ok(cuCtxSynchronize());
	assert_int_equal(*counter, 79);
	ok(cuMemAlloc(&other, 4));
	*counter = 80;
	ok(cuMemcpyDtoDAsync(other, c, 4, NULL));
	ok(cuMemcpyDtoH(&v, other, 4));
	assert_int_equal(v, 80);
	ok(cuMemFree(other));
}

static void graphs(void **state)
{
	CUstream s;
	CUgraph g;
	CUgraphExec e;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	launch(s, 8);
	ok(cuStreamEndCapture(s, &g));
	ok(cuGraphInstantiate(&e, g, 0));
	*counter = 20;
	ok(cuGraphLaunch(e, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(*counter, 28);
	*counter = 0;
	ok(cuGraphLaunch(e, s));
	ok(cuStreamSynchronize(s));
	assert_int_equal(*counter, 8);
	ok(cuGraphExecDestroy(e));
	ok(cuGraphDestroy(g));
	/* What is no work for kernels does not end the host's turn. */
	ok(cuMemsetD32Async((uintptr_t)table, 1, 1, s));
	*counter = 40;
	launch(s, 8);
	ok(cuStreamSynchronize(s));
	assert_int_equal(*counter, 48);
	ok(cuStreamDestroy(s));
}

static void attributes(void **state)
{
	CUdeviceptr c = (uintptr_t)counter, device = 0;
	uint32_t managed = 0;
	void *host = NULL;

	(void)state;
	ok(cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, c));
	assert_int_equal(managed & 0xff, 1);
	ok(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, c));
	ok(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, c));
	assert_true(host == (void *)(uintptr_t)counter && device == c);
	assert_int_not_equal(cuMemFree(c), CUDA_SUCCESS);
}

/* Its place may be that of the next one. */
static void loaded_again(void **state)
{
	CUdeviceptr p;
	CUlibrary l;

	(void)state;
	for (int i = 0; i < 3; i++) {
		ok(cuLibraryLoadData(&l, ptx, NULL, NULL, 0, NULL, NULL, 0));
		ok(cuLibraryGetManaged(&p, NULL, l, "counter"));
		assert_int_equal(*(volatile uint32_t *)(uintptr_t)p, 5);
		*(volatile uint32_t *)(uintptr_t)p = 1;
		ok(cuLibraryUnload(l));
	}
	*counter = 3;
	launch(NULL, 1);
	ok(cuCtxSynchronize());
	assert_int_equal(*counter, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(take_turns),
		cmocka_unit_test(by_global),
		cmocka_unit_test(streams_and_events),
		cmocka_unit_test(copies_and_fills),
		cmocka_unit_test(graphs),
		cmocka_unit_test(attributes),
		cmocka_unit_test(loaded_again),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("managed_variable", tests, setup, teardown);
}
