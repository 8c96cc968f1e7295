/* SPDX-License-Identifier: MIT */
/* The buddy allocator: runs are disjoint and aligned, all can be had again, wrong blocks are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shim/buddy.h"

#define ORDERS	13u
#define BLOCKS	(1u << ORDERS)

static void all_single_blocks_and_no_more(void **state)
{
	struct vgpu_buddy *b = vgpu_buddy_new(ORDERS);
	static bool seen[BLOCKS];
	int64_t at;

	(void)state;
	assert_non_null(b);
	assert_int_equal(vgpu_buddy_largest(b), ORDERS + 1);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		at = vgpu_buddy_take(b, 0);
		assert_in_range(at, 0, BLOCKS - 1);
		assert_false(seen[at]);
		seen[at] = true;
	}
	assert_int_equal(vgpu_buddy_largest(b), 0);
	assert_int_equal(vgpu_buddy_take(b, 0), -1);
	for (uint32_t i = 0; i < BLOCKS; i++)
		assert_int_equal(vgpu_buddy_give(b, i), 0);
	assert_int_equal(vgpu_buddy_largest(b), ORDERS + 1);
	assert_int_equal(vgpu_buddy_take(b, ORDERS), 0);
	vgpu_buddy_delete(b);
}

static void what_is_not_out_is_refused(void **state)
{
	struct vgpu_buddy *b = vgpu_buddy_new(4);
	int64_t at = vgpu_buddy_take(b, 2);

	(void)state;
	assert_int_equal(at % 4, 0);
	assert_int_equal(vgpu_buddy_take(b, 5), -1);
	assert_int_equal(vgpu_buddy_give(b, (uint32_t)at + 1), -EINVAL);
	assert_int_equal(vgpu_buddy_give(b, (uint32_t)at ^ 8), -EINVAL);
	assert_int_equal(vgpu_buddy_give(b, 16), -EINVAL);
	assert_int_equal(vgpu_buddy_give(b, UINT32_MAX), -EINVAL);
	assert_int_equal(vgpu_buddy_give(b, (uint32_t)at), 2);
	assert_int_equal(vgpu_buddy_give(b, (uint32_t)at), -EINVAL);
	vgpu_buddy_delete(b);
	assert_null(vgpu_buddy_new(VGPU_BUDDY_ORDERS_MAX + 1));
}

/* Against a plain picture of which block is whose. */
static void random_use(void **state)
{
	static struct { int64_t at; uint32_t order; } run[300];
	static uint16_t owner[BLOCKS];
	struct vgpu_buddy *b = vgpu_buddy_new(ORDERS);
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint16_t i = (uint16_t)((unsigned)rand_r(&seed) % 300), before = i + 1, after = 0;

		if (run[i].order) {
			assert_int_equal(vgpu_buddy_give(b, (uint32_t)run[i].at), (int)run[i].order - 1);
		} else {
			run[i].order = 1 + (uint32_t)rand_r(&seed) % 9;
			run[i].at = vgpu_buddy_take(b, run[i].order - 1);
			if (run[i].at < 0) {
				assert_true(vgpu_buddy_largest(b) < run[i].order);
				run[i].order = 0;
				continue;
			}
			assert_int_equal(run[i].at & ((1 << (run[i].order - 1)) - 1), 0);
			before = 0;
			after = i + 1;
		}
		for (int64_t k = run[i].at; k < run[i].at + (1 << (run[i].order - 1)); k++) {
			assert_int_equal(owner[k], before);
			owner[k] = after;
		}
		if (!after)
			run[i].order = 0;
	}
	for (int i = 0; i < 300; i++)
		if (run[i].order)
			assert_int_equal(vgpu_buddy_give(b, (uint32_t)run[i].at), (int)run[i].order - 1);
	assert_int_equal(vgpu_buddy_largest(b), ORDERS + 1);
	vgpu_buddy_delete(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_single_blocks_and_no_more),
		cmocka_unit_test(what_is_not_out_is_refused),
		cmocka_unit_test(random_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
