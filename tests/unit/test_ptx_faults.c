/* SPDX-License-Identifier: MIT */
/* Kernels that go wrong are stopped with the right fault, in the right block, thread and line; so are bad launches. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "ptx_device.h"

static struct device dev;

static int setup(void **state)
{
	(void)state;
	device_load(&dev, "faults");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_free(&dev);
	return 0;
}

static void test_out_of_bounds(void **state)
{
	int *p = device_alloc(&dev, 100 * sizeof(int));
	long long index = 0;

	(void)state;
	assert_int_equal(device_launch(&dev, "out_of_bounds", 1, 1, 100, 1, 0, (const void *[]){&p, &index}), 0);
	assert_int_equal(p[99], 1);
	index = 1;
	assert_int_equal(device_launch(&dev, "out_of_bounds", 1, 1, 100, 1, 0, (const void *[]){&p, &index}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_ADDRESS);
	assert_int_equal(dev.fault.address, (uintptr_t)(p + 100));
	assert_int_equal(dev.fault.thread[0], 99);
	assert_true(dev.fault.line > 0);
	index = -1;
	assert_int_equal(device_launch(&dev, "out_of_bounds", 1, 1, 1, 1, 0, (const void *[]){&p, &index}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_ADDRESS);
}

static void test_misaligned(void **state)
{
	char *p = device_alloc(&dev, 64);

	(void)state;
	assert_int_equal(device_launch(&dev, "misaligned", 1, 1, 1, 1, 0, (const void *[]){&p}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_MISALIGNED);
	assert_int_equal(dev.fault.address, (uintptr_t)(p + 1));
}

static void *set_flag(void *arg)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void test_cancel(void **state)
{
	atomic_bool cancel = false;
	struct ptx_launch l = {.grid = {3, 1, 1}, .block = {64, 1, 1}, .cancel = &cancel};
	int *flag = device_alloc(&dev, sizeof(int));
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, set_flag, &cancel), 0);
	assert_int_equal(device_launch_full(&dev, &l, "endless", (const void *[]){&flag}), -ECANCELED);
	assert_int_equal(dev.fault.kind, PTX_FAULT_CANCELLED);
	pthread_join(thread, NULL);
	*flag = 1;
	l.cancel = NULL;
	assert_int_equal(device_launch_full(&dev, &l, "endless", (const void *[]){&flag}), 0);
}

static void test_trap(void **state)
{
	int when = 7;

	(void)state;
	assert_int_equal(device_launch(&dev, "trap", 2, 1, 32, 1, 0, (const void *[]){&when}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_TRAP);
	assert_int_equal(dev.fault.thread[0], 7);
	assert_int_equal(dev.fault.block[0], 0);
	when = 32;
	assert_int_equal(device_launch(&dev, "trap", 2, 1, 32, 1, 0, (const void *[]){&when}), 0);
}

static void test_assertion(void **state)
{
	int limit = 5;

	(void)state;
	assert_int_equal(device_launch(&dev, "assertion", 1, 1, 32, 1, 0, (const void *[]){&limit}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ASSERT);
	assert_int_equal(dev.fault.thread[0], 5);
	assert_non_null(strstr(dev.fault.text, "Assertion `(int)threadIdx.x < limit` failed"));
	assert_non_null(strstr(dev.output, "thread: [5,0,0] Assertion"));
}

static void test_deadlock(void **state)
{
	(void)state;
	assert_int_equal(device_launch(&dev, "deadlock", 1, 1, 64, 1, 0, NULL), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_DEADLOCK);
	/* nor do 64 threads out of four halved warps make two warps */
	assert_int_equal(device_launch(&dev, "deadlock", 1, 1, 128, 1, 0, NULL), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_DEADLOCK);
}

static void test_stack_overflow(void **state)
{
	static const char text[] =
		".version 8.0\n.target sm_75\n.address_size 64\n"
		".func f(.param .b32 x)\n{\n.reg .b32 %r<2>;\n.local .b8 pad[64];\n{ .param .b32 a;\n"
		"ld.param.b32 %r1, [x];\nst.param.b32 [a], %r1;\ncall f, (a);\n}\nret;\n}\n"
		".entry k()\n{\n{ .param .b32 a;\nst.param.b32 [a], 1;\ncall f, (a);\n}\nret;\n}\n";
	struct device deep;

	(void)state;
	device_load_text(&deep, text);
	assert_int_equal(device_launch(&deep, "k", 1, 1, 1, 1, 0, NULL), -EFAULT);
	assert_int_equal(deep.fault.kind, PTX_FAULT_STACK_OVERFLOW);
	assert_int_equal(deep.fault.line, 11);
	device_free(&deep);
}

static void test_bad_launches(void **state)
{
	struct ptx_launch l = {.grid = {1, 1, 1}, .block = {1025, 1, 1}};
	int when = -1;

	(void)state;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), -EINVAL);
	l.block[0] = 32;
	l.block[1] = 33;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), -EINVAL);
	l.block[1] = 0;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), -EINVAL);
	l.block[1] = 1;
	l.grid[2] = 0;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), -EINVAL);
	l.grid[2] = 1;
	l.first_block = 1;
	l.num_blocks = 1;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), -EINVAL);
	l.first_block = 0;
	assert_int_equal(device_launch_full(&dev, &l, "trap", (const void *[]){&when}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_out_of_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_misaligned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assertion, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadlock, setup, teardown),
		cmocka_unit_test(test_stack_overflow),
		cmocka_unit_test_setup_teardown(test_bad_launches, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
