/* SPDX-License-Identifier: MIT */
/* The control socket: requests of vgpuctl, and what is none. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static void expect_error(int fd, const char *line, const char *text)
{
	struct json_object *o = control_ask(fd, line), *v;

	assert_true(json_object_object_get_ex(o, "error", &v));
	assert_non_null(strstr(json_object_get_string(v), text));
	json_object_put(o);
}

static void bad_requests_are_answered(void **state)
{
	static char big[4000];
	struct mediator m;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	fd = control_connect(&m);
	expect_error(fd, "\n", "one JSON object");
	expect_error(fd, "nonsense\n", "one JSON object");
	expect_error(fd, "[1,2]\n", "one JSON object");
	expect_error(fd, "{}\n", "the commands are");
	expect_error(fd, "{\"cmd\":7}\n", "the commands are");
	expect_error(fd, "{\"cmd\":\"destroy\"}\n", "the commands are");
	expect_error(fd, "{\"cmd\":\"kill\"}\n", "no such session");
	expect_error(fd, "{\"cmd\":\"kill\",\"session\":-1}\n", "no such session");
	expect_error(fd, "{\"cmd\":\"kill\",\"session\":4294967297}\n", "no such session");
	expect_error(fd, "{\"cmd\":\"trace\",\"session\":99}\n", "no such session");
	memset(big, 'x', sizeof(big) - 1);
	expect_error(fd, big, "too long");
	close(fd);
	mediator_stop(&m);
}

static void requests_may_come_in_pieces(void **state)
{
	struct mediator m;
	struct json_object *o;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	fd = control_connect(&m);
	assert_int_equal(send(fd, "{\"cmd\":\"st", 10, 0), 10);
	nap_ms(20);
	o = control_ask(fd, "atus\"}\n");
	assert_true(json_object_object_get_ex(o, "vms", NULL));
	json_object_put(o);
	close(fd);
	mediator_stop(&m);
}

static void sessions_can_be_killed(void **state)
{
	struct mediator m;
	struct shim s;
	struct vgpu_packet p;
	char line[64];
	struct json_object *o;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	fd = control_connect(&m);
	snprintf(line, sizeof(line), "{\"cmd\":\"kill\",\"session\":%u}\n", s.session);
	o = control_ask(fd, line);
	assert_false(json_object_object_get_ex(o, "error", NULL));
	json_object_put(o);
	close(fd);
	assert_true(peer_receive(s.fd, &p) > 0);
	assert_int_equal(p.h.type, VGPU_MSG_REFUSED);
	assert_non_null(strstr(((struct vgpu_msg_refused *)p.bytes)->text, "operator"));
	assert_int_equal(atomic_load(&s.channel->ctl.host_state), VGPU_HOST_DEAD);
	shim_close(&s);
	mediator_stop(&m);
}

static size_t records(int fd, uint32_t session)
{
	char line[64];
	struct json_object *o, *a;
	size_t n;

	snprintf(line, sizeof(line), "{\"cmd\":\"trace\",\"session\":%u}\n", session);
	o = control_ask(fd, line);
	n = json_object_object_get_ex(o, "records", &a) ? json_object_array_length(a) : 999999;
	json_object_put(o);
	return n;
}

/* Traced while somebody is connected who asked for it; records outlive their session. */
static void traces_can_be_read(void **state)
{
	struct mediator m;
	struct shim s;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	shim_command(&s);
	soon(atomic_load(&s.channel->ring.head) == 64);
	assert_int_equal(atomic_load(&s.channel->ctl.trace), 0);
	fd = control_connect(&m);
	assert_int_equal(records(fd, s.session), 0);
	assert_int_equal(atomic_load(&s.channel->ctl.trace), 1);
	shim_command(&s);
	shim_command(&s);
	soon(records(fd, s.session) == 2);
	shim_close(&s);
	soon(status_number(&m, "session_count") == 0);
	assert_int_equal(records(fd, s.session), 2);
	close(fd);
	mediator_stop(&m);
}

static void tracing_ends_with_its_reader(void **state)
{
	struct mediator m;
	struct shim s;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	shim_start(&s, &m);
	fd = control_connect(&m);
	records(fd, s.session);
	assert_int_equal(atomic_load(&s.channel->ctl.trace), 1);
	close(fd);
	soon(atomic_load(&s.channel->ctl.trace) == 0);
	shim_close(&s);
	mediator_stop(&m);
}

static void reload_says_what_it_does(void **state)
{
	struct mediator m;
	char file[] = "/tmp/vgpu-config-XXXXXX";
	int fd = mkstemp(file);

	(void)state;
	assert_int_equal(write(fd, "[mediator]\npool = 1\n", 20), 20);
	mediator_start(&m, "ok", "--config", file, NULL);
	soon(status_number(&m, "pool.ready") == 1);
	assert_int_equal(pwrite(fd, "[mediator]\npool = 3\n", 20, 0), 20);
	kill(m.pid, SIGHUP);
	soon(status_number(&m, "pool.ready") == 3);
	assert_int_equal(mediator_logged(&m, "[CONFIG] reloaded"), 1);
	assert_int_equal(pwrite(fd, "[mediator]\npoul = 3\n", 20, 0), 20);
	kill(m.pid, SIGHUP);
	soon(mediator_logged(&m, ":2: unknown key 'poul', did you mean 'pool'?") == 1);
	assert_int_equal(pwrite(fd, "[mediator]\nsqpoll=yes", 21, 0), 21);
	kill(m.pid, SIGHUP);
	soon(mediator_logged(&m, "a restart is needed for: sqpoll") == 1);
	close(fd);
	unlink(file);
	mediator_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_requests_are_answered),
		cmocka_unit_test(requests_may_come_in_pieces),
		cmocka_unit_test(sessions_can_be_killed),
		cmocka_unit_test(traces_can_be_read),
		cmocka_unit_test(tracing_ends_with_its_reader),
		cmocka_unit_test(reload_says_what_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
