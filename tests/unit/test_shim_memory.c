/* SPDX-License-Identifier: MIT */
/* Memory that the driver gave and that cannot be entered in the table of pointers goes back to the driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "shim/context.h"
#include "shim/memory.h"
#include "free_addresses.h"
#include "shim_fake.h"

#define BYTES	4096u

static uint64_t given;	/* where the driver puts all */
static _Atomic uint64_t freed, freed_ordered;

static void answer(struct shim_fake *f, const struct vgpu_cmd *cmd)
{
	const struct vgpu_ret_cuMemAlloc_v2 ret = { .dptr = given };

	(void)f;
	switch (cmd->op) {
	case VGPU_OP_cuMemAlloc_v2:
	case VGPU_OP_cuMemAllocAsync:
		shim_fake_reply(cmd, 0, &ret, sizeof(ret));
		return;
	case VGPU_OP_cuMemFree_v2:
		freed = ((const struct vgpu_args_cuMemFree_v2 *)(cmd + 1))->dptr;
		break;
	case VGPU_OP_cuMemFreeAsync:
		freed_ordered = ((const struct vgpu_args_cuMemFreeAsync *)(cmd + 1))->dptr;
		break;
	default:
		break;
	}
	if (cmd->slot)
		shim_fake_reply(cmd, 0, NULL, 0);
}

/* Until the consumer has taken all that was sent. */
static void settle(void)
{
	assert_int_equal(cuCtxSetFlags(0), 0);
}

static void what_cannot_be_entered_goes_back(void **state)
{
	CUdeviceptr p;

	(void)state;
	assert_int_equal(vgpu_memory_add(VGPU_RANGE_RESERVED, given, BYTES, 0), 0);
	assert_int_equal(cuMemAlloc_v2(&p, BYTES), CUDA_ERROR_INVALID_VALUE);
	settle();
	assert_int_equal(freed, given);
	assert_int_equal(cuMemAllocAsync(&p, BYTES, NULL), CUDA_ERROR_INVALID_VALUE);
	settle();
	assert_int_equal(freed_ordered, given);
}

static void what_is_entered_stays(void **state)
{
	struct vgpu_range_info info;
	CUdeviceptr p;

	(void)state;
	assert_true(vgpu_memory_remove(given, 1u << VGPU_RANGE_RESERVED, &info));
	freed = 0;
	assert_int_equal(cuMemAlloc_v2(&p, BYTES), 0);
	settle();
	assert_int_equal(p, given);
	assert_int_equal(freed, 0);
	assert_true(vgpu_memory_find(given, &info));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_entered_goes_back),
		cmocka_unit_test(what_is_entered_stays),
	};
	CUcontext ctx;
	int r;

	given = free_addresses();
	shim_fake.command = answer;
	r = shim_fake_start() || cuCtxCreate_v2(&ctx, 0, 0) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	shim_fake_stop();
	return r;
}
