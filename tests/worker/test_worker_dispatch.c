/* SPDX-License-Identifier: MIT */
/*
 * Commands that a guest would not send by accident, against a driver that checks what reaches it: malformed ones end the
 * session, wrong ones get the native error, and nothing of this process's memory is ever handed to the driver.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgpu/image.h>

#include "dispatch.h"

#define STREAM	ID(STREAM, VGPU_STREAM_INDEX_FIRST)

static void test_header(void **state)
{
	struct vgpu_args_ping p = { 1 };
	struct vgpu_cmd c = { .size = 64, .op = VGPU_OP_ping, .slot = 1, .args_size = sizeof(p), .seq = 1 };

	(void)state;
	assert_int_equal(fake_execute(s, &c, &p, NULL), 0);
	c.slot = 0;	/* answered calls need a slot */
	assert_int_equal(fake_execute(s, &c, &p, NULL), -EPROTO);
	c.slot = VGPU_REPLY_SLOTS;
	assert_int_equal(fake_execute(s, &c, &p, NULL), 0);
	c.slot = VGPU_REPLY_SLOTS + 1;
	assert_int_equal(fake_execute(s, &c, &p, NULL), -EPROTO);
	c.slot = 1;
	c.args_size = 0;
	assert_int_equal(fake_execute(s, &c, &p, NULL), -EPROTO);
	for (unsigned int op = 0; op <= 0xffff; op++) {
		c.op = (uint16_t)op;
		if (!vgpu_op_find(c.op))
			assert_int_equal(fake_execute(s, &c, &p, NULL), -EPROTO);
	}
}

/* Every operation with arguments of the wrong size is broken; with zeros it is an error at most. */
static void test_every_operation(void **state)
{
	static const uint8_t zeros[128 << 10];
	unsigned int found = 0;

	(void)state;
	for (unsigned int op = 0; op <= 0xffff; op++) {
		const struct vgpu_op_info *info = vgpu_op_find((uint16_t)op);

		if (!info)
			continue;
		found++;
		assert_true(info->args_size + 8 <= sizeof(zeros) && info->payload_max + 8 <= sizeof(zeros));
		assert_int_equal(run((uint16_t)op, zeros, info->args_size + 8, NULL, 0), -EPROTO);
		if (info->args_size)
			assert_int_equal(run((uint16_t)op, zeros, info->args_size - 8, NULL, 0), -EPROTO);
		assert_int_equal(run((uint16_t)op, zeros, info->args_size, zeros, info->payload_max + 8), -EPROTO);
		s->broken[0] = 0;
		run((uint16_t)op, zeros, info->args_size, NULL, 0);
	}
	assert_true(found > 100);
	fake_reset();	/* objects that id 0 cannot name */
	vgpu_handles_free(&s->handles);
}

static void test_copy_bounds(void **state)
{
	uint64_t d = alloc(4096), arena = s->geo.arena_at, total = s->geo.total_size;
	uint8_t data[256] = { 0 };
	struct vgpu_args_memcpy_h2d_inline in = { .dst = d + 4096 - 256 };

	(void)state;
	assert_int_equal(call(VGPU_OP_memcpy_h2d_inline, &in, sizeof(in), data, 256), 0);
	in.dst++;
	assert_int_equal(call(VGPU_OP_memcpy_h2d_inline, &in, sizeof(in), data, 256), CUDA_ERROR_INVALID_VALUE);
	in.dst = (uint64_t)(uintptr_t)data;
	assert_int_equal(call(VGPU_OP_memcpy_h2d_inline, &in, sizeof(in), data, 256), CUDA_ERROR_INVALID_VALUE);

	assert_int_equal(CALL(memcpy_h2d_arena, .dst = d, .src_offset = arena, .bytes = 4096), 0);
	assert_int_equal(CALL(memcpy_h2d_arena, .dst = d, .src_offset = total - 4096, .bytes = 4096), 0);
	assert_int_equal(RUN(memcpy_h2d_arena, .dst = d, .src_offset = total - 4095, .bytes = 4096), -EPROTO);
	assert_int_equal(RUN(memcpy_h2d_arena, .dst = d, .src_offset = arena - 1, .bytes = 16), -EPROTO);
	assert_int_equal(RUN(memcpy_h2d_arena, .dst = d, .src_offset = 0, .bytes = 16), -EPROTO);
	assert_int_equal(RUN(memcpy_d2h_arena, .src = d, .dst_offset = UINT64_MAX, .bytes = 16), -EPROTO);
	assert_int_equal(RUN(memcpy_d2h_arena, .src = d, .dst_offset = arena, .bytes = UINT64_MAX), -EPROTO);
	assert_int_equal(CALL(memcpy_d2h_arena, .src = d + 1, .dst_offset = arena, .bytes = 4096),
			 CUDA_ERROR_INVALID_VALUE);
}

