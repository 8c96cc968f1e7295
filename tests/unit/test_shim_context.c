/* SPDX-License-Identifier: MIT */
/* A context that the driver refuses: the error comes back, and the fence word of its default stream is free again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "shim/context.h"
#include "shim/fence.h"
#include "shim_fake.h"

#define TRIES	5

static void answer(struct shim_fake *f, const struct vgpu_cmd *cmd)
{
	(void)f;
	if (cmd->slot)
		shim_fake_reply(cmd, CUDA_ERROR_OUT_OF_MEMORY, NULL, 0);
}

/* The word that the next stream gets. */
static uint32_t next_word(void)
{
	uint64_t issued;
	uint32_t word = vgpu_fence_word_get(&issued);

	vgpu_fence_word_put(word, issued);
	return word;
}

static void a_refused_context_keeps_no_fence_word(void **state)
{
	uint32_t word = next_word();
	CUcontext ctx;
	int i;

	(void)state;
	for (i = 0; i < TRIES; i++)
		assert_int_equal(cuCtxCreate_v2(&ctx, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(next_word(), word);
	assert_null(vgpu_context_current());
}

static void a_refused_primary_context_keeps_no_fence_word(void **state)
{
	uint32_t word = next_word();
	CUcontext ctx;
	int i;

	(void)state;
	for (i = 0; i < TRIES; i++)
		assert_int_equal(cuDevicePrimaryCtxRetain(&ctx, 0), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(next_word(), word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_context_keeps_no_fence_word),
		cmocka_unit_test(a_refused_primary_context_keeps_no_fence_word),
	};
	int r;

	shim_fake.command = answer;
	r = shim_fake_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	shim_fake_stop();
	return r;
}
