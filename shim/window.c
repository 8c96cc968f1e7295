/* SPDX-License-Identifier: MIT */
/*
 * The guest's end of the registers of version 1 (include/vgpu/v1.h).
 *
 * There is one window for the whole VM, so its processes take turns: a call is made under an open-file-description
 * lock on byte VGPU_WINDOW_LOCK of resource2, which the kernel drops when a process dies. The device lets a new doorbell
 * replace a call that nobody waits for any more. Who was stopped between two calls, lock in hand, is
 * passed over after PATIENCE_NS without a call. Owns nothing but the turn.
 */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include <vgpu/device.h>
#include <vgpu/ring.h>
#include <vgpu/v1.h>

#include "wait.h"

#define PATIENCE_NS	10000000000ull

static uint32_t reg_read(struct vgpu_transport *t, uint32_t at)
{
	return __atomic_load_n(&t->registers[(VGPU_REG_WINDOW + at) / 4], __ATOMIC_RELAXED);
}

/* What was written before, to memory too, is there before it. */
static void reg_write(struct vgpu_transport *t, uint32_t at, uint32_t value)
{
	__atomic_store_n(&t->registers[(VGPU_REG_WINDOW + at) / 4], value, __ATOMIC_RELEASE);
}

/* STATUS, without an access that traps. */
static uint32_t status_of(struct vgpu_transport *t)
{
	const _Atomic uint32_t *mirror = (const _Atomic uint32_t *)(uintptr_t)(t->window + VGPU_V1_MIRROR);

	return atomic_load_explicit(mirror, memory_order_acquire);
}

static bool lock(struct vgpu_transport *t, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = VGPU_WINDOW_LOCK, .l_len = 1 };

	return !fcntl(t->memory_fd, F_OFD_SETLK, &l);
}

/* 0, or -errno: nobody can have a turn any more, or not in time. */
static int take_turn(struct vgpu_transport *t, uint64_t until)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint64_t now, idle_since = 0;

	while (!lock(t, F_WRLCK)) {
		if (!vgpu_wait_step(&w))
			continue;
		now = vgpu_clock_ns();
		if (until && now > until)
			return -ETIMEDOUT;
		if (!t->ops->alive(t))
			return -ECONNRESET;
		if (status_of(t) == VGPU_V1_BUSY)
			idle_since = 0;
		else if (!idle_since)
			idle_since = now;
		else if (now - idle_since > PATIENCE_NS)
			return 0;
	}
	return 0;
}

/* The others get their chance before this process may want the next turn. */
static void give_turn(struct vgpu_transport *t)
{
	lock(t, F_UNLCK);
	sched_yield();
}

static void put_data(struct vgpu_transport *t, const void *data, uint32_t size)
{
	const uint8_t *from = data;
	uint32_t word, i;

	if (size > VGPU_V1_INLINE) {
		memcpy((void *)(uintptr_t)t->window, data, size);
		return;
	}
	for (i = 0; i < size; i += 4) {
		word = 0;
		memcpy(&word, from + i, size - i < 4 ? size - i : 4);
		reg_write(t, VGPU_V1_DATA + i, word);
	}
}

static void get_data(struct vgpu_transport *t, uint8_t *to, uint32_t size)
{
	uint32_t word, i;

	if (size > VGPU_V1_INLINE) {
		memcpy(to, (const void *)(uintptr_t)(t->window + VGPU_V1_H2G), size);
		return;
	}
	for (i = 0; i < size; i += 4) {
		word = reg_read(t, VGPU_V1_DATA_BACK + i);
		memcpy(to + i, &word, size - i < 4 ? size - i : 4);
	}
}

static void submit(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size)
{
	put_data(t, cmd, size);
	reg_write(t, VGPU_V1_OP, VGPU_V1_COMMAND);
	reg_write(t, VGPU_V1_SEQ, (uint32_t)cmd->seq);
	reg_write(t, VGPU_V1_NUM_ARGS, 2);
	reg_write(t, VGPU_V1_DATA_LEN, size);
	reg_write(t, VGPU_V1_ARG, t->channel);
	reg_write(t, VGPU_V1_ARG + 4, t->generation);
	reg_write(t, VGPU_V1_DOORBELL, 1);
}

static int await_status(struct vgpu_transport *t, uint64_t until)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;

	while (status_of(t) == VGPU_V1_BUSY) {
		if (!vgpu_wait_step(&w))
			continue;
		if (until && vgpu_clock_ns() > until)
			return -ETIMEDOUT;
		if (!t->ops->alive(t))
			return -ECONNRESET;
	}
	return 0;
}

static int take_result(struct vgpu_transport *t, struct vgpu_transport_result *result)
{
	if (status_of(t) == VGPU_V1_ERROR && reg_read(t, VGPU_V1_ERROR_CODE) != VGPU_V1_ERROR_CUDA)
		return -ECONNRESET;
	result->status = (int32_t)reg_read(t, VGPU_V1_RESULT_STATUS);
	result->size = reg_read(t, VGPU_V1_RESULT_LEN);
	if (result->size > sizeof(result->data))
		return -EPROTO;
	get_data(t, result->data, result->size);
	return 0;
}

int vgpu_window_call(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size, uint64_t until,
		     struct vgpu_transport_result *result)
{
	int r = take_turn(t, until);

	if (r)
		return r;
	submit(t, cmd, size);
	r = await_status(t, until);
	if (!r)
		r = take_result(t, result);
	give_turn(t);
	return r;
}