static void test_pitched_bounds(void **state)
{
	uint64_t d = alloc(64 << 10), arena = s->geo.arena_at;
	struct vgpu_args_memcpy_2d a = { .src = arena, .src_pitch = 256, .src_kind = 2, .dst = d, .dst_pitch = 1024,
					 .dst_kind = 1, .width = 256, .height = 64 };
	struct vgpu_args_memcpy_2d b = a;

	(void)state;
	assert_int_equal(call(VGPU_OP_memcpy_2d, &a, sizeof(a), NULL, 0), 0);
	b.height = 65;
	assert_int_equal(call(VGPU_OP_memcpy_2d, &b, sizeof(b), NULL, 0), CUDA_ERROR_INVALID_VALUE);
	b = a;
	b.dst_pitch = UINT64_MAX / 32;
	assert_int_equal(call(VGPU_OP_memcpy_2d, &b, sizeof(b), NULL, 0), CUDA_ERROR_INVALID_VALUE);
	b = a;
	b.width = 257;	/* wider than a row of the source */
	assert_int_equal(call(VGPU_OP_memcpy_2d, &b, sizeof(b), NULL, 0), CUDA_ERROR_INVALID_VALUE);
	b = a;
	b.src_kind = 3;
	assert_int_equal(run(VGPU_OP_memcpy_2d, &b, sizeof(b), NULL, 0), -EPROTO);
	b = a;
	b.src = s->geo.total_size - 256 * 63;
	assert_int_equal(run(VGPU_OP_memcpy_2d, &b, sizeof(b), NULL, 0), -EPROTO);
}

static void test_fill_bounds(void **state)
{
	uint64_t d = alloc(64 << 10);
	struct vgpu_args_memset a = { .dst = d, .width = 256, .element_size = 4 };
	struct vgpu_rec_rows rows = { .pitch = 1024, .height = 64 };

	(void)state;
	assert_int_equal(CALL(memset, .dst = d, .width = 64 << 8, .element_size = 4), 0);
	assert_int_equal(CALL(memset, .dst = d, .width = (64 << 8) + 1, .element_size = 4), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(memset, .dst = d, .width = UINT64_MAX / 2, .element_size = 4), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RUN(memset, .dst = d, .width = 1, .element_size = 3), -EPROTO);
	assert_int_equal(call(VGPU_OP_memset, &a, sizeof(a), &rows, sizeof(rows)), 0);
	assert_int_equal(run(VGPU_OP_memset, &a, sizeof(a), &rows, sizeof(rows) - 8), -EPROTO);
	rows.height = 65;
	assert_int_equal(call(VGPU_OP_memset, &a, sizeof(a), &rows, sizeof(rows)), CUDA_ERROR_INVALID_VALUE);
	rows.height = 0;
	assert_int_equal(call(VGPU_OP_memset, &a, sizeof(a), &rows, sizeof(rows)), 0);
}

