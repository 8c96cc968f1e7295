/* SPDX-License-Identifier: MIT */
/* The registers of version 1: a call in, a message out, a result back; and whatever can go wrong with one. */
#include "fixture.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vgpu/v1.h>

#define CHANNEL 1u

struct call {
	struct vgpu_msg_call m;
	uint8_t data[VGPU_CALL_DATA_MAX];
};

static uint8_t *data_window(struct fixture *f)
{
	static uint8_t *bar1;

	if (bar1)
		munmap(bar1, VGPU_V1_BAR1_SIZE);
	bar1 = mmap(NULL, VGPU_V1_BAR1_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vgpu_stub_window_memfd(f->stub), 0);
	assert_ptr_not_equal(bar1, MAP_FAILED);
	return bar1;
}

static uint32_t get(struct fixture *f, uint32_t offset)
{
	return fix_read(f, VGPU_REG_WINDOW + offset);
}

static void put(struct fixture *f, uint32_t offset, uint32_t value)
{
	fix_write(f, VGPU_REG_WINDOW + offset, value);
}

static void submit(struct fixture *f, uint32_t op, uint32_t channel, uint32_t generation, uint32_t length)
{
	put(f, VGPU_V1_OP, op);
	put(f, VGPU_V1_SEQ, 77);
	put(f, VGPU_V1_NUM_ARGS, 2);
	put(f, VGPU_V1_DATA_LEN, length);
	put(f, VGPU_V1_ARG, channel);
	put(f, VGPU_V1_ARG + 4, generation);
	put(f, VGPU_V1_DOORBELL, 1);
}

static void wait_status(struct fixture *f, uint32_t status, uint32_t error)
{
	uint64_t end = fix_now_ms() + FIX_WAIT_MS;

	while (get(f, VGPU_V1_STATUS) == VGPU_V1_BUSY && fix_now_ms() < end)
		fix_nap();
	assert_int_equal(get(f, VGPU_V1_STATUS), status);
	assert_int_equal(get(f, VGPU_V1_ERROR_CODE), error);
	assert_int_equal(get(f, VGPU_V1_RESPONSE_LEN), 1);
}

static void expect_call(int worker, struct call *c, uint32_t length)
{
	assert_int_equal(recv(worker, c, sizeof(*c), 0), sizeof(c->m) + length);
	assert_int_equal(c->m.h.type, VGPU_MSG_CALL);
	assert_int_equal(c->m.h.length, sizeof(c->m) + length);
	assert_int_equal(c->m.call.magic, VGPU_V1_MAGIC);
	assert_int_equal(c->m.call.data_len, length);
}

/* `size` bytes of data, each of them `fill`. */
static void answer(int worker, uint32_t request, uint32_t status, uint8_t fill, uint32_t size)
{
	struct {
		struct vgpu_msg_result m;
		uint8_t data[VGPU_RESULT_DATA_MAX];
	} r = {
		.m = { .h = fix_header(VGPU_MSG_RESULT, sizeof(r.m) + size), .channel = CHANNEL, .request = request,
		       .result = { .magic = VGPU_V1_MAGIC, .status = status, .num_results = 2, .data_len = size,
				   .results = { 0x1122334455667788, 5 } } },
	};

	memset(r.data, fill, sizeof(r.data));
	fix_send_raw(worker, &r, sizeof(r.m) + size, NULL, 0);
}

static void test_at_rest(void **state)
{
	struct fixture *f = *state;
	uint64_t stray;

	fix_create(f);
	assert_true(fix_read(f, VGPU_REG_CAPS) & VGPU_CAP_WINDOW);
	assert_int_equal(get(f, VGPU_V1_PROTOCOL_VER), VGPU_V1_VERSION);
	assert_int_equal(get(f, VGPU_V1_CAPABILITIES), 0x31);
	assert_int_equal(get(f, VGPU_V1_VM_ID), 7);
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_IDLE);
	stray = fix_read64(f, VGPU_REG_CNT_STRAY);
	put(f, VGPU_V1_SCRATCH, 4711);
	put(f, VGPU_V1_ARG + 60, 12);
	put(f, VGPU_V1_DATA + 1020, 13);
	assert_int_equal(get(f, VGPU_V1_SCRATCH), 4711);
	assert_int_equal(get(f, VGPU_V1_ARG + 60), 12);
	assert_int_equal(get(f, VGPU_V1_DATA + 1020), 13);
	assert_int_equal(get(f, VGPU_V1_DOORBELL), 0);
	put(f, VGPU_V1_DOORBELL, 0);
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_IDLE);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_STRAY), stray);
	/* Read-only, or nothing at all. */
	put(f, VGPU_V1_STATUS, 9);
	put(f, VGPU_V1_DATA_BACK, 9);
	put(f, 0xffc, 9);
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_IDLE);
	assert_int_equal(get(f, VGPU_V1_DATA_BACK), 0);
	assert_int_equal(get(f, 0xffc), 0);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_STRAY), stray + 4);
	vgpu_stub_reset(f->stub);
	assert_int_equal(get(f, VGPU_V1_SCRATCH), 0);
	assert_int_equal(get(f, VGPU_V1_PROTOCOL_VER), VGPU_V1_VERSION);
}

