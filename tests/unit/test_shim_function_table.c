/* SPDX-License-Identifier: MIT */
/* Functions by name: thousands of them, several of one name, and taking them out again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shim/function.h"

#define MANY	10000u

static void each_is_found(void **state)
{
	static struct vgpu_function functions[MANY];
	struct vgpu_function_table t = { 0 };
	char name[32];
	uint32_t i;

	(void)state;
	assert_null(vgpu_function_table_find(&t, "kernel_0", 0));
	for (i = 0; i < MANY; i++) {
		assert_int_not_equal(asprintf(&functions[i].name, "kernel_%u", i), -1);
		assert_true(vgpu_function_table_reserve(&t));
		vgpu_function_table_add(&t, &functions[i]);
	}
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "kernel_%u", i);
		assert_ptr_equal(vgpu_function_table_find(&t, name, 0), &functions[i]);
	}
	assert_null(vgpu_function_table_find(&t, "kernel_10000", 0));
	assert_null(vgpu_function_table_find(&t, "kernel_1", 7));
	assert_int_equal(t.count, MANY);
	assert_true(t.size >= MANY / 2);
	for (i = 0; i < MANY; i++)
		free(vgpu_function_table_take(&t)->name);
	assert_null(vgpu_function_table_take(&t));
	assert_null(t.buckets);
}

static void a_kernel_has_a_function_of_its_own(void **state)
{
	struct vgpu_function plain = { .name = (char *)"f" }, of[2] = { { .name = (char *)"f", .kernel = 3 },
									{ .name = (char *)"f", .kernel = 4 } };
	struct vgpu_function_table t = { 0 };
	uint32_t taken;

	(void)state;
	assert_true(vgpu_function_table_reserve(&t));
	vgpu_function_table_add(&t, &of[0]);
	assert_null(vgpu_function_table_find(&t, "f", 4));
	vgpu_function_table_add(&t, &of[1]);
	vgpu_function_table_add(&t, &plain);
	assert_ptr_equal(vgpu_function_table_find(&t, "f", 3), &of[0]);
	assert_ptr_equal(vgpu_function_table_find(&t, "f", 4), &of[1]);
	assert_non_null(vgpu_function_table_find(&t, "f", 0));
	for (taken = 0; vgpu_function_table_take(&t); taken++)
		;
	assert_int_equal(taken, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_found),
		cmocka_unit_test(a_kernel_has_a_function_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