static void test_handles(void **state)
{
	(void)state;
	assert_int_equal(CALL(stream_create, .stream = STREAM), 0);
	assert_int_equal(CALL(event_create, .event = ID(EVENT, 1)), 0);
	assert_int_equal(CALL(stream_wait, .stream = STREAM, .event = ID(EVENT, 1)), 0);
	assert_int_equal(CALL(stream_wait, .stream = ID(EVENT, 1), .event = ID(EVENT, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(stream_wait, .stream = STREAM, .event = STREAM), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(stream_wait, .stream = STREAM, .event = vgpu_handle_make(VGPU_HANDLE_EVENT, 2, 1)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(event_destroy, .event = ID(EVENT, 1)), 0);
	assert_int_equal(CALL(event_destroy, .event = ID(EVENT, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(stream_wait, .stream = STREAM, .event = ID(EVENT, 1)), CUDA_ERROR_INVALID_HANDLE);
	/* Taken, out of range, of another kind, reserved: no shim does that. */
	assert_int_equal(RUN(stream_create, .stream = STREAM), -EPROTO);
	assert_int_equal(RUN(event_create, .event = ID(EVENT, 0xffffffffu)), -EPROTO);
	assert_int_equal(RUN(event_create, .event = ID(STREAM, 5)), -EPROTO);
	assert_int_equal(RUN(event_create, .event = UINT64_MAX), -EPROTO);
	assert_int_equal(RUN(stream_create, .stream = ID(STREAM, 7)), -EPROTO);
	fake_reset();	/* those four were made and cannot be bound: the session would end here */
	vgpu_handles_free(&s->handles);
}

static void test_thread_streams(void **state)
{
	uint64_t live;

	(void)state;
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, 2), .fence = 1, .value = 1), 0);
	live = fake.live;
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, 2), .fence = 1, .value = 2), 0);
	assert_int_equal(fake.live, live);
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, 3), .fence = 1, .value = 3), 0);
	assert_int_equal(fake.live, live + 1);
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 1, 3), .fence = 1, .value = 4),
			 CUDA_ERROR_INVALID_HANDLE);
}

static void test_fences(void **state)
{
	(void)state;
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, 1), .fence = 5, .value = 9), 0);
	assert_int_equal(atomic_load(&s->channel->fences[5]), 9);
	assert_int_equal(RUN(fence, .fence = 0, .value = 9), -EPROTO);
	assert_int_equal(RUN(fence, .fence = VGPU_FENCES, .value = 9), -EPROTO);
	assert_int_equal(RUN(fence, .fence = UINT32_MAX, .value = 9), -EPROTO);
	assert_int_equal(CALL(fence, .fence = VGPU_FENCES - 1, .value = 3), 0);
	/* A fence on no stream still lets the waiter go on: to the error. */
	assert_int_equal(CALL(fence, .stream = STREAM, .fence = 6, .value = 4), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(atomic_load(&s->channel->fences[6]), 4);
}

/* After a fault nothing completes falsely: no fence is written, every later error is the sticky one. */
/* Values that streams write and wait for: only at addresses of the session. */
static void test_stream_values(void **state)
{
	struct vgpu_args_cuStreamBatchMemOp_v2 a = { .count = 2 };
	CUstreamBatchMemOpParams p[2] = { 0 };
	uint64_t at;
	(void)state;

	at = alloc(64);
	assert_int_equal(CALL(cuStreamWriteValue32_v2, .addr = at + 61), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWriteValue64_v2, .addr = at + 60), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWriteValue64_v2, .addr = (uint64_t)(uintptr_t)&a), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWriteValue64_v2, .addr = (uint64_t)(uintptr_t)s->channel->fences),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWaitValue32_v2, .addr = at + 64), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWaitValue64_v2, .addr = UINT64_MAX - 3), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuStreamWriteValue64_v2, .addr = at + 56), 0);
	p[0].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	p[0].writeValue.address = at;
	p[1].operation = CU_STREAM_MEM_OP_WAIT_VALUE_64;
	p[1].waitValue.address = at + 57;
	assert_int_equal(call(VGPU_OP_cuStreamBatchMemOp_v2, &a, sizeof(a), p, sizeof(p)), CUDA_ERROR_INVALID_VALUE);
	p[1].operation = (CUstreamBatchMemOpType)77;
	assert_int_equal(call(VGPU_OP_cuStreamBatchMemOp_v2, &a, sizeof(a), p, sizeof(p)), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(run(VGPU_OP_cuStreamBatchMemOp_v2, &a, sizeof(a), p, sizeof(p[0])), -EPROTO);
}

