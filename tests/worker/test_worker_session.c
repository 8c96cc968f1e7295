/* SPDX-License-Identifier: MIT */
/* A real worker process on the soft device: handshake, memory, copies, fences, errors, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>

#include "guest.h"

#define LEGACY	vgpu_handle_make(VGPU_HANDLE_STREAM, 0, VGPU_STREAM_INDEX_LEGACY)

static const uint64_t ctx_id = (uint64_t)VGPU_HANDLE_CONTEXT << 56 | 1ull << 32 | 5;

static void open_session(struct guest *g, uint64_t limit)
{
	struct vgpu_args_primary_ctx_retain a = { .device = 0, .context = ctx_id };
	struct vgpu_ctl_note note;

	guest_spawn(g);
	guest_attach(g, limit);
	assert_true(guest_note(g, &note));
	assert_int_equal(note.h.type, VGPU_CTL_ATTACHED);
	assert_int_equal(guest_call(g, VGPU_OP_primary_ctx_retain, &a, sizeof(a), NULL, 0, NULL), 0);
	g->context = (uint32_t)ctx_id;
}

static uint64_t alloc(struct guest *g, uint64_t bytes, int want)
{
	struct vgpu_args_cuMemAlloc_v2 a = { .bytesize = bytes };
	const struct vgpu_ret_cuMemAlloc_v2 *o;
	const void *ret;

	assert_int_equal(guest_call(g, VGPU_OP_cuMemAlloc_v2, &a, sizeof(a), NULL, 0, &ret), want);
	o = ret;
	return want ? 0 : o->dptr;
}

static void test_ready(void **state)
{
	struct guest g;

	(void)state;
	guest_spawn(&g);
	assert_true(g.ready.device_count >= 1);
	assert_true(g.ready.range_count >= 1);
	assert_true(g.ready.device_name[0]);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_ping_and_snapshot(void **state)
{
	struct vgpu_args_ping p = { .cookie = 0x1122334455667788ull };
	struct vgpu_args_device_snapshot d = { .device = 0 };
	const struct vgpu_ret_device_snapshot *snap;
	const void *ret;
	struct guest g;

	(void)state;
	open_session(&g, 0);
	for (int i = 0; i < 100; i++) {
		p.cookie += 1;
		assert_int_equal(guest_call(&g, VGPU_OP_ping, &p, sizeof(p), NULL, 0, &ret), 0);
		assert_memory_equal(ret, &p.cookie, sizeof(p.cookie));
	}
	assert_int_equal(guest_call(&g, VGPU_OP_device_snapshot, &d, sizeof(d), NULL, 0, &ret), 0);
	snap = ret;
	assert_true(snap->total_mem > 0);
	assert_true(snap->attributes[CU_DEVICE_ATTRIBUTE_WARP_SIZE] == 32);
	assert_int_equal(snap->device_count, (int)g.ready.device_count);
	d.device = 99;
	assert_int_equal(guest_call(&g, VGPU_OP_device_snapshot, &d, sizeof(d), NULL, 0, NULL), CUDA_ERROR_INVALID_DEVICE);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_copies_and_fences(void **state)
{
	struct vgpu_args_arena_register reg;
	struct vgpu_args_memcpy_h2d_arena up;
	struct vgpu_args_memcpy_d2h_arena down;
	struct vgpu_args_fence fence = { .stream = LEGACY, .fence = 9, .value = 77 };
	const uint64_t bytes = 3 << 20;
	uint8_t *arena;
	uint64_t dptr;
	struct guest g;

	(void)state;
	open_session(&g, 0);
	arena = g.base + g.geo.arena_at;
	reg = (struct vgpu_args_arena_register){ .offset = g.geo.arena_at, .bytes = 8 << 20 };
	assert_int_equal(guest_call(&g, VGPU_OP_arena_register, &reg, sizeof(reg), NULL, 0, NULL), 0);
	dptr = alloc(&g, bytes, 0);
	for (uint64_t i = 0; i < bytes; i++)
		arena[i] = (uint8_t)(i * 31 >> 3);
	up = (struct vgpu_args_memcpy_h2d_arena){ .dst = dptr, .src_offset = g.geo.arena_at, .bytes = bytes,
						  .stream = LEGACY, .fence = 3, .fence_value = 41 };
	guest_send(&g, VGPU_OP_memcpy_h2d_arena, &up, sizeof(up), NULL, 0);
	assert_true(guest_fence(&g, 3, 41, 5000));
	down = (struct vgpu_args_memcpy_d2h_arena){ .src = dptr, .dst_offset = g.geo.arena_at + (4 << 20),
						    .bytes = bytes, .stream = LEGACY, .fence = 3, .fence_value = 42 };
	guest_send(&g, VGPU_OP_memcpy_d2h_arena, &down, sizeof(down), NULL, 0);
	assert_true(guest_fence(&g, 3, 42, 5000));
	assert_memory_equal(arena, arena + (4 << 20), bytes);
	guest_send(&g, VGPU_OP_fence, &fence, sizeof(fence), NULL, 0);
	assert_true(guest_fence(&g, 9, 77, 5000));
	assert_int_equal(atomic_load(&g.stats->memory_used), bytes);
	assert_int_equal(atomic_load(&g.stats->fences), 3);
	assert_int_equal(atomic_load(&g.channel->ctl.deferred_seq), 0);
	assert_int_equal(guest_finish(&g), 0);
}

static bool offered(const struct guest *g, uint64_t at, uint64_t bytes)
{
	for (uint32_t i = 0; i < g->ready.range_count; i++)
		if (at >= g->ready.ranges[i].start &&
		    at + bytes <= g->ready.ranges[i].start + g->ready.ranges[i].size)
			return true;
	return false;
}

/* Device memory is only where the worker said that it would be, small or large, early or late. */
static void test_addresses(void **state)
{
	struct guest g;

	(void)state;
	open_session(&g, 0);
	for (uint64_t bytes = 4096; bytes <= 1u << 30; bytes *= 4)
		for (int i = 0; i < 3; i++)
			assert_true(offered(&g, alloc(&g, bytes, 0), bytes));
	assert_int_equal(guest_finish(&g), 0);
}

