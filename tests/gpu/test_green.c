/* SPDX-License-Identifier: MIT */
/*
 * Green contexts: partitions of a device's multiprocessors, contexts made of them, streams that run there, and events
 * of whole contexts. How many multiprocessors a partition must have is asked, since devices differ in it.
 */
#include "gpu_test.h"

#define BYTES	4096u

static int sm_count(void)
{
	int count;

	ok(cuDeviceGetAttribute(&count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, gpu_device()));
	return count;
}

static CUdevResource whole(void)
{
	CUdevResource r;

	memset(&r, 0, sizeof(r));
	ok(cuDeviceGetDevResource(gpu_device(), &r, CU_DEV_RESOURCE_TYPE_SM));
	return r;
}

/* The first of the smallest partitions. */
static CUdevResource small(void)
{
	CUdevResource all = whole(), part;
	unsigned groups = 1;

	memset(&part, 0, sizeof(part));
	ok(cuDevSmResourceSplitByCount(&part, &groups, &all, NULL, 0, all.sm.minSmPartitionSize));
	assert_int_equal(groups, 1);
	return part;
}

static CUgreenCtx green(void)
{
	CUdevResource part = small();
	CUdevResourceDesc desc;
	CUgreenCtx ctx;

	ok(cuDevResourceGenerateDesc(&desc, &part, 1));
	ok(cuGreenCtxCreate(&ctx, desc, gpu_device(), CU_GREEN_CTX_DEFAULT_STREAM));
	return ctx;
}

static CUstream green_stream(CUgreenCtx ctx)
{
	CUstream s;

	ok(cuGreenCtxStreamCreate(&s, ctx, CU_STREAM_NON_BLOCKING, 0));
	return s;
}