static void test_sticky(void **state)
{
	(void)state;
	fake.result = CUDA_ERROR_ILLEGAL_ADDRESS;
	assert_int_equal(CALL(fence, .stream = vgpu_handle_make(VGPU_HANDLE_STREAM, 0, 1), .fence = 7, .value = 1),
			 CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(atomic_load(&s->channel->fences[7]), 0);
	assert_int_equal(atomic_load(&s->channel->ctl.sticky_error), CUDA_ERROR_ILLEGAL_ADDRESS);
	assert_int_equal(s->sticky, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void test_watchdog(void **state)
{
	(void)state;
	s->device->probe = NULL;
	s->drv->cuStreamCreate(&s->device->probe, 0);
	vgpu_watchdog_expect(&s->watchdog, 11, 5);
	vgpu_watchdog_expect(&s->watchdog, 12, 1);
	vgpu_watchdog_run(s, 1ull << 40);
	assert_int_equal(s->sticky, 0);
	fake.result = CUDA_ERROR_LAUNCH_FAILED;
	vgpu_watchdog_run(s, (1ull << 40) + 1000);	/* too early to ask again */
	assert_int_equal(s->sticky, 0);
	atomic_store(&s->channel->fences[12], 1);
	vgpu_watchdog_run(s, (1ull << 40) + VGPU_WATCHDOG_MS * 1000000ull);
	assert_int_equal(s->sticky, CUDA_ERROR_LAUNCH_FAILED);
	assert_int_equal(atomic_load(&s->channel->ctl.sticky_error), CUDA_ERROR_LAUNCH_FAILED);
	atomic_store(&s->channel->fences[11], 6);
	assert_false(vgpu_watchdog_outstanding(s));
	s->drv->cuStreamDestroy_v2(s->device->probe);
	s->device->probe = NULL;
}

static void load_module(uint64_t id)
{
	send_image(1, ".version 7.0\n", 13);
	assert_int_equal(CALL(module_load, .module = id, .image = 1, .kind = 1), 0);
	assert_int_equal(CALL(image_close, .image = 1), 0);
}

/* A driver reads a library's code as long as there is the library, also after the guest has closed the image. */
static void test_lent_image(void **state)
{
	const uint64_t first = ID(LIBRARY, 1), second = ID(LIBRARY, 2);
	const char *code;

	(void)state;
	send_image(1, ".version 7.0\n", 13);
	assert_int_equal(CALL(library_load, .library = first, .image = 1, .kind = 1), 0);
	code = fake.preserved;
	assert_non_null(code);
	/* It is one library's: the driver makes a copy for another one. */
	assert_int_equal(CALL(library_load, .library = second, .image = 1, .kind = 1), 0);
	assert_null(fake.preserved);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_int_equal(s->image_bytes, 0);
	assert_string_equal(code, ".version 7.0\n");
	assert_int_equal(CALL(library_unload, .library = second), 0);
	assert_string_equal(code, ".version 7.0\n");
	assert_int_equal(CALL(library_unload, .library = first), 0);
	assert_null(s->library_images);
	/* Unloaded before the image is closed. */
	send_image(1, ".version 7.0\n", 13);
	assert_int_equal(CALL(library_load, .library = first, .image = 1, .kind = 1), 0);
	assert_int_equal(CALL(library_unload, .library = first), 0);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_null(s->library_images);
}

static void test_images(void **state)
{
	uint8_t fat[32] = { 0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 16 };
	struct vgpu_args_image_data a = { .image = 2, .at = 8, .bytes = 16 };

	(void)state;
	send_image(1, fat, sizeof(fat));
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 1), .image = 1, .kind = 2), 0);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 1, .kind = 3), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(RUN(module_load, .module = ID(MODULE, 2), .image = 1, .kind = 5), -EPROTO);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 1, .kind = 1), CUDA_ERROR_INVALID_IMAGE);
	fat[8] = 17;	/* says to be one byte longer than it is */
	send_image(1, fat, sizeof(fat));
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 1, .kind = 2), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_int_equal(CALL(image_open, .image = 2, .bytes = 16), 0);
	assert_int_equal(RUN(image_open, .image = 2, .bytes = 16), -EPROTO);
	assert_int_equal(run(VGPU_OP_image_data, &a, sizeof(a), fat, 16), -EPROTO);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 2, .kind = 1), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(CALL(image_open, .image = 3, .bytes = UINT64_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	/* As text, a wrapper with the guest's pointers in it: a driver would follow them. */
	send_image(4, (uint32_t[]){ VGPU_FATBIN_WRAPPER_MAGIC, 1, 0x1000, 0, 0, 0 }, 24);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 4, .kind = 1), CUDA_ERROR_INVALID_IMAGE);
}

