/* SPDX-License-Identifier: MIT */
/* Sessions: opening, closing, doorbells folded into messages, and every way in which a session ends. */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct wakes {
	uint64_t messages;
	uint64_t doorbells;
	uint64_t serial;
};

/* Receive WAKEs until the doorbells add up; serials must leave no hole. */
static void take_wakes(int worker, uint32_t channel, struct wakes *w, uint64_t doorbells)
{
	struct vgpu_msg_wake m;

	while (w->doorbells < doorbells) {
		fix_expect(worker, VGPU_MSG_WAKE, &m, sizeof(m));
		assert_int_equal(m.channel, channel);
		assert_int_equal(m.serial, w->serial + 1);
		assert_true(m.doorbells > 0);
		w->serial = m.serial;
		w->messages++;
		w->doorbells += m.doorbells;
	}
	assert_int_equal(w->doorbells, doorbells);
}

static void test_hello(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_hello hello;
	int fd;

	fix_listen(f);
	fix_create(f);
	fix_accept(f);
	assert_int_equal(fix_recv(f->conn, &hello, sizeof(hello), &fd), sizeof(hello));
	assert_int_equal(hello.h.magic, VGPU_MSG_MAGIC);
	assert_int_equal(hello.h.type, VGPU_MSG_HELLO);
	assert_int_equal(hello.h.length, sizeof(hello));
	assert_int_equal(hello.h.version, VGPU_PROTOCOL_VERSION);
	assert_int_equal(hello.role, VGPU_ROLE_STUB);
	assert_int_equal(hello.vm_id, 7);
	assert_int_equal(hello.shm_size, FIX_MEMORY);
	assert_int_equal(hello.channels, FIX_CHANNELS);
	assert_string_equal(hello.name, "testvm");
	assert_int_equal(lseek(fd, 0, SEEK_END), FIX_MEMORY);
	close(fd);
	assert_int_equal(fix_read(f, VGPU_REG_LINK), 0);
}

static void test_doorbells_reach_worker(void **state)
{
	struct fixture *f = *state;
	struct wakes w = { 0 };
	int worker;

	fix_connected(f);
	worker = fix_open(f, 2);
	fix_ring(f, 2, 1);
	take_wakes(worker, 2, &w, 1);
	fix_write(f, VGPU_REG_DOORBELL + 8, 0);
	take_wakes(worker, 2, &w, 2);
	fix_silent(worker);
	close(worker);
}

/* A guest may ring as soon as the worker is ready, before the stub has its socket. */
static void test_doorbell_before_socket(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	struct wakes w = { 0 };
	uint32_t generation;
	int pair[2];

	fix_connected(f);
	generation = fix_guest_open(f, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	fix_ring(f, 0, 3);
	fix_wait_counter(f, VGPU_REG_CNT_DOORBELLS, 3);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, 0, generation, pair[1]);
	close(pair[1]);
	take_wakes(pair[0], 0, &w, 3);
	close(pair[0]);
}

/* 1000 doorbells while the stub's thread is busy: a message or two. */
static void test_fold(void **state)
{
	struct fixture *f = *state;
	struct wakes w = { 0 };
	int worker, i;

	fix_connected(f);
	worker = fix_open(f, 1);
	fix_stall(f, true);
	fix_guest_open(f, 3);
	fix_send_failed(f, 3, VGPU_HOST_QUOTA, "enough");
	fix_wait_log(f, "enough");
	for (i = 0; i < 1000; i++)
		fix_write(f, VGPU_REG_DOORBELL + 4, 1);
	fix_stall(f, false);
	take_wakes(worker, 1, &w, 1000);
	assert_true(w.messages <= 2);
	fix_wait_counter(f, VGPU_REG_CNT_WAKES, w.messages);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_DOORBELLS), 1000);
	assert_true(fix_read(f, VGPU_REG_FOLD) >= 500 * 1000);
	close(worker);
}

/* As fast as they come, nobody stalls: none is lost, whatever is folded. */
static void test_many_doorbells(void **state)
{
	struct fixture *f = *state;
	struct wakes w = { 0 };
	uint64_t i, total = 20000;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	for (i = 0; i < total; i++) {
		fix_ring(f, 0, 1);
		if (i % 100 == 99 && i + 1 < total)
			take_wakes(worker, 0, &w, i + 1);
	}
	take_wakes(worker, 0, &w, total);
	print_message("%llu doorbells in %llu messages\n", (unsigned long long)total,
		      (unsigned long long)w.messages);
	close(worker);
}

