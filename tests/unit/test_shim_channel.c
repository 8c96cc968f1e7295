/* SPDX-License-Identifier: MIT */
/* The producer's end: order, replies, a full ring, several threads, signal handlers, deferred errors, a dead host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gen/wire.h>

#include "shim/call.h"
#include "shim/channel.h"
#include "shim/fence.h"
#include "shim/wait.h"
#include "shim_fake.h"

static uint64_t last_seq;
static bool ordered = true;
static struct vgpu_cmd last;
static uint64_t last_stamp;

static void answer(struct shim_fake *f, const struct vgpu_cmd *cmd)
{
	(void)f;
	ordered &= cmd->seq == last_seq + 1;
	last_seq = cmd->seq;
	last = *cmd;
	last_stamp = vgpu_cmd_stamp(cmd);
	if (cmd->op == VGPU_OP_ping)
		shim_fake_reply(cmd, 0, cmd + 1, cmd->args_size);
}

static CUresult noop(uint32_t payload)
{
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_noop, 0, payload, 0);

	if (!r)
		vgpu_call_submit(&c);
	return r;
}

static uint64_t ping(uint64_t cookie)
{
	struct vgpu_args_ping *a;
	struct vgpu_call c;
	uint64_t back = 0;

	if (vgpu_call_begin(&c, VGPU_OP_ping, sizeof(*a), 0, VGPU_CALL_REPLY))
		return 0;
	a = c.args;
	a->cookie = cookie;
	vgpu_call_submit(&c);
	if (!vgpu_call_wait(&c) && c.ret_size == 8)
		memcpy(&back, c.ret, 8);
	vgpu_call_end(&c);
	return back;
}

static void an_awake_consumer_needs_no_doorbell(void **state)
{
	uint64_t before = shim_fake.doorbells;
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_int_equal(noop(0), 0);
	assert_int_equal(shim_fake_drain(), 10);
	assert_int_equal(shim_fake.doorbells, before);
	assert_true(vgpu_consumer_may_sleep(&shim_fake.consumer));
	assert_int_equal(noop(0), 0);
	assert_int_equal(shim_fake.doorbells, before + 1);
	vgpu_consumer_announce(&shim_fake.consumer, VGPU_CONSUMER_POLLING);
	assert_int_equal(shim_fake_drain(), 1);
}

static void a_command_too_large_is_refused(void **state)
{
	(void)state;
	assert_int_equal(noop(VGPU_CMD_MAX), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(noop(VGPU_CMD_MAX - 64), 0);
	assert_int_equal(shim_fake_drain(), 1);
}

/* While somebody traces a command says when it was made, in its own last bytes or in a line more. */
static void a_traced_command_has_a_stamp(void **state)
{
	const uint32_t line = VGPU_CMD_ALIGN - (uint32_t)sizeof(struct vgpu_cmd);
	uint64_t before = vgpu_clock_ns();

	(void)state;
	assert_int_equal(noop(line), 0);
	shim_fake_drain();
	assert_int_equal(last.size, VGPU_CMD_ALIGN);
	assert_int_equal(last.flags, 0);
	atomic_store(&vgpu_session.channel->ctl.trace, 1);
	assert_int_equal(noop(line), 0);
	shim_fake_drain();
	assert_int_equal(last.size, 2 * VGPU_CMD_ALIGN);
	assert_int_equal(last.payload_size, line);
	assert_in_range(last_stamp, before, vgpu_clock_ns());
	assert_int_equal(noop(line - 8), 0);
	shim_fake_drain();
	assert_int_equal(last.size, VGPU_CMD_ALIGN);
	assert_in_range(last_stamp, before, vgpu_clock_ns());
	atomic_store(&vgpu_session.channel->ctl.trace, 0);
}

static void *many(void *seed)
{
	unsigned s = (unsigned)(uintptr_t)seed;
	uint64_t bad = 0;
	int i;

	for (i = 1; i <= 3000; i++) {
		if (rand_r(&s) % 8)
			bad += noop((uint32_t)rand_r(&s) % 5000) != 0;
		else
			bad += ping((uint64_t)i << 32 | s) != ((uint64_t)i << 32 | s);
	}
	return (void *)(uintptr_t)bad;
}

static void threads_keep_order_through_a_full_ring(void **state)
{
	pthread_t consumer, t[4];
	void *bad;
	uintptr_t i;

	(void)state;
	shim_fake.stop = false;
	assert_int_equal(pthread_create(&consumer, NULL, shim_fake_thread, NULL), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many, (void *)(i + 1)), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	shim_fake.stop = true;
	pthread_join(consumer, NULL);
	shim_fake_drain();
	assert_true(ordered);
	assert_int_equal(vgpu_counters()->commands, last_seq);
}

