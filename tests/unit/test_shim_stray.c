/* SPDX-License-Identifier: MIT */
/* Device memory outside the worker's offer: classified as such, its addresses kept from the process, clashes told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/log.h"
#include "shim/memory.h"
#include "shim/session.h"
#include "shim/stray.h"
#include "shim_fake.h"

#define PAGE	4096ull
/* Where nothing lies, and the sanitizers permit memory. */
#define OFFER	0x7e8100000000ull
#define STRAY	0x7e8200000000ull

static void *take(uint64_t at)
{
	return mmap((void *)at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static int setup(void **state)
{
	(void)state;
	shim_fake_open(1, 50);
	vgpu_session.ranges[0] = (struct vgpu_range){ OFFER, 16 * PAGE };
	vgpu_session.range_count = 1;
	return 0;
}

static void the_offer_needs_no_table(void **state)
{
	(void)state;
	assert_int_equal(vgpu_memory_place(OFFER + 5), VGPU_PLACE_DEVICE);
	assert_int_equal(vgpu_memory_place(STRAY), VGPU_PLACE_HOST);
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_DEVICE, OFFER, PAGE, 0), 0);
	assert_false(vgpu_stray_note(OFFER, PAGE));
	assert_int_equal(vgpu_memory_place(STRAY), VGPU_PLACE_HOST);
}

static void strays_are_device_memory(void **state)
{
	struct vgpu_range_info info;

	(void)state;
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_DEVICE, STRAY + 256, 1000, 0), 0);
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_GLOBAL, STRAY + 2048, 4, 0), 0);
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_RESERVED, STRAY + 4 * PAGE, PAGE, 0), 0);
	assert_int_equal(vgpu_memory_place(STRAY + 255), VGPU_PLACE_HOST);
	assert_int_equal(vgpu_memory_place(STRAY + 256), VGPU_PLACE_DEVICE);
	assert_int_equal(vgpu_memory_place(STRAY + 1255), VGPU_PLACE_DEVICE);
	assert_int_equal(vgpu_memory_place(STRAY + 1256), VGPU_PLACE_HOST);
	assert_int_equal(vgpu_memory_place(STRAY + 2051), VGPU_PLACE_DEVICE);
	assert_int_equal(vgpu_memory_place(STRAY + 4 * PAGE), VGPU_PLACE_DEVICE);
	assert_true(vgpu_memory_remove(STRAY + 256, 1u << VGPU_RANGE_DEVICE, &info));
	assert_int_equal(vgpu_memory_place(STRAY + 256), VGPU_PLACE_HOST);
}

static void their_addresses_are_kept(void **state)
{
	uint64_t i;
	void *p;

	(void)state;
	/* Pages 0 and 4 are reserved by now: a range over all of them takes what is left. */
	assert_true(vgpu_stray_note(STRAY + 1, 6 * PAGE));
	for (i = 0; i < 7; i++) {
		p = take(STRAY + i * PAGE);
		assert_ptr_equal(p, MAP_FAILED);
		assert_int_equal(errno, EEXIST);
	}
	p = take(STRAY + 7 * PAGE);
	assert_int_equal((uintptr_t)p, STRAY + 7 * PAGE);
	munmap(p, PAGE);
}

static void registered_memory_is_the_applications(void **state)
{
	uint64_t at = STRAY + 100 * PAGE;

	(void)state;
	assert_int_equal((uintptr_t)take(at), at);
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_REGISTERED, at, PAGE, 0), 0);
	assert_int_equal(vgpu_memory_place(at), VGPU_PLACE_HOST);
}

/* Lines that the function writes to stderr. */
static unsigned int lines_of(void (*f)(uint64_t), uint64_t arg)
{
	unsigned int n = 0;
	char text[1024];
	int fds[2], old = dup(2);
	ssize_t size;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], 2);
	close(fds[1]);
	f(arg);
	dup2(old, 2);
	close(old);
	size = read(fds[0], text, sizeof(text));
	close(fds[0]);
	for (ssize_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

static void add(uint64_t at)
{
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_DEVICE, at, PAGE, 0), 0);
}

static void a_clash_is_told_once(void **state)
{
	uint64_t at = STRAY + 200 * PAGE;

	(void)state;
	assert_int_equal((uintptr_t)take(at), at);
	assert_int_equal((uintptr_t)take(at + PAGE), at + PAGE);
	*(volatile char *)at = 7;
	assert_int_equal(lines_of(add, at), 1);
	assert_int_equal(lines_of(add, at + PAGE), 0);
	assert_int_equal(vgpu_memory_place(at), VGPU_PLACE_DEVICE);
	assert_int_equal(*(volatile char *)at, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_offer_needs_no_table),
		cmocka_unit_test(strays_are_device_memory),
		cmocka_unit_test(their_addresses_are_kept),
		cmocka_unit_test(registered_memory_is_the_applications),
		cmocka_unit_test(a_clash_is_told_once),
	};

	vgpu_log_set_level(VGPU_LOG_WARN);
	return cmocka_run_group_tests(tests, setup, NULL);
}