#define FAT(...)	{ 0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, __VA_ARGS__ }

struct joined {
	struct vgpu_image_directory head;
	struct vgpu_image_part part[2];
	uint8_t linked[16], other[24];
};

static const struct joined joined = {
	.head = { .count = 2 },
	.part = { { offsetof(struct joined, linked), 16 }, { offsetof(struct joined, other), 24 } },
	.linked = FAT(0), .other = FAT(8),
};

static void load_parts(const struct joined *image, uint32_t bytes, CUresult wanted)
{
	send_image(1, image, bytes);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 2), .image = 1, .kind = VGPU_IMAGE_PARTS), wanted);
	assert_int_equal(CALL(image_close, .image = 1), 0);
}

/* Parts to be linked reach the driver in a wrapper of the worker's; what a directory says wrong does not. */
static void test_image_parts(void **state)
{
	const struct {
		const void *linked;
		const void *const *parts;
	} *wrapper;
	struct joined bad;

	(void)state;
	send_image(1, &joined, sizeof(joined));
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 1), .image = 1, .kind = VGPU_IMAGE_PARTS), 0);
	assert_memory_equal(fake.image, ((const uint32_t[]){ VGPU_FATBIN_WRAPPER_MAGIC, 2 }), 8);
	wrapper = (const void *)((const uint8_t *)fake.image + 8);
	assert_memory_equal(wrapper->linked, joined.linked, sizeof(joined.linked));
	assert_memory_equal(wrapper->parts[0], joined.other, sizeof(joined.other));
	assert_null(wrapper->parts[1]);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 3), .image = 1, .kind = VGPU_IMAGE_PARTS), 0);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	for (uint32_t bytes = 1; bytes < sizeof(joined); bytes++)
		load_parts(&joined, bytes, CUDA_ERROR_INVALID_IMAGE);
#define BAD(member, value)	(bad = joined, bad.member = (value), load_parts(&bad, sizeof(bad), CUDA_ERROR_INVALID_IMAGE))
	BAD(head.count, 0);
	BAD(head.count, 3);
	BAD(head.count, UINT32_MAX);
	BAD(head.reserved, 1);
	BAD(part[0].at, 0);
	BAD(part[0].at, UINT64_MAX - 7);
	BAD(part[0].bytes, UINT64_MAX);
	BAD(part[0].bytes, 15);
	BAD(part[1].at, offsetof(struct joined, linked));
	BAD(part[1].at, offsetof(struct joined, other) + 4);
	BAD(part[1].bytes, 25);
	BAD(other[8], 9);
	BAD(other[0], 0x51);
#undef BAD
}

