/* SPDX-License-Identifier: MIT */
/*
 * Events shared between two processes: one records, the other waits, on the device or for it, and the other way round.
 * Whether a record is reached is decided here, by a word that the streams of both wait for.
 */
#include <stdatomic.h>

#include "pair.h"

#define WORDS	1024u
#define FLAGS	(CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING)

enum what { OPEN_MEMORY, OPEN_EVENT, QUERY, SYNCHRONIZE, WAIT, RECORD, HOLD, LET_GO, COPY, FILL, DRAIN, READ, ELAPSED, CLOSE };

struct request {
	enum what what;
	CUipcMemHandle memory;
	CUipcEventHandle event;
	uint32_t to, from;		/* words of the shared memory */
	uint32_t value;
};

struct answer {
	CUresult result;
	uint32_t value;
};

/* One process's view of what both have. */
struct side {
	CUdeviceptr memory;		/* WORDS words, the same in both */
	CUevent event;
	CUstream stream;
	uint32_t *gate;			/* the stream waits until it says `held` */
	uint32_t held;
};

static struct side here, there;	/* each process uses one */
static struct pair other;

/* ---- what either does ---- */

static CUresult prepare(struct side *s)
{
	void *gate = NULL;
	CUresult r;

	if (s->stream)
		return CUDA_SUCCESS;
	r = cuStreamCreate(&s->stream, CU_STREAM_NON_BLOCKING);
	if (!r)
		r = cuMemHostAlloc(&gate, 4096, 0);
	s->gate = gate;
	if (gate)
		memset(gate, 0, 4096);
	return r;
}

/* What comes next in the stream waits for let_go(). */
static CUresult hold(struct side *s)
{
	return cuStreamWaitValue32(s->stream, (CUdeviceptr)(uintptr_t)s->gate, ++s->held, CU_STREAM_WAIT_VALUE_GEQ);
}

static void let_go(struct side *s)
{
	atomic_store((_Atomic uint32_t *)s->gate, s->held);
}

static CUresult copy(const struct side *s, uint32_t to, uint32_t from)
{
	return cuMemcpyDtoDAsync(s->memory + 4 * to, s->memory + 4 * from, 4, s->stream);
}

static CUresult elapsed(CUevent e)
{
	float ms;

	return cuEventElapsedTime(&ms, e, e);
}

/* ---- the other process ---- */

static CUresult act_on(struct side *s, const struct request *q, uint32_t *value)
{
	switch (q->what) {
	case OPEN_MEMORY:
		return cuIpcOpenMemHandle(&s->memory, q->memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
	case OPEN_EVENT:
		return cuIpcOpenEventHandle(&s->event, q->event);
	case QUERY:
		return cuEventQuery(s->event);
	case SYNCHRONIZE:
		return cuEventSynchronize(s->event);
	case WAIT:
		return cuStreamWaitEvent(s->stream, s->event, 0);
	case RECORD:
		return cuEventRecord(s->event, s->stream);
	case HOLD:
		return hold(s);
	case LET_GO:
		let_go(s);
		return CUDA_SUCCESS;
	case COPY:
		return copy(s, q->to, q->from);
	case FILL:
		return cuMemsetD32Async(s->memory + 4 * q->to, q->value, 1, s->stream);
	case DRAIN:
		return cuStreamSynchronize(s->stream);
	case READ:
		return cuMemcpyDtoH(value, s->memory + 4 * q->from, 4);
	case ELAPSED:
		return elapsed(s->event);
	case CLOSE:
		return q->event.reserved[0] ? cuEventDestroy(s->event) : cuIpcCloseMemHandle(s->memory);
	}
	return CUDA_ERROR_UNKNOWN;
}

static void act(const void *request, int fd, void *answer)
{
	struct answer *a = answer;

	(void)fd;
	a->result = prepare(&there);
	if (!a->result)
		a->result = act_on(&there, request, &a->value);
}

static const struct pair_kind kind = { sizeof(struct request), sizeof(struct answer), act };

/* ---- this process ---- */

static struct answer ask_for(struct request q)
{
	struct answer a;

	pair_ask(&other, &q, -1, &a);
	return a;
}

#define ask(...)	(ask_for((struct request){ __VA_ARGS__ }).result)
#define asked(...)	expect(CUDA_SUCCESS, ask(__VA_ARGS__))

static uint32_t word(uint32_t at)
{
	return gpu_word(here.memory + 4 * at);
}

static void share_event(unsigned int flags)
{
	struct request q = { .what = OPEN_EVENT };

	ok(cuEventCreate(&here.event, flags));
	ok(cuIpcGetEventHandle(&q.event, here.event));
	expect(CUDA_SUCCESS, ask_for(q).result);
}

static void drop_event(void)
{
	struct request q = { .what = CLOSE };

	q.event.reserved[0] = 1;
	expect(CUDA_SUCCESS, ask_for(q).result);
	ok(cuEventDestroy(here.event));
}

static int setup(void **state)
{
	struct request q = { .what = OPEN_MEMORY };

	if (gpu_setup(state))
		return -1;
	ok(prepare(&here));
	ok(cuMemAlloc(&here.memory, WORDS * 4));
	ok(cuMemsetD32(here.memory, 0, WORDS));
	ok(cuCtxSynchronize());
	ok(cuIpcGetMemHandle(&q.memory, here.memory));
	return ask_for(q).result ? -1 : 0;
}

static int teardown(void **state)
{
	asked(.what = CLOSE);
	ok(cuMemFree(here.memory));
	ok(cuMemFreeHost(here.gate));
	ok(cuStreamDestroy(here.stream));
	return gpu_teardown(state);
}

/* ---- tests ---- */

static void made_for_it(void **state)
{
	CUipcEventHandle handle;
	CUevent e;
	int can = 0;

	(void)state;
	ok(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, gpu_device()));
	assert_int_equal(can, 1);
	expect(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&e, CU_EVENT_INTERPROCESS));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	assert_int_not_equal(cuIpcGetEventHandle(&handle, e), CUDA_SUCCESS);
	ok(cuEventDestroy(e));
	memset(&handle, 0x5a, sizeof(handle));
	assert_int_not_equal(cuIpcOpenEventHandle(&e, handle), CUDA_SUCCESS);
	expect(CUDA_ERROR_INVALID_VALUE, cuIpcGetEventHandle(NULL, NULL));
}

