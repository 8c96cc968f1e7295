/* SPDX-License-Identifier: MIT */
/* Streams and events: order, queries, timing, waits between streams. */
#include "gpu_test.h"

/* Spins until *flag (64 bits, host memory) is not zero, then stores value to *out. */
static const char gate_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry gate(.param .u64 flag, .param .u64 out, .param .u32 value)\n"
	"{\n\t.reg .pred %q;\n\t.reg .b32 %r<3>;\n\t.reg .b64 %d<4>;\n"
	"\tld.param.u64 %d1, [flag];\n\tld.param.u64 %d2, [out];\n\tld.param.u32 %r1, [value];\n"
	"AGAIN:\n\tld.volatile.global.u32 %r2, [%d1];\n\tsetp.eq.u32 %q, %r2, 0;\n\t@%q bra AGAIN;\n"
	"\tst.volatile.global.u32 [%d2], %r1;\n\tmembar.sys;\n\tret;\n}\n";

struct gate {
	CUmodule module;
	CUfunction f;
	volatile uint32_t *flag;	/* pinned */
	volatile uint32_t *out;		/* pinned, four words */
};

static void gate_open(struct gate *g)
{
	ok(cuModuleLoadData(&g->module, gate_ptx));
	ok(cuModuleGetFunction(&g->f, g->module, "gate"));
	ok(cuMemAllocHost((void **)&g->flag, 4096));
	g->out = g->flag + 16;
	memset((void *)g->flag, 0, 4096);
}

static void gate_launch(struct gate *g, CUstream s, int slot, uint32_t value)
{
	uint64_t flag = (uintptr_t)g->flag, out = (uintptr_t)(g->out + slot);
	void *params[] = { &flag, &out, &value };

	ok(cuLaunchKernel(g->f, 1, 1, 1, 1, 1, 1, 0, s, params, NULL));
}

static void gate_close(struct gate *g)
{
	ok(cuMemFreeHost((void *)g->flag));
	ok(cuModuleUnload(g->module));
}

static void basics(void **state)
{
	unsigned flags;
	int prio, lo, hi;
	unsigned long long id;
	CUstream s;
	CUcontext ctx;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamQuery(s));
	ok(cuStreamSynchronize(s));
	ok(cuStreamGetFlags(s, &flags));
	assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
	ok(cuStreamGetCtx(s, &ctx));
	assert_ptr_equal(ctx, gpu_context());
	ok(cuStreamGetId(s, &id));
	ok(cuStreamDestroy(s));
	ok(cuCtxGetStreamPriorityRange(&lo, &hi));
	ok(cuStreamCreateWithPriority(&s, 0, hi - 10));
	ok(cuStreamGetPriority(s, &prio));
	assert_int_equal(prio, hi);
	ok(cuStreamDestroy(s));
	expect(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(&s, 0x80));
	ok(cuStreamSynchronize(NULL));
	ok(cuStreamSynchronize(CU_STREAM_LEGACY));
	ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	ok(cuStreamQuery(NULL));
}

static void busy(void **state)
{
	struct gate g;
	CUstream s;
	CUevent e;

	(void)state;
	gate_open(&g);
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_DEFAULT));
	gate_launch(&g, s, 0, 5);
	ok(cuEventRecord(e, s));
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(e));
	assert_int_equal(g.out[0], 0);
	*g.flag = 1;
	ok(cuEventSynchronize(e));
	ok(cuEventQuery(e));
	assert_int_equal(g.out[0], 5);
	ok(cuStreamSynchronize(s));
	ok(cuStreamQuery(s));
	ok(cuEventDestroy(e));
	ok(cuStreamDestroy(s));
	gate_close(&g);
}

/* Work that ended long ago is said to be done the first time somebody asks, also through the default stream. */
static void first_question(void **state)
{
	struct gate g;
	CUstream s;

	(void)state;
	gate_open(&g);
	ok(cuStreamCreate(&s, CU_STREAM_DEFAULT));
	for (uint32_t i = 1; i <= 4; i++) {
		*g.flag = 0;
		gate_launch(&g, s, 0, i);
		if (i > 2)
			expect(CUDA_ERROR_NOT_READY, cuStreamQuery(i & 1 ? s : NULL));
		*g.flag = 1;
		while (g.out[0] != i)
			gpu_nap();
		for (int naps = 0; naps < 50; naps++)
			gpu_nap();
		ok(cuStreamQuery(i & 1 ? s : NULL));
		ok(cuStreamSynchronize(s));
	}
	ok(cuStreamDestroy(s));
	gate_close(&g);
}

