/* SPDX-License-Identifier: MIT */
/* The connection to the mediator: late, lost, refused, garbled; the stub stays alive and says why. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_mediator_comes_later(void **state)
{
	struct fixture *f = *state;

	fix_create(f);
	fix_wait_log(f, "No such file or directory");
	fix_guest_open(f, 0);
	fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_NO_MEDIATOR);
	fix_listen(f);
	fix_welcome(f);
	assert_int_equal(fix_read(f, VGPU_REG_LINK), 1);
	assert_int_equal(atomic_load(&((struct vgpu_shm_header *)f->base)->link_up), 1);
	close(fix_open(f, 0));
}

static void test_mediator_dies_and_returns(void **state)
{
	struct fixture *f = *state;
	struct vgpu_shm_header *h;
	int worker, fd;
	struct vgpu_msg_hello hello;

	fix_connected(f);
	h = (void *)f->base;
	worker = fix_open(f, 1);
	fix_unlisten(f);
	fix_hangup(f);
	fix_wait_state(f, 1, VGPU_HOST_DEAD, VGPU_HOST_NO_MEDIATOR);
	assert_true(fix_closed(worker));
	close(worker);
	assert_int_equal(fix_read(f, VGPU_REG_LINK), 0);
	assert_int_equal(atomic_load(&h->link_up), 0);
	assert_int_equal(fix_read(f, VGPU_REG_LINK_EPOCH), 1);
	assert_int_equal(atomic_load(&fix_ctl(f, 0)->host_state), VGPU_HOST_NONE);
	fix_listen(f);
	fix_accept(f);
	/* The memory comes again. */
	assert_int_equal(fix_recv(f->conn, &hello, sizeof(hello), &fd), sizeof(hello));
	assert_int_equal(lseek(fd, 0, SEEK_END), FIX_MEMORY);
	close(fd);
	fix_hangup(f);
	fix_welcome(f);
	assert_int_equal(atomic_load(&h->link_up), 1);
	assert_int_equal(atomic_load(&h->link_epoch), 2);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_RECONNECT), 1);
	close(fix_open(f, 1));
}

/* A mediator that hangs up at once is tried ever more seldom. */
static void test_back_off(void **state)
{
	struct fixture *f = *state;
	uint64_t start;
	int i;

	f->config.backoff_min_ms = 20;
	f->config.backoff_max_ms = 80;
	fix_listen(f);
	fix_create(f);
	fix_accept(f);
	start = fix_now_ms();
	for (i = 0; i < 4; i++)
		fix_accept(f);
	/* 20 + 40 + 80 + 80 ms, each at least three quarters of it. */
	assert_true(fix_now_ms() - start >= 160);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_refused r = { .h = fix_header(VGPU_MSG_REFUSED, sizeof(r)),
				      .error = VGPU_HOST_QUOTA, .text = "this host is full" };
	int i;

	fix_listen(f);
	fix_create(f);
	for (i = 0; i < 3; i++) {
		fix_accept(f);
		fix_send_raw(f->conn, &r, sizeof(r), NULL, 0);
		assert_true(fix_closed(f->conn));
	}
	/* One reason, one line. */
	assert_int_equal(fix_count_log(f, "it refused this VM: this host is full"), 1);
	fix_guest_open(f, 0);
	fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_QUOTA);
	assert_non_null(strstr(fix_ctl(f, 0)->host_text, "this host is full"));
	fix_welcome(f);
}

static void test_other_version(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_welcome w = { .h = fix_header(VGPU_MSG_WELCOME, sizeof(w)) };

	w.h.version = (VGPU_PROTOCOL_MAJOR + 1) << 16 | 4;
	fix_listen(f);
	fix_create(f);
	fix_accept(f);
	fix_send_raw(f->conn, &w, sizeof(w), NULL, 0);
	fix_wait_log(f, "the mediator speaks protocol 4.4, this device 3.0");
	fix_guest_open(f, 0);
	fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_VERSION);
	fix_welcome(f);
}

/* A newer minor is welcome. */
static void test_other_minor(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_welcome w = { .h = fix_header(VGPU_MSG_WELCOME, sizeof(w)) };

	w.h.version += 9;
	fix_listen(f);
	fix_create(f);
	fix_accept(f);
	fix_send_raw(f->conn, &w, sizeof(w), NULL, 0);
	fix_wait_log(f, "connected to the mediator");
}