/* The worker does not read: the last doorbell must reach it all the same. */
static void test_full_socket(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_stats_request r = { .h = fix_header(VGPU_MSG_STATS_REQUEST, sizeof(r)) };
	struct vgpu_msg_stats stats;
	struct wakes w = { 0 };
	uint64_t rung = 0;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	while (!fix_read64(f, VGPU_REG_CNT_WAKE_FAIL)) {
		fix_ring(f, 0, 1);
		fix_wait_counter(f, VGPU_REG_CNT_DOORBELLS, ++rung);
		assert_true(rung < 100000);
	}
	for (int i = 0; i < 10; i++) {
		fix_ring(f, 0, 7);
		rung += 7;
		fix_wait_counter(f, VGPU_REG_CNT_DOORBELLS, rung);
	}
	/* The stub itself is not stuck. */
	fix_send_raw(f->conn, &r, sizeof(r), NULL, 0);
	fix_expect(f->conn, VGPU_MSG_STATS, &stats, sizeof(stats));
	take_wakes(worker, 0, &w, rung);
	fix_silent(worker);
	fix_ring(f, 0, 1);
	take_wakes(worker, 0, &w, rung + 1);
	close(worker);
}

/* Dropped while a message waits for room in its socket. */
static void test_close_while_full(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	uint64_t rung = 0;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	while (!fix_read64(f, VGPU_REG_CNT_WAKE_FAIL)) {
		fix_ring(f, 0, 1);
		fix_wait_counter(f, VGPU_REG_CNT_DOORBELLS, ++rung);
	}
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	assert_true(fix_closed(worker));
	close(worker);
}

static void test_close(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 1);
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	assert_int_equal(m.channel, 1);
	assert_int_equal(m.generation, 1);
	assert_true(fix_closed(worker));
	close(worker);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 1, 1, -1);
	fix_wait_state(f, 1, VGPU_HOST_DEAD, VGPU_HOST_CLOSED);
	worker = fix_open(f, 1);
	assert_int_equal(atomic_load(&fix_ctl(f, 1)->host_state), VGPU_HOST_NONE);
	close(worker);
}

/* A guest process was killed; the next one opens its channel at once. */
static void test_reopen(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	uint32_t generation;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 1);
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 1);
	generation = fix_guest_open(f, 1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	assert_int_equal(m.generation, generation - 1);
	fix_silent(f->conn);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 1, generation - 1, -1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	assert_int_equal(m.generation, generation);
	/* One that is late must not end the new session. */
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 1, generation - 1, -1);
	fix_send_failed(f, 1, VGPU_HOST_QUOTA, "still the answer to OPEN");
	fix_wait_state(f, 1, VGPU_HOST_REFUSED, VGPU_HOST_QUOTA);
	close(worker);
}

/* OPEN without CLOSE of a channel that is open means the same. */
static void test_open_twice(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 1);
	fix_guest_open(f, 1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 1, 1, -1);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	assert_int_equal(m.generation, 2);
	/* The register written twice for one session is one OPEN. */
	fix_write(f, VGPU_REG_CHANNEL_OPEN, 1);
	fix_silent(f->conn);
	close(worker);
}

/* Closed before the mediator answered: it answers with the failure of that session. */
static void test_close_while_opening(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;

	fix_connected(f);
	fix_guest_open(f, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	fix_guest_open(f, 0);
	fix_send_failed(f, 0, VGPU_HOST_CLOSED, "closed by the guest");
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	assert_int_equal(m.generation, 2);
}

/* OPENED crosses our CLOSE: its socket is not kept. */
static void test_opened_while_closing(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	int pair[2];

	fix_connected(f);
	fix_guest_open(f, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	fix_write(f, VGPU_REG_CHANNEL_CLOSE, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, 0, 1, pair[1]);
	close(pair[1]);
	assert_true(fix_closed(pair[0]));
	close(pair[0]);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 0, 1, -1);
	fix_wait_state(f, 0, VGPU_HOST_DEAD, VGPU_HOST_CLOSED);
}

static void test_failed(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;

	fix_connected(f);
	fix_guest_open(f, 0);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	fix_send_failed(f, 0, VGPU_HOST_QUOTA, "too many\nsessions\033[0m");
	fix_wait_state(f, 0, VGPU_HOST_REFUSED, VGPU_HOST_QUOTA);
	/* Unprintable bytes could forge log lines. */
	assert_string_equal(fix_ctl(f, 0)->host_text, "too many?sessions?[0m");
}

static void test_worker_gone(void **state)
{
	struct fixture *f = *state;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	close(worker);
	fix_wait_state(f, 0, VGPU_HOST_DEAD, VGPU_HOST_WORKER_DIED);
	fix_ring(f, 0, 1);
	fix_wait_counter(f, VGPU_REG_CNT_WAKE_FAIL, 1);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 0, 1, -1);
	close(fix_open(f, 0));
}

