/* SPDX-License-Identifier: MIT */
/*
 * Resources and green contexts as a hostile guest uses them: only what the driver has given goes back to it, and memory
 * of a green context is on the account of the primary one.
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

#define ID(kind, n) vgpu_handle_make(VGPU_HANDLE_##kind, 1, n)
#define PRIMARY ID(CONTEXT, 1)

static struct vgpu_session *s;
static uint64_t seq;
static uint32_t context;	/* for the header of each command */

/* The result of a command that is answered. */
static int call(uint16_t op, const void *args, uint32_t size, const void *payload, uint32_t bytes)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = size, .payload_size = bytes,
				    .seq = ++seq, .context = context };

	assert_int_equal(fake_execute(s, &c, args, payload), 0);
	return s->channel->replies[0].result;
}

#define CALL(name, ...)                                                                        \
	({                                                                                     \
		struct vgpu_args_##name a_ = { __VA_ARGS__ };                                  \
		call(VGPU_OP_##name, &a_, sizeof(a_), NULL, 0);                                \
	})

static const void *reply(void)
{
	return s->channel->replies[0].data;
}

static int setup(void **state)
{
	(void)state;
	s = fake_session();
	seq = context = 0;
	assert_int_equal(CALL(primary_ctx_retain, .context = PRIMARY), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_free(s);
	fake_reset();	/* descriptors are never given back, as natively */
	return 0;
}

static uint64_t whole(void)
{
	assert_int_equal(CALL(dev_resource_get, .type = CU_DEV_RESOURCE_TYPE_SM), 0);
	return ((const struct vgpu_ret_dev_resource_get *)reply())->resource.id;
}

static int describe(uint32_t n, uint64_t resource)
{
	struct vgpu_args_dev_resource_describe a = { .descriptor = ID(RESOURCEDESC, n) };

	return call(VGPU_OP_dev_resource_describe, &a, sizeof(a), &resource, sizeof(resource));
}

static int create(uint32_t n, uint64_t primary)
{
	return CALL(green_create, .context = ID(CONTEXT, n), .primary = primary, .descriptor = ID(RESOURCEDESC, 1));
}

static void test_numbers(void **state)
{
	const struct vgpu_ret_dev_resource_split *o = reply();
	uint64_t all = whole();

	(void)state;
	assert_int_not_equal(all, 0);
	assert_int_equal(whole(), all);	/* the same in every byte */
	assert_int_equal(CALL(dev_resource_split, .input = all + 1, .room = 1, .minimum = 8),
			 CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	assert_int_equal(CALL(dev_resource_split, .input = 0, .room = 1, .minimum = 8),
			 CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	assert_int_equal(describe(1, UINT64_MAX), CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	assert_int_equal(CALL(dev_resource_split, .input = all, .query = 1, .minimum = 8), 0);
	assert_int_equal(o->groups, 16);
	assert_int_equal(s->channel->replies[0].size, sizeof(*o));
	assert_int_equal(CALL(dev_resource_split, .input = all, .room = UINT32_MAX, .minimum = 1, .remaining = 1), 0);
	assert_int_equal(o->groups, 132);
	assert_int_equal(o->remaining.id, 0);
	assert_int_equal(CALL(dev_resource_split, .input = all, .room = 2, .minimum = 8, .remaining = 1), 0);
	assert_int_equal(o->groups, 2);
	assert_int_equal(o->remaining.count, 132 - 16);
}

/* Numbers are forgotten in the order in which they were given, and never mean something else. */
static void test_forgotten(void **state)
{
	const struct vgpu_ret_dev_resource_split *o = reply();
	uint64_t all = whole(), first;
	int i;

	(void)state;
	assert_int_equal(CALL(dev_resource_split, .input = all, .room = 132, .minimum = 1), 0);
	first = ((const struct vgpu_rec_dev_resource *)(o + 1))->id;
	for (i = 0; i < 32; i++) {
		all = whole();
		assert_int_equal(CALL(dev_resource_split, .input = all, .room = 132, .minimum = 1), 0);
	}
	assert_int_equal(describe(1, first), CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	assert_int_equal(describe(1, ((const struct vgpu_rec_dev_resource *)(o + 1))->id), 0);
}

static void test_life(void **state)
{
	(void)state;
	assert_int_equal(describe(1, whole()), 0);
	assert_int_equal(create(3, ID(CONTEXT, 9)), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(CALL(ctx_create, .context = ID(CONTEXT, 2)), 0);
	assert_int_equal(create(3, ID(CONTEXT, 2)), CUDA_ERROR_INVALID_CONTEXT);	/* not a primary one */
	assert_int_equal(create(3, PRIMARY), 0);
	assert_int_equal(CALL(ctx_destroy, .context = ID(CONTEXT, 3)), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 2)), CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(CALL(green_destroy, .context = PRIMARY), CUDA_ERROR_INVALID_CONTEXT);
	context = 3;
	assert_int_equal(CALL(stream_create, .stream = ID(STREAM, VGPU_STREAM_INDEX_FIRST)), 0);
	assert_int_equal(CALL(event_create, .event = ID(EVENT, 1)), 0);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 3)), 0);	/* while it is current */
	context = 1;
	assert_int_equal(CALL(stream_destroy, .stream = ID(STREAM, VGPU_STREAM_INDEX_FIRST)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(event_destroy, .event = ID(EVENT, 1)), 0);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 3)), CUDA_ERROR_INVALID_CONTEXT);
}

/* What a resource of a green context refers to is gone with it. */
static void test_resource_of_the_dead(void **state)
{
	uint64_t id;

	(void)state;
	assert_int_equal(describe(1, whole()), 0);
	assert_int_equal(create(3, PRIMARY), 0);
	assert_int_equal(CALL(dev_resource_get, .context = ID(CONTEXT, 3), .type = CU_DEV_RESOURCE_TYPE_SM), 0);
	id = ((const struct vgpu_ret_dev_resource_get *)reply())->resource.id;
	assert_int_equal(describe(2, id), 0);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 3)), 0);
	assert_int_equal(describe(3, id), CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	assert_int_equal(CALL(green_create, .context = ID(CONTEXT, 4), .primary = PRIMARY,
			      .descriptor = ID(RESOURCEDESC, 2)), CUDA_ERROR_INVALID_VALUE);
}

/* Destroying a green context frees none of the memory that was allocated in it; resetting the primary one does. */
static void test_account(void **state)
{
	(void)state;
	assert_int_equal(describe(1, whole()), 0);
	assert_int_equal(create(3, PRIMARY), 0);
	assert_int_equal(create(4, PRIMARY), 0);
	context = 3;
	assert_int_equal(CALL(cuMemAlloc_v2, .bytesize = 1 << 20), 0);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 3)), 0);
	assert_int_equal(s->memory_used, 1 << 20);
	context = 0;
	assert_int_equal(CALL(primary_ctx_reset, .context = PRIMARY), 0);
	assert_int_equal(s->memory_used, 0);
	assert_int_equal(CALL(green_destroy, .context = ID(CONTEXT, 4)), CUDA_ERROR_INVALID_CONTEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resource_of_the_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_account, setup, teardown),
	};

	return cmocka_run_group_tests_name("green contexts in the worker", tests, NULL, NULL);
}
