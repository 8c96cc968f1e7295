/* SPDX-License-Identifier: MIT */
/* Memory of the guest's own: which addresses it can have mapped here, what is registered, and what commands then reach. */
#include <errno.h>
#include <sys/mman.h>

#include "dispatch.h"

#define PAGE	4096ull

/* Addresses that nothing has now. */
static uint64_t free_stretch(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(munmap(p, bytes), 0);
	return (uint64_t)(uintptr_t)p;
}

static void test_register(void **state)
{
	uint64_t at = free_stretch(8 * PAGE), offset = s->geo.arena_at, base = (uint64_t)(uintptr_t)s->base;

	(void)state;
	/* Two windows that adjoin, from places that do not. */
	assert_int_equal(CALL(host_map, .address = at, .offset = offset + 4 * PAGE, .bytes = 2 * PAGE), 0);
	assert_int_equal(CALL(host_map, .address = at + 2 * PAGE, .offset = offset, .bytes = 2 * PAGE), 0);
	assert_int_equal(CALL(host_register, .address = at + 100, .bytes = 3 * PAGE), 0);
	assert_int_equal(CALL(host_register, .address = at + 200, .bytes = 8), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	assert_int_equal(CALL(host_register, .address = at + 100 + 3 * PAGE, .bytes = 8), 0);
	/* To the byte, by address and by offset; not across two registrations. */
	assert_ptr_equal(vgpu_arena_pointer(s, at + 100, 3 * PAGE), at + 100);
	assert_ptr_equal(vgpu_arena_at(s, at + 200 - base, 8), at + 200);
	assert_null(vgpu_arena_pointer(s, at + 99, 8));
	assert_null(vgpu_arena_pointer(s, at + 100, 3 * PAGE + 1));
	/* The window is the arena's page. */
	*(volatile uint32_t *)(uintptr_t)(at + 2 * PAGE) = 77;
	assert_int_equal(CALL(host_unregister, .address = at + 200), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_int_equal(CALL(host_unregister, .address = at + 100), 0);
	assert_null(vgpu_arena_pointer(s, at + 100, 8));
	assert_int_equal(CALL(host_unregister, .address = at + 100 + 3 * PAGE), 0);
	assert_int_equal(RUN(host_unmap, .address = at), 0);
	assert_int_equal(RUN(host_unmap, .address = at + 2 * PAGE), 0);
	assert_int_equal(CALL(host_map, .address = at, .offset = offset, .bytes = PAGE), 0);
	assert_int_equal(*(volatile uint32_t *)(uintptr_t)at, 77);	/* the session's end does the rest */
}

/* Where this process has something, nothing is mapped; and the guest hears so. */
static void test_taken(void **state)
{
	static _Alignas(4096) uint32_t own[2048] = { 5 };
	uint64_t offset = s->geo.arena_at, here = (uint64_t)(uintptr_t)own & ~(PAGE - 1);

	(void)state;
	assert_int_equal(CALL(host_map, .address = here, .offset = offset, .bytes = PAGE), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(CALL(host_map, .address = (uint64_t)(uintptr_t)s->base, .offset = offset, .bytes = PAGE),
			 CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(own[0], 5);
	assert_int_equal(s->windows.count, 0);
}

static void test_nonsense(void **state)
{
	uint64_t at = free_stretch(4 * PAGE), offset = s->geo.arena_at, total = s->geo.total_size;

	(void)state;
	assert_int_equal(RUN(host_map, .address = at + 1, .offset = offset, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = offset + 1, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = offset, .bytes = 0), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = offset, .bytes = 100), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = 0, .bytes = PAGE), -EPROTO);	/* the channels */
	assert_int_equal(RUN(host_map, .address = at, .offset = total, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = offset, .bytes = total), -EPROTO);
	assert_int_equal(RUN(host_map, .address = at, .offset = offset, .bytes = -PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = 0, .offset = offset, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = -PAGE, .offset = offset, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_map, .address = 0x7ffffffff000ull, .offset = offset, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_register, .address = at, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_unmap, .address = at), -EPROTO);
	assert_int_equal(CALL(host_map, .address = at, .offset = offset, .bytes = PAGE), 0);
	assert_int_equal(RUN(host_register, .address = at + 1, .bytes = PAGE), -EPROTO);
	assert_int_equal(RUN(host_register, .address = at, .bytes = 0), -EPROTO);
	assert_int_equal(RUN(host_register, .address = at, .bytes = ~0ull), -EPROTO);
	assert_int_equal(CALL(host_register, .address = at, .bytes = PAGE), 0);
	assert_int_equal(RUN(host_unmap, .address = at), -EPROTO);	/* it is in use */
}

/* A driver that will not have our pages does not say so to the application; that it has them already, it does. */
static void test_driver_refuses(void **state)
{
	uint64_t at = free_stretch(PAGE);

	(void)state;
	assert_int_equal(CALL(host_map, .address = at, .offset = s->geo.arena_at, .bytes = PAGE), 0);
	fake.result = CUDA_ERROR_OUT_OF_MEMORY;
	assert_int_equal(CALL(host_register, .address = at, .bytes = PAGE), CUDA_ERROR_NOT_SUPPORTED);
	fake.result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	assert_int_equal(CALL(host_register, .address = at, .bytes = PAGE), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	fake.result = CUDA_SUCCESS;
	assert_int_equal(s->registrations.count, 0);
	assert_int_equal(RUN(host_unmap, .address = at), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_register, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_driver_refuses, setup, teardown),
	};

	return cmocka_run_group_tests_name("worker_host_range", tests, NULL, NULL);
}
