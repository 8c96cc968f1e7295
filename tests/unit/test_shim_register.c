/* SPDX-License-Identifier: MIT */
/* Register mode in the shim: a call is carried by the transport, answered where the ring's would be, and ends with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gen/wire.h>

#include "shim/call.h"
#include "shim/channel.h"
#include "shim_fake.h"

#define THREADS 4
#define CALLS	500

static struct vgpu_transport_ops ops;
static uint64_t carried, last_seq;
static uint32_t last_size;
static bool ordered = true;
static int inside;
static int broken;

/* What a worker does, without one: a ping gets its cookie back, a noop with a payload an error. */
static int carry(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size, uint64_t until,
		 struct vgpu_transport_result *result)
{
	(void)t;
	(void)until;
	assert_int_equal(__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED), 0);
	ordered &= cmd->seq == last_seq + 1;
	last_seq = cmd->seq;
	last_size = size;
	carried++;
	result->status = cmd->payload_size ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	result->size = cmd->op == VGPU_OP_ping ? 8 : 0;
	memcpy(result->data, cmd + 1, result->size);
	__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED);
	return broken;
}

static CUresult ping(uint64_t cookie, uint64_t *back)
{
	struct vgpu_args_ping *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_ping, sizeof(*a), 0, VGPU_CALL_REPLY);

	if (r)
		return r;
	a = c.args;
	a->cookie = cookie;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r)
		memcpy(back, c.ret, c.ret_size);
	vgpu_call_end(&c);
	return r;
}

static void a_reply_comes_back(void **state)
{
	uint64_t back = 0, tail = vgpu_session.channel->ring.tail;

	(void)state;
	assert_int_equal(ping(0x1122334455667788, &back), 0);
	assert_true(back == 0x1122334455667788);
	assert_int_equal(carried, 1);
	/* What the command needs, not what it would take in the ring, where nothing is. */
	assert_int_equal(last_size, sizeof(struct vgpu_cmd) + sizeof(struct vgpu_args_ping));
	assert_int_equal(vgpu_session.channel->ring.tail, tail);
	assert_int_equal(vgpu_counters()->commands, 1);
	assert_int_equal(vgpu_counters()->doorbells, 1);
	assert_int_equal(vgpu_counters()->replies, 1);
	assert_int_equal(shim_fake.doorbells, 0);
}

/* A call without a slot has carried its command when it returns; what failed in it is reported as from the ring. */
static void nobody_waits_in_vain(void **state)
{
	uint64_t before = carried;
	struct vgpu_call c;

	(void)state;
	assert_int_equal(vgpu_call_begin(&c, VGPU_OP_noop, 0, 64, 0), 0);
	vgpu_call_submit(&c);
	assert_int_equal(carried, before + 1);
	assert_int_equal(vgpu_error_take(), CUDA_SUCCESS);
	atomic_store(&vgpu_session.channel->ctl.deferred_error, CUDA_ERROR_INVALID_VALUE);
	atomic_store(&vgpu_session.channel->ctl.deferred_seq, c.seq);
	assert_int_equal(vgpu_error_take(), CUDA_ERROR_INVALID_VALUE);
}

static void *pinger(void *number)
{
	uint64_t i, back, base = (uint64_t)(uintptr_t)number * CALLS;

	for (i = 0; i < CALLS; i++)
		if (ping(base + i, &back) || back != base + i)
			return number;
	return NULL;
}

static void threads_take_turns(void **state)
{
	pthread_t threads[THREADS];
	uint64_t before = carried;
	uintptr_t i;
	void *wrong;

	(void)state;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pinger, (void *)(i + 1)), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(carried, before + THREADS * CALLS);
	assert_true(ordered);
}

/* The last test: the session is over. */
static void a_broken_way_ends_the_session(void **state)
{
	uint64_t back;

	(void)state;
	broken = -ECONNRESET;
	shim_fake.alive = false;
	assert_int_equal(ping(1, &back), CUDA_ERROR_DEVICE_UNAVAILABLE);
	assert_int_equal(atomic_load(&vgpu_session.state), VGPU_SESSION_DEAD);
	assert_int_equal(ping(1, &back), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

static int setup(void **state)
{
	(void)state;
	shim_fake_open(0, 50);
	ops = *vgpu_session.transport.ops;
	ops.call = carry;
	vgpu_session.transport.ops = &ops;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_comes_back),
		cmocka_unit_test(nobody_waits_in_vain),
		cmocka_unit_test(threads_take_turns),
		cmocka_unit_test(a_broken_way_ends_the_session),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
