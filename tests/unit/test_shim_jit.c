/* SPDX-License-Identifier: MIT */
/* The application's options of the JIT: what travels and how, and what its buffers hold when the answer comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gen/wire.h>
#include <vgpu/image.h>

#include "shim/jit.h"

static struct vgpu_jit jit;
static struct vgpu_rec_jit_request request;
static uint64_t payload[64];

/* Looks through the options and lays them out. */
static CUresult lay_out(unsigned int count, CUjit_option *options, void **values)
{
	CUresult r = vgpu_jit_parse(count, options, values, &jit);

	memset(payload, 0xff, sizeof(payload));
	if (!r)
		vgpu_jit_put(&jit, &request, payload);
	return r;
}

static void numbers(void **state)
{
	CUjit_option options[] = { CU_JIT_MAX_REGISTERS, CU_JIT_WALL_TIME, (CUjit_option)99, CU_JIT_MAX_REGISTERS };
	void *values[] = { (void *)16, NULL, (void *)5, (void *)32 };
	const struct vgpu_rec_jit_option *o = (const void *)payload;

	(void)state;
	assert_int_equal(lay_out(4, options, values), CUDA_SUCCESS);
	/* Of two the last one counts; what we do not know is the worker's to refuse. */
	assert_int_equal(request.option_count, 3);
	assert_int_equal(jit.bytes, 3 * sizeof(*o));
	assert_int_equal(o[0].option, CU_JIT_WALL_TIME);
	assert_int_equal(o[1].option, 99);
	assert_int_equal(o[1].value, 5);
	assert_int_equal(o[2].option, CU_JIT_MAX_REGISTERS);
	assert_int_equal(o[2].value, 32);
	assert_int_equal(o[2].bytes, 0);
}

static void lists(void **state)
{
	const char *names[] = { "first", "second" };
	void *addresses[] = { (void *)0x1000, (void *)0x2000 };
	CUjit_option options[] = { CU_JIT_GLOBAL_SYMBOL_COUNT, CU_JIT_GLOBAL_SYMBOL_NAMES, CU_JIT_GLOBAL_SYMBOL_ADDRESSES };
	void *values[] = { (void *)2, names, addresses };
	const struct vgpu_rec_jit_option *o = (const void *)payload;

	(void)state;
	assert_int_equal(lay_out(3, options, values), CUDA_SUCCESS);
	assert_int_equal(request.option_count, 3);
	assert_int_equal(jit.bytes, 3 * sizeof(*o) + 16 + 16);
	assert_int_equal(o[1].value, 2);
	assert_int_equal(o[1].bytes, 13);
	assert_memory_equal(o + 3, "first\0second\0\0\0\0", 16);
	assert_int_equal(o[2].value, 2);
	assert_int_equal(o[2].bytes, 16);
	assert_memory_equal((const char *)(o + 3) + 16, addresses, 16);
}

static void nonsense(void **state)
{
	const char *names[] = { "first", NULL };
	char *much = calloc(1, VGPU_PAYLOAD_MAX_link_create);
	CUjit_option options[] = { CU_JIT_REFERENCED_KERNEL_COUNT, CU_JIT_REFERENCED_KERNEL_NAMES };
	void *values[] = { (void *)2, names };
	CUjit_option many[VGPU_JIT_OPTIONS_MOST + 1] = { 0 };
	void *zeros[VGPU_JIT_OPTIONS_MOST + 1] = { NULL };

	(void)state;
	assert_int_equal(lay_out(2, options, values), CUDA_ERROR_INVALID_VALUE);
	values[0] = (void *)UINT32_MAX;
	assert_int_equal(lay_out(2, options, values), CUDA_ERROR_INVALID_VALUE);
	values[0] = (void *)1;
	assert_int_equal(lay_out(2, options, values), CUDA_SUCCESS);
	assert_int_equal(lay_out(1, options, values), CUDA_ERROR_INVALID_VALUE);
	names[0] = memset(much, 'x', VGPU_PAYLOAD_MAX_link_create - 1);
	assert_int_equal(lay_out(2, options, values), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(lay_out(1, NULL, values), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(lay_out(1, options, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(lay_out(VGPU_JIT_OPTIONS_MOST + 1, many, zeros), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(lay_out(VGPU_JIT_OPTIONS_MOST, many, zeros), CUDA_SUCCESS);
	free(much);
}

static void answers(void **state)
{
	CUjit_option options[] = { CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
				   CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_WALL_TIME, CU_JIT_THREADS_PER_BLOCK };
	struct vgpu_rec_jit_result result = { .info_log_size = 4, .error_log_size = 5, .wall_time = 1.5f,
					      .threads_per_block = 96 };
	char info[8], error[4];
	void *values[] = { info, (void *)sizeof(info), error, (void *)sizeof(error), NULL, (void *)64 };
	float ms;

	(void)state;
	memset(info, '#', sizeof(info));
	assert_int_equal(lay_out(6, options, values), CUDA_SUCCESS);
	assert_int_equal(request.option_count, 2);
	assert_int_equal(request.info_log_bytes, 8);
	assert_int_equal(request.error_log_bytes, 4);
	assert_false(vgpu_jit_take(&jit, &result, "infoerr", 8));
	assert_string_equal(info, "info");
	assert_int_equal(info[5], '#');
	assert_string_equal(error, "err");
	assert_int_equal((uintptr_t)values[1], 4);
	assert_int_equal((uintptr_t)values[3], 5);
	memcpy(&ms, &values[4], sizeof(ms));
	assert_true(ms == 1.5f);
	assert_int_equal((uintptr_t)values[5], 96);
	/* Only the first bytes came. */
	assert_true(vgpu_jit_take(&jit, &result, "info", 4));
	/* More than was asked for: it stays outside. */
	result.info_log_size = 100;
	assert_false(vgpu_jit_take(&jit, &result, "information, too much", 21));
	assert_memory_equal(info, "informa", 8);
	assert_memory_equal(error, "ion", 4);
}

/* No buffer without its size, no size without its buffer. */
static void halves(void **state)
{
	CUjit_option options[] = { CU_JIT_INFO_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	const struct vgpu_rec_jit_result result = { .info_log_size = 4, .error_log_size = 4 };
	char info[4] = "###";
	void *values[] = { info, (void *)sizeof(info) };

	(void)state;
	assert_int_equal(lay_out(2, options, values), CUDA_SUCCESS);
	assert_int_equal(request.option_count + request.info_log_bytes + request.error_log_bytes, 0);
	assert_false(vgpu_jit_take(&jit, &result, "infoerro", 8));
	assert_string_equal(info, "###");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers), cmocka_unit_test(lists), cmocka_unit_test(nonsense), cmocka_unit_test(answers),
		cmocka_unit_test(halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
