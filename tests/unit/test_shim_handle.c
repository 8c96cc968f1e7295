/* SPDX-License-Identifier: MIT */
/* The handle table: ids are unique while alive, stale and foreign handles are refused, threads may hammer it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdint.h>

#include <cmocka.h>

#include "shim/handle.h"

static void stale_handles_are_refused(void **state)
{
	uint64_t wire, again;
	void *app;

	(void)state;
	vgpu_handle_object_size(VGPU_HANDLE_EVENT, 16);
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_EVENT, &wire), 0);
	app = vgpu_handle_app(VGPU_HANDLE_EVENT, wire);
	assert_int_equal((uintptr_t)app & 15, 0);
	assert_non_null(vgpu_handle_object(VGPU_HANDLE_EVENT, app));
	assert_null(vgpu_handle_object(VGPU_HANDLE_MODULE, app));
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, (char *)app + 1));
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, (char *)app + 16));
	vgpu_handle_drop(VGPU_HANDLE_EVENT, wire);
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, app));
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_EVENT, &again), 0);
	assert_int_not_equal(wire, again);
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, app));
	vgpu_handle_drop(VGPU_HANDLE_EVENT, wire);	/* the stale id drops nothing */
	assert_non_null(vgpu_handle_object_wire(VGPU_HANDLE_EVENT, again));
	vgpu_handle_drop(VGPU_HANDLE_EVENT, again);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, NULL));
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, (void *)0x7fff12345670));
	assert_null(vgpu_handle_object(VGPU_HANDLE_EVENT, (void *)UINTPTR_MAX));
	assert_false(vgpu_handle_live(VGPU_HANDLE_GRAPH, (void *)0x0a000001fffffff0));
}

static void objects_are_zeroed_for_the_next_owner(void **state)
{
	uint64_t wire[3000], other;
	uint32_t *o;
	int i;

	(void)state;
	vgpu_handle_object_size(VGPU_HANDLE_MODULE, sizeof(*o));
	for (i = 0; i < 3000; i++) {
		assert_int_equal(vgpu_handle_new(VGPU_HANDLE_MODULE, &wire[i]), 0);
		o = vgpu_handle_object_wire(VGPU_HANDLE_MODULE, wire[i]);
		assert_int_equal(*o, 0);
		*o = 7;
	}
	for (i = 0; i < 3000; i++)
		vgpu_handle_drop(VGPU_HANDLE_MODULE, wire[i]);
	assert_int_equal(vgpu_handle_next(VGPU_HANDLE_MODULE, 0), 0);
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_MODULE, &other), 0);
	assert_int_equal(*(uint32_t *)vgpu_handle_object_wire(VGPU_HANDLE_MODULE, other), 0);
	assert_int_equal(vgpu_handle_next(VGPU_HANDLE_MODULE, 0), other);
	assert_int_equal(vgpu_handle_next(VGPU_HANDLE_MODULE, other), 0);
}

static void streams_leave_room_for_the_default_ones(void **state)
{
	uint64_t wire;

	(void)state;
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_STREAM, &wire), 0);
	assert_true(vgpu_handle_index(wire) >= VGPU_STREAM_INDEX_FIRST);
	assert_true((uintptr_t)vgpu_handle_app(VGPU_HANDLE_STREAM, wire) > 2);
}

static void *hammer(void *unused)
{
	uint64_t wire[64];
	int round, i;

	for (round = 0; round < 500; round++) {
		for (i = 0; i < 64; i++)
			if (vgpu_handle_new(VGPU_HANDLE_GRAPH, &wire[i]))
				return unused;
		for (i = 0; i < 64; i++) {
			if (!vgpu_handle_live(VGPU_HANDLE_GRAPH, vgpu_handle_app(VGPU_HANDLE_GRAPH, wire[i])))
				return unused;
			vgpu_handle_drop(VGPU_HANDLE_GRAPH, wire[i]);
		}
	}
	return NULL;
}

static void threads_never_share_an_id(void **state)
{
	pthread_t t[4];
	void *bad;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, (void *)1), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(vgpu_handle_next(VGPU_HANDLE_GRAPH, 0), 0);
}

/* The last test: pages stay where they were first used. */
static void too_many_are_out_of_memory(void **state)
{
	static uint64_t wire[VGPU_HANDLE_BUDGET * VGPU_HANDLE_PAGE];
	uint32_t n = 0;

	(void)state;
	while (n < VGPU_HANDLE_BUDGET * VGPU_HANDLE_PAGE && !vgpu_handle_new(VGPU_HANDLE_GRAPHNODE, &wire[n]))
		n++;
	assert_in_range(n, (VGPU_HANDLE_BUDGET - 16) * VGPU_HANDLE_PAGE, VGPU_HANDLE_BUDGET * VGPU_HANDLE_PAGE - 1);
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_GRAPHNODE, &wire[n]), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_USEROBJECT, &wire[n]), CUDA_ERROR_OUT_OF_MEMORY);
	vgpu_handle_drop(VGPU_HANDLE_GRAPHNODE, wire[n / 2]);
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_GRAPHNODE, &wire[n / 2]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stale_handles_are_refused),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(objects_are_zeroed_for_the_next_owner),
		cmocka_unit_test(streams_leave_room_for_the_default_ones),
		cmocka_unit_test(threads_never_share_an_id),
		cmocka_unit_test(too_many_are_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