static void across(void **state)
{
	struct gate g;
	CUstream a, b;
	CUevent e;
	uint32_t v = 0;
	CUdeviceptr p;

	(void)state;
	gate_open(&g);
	ok(cuMemAlloc(&p, 64));
	ok(cuMemsetD8(p, 0, 64));
	ok(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	gate_launch(&g, a, 0, 9);
	ok(cuEventRecord(e, a));
	ok(cuStreamWaitEvent(b, e, 0));
	/* b may copy the word only after a's kernel has stored it. */
	ok(cuMemcpyHtoDAsync(p, (const void *)g.out, 4, b));
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(b));
	*g.flag = 1;
	ok(cuStreamSynchronize(b));
	ok(cuMemcpyDtoH(&v, p, 4));
	assert_int_equal(v, 9);
	ok(cuStreamDestroy(a));
	ok(cuStreamDestroy(b));
	ok(cuEventDestroy(e));
	ok(cuMemFree(p));
	gate_close(&g);
}

static void legacy_order(void **state)
{
	struct gate g;
	CUstream blocking, free_running;

	(void)state;
	gate_open(&g);
	ok(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	ok(cuStreamCreate(&free_running, CU_STREAM_NON_BLOCKING));
	gate_launch(&g, NULL, 0, 1);
	ok(cuStreamSynchronize(free_running));
	ok(cuStreamQuery(free_running));
	ok(cuMemsetD8Async((uintptr_t)(g.out + 2), 1, 4, blocking));
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(blocking));
	assert_int_equal(g.out[2], 0);
	*g.flag = 1;
	ok(cuStreamSynchronize(blocking));
	assert_int_equal(g.out[0], 1);
	assert_int_equal(g.out[2], 0x01010101);
	ok(cuStreamDestroy(blocking));
	ok(cuStreamDestroy(free_running));
	gate_close(&g);
}

static void timing(void **state)
{
	CUevent a, b, c;
	CUdeviceptr p;
	float ms = -1;
	CUstream s;

	(void)state;
	ok(cuEventCreate(&a, CU_EVENT_DEFAULT));
	ok(cuEventCreate(&b, CU_EVENT_DEFAULT));
	ok(cuEventCreate(&c, CU_EVENT_DISABLE_TIMING));
	expect(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, a, b));
	ok(cuMemAlloc(&p, 16 << 20));
	ok(cuEventRecord(a, NULL));
	ok(cuMemsetD8Async(p, 1, 16 << 20, NULL));
	ok(cuEventRecord(b, NULL));
	ok(cuEventRecord(c, NULL));
	ok(cuEventSynchronize(b));
	ok(cuEventElapsedTime(&ms, a, b));
	assert_true(ms > 0.0f && ms < 60000.0f);
	ok(cuEventSynchronize(c));
	expect(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, a, c));
	expect(CUDA_ERROR_INVALID_VALUE, cuEventCreate(NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&c, 0x100));
	/* These are for captures only. */
	ok(cuStreamCreate(&s, CU_STREAM_DEFAULT));
	expect(CUDA_ERROR_ILLEGAL_STATE, cuEventRecordWithFlags(a, s, CU_EVENT_RECORD_EXTERNAL));
	expect(CUDA_ERROR_ILLEGAL_STATE, cuStreamWaitEvent(s, a, CU_EVENT_WAIT_EXTERNAL));
	ok(cuStreamDestroy(s));
	ok(cuEventQuery(a));
	ok(cuEventDestroy(a));
	ok(cuEventDestroy(b));
	ok(cuEventDestroy(c));
	ok(cuMemFree(p));
}

static void CUDA_CB note(void *arg)
{
	*(volatile int *)arg = 17;
}

static void host_function(void **state)
{
	volatile int seen = 0;
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, 0));
	ok(cuLaunchHostFunc(s, note, (void *)&seen));
	ok(cuStreamSynchronize(s));
	assert_int_equal(seen, 17);
	ok(cuStreamDestroy(s));
}

/* A thread without a current context may use streams that have handles, and no others. */
static void without_context(void **state)
{
	CUdeviceptr p;
	CUcontext ctx;
	CUstream s;
	CUevent e;

	(void)state;
	ok(cuMemAlloc(&p, 64));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	ok(cuCtxSetCurrent(NULL));
	ok(cuMemsetD8Async(p, 3, 64, s));
	ok(cuStreamWriteValue32(s, p, 7, 0));
	ok(cuEventRecord(e, s));
	ok(cuStreamWaitEvent(s, e, 0));
	ok(cuEventSynchronize(e));
	ok(cuStreamSynchronize(s));
	ok(cuStreamQuery(s));
	ok(cuStreamGetCtx(s, &ctx));
	assert_ptr_equal(ctx, gpu_context());
	expect(CUDA_ERROR_INVALID_CONTEXT, cuMemsetD8Async(p, 3, 64, NULL));
	ok(cuCtxGetCurrent(&ctx));
	assert_null(ctx);
	ok(cuCtxSetCurrent(gpu_context()));
	assert_int_equal(gpu_word(p), 7);
	ok(cuEventDestroy(e));
	ok(cuStreamDestroy(s));
	ok(cuMemFree(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basics),
		cmocka_unit_test(busy),
		cmocka_unit_test(first_question),
		cmocka_unit_test(across),
		cmocka_unit_test(legacy_order),
		cmocka_unit_test(timing),
		cmocka_unit_test(host_function),
		cmocka_unit_test(without_context),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("stream", tests, gpu_setup, gpu_teardown);
}
