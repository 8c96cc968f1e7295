/* SPDX-License-Identifier: MIT */
/*
 * Register mode in hostile hands: CALL messages that are damaged, too long, too many, or noise.  Each ends its own
 * session at most, which says why; the mediator lives and serves the next one.  VGPU_SOCKET_PATH names it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>

#include "link.h"

#define PATIENCE_MS 5000

static void nap(void)
{
	const struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
}

static void open_session(struct link *l)
{
	const char *why = link_open(l, true);

	if (why)
		print_error("%s\n", why);
	assert_null(why);
}

static void next_one_works(void)
{
	const uint64_t cookie = 0x1122334455667788;
	struct link l;

	open_session(&l);
	assert_int_equal(link_call(&l, VGPU_OP_ping, 1, &cookie, 1), CUDA_SUCCESS);
	assert_int_equal(link_call(&l, VGPU_OP_noop, 0, NULL, 0), CUDA_SUCCESS);
	link_close(&l);
}

static void ends_with_reason(struct link *l)
{
	struct vgpu_channel_ctl *ctl = &l->channel->ctl;

	for (int i = 0; i < PATIENCE_MS && atomic_load(&ctl->host_state) != VGPU_HOST_DEAD; i++)
		nap();
	assert_int_equal(atomic_load(&ctl->host_state), VGPU_HOST_DEAD);
	assert_int_equal(atomic_load(&ctl->host_error), VGPU_HOST_PROTOCOL);
	assert_true(ctl->host_text[0] != 0);
}

/* A CALL of a command that is right but for what the case spoils. */
struct spoilt {
	const char *name;
	uint32_t channel, magic, call_id, num_args;
	int32_t more;			/* data_len says so many bytes more than there are */
	uint32_t size;			/* bytes of data, 0: a whole noop */
	uint32_t args_size, payload_size;
	uint16_t op, slot;
};

static const struct spoilt cases[] = {
	{ "channel", .channel = 1 },
	{ "magic", .magic = 1 },
	{ "arguments", .num_args = 17 },
	{ "more data than there is", .more = 1 },
	{ "less data than there is", .more = -1 },
	{ "half a header", .size = 20 },
	{ "arguments beyond the end", .args_size = 4096 },
	{ "payload beyond the end", .payload_size = 4096 },
	{ "sizes that wrap", .args_size = 0xfffffff0, .payload_size = 0x20 },
	{ "no such operation", .op = 0xfff0 },
	{ "no such slot", .slot = VGPU_REPLY_SLOTS + 1 },
};

static void spoilt_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct spoilt *c = &cases[i];
		struct vgpu_cmd cmd = { .op = c->op ? c->op : VGPU_OP_noop, .slot = c->slot, .args_size = c->args_size,
					.payload_size = c->payload_size, .seq = 1 };
		uint32_t size = c->size ? c->size : (uint32_t)sizeof(cmd);
		struct vgpu_msg_call m = {
			.channel = c->channel,
			.call = { .magic = VGPU_V1_MAGIC ^ c->magic, .call_id = VGPU_V1_COMMAND, .num_args = c->num_args,
				  .data_len = size + (uint32_t)c->more },
		};
		struct link l;

		open_session(&l);
		assert_true(link_send_call(&l, &m, &cmd, size));
		assert_int_equal(link_result(&l), -1);
		ends_with_reason(&l);
		link_close(&l);
	}
	next_one_works();
}

/* The longest command, one byte more, and what no CALL can be. */
static void lengths(void **state)
{
	static uint8_t data[VGPU_CMD_MAX + 1];
	static const uint16_t types[] = { VGPU_MSG_WAKE, VGPU_MSG_RESULT, VGPU_MSG_HELLO, 0xffff };
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)data;
	struct link l;

	(void)state;
	for (uint32_t over = 0; over < 2; over++) {
		struct vgpu_msg_call m = {
			.call = { .magic = VGPU_V1_MAGIC, .call_id = VGPU_V1_COMMAND, .data_len = VGPU_CMD_MAX + over },
		};

		open_session(&l);
		*cmd = (struct vgpu_cmd){ .op = VGPU_OP_noop, .seq = 1 };
		assert_true(link_send_call(&l, &m, data, VGPU_CMD_MAX + over));
		assert_int_equal(link_result(&l), over ? -1 : CUDA_SUCCESS);
		if (over)
			ends_with_reason(&l);
		link_close(&l);
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct vgpu_msg h = { VGPU_MSG_MAGIC, types[i], 0, sizeof(h), VGPU_PROTOCOL_VERSION };

		open_session(&l);
		assert_int_equal(send(l.bell, &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
		assert_int_equal(link_result(&l), -1);
		ends_with_reason(&l);
		link_close(&l);
	}
	next_one_works();
}

/* A call of version 1 that we have not: said so, and the session goes on. */
static void unknown_call(void **state)
{
	struct vgpu_msg_call m = { .call = { .magic = VGPU_V1_MAGIC, .call_id = 0x26 } };
	struct link l;

	(void)state;
	open_session(&l);
	assert_true(link_send_call(&l, &m, NULL, 0));
	assert_int_equal(link_result(&l), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(link_call(&l, VGPU_OP_noop, 0, NULL, 0), CUDA_SUCCESS);
	link_close(&l);
}

/* Calls whose answers nobody reads: the worker waits, and ends with its guest. */
static void nobody_reads(void **state)
{
	struct vgpu_cmd cmd = { .op = VGPU_OP_noop, .seq = 1 };
	struct vgpu_msg_call m = {
		.call = { .magic = VGPU_V1_MAGIC, .call_id = VGPU_V1_COMMAND, .data_len = sizeof(cmd) },
	};
	struct timeval limit = { .tv_usec = 200000 };
	struct link l;
	int sent = 0;

	(void)state;
	open_session(&l);
	assert_int_equal(setsockopt(l.bell, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	while (sent < 100000 && link_send_call(&l, &m, &cmd, sizeof(cmd)))
		sent++;
	assert_in_range(sent, 1, 99999);
	assert_int_equal(atomic_load(&l.channel->ctl.host_state), VGPU_HOST_READY);
	for (int i = 0; i < sent; i++)
		assert_int_equal(link_result(&l), CUDA_SUCCESS);
	link_close(&l);
	next_one_works();
}

static void noise(void **state)
{
	static uint8_t bytes[4096];
	struct link l;

	(void)state;
	srand(4);
	for (int i = 0; i < 100; i++) {
		struct vgpu_msg_call m = {
			.call = { .magic = VGPU_V1_MAGIC, .call_id = VGPU_V1_COMMAND, .data_len = 64 },
		};
		struct vgpu_cmd *cmd = (struct vgpu_cmd *)bytes;
		bool whole = i % 2;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)rand();
		cmd->op = (uint16_t)(rand() % 0x900);
		cmd->slot = 0;
		cmd->args_size = (uint32_t)(rand() % 25);
		cmd->payload_size = 0;
		open_session(&l);
		if (whole)
			assert_true(link_send_call(&l, &m, bytes, 64));
		else
			assert_true(send(l.bell, bytes, (size_t)(rand() % 4095) + 1, MSG_NOSIGNAL) > 0);
		link_result(&l);
		link_close(&l);
	}
	next_one_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spoilt_calls), cmocka_unit_test(lengths), cmocka_unit_test(unknown_call),
		cmocka_unit_test(nobody_reads), cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests_name("hostile_calls", tests, NULL, NULL);
}