static void test_silent_peer(void **state)
{
	struct fixture *f = *state;

	f->config.handshake_ms = 400;	/* long enough for the answer of a busy machine */
	fix_listen(f);
	fix_create(f);
	fix_accept(f);
	fix_wait_log(f, "did not answer for 400 ms");
	fix_welcome(f);
	/* A connection that is up has no such limit. */
	for (int silent_ms = 0; silent_ms <= 400; silent_ms += FIX_SILENT_MS)
		fix_silent(f->conn);
	close(fix_open(f, 0));
}

/* Nobody accepts and the queue is full: neither thread nor destroy() may hang. */
static void test_full_backlog(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	fix_listen(f);
	assert_int_equal(listen(f->listen_fd, 0), 0);
	f->config.handshake_ms = 30;
	fix_create(f);
	fix_wait_log(f, "Resource temporarily unavailable");
	fix_guest_open(f, 0);
	fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_NO_MEDIATOR);
	start = fix_now_ms();
	fix_destroy(f);
	assert_true(fix_now_ms() - start < FIX_WAIT_MS);
}

/* ---- malformed messages ---- */

struct garbage {
	const char *name;
	bool before_welcome;
	struct vgpu_msg h;
	size_t size;		/* bytes sent; 0: as h.length says */
	uint32_t channel;	/* in the first word after the header */
	const char *log;
};

#define HEADER(t, len) { VGPU_MSG_MAGIC, t, 0, len, VGPU_PROTOCOL_VERSION }
#define CHANNEL_SIZE sizeof(struct vgpu_msg_channel)

static const struct garbage garbage[] = {
	{ "short", false, HEADER(VGPU_MSG_STATS_REQUEST, 24), 3, 0, "not a mediator" },
	{ "wrong magic", false, { 0x12345678, 10, 0, 24, VGPU_PROTOCOL_VERSION }, 24, 0,
	  "not a mediator" },
	{ "wrong major", false, { VGPU_MSG_MAGIC, 10, 0, 24, 0x10000 }, 24, 0, "protocol 1.0" },
	{ "truncated", false, HEADER(VGPU_MSG_STATS_REQUEST, 24), 20, 0, "with 20 bytes" },
	{ "too long", false, HEADER(VGPU_MSG_STATS_REQUEST, 24), 32, 0, "with 32 bytes" },
	{ "length lies", false, HEADER(VGPU_MSG_STATS_REQUEST, 4096), 24, 0, "with 24 bytes" },
	{ "huge", false, HEADER(VGPU_MSG_STATS_REQUEST, 3000), 3000, 0, "type 10 with 513 bytes" },
	{ "type 0", false, HEADER(0, 24), 0, 0, "unexpected message of type 0" },
	{ "type 99", false, HEADER(99, 24), 0, 0, "unexpected message of type 99" },
	{ "our own HELLO", false, HEADER(VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello)), 0, 0,
	  "unexpected message of type 1" },
	{ "second WELCOME", false, HEADER(VGPU_MSG_WELCOME, sizeof(struct vgpu_msg_welcome)), 0, 0,
	  "unexpected message of type 2" },
	{ "early CLOSED", true, HEADER(VGPU_MSG_CHANNEL_CLOSED, CHANNEL_SIZE), 0, 0,
	  "unexpected message of type 8" },
	{ "early STATS_REQUEST", true, HEADER(VGPU_MSG_STATS_REQUEST, 24), 0, 0,
	  "unexpected message of type 10" },
	{ "OPENED without socket", false, HEADER(VGPU_MSG_CHANNEL_OPENED, CHANNEL_SIZE), 0, 0,
	  "and 0 descriptors, not 32 and 1" },
	{ "CLOSED of no channel", false, HEADER(VGPU_MSG_CHANNEL_CLOSED, CHANNEL_SIZE), 0, 4,
	  "it named channel 4 of 4" },
	{ "FAILED of no channel", false,
	  HEADER(VGPU_MSG_CHANNEL_FAILED, sizeof(struct vgpu_msg_refused)), 0, UINT32_MAX,
	  "it named channel 4294967295 of 4" },
};

static void send_garbage(struct fixture *f, const struct garbage *g)
{
	union {
		struct vgpu_msg h;
		uint8_t bytes[4096];
	} m = { .h = g->h };

	memcpy(m.bytes + sizeof(m.h), &g->channel, sizeof(g->channel));
	fix_send_raw(f->conn, &m, g->size ? g->size : g->h.length, NULL, 0);
}

