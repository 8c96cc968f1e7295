/* SPDX-License-Identifier: MIT */
/* The map of memory ranges against a plain array, on random data; overlaps refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shim/range.h"

#define CELLS	20000u
#define CELL	4096u

static void agrees_with_an_array(void **state)
{
	static uint32_t size_of[CELLS];
	struct vgpu_range_map m = { 0 };
	struct vgpu_range_info info = { 0 }, out;
	unsigned seed = 3;
	uint64_t address;
	size_t live = 0;
	uint32_t i, round;

	(void)state;
	for (round = 0; round < 200000; round++) {
		i = (uint32_t)rand_r(&seed) % CELLS;
		info.start = (uint64_t)i * CELL;
		address = info.start + (uint32_t)rand_r(&seed) % CELL;
		assert_int_equal(vgpu_range_find(&m, address, &out), address - info.start < size_of[i]);
		if (size_of[i]) {
			info.size = 1;
			assert_int_equal(vgpu_range_insert(&m, &info), -17);
			assert_true(vgpu_range_remove(&m, info.start, &out));
			assert_int_equal(out.size, size_of[i]);
			assert_false(vgpu_range_remove(&m, info.start, NULL));
			size_of[i] = 0;
			live--;
			continue;
		}
		info.size = size_of[i] = 1 + (uint32_t)rand_r(&seed) % CELL;
		assert_int_equal(vgpu_range_insert(&m, &info), 0);
		live++;
		assert_int_equal(m.count, live);
	}
	for (i = 0, address = 0; vgpu_range_next(&m, address, &out); i++)
		address = out.start + 1;
	assert_int_equal(i, live);
	vgpu_range_destroy(&m);
}

static void overlaps_are_refused(void **state)
{
	struct vgpu_range_map m = { 0 };
	struct vgpu_range_info a = { .start = 1000, .size = 100 };

	(void)state;
	assert_int_equal(vgpu_range_insert(&m, &a), 0);
	a.start = 1099;
	assert_int_equal(vgpu_range_insert(&m, &a), -17);
	a.start = 901;
	assert_int_equal(vgpu_range_insert(&m, &a), -17);
	a.start = 900;
	assert_int_equal(vgpu_range_insert(&m, &a), 0);
	a.start = 1100;
	assert_int_equal(vgpu_range_insert(&m, &a), 0);
	a.size = 0;
	a.start = 5000;
	assert_int_equal(vgpu_range_insert(&m, &a), -22);
	a.start = UINT64_MAX - 10;
	a.size = 100;
	assert_int_equal(vgpu_range_insert(&m, &a), -22);
	vgpu_range_destroy(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(overlaps_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
