/* SPDX-License-Identifier: MIT */
/* Sessions of the unix transport: how they start, end, fail and are refused. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static uint32_t host_state(const struct shim *s)
{
	return atomic_load(&s->channel->ctl.host_state);
}

static void serves_a_session(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	assert_int_equal(s.channel->ctl.session, s.session);
	for (int i = 0; i < 5; i++)
		shim_command(&s);
	soon(atomic_load(&s.channel->ring.head) == 5 * 64);
	assert_int_equal(status_number(&m, "session_count"), 1);
	shim_close(&s);
	soon(status_number(&m, "session_count") == 0);
	soon(status_number(&m, "pool.ready") == 2);
	assert_int_equal(mediator_logged(&m, "5 commands"), 1);
	mediator_stop(&m);
}

/* The channel and the connection both say why a session ended. */
static void expect_end(struct shim *s, uint32_t state, uint32_t error, const char *text)
{
	struct vgpu_msg_refused r;
	struct vgpu_packet p;

	assert_int_equal(peer_receive(s->fd, &p), sizeof(r));
	assert_int_equal(p.h.type, VGPU_MSG_REFUSED);
	memcpy(&r, p.bytes, sizeof(r));
	assert_int_equal(r.error, error);
	assert_non_null(strstr(r.text, text));
	assert_int_equal(peer_receive(s->fd, &p), 0);
	assert_int_equal(host_state(s), state);
	assert_int_equal(atomic_load(&s->channel->ctl.host_error), error);
	assert_non_null(strstr(s->channel->ctl.host_text, text));
	shim_close(s);
}

static void a_crash_is_told(void **state)
{
	struct mediator m;
	struct shim s, other;

	(void)state;
	mediator_start(&m, "die", NULL);
	shim_open(&s, &m);
	shim_open(&other, &m);
	soon(host_state(&s) == VGPU_HOST_READY);
	soon(host_state(&other) == VGPU_HOST_READY);
	shim_command(&s);
	expect_end(&s, VGPU_HOST_DEAD, VGPU_HOST_WORKER_DIED, "killed by signal 9");
	assert_int_equal(host_state(&other), VGPU_HOST_READY);
	assert_int_equal(status_number(&m, "session_count"), 1);
	shim_close(&other);
	mediator_stop(&m);
}

static void a_worker_may_end_a_session(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ended", NULL);
	shim_start(&s, &m);
	shim_command(&s);
	expect_end(&s, VGPU_HOST_DEAD, VGPU_HOST_PROTOCOL, "makes no sense");
	mediator_stop(&m);
}

/* `timeout`: ms for a worker to start. Short only where it shall pass: on a busy machine a process takes its time. */
static void refused_within(const char *timeout, const char *mode, uint32_t error, const char *text)
{
	struct mediator m;
	struct shim s;

	mediator_start(&m, mode, "--start-timeout", timeout, NULL);
	shim_open(&s, &m);
	expect_end(&s, VGPU_HOST_REFUSED, error, text);
	assert_true(mediator_logged(&m, text) >= 1);
	assert_int_equal(status_number(&m, "session_count"), 0);
	mediator_stop(&m);
}

static void refused_with(const char *mode, uint32_t error, const char *text)
{
	refused_within("10000", mode, error, text);
}

static void no_device_is_told(void **state)
{
	(void)state;
	refused_with("fail", VGPU_HOST_NO_DEVICE, "the fake has none");
}

static void a_worker_that_cannot_start_is_told(void **state)
{
	(void)state;
	refused_with("crash", VGPU_HOST_WORKER_DIED, "exited with status 3");
}

static void waiting_is_bounded(void **state)
{
	(void)state;
	refused_within("300", "hang", VGPU_HOST_WORKER_DIED, "not ready within 300 ms");
}

static void a_silent_worker_is_bounded(void **state)
{
	(void)state;
	/* It has to be ready within that time, too. */
	refused_within("1500", "silent", VGPU_HOST_PROTOCOL, "did not agree on addresses");
}

