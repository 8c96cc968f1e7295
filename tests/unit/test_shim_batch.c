/* SPDX-License-Identifier: MIT */
/* VGPU_BATCH above 1: a doorbell after N commands, after the time, or when somebody waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <gen/wire.h>

#include "shim/call.h"
#include "shim/channel.h"
#include "shim/config.h"
#include "shim_fake.h"

static void noop(void)
{
	struct vgpu_call c;

	assert_int_equal(vgpu_call_begin(&c, VGPU_OP_noop, 0, 0, 0), 0);
	vgpu_call_submit(&c);
}

static void commands_gather_until_there_are_n(void **state)
{
	uint64_t before = shim_fake.doorbells;
	int i;

	(void)state;
	assert_true(vgpu_consumer_may_sleep(&shim_fake.consumer));
	for (i = 0; i < 15; i++)
		noop();
	assert_int_equal(shim_fake.doorbells, before);
	noop();
	assert_int_equal(shim_fake.doorbells, before + 1);
	assert_int_equal(shim_fake_drain(), 16);
}

static void a_waiter_flushes(void **state)
{
	uint64_t before;

	(void)state;
	assert_true(vgpu_consumer_may_sleep(&shim_fake.consumer));
	before = shim_fake.doorbells;
	noop();
	vgpu_channel_flush();
	assert_int_equal(shim_fake.doorbells, before + 1);
	vgpu_channel_flush();
	assert_int_equal(shim_fake.doorbells, before + 1);
	assert_int_equal(shim_fake_drain(), 1);
}

static void time_flushes(void **state)
{
	struct timespec nap = { 0, 10000000 };
	uint64_t before;
	int i;

	(void)state;
	assert_true(vgpu_consumer_may_sleep(&shim_fake.consumer));
	before = shim_fake.doorbells;
	noop();
	for (i = 0; i < 500 && shim_fake.doorbells == before; i++)
		nanosleep(&nap, NULL);
	assert_int_equal(shim_fake.doorbells, before + 1);
	assert_int_equal(shim_fake_drain(), 1);
}

static void only_sense_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(vgpu_parse_batch(NULL), 1);
	assert_int_equal(vgpu_parse_batch("1"), 1);
	assert_int_equal(vgpu_parse_batch("16"), 16);
	assert_int_equal(vgpu_parse_batch("65536"), 65536);
	assert_int_equal(vgpu_parse_batch("65537"), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch("0"), VGPU_BATCH_REGISTERS);
	assert_int_equal(vgpu_parse_batch(""), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch("-4"), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch(" 4"), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch("4x"), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch("99999999999999999999"), VGPU_BATCH_DEFAULT);
	assert_int_equal(vgpu_parse_batch_usec("200"), 200);
	assert_int_equal(vgpu_parse_batch_usec("0"), VGPU_BATCH_USEC_DEFAULT);
	assert_int_equal(vgpu_parse_batch_usec("1000001"), VGPU_BATCH_USEC_DEFAULT);
}

static void ids_and_sizes(void **state)
{
	uint16_t v = 1, d = 2;
	uint64_t n = 3;

	(void)state;
	assert_true(vgpu_parse_pci_id("10de:2331", &v, &d));
	assert_int_equal(v, 0x10de);
	assert_int_equal(d, 0x2331);
	assert_false(vgpu_parse_pci_id("10de", &v, &d));
	assert_false(vgpu_parse_pci_id("10de:2331:1", &v, &d));
	assert_false(vgpu_parse_pci_id("10000:1", &v, &d));
	assert_false(vgpu_parse_pci_id(":", &v, &d));
	assert_true(vgpu_parse_size("256M", &n));
	assert_int_equal(n, 256ull << 20);
	assert_true(vgpu_parse_size("64", &n));
	assert_false(vgpu_parse_size("0", &n));
	assert_false(vgpu_parse_size("1MB", &n));
	assert_false(vgpu_parse_size("M", &n));
}

static const struct vgpu_config *read_with(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
	vgpu_config_read();
	assert_int_equal(unsetenv(name), 0);
	return &vgpu_config;
}

/* What the mediator would refuse is the default, as any value that is not understood. */
static void what_cannot_be_is_the_default(void **state)
{
	(void)state;
	assert_int_equal(read_with("VGPU_SHM_SIZE", "64M")->shm_size, 64ull << 20);
	assert_int_equal(read_with("VGPU_SHM_SIZE", "32M")->shm_size, 0);
	assert_int_equal(read_with("VGPU_SHM_SIZE", "100M")->shm_size, 0);
	assert_int_equal(read_with("VGPU_SHM_SIZE", "128G")->shm_size, 0);
	assert_int_equal(read_with("VGPU_TEST_OCCUPY", "0x10000,4096")->occupy_size, 4096);
	assert_int_equal(read_with("VGPU_TEST_OCCUPY", "0x10000,4096x")->occupy_size, 0);
	assert_int_equal(read_with("VGPU_TEST_OCCUPY", "largest")->occupy, VGPU_OCCUPY_LARGEST);
	assert_int_equal(read_with("VGPU_TEST_OCCUPY", "last")->occupy, VGPU_OCCUPY_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_gather_until_there_are_n),
		cmocka_unit_test(a_waiter_flushes),
		cmocka_unit_test(time_flushes),
		cmocka_unit_test(only_sense_is_accepted),
		cmocka_unit_test(ids_and_sizes),
		cmocka_unit_test(what_cannot_be_is_the_default),
	};

	/* 300 ms: long enough that the first two tests never meet it. */
	shim_fake_open(16, 300000);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
