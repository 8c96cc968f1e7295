/* SPDX-License-Identifier: MIT */
/* Addresses of a recording are put right where they lie in an allocation that lives, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/relocate.h"

static void test_inside_and_outside(void **state)
{
	struct relocation r = { 0 };

	(void)state;
	assert_int_equal(relocation_of(&r, 0x1000), 0x1000);
	assert_int_equal(relocation_add(&r, 0x1000, 0x100, 0x9000), 0);
	assert_int_equal(relocation_add(&r, 0x3000, 0x100, 0x5000), 0);
	assert_int_equal(relocation_of(&r, 0xfff), 0xfff);
	assert_int_equal(relocation_of(&r, 0x1000), 0x9000);
	assert_int_equal(relocation_of(&r, 0x10ff), 0x90ff);
	assert_int_equal(relocation_of(&r, 0x1100), 0x9100);	/* an end */
	assert_int_equal(relocation_of(&r, 0x1101), 0x1101);
	assert_int_equal(relocation_of(&r, 0x3010), 0x5010);
	relocation_free(&r);
}

static void test_neighbours(void **state)
{
	struct relocation r = { 0 };

	(void)state;
	assert_int_equal(relocation_add(&r, 0x1000, 0x100, 0x9000), 0);
	assert_int_equal(relocation_add(&r, 0x1100, 0x100, 0x5000), 0);
	assert_int_equal(relocation_of(&r, 0x1100), 0x5000);	/* a beginning rather than an end */
	relocation_free(&r);
}

static void test_reuse(void **state)
{
	struct relocation r = { 0 };

	(void)state;
	assert_int_equal(relocation_add(&r, 0x1000, 0x100, 0x9000), 0);
	assert_int_equal(relocation_add(&r, 0x1100, 0x100, 0xa000), 0);
	assert_int_equal(relocation_add(&r, 0x1080, 0x100, 0x7000), 0);	/* over both */
	assert_int_equal(r.count, 1);
	assert_int_equal(relocation_of(&r, 0x1000), 0x1000);
	assert_int_equal(relocation_of(&r, 0x1090), 0x7010);
	relocation_remove(&r, 0x1090);				/* begins nothing */
	assert_int_equal(r.count, 1);
	relocation_remove(&r, 0x1080);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.moved, 0);
	relocation_free(&r);
}

static void test_many(void **state)
{
	struct relocation r = { 0 };
	uint64_t i;

	(void)state;
	for (i = 1000; i > 0; i--)
		assert_int_equal(relocation_add(&r, i << 16, 1 << 12, i << 32), 0);
	for (i = 1; i <= 1000; i++)
		assert_int_equal(relocation_of(&r, (i << 16) + 5), (i << 32) + 5);
	relocation_free(&r);
}

static void test_words(void **state)
{
	uint64_t words[] = { 0x1000, 0x1234, 7, 0x1010, 0x1020 }, same[] = { 0x1000, 0x2000 };
	struct relocation r = { 0 };

	(void)state;
	assert_int_equal(relocation_add(&r, 0x2000, 0x100, 0x2000), 0);
	relocation_words(&r, same, sizeof(same));		/* nothing has moved */
	assert_int_equal(same[0], 0x1000);
	assert_int_equal(relocation_add(&r, 0x1000, 0x100, 0x9000), 0);
	relocation_words(&r, words, sizeof(words) - 1);		/* the last one is not whole */
	assert_int_equal(words[0], 0x9000);
	assert_int_equal(words[1], 0x1234);
	assert_int_equal(words[2], 7);
	assert_int_equal(words[3], 0x9010);
	assert_int_equal(words[4], 0x1020);
	relocation_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside_and_outside), cmocka_unit_test(test_neighbours), cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_many), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
