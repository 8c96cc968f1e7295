/* SPDX-License-Identifier: MIT */
/*
 * Options of the JIT and links as a hostile guest describes them, against a driver that reads all that it is given; logs
 * and images of any length arrive whole.
 */
#include <errno.h>
#include <string.h>

#include <vgpu/image.h>

#include "dispatch.h"

#define LINK ID(LINKSTATE, 1)
#define REPLY(name) ((const struct vgpu_ret_##name *)reply())

/* Options and their data as they lie in a payload. */
struct options {
	struct vgpu_rec_jit_option record[4];
	uint8_t data[32];
};

static const struct options good = {
	.record = { { CU_JIT_GLOBAL_SYMBOL_NAMES, 6, 2 }, { CU_JIT_GLOBAL_SYMBOL_ADDRESSES, 16, 2 },
		    { CU_JIT_GLOBAL_SYMBOL_COUNT, 0, 2 }, { CU_JIT_MAX_REGISTERS, 0, 32 } },
	.data = { 'o', 'n', 0, 't', 'w', 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7 },
};

static int create(const struct options *o, uint32_t count, uint32_t bytes)
{
	const struct vgpu_args_link_create a = { .link = LINK, .jit = { .option_count = count } };

	return run(VGPU_OP_link_create, &a, sizeof(a), o, bytes);
}

static int link_only(void)
{
	return CALL(link_create, .link = LINK, .jit = { .info_log_bytes = 100, .error_log_bytes = 5000 });
}

static void test_lists(void **state)
{
	(void)state;
	assert_int_equal(create(&good, 4, sizeof(good)), 0);
	assert_int_equal(s->channel->replies[0].result, 0);
	assert_string_equal(fake.names, "ontw");
	assert_int_equal(fake.addresses, 12);
	assert_int_equal(fake.unknown, 0);
	assert_int_equal(CALL(link_destroy, .link = LINK), 0);
	assert_int_equal(CALL(link_destroy, .link = LINK), CUDA_ERROR_INVALID_HANDLE);
}

