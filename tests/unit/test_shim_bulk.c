/* SPDX-License-Identifier: MIT */
/* Large pageable copies: every byte arrives at its place and none beside it, whoever copies and however many at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "shim/bulk.h"
#include "shim/config.h"
#include "shim/context.h"
#include "shim/crew.h"
#include "shim/memory.h"
#include "shim/session.h"
#include "shim/staging.h"
#include "shim/stream.h"
#include "shim/thread.h"

#include "shim_fake.h"

#define MOST	(9u << 20)

static struct vgpu_context context;
static struct vgpu_stream stream;
static uint64_t refuse_at;	/* device address whose copies fail; 0: none */

/* The worker: device memory is memory of this process, the stream's fence word is written at once. */
static void execute(struct shim_fake *f, const struct vgpu_cmd *cmd)
{
	const struct vgpu_args_memcpy_h2d_arena *in = (const void *)(cmd + 1);
	const struct vgpu_args_memcpy_d2h_arena *out = (const void *)(cmd + 1);
	struct vgpu_channel *ch = vgpu_session.channel;

	(void)f;
	if (cmd->slot)
		shim_fake_reply(cmd, 0, NULL, 0);
	if (cmd->op == VGPU_OP_memcpy_h2d_arena) {
		memcpy((void *)(uintptr_t)in->dst, vgpu_session.base + in->src_offset, in->bytes);
		atomic_store(&ch->fences[in->fence], in->fence_value);
	} else if (cmd->op == VGPU_OP_memcpy_d2h_arena && refuse_at && out->src >= refuse_at) {
		atomic_store(&ch->ctl.sticky_error, CUDA_ERROR_ILLEGAL_ADDRESS);
	} else if (cmd->op == VGPU_OP_memcpy_d2h_arena) {
		memcpy(vgpu_session.base + out->dst_offset, (void *)(uintptr_t)out->src, out->bytes);
		atomic_store(&ch->fences[out->fence], out->fence_value);
	}
}

static int setup(void **state)
{
	static pthread_t worker;

	(void)state;
	vgpu_config.copy_threads = 4;
	shim_fake.command = execute;
	shim_fake_open(1, 50);
	assert_int_equal(vgpu_memory_init(), CUDA_SUCCESS);
	context.alive = true;
	vgpu_thread.current = &context;
	stream.context = &context;
	stream.word = 1;
	return pthread_create(&worker, NULL, shim_fake_thread, NULL);
}

static void fill(uint8_t *p, uint64_t bytes, unsigned seed)
{
	for (uint64_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(rand_r(&seed) >> 7);
}

/* There and back, at odd addresses, with a guard on both sides. */
static void round_trip(uint64_t bytes, unsigned shift, unsigned seed)
{
	uint8_t *from = malloc(bytes + 256), *device = malloc(bytes), *to = malloc(bytes + 256);
	uint64_t i;

	assert_non_null(from);
	assert_non_null(device);
	assert_non_null(to);
	fill(from, bytes + 256, seed);
	memset(to, 0x5a, bytes + 256);
	assert_int_equal(vgpu_bulk_to_device((uintptr_t)device, from + shift, bytes, &stream), 0);
	/* The source may change as soon as the call is back. */
	fill(from + shift, bytes, ~seed);
	assert_int_equal(vgpu_bulk_from_device(to + 64 + shift, (uintptr_t)device, bytes, &stream), 0);
	fill(from, bytes + 256, seed);
	assert_memory_equal(to + 64 + shift, from + shift, bytes);
	for (i = 0; i < 64 + shift; i++)
		assert_int_equal(to[i], 0x5a);
	for (i = 64 + shift + bytes; i < bytes + 256; i++)
		assert_int_equal(to[i], 0x5a);
	free(from);
	free(device);
	free(to);
}

static void every_byte_arrives(void **state)
{
	static const uint64_t sizes[] = { 1, 63, 65537, (1u << 20) - 1, (1u << 20) + 1, (4u << 20) + 4097, MOST };

	(void)state;
	assert_int_equal(vgpu_crew_size(), 4);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		round_trip(sizes[i], i * 9 % 61, i + 1);
}

static void *copy_again_and_again(void *seed)
{
	unsigned s = (unsigned)(uintptr_t)seed;

	vgpu_thread.current = &context;
	for (int i = 0; i < 6; i++)
		round_trip(1 + (uint64_t)rand_r(&s) % MOST, (unsigned)rand_r(&s) % 64, s);
	return NULL;
}

static void several_threads_copy_at_once(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, copy_again_and_again, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* Last: the session is over afterwards. */
static void an_error_in_the_middle_ends_the_copy(void **state)
{
	uint8_t *device = malloc(MOST), *to = malloc(MOST);

	(void)state;
	assert_non_null(device);
	assert_non_null(to);
	memset(device, 1, MOST);
	refuse_at = (uintptr_t)device + MOST / 2;
	assert_int_equal(vgpu_bulk_from_device(to, (uintptr_t)device, MOST, &stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(vgpu_bulk_to_device((uintptr_t)device, to, MOST, &stream), CUDA_ERROR_ILLEGAL_ADDRESS);
	free(device);
	free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives),
		cmocka_unit_test(several_threads_copy_at_once),
		cmocka_unit_test(an_error_in_the_middle_ends_the_copy),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