static void test_inline(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	put(f, VGPU_V1_DATA, 0x64636261);
	put(f, VGPU_V1_DATA + 4, 0x65);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 5);
	/* Taken with the doorbell: what is written later is not sent. */
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_BUSY);
	put(f, VGPU_V1_SEQ, 78);
	expect_call(worker, &c, 5);
	assert_int_equal(c.m.channel, CHANNEL);
	assert_int_equal(c.m.serial, 1);
	assert_int_equal(c.m.call.call_id, VGPU_V1_COMMAND);
	assert_int_equal(c.m.call.seq, 77);
	assert_int_equal(c.m.call.num_args, 2);
	assert_int_equal(c.m.call.args[1], 1);
	assert_int_equal(c.m.call.args[2], 0);
	assert_memory_equal(c.data, "abcde", 5);
	answer(worker, c.m.request, 0, 0x5a, 8);
	wait_status(f, VGPU_V1_DONE, VGPU_V1_ERROR_NONE);
	assert_int_equal(get(f, VGPU_V1_RESULT_STATUS), 0);
	assert_int_equal(get(f, VGPU_V1_RESULT_NUM), 2);
	assert_int_equal(get(f, VGPU_V1_RESULT_LEN), 8);
	assert_int_equal(get(f, VGPU_V1_DATA_BACK + 4), 0x5a5a5a5a);
	assert_int_equal(get(f, VGPU_V1_DATA_BACK + 8), 0);
	assert_int_equal(vgpu_stub_mmio_read(f->stub, VGPU_REG_WINDOW + VGPU_V1_RESULT, 8), 0x1122334455667788);
	assert_int_equal(*(uint32_t *)(data_window(f) + VGPU_V1_MIRROR), VGPU_V1_DONE);
	fix_wait_counter(f, VGPU_REG_CNT_WAKES, 1);
	assert_int_equal(fix_read64(f, VGPU_REG_CNT_DOORBELLS), 1);
	close(worker);
}

static void test_data_window(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	uint8_t *bar1;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	bar1 = data_window(f);
	memset(bar1, 0x11, VGPU_CALL_DATA_MAX);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, VGPU_CALL_DATA_MAX);
	expect_call(worker, &c, VGPU_CALL_DATA_MAX);
	assert_int_equal(c.data[0], 0x11);
	assert_memory_equal(c.data, c.data + 1, VGPU_CALL_DATA_MAX - 1);
	answer(worker, c.m.request, 0, 0x77, VGPU_RESULT_DATA_MAX);
	wait_status(f, VGPU_V1_DONE, VGPU_V1_ERROR_NONE);
	assert_int_equal(get(f, VGPU_V1_RESULT_LEN), VGPU_RESULT_DATA_MAX);
	assert_int_equal(bar1[VGPU_V1_H2G], 0x77);
	assert_memory_equal(bar1 + VGPU_V1_H2G, bar1 + VGPU_V1_H2G + 1, VGPU_RESULT_DATA_MAX - 1);
	assert_int_equal(bar1[VGPU_V1_H2G + VGPU_RESULT_DATA_MAX], 0);
	close(worker);
}

