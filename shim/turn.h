/* SPDX-License-Identifier: MIT */
/*
 * The lock that each command takes, and holds for some dozens of instructions. Giving it back is a store: a mutex's
 * unlock is a locked instruction, which waits until the lines just written into the ring have come from the core that had
 * them last. So nobody can be woken, and who waits looks again: spinning, then yielding, then napping, since a full ring
 * and a call of register mode keep it for long. Not fair, as a mutex is not.
 */
#ifndef VGPU_SHIM_TURN_H
#define VGPU_SHIM_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "thread.h"

struct vgpu_turn {
	_Atomic uint32_t taken;
};

/* turn.c: until it is ours. */
void vgpu_turn_await(struct vgpu_turn *t);

static inline bool vgpu_turn_try(struct vgpu_turn *t)
{
	return !atomic_exchange_explicit(&t->taken, 1, memory_order_acquire);
}

/* Behind vgpu_turn_try(). */
static inline void vgpu_turn_end(struct vgpu_turn *t)
{
	atomic_store_explicit(&t->taken, 0, memory_order_release);
}

/* As vgpu_lock(): a signal handler of this thread is refused until vgpu_turn_give(). */
static inline void vgpu_turn_take(struct vgpu_turn *t)
{
	vgpu_thread.busy++;
	atomic_signal_fence(memory_order_seq_cst);
	if (!vgpu_turn_try(t))
		vgpu_turn_await(t);
}

static inline void vgpu_turn_give(struct vgpu_turn *t)
{
	vgpu_turn_end(t);
	atomic_signal_fence(memory_order_seq_cst);
	vgpu_thread.busy--;
}

#endif
