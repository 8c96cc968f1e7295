/* SPDX-License-Identifier: MIT */
/* VMs: what a stub may send, and what becomes of its channels. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static void refused(const struct mediator *m, uint64_t size, uint32_t channels, int memfd)
{
	struct vgpu_packet p;
	int fd = peer_connect(m), n;

	hello_send(fd, VGPU_ROLE_STUB, size, channels, memfd);
	n = peer_receive(fd, &p);
	if (n > 0) {
		assert_int_equal(p.h.type, VGPU_MSG_REFUSED);
		assert_int_equal(((struct vgpu_msg_refused *)p.bytes)->error, VGPU_HOST_PROTOCOL);
		n = peer_receive(fd, &p);
	}
	assert_int_equal(n, 0);
	close(fd);
}

static void bad_memory_is_refused(void **state)
{
	const unsigned int both = F_SEAL_SHRINK | F_SEAL_GROW;
	const uint64_t size = 64ull << 20;
	int unsealed = make_memory(size, 0), half = make_memory(size, F_SEAL_GROW);
	int good = make_memory(size, both), odd = make_memory(size + 4096, both), pipes[2];
	struct mediator m;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	mediator_start(&m, "ok", NULL);
	refused(&m, size, 4, unsealed);
	refused(&m, size, 4, half);
	refused(&m, size * 2, 4, good);
	refused(&m, size, 0, good);
	refused(&m, size, 65, good);
	refused(&m, size, 17, good);
	refused(&m, size + 4096, 4, odd);
	refused(&m, size, 4, pipes[0]);
	refused(&m, size, 4, -1);
	assert_int_equal(status_number(&m, "violations"), 9);
	assert_int_equal(status_number(&m, "connections"), 0);
	for (size_t i = 0; i < 2; i++)
		close(pipes[i]);
	close(unsealed);
	close(half);
	close(good);
	close(odd);
	mediator_stop(&m);
}

static void channels_open_and_close(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	int wake;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	for (uint32_t generation = 1; generation < 4; generation++) {
		stub_open_channel(&s, 3, generation, &wake);
		stub_channel(&s, VGPU_MSG_CHANNEL_CLOSE, 3, generation);
		stub_expect(&s, VGPU_MSG_CHANNEL_CLOSED, &p);
		assert_int_equal(atomic_load(&stub_ctl(&s, 3)->host_state), VGPU_HOST_DEAD);
		assert_int_equal(atomic_load(&stub_ctl(&s, 3)->host_error), VGPU_HOST_CLOSED);
		close(wake);
	}
	assert_int_equal(status_number(&m, "sessions_total"), 3);
	stub_close(&s);
	soon(status_number(&m, "connections") == 0);
	mediator_stop(&m);
}

/* The worker said the end first, so the guest may have gone on: the supervisor's word would be the next session's. */
static void an_end_is_not_said_to_the_next(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	int wake;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	stub_open_channel(&s, 1, 1, &wake);
	stub_guest_prepares(&s, 1, 2);
	stub_channel(&s, VGPU_MSG_CHANNEL_CLOSE, 1, 1);
	stub_expect(&s, VGPU_MSG_CHANNEL_CLOSED, &p);
	assert_int_equal(atomic_load(&stub_ctl(&s, 1)->host_state), VGPU_HOST_NONE);
	close(wake);
	stub_close(&s);
	mediator_stop(&m);
}

/* The owner of a channel died; the next one opens it before the supervisor has noticed. */
static void reopening_ends_the_old_session(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	int wake;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	stub_open_channel(&s, 0, 1, &wake);
	close(wake);
	stub_channel(&s, VGPU_MSG_CHANNEL_OPEN, 0, 2);
	stub_expect(&s, VGPU_MSG_CHANNEL_CLOSED, &p);
	assert_int_equal(((struct vgpu_msg_channel *)p.bytes)->generation, 1);
	stub_expect(&s, VGPU_MSG_CHANNEL_OPENED, &p);
	assert_int_equal(((struct vgpu_msg_channel *)p.bytes)->generation, 2);
	vgpu_packet_close_fds(&p);
	assert_int_equal(status_number(&m, "session_count"), 1);
	stub_close(&s);
	mediator_stop(&m);
}

static void a_vm_that_goes_takes_its_workers(void **state)
{
	struct mediator m;
	struct stub s, again;
	int wake[4];

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	for (uint32_t i = 0; i < 4; i++)
		stub_open_channel(&s, i, 1, &wake[i]);
	assert_int_equal(status_number(&m, "session_count"), 4);
	shutdown(s.fd, SHUT_RDWR);
	for (uint32_t i = 0; i < 4; i++) {
		soon(atomic_load(&stub_ctl(&s, i)->host_state) == VGPU_HOST_DEAD);
		close(wake[i]);
	}
	assert_int_equal(status_number(&m, "session_count"), 0);
	stub_open(&again, &m);
	stub_close(&again);
	stub_close(&s);
	mediator_stop(&m);
}

static void a_vm_has_a_limit(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	int wake;

	(void)state;
	mediator_start(&m, "ok", "--max-sessions-vm", "1", NULL);
	stub_open(&s, &m);
	stub_open_channel(&s, 0, 1, &wake);
	stub_channel(&s, VGPU_MSG_CHANNEL_OPEN, 1, 1);
	stub_expect(&s, VGPU_MSG_CHANNEL_FAILED, &p);
	assert_int_equal(((struct vgpu_msg_refused *)p.bytes)->error, VGPU_HOST_QUOTA);
	assert_int_equal(atomic_load(&stub_ctl(&s, 1)->host_state), VGPU_HOST_REFUSED);
	assert_int_equal(atomic_load(&stub_ctl(&s, 0)->host_state), VGPU_HOST_READY);
	close(wake);
	stub_close(&s);
	mediator_stop(&m);
}

