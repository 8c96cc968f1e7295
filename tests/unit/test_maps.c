/* SPDX-License-Identifier: MIT */
/* What is mapped where: the same from kernels that answer questions and from those that only print it all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/maps.h"

#define PAGE	4096u
#define PAGES	64u

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

static bool old_kernel;

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (!old_kernel)
		return __real_ioctl(fd, request, argument);
	errno = ENOTTY;
	return -1;
}

static int setup(void **state)
{
	old_kernel = *state;
	return 0;
}

/* Address space of the test's own with a hole at its end. */
static char *space(void)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(munmap(p + (PAGES - 1) * PAGE, PAGE), 0);
	return p;
}

static void put(char *p, uint32_t page, uint32_t pages, int prot, int flags, int fd, uint32_t file_page)
{
	assert_ptr_equal(mmap(p + page * PAGE, pages * PAGE, prot, flags | MAP_FIXED, fd, (off_t)file_page * PAGE), p + page * PAGE);
}

/* file_page -1: it has no file. */
static void is_area(const struct vgpu_area *a, const char *p, uint32_t page, uint32_t pages, int prot, bool shared,
		    int file_page)
{
	assert_int_equal(a->start, (uintptr_t)p + page * PAGE);
	assert_int_equal(a->end, (uintptr_t)p + (page + pages) * PAGE);
	assert_int_equal(a->prot, prot);
	assert_int_equal(a->shared, shared);
	if (file_page >= 0)
		assert_int_equal(a->offset, (unsigned)file_page * PAGE);
	assert_false(a->stack);
}

static void kinds(void **state)
{
	uint64_t from = (uint64_t)(uintptr_t)space();
	char *p = (char *)(uintptr_t)from;
	struct vgpu_area areas[8];
	int fd = memfd_create("maps", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 16 * PAGE), 0);
	put(p, 10, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	put(p, 14, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 3);
	put(p, 22, 2, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 1);
	assert_int_equal(munmap(p + 24 * PAGE, PAGE), 0);
	assert_int_equal(vgpu_maps_read(from + 11 * PAGE, from + 27 * PAGE, areas, 8), 4);
	is_area(&areas[0], p, 11, 3, PROT_READ | PROT_WRITE, false, -1);
	is_area(&areas[1], p, 14, 8, PROT_READ | PROT_WRITE, true, 3);
	is_area(&areas[2], p, 22, 2, PROT_READ | PROT_EXEC, false, 1);
	is_area(&areas[3], p, 25, 2, PROT_NONE, false, -1);
	assert_int_equal(vgpu_maps_read(from + 11 * PAGE, from + 27 * PAGE, areas, 2), 2);
	is_area(&areas[1], p, 14, 8, PROT_READ | PROT_WRITE, true, 3);
	assert_int_equal(vgpu_maps_read(from + 16 * PAGE, from + 17 * PAGE, areas, 8), 1);
	is_area(&areas[0], p, 16, 1, PROT_READ | PROT_WRITE, true, 5);
	assert_int_equal(vgpu_maps_read(from + 24 * PAGE, from + 25 * PAGE, areas, 8), 0);
	assert_int_equal(vgpu_maps_read(from + (PAGES - 1) * PAGE, from + PAGES * PAGE, areas, 8), 0);
	close(fd);
	assert_int_equal(munmap(p, PAGES * PAGE), 0);
}

static void stack(void **state)
{
	char here = 0;
	uint64_t at = (uint64_t)(uintptr_t)&here;
	struct vgpu_area a;

	(void)state;
	assert_int_equal(vgpu_maps_read(at, at + 1, &a, 1), 1);
	assert_true(a.stack);
	assert_true(a.start == at && a.end == at + 1);
}

/* Above all that a process has. */
static void nothing(void **state)
{
	struct vgpu_area a;

	(void)state;
	assert_int_equal(vgpu_maps_read(0x7ffffffff000ull, 0x800000000000ull, &a, 1), 0);
}

int main(void)
{
	static bool text = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(kinds, setup),
		cmocka_unit_test_setup(stack, setup),
		cmocka_unit_test_setup(nothing, setup),
		cmocka_unit_test_prestate_setup_teardown(kinds, setup, NULL, &text),
		cmocka_unit_test_prestate_setup_teardown(stack, setup, NULL, &text),
		cmocka_unit_test_prestate_setup_teardown(nothing, setup, NULL, &text),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