/* Each one ends its connection; the next connection works. */
static void test_garbage(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	fix_listen(f);
	fix_create(f);
	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		const struct garbage *g = &garbage[i];

		if (g->before_welcome)
			fix_accept(f);
		else
			fix_welcome(f);
		send_garbage(f, g);
		if (!fix_closed(f->conn))
			fail_msg("%s: still connected", g->name);
		fix_hangup(f);
	}
	fix_welcome(f);
	close(fix_open(f, 0));
}

/* Each one is one log line with the reason; each in a log of its own, since lines are limited. */
static void test_garbage_reasons(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		fix_listen(f);
		fix_create(f);
		if (garbage[i].before_welcome)
			fix_accept(f);
		else
			fix_welcome(f);
		send_garbage(f, &garbage[i]);
		fix_wait_log(f, garbage[i].log);
		fix_destroy(f);
		fix_hangup(f);
		fix_unlisten(f);
		memset(f->log, 0, sizeof(f->log));
		f->log_used = 0;
	}
}

/* OPENED for a channel that nobody opened. */
static void test_opened_unasked(void **state)
{
	struct fixture *f = *state;
	int pair[2];

	fix_connected(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, 1, 0, pair[1]);
	close(pair[1]);
	assert_true(fix_closed(pair[0]));
	close(pair[0]);
	assert_true(fix_closed(f->conn));
	fix_wait_log(f, "which was not asked for");
}

/* A descriptor that is no socket: the session is given up, the connection is not. */
static void test_opened_with_file(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	fix_connected(f);
	fix_guest_open(f, 1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, 1, 1, fd);
	close(fd);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 1, 1, -1);
	fix_wait_state(f, 1, VGPU_HOST_DEAD, VGPU_HOST_CLOSED);
}

/* Descriptors that nobody asked for are closed; teardown counts. */
static void test_surplus_descriptors(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_stats_request r = { .h = fix_header(VGPU_MSG_STATS_REQUEST, sizeof(r)) };
	struct vgpu_msg_stats m;
	int fds[200];
	unsigned int i;

	fix_connected(f);
	for (i = 0; i < 200; i++)
		fds[i] = 0;
	for (i = 1; i <= 200; i += 199) {
		fix_send_raw(f->conn, &r, sizeof(r), fds, i);
		fix_expect(f->conn, VGPU_MSG_STATS, &m, sizeof(m));
	}
}

/* Valid messages with flipped bits, and noise. */
static void test_random(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[700];
	unsigned int seed = 1, round;
	size_t i, size;

	fix_listen(f);
	fix_create(f);
	for (round = 0; round < 150; round++) {
		struct vgpu_msg h = fix_header((uint16_t)(rand_r(&seed) % 13), CHANNEL_SIZE);

		fix_welcome(f);
		size = round % 3 ? CHANNEL_SIZE : (size_t)rand_r(&seed) % sizeof(bytes) + 1;
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(round % 3 == 1 ? rand_r(&seed) % 4 : rand_r(&seed));
		if (round % 3) {
			memcpy(bytes, &h, sizeof(h));
			bytes[rand_r(&seed) % sizeof(h)] ^= (uint8_t)(1 << rand_r(&seed) % 8);
		}
		fix_send_raw(f->conn, bytes, size, NULL, 0);
		fix_hangup(f);
	}
	fix_welcome(f);
	close(fix_open(f, 0));
}

/* A guest that provokes log lines gets them counted, not printed. */
static void test_log_limit(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	fix_create(f);
	for (i = 0; i < 200; i++) {
		fix_guest_open(f, 0);
		fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_NO_MEDIATOR);
	}
	assert_true(fix_count_log(f, "\n") < 200);
	fix_nap();
	while (!fix_count_log(f, "lines were suppressed")) {
		fix_guest_open(f, 0);
		fix_nap();
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_mediator_comes_later), CASE(test_mediator_dies_and_returns),
		CASE(test_back_off), CASE(test_refused), CASE(test_other_version),
		CASE(test_other_minor), CASE(test_silent_peer), CASE(test_full_backlog),
		CASE(test_garbage), CASE(test_garbage_reasons), CASE(test_opened_unasked),
		CASE(test_opened_with_file), CASE(test_surplus_descriptors), CASE(test_random),
		CASE(test_log_limit),
	};

	return cmocka_run_group_tests_name("stub link", tests, NULL, NULL);
}