/* Nothing that a driver would follow or count wrongly comes to it. */
static void test_hostile_options(void **state)
{
	struct options bad;

	(void)state;
#define BAD(member, value)	(bad = good, bad.member = (value), assert_int_equal(create(&bad, 4, sizeof(bad)), -EPROTO))
	BAD(record[0].value, 3);
	BAD(record[0].value, 1);
	BAD(record[0].value, UINT64_MAX);
	BAD(record[0].bytes, 5);
	BAD(record[0].bytes, UINT32_MAX);
	BAD(record[1].value, 3);
	BAD(record[1].bytes, 8);
	BAD(record[2].value, 3);
	BAD(record[2].value, 1);
	BAD(record[3].bytes, 8);
	BAD(record[1].option, CU_JIT_GLOBAL_SYMBOL_NAMES);
	BAD(record[3].option, CU_JIT_GLOBAL_SYMBOL_NAMES);
	BAD(record[3].option, CU_JIT_REFERENCED_KERNEL_COUNT);
	BAD(record[3].option, CU_JIT_REFERENCED_VARIABLE_COUNT);
	BAD(record[3].option, CU_JIT_INFO_LOG_BUFFER);
	BAD(record[3].option, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
	BAD(record[3].option, CU_JIT_ERROR_LOG_BUFFER);
	BAD(record[3].option, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
#undef BAD
	assert_int_equal(create(&good, 4, sizeof(good.record) - 1), -EPROTO);
	assert_int_equal(create(&good, 4, sizeof(good.record) + 5), -EPROTO);
	assert_int_equal(create(&good, VGPU_JIT_OPTIONS_MOST + 1, sizeof(good)), -EPROTO);
	assert_int_equal(create(&good, UINT32_MAX, sizeof(good)), -EPROTO);
	/* What we do not know could be a pointer to a newer driver: it hears of an option that nobody knows. */
	bad = good;
	bad.record[3].option = CU_JIT_NUM_OPTIONS;
	assert_int_equal(create(&bad, 4, sizeof(bad)), 0);
	assert_int_equal(fake.unknown, 1);
}

static void test_log_size(void **state)
{
	const struct vgpu_args_link_create a = { .link = LINK, .jit = { .error_log_bytes = VGPU_JIT_LOG_MOST + 1 } };

	(void)state;
	assert_int_equal(run(VGPU_OP_link_create, &a, sizeof(a), NULL, 0), -EPROTO);
}

/* The logs of the reply and what is fetched behind them: `bytes` of digits each. */
static void check_logs(uint64_t owner, const struct vgpu_rec_jit_result *o, const char *text, uint32_t carried, uint32_t info,
		       uint32_t error)
{
	char all[16384];
	uint32_t at = carried;

	assert_int_equal(o->info_log_size, info);
	assert_int_equal(o->error_log_size, error);
	memcpy(all, text, carried);
	while (at < info + error) {
		assert_int_equal(CALL(jit_log, .owner = owner, .at = at), 0);
		assert_true(REPLY(jit_log)->bytes > 0);
		memcpy(all + at, REPLY(jit_log) + 1, REPLY(jit_log)->bytes);
		at += REPLY(jit_log)->bytes;
	}
	assert_int_equal(at, info + error);
	for (uint32_t i = 0; i < info + error; i++)
		assert_int_equal(all[i], '0' + (i < info ? i : i - info) % 10);
	if (carried < info + error) {
		assert_int_equal(CALL(jit_log, .owner = owner, .at = at), 0);
		assert_int_equal(REPLY(jit_log)->bytes, 0);
	}
}

static void load(uint32_t info_bytes, uint32_t error_bytes, uint32_t info, uint32_t error, CUresult wanted)
{
	const struct vgpu_ret_module_load *o;

	send_image(1, ".version 7.0\n", 13);
	fake.result = wanted;
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 1), .image = 1, .kind = 1,
			      .jit = { .info_log_bytes = info_bytes, .error_log_bytes = error_bytes }), wanted);
	fake.result = CUDA_SUCCESS;
	o = REPLY(module_load);
	check_logs(1, &o->jit, (const char *)(o + 1), s->channel->replies[0].size - (uint32_t)sizeof(*o), info, error);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	if (!wanted)
		assert_int_equal(CALL(module_unload, .module = ID(MODULE, 1)), 0);
	assert_int_equal(CALL(jit_log, .owner = 1), CUDA_ERROR_INVALID_HANDLE);
}

static void test_module_logs(void **state)
{
	(void)state;
	fake.log_bytes = 5000;
	load(0, 0, 0, 0, CUDA_SUCCESS);
	load(1, 1, 0, 0, CUDA_SUCCESS);
	load(100, 0, 99, 0, CUDA_SUCCESS);
	load(0, 100, 0, 99, CUDA_ERROR_INVALID_PTX);
	load(5000, 6000, 4999, 5000, CUDA_ERROR_INVALID_PTX);
	load(VGPU_JIT_LOG_MOST, 20, 5000, 19, CUDA_SUCCESS);
	fake.log_bytes = 10;
	load(100, 100, 10, 10, CUDA_SUCCESS);
}

static int add(uint64_t image, CUjitInputType type, const char *name, uint32_t name_bytes)
{
	const struct vgpu_args_link_add a = { .link = LINK, .image = image, .type = type, .name_bytes = name_bytes };

	return run(VGPU_OP_link_add, &a, sizeof(a), name, name ? (uint32_t)strlen(name) + 1 : 0);
}

static int added(uint64_t image, CUjitInputType type)
{
	assert_int_equal(add(image, type, NULL, 0), 0);
	return s->channel->replies[0].result;
}