static void a_crash_closes_its_channel_only(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	struct vgpu_msg_wake w = { .channel = 0, .doorbells = 1, .serial = 1 };
	struct vgpu_channel *ch;
	struct vgpu_producer producer;
	struct vgpu_cmd *c;
	int wake[2];

	(void)state;
	mediator_start(&m, "die", NULL);
	stub_open(&s, &m);
	stub_open_channel(&s, 0, 1, &wake[0]);
	stub_open_channel(&s, 1, 1, &wake[1]);
	ch = vgpu_shm_channel(s.base, &s.g, 0);
	vgpu_producer_init(&producer, &ch->ring, ch->ring_data, VGPU_RING_BYTES);
	c = vgpu_producer_reserve(&producer, 64);
	*c = (struct vgpu_cmd){ .size = 64, .op = 1, .seq = 1 };
	vgpu_producer_publish(&producer, 64);
	vgpu_msg_init(&w.h, VGPU_MSG_WAKE, sizeof(w));
	assert_int_equal(vgpu_msg_send(wake[0], &w.h, NULL, 0), 0);
	stub_expect(&s, VGPU_MSG_CHANNEL_CLOSED, &p);
	assert_int_equal(((struct vgpu_msg_channel *)p.bytes)->channel, 0);
	assert_int_equal(atomic_load(&stub_ctl(&s, 0)->host_error), VGPU_HOST_WORKER_DIED);
	assert_int_equal(atomic_load(&stub_ctl(&s, 1)->host_state), VGPU_HOST_READY);
	close(wake[0]);
	close(wake[1]);
	stub_close(&s);
	mediator_stop(&m);
}

/* A channel that a mediator of an earlier life served is declared dead when the stub comes back. */
static void old_sessions_are_declared_dead(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	shutdown(s.fd, SHUT_RDWR);
	close(s.fd);
	soon(status_number(&m, "connections") == 0);
	atomic_store(&stub_ctl(&s, 2)->host_state, VGPU_HOST_READY);
	s.fd = peer_connect(&m);
	hello_send(s.fd, VGPU_ROLE_STUB, s.g.total_size, s.g.channel_count, s.memfd);
	stub_expect(&s, VGPU_MSG_WELCOME, &p);
	assert_int_equal(atomic_load(&stub_ctl(&s, 2)->host_state), VGPU_HOST_DEAD);
	assert_int_equal(atomic_load(&stub_ctl(&s, 1)->host_state), VGPU_HOST_NONE);
	stub_close(&s);
	mediator_stop(&m);
}

static void violations_disconnect(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	stub_channel(&s, VGPU_MSG_CHANNEL_OPEN, 4, 1);
	assert_int_equal(peer_receive(s.fd, &p), 0);
	stub_close(&s);
	stub_open(&s, &m);
	stub_channel(&s, VGPU_MSG_CHANNEL_OPENED, 0, 1);
	assert_int_equal(peer_receive(s.fd, &p), 0);
	stub_close(&s);
	stub_open(&s, &m);
	hello_send(s.fd, VGPU_ROLE_STUB, s.g.total_size, 4, s.memfd);
	assert_int_equal(peer_receive(s.fd, &p), 0);
	stub_close(&s);
	assert_int_equal(status_number(&m, "violations"), 3);
	assert_int_equal(mediator_logged(&m, "protocol violation"), 3);
	mediator_stop(&m);
}

/* What the stub counted is in the status, also of a session that has ended. */
static void stub_counters_arrive(void **state)
{
	struct mediator m;
	struct stub s;
	struct vgpu_packet p;
	int wake, ctl;
	struct json_object *o;
	const char *text;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	stub_open_channel(&s, 0, 1, &wake);
	stub_channel(&s, VGPU_MSG_CHANNEL_CLOSE, 0, 1);
	stub_expect(&s, VGPU_MSG_CHANNEL_CLOSED, &p);
	close(wake);
	/* The supervisor asks once a session ends. Answer that and what a status asks. */
	stub_channel(&s, VGPU_MSG_CHANNEL_OPEN, 1, 1);
	stub_expect(&s, VGPU_MSG_CHANNEL_OPENED, &p);
	vgpu_packet_close_fds(&p);
	ctl = control_connect(&m);
	o = control_ask(ctl, "{\"cmd\":\"status\"}\n");
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	assert_non_null(strstr(text, "\"stub_doorbells\":5"));
	assert_non_null(strstr(text, "\"stub_wakes\":2"));
	assert_non_null(strstr(text, "\"stub_answers\":false"));
	json_object_put(o);
	close(ctl);
	stub_close(&s);
	mediator_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_memory_is_refused),
		cmocka_unit_test(channels_open_and_close),
		cmocka_unit_test(an_end_is_not_said_to_the_next),
		cmocka_unit_test(reopening_ends_the_old_session),
		cmocka_unit_test(a_vm_that_goes_takes_its_workers),
		cmocka_unit_test(a_vm_has_a_limit),
		cmocka_unit_test(a_crash_closes_its_channel_only),
		cmocka_unit_test(old_sessions_are_declared_dead),
		cmocka_unit_test(violations_disconnect),
		cmocka_unit_test(stub_counters_arrive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
