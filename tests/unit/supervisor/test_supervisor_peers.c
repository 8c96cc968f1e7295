/* SPDX-License-Identifier: MIT */
/* Damaged packets, storms of connections, and what idle sessions cost. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define STORM		1000
#define IDLE		150

static void expect_closed(int fd)
{
	struct vgpu_packet p;
	int n = peer_receive(fd, &p);

	if (n > 0) {
		assert_int_equal(p.h.type, VGPU_MSG_REFUSED);
		n = peer_receive(fd, &p);
	}
	assert_int_equal(n, 0);
	close(fd);
}

static void send_raw(const struct mediator *m, const void *data, size_t size)
{
	int fd = peer_connect(m);

	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
	expect_closed(fd);
}

static void damaged_packets_disconnect(void **state)
{
	struct vgpu_msg_hello good = { .role = VGPU_ROLE_SHIM }, h;
	struct mediator m;
	struct shim s;
	char big[8192] = { 0 };

	(void)state;
	vgpu_msg_init(&good.h, VGPU_MSG_HELLO, sizeof(good));
	mediator_start(&m, "ok", NULL);
	shim_open(&s, &m);
	h = good;
	h.h.magic ^= 1;
	send_raw(&m, &h, sizeof(h));
	h = good;
	h.h.version = 1u << 16;
	send_raw(&m, &h, sizeof(h));
	h = good;
	h.h.type = 999;
	send_raw(&m, &h, sizeof(h));
	h = good;
	h.h.length--;
	send_raw(&m, &h, sizeof(h));
	send_raw(&m, &good, sizeof(good) - 1);
	h = good;
	h.role = 4;
	send_raw(&m, &h, sizeof(h));
	h = good;
	memset(h.name, 'x', sizeof(h.name));
	send_raw(&m, &h, sizeof(h));
	memcpy(big, &good, sizeof(good));
	send_raw(&m, big, sizeof(big));
	send_raw(&m, "x", 1);
	assert_int_equal(status_number(&m, "violations"), 9);
	assert_int_equal(mediator_logged(&m, "protocol violation"), 9);
	/* The one who behaved is still served. */
	shim_command(&s);
	soon(atomic_load(&s.channel->ring.head) == 64);
	shim_close(&s);
	mediator_stop(&m);
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	struct vgpu_msg_hello h = { .role = VGPU_ROLE_SHIM };
	struct mediator m;
	unsigned int before;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	mediator_start(&m, "ok", NULL);
	soon(status_number(&m, "pool.ready") == 2);
	nap_ms(50);	/* the connection that asked is gone too */
	before = count_fds(m.pid);
	vgpu_msg_init(&h.h, VGPU_MSG_HELLO, sizeof(h));
	for (int i = 0; i < 20; i++) {
		int fds[4] = { pipes[0], pipes[1], pipes[0], pipes[1] }, fd = peer_connect(&m);

		assert_int_equal(vgpu_msg_send(fd, &h.h, fds, (unsigned int)(i % 4) + 1), 0);
		expect_closed(fd);
	}
	soon(count_fds(m.pid) <= before);
	close(pipes[0]);
	close(pipes[1]);
	mediator_stop(&m);
}

static void storms_leave_nothing(void **state)
{
	struct mediator m;
	unsigned int before;

	(void)state;
	mediator_start(&m, "ok", NULL);
	soon(status_number(&m, "pool.ready") == 2);
	nap_ms(50);	/* the connection that asked is gone too */
	before = count_fds(m.pid);
	for (int i = 0; i < STORM; i++) {
		int fd = peer_connect(&m);

		if (i % 3 == 1)
			assert_int_equal(send(fd, "nonsense", 8, MSG_NOSIGNAL), 8);
		else if (i % 20 == 2)
			hello_send(fd, VGPU_ROLE_SHIM, 0, 0, -1);
		close(fd);
	}
	soon(status_number(&m, "connections") == 0);
	soon(status_number(&m, "session_count") == 0);
	soon(status_number(&m, "pool.ready") == 2);
	soon(count_fds(m.pid) <= before);
	/* Hostile peers cannot fill the log. */
	assert_true(mediator_logged(&m, "protocol violation") <= 40);
	assert_int_equal(status_number(&m, "violations"), 333);
	mediator_stop(&m);
}

static long resident_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0, total = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Rss: %ld", &kib) == 1)
			total += kib;
	fclose(f);
	return total;
}

static unsigned long cpu_ticks(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64], text[512];
	FILE *f;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	at = strrchr(text, ')');
	assert_int_equal(sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	return user + system;
}

static void idle_sessions_are_cheap(void **state)
{
	static struct shim s[IDLE];
	struct mediator m;
	unsigned long ticks;
	long before, after;

	(void)state;
	mediator_start(&m, "ok", "--log-level", "warning", NULL);
	/* A first few, so that allocators and page tables are there. */
	for (int i = 0; i < 20; i++)
		shim_open(&s[i], &m);
	for (int i = 0; i < 20; i++)
		soon(atomic_load(&s[i].channel->ctl.host_state) == VGPU_HOST_READY);
	before = resident_kib(m.pid);
	for (int i = 20; i < IDLE; i++)
		shim_open(&s[i], &m);
	for (int i = 20; i < IDLE; i++)
		soon(atomic_load(&s[i].channel->ctl.host_state) == VGPU_HOST_READY);
	nap_ms(100);
	after = resident_kib(m.pid);
	print_message("%ld KiB for %d more sessions\n", after - before, IDLE - 20);
	assert_true(TEST_SANITIZED || after - before < 16 * (IDLE - 20));
	soon(status_number(&m, "pool.ready") == 2);	/* the last session's worker is replaced */
	nap_ms(100);
	ticks = cpu_ticks(m.pid);
	nap_ms(500);
	assert_true(cpu_ticks(m.pid) - ticks <= 1);
	for (int i = 0; i < IDLE; i++)
		shim_close(&s[i]);
	soon(status_number(&m, "session_count") == 0);
	mediator_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_packets_disconnect),
		cmocka_unit_test(descriptors_that_nobody_asked_for_are_closed),
		cmocka_unit_test(storms_leave_nothing),
		cmocka_unit_test(idle_sessions_are_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