/* A reset takes everything with it but what is the worker's own: fences and copies work in the new context. */
static void test_primary_reset(void **state)
{
	struct vgpu_args_primary_ctx_reset a = { .device = 0, .context = ctx_id };
	struct vgpu_args_primary_ctx_release rel = { .device = 0, .context = ctx_id };
	struct vgpu_args_primary_ctx_retain ret = { .device = 0, .context = ctx_id };
	struct vgpu_args_fence fence = { .stream = LEGACY, .fence = 4, .value = 1 };
	struct guest g;

	(void)state;
	open_session(&g, 0);
	for (int i = 0; i < 3; i++) {
		alloc(&g, 1 << 20, 0);
		assert_int_equal(atomic_load(&g.stats->memory_used), 1 << 20);
		if (i % 2) {
			assert_int_equal(guest_call(&g, VGPU_OP_primary_ctx_release, &rel, sizeof(rel), NULL, 0, NULL), 0);
			assert_int_equal(atomic_load(&g.stats->memory_used), 0);
			g.context = 0;
			assert_int_equal(guest_call(&g, VGPU_OP_primary_ctx_retain, &ret, sizeof(ret), NULL, 0, NULL), 0);
			g.context = (uint32_t)ctx_id;
		} else {
			assert_int_equal(guest_call(&g, VGPU_OP_primary_ctx_reset, &a, sizeof(a), NULL, 0, NULL), 0);
			assert_int_equal(atomic_load(&g.stats->memory_used), 0);
		}
		fence.value++;
		guest_send(&g, VGPU_OP_fence, &fence, sizeof(fence), NULL, 0);
		assert_true(guest_fence(&g, 4, fence.value, 5000));
	}
	assert_int_equal(atomic_load(&g.channel->ctl.deferred_seq), 0);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_deferred_error(void **state)
{
	/* Host memory of the worker, the control area, the end of an allocation: none may be copied from. */
	struct vgpu_args_memcpy_d2d d2d = { .bytes = 64, .stream = LEGACY };
	struct guest g;
	uint64_t dptr;

	(void)state;
	open_session(&g, 0);
	dptr = alloc(&g, 4096, 0);
	const uint64_t bad[] = { 0x400000, (uint64_t)(uintptr_t)g.channel, dptr + 4096 - 32, UINT64_MAX - 8, 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d2d.dst = dptr;
		d2d.src = bad[i];
		guest_send(&g, VGPU_OP_memcpy_d2d, &d2d, sizeof(d2d), NULL, 0);
		d2d.src = dptr;
		d2d.dst = bad[i];
		assert_int_equal(guest_call(&g, VGPU_OP_memcpy_d2d, &d2d, sizeof(d2d), NULL, 0, NULL),
				 CUDA_ERROR_INVALID_VALUE);
		assert_int_equal(atomic_load(&g.channel->ctl.deferred_seq), g.seq - 1);
		assert_int_equal(atomic_load(&g.channel->ctl.deferred_error), CUDA_ERROR_INVALID_VALUE);
	}
	assert_int_equal(atomic_load(&g.channel->ctl.sticky_error), 0);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_limit(void **state)
{
	struct vgpu_args_cuMemFree_v2 f;
	struct guest g;
	uint64_t a;

	(void)state;
	open_session(&g, 1 << 20);
	a = alloc(&g, 1 << 19, 0);
	alloc(&g, (1 << 19) + 1, CUDA_ERROR_OUT_OF_MEMORY);
	alloc(&g, UINT64_MAX, CUDA_ERROR_OUT_OF_MEMORY);
	alloc(&g, 1 << 19, 0);
	f.dptr = a + 8;
	assert_int_equal(guest_call(&g, VGPU_OP_cuMemFree_v2, &f, sizeof(f), NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	f.dptr = a;
	assert_int_equal(guest_call(&g, VGPU_OP_cuMemFree_v2, &f, sizeof(f), NULL, 0, NULL), 0);
	assert_int_equal(guest_call(&g, VGPU_OP_cuMemFree_v2, &f, sizeof(f), NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(atomic_load(&g.stats->memory_used), 1 << 19);
	assert_int_equal(atomic_load(&g.stats->memory_peak), 1 << 20);
	assert_int_equal(guest_finish(&g), 0);
}

/* What the driver refuses was never in use, though it was booked while the driver was asked. */
static void test_peak(void **state)
{
	struct guest g;

	(void)state;
	open_session(&g, 0);
	alloc(&g, 1 << 19, 0);
	alloc(&g, 1ull << 50, CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(atomic_load(&g.stats->memory_used), 1 << 19);
	assert_int_equal(atomic_load(&g.stats->memory_peak), 1 << 19);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_sleep_and_doorbell(void **state)
{
	struct vgpu_args_ping p = { .cookie = 1 };
	struct guest g;

	(void)state;
	open_session(&g, 0);
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 20000 && atomic_load(&g.stats->state) != VGPU_CONSUMER_ASLEEP; k++)
			guest_nap();
		assert_int_equal(atomic_load(&g.stats->state), VGPU_CONSUMER_ASLEEP);
		assert_int_equal(guest_call(&g, VGPU_OP_ping, &p, sizeof(p), NULL, 0, NULL), 0);
	}
	assert_true(g.doorbells >= 5);
	assert_int_equal(guest_finish(&g), 0);
}

static void test_protocol_violation(void **state)
{
	struct vgpu_ctl_note note;
	struct guest g;
	int status;

	(void)state;
	open_session(&g, 0);
	guest_send(&g, 0x7fff, NULL, 0, NULL, 0);
	assert_true(guest_note(&g, &note));
	assert_int_equal(note.h.type, VGPU_CTL_ENDED);
	assert_int_equal(note.error, VGPU_HOST_PROTOCOL);
	assert_non_null(strstr(note.text, "0x7fff"));
	waitpid(g.worker, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(atomic_load(&g.channel->ctl.host_state), VGPU_HOST_DEAD);
	assert_int_equal(atomic_load(&g.channel->ctl.host_error), VGPU_HOST_PROTOCOL);
	guest_finish(&g);
}

static void test_bye(void **state)
{
	struct vgpu_ctl_note note;
	struct guest g;

	(void)state;
	open_session(&g, 0);
	assert_int_equal(guest_call(&g, VGPU_OP_session_bye, NULL, 0, NULL, 0, NULL), 0);
	assert_true(guest_note(&g, &note));
	assert_int_equal(note.h.type, VGPU_CTL_ENDED);
	assert_int_equal(note.error, VGPU_HOST_CLOSED);
	guest_finish(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready),		  cmocka_unit_test(test_ping_and_snapshot),
		cmocka_unit_test(test_copies_and_fences), cmocka_unit_test(test_deferred_error),
		cmocka_unit_test(test_addresses),	  cmocka_unit_test(test_primary_reset),
		cmocka_unit_test(test_limit),		  cmocka_unit_test(test_peak),
		cmocka_unit_test(test_sleep_and_doorbell),
		cmocka_unit_test(test_protocol_violation), cmocka_unit_test(test_bye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