static void test_inputs(void **state)
{
	uint8_t elf[64] = "\177ELF\2\1\1";
	uint8_t fat[32] = { 0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 17 };

	(void)state;
	assert_int_equal(added(1, CU_JIT_INPUT_PTX), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(link_only(), 0);
	assert_int_equal(added(1, CU_JIT_INPUT_PTX), CUDA_ERROR_INVALID_IMAGE);
	send_image(1, ".version", 8);
	assert_int_equal(added(1, CU_JIT_INPUT_PTX), 0);
	assert_string_equal(fake.image, ".version");
	assert_int_equal(added(1, CU_JIT_INPUT_CUBIN), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(added(1, CU_JIT_INPUT_OBJECT), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(added(1, CU_JIT_INPUT_FATBINARY), CUDA_ERROR_INVALID_IMAGE);
	send_image(2, fat, sizeof(fat));	/* says to be one byte longer than it is */
	assert_int_equal(added(2, CU_JIT_INPUT_FATBINARY), CUDA_ERROR_INVALID_IMAGE);
	send_image(3, elf, sizeof(elf));
	assert_int_equal(added(3, CU_JIT_INPUT_CUBIN), 0);
	elf[40] = 64;	/* sections behind the end */
	elf[58] = 64;
	elf[60] = 1;
	send_image(4, elf, sizeof(elf));
	assert_int_equal(added(4, CU_JIT_INPUT_CUBIN), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(add(1, CU_JIT_INPUT_PTX, "a name", 7), 0);
	assert_string_equal(fake.names, "a name");
	assert_int_equal(add(1, CU_JIT_INPUT_PTX, "a name", 6), -EPROTO);
	assert_int_equal(add(1, CU_JIT_INPUT_PTX, "a name", 8), -EPROTO);
	assert_int_equal(add(1, CU_JIT_INPUT_PTX, NULL, 1), -EPROTO);
}

/* Logs of a link come with the answers of its calls. */
static void test_link_logs(void **state)
{
	(void)state;
	fake.log_bytes = 4500;
	assert_int_equal(link_only(), 0);
	fake.link_bytes = 10000;
	assert_int_equal(CALL(link_complete, .link = LINK), 0);
	check_logs(LINK, &REPLY(link_complete)->jit, (const char *)(REPLY(link_complete) + 1),
		   s->channel->replies[0].size - (uint32_t)sizeof(struct vgpu_ret_link_complete), 99, 4500);
}

static void test_image(void **state)
{
	uint64_t at = 0, bytes;

	(void)state;
	assert_int_equal(link_only(), 0);
	assert_int_equal(CALL(link_image, .link = LINK), CUDA_ERROR_INVALID_VALUE);
	fake.link_bytes = 10000;
	assert_int_equal(CALL(link_complete, .link = LINK), 0);
	bytes = REPLY(link_complete)->bytes;
	assert_int_equal(bytes, 10000);
	while (at < bytes) {
		const uint8_t *piece = (const uint8_t *)(REPLY(link_image) + 1);

		assert_int_equal(CALL(link_image, .link = LINK, .at = at), 0);
		for (uint32_t i = 0; i < REPLY(link_image)->bytes; i++)
			assert_int_equal(piece[i], (at + i) % 251);
		at += REPLY(link_image)->bytes;
	}
	assert_int_equal(at, bytes);
	assert_int_equal(CALL(link_image, .link = LINK, .at = bytes), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(link_image, .link = LINK, .at = UINT64_MAX), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(link_image, .link = ID(LINKSTATE, 2)), CUDA_ERROR_INVALID_HANDLE);
}

/* What links hold counts as images do, until they are destroyed. */
static void test_charge(void **state)
{
	(void)state;
	assert_int_equal(link_only(), 0);
	assert_int_equal(s->image_bytes, 5100);
	send_image(1, ".version", 8);
	assert_int_equal(added(1, CU_JIT_INPUT_PTX), 0);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_int_equal(s->image_bytes, 5108);
	assert_int_equal(CALL(image_open, .image = 2, .bytes = (1ull << 30) - 5107), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(CALL(link_destroy, .link = LINK), 0);
	assert_int_equal(s->image_bytes, 0);
	fake.result = CUDA_ERROR_INVALID_VALUE;
	assert_int_equal(link_only(), CUDA_ERROR_INVALID_VALUE);
	fake.result = CUDA_SUCCESS;
	assert_int_equal(s->image_bytes, 0);
}

/* A link outlives contexts, and ends with its session. */
static void test_life(void **state)
{
	(void)state;
	assert_int_equal(link_only(), 0);
	vgpu_session_drop_context(s, s->context);
	assert_int_equal(CALL(link_complete, .link = LINK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_module_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inputs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_image, setup, teardown),
		cmocka_unit_test_setup_teardown(test_charge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