static void resources(void **state)
{
	CUdevResource r = whole();

	(void)state;
	assert_int_equal(r.type, CU_DEV_RESOURCE_TYPE_SM);
	assert_int_equal(r.sm.smCount, sm_count());
	assert_in_range(r.sm.minSmPartitionSize, 1, r.sm.smCount);
	ok(cuCtxGetDevResource(gpu_context(), &r, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(r.sm.smCount, sm_count());
	expect(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetDevResource(99, &r, CU_DEV_RESOURCE_TYPE_SM));
	expect(CUDA_ERROR_INVALID_VALUE, cuDeviceGetDevResource(gpu_device(), NULL, CU_DEV_RESOURCE_TYPE_SM));
}

static void split(void **state)
{
	CUdevResource all = whole(), *parts, rest;
	unsigned groups = 0, made, i, sum = 0;

	(void)state;
	ok(cuDevSmResourceSplitByCount(NULL, &groups, &all, NULL, 0, all.sm.minSmPartitionSize));
	assert_in_range(groups, 1, all.sm.smCount);
	parts = calloc(groups, sizeof(*parts));
	assert_non_null(parts);
	memset(&rest, 0, sizeof(rest));
	made = groups;
	ok(cuDevSmResourceSplitByCount(parts, &made, &all, &rest, 0, all.sm.minSmPartitionSize));
	assert_int_equal(made, groups);
	for (i = 0; i < made; i++) {
		assert_int_equal(parts[i].type, CU_DEV_RESOURCE_TYPE_SM);
		assert_int_equal(parts[i].sm.smCount, parts[0].sm.smCount);
		assert_true(parts[i].sm.smCount >= all.sm.minSmPartitionSize);
		sum += parts[i].sm.smCount;
	}
	assert_in_range(sum, 1, all.sm.smCount);
	free(parts);
}

static void refused(void **state)
{
	CUdevResource all = whole(), none;
	CUdevResourceDesc desc;
	unsigned groups = 1;

	(void)state;
	memset(&none, 0, sizeof(none));
	expect(CUDA_ERROR_INVALID_VALUE, cuDevSmResourceSplitByCount(NULL, NULL, &all, NULL, 0, 1));
	expect(CUDA_ERROR_INVALID_RESOURCE_TYPE, cuDevSmResourceSplitByCount(NULL, &groups, &none, NULL, 0, 1));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxGetDevResource(NULL, &none, CU_DEV_RESOURCE_TYPE_SM));
	expect(CUDA_ERROR_INVALID_VALUE, cuDevResourceGenerateDesc(NULL, &all, 1));
	ok(cuDevResourceGenerateDesc(&desc, &all, 1));
	expect(CUDA_ERROR_INVALID_VALUE, cuGreenCtxCreate(NULL, desc, gpu_device(), CU_GREEN_CTX_DEFAULT_STREAM));
}

static void life(void **state)
{
	CUdevResource part = small(), got;
	unsigned long long a, b;
	CUcontext ctx, current;
	CUgreenCtx one = green(), two = green();
	CUdevice dev = 77;

	(void)state;
	assert_ptr_not_equal(one, two);
	ok(cuGreenCtxGetId(one, &a));
	ok(cuGreenCtxGetId(two, &b));
	assert_true(a != b);
	ok(cuGreenCtxGetDevResource(one, &got, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(got.sm.smCount, part.sm.smCount);
	ok(cuCtxGetCurrent(&current));
	assert_ptr_equal(current, gpu_context());
	ok(cuCtxFromGreenCtx(&ctx, one));
	assert_ptr_not_equal(ctx, gpu_context());
	ok(cuCtxGetDevResource(ctx, &got, CU_DEV_RESOURCE_TYPE_SM));
	assert_int_equal(got.sm.smCount, part.sm.smCount);
	ok(cuCtxPushCurrent(ctx));
	ok(cuCtxGetDevice(&dev));
	assert_int_equal(dev, gpu_device());
	ok(cuCtxPopCurrent(&current));
	assert_ptr_equal(current, ctx);
	ok(cuGreenCtxDestroy(two));
	ok(cuGreenCtxDestroy(one));
}

static void streams(void **state)
{
	CUgreenCtx g = green(), found = NULL;
	CUcontext converted, ctx = NULL;
	CUstream s = green_stream(g), t, plain, none;

	(void)state;
	ok(cuCtxFromGreenCtx(&converted, g));
	ok(cuStreamGetGreenCtx(s, &found));
	assert_ptr_equal(found, g);
	ok(cuStreamGetCtx(s, &ctx));
	assert_ptr_equal(ctx, converted);
	ok(cuStreamCreate(&plain, CU_STREAM_NON_BLOCKING));
	found = g;
	ok(cuStreamGetGreenCtx(plain, &found));
	assert_null(found);
	ok(cuCtxPushCurrent(converted));
	ok(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	ok(cuStreamGetGreenCtx(t, &found));
	assert_ptr_equal(found, g);
	ok(cuStreamGetGreenCtx(NULL, &found));
	assert_ptr_equal(found, g);
	ok(cuCtxPopCurrent(NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuGreenCtxStreamCreate(&none, g, CU_STREAM_DEFAULT, 0));
	ok(cuStreamDestroy(t));
	ok(cuStreamDestroy(plain));
	ok(cuStreamDestroy(s));
	ok(cuGreenCtxDestroy(g));
}

/* Memory and code are the primary context's, whichever context was current when they were made. */
static void work(void **state)
{
	CUgreenCtx g = green();
	CUstream s = green_stream(g);
	CUmodule m = gpu_module("saxpy.ptx");
	float x[256], y[256], a = 3;
	CUdeviceptr dx, dy;
	CUcontext ctx;
	CUfunction f;
	int i, n = 256;
	void *params[] = { &a, &dx, &dy, &n };

	(void)state;
	for (i = 0; i < n; i++)
		x[i] = (float)i, y[i] = 1;
	ok(cuModuleGetFunction(&f, m, "saxpy"));
	ok(cuMemAlloc(&dx, sizeof(x)));
	ok(cuCtxFromGreenCtx(&ctx, g));
	ok(cuCtxPushCurrent(ctx));
	ok(cuMemAlloc(&dy, sizeof(y)));
	ok(cuMemcpyHtoD(dx, x, sizeof(x)));
	ok(cuMemcpyHtoD(dy, y, sizeof(y)));
	ok(cuLaunchKernel(f, 1, 1, 1, 256, 1, 1, 0, NULL, params, NULL));	/* 1 + 3 x */
	ok(cuCtxSynchronize());
	ok(cuCtxPopCurrent(NULL));
	ok(cuLaunchKernel(f, 1, 1, 1, 256, 1, 1, 0, s, params, NULL));	/* 1 + 6 x */
	ok(cuMemcpyDtoHAsync(y, dy, sizeof(y), s));
	ok(cuStreamSynchronize(s));
	for (i = 0; i < n; i++)
		assert_true(y[i] == 1 + 6 * (float)i);
	ok(cuMemFree(dx));
	ok(cuStreamDestroy(s));
	ok(cuGreenCtxDestroy(g));
	ok(cuMemcpyDtoH(y, dy, sizeof(y)));	/* outlives the green context */
	assert_true(y[2] == 13);
	ok(cuMemFree(dy));
	ok(cuModuleUnload(m));
}

/* A stream that goes on when its word is 1. */
struct gate {
	volatile uint32_t *word;
	CUstream stream;
};

static struct gate closed(CUstream s)
{
	struct gate g = { .stream = s };

	ok(cuMemAllocHost((void **)&g.word, BYTES));
	*g.word = 0;
	ok(cuStreamWaitValue32(s, (CUdeviceptr)(uintptr_t)g.word, 1, CU_STREAM_WAIT_VALUE_GEQ));
	return g;
}

static void open_gate(struct gate *g)
{
	*g->word = 1;
	ok(cuStreamSynchronize(g->stream));
}

static void primary_waits_for_green(void **state)
{
	CUgreenCtx g = green();
	CUstream s = green_stream(g);
	struct gate gate = closed(s);

	(void)state;
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	*gate.word = 1;
	ok(cuCtxSynchronize());
	ok(cuStreamQuery(s));
	ok(cuMemFreeHost((void *)gate.word));
	ok(cuStreamDestroy(s));
	ok(cuGreenCtxDestroy(g));
}

/* An event that is recorded in a context stands for all its streams, in a green one for its own only. */
static void context_events(void **state)
{
	CUgreenCtx g = green(), other = green();
	CUstream s = green_stream(g);
	CUevent all, mine, theirs;
	struct gate gate;

	(void)state;
	ok(cuEventCreate(&all, CU_EVENT_DISABLE_TIMING));
	ok(cuEventCreate(&mine, CU_EVENT_DISABLE_TIMING));
	ok(cuEventCreate(&theirs, CU_EVENT_DISABLE_TIMING));
	gate = closed(s);
	ok(cuCtxRecordEvent(gpu_context(), all));
	ok(cuGreenCtxRecordEvent(g, mine));
	ok(cuGreenCtxRecordEvent(other, theirs));
	ok(cuEventSynchronize(theirs));
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(all));
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(mine));
	open_gate(&gate);
	ok(cuEventSynchronize(all));
	ok(cuEventSynchronize(mine));
	ok(cuEventRecord(mine, s));	/* and back to an ordinary one */
	ok(cuEventSynchronize(mine));
	ok(cuMemFreeHost((void *)gate.word));
	ok(cuEventDestroy(all));
	ok(cuEventDestroy(mine));
	ok(cuEventDestroy(theirs));
	ok(cuStreamDestroy(s));
	ok(cuGreenCtxDestroy(other));
	ok(cuGreenCtxDestroy(g));
}

/* What is queued in a context after it was told to wait waits, in its green contexts too. */
static void context_waits(void **state)
{
	CUgreenCtx g = green();
	CUstream s = green_stream(g), first, second;
	CUdeviceptr p;
	CUevent e;
	struct gate gate;
	uint32_t got[2];

	(void)state;
	ok(cuMemAlloc(&p, BYTES));
	ok(cuMemsetD32(p, 0, BYTES / 4));
	ok(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	gate = closed(first);
	ok(cuEventRecord(e, first));
	ok(cuCtxWaitEvent(gpu_context(), e));
	ok(cuMemsetD32Async(p, 1, 1, s));
	ok(cuMemsetD32Async(p + 4, 2, 1, second));
	gpu_nap();
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(second));
	open_gate(&gate);
	ok(cuStreamSynchronize(s));
	ok(cuStreamSynchronize(second));
	ok(cuMemcpyDtoH(got, p, sizeof(got)));
	assert_int_equal(got[0], 1);
	assert_int_equal(got[1], 2);
	ok(cuMemFreeHost((void *)gate.word));
	ok(cuEventDestroy(e));
	ok(cuStreamDestroy(s));
	ok(cuStreamDestroy(first));
	ok(cuStreamDestroy(second));
	ok(cuMemFree(p));
	ok(cuGreenCtxDestroy(g));
}

/* Many come and go; each is as good as the first. */
static void again_and_again(void **state)
{
	CUgreenCtx g;
	CUstream s;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		g = green();
		s = green_stream(g);
		ok(cuStreamSynchronize(s));
		ok(cuStreamDestroy(s));
		ok(cuGreenCtxDestroy(g));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resources),
		cmocka_unit_test(split),
		cmocka_unit_test(refused),
		cmocka_unit_test(life),
		cmocka_unit_test(streams),
		cmocka_unit_test(work),
		cmocka_unit_test(primary_waits_for_green),
		cmocka_unit_test(context_events),
		cmocka_unit_test(context_waits),
		cmocka_unit_test(again_and_again),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("green", tests, gpu_setup, gpu_teardown);
}
