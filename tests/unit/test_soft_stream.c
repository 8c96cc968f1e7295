/* SPDX-License-Identifier: MIT */
/*
 * Streams, events, values in memory, host functions. Order and overlap are shown by dependencies that would deadlock
 * or give another value if they were wrong, not by clocks.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "soft_test.h"

static void stream_handles(void **state)
{
	CUstream s, junk = (CUstream)0xdeadbeef;
	unsigned long long id;
	CUcontext ctx, now;
	unsigned flags;
	int priority;

	(void)state;
	fails(INVALID_VALUE, cuStreamCreate(NULL, 0));
	fails(INVALID_VALUE, cuStreamCreate(&s, 4));
	ok(cuStreamCreateWithPriority(&s, CU_STREAM_NON_BLOCKING, -100));
	ok(cuStreamGetPriority(s, &priority));
	assert_int_equal(priority, -5);
	ok(cuStreamGetFlags(s, &flags));
	assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
	ok(cuStreamGetId(s, &id));
	ok(cuCtxGetCurrent(&now));
	ok(cuStreamGetCtx(s, &ctx));
	assert_ptr_equal(ctx, now);
	fails(INVALID_VALUE, cuStreamGetPriority(s, NULL));
	fails(INVALID_HANDLE, cuStreamGetFlags(junk, &flags));
	fails(INVALID_HANDLE, cuStreamSynchronize(junk));
	fails(INVALID_HANDLE, cuStreamQuery(junk));
	fails(INVALID_HANDLE, cuStreamDestroy_v2(junk));
	fails(INVALID_HANDLE, cuStreamDestroy_v2(NULL));
	fails(INVALID_HANDLE, cuStreamDestroy_v2(CU_STREAM_LEGACY));
	ok(cuStreamQuery(s));
	ok(cuStreamSynchronize(s));
	ok(cuStreamDestroy_v2(s));
	fails(INVALID_HANDLE, cuStreamQuery(s));
	fails(INVALID_HANDLE, cuStreamDestroy_v2(s));
	ok(cuStreamSynchronize(NULL));
	ok(cuStreamQuery(CU_STREAM_PER_THREAD));
}

/* Nothing is captured, and the calls that ask say so; the mode of a thread is kept. */
static void capture_state(void **state)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

	(void)state;
	ok(cuStreamIsCapturing(NULL, &status));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_NONE);
	status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
	ok(cuStreamGetCaptureInfo_v3(NULL, &status, NULL, NULL, NULL, NULL, NULL));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_NONE);
	fails(INVALID_VALUE, cuStreamGetCaptureInfo(NULL, NULL, NULL));
	fails(INVALID_HANDLE, cuStreamGetCaptureInfo_v2((CUstream)9, &status, NULL, NULL, NULL, NULL));
	ok(cuThreadExchangeStreamCaptureMode(&mode));
	assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
	ok(cuThreadExchangeStreamCaptureMode(&mode));
	assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
	mode = (CUstreamCaptureMode)7;
	fails(INVALID_VALUE, cuThreadExchangeStreamCaptureMode(&mode));
}

static void operations_run_in_order(void **state)
{
	uint32_t *word = pinned(4096), host[64];
	CUdeviceptr p;
	CUstream s;
	int i;

	(void)state;
	ok(cuStreamCreate(&s, 0));
	ok(cuMemAlloc_v2(&p, sizeof(host)));
	ok(cuStreamWaitValue32_v2(s, dptr(word), 1, CU_STREAM_WAIT_VALUE_EQ));
	for (i = 0; i < 64; i++) {
		ok(cuMemsetD32Async(p, (unsigned)i, 64, s));
		ok(cuMemcpyDtoDAsync_v2(p + 4 * (unsigned)i, p, 4, s));
		ok(cuMemcpyDtoHAsync_v2(&word[64 + i], p + 4 * (unsigned)i, 4, s));
	}
	fails(NOT_READY, cuStreamQuery(s));
	assert_int_equal(word[64 + 5], 0);
	atomic_store((_Atomic uint32_t *)word, 1);
	ok(cuStreamSynchronize(s));
	ok(cuStreamQuery(s));
	for (i = 0; i < 64; i++)
		assert_int_equal(word[64 + i], i);
	ok(cuMemFree_v2(p));
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFreeHost(word));
}

