/* SPDX-License-Identifier: MIT */
/* The arena allocator: disjoint blocks, exhaustion, coalescing, extents given back, two channels on one table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shim/arena.h"

static struct vgpu_shm_geometry geometry;
static uint8_t *memory;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(vgpu_shm_geometry(&geometry, VGPU_SHM_MIN_SIZE, 2), 0);
	memory = mmap(NULL, VGPU_SHM_MIN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(memory, VGPU_SHM_MIN_SIZE);
}

static uint32_t owned_by(uint32_t owner)
{
	_Atomic uint32_t *e = vgpu_shm_extents(memory, &geometry);
	uint32_t i, n = 0;

	for (i = 0; i < geometry.extent_count; i++)
		n += e[i] == owner;
	return n;
}

static void small_blocks_share_an_extent(void **state)
{
	struct vgpu_arena a;
	uint8_t *p, *q;

	(void)state;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	p = vgpu_arena_alloc(&a, 1);
	q = vgpu_arena_alloc(&a, 513);
	assert_non_null(p);
	assert_non_null(q);
	assert_int_equal(((uintptr_t)p - (uintptr_t)memory) % VGPU_ARENA_MIN, 0);
	assert_true(q >= p + 512 || p >= q + 1024);
	assert_int_equal(owned_by(1), 1);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(vgpu_arena_free(&a, p), -22);
	assert_int_equal(vgpu_arena_free(&a, q + 512), -22);
	assert_int_equal(vgpu_arena_free(&a, q), 0);
	assert_int_equal(owned_by(1), 0);
	assert_int_equal(a.used, 0);
	vgpu_arena_destroy(&a);
}

static void everything_can_be_had_and_no_more(void **state)
{
	uint64_t all = (uint64_t)geometry.extent_count * geometry.extent_size;
	struct vgpu_arena a;
	void *p;

	(void)state;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	assert_null(vgpu_arena_alloc(&a, 0));
	assert_null(vgpu_arena_alloc(&a, all + 1));
	p = vgpu_arena_alloc(&a, all);
	assert_ptr_equal(p, memory + geometry.arena_at);
	assert_null(vgpu_arena_alloc(&a, 1));
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	p = vgpu_arena_alloc(&a, all);
	assert_non_null(p);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	vgpu_arena_destroy(&a);
}

static void two_channels_never_share(void **state)
{
	struct vgpu_arena a, b;
	uint64_t half = (uint64_t)(geometry.extent_count / 2) * geometry.extent_size;
	uint8_t *p, *q;

	(void)state;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	assert_int_equal(vgpu_arena_init(&b, memory, &geometry, 1), 0);
	p = vgpu_arena_alloc(&a, half);
	q = vgpu_arena_alloc(&b, half);
	assert_non_null(p);
	assert_non_null(q);
	assert_true(q >= p + half || p >= q + half);
	assert_int_equal(vgpu_arena_free(&b, p), -22);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(vgpu_arena_free(&b, q), 0);
	vgpu_arena_destroy(&a);
	vgpu_arena_destroy(&b);
}

#define BLOCKS	400

static void random_use_keeps_contents(void **state)
{
	static struct {
		uint8_t *p;
		size_t size;
		uint8_t mark;
	} block[BLOCKS];
	struct vgpu_arena a;
	unsigned seed = 1;
	int i, round;

	(void)state;
	memset(block, 0, sizeof(block));
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	for (round = 0; round < 20000; round++) {
		i = rand_r(&seed) % BLOCKS;
		if (block[i].p) {
			assert_int_equal(block[i].p[0], block[i].mark);
			assert_int_equal(block[i].p[block[i].size - 1], block[i].mark);
			assert_int_equal(vgpu_arena_free(&a, block[i].p), 0);
			block[i].p = NULL;
			continue;
		}
		block[i].size = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 50 ? 20000 : 3000000);
		block[i].p = vgpu_arena_alloc(&a, block[i].size);
		if (!block[i].p)
			continue;
		block[i].mark = (uint8_t)round;
		memset(block[i].p, block[i].mark, block[i].size);
	}
	for (i = 0; i < BLOCKS; i++)
		if (block[i].p)
			assert_int_equal(vgpu_arena_free(&a, block[i].p), 0);
	assert_int_equal(a.used, 0);
	assert_int_equal(owned_by(1), 0);
	vgpu_arena_destroy(&a);
}

static uint32_t claims, releases;

static int note_claim(uint32_t first, uint32_t count)
{
	(void)first;
	claims += count;
	return 0;
}

static void note_release(uint32_t first, uint32_t count)
{
	(void)first;
	releases += count;
}

/* What is freed stays claimed for later, up to the limit, and is given up when something else needs the place. */
static void freed_memory_is_kept_until_it_is_needed(void **state)
{
	struct vgpu_arena a;
	uint8_t *p, *q;
	uint32_t all;

	(void)state;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	a.claimed = note_claim;
	a.released = note_release;
	a.keep = all = a.extent_count;
	a.step = 4;
	p = vgpu_arena_alloc(&a, 6 * a.extent_size);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(claims, 6);
	assert_int_equal(a.kept, 6);
	/* A shorter run, the rest of the stretch, a small block: nothing new is claimed. */
	p = vgpu_arena_alloc(&a, 3 * a.extent_size);
	q = vgpu_arena_alloc(&a, 2 * a.extent_size);
	assert_int_equal(vgpu_arena_free(&a, q), 0);
	q = vgpu_arena_alloc(&a, 100);
	assert_int_equal(claims, 6);
	assert_int_equal(owned_by(1), 6);
	/* All of it: the stretch has to go first, and cannot while something of it is used. */
	assert_null(vgpu_arena_alloc(&a, all * a.extent_size));
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(vgpu_arena_free(&a, q), 0);
	p = vgpu_arena_alloc(&a, all * a.extent_size);
	assert_non_null(p);
	assert_int_equal(releases, 6);
	assert_int_equal(claims, 6 + all);
	a.keep = 1;
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(owned_by(1), 0);
	assert_int_equal(a.kept, 0);
	/* Small blocks claim ahead of their need. */
	a.keep = all;
	p = vgpu_arena_alloc(&a, 100);
	assert_int_equal(owned_by(1), 4);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	vgpu_arena_destroy(&a);
}

