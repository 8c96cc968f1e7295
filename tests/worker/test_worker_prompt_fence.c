/* SPDX-License-Identifier: MIT */
/*
 * Fences behind short copies, on a driver whose events and fences come at once or never: the worker takes the way that is
 * the faster one, tries the other now and then, and no fence is lost on any of them.
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

#define WORD	5u
#define CONTEXT	vgpu_handle_make(VGPU_HANDLE_CONTEXT, 1, 9)

static struct vgpu_session *s;
static uint64_t memory, seq, value;

/* The first command makes the context, the others are in it. */
static int call(uint16_t op, const void *args, uint32_t args_size)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = args_size, .seq = seq + 1,
				    .context = seq ? vgpu_handle_index(CONTEXT) : 0 };

	seq++;
	assert_int_equal(fake_execute(s, &c, args, NULL), 0);
	return s->channel->replies[0].result;
}

static int setup(void **state)
{
	struct vgpu_args_ctx_create c = { .context = CONTEXT };
	struct vgpu_args_cuMemAlloc_v2 a = { .bytesize = 1 << 20 };

	(void)state;
	s = fake_session();
	seq = value = 0;
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

/* A copy that somebody waits for. Is its fence there when the worker goes on? */
static bool copy(uint64_t bytes)
{
	struct vgpu_args_memcpy_d2h_arena a = { .src = memory, .dst_offset = s->geo.arena_at, .bytes = bytes,
						.fence = WORD, .fence_value = ++value };
	bool there;

	assert_int_equal(call(VGPU_OP_memcpy_d2h_arena, &a, sizeof(a)), 0);
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
	struct vgpu_args_ctx_destroy a = { .context = CONTEXT };

	(void)state;
	fake.slow = true;
	assert_int_equal(copies(300, 8), 53);
	assert_non_null(s->prompt_fence.event);
	assert_int_equal(call(VGPU_OP_ctx_destroy, &a, sizeof(a)), 0);
	assert_null(s->prompt_fence.event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_behind_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
