/* SPDX-License-Identifier: MIT */
/*
 * shim/wait.c against a clock that only moves when the waiting thread spends time: a wait longer than a millisecond ends at
 * most 2 % late where processors are few and 0.5 % where they are not, a short one never naps, and neither keeps the core
 * for longer than a few microseconds.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "shim/wait.h"

#define LOOK_NS		50ull		/* a look at the clock */
#define YIELD_NS	500ull		/* a yield with nobody else there */
#define SLACK_NS	60000ull	/* by which a nap ends late */

static struct {
	uint64_t now, naps, held, longest_hold;	/* ns; held: since the core was last given away */
	int cores;
} machine;

static void spend(uint64_t ns)
{
	machine.now += ns;
	machine.held += ns;
	if (machine.held > machine.longest_hold)
		machine.longest_hold = machine.held;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_sched_yield(void);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	spend(LOOK_NS);
	t->tv_sec = (time_t)(machine.now / 1000000000);
	t->tv_nsec = (long)(machine.now % 1000000000);
	return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)left;
	assert_true(t->tv_nsec >= 0 && t->tv_nsec < 1000000000);
	machine.now += (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec + SLACK_NS;
	machine.naps++;
	machine.held = 0;
	return 0;
}

int __wrap_sched_yield(void)
{
	machine.now += YIELD_NS;
	machine.held = 0;
	return 0;
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	(void)pid;
	assert_int_equal(size, sizeof(*set));
	CPU_ZERO(set);
	for (int i = 0; i < machine.cores; i++)
		CPU_SET(i, set);
	return 0;
}

/* Wait for something that happens after `ns`. How late that was seen, ns. */
static uint64_t late(uint64_t ns)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint64_t start = 1000000000;

	machine.now = start;
	machine.naps = machine.held = machine.longest_hold = 0;
	while (machine.now < start + ns) {
		vgpu_wait_step(&w);
		spend(20);	/* a pause and a look at the word */
	}
	return machine.now - start - ns;
}

static void long_waits_end_in_time(void **state)
{
	(void)state;
	for (uint64_t ns = 1000000; ns < 20000000000; ns += ns / 7) {
		machine.cores = 2;
		assert_true(late(ns) <= ns / 50);
		machine.cores = 3;
		assert_true(late(ns) <= ns / 200);
	}
}

static void short_waits_do_not_nap(void **state)
{
	(void)state;
	for (uint64_t ns = 100; ns < 1000000; ns += ns / 7 + 1) {
		assert_true(late(ns) < 5000);
		assert_int_equal(machine.naps, 0);
	}
}

static void long_waits_nap(void **state)
{
	(void)state;
	machine.cores = 1;
	late(1000000000);
	/* Each nap is about a hundredth of the wait, or 5 ms; on many cores a thousandth. */
	assert_true(machine.naps > 50 && machine.naps < 1500);
	machine.cores = 16;
	late(10000000000);
	assert_true(machine.naps > 500 && machine.naps < 15000);
}

static void the_core_is_shared(void **state)
{
	(void)state;
	machine.cores = 2;
	late(50000000);
	assert_true(machine.longest_hold < 8000);
}

static void it_asks_for_signs_of_life(void **state)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint64_t start = machine.now, asked = 0;

	(void)state;
	while (machine.now < start + 1000000000)
		asked += vgpu_wait_step(&w);
	assert_true(asked > 80 && asked < 220);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_waits_end_in_time),
		cmocka_unit_test(short_waits_do_not_nap),
		cmocka_unit_test(long_waits_nap),
		cmocka_unit_test(the_core_is_shared),
		cmocka_unit_test(it_asks_for_signs_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