static int get_function(uint64_t module, uint64_t function, const char *name, uint32_t size)
{
	struct vgpu_args_module_get_function a = { .module = module, .function = function, .name_size = size };
	char padded[64] = { 0 };

	memcpy(padded, name, size);
	return run(VGPU_OP_module_get_function, &a, sizeof(a), padded, (size + 7) & ~7u);
}

static void test_launch(void **state)
{
	const uint64_t params[3] = { 1, 2, 3 };
	struct vgpu_args_launch a = { .function = ID(FUNCTION, 1), .grid = { 1, 1, 1 }, .block = { 1, 1, 1 },
				      .param_bytes = 16 };
	const struct vgpu_ret_module_get_function *o = reply();

	(void)state;
	load_module(ID(MODULE, 1));
	assert_int_equal(get_function(ID(MODULE, 1), ID(FUNCTION, 1), "kernel", 6), -EPROTO);	/* no NUL */
	assert_int_equal(get_function(ID(MODULE, 1), ID(FUNCTION, 1), "ker\0el", 7), -EPROTO);	/* two */
	assert_int_equal(get_function(ID(MODULE, 1), ID(FUNCTION, 1), "kernel", 7), 0);
	assert_int_equal(s->channel->replies[0].result, 0);
	assert_int_equal(o->info.param_count, 2);
	assert_int_equal(o->info.param_bytes, 16);
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), params, 16), 0);
	assert_int_equal(fake.param_bytes, 16);
	assert_memory_equal(fake.params, params, 16);
	a.param_bytes = 8;
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), params, 16), CUDA_ERROR_INVALID_VALUE);
	a.param_bytes = 24;
	assert_int_equal(run(VGPU_OP_launch, &a, sizeof(a), params, 16), -EPROTO);
	a.param_bytes = 16;
	a.attr_count = 1;
	assert_int_equal(run(VGPU_OP_launch, &a, sizeof(a), params, 24), -EPROTO);
	a.attr_count = 0;
	a.flags = 1;	/* cooperative: with a pointer to each parameter */
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), params, 16), 0);
	assert_memory_equal(fake.params, params, 16);
	a.flags = 2;
	assert_int_equal(run(VGPU_OP_launch, &a, sizeof(a), params, 16), -EPROTO);
	a.flags = 0;
	a.function = ID(MODULE, 1);
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), params, 16), CUDA_ERROR_INVALID_HANDLE);
	a.function = ID(FUNCTION, 1);
	assert_int_equal(CALL(module_unload, .module = ID(MODULE, 1)), 0);
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), params, 16), CUDA_ERROR_INVALID_HANDLE);
}

static void test_launch_attributes(void **state)
{
	struct {
		uint64_t params[2];
		CUlaunchAttribute attrs[2];
	} p = { .attrs = { { .id = CU_LAUNCH_ATTRIBUTE_PRIORITY }, { .id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT } } };
	struct vgpu_args_launch a = { .function = ID(FUNCTION, 1), .grid = { 1, 1, 1 }, .block = { 1, 1, 1 },
				      .param_bytes = 16, .attr_count = 2 };
	uint64_t event = ID(EVENT, 1);

	(void)state;
	load_module(ID(MODULE, 1));
	assert_int_equal(get_function(ID(MODULE, 1), ID(FUNCTION, 1), "kernel", 7), 0);
	memcpy(&p.attrs[1].value, &event, sizeof(event));
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), &p, sizeof(p)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(event_create, .event = event), 0);
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), &p, sizeof(p)), 0);
	p.attrs[0].id = CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE;
	p.attrs[0].value.deviceUpdatableKernelNode.devNode = (CUgraphDeviceNode)0x1234;	/* must not get through */
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), &p, sizeof(p)), 0);
	p.attrs[0].id = (CUlaunchAttributeID)99;
	assert_int_equal(call(VGPU_OP_launch, &a, sizeof(a), &p, sizeof(p)), CUDA_ERROR_NOT_SUPPORTED);
	a.attr_count = 33;
	assert_int_equal(run(VGPU_OP_launch, &a, sizeof(a), &p, sizeof(p)), -EPROTO);
}