static void conflicts_end(void **state)
{
	(void)state;
	refused_with("conflict", VGPU_HOST_ADDRESS, "4 workers");
}

/* A guest that writes READY itself, while no worker suits it, deceives nobody but itself. */
static void a_forged_ready_is_harmless(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "conflict", NULL);
	for (int round = 0; round < 5; round++) {
		shim_open(&s, &m);
		for (int i = 0; i < 200; i++) {
			atomic_store(&s.channel->ctl.host_state, VGPU_HOST_READY);
			nap_ms(i % 20 == 0);
		}
		soon(status_number(&m, "session_count") == 0);
		shim_close(&s);
	}
	mediator_stop(&m);
}

static void a_worker_that_sends_nonsense_is_killed(void **state)
{
	(void)state;
	refused_with("garbage", VGPU_HOST_WORKER_DIED, "killed by signal 9");
}

static void a_conflict_gets_another_worker(void **state)
{
	char file[] = "/tmp/vgpu-conflict-XXXXXX";
	struct mediator m;
	struct shim s;
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(file);
	assert_int_equal(setenv("FAKE_WORKER_FILE", file, 1), 0);
	mediator_start(&m, "conflict-once", "--pool", "1", NULL);
	shim_start(&s, &m);
	assert_int_equal(mediator_logged(&m, "trying another worker (1 of 4)"), 1);
	shim_command(&s);
	soon(atomic_load(&s.channel->ring.head) == 64);
	shim_close(&s);
	unlink(file);
	mediator_stop(&m);
}

static void a_pool_of_none_starts_on_demand(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", "--pool", "0", NULL);
	nap_ms(50);
	assert_int_equal(status_number(&m, "pool.ready"), 0);
	assert_int_equal(status_number(&m, "pool.starting"), 0);
	shim_start(&s, &m);
	shim_close(&s);
	mediator_stop(&m);
}

static void sessions_are_limited(void **state)
{
	struct mediator m;
	struct shim s;
	struct vgpu_packet p;
	int fd;

	(void)state;
	mediator_start(&m, "ok", "--max-sessions", "1", NULL);
	shim_open(&s, &m);
	fd = peer_connect(&m);
	hello_send(fd, VGPU_ROLE_SHIM, 0, 0, -1);
	assert_true(peer_receive(fd, &p) > 0);
	assert_int_equal(p.h.type, VGPU_MSG_REFUSED);
	assert_int_equal(((struct vgpu_msg_refused *)p.bytes)->error, VGPU_HOST_QUOTA);
	assert_int_equal(peer_receive(fd, &p), 0);
	close(fd);
	shim_close(&s);
	soon(status_number(&m, "session_count") == 0);
	shim_open(&s, &m);
	shim_close(&s);
	mediator_stop(&m);
}

/* A pidfd of the worker that serves the one session. */
static int worker_of_session(const struct mediator *m)
{
	int control = control_connect(m), fd;
	struct json_object *status = control_ask(control, "{\"cmd\":\"status\"}\n"), *pid;

	assert_int_equal(json_pointer_get(status, "/vms/0/sessions/0/worker_pid", &pid), 0);
	fd = pidfd_open(json_object_get_int(pid), 0);
	assert_true(fd >= 0);
	json_object_put(status);
	close(control);
	return fd;
}

static void workers_die_with_the_mediator(void **state)
{
	struct mediator m;
	struct shim s;
	struct vgpu_packet p;
	struct pollfd worker = { .events = POLLIN };

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	worker.fd = worker_of_session(&m);
	assert_int_equal(poll(&worker, 1, 0), 0);
	mediator_kill(&m);
	assert_int_equal(peer_receive(s.fd, &p), 0);
	assert_int_equal(poll(&worker, 1, PATIENCE_MS), 1);
	close(worker.fd);
	shim_close(&s);
	mediator_clear(&m);
}

static void a_stale_socket_is_taken_over(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	mediator_kill(&m);
	assert_int_equal(access(m.socket, F_OK), 0);
	mediator_restart(&m, "ok", NULL);
	shim_start(&s, &m);
	shim_close(&s);
	mediator_stop(&m);
}