/* What the device does not come by is not registered, and not kept for what is. */
static void plain_memory_is_not_registered(void **state)
{
	struct vgpu_arena a;
	uint8_t *p, *q;

	(void)state;
	claims = releases = 0;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	a.claimed = note_claim;
	a.released = note_release;
	a.keep = a.extent_count;
	p = vgpu_arena_alloc_plain(&a, 5 * a.extent_size);
	assert_non_null(p);
	assert_int_equal(claims, 0);
	assert_int_equal(owned_by(1), 5);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(owned_by(1), 0);
	assert_int_equal(a.kept, 0);
	assert_int_equal(a.used, 0);
	/* What is registered and idle serves as well, and stays registered. */
	p = vgpu_arena_alloc(&a, 3 * a.extent_size);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	q = vgpu_arena_alloc_plain(&a, 2 * a.extent_size);
	assert_ptr_equal(p, q);
	assert_int_equal(vgpu_arena_free(&a, q), 0);
	assert_int_equal(a.kept, 3);
	assert_int_equal(claims, 3);
	/* A small block is a part of an extent, which others may have parts of. */
	p = vgpu_arena_alloc_plain(&a, 4096);
	assert_int_equal(owned_by(1), 3);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	/* The place is given up for it when there is no other. */
	p = vgpu_arena_alloc_plain(&a, a.extent_count * a.extent_size);
	assert_non_null(p);
	assert_int_equal(releases, 3);
	assert_int_equal(claims, 3);
	assert_int_equal(vgpu_arena_free(&a, p), 0);
	assert_int_equal(owned_by(1), 0);
	vgpu_arena_destroy(&a);
}