/* Worker or supervisor said why: the stub does not say it again, nor otherwise. */
static void test_first_reason_stays(void **state)
{
	struct fixture *f = *state;
	struct vgpu_channel_ctl *ctl;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	ctl = fix_ctl(f, 0);
	atomic_store(&ctl->host_error, VGPU_HOST_PROTOCOL);
	atomic_store(&ctl->host_state, VGPU_HOST_DEAD);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 0, 1, -1);
	assert_true(fix_closed(worker));
	close(worker);
	fix_wait_log(f, "closed generation=1");
	assert_int_equal(atomic_load(&ctl->host_error), VGPU_HOST_PROTOCOL);
}

static void test_worker_talks(void **state)
{
	struct fixture *f = *state;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 0);
	fix_send_raw(worker, "hello", 5, NULL, 0);
	fix_wait_state(f, 0, VGPU_HOST_DEAD, VGPU_HOST_WORKER_DIED);
	fix_wait_log(f, "that are no RESULT");
	close(worker);
}

static void test_unasked_close(void **state)
{
	struct fixture *f = *state;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 3);
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 3, 1, -1);
	fix_wait_state(f, 3, VGPU_HOST_DEAD, VGPU_HOST_WORKER_DIED);
	assert_true(fix_closed(worker));
	close(worker);
}

static void test_stats(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_stats_request r = { .h = fix_header(VGPU_MSG_STATS_REQUEST, sizeof(r)),
					    .cookie = 0x1122334455667788 };
	struct vgpu_msg_stats m;
	struct wakes w = { 0 };
	int worker;

	fix_connected(f);
	worker = fix_open(f, 1);
	fix_ring(f, 1, 500);
	take_wakes(worker, 1, &w, 500);
	fix_wait_counter(f, VGPU_REG_CNT_WAKES, w.messages);
	fix_send_raw(f->conn, &r, sizeof(r), NULL, 0);
	fix_expect(f->conn, VGPU_MSG_STATS, &m, sizeof(m));
	assert_true(m.cookie == r.cookie);
	assert_int_equal(m.channels, FIX_CHANNELS);
	assert_int_equal(m.channel[1].doorbells, 500);
	assert_int_equal(m.channel[1].wakes, w.messages);
	assert_int_equal(m.channel[1].generation, 1);
	assert_int_equal(m.channel[1].open, 1);
	assert_int_equal(m.channel[0].open, 0);
	assert_true(m.mmio_reads > 0 && m.mmio_writes > 0);
	close(worker);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct vgpu_msg_channel m;
	int worker;

	fix_connected(f);
	worker = fix_open(f, 2);
	vgpu_stub_reset(f->stub);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_CLOSE, &m, sizeof(m));
	assert_int_equal(m.channel, 2);
	assert_true(fix_closed(worker));
	fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, 2, 1, -1);
	fix_wait_state(f, 2, VGPU_HOST_DEAD, VGPU_HOST_CLOSED);
	assert_int_equal(atomic_load(&((struct vgpu_shm_header *)f->base)->link_up), 1);
	close(worker);
}

struct hammer {
	int fd;
	_Atomic bool stop;
};

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;
	uint64_t one = 1;

	while (!atomic_load(&h->stop))
		if (write(h->fd, &one, sizeof(one)) < 0)
			break;
	return NULL;
}

/* Unplugged in full traffic, with a worker that reads and one that does not. */
static void test_destroy_with_traffic(void **state)
{
	struct fixture *f = *state;
	struct hammer hammers[2] = { 0 };
	pthread_t threads[2];
	int workers[2], i;

	fix_connected(f);
	for (i = 0; i < 2; i++) {
		workers[i] = fix_open(f, (uint32_t)i);
		hammers[i].fd = dup(vgpu_stub_doorbell_fd(f->stub, (uint32_t)i));
		assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &hammers[i]), 0);
	}
	fix_wait_counter(f, VGPU_REG_CNT_DOORBELLS, 10000);
	fix_destroy(f);
	for (i = 0; i < 2; i++) {
		atomic_store(&hammers[i].stop, true);
		pthread_join(threads[i], NULL);
		close(hammers[i].fd);
		assert_true(fix_closed(workers[i]));
		close(workers[i]);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_hello), CASE(test_doorbells_reach_worker),
		CASE(test_doorbell_before_socket), CASE(test_fold), CASE(test_many_doorbells),
		CASE(test_full_socket), CASE(test_close_while_full), CASE(test_close),
		CASE(test_reopen), CASE(test_open_twice), CASE(test_close_while_opening),
		CASE(test_opened_while_closing), CASE(test_failed), CASE(test_worker_gone),
		CASE(test_first_reason_stays), CASE(test_worker_talks), CASE(test_unasked_close),
		CASE(test_stats), CASE(test_reset), CASE(test_destroy_with_traffic),
	};

	return cmocka_run_group_tests_name("stub sessions", tests, NULL, NULL);
}