/* Another mediator, on this socket and with this program as its worker, says the text and ends with status 1. */
static void cannot_start(const char *path, const char *worker, const char *text)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c",
		      "said=$(timeout 20 \"$0\" --socket \"$1\" --worker \"$2\" 2>&1); "
		      "[ $? = 1 ] && case $said in *\"$3\"*) ;; *) exit 1 ;; esac",
		      TEST_MEDIATOR, path, worker, text, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_second_mediator_is_told(void **state)
{
	struct mediator m;

	(void)state;
	mediator_start(&m, "ok", NULL);
	cannot_start(m.socket, TEST_WORKER, "another mediator listens there");
	assert_int_equal(status_number(&m, "session_count"), 0);
	mediator_stop(&m);
}

static void a_worker_that_is_not_there_is_told(void **state)
{
	char path[] = "/tmp/vgpu-test-XXXXXX/m.sock";
	char *name = strrchr(path, '/');

	(void)state;
	*name = 0;
	assert_non_null(mkdtemp(path));
	*name = '/';
	cannot_start(path, "/nonexistent", "cannot execute workers, /nonexistent: No such file");
	assert_int_not_equal(access(path, F_OK), 0);
	*name = 0;
	assert_int_equal(rmdir(path), 0);
}

static void a_path_that_cannot_be_is_told(void **state)
{
	(void)state;
	cannot_start("/nonexistent/folder/m.sock", TEST_WORKER, "there is no such folder");
	cannot_start("/dev/null/m.sock", TEST_WORKER, "there is no such folder");
	cannot_start("/dev/null", TEST_WORKER, "a file that is not a socket");
	cannot_start("/proc/m.sock", TEST_WORKER, "choose another path");
}

/* A guest that claims commands which nobody ever executes holds its worker for a moment only. */
static void closing_is_bounded(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	atomic_store(&s.channel->ctl.counters.commands, 1000);
	close(s.fd);
	soon(host_state(&s) == VGPU_HOST_DEAD);
	s.fd = peer_connect(&m);
	assert_int_equal(status_number(&m, "session_count"), 0);
	shim_close(&s);
	mediator_stop(&m);
}

/* What a guest published before it went is executed. */
static void last_commands_are_executed(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	for (int i = 0; i < 20; i++) {
		shim_start(&s, &m);
		for (int k = 0; k < 50; k++)
			shim_command(&s);
		shim_close(&s);
	}
	soon(status_number(&m, "session_count") == 0);
	assert_int_equal(mediator_logged(&m, " 50 commands"), 20);
	mediator_stop(&m);
}

static void the_end_is_told(void **state)
{
	struct mediator m;
	struct shim s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	mediator_stop(&m);
	expect_end(&s, VGPU_HOST_DEAD, VGPU_HOST_CLOSED, "the mediator ends");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_a_session),
		cmocka_unit_test(a_crash_is_told),
		cmocka_unit_test(a_worker_may_end_a_session),
		cmocka_unit_test(no_device_is_told),
		cmocka_unit_test(a_worker_that_cannot_start_is_told),
		cmocka_unit_test(waiting_is_bounded),
		cmocka_unit_test(a_silent_worker_is_bounded),
		cmocka_unit_test(conflicts_end),
		cmocka_unit_test(a_forged_ready_is_harmless),
		cmocka_unit_test(a_worker_that_sends_nonsense_is_killed),
		cmocka_unit_test(a_conflict_gets_another_worker),
		cmocka_unit_test(a_pool_of_none_starts_on_demand),
		cmocka_unit_test(sessions_are_limited),
		cmocka_unit_test(workers_die_with_the_mediator),
		cmocka_unit_test(a_stale_socket_is_taken_over),
		cmocka_unit_test(a_second_mediator_is_told),
		cmocka_unit_test(a_worker_that_is_not_there_is_told),
		cmocka_unit_test(a_path_that_cannot_be_is_told),
		cmocka_unit_test(closing_is_bounded),
		cmocka_unit_test(last_commands_are_executed),
		cmocka_unit_test(the_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
