/* SPDX-License-Identifier: MIT */
/*
 * Nobody computes while there is nothing to do: with a session open and a VM connected, the mediator, its workers and the
 * stub's thread sleep; and a guest that sends a command now and then does not keep its worker polling.
 *
 * Processor time is what the kernel has counted for each thread, which other load on the machine does not move.  One quiet
 * second is enough; one in TRIES must be.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "link.h"
#include "stub.h"

#define TRIES		20
#define QUIET_US	500	/* a second */
#define QUIET_SWITCHES	4
#define SLOW_COMMANDS	300
#define SLOW_GAP_MS	2
#define SLOW_US		120	/* for each command: waking up, 5 us of polling, executing; polling through the gap takes 230 */

struct use {
	double us;	/* on a processor */
	double wakes;	/* voluntary context switches */
};

static void nap(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The number behind `key` in a file; 0 without it. */
static double number(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[512];
	double n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = strtod(line + strlen(key), NULL);
	if (f)
		fclose(f);
	return n;
}

/* Add what the threads of a process have used, except the thread that asks. */
static void add_process(struct use *u, pid_t pid)
{
	char path[320];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || strtol(e->d_name, NULL, 10) == syscall(SYS_gettid))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, e->d_name);
		u->us += number(path, "") / 1000;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, e->d_name);
		u->wakes += number(path, "voluntary_ctxt_switches:");
	}
	if (d)
		closedir(d);
}

/* Add the children's. */
static void add_children(struct use *u, pid_t pid)
{
	char path[64], text[4096] = "", *at = text, *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	for (long child = strtol(at, &end, 10); end != at; child = strtol(at, &end, 10)) {
		add_process(u, (pid_t)child);
		at = end;
	}
}

static pid_t mediator(const struct link *l)
{
	struct ucred c = { 0 };
	socklen_t size = sizeof(c);

	assert_int_equal(getsockopt(l->sock, SOL_SOCKET, SO_PEERCRED, &c, &size), 0);
	return c.pid;
}

static struct use all(const struct link *l)
{
	struct use u = { 0 };

	add_process(&u, mediator(l));
	add_children(&u, mediator(l));
	add_process(&u, getpid());
	return u;
}

static void ping(struct link *l)
{
	const uint64_t cookie = 1;

	link_send(l, VGPU_OP_ping, 1, &cookie, 1);
	assert_int_equal(link_wait(l), 0);
}

static bool quiet_second(const struct link *l)
{
	struct use before = all(l), after;

	nap(1000);
	after = all(l);
	print_message("%.0f us, woken %.0f times\n", after.us - before.us, after.wakes - before.wakes);
	return after.us - before.us < QUIET_US && after.wakes - before.wakes <= QUIET_SWITCHES;
}

static void an_idle_session_costs_nothing(void **state)
{
	const struct vgpu_stub_config config = { .socket_path = getenv("VGPU_SOCKET_PATH"), .memory = 64 << 20,
						 .channels = 4, .vm_id = 7, .name = "idle" };
	const struct vgpu_stub_ops ops = { 0 };
	struct vgpu_stub *stub;
	bool quiet = false;
	struct link l;
	char err[256];

	(void)state;
	assert_int_equal(vgpu_stub_create(&stub, &config, &ops, err, sizeof(err)), 0);
	assert_null(link_open(&l, false));
	ping(&l);
	for (int i = 0; i < TRIES && !quiet; i++)
		quiet = quiet_second(&l);
	assert_true(quiet);
	ping(&l);	/* asleep, not dead */
	link_close(&l);
	vgpu_stub_destroy(stub);
}

static double slow_guest(struct link *l)
{
	struct use before = { 0 }, after = { 0 };

	add_children(&before, mediator(l));
	for (int i = 0; i < SLOW_COMMANDS; i++) {
		link_send(l, VGPU_OP_noop, 0, NULL, 0);
		nap(SLOW_GAP_MS);
	}
	add_children(&after, mediator(l));
	print_message("%.0f us for each command\n", (after.us - before.us) / SLOW_COMMANDS);
	return (after.us - before.us) / SLOW_COMMANDS;
}

static void a_slow_guest_is_not_polled_for(void **state)
{
	double us = SLOW_US;
	struct link l;

	(void)state;
	assert_null(link_open(&l, false));
	nap(500);	/* for the worker that takes this one's place in the pool */
	for (int i = 0; i < TRIES && us >= SLOW_US; i++)
		us = slow_guest(&l);
	assert_true(us < SLOW_US);
	link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_session_costs_nothing),
		cmocka_unit_test(a_slow_guest_is_not_polled_for),
	};

	if (access("/proc/self/schedstat", R_OK)) {
		print_message("this kernel counts no processor time: no /proc/self/schedstat\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