static volatile CUresult from_handler;

static void handler(int signal_number)
{
	(void)signal_number;
	from_handler = vgpu_call_ready(0);
}

static void a_handler_inside_a_call_is_refused(void **state)
{
	struct vgpu_call c;

	(void)state;
	signal(SIGUSR1, handler);
	from_handler = CUDA_ERROR_UNKNOWN;
	raise(SIGUSR1);
	assert_int_equal(from_handler, CUDA_SUCCESS);
	assert_int_equal(vgpu_call_begin(&c, VGPU_OP_noop, 0, 0, 0), 0);
	raise(SIGUSR1);
	vgpu_call_submit(&c);
	assert_int_equal(from_handler, CUDA_ERROR_NOT_PERMITTED);
	assert_int_equal(shim_fake_drain(), 1);
}

static void a_context_is_required_where_asked(void **state)
{
	(void)state;
	assert_int_equal(vgpu_call_ready(VGPU_CALL_CONTEXT), CUDA_ERROR_INVALID_CONTEXT);
}

static void deferred_errors_are_told_once(void **state)
{
	struct vgpu_channel_ctl *ctl = &vgpu_session.channel->ctl;

	(void)state;
	assert_int_equal(vgpu_error_take(), 0);
	atomic_store(&ctl->deferred_error, CUDA_ERROR_INVALID_VALUE);
	atomic_store(&ctl->deferred_seq, last_seq);
	assert_int_equal(vgpu_error_take(), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(vgpu_error_take(), 0);
}

static void fence_words_wait_for_their_last_value(void **state)
{
	uint64_t issued, again;
	uint32_t word = vgpu_fence_word_get(&issued), other;

	(void)state;
	assert_int_not_equal(word, 0);
	assert_false(vgpu_fence_done(vgpu_fence_make(word, issued + 5)));
	vgpu_fence_word_put(word, issued + 5);
	other = vgpu_fence_word_get(&again);
	assert_int_not_equal(other, word);
	atomic_store(&vgpu_session.channel->fences[word], issued + 5);
	assert_true(vgpu_fence_done(vgpu_fence_make(word, issued + 5)));
	assert_int_equal(vgpu_fence_word_get(&again), word);
	assert_int_equal(again, issued + 5);
}

static void sticky_errors_stay(void **state)
{
	struct vgpu_channel_ctl *ctl = &vgpu_session.channel->ctl;
	uint64_t issued;
	uint32_t word = vgpu_fence_word_get(&issued);

	(void)state;
	atomic_store(&ctl->sticky_error, CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(vgpu_error_take(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(vgpu_error_take(), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(noop(0), CUDA_ERROR_ILLEGAL_ADDRESS);
	/* A kernel that faulted writes no fence: whoever waits for it is woken by the error. */
	assert_int_equal(vgpu_fence_wait(vgpu_fence_make(word, issued + 1)), CUDA_ERROR_ILLEGAL_ADDRESS);
	atomic_store(&ctl->sticky_error, 0);
}

static void a_dead_host_ends_all_waits(void **state)
{
	struct vgpu_call c;

	(void)state;
	assert_int_equal(vgpu_call_begin(&c, VGPU_OP_ping, 8, 0, VGPU_CALL_REPLY), 0);
	vgpu_call_submit(&c);
	shim_fake.alive = false;
	assert_int_equal(vgpu_call_wait(&c), CUDA_ERROR_DEVICE_UNAVAILABLE);
	vgpu_call_end(&c);
	assert_int_equal(noop(0), CUDA_ERROR_DEVICE_UNAVAILABLE);
	assert_int_equal(vgpu_ready(), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_awake_consumer_needs_no_doorbell),
		cmocka_unit_test(a_command_too_large_is_refused),
		cmocka_unit_test(a_traced_command_has_a_stamp),
		cmocka_unit_test(threads_keep_order_through_a_full_ring),
		cmocka_unit_test(a_handler_inside_a_call_is_refused),
		cmocka_unit_test(a_context_is_required_where_asked),
		cmocka_unit_test(deferred_errors_are_told_once),
		cmocka_unit_test(fence_words_wait_for_their_last_value),
		cmocka_unit_test(sticky_errors_stay),
		cmocka_unit_test(a_dead_host_ends_all_waits),
	};

	shim_fake.command = answer;
	shim_fake_open(1, 50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