static int refuse(uint32_t first, uint32_t count)
{
	(void)first;
	(void)count;
	return -1;
}

static void a_refused_claim_leaves_nothing(void **state)
{
	struct vgpu_arena a;

	(void)state;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	a.claimed = refuse;
	assert_null(vgpu_arena_alloc(&a, 100));
	assert_null(vgpu_arena_alloc(&a, 10 << 20));
	assert_int_equal(owned_by(1), 0);
	vgpu_arena_destroy(&a);
}

static uint32_t announced, asked;
static bool unwilling;

static void note_ahead(uint32_t first, uint32_t count)
{
	(void)first;
	announced += count;
}

static int note_claimed(uint32_t first, uint32_t count)
{
	(void)first;
	asked += count;
	return unwilling ? -1 : 0;
}

/* What the caller will want next is claimed ahead in one stretch. */
static void wanted_ahead(void **state)
{
	struct vgpu_arena a;

	(void)state;
	announced = 0;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	a.ahead_most = 4;
	a.claimed = note_claimed;
	a.claimed_ahead = note_ahead;
	vgpu_arena_prepare(&a, 2 * geometry.extent_size + 1);
	assert_int_equal(announced, 3);
	vgpu_arena_destroy(&a);
}

/* One stretch is claimed ahead, as long as the one last used; the worker is asked when it comes into use. */
static void claimed_ahead(void **state)
{
	struct vgpu_arena a;
	void *p, *q;

	(void)state;
	announced = 0;
	assert_int_equal(vgpu_arena_init(&a, memory, &geometry, 0), 0);
	a.keep = geometry.extent_count;
	a.ahead_most = 4;
	a.claimed = note_claimed;
	a.claimed_ahead = note_ahead;
	vgpu_arena_prepare(&a, 0);
	vgpu_arena_prepare(&a, 0);
	assert_int_equal(announced, 1);
	assert_int_equal(owned_by(1), 1);
	assert_int_equal(asked, 0);
	p = vgpu_arena_alloc(&a, 3 * geometry.extent_size);
	assert_non_null(p);
	assert_int_equal(asked, 3);
	q = vgpu_arena_alloc(&a, 1000);
	assert_int_equal(asked, 4);
	assert_int_equal(owned_by(1), 4);
	vgpu_arena_free(&a, p);
	p = vgpu_arena_alloc(&a, 6 * geometry.extent_size);
	assert_int_equal(asked, 10);
	vgpu_arena_prepare(&a, 0);
	assert_int_equal(announced, 1 + 4);	/* not more than ahead_most */
	/* The worker will not take it after all: nothing of it stays. */
	unwilling = true;
	assert_null(vgpu_arena_alloc(&a, 4 * geometry.extent_size));
	assert_true(a.refused);
	assert_int_equal(a.ahead, 0);
	unwilling = false;
	vgpu_arena_free(&a, p);
	p = vgpu_arena_alloc(&a, 6 * geometry.extent_size);
	assert_non_null(p);
	assert_false(a.refused);
	vgpu_arena_free(&a, q);
	vgpu_arena_free(&a, p);
	a.keep = 0;
	p = vgpu_arena_alloc(&a, 1);
	vgpu_arena_free(&a, p);
	assert_int_equal(owned_by(1), 0);
	vgpu_arena_destroy(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_blocks_share_an_extent, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_can_be_had_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(two_channels_never_share, setup, teardown),
		cmocka_unit_test_setup_teardown(random_use_keeps_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_memory_is_kept_until_it_is_needed, setup, teardown),
		cmocka_unit_test_setup_teardown(plain_memory_is_not_registered, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_claim_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(wanted_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(claimed_ahead, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
