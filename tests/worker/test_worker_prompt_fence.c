/* SPDX-License-Identifier: MIT */
/*
 * Fences behind short copies, on a driver whose events and fences come at once or never: the worker takes the way that is
 * the faster one, tries the other now and then, and no fence is lost on any of them.
 */
#include "dispatch.h"

#define WORD	5u

static uint64_t memory, value;

static int setup_memory(void **state)
{
	setup_context(state);
	value = 0;
	memory = alloc(1 << 20);
	return 0;
}

/* A copy that somebody waits for. Is its fence there when the worker goes on? */
static bool copy(uint64_t bytes)
{
	bool there;

	assert_int_equal(CALL(memcpy_d2h_arena, .src = memory, .dst_offset = s->geo.arena_at, .bytes = bytes,
			      .fence = WORD, .fence_value = ++value), 0);
	there = atomic_load(&s->channel->fences[WORD]) == value;
	atomic_store(&s->channel->fences[WORD], value);	/* the slow device, now */
	return there;
}

static unsigned int copies(unsigned int n, uint64_t bytes)
{
	unsigned int there = 0;

	while (n--)
		there += copy(bytes);
	return there;
}

/* A device that tells at once is not asked by events, but for the trials: eight of 256 copies. */
static void test_alone(void **state)
{
	(void)state;
	fake.busy = true;
	assert_int_equal(copies(1024, 8), 1024);
	assert_int_equal(fake.records, 32);
}

/* A device whose fences take long: the worker finds out and writes them itself. */
static void test_crowded(void **state)
{
	unsigned long before;

	(void)state;
	fake.slow = true;
	assert_int_equal(copies(247, 8), 0);
	assert_int_equal(copies(8, 8), 8);	/* the trial */
	assert_int_equal(copies(248, 8), 248);
	assert_int_equal(copies(8, 8), 0);	/* the trial of the device */
	assert_int_equal(copies(248, 8), 248);
	/* Long copies are the device's business, however long it takes. */
	before = fake.records;
	assert_int_equal(copies(300, 1 << 20), 0);
	assert_int_equal(fake.records, before);
}

/* Work before the copy that takes its time: the fence is the device's then, and after some of these all are. */
static void test_behind_work(void **state)
{
	unsigned long before;

	(void)state;
	fake.slow = true;
	assert_int_equal(copies(255, 8), 8);
	fake.slow = false;
	fake.busy = true;
	assert_int_equal(copies(513, 8), 513);
	before = fake.records;
	assert_int_equal(copies(247, 8), 247);
	assert_int_equal(fake.records, before);
}

/* The event dies with its context. */
static void test_context(void **state)
{
	(void)state;
	fake.slow = true;
	assert_int_equal(copies(300, 8), 53);
	assert_non_null(s->prompt_fence.event);
	assert_int_equal(CALL(ctx_destroy, .context = ID(CONTEXT, 9)), 0);
	assert_null(s->prompt_fence.event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_alone, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_crowded, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_behind_work, setup_memory, teardown_context),
		cmocka_unit_test_setup_teardown(test_context, setup_memory, teardown_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
