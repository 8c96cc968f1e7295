/* SPDX-License-Identifier: MIT */
/*
 * Device times in traces, on a driver whose events come when the test says so: no event unless somebody traces, each
 * record gets its times or says that it has none, and nothing is put into captured streams.
 */
#include "dispatch.h"

static uint64_t memory;

static int setup_memory(void **state)
{
	setup_context(state);
	memory = alloc(4096);
	return 0;
}

/* A command of a stream. */
static int fill(uint64_t at)
{
	return CALL(memset, .dst = at, .width = 64, .element_size = 1);
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
	(void)state;
	atomic_store(&s->stats->trace, 1);
	assert_int_equal(fill(memory), 0);
	fake.busy = true;
	assert_int_equal(fill(memory), 0);
	assert_true(record(1)->flags & VGPU_TRACE_TIMED);
	assert_int_equal(CALL(ctx_destroy, .context = ID(CONTEXT, 9)), 0);
	assert_int_equal(record(1)->flags, 0);
	assert_null(s->timeline);
	fake_reset();	/* events died with the context */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_off, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_times, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_capture, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_many, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_context_goes, setup_memory, teardown_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
