/* SPDX-License-Identifier: MIT */
/*
 * Device times in traces, on a driver whose events come when the test says so: no event unless somebody traces, each
 * record gets its times or says that it has none, and nothing is put into captured streams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "fake_driver.h"

static struct vgpu_session *s;
static uint64_t memory, seq;

static int call(uint16_t op, const void *args, uint32_t args_size)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = args_size, .seq = ++seq };

	assert_int_equal(fake_execute(s, &c, args, NULL), 0);
	return s->channel->replies[0].result;
}

/* A command of a stream. */
static int fill(uint64_t at)
{
	struct vgpu_args_memset a = { .dst = at, .width = 64, .element_size = 1 };

	return call(VGPU_OP_memset, &a, sizeof(a));
}

static int setup(void **state)
{
	struct vgpu_args_ctx_create c = { .context = vgpu_handle_make(VGPU_HANDLE_CONTEXT, 1, 9) };
	struct vgpu_args_cuMemAlloc_v2 a = { .bytesize = 4096 };

	(void)state;
	s = fake_session();
	seq = 0;
	assert_int_equal(call(VGPU_OP_ctx_create, &c, sizeof(c)), 0);
	assert_int_equal(call(VGPU_OP_cuMemAlloc_v2, &a, sizeof(a)), 0);
	memory = ((const struct vgpu_ret_cuMemAlloc_v2 *)(const void *)s->channel->replies[0].data)->dptr;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_free(s);
	return 0;
}

static const struct vgpu_trace_record *record(uint64_t n)
{
	assert_true(n < atomic_load(&s->stats->trace_tail));
	return &s->stats->record[n % VGPU_TRACE_RECORDS];
}

static void test_off(void **state)
{
	(void)state;
	assert_int_equal(fill(memory), 0);
	assert_int_equal(fake.records, 0);
	assert_null(s->timeline);
	assert_int_equal(atomic_load(&s->stats->trace_tail), 0);
}

static void test_times(void **state)
{
	(void)state;
	atomic_store(&s->stats->trace, 1);
	assert_int_equal(fill(memory), 0);
	assert_true(record(0)->flags & VGPU_TRACE_TIMED);
	assert_int_equal(record(0)->device_end, 0);
	assert_true(vgpu_timeline_outstanding(s));
	fake.busy = true;
	vgpu_timeline_collect(s);
	assert_int_equal(record(0)->device_end, 0);
	fake.busy = false;
	vgpu_timeline_collect(s);
	assert_false(vgpu_timeline_outstanding(s));
	/* The driver says 1.5 ms of every pair of events. */
	assert_true(record(0)->device_begin > record(0)->taken && record(0)->device_end >= record(0)->device_begin);
	assert_true(record(0)->device_end < record(0)->done + 3000000);
	/* A failed command has no times. */
	assert_int_equal(fill(memory + 8192), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(record(1)->flags, 0);
	assert_false(vgpu_timeline_outstanding(s));
}

static void test_capture(void **state)
{
	unsigned long before;

	(void)state;
	atomic_store(&s->stats->trace, 1);
	assert_int_equal(fill(memory), 0);
	before = fake.records;
	fake.capturing = true;
	assert_int_equal(fill(memory), 0);
	assert_int_equal(fake.records, before);
	assert_int_equal(record(1)->flags, 0);
}

/* More commands than events: those beyond have no times, and all is used again later. */
static void test_many(void **state)
{
	unsigned int timed = 0;
	uint64_t live;

	(void)state;
	atomic_store(&s->stats->trace, 1);
	assert_int_equal(fill(memory), 0);	/* the clocks are tied together */
	fake.busy = true;
	for (unsigned int i = 0; i < 3000; i++)
		assert_int_equal(fill(memory), 0);
	for (unsigned int i = 0; i <= 3000; i++)
		timed += !!(record(i)->flags & VGPU_TRACE_TIMED);
	assert_in_range(timed, 100, 2000);
	fake.busy = false;
	vgpu_timeline_collect(s);
	assert_false(vgpu_timeline_outstanding(s));
	for (unsigned int i = 0; i <= 3000; i++)
		assert_true(!(record(i)->flags & VGPU_TRACE_TIMED) || record(i)->device_end);
	live = fake.live;
	for (unsigned int i = 0; i < 20000; i++)
		assert_int_equal(fill(memory), 0);
	assert_int_equal(fake.live, live);
	assert_true(record(22999)->flags & VGPU_TRACE_TIMED);
}

/* What waits when the context goes says that it has no times. */
static void test_context_goes(void **state)
{
	struct vgpu_args_ctx_destroy c = { .context = vgpu_handle_make(VGPU_HANDLE_CONTEXT, 1, 9) };

	(void)state;
	atomic_store(&s->stats->trace, 1);
	assert_int_equal(fill(memory), 0);
	fake.busy = true;
	assert_int_equal(fill(memory), 0);
	assert_true(record(1)->flags & VGPU_TRACE_TIMED);
	assert_int_equal(call(VGPU_OP_ctx_destroy, &c, sizeof(c)), 0);
	assert_int_equal(record(1)->flags, 0);
	assert_null(s->timeline);
	fake_reset();	/* events died with the context */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capture, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context_goes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
