/* SPDX-License-Identifier: MIT */
/* Pages exchanged for fresh ones, there and back: content, permissions and what other threads store stay. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/pages.h"

#define PAGE	4096ull
#define HUGE	(2ull << 20)
#define MOST	(6 * HUGE)	/* bytes of the file */

static int file;
static int moves_left = -1;	/* until the kernel will not; -1: it does */

void *__real_mremap(void *old, size_t old_size, size_t size, int flags, void *to);
void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, void *to);

void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, void *to)
{
	if (moves_left < 0 || moves_left--)
		return __real_mremap(old, old_size, size, flags, to);
	errno = ENOMEM;
	return MAP_FAILED;
}

static int setup(void **state)
{
	(void)state;
	file = memfd_create("pages", MFD_CLOEXEC);
	return file < 0 || ftruncate(file, MOST) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(file);
}

static uint8_t *memory(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static struct vgpu_area area_at(const uint8_t *p, uint64_t bytes)
{
	struct vgpu_area a;

	assert_int_equal(vgpu_maps_read((uintptr_t)p, (uintptr_t)p + bytes, &a, 1), 1);
	assert_int_equal(a.end - a.start, bytes);
	return a;
}

static void to_file(uint8_t *p, uint64_t bytes, uint64_t offset)
{
	struct vgpu_area a = area_at(p, bytes);
	uint8_t *fresh = vgpu_pages_of_file(a.start, bytes, file, offset);
	uint64_t done;

	assert_non_null(fresh);
	assert_int_equal(vgpu_pages_exchange(&a, fresh, &done), 0);
	assert_int_equal(done, bytes);
}

static void to_private(uint8_t *p, uint64_t bytes)
{
	struct vgpu_area a = area_at(p, bytes);
	uint8_t *fresh = vgpu_pages_private(a.start, bytes);
	uint64_t done;

	assert_non_null(fresh);
	assert_int_equal(vgpu_pages_exchange(&a, fresh, &done), 0);
	assert_int_equal(done, bytes);
}

static void number(uint8_t *p, uint64_t bytes, uint32_t first)
{
	for (uint64_t i = 0; i < bytes / 4; i++)
		((uint32_t *)(void *)p)[i] = first + (uint32_t)i;
}

static void is_numbered(const uint8_t *p, uint64_t bytes, uint32_t first)
{
	for (uint64_t i = 0; i < bytes / 4; i++)
		if (((const uint32_t *)(const void *)p)[i] != first + (uint32_t)i)
			fail_msg("word %llu", (unsigned long long)i);
}

/* Sizes from a page to several portions, at places that end in the middle of one, with neighbours that do not move. */
static void there_and_back(void **state)
{
	static const uint64_t sizes[] = { PAGE, 7 * PAGE, HUGE - PAGE, HUGE, HUGE + PAGE, 3 * HUGE + 5 * PAGE };
	uint8_t *space, *p, *seen = mmap(NULL, MOST, PROT_READ, MAP_SHARED, file, 0);

	(void)state;
	assert_ptr_not_equal(seen, MAP_FAILED);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		space = memory(MOST);
		p = space + (3 * i + 1) * PAGE;
		number(space, MOST, i);
		to_file(p, sizes[i], i * PAGE);
		is_numbered(space, MOST, i);
		assert_memory_equal(seen + i * PAGE, p, sizes[i]);
		p[sizes[i] - 1] ^= 1;
		assert_memory_equal(seen + i * PAGE, p, sizes[i]);
		to_private(p, sizes[i]);
		p[sizes[i] - 1] ^= 1;
		is_numbered(space, MOST, i);
		assert_memory_not_equal(seen + i * PAGE, p, sizes[i]);
		munmap(space, MOST);
	}
	munmap(seen, MOST);
}

static void permissions(void **state)
{
	uint8_t *p = memory(3 * PAGE);

	(void)state;
	number(p, 3 * PAGE, 5);
	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	to_file(p + PAGE, PAGE, 0);
	assert_int_equal(area_at(p + PAGE, PAGE).prot, PROT_READ);
	assert_true(area_at(p + PAGE, PAGE).shared);
	to_private(p + PAGE, PAGE);
	assert_int_equal(area_at(p + PAGE, PAGE).prot, PROT_READ);
	assert_false(area_at(p + PAGE, PAGE).shared);
	is_numbered(p, 3 * PAGE, 5);
	munmap(p, 3 * PAGE);
}

/* What cannot be exchanged stays as it was, and can be stored to. */
static void failure(void **state)
{
	uint8_t *p = memory(2 * HUGE), *fresh;
	struct vgpu_area a = area_at(p, 2 * HUGE);
	uint64_t done;

	(void)state;
	number(p, 2 * HUGE, 9);
	fresh = vgpu_pages_of_file(a.start, 2 * HUGE, file, 0);
	assert_non_null(fresh);
	moves_left = 1;
	assert_int_equal(vgpu_pages_exchange(&a, fresh, &done), -ENOMEM);
	assert_int_equal(moves_left, -1);
	assert_true(done && done < 2 * HUGE);
	vgpu_pages_drop(fresh + done, 2 * HUGE - done);
	is_numbered(p, 2 * HUGE, 9);
	assert_true(area_at(p, done).shared);
	assert_false(area_at(p + done, 2 * HUGE - done).shared);
	memset(p, 1, 2 * HUGE);
	munmap(p, 2 * HUGE);
}

struct writer {
	volatile uint64_t *word;
	uint64_t stores;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		*w->word = *w->word + 1;
		w->stores++;
	}
	return NULL;
}

/* One thread in each portion. */
static void writers(void **state)
{
	const uint64_t bytes = HUGE + 9 * PAGE;
	uint8_t *p = memory(bytes);
	struct writer w[2] = { { .word = (uint64_t *)(void *)p }, { .word = (uint64_t *)(void *)(p + bytes - 8) } };
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
	for (int i = 0; i < 60; i++) {
		to_file(p, bytes, 0);
		to_private(p, bytes);
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&w[i].stop, true);
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(*w[i].word, w[i].stores);
	}
	munmap(p, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(permissions),
		cmocka_unit_test(failure),
		cmocka_unit_test(writers),
	};

	return cmocka_run_group_tests_name("pages", tests, setup, teardown);
}