static void test_cuda_error(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	expect_call(worker, &c, 0);
	answer(worker, c.m.request, 700, 0, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_CUDA);
	assert_int_equal(get(f, VGPU_V1_RESULT_STATUS), 700);
	close(worker);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	submit(f, 0x30, CHANNEL, 1, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_OP);
	submit(f, VGPU_V1_COMMAND, FIX_CHANNELS, 1, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_REQUEST);
	submit(f, VGPU_V1_COMMAND, UINT32_MAX, 1, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_REQUEST);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 2, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_REQUEST);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, VGPU_CALL_DATA_MAX + 1);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_LENGTH);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, UINT32_MAX);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_LENGTH);
	submit(f, VGPU_V1_COMMAND, 0, 0, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_MEDIATOR);
	fix_silent(worker);
	close(worker);
}

/* Nobody is left to answer: the worker has gone, then the mediator. */
static void test_lost(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	expect_call(worker, &c, 0);
	close(worker);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_MEDIATOR);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_MEDIATOR);
	worker = fix_open(f, 0);
	submit(f, VGPU_V1_COMMAND, 0, 1, 0);
	expect_call(worker, &c, 0);
	fix_hangup(f);
	wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_MEDIATOR);
	close(worker);
}

/* A second doorbell replaces the call: what comes for the first is dropped. A reset forgets both. */
static void test_replaced(void **state)
{
	struct fixture *f = *state;
	static struct call first, second;
	int worker;

	fix_connected(f);
	worker = fix_open(f, CHANNEL);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	expect_call(worker, &first, 0);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	expect_call(worker, &second, 0);
	assert_int_not_equal(first.m.request, second.m.request);
	answer(worker, first.m.request, 1, 0, 0);
	fix_silent(f->conn);
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_BUSY);
	answer(worker, second.m.request, 0, 0, 0);
	wait_status(f, VGPU_V1_DONE, VGPU_V1_ERROR_NONE);
	submit(f, VGPU_V1_COMMAND, CHANNEL, 1, 0);
	expect_call(worker, &first, 0);
	vgpu_stub_reset(f->stub);
	assert_true(fix_closed(worker));
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_IDLE);
	close(worker);
}

/* The guest may be quicker than the message that brings the worker's socket. */
static void test_before_the_worker(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	uint32_t generation;
	struct vgpu_msg_channel open;
	int pair[2];

	fix_connected(f);
	generation = fix_guest_open(f, CHANNEL);
	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &open, sizeof(open));
	submit(f, VGPU_V1_COMMAND, CHANNEL, generation, 0);
	fix_silent(f->conn);
	assert_int_equal(get(f, VGPU_V1_STATUS), VGPU_V1_BUSY);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, CHANNEL, generation, pair[1]);
	close(pair[1]);
	expect_call(pair[0], &c, 0);
	answer(pair[0], c.m.request, 0, 0, 0);
	wait_status(f, VGPU_V1_DONE, VGPU_V1_ERROR_NONE);
	close(pair[0]);
}

/* A worker that answers nonsense loses its channel. */
static void test_damaged_result(void **state)
{
	struct fixture *f = *state;
	static struct call c;
	int worker;

	fix_connected(f);
	for (uint32_t how = 0; how < 4; how++) {
		struct vgpu_msg_result m = { .h = fix_header(VGPU_MSG_RESULT, sizeof(m)), .channel = CHANNEL };

		worker = fix_open(f, CHANNEL);
		submit(f, VGPU_V1_COMMAND, CHANNEL, how + 1, 0);
		expect_call(worker, &c, 0);
		m.request = c.m.request;
		m.h.length += how == 0;
		m.channel += how == 1;
		m.result.data_len = how == 2;
		m.result.num_results = how == 3 ? VGPU_V1_RESULTS + 1 : 0;
		fix_send_raw(worker, &m, sizeof(m), NULL, 0);
		wait_status(f, VGPU_V1_ERROR, VGPU_V1_ERROR_MEDIATOR);
		assert_true(fix_closed(worker));
		close(worker);
		fix_send_channel(f, VGPU_MSG_CHANNEL_CLOSED, CHANNEL, how + 1, -1);
		fix_wait_state(f, CHANNEL, VGPU_HOST_DEAD, VGPU_HOST_WORKER_DIED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_rest, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_inline, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_data_window, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_cuda_error, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_refused, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_lost, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_replaced, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_before_the_worker, fix_setup, fix_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_result, fix_setup, fix_teardown),
	};

	return cmocka_run_group_tests_name("stub_window", tests, NULL, NULL);
}