static void test_context_dies(void **state)
{
	uint64_t c = ID(CONTEXT, 9);
	struct vgpu_cmd in_it = { .size = 64, .op = VGPU_OP_event_create, .slot = 1, .seq = 1000, .context = 9,
				  .args_size = sizeof(struct vgpu_args_event_create) };
	struct vgpu_args_event_create e = { .event = ID(EVENT, 1) };

	(void)state;
	assert_int_equal(fake_execute(s, &in_it, &e, NULL), 0);
	assert_int_equal(s->channel->replies[0].result, CUDA_ERROR_INVALID_CONTEXT);
	assert_int_equal(CALL(ctx_create, .context = c, .device = 0), 0);
	assert_int_equal(fake_execute(s, &in_it, &e, NULL), 0);
	assert_int_equal(s->channel->replies[0].result, 0);
	alloc(4096);
	assert_int_equal(s->memory_used, 4096);
	assert_int_equal(CALL(ctx_destroy, .context = c), 0);
	assert_int_equal(s->memory_used, 0);
	assert_ptr_equal(fake.current, s->device->primary);
	assert_int_equal(CALL(event_destroy, .event = ID(EVENT, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(ctx_destroy, .context = c), CUDA_ERROR_INVALID_CONTEXT);
	fake_reset();	/* the event died with its context */
}

static void test_arena_register(void **state)
{
	uint64_t arena = s->geo.arena_at;

	(void)state;
	assert_int_equal(CALL(arena_register, .offset = arena, .bytes = 1 << 20), 0);
	assert_int_equal(CALL(arena_register, .offset = arena + 4096, .bytes = 4096),
			 CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
	assert_int_equal(atomic_load(&s->stats->arena_registered), 1 << 20);
	assert_int_equal(RUN(arena_register, .offset = arena + 1, .bytes = 4096), -EPROTO);
	assert_int_equal(RUN(arena_register, .offset = 0, .bytes = 4096), -EPROTO);
	assert_int_equal(RUN(arena_register, .offset = s->geo.total_size, .bytes = 4096), -EPROTO);
	assert_int_equal(RUN(arena_register, .offset = arena, .bytes = 0), -EPROTO);
	assert_int_equal(CALL(arena_unregister, .offset = arena, .bytes = 4096), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
	assert_int_equal(CALL(arena_unregister, .offset = arena, .bytes = 1 << 20), 0);
	assert_int_equal(atomic_load(&s->stats->arena_registered), 0);
}

static void test_arena_ahead(void **state)
{
	uint64_t arena = s->geo.arena_at, size = 1 << 20;

	(void)state;
	s->ahead_most = 4 * size;
	assert_false(vgpu_arena_step_ahead(s));
	assert_int_equal(RUN(arena_ahead, .offset = arena, .bytes = size), 0);
	assert_int_equal(atomic_load(&s->stats->arena_registered), 0);
	while (vgpu_arena_step_ahead(s))
		;
	assert_int_equal(atomic_load(&s->stats->arena_registered), size);
	assert_int_equal(CALL(arena_register, .offset = arena, .bytes = size), 0);
	assert_int_equal(atomic_load(&s->stats->arena_ahead), 1);
	/* Needed before there was time; given up before there was need; more than is allowed. */
	assert_int_equal(RUN(arena_ahead, .offset = arena + size, .bytes = size), 0);
	assert_int_equal(CALL(arena_register, .offset = arena + size, .bytes = size), 0);
	assert_false(vgpu_arena_step_ahead(s));
	assert_int_equal(RUN(arena_ahead, .offset = arena + 2 * size, .bytes = size), 0);
	assert_int_equal(CALL(arena_unregister, .offset = arena + 2 * size, .bytes = size), 0);
	assert_false(vgpu_arena_step_ahead(s));
	assert_int_equal(RUN(arena_ahead, .offset = arena + 2 * size, .bytes = 5 * size), 0);
	assert_false(vgpu_arena_step_ahead(s));
	assert_int_equal(CALL(arena_unregister, .offset = arena + 2 * size, .bytes = 5 * size), 0);
	assert_int_equal(atomic_load(&s->stats->arena_ahead), 1);
	assert_int_equal(RUN(arena_ahead, .offset = arena + 1, .bytes = size), -EPROTO);
	assert_int_equal(CALL(arena_unregister, .offset = arena, .bytes = size), 0);
	assert_int_equal(CALL(arena_unregister, .offset = arena + size, .bytes = size), 0);
	assert_int_equal(atomic_load(&s->stats->arena_registered), 0);
}

static void test_ranges(void **state)
{
	struct vgpu_ranges r = { 0 };

	(void)state;
	assert_int_equal(vgpu_ranges_add(&r, 100, 50, VGPU_RANGE_ALLOC, 0, 0), 0);
	assert_int_equal(vgpu_ranges_add(&r, 149, 1, VGPU_RANGE_ALLOC, 0, 0), -EINVAL);
	assert_int_equal(vgpu_ranges_add(&r, 90, 11, VGPU_RANGE_ALLOC, 0, 0), -EINVAL);
	assert_int_equal(vgpu_ranges_add(&r, 0, 1000, VGPU_RANGE_ALLOC, 0, 0), -EINVAL);
	assert_int_equal(vgpu_ranges_add(&r, UINT64_MAX - 1, 2, VGPU_RANGE_ALLOC, 0, 0), -EINVAL);
	assert_int_equal(vgpu_ranges_add(&r, 150, 50, VGPU_RANGE_ALLOC, 7, 0), 0);
	assert_true(vgpu_ranges_cover(&r, 100, 50));
	assert_false(vgpu_ranges_cover(&r, 100, 51));	/* neighbours are not one allocation */
	assert_int_equal(vgpu_ranges_add(&r, 1000, 50, VGPU_RANGE_MAPPED, 1, 0), 0);
	assert_int_equal(vgpu_ranges_add(&r, 1050, 50, VGPU_RANGE_MAPPED, 2, 0), 0);
	assert_true(vgpu_ranges_cover(&r, 1010, 90));
	assert_false(vgpu_ranges_cover(&r, 1010, 91));
	assert_false(vgpu_ranges_cover(&r, 1010, 0));
	vgpu_ranges_disown(&r, 7);
	assert_null(vgpu_ranges_find(&r, 160));
	assert_int_equal(vgpu_ranges_remove(&r, 101), 0);
	assert_int_equal(vgpu_ranges_remove(&r, 100), 50);
	vgpu_ranges_free(&r);
	assert_int_equal(r.count, 0);
}

/* Against a plain array, with random adds and removes. */
static void test_ranges_random(void **state)
{
	static bool used[512];
	struct vgpu_ranges r = { 0 };

	(void)state;
	srand(3);
	for (int i = 0; i < 200000; i++) {
		unsigned int slot = (unsigned int)rand() % 512;
		uint64_t at = slot * 64ull;

		if (used[slot])
			assert_int_equal(vgpu_ranges_remove(&r, at), 48);
		else
			assert_int_equal(vgpu_ranges_add(&r, at, 48, VGPU_RANGE_ALLOC, 0, 0), 0);
		used[slot] = !used[slot];
		slot = (unsigned int)rand() % 512;
		assert_int_equal(vgpu_ranges_cover(&r, slot * 64ull + 40, 8), used[slot]);
		assert_false(vgpu_ranges_cover(&r, slot * 64ull + 40, 9));
	}
	vgpu_ranges_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_operation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pitched_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fill_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sticky, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lent_image, setup, teardown),
		cmocka_unit_test_setup_teardown(test_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_image_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_launch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_launch_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_context_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arena_register, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arena_ahead, setup, teardown),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_ranges_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
