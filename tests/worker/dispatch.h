/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the dispatch begin with: a session on the fake driver, and one command at a time in it, as if it had
 * come through the ring. Included by one source of each test.  One thread.
 */
#ifndef VGPU_TEST_DISPATCH_H
#define VGPU_TEST_DISPATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "fake_driver.h"

#define ID(kind, n)	vgpu_handle_make(VGPU_HANDLE_##kind, 1, n)

static struct vgpu_session *s;
static uint64_t seq;

static inline int setup(void **state)
{
	(void)state;
	s = fake_session();
	seq = 0;
	return 0;
}

/* Nothing may be left of what the test made. */
static inline int teardown(void **state)
{
	(void)state;
	fake_session_free(s);
	assert_int_equal(fake.live, 0);
	return 0;
}

/* Run a command. Negative: the session is over. */
static inline int run(uint16_t op, const void *args, uint32_t args_size, const void *payload, uint32_t payload_size)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = args_size,
				    .payload_size = payload_size, .seq = ++seq };

	return fake_execute(s, &c, args, payload);
}

/* Run a command that is answered: its result. */
static inline int call(uint16_t op, const void *args, uint32_t args_size, const void *payload, uint32_t payload_size)
{
	assert_int_equal(run(op, args, args_size, payload, payload_size), 0);
	assert_int_equal(atomic_load(&s->channel->replies[0].done), seq);
	return s->channel->replies[0].result;
}

#define CALL(name, ...)                                                                        \
	({                                                                                     \
		struct vgpu_args_##name a_ = { __VA_ARGS__ };                                  \
		call(VGPU_OP_##name, &a_, sizeof(a_), NULL, 0);                                \
	})
#define RUN(name, ...)                                                                         \
	({                                                                                     \
		struct vgpu_args_##name a_ = { __VA_ARGS__ };                                  \
		run(VGPU_OP_##name, &a_, sizeof(a_), NULL, 0);                                 \
	})

/* What came back with the last answer. */
static inline const void *reply(void)
{
	return s->channel->replies[0].data;
}

static inline uint64_t alloc(uint64_t bytes)
{
	assert_int_equal(CALL(cuMemAlloc_v2, .bytesize = bytes), 0);
	return ((const struct vgpu_ret_cuMemAlloc_v2 *)reply())->dptr;
}

/* The same for tests of what happens in a context, which keeps what was made there. */
static inline int setup_context(void **state)
{
	setup(state);
	assert_int_equal(CALL(ctx_create, .context = ID(CONTEXT, 9)), 0);
	return 0;
}

static inline int teardown_context(void **state)
{
	(void)state;
	fake_session_free(s);
	return 0;
}

/* A complete image, open until somebody closes it. */
static inline void send_image(uint64_t number, const void *data, uint32_t bytes)
{
	struct vgpu_args_image_data a = { .image = number, .at = 0, .bytes = bytes };

	assert_int_equal(CALL(image_open, .image = number, .bytes = bytes), 0);
	assert_int_equal(call(VGPU_OP_image_data, &a, sizeof(a), data, bytes), 0);
}

#endif