/* The first stream can end only if the second runs meanwhile, and the other way round. */
static void streams_overlap(void **state)
{
	uint64_t *word = pinned(4096);
	CUstream s[40];
	int i;

	(void)state;
	for (i = 0; i < 40; i++)
		ok(cuStreamCreate(&s[i], i & 1 ? CU_STREAM_NON_BLOCKING : 0));
	for (i = 0; i < 40; i++) {
		ok(cuStreamWaitValue64_v2(s[i], dptr(&word[i + 1]), 1, CU_STREAM_WAIT_VALUE_GEQ));
		ok(cuStreamWriteValue64_v2(s[i], dptr(&word[i]), 1, 0));
	}
	fails(NOT_READY, cuStreamQuery(s[0]));
	atomic_store((_Atomic uint64_t *)&word[40], 1);
	for (i = 0; i < 40; i++) {
		ok(cuStreamSynchronize(s[i]));
		ok(cuStreamDestroy_v2(s[i]));
	}
	assert_int_equal(word[0], 1);
	ok(cuMemFreeHost(word));
}

static void wait_value_kinds(void **state)
{
	uint64_t *w = pinned(64);
	uint32_t *h = (uint32_t *)&w[2];
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	w[0] = 5;
	ok(cuStreamWaitValue64_v2(s, dptr(w), 5, CU_STREAM_WAIT_VALUE_GEQ));
	ok(cuStreamWaitValue64_v2(s, dptr(w), (uint64_t)-5, CU_STREAM_WAIT_VALUE_GEQ));
	ok(cuStreamWaitValue64_v2(s, dptr(w), 4, CU_STREAM_WAIT_VALUE_AND));
	ok(cuStreamWaitValue64_v2(s, dptr(w), ~6ull, CU_STREAM_WAIT_VALUE_NOR));
	*h = 0xfffffff0;
	ok(cuStreamWaitValue32_v2(s, dptr(h), 0xffffffe0, CU_STREAM_WAIT_VALUE_GEQ));
	ok(cuStreamWaitValue32_v2(s, dptr(h), 0, CU_STREAM_WAIT_VALUE_NOR));
	ok(cuStreamSynchronize(s));
	ok(cuStreamWaitValue32_v2(s, dptr(h), ~0u, CU_STREAM_WAIT_VALUE_NOR));
	fails(NOT_READY, cuStreamQuery(s));
	/* ~(x | ~0) is 0 whatever x is: only the end of the context ends this wait. */
	ok(cuStreamWriteValue32_v2(NULL, dptr(w), 77, 0));
	assert_int_equal(w[0], 77);
	fails(INVALID_VALUE, cuStreamWriteValue32_v2(s, dptr(w) + 1, 0, 0));
	fails(INVALID_VALUE, cuStreamWriteValue64_v2(s, WILD, 0, 0));
	fails(INVALID_VALUE, cuStreamWriteValue64_v2(s, dptr(w), 0, 8));
	fails(INVALID_VALUE, cuStreamWaitValue64_v2(s, dptr(w), 0, CU_STREAM_WAIT_VALUE_FLUSH));
	fails(INVALID_HANDLE, cuStreamWriteValue64_v2((CUstream)99, dptr(w), 0, 0));
}

/* Ends the wait that wait_value_kinds leaves behind: a context that goes takes its work along. */
static void context_end_stops_waiting_streams(void **state)
{
	CUcontext ctx;

	(void)state;
	ok(cuDevicePrimaryCtxReset_v2(0));
	ok(cuCtxGetCurrent(&ctx));
	ok(cuCtxSynchronize());
}