/* An event that nobody recorded is reached, whoever looks; times are nobody's. */
static void fresh(void **state)
{
	(void)state;
	share_event(FLAGS | CU_EVENT_BLOCKING_SYNC);
	ok(cuEventQuery(here.event));
	asked(.what = QUERY);
	asked(.what = SYNCHRONIZE);
	asked(.what = WAIT);
	asked(.what = DRAIN);
	expect(CUDA_ERROR_INVALID_HANDLE, elapsed(here.event));
	expect(CUDA_ERROR_INVALID_HANDLE, ask(.what = ELAPSED));
	drop_event();
}

/* Recorded here: the other's stream, and the other itself, wait for what comes before it. */
static void recorded_here(void **state)
{
	(void)state;
	share_event(FLAGS);
	ok(hold(&here));
	ok(cuMemsetD32Async(here.memory + 4, 4711, 1, here.stream));
	ok(cuEventRecord(here.event, here.stream));
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(here.event));
	expect(CUDA_ERROR_NOT_READY, ask(.what = QUERY));
	asked(.what = WAIT);
	asked(.what = COPY, .to = 2, .from = 1);
	expect(CUDA_ERROR_NOT_READY, ask(.what = QUERY));
	let_go(&here);
	asked(.what = SYNCHRONIZE);
	asked(.what = QUERY);
	ok(cuEventQuery(here.event));
	asked(.what = DRAIN);
	assert_int_equal(word(2), 4711);
	drop_event();
}

static void recorded_there(void **state)
{
	(void)state;
	share_event(FLAGS);
	asked(.what = HOLD);
	asked(.what = FILL, .to = 3, .value = 815);
	asked(.what = RECORD);
	expect(CUDA_ERROR_NOT_READY, ask(.what = QUERY));
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(here.event));
	ok(cuStreamWaitEvent(here.stream, here.event, 0));
	ok(copy(&here, 4, 3));
	expect(CUDA_ERROR_NOT_READY, cuStreamQuery(here.stream));
	asked(.what = LET_GO);
	ok(cuEventSynchronize(here.event));
	ok(cuStreamSynchronize(here.stream));
	assert_int_equal(word(4), 815);
	/* A record that is not reached counts, not the one before it. */
	asked(.what = HOLD);
	asked(.what = RECORD);
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(here.event));
	asked(.what = LET_GO);
	ok(cuEventSynchronize(here.event));
	drop_event();
}

/* Both in turns, and neither process waits for the device: each stream waits for the other's last record. */
static void in_turns(void **state)
{
	const uint32_t rounds = 50;

	(void)state;
	share_event(FLAGS);
	ok(hold(&here));
	for (uint32_t i = 0; i < rounds; i++) {
		ok(cuMemsetD32Async(here.memory, 100 + i, 1, here.stream));
		ok(cuEventRecord(here.event, here.stream));
		asked(.what = WAIT);
		asked(.what = COPY, .to = 10 + i, .from = 0);
		asked(.what = RECORD);
		ok(cuStreamWaitEvent(here.stream, here.event, 0));
	}
	expect(CUDA_ERROR_NOT_READY, cuEventQuery(here.event));
	let_go(&here);
	ok(cuStreamSynchronize(here.stream));
	for (uint32_t i = 0; i < rounds; i++)
		assert_int_equal(word(10 + i), 100 + i);
	drop_event();
}

/* What a framework does for each tensor that it sends: an event of its own, and gone soon after. */
static void many(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		share_event(FLAGS | CU_EVENT_BLOCKING_SYNC);
		ok(cuMemsetD32Async(here.memory + 4 * (100 + i), i, 1, here.stream));
		ok(cuEventRecord(here.event, here.stream));
		asked(.what = WAIT);
		asked(.what = COPY, .to = 400 + i, .from = 100 + i);
		asked(.what = DRAIN);
		drop_event();
	}
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(word(400 + i), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_for_it),	  cmocka_unit_test(fresh),    cmocka_unit_test(recorded_here),
		cmocka_unit_test(recorded_there), cmocka_unit_test(in_turns), cmocka_unit_test(many),
	};
	int failed;

	if (pair_start(&other, &kind))
		return 1;
	gpu_need_device();
	failed = cmocka_run_group_tests_name("share_event", tests, setup, teardown);
	return failed || pair_end(&other);
}