static void batch(void **state)
{
	uint64_t *w = pinned(64);
	CUstreamBatchMemOpParams op[3];
	CUstream s;

	(void)state;
	memset(op, 0, sizeof(op));
	ok(cuStreamCreate(&s, 0));
	op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
	op[0].writeValue.address = dptr(w);
	op[0].writeValue.value64 = 1ull << 40;
	op[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_64;
	op[1].waitValue.address = dptr(w);
	op[1].waitValue.value64 = 1ull << 40;
	op[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
	op[2].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[2].writeValue.address = dptr(&w[1]);
	op[2].writeValue.value = 9;
	ok(cuStreamBatchMemOp_v2(s, 3, op, 0));
	ok(cuStreamSynchronize(s));
	assert_true(w[0] == 1ull << 40 && w[1] == 9);
	ok(cuStreamBatchMemOp_v2(s, 0, NULL, 0));
	fails(INVALID_VALUE, cuStreamBatchMemOp_v2(s, 1, NULL, 0));
	op[0].writeValue.operation = CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES;
	fails(NOT_SUPPORTED, cuStreamBatchMemOp_v2(s, 3, op, 0));
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFreeHost(w));
}

/* Work of the default stream waits for blocking streams and holds up later work of theirs; others do not care. */
static void default_stream_rules(void **state)
{
	uint64_t *w = pinned(4096);
	CUstream a, b, free_runner;

	(void)state;
	ok(cuStreamCreate(&a, 0));
	ok(cuStreamCreate(&b, 0));
	ok(cuStreamCreate(&free_runner, CU_STREAM_NON_BLOCKING));
	ok(cuStreamWaitValue64_v2(a, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuStreamWriteValue64_v2(a, dptr(&w[1]), 1, 0));
	ok(cuMemcpyDtoDAsync_v2(dptr(&w[2]), dptr(&w[1]), 8, NULL)); /* sees what a wrote */
	ok(cuMemcpyDtoDAsync_v2(dptr(&w[3]), dptr(&w[2]), 8, b));    /* sees what the default stream wrote */
	ok(cuStreamWriteValue64_v2(free_runner, dptr(&w[4]), 1, 0));
	ok(cuStreamSynchronize(free_runner));
	assert_int_equal(w[4], 1);
	fails(NOT_READY, cuStreamQuery(NULL));
	fails(NOT_READY, cuStreamQuery(b));
	ok(cuStreamWaitValue64_v2(free_runner, dptr(&w[5]), 1, CU_STREAM_WAIT_VALUE_EQ));
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuStreamSynchronize(NULL)); /* would hang if it waited for free_runner */
	ok(cuStreamSynchronize(b));
	assert_true(w[2] == 1 && w[3] == 1);
	atomic_store((_Atomic uint64_t *)&w[5], 1);
	ok(cuCtxSynchronize());
	ok(cuStreamDestroy_v2(a));
	ok(cuStreamDestroy_v2(b));
	ok(cuStreamDestroy_v2(free_runner));
	ok(cuMemFreeHost(w));
}

static void *use_thread_stream(void *arg)
{
	uint64_t *w = arg;
	CUcontext ctx;

	if (drv->cuDevicePrimaryCtxRetain(&ctx, 0) || drv->cuCtxSetCurrent(ctx) ||
	    drv->cuStreamWriteValue64_v2(CU_STREAM_PER_THREAD, dptr(&w[1]), 1, 0) ||
	    drv->cuStreamSynchronize(CU_STREAM_PER_THREAD) || drv->cuDevicePrimaryCtxRelease_v2(0))
		return NULL;
	return arg;
}

/* Each thread has its own stream: one that waits does not hold up the other's. */
static void per_thread_streams(void **state)
{
	uint64_t *w = pinned(64);
	pthread_t t;
	void *done;

	(void)state;
	ok(cuStreamWaitValue64_v2(CU_STREAM_PER_THREAD, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	assert_int_equal(pthread_create(&t, NULL, use_thread_stream, w), 0);
	pthread_join(t, &done);
	assert_ptr_equal(done, w);
	fails(NOT_READY, cuStreamQuery(CU_STREAM_PER_THREAD));
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	ok(cuMemFreeHost(w));
}

static void destroyed_stream_finishes(void **state)
{
	uint64_t *w = pinned(64);
	CUstream s;

	(void)state;
	ok(cuStreamCreate(&s, 0));
	ok(cuStreamWaitValue64_v2(s, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuStreamWriteValue64_v2(s, dptr(&w[1]), 1, 0));
	ok(cuStreamDestroy_v2(s));
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuCtxSynchronize());
	assert_int_equal(w[1], 1);
	ok(cuMemFreeHost(w));
}

static void events(void **state)
{
	uint64_t *w = pinned(64);
	CUevent a, b, plain, junk = (CUevent)0x5555;
	CUstream s, t;
	float ms = -1;

	(void)state;
	fails(INVALID_VALUE, cuEventCreate(NULL, 0));
	fails(INVALID_VALUE, cuEventCreate(&a, 0x80));
	fails(INVALID_VALUE, cuEventCreate(&a, CU_EVENT_INTERPROCESS));
	ok(cuEventCreate(&a, 0));
	ok(cuEventCreate(&b, CU_EVENT_BLOCKING_SYNC));
	ok(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
	ok(cuEventQuery(a));
	ok(cuEventSynchronize(a));
	fails(INVALID_HANDLE, cuEventElapsedTime(&ms, a, b));
	fails(INVALID_HANDLE, cuEventQuery(junk));
	fails(INVALID_HANDLE, cuEventRecord(NULL, NULL));
	fails(INVALID_HANDLE, cuEventRecord(a, (CUstream)0x99));
	fails(INVALID_VALUE, cuEventRecordWithFlags(a, NULL, 1));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	ok(cuEventRecord(a, s));
	ok(cuStreamWaitValue64_v2(s, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuEventRecord(b, s));
	ok(cuEventRecord(plain, s));
	ok(cuEventSynchronize(a));
	fails(NOT_READY, cuEventQuery(b));
	fails(NOT_READY, cuEventElapsedTime(&ms, a, b));
	ok(cuStreamWaitEvent(t, b, 0));
	ok(cuStreamWriteValue64_v2(t, dptr(&w[1]), 1, 0));
	fails(NOT_READY, cuStreamQuery(t));
	assert_int_equal(w[1], 0);
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuStreamSynchronize(t));
	assert_int_equal(w[1], 1);
	ok(cuEventSynchronize(b));
	ok(cuEventElapsedTime(&ms, a, b));
	assert_true(ms >= 0 && ms < 60000);
	ok(cuEventElapsedTime_v2(&ms, b, a));
	assert_true(ms <= 0);
	ok(cuEventSynchronize(plain));
	fails(INVALID_HANDLE, cuEventElapsedTime(&ms, a, plain));
	fails(INVALID_VALUE, cuEventElapsedTime(NULL, a, b));
	ok(cuEventDestroy_v2(a));
	ok(cuEventDestroy_v2(b));
	ok(cuEventDestroy_v2(plain));
	fails(INVALID_HANDLE, cuEventDestroy_v2(a));
	fails(INVALID_HANDLE, cuStreamWaitEvent(t, a, 0));
	ok(cuStreamDestroy_v2(s));
	ok(cuStreamDestroy_v2(t));
	ok(cuMemFreeHost(w));
}

/* A wait refers to the record that was latest when it was called, not to a later one. */
static void wait_takes_latest_record(void **state)
{
	uint64_t *w = pinned(64);
	CUstream s, t;
	CUevent e;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, 0));
	ok(cuStreamWaitEvent(t, e, 0)); /* never recorded: no wait */
	ok(cuStreamSynchronize(t));
	ok(cuEventRecord(e, s));
	ok(cuStreamWaitEvent(t, e, 0));
	ok(cuStreamWaitValue64_v2(s, dptr(&w[0]), 1, CU_STREAM_WAIT_VALUE_EQ));
	ok(cuEventRecord(e, s));
	ok(cuStreamSynchronize(t));
	ok(cuStreamWaitEvent(t, e, 0));
	ok(cuEventDestroy_v2(e)); /* the wait stays */
	ok(cuStreamDestroy_v2(s));
	fails(NOT_READY, cuStreamQuery(t));
	atomic_store((_Atomic uint64_t *)&w[0], 1);
	ok(cuStreamSynchronize(t));
	ok(cuStreamDestroy_v2(t));
	ok(cuMemFreeHost(w));
}

static void push(void *data)
{
	uint64_t *w = data;

	w[1 + w[0]] = w[0];
	w[0]++;
}

static void block_until_set(void *data)
{
	while (!atomic_load((_Atomic uint64_t *)data))
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

static void callback(CUstream stream, CUresult status, void *data)
{
	((uint64_t *)data)[0] = (uint64_t)(uintptr_t)stream;
	((uint64_t *)data)[1] = (uint64_t)status + 1;
}

static void host_functions(void **state)
{
	uint64_t *w = pinned(4096), gate = 0, *order = w + 16, told[2];
	CUstream s, t;
	int i;

	(void)state;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
	fails(INVALID_VALUE, cuLaunchHostFunc(s, NULL, NULL));
	fails(INVALID_VALUE, cuStreamAddCallback(s, callback, told, 1));
	fails(INVALID_HANDLE, cuLaunchHostFunc((CUstream)5, push, w));
	ok(cuLaunchHostFunc(s, block_until_set, &gate));
	for (i = 0; i < 100; i++)
		ok(cuLaunchHostFunc(s, push, order));
	ok(cuStreamWriteValue64_v2(s, dptr(&w[1]), 1, 0));
	/* The other stream runs while the function blocks. */
	ok(cuStreamWriteValue64_v2(t, dptr(&w[2]), 1, 0));
	ok(cuStreamSynchronize(t));
	assert_true(w[1] == 0 && w[2] == 1);
	atomic_store((_Atomic uint64_t *)&gate, 1);
	ok(cuStreamAddCallback(s, callback, told, 0));
	ok(cuStreamSynchronize(s));
	assert_int_equal(order[0], 100);
	for (i = 0; i < 100; i++)
		assert_int_equal(order[1 + i], i);
	assert_true(told[0] == (uint64_t)(uintptr_t)s && told[1] == 1);
	assert_int_equal(w[1], 1);
	ok(cuStreamDestroy_v2(s));
	ok(cuStreamDestroy_v2(t));
	ok(cuMemFreeHost(w));
}

#define ROUNDS 2000

static void *hammer(void *arg)
{
	uint64_t *w = arg;
	CUcontext ctx;
	CUstream s;
	CUevent e, f;
	long bad;
	int i;

	bad = drv->cuDevicePrimaryCtxRetain(&ctx, 0) | drv->cuCtxSetCurrent(ctx) | drv->cuStreamCreate(&s, 0) |
	      drv->cuEventCreate(&e, 0) | drv->cuEventCreate(&f, CU_EVENT_DISABLE_TIMING);
	for (i = 1; i <= ROUNDS && !bad; i++) {
		bad |= drv->cuStreamWriteValue64_v2(s, dptr(&w[0]), (uint64_t)i, 0);
		bad |= drv->cuMemcpyDtoDAsync_v2(dptr(&w[1]), dptr(&w[0]), 8, i % 16 ? s : NULL);
		bad |= drv->cuEventRecord(e, s);
		bad |= drv->cuStreamWaitEvent(CU_STREAM_PER_THREAD, e, 0);
		bad |= drv->cuMemcpyDtoDAsync_v2(dptr(&w[2]), dptr(&w[1]), 8, CU_STREAM_PER_THREAD);
		bad |= drv->cuEventRecord(f, CU_STREAM_PER_THREAD);
		bad |= drv->cuStreamWaitEvent(s, f, 0);
		if (i % 64 == 1) {
			bad |= drv->cuStreamSynchronize(CU_STREAM_PER_THREAD);
			bad |= w[2] != (uint64_t)i;
		}
	}
	bad |= drv->cuCtxSynchronize() | drv->cuStreamDestroy_v2(s) | drv->cuEventDestroy_v2(e) | drv->cuEventDestroy_v2(f);
	bad |= drv->cuDevicePrimaryCtxRelease_v2(0);
	return bad || w[0] != ROUNDS || w[2] != ROUNDS ? NULL : arg;
}

static void threads_use_streams_at_once(void **state)
{
	uint64_t *w = pinned(4096);
	pthread_t t[4];
	void *done;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, w + 64 * i), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &done);
		assert_ptr_equal(done, w + 64 * i);
	}
	ok(cuMemFreeHost(w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_handles),
		cmocka_unit_test(capture_state),
		cmocka_unit_test(operations_run_in_order),
		cmocka_unit_test(streams_overlap),
		cmocka_unit_test(wait_value_kinds),
		cmocka_unit_test(context_end_stops_waiting_streams),
		cmocka_unit_test(batch),
		cmocka_unit_test(default_stream_rules),
		cmocka_unit_test(per_thread_streams),
		cmocka_unit_test(destroyed_stream_finishes),
		cmocka_unit_test(events),
		cmocka_unit_test(wait_takes_latest_record),
		cmocka_unit_test(host_functions),
		cmocka_unit_test(threads_use_streams_at_once),
	};

	return cmocka_run_group_tests(tests, soft_test_begin, soft_test_end);
}
