/* SPDX-License-Identifier: MIT */
/*
 * The producer's end of the ring beyond what call.h offers, and the errors
 * that arrive without a call waiting for them.
 */
#ifndef VGPU_SHIM_CHANNEL_H
#define VGPU_SHIM_CHANNEL_H

#include <vgpu/cuda_types.h>
#include <vgpu/shm.h>

#include "context.h"
#include "session.h"
#include "thread.h"

/* After vgpu_session_open(): take the ring. 0 or -errno (the flusher's thread could not be started). */
int vgpu_channel_init(uint32_t batch, uint32_t batch_usec);
/* What the lock that is held between vgpu_call_begin() and vgpu_call_submit() guards beyond the ring: see stream.h. */
void vgpu_channel_lock(void);
void vgpu_channel_unlock(void);
/* Commands held back for a batch go out now; each waiter calls this first. */
void vgpu_channel_flush(void);
/* The process ends: have the worker take all that was queued, and tell it. Bounded; called once, last. */
void vgpu_channel_bye(void);
/*
 * The error that a synchronising call has to report: the sticky one, or the
 * newest asynchronous one that has not been reported yet, or 0.
 */
CUresult vgpu_error_take(void);
/* The same at the end of a wait that had this result: an error comes first, with what kernels said before. */
CUresult vgpu_error_after(CUresult waited);
/* The sticky error, 0 if there is none. A load. */
static inline CUresult vgpu_error_sticky(void)
{
	return (CUresult)atomic_load_explicit(&vgpu_session.channel->ctl.sticky_error, memory_order_acquire);
}

/* What vgpu_ready() asks, where nothing is wrong: false means to ask it. */
static inline bool vgpu_ready_clear(void)
{
	return atomic_load_explicit(&vgpu_session.state, memory_order_acquire) == VGPU_SESSION_OPEN && !vgpu_thread.busy;
}

/* The same for vgpu_call_ready(VGPU_CALL_CONTEXT). */
static inline bool vgpu_call_clear(void)
{
	return vgpu_ready_clear() && vgpu_thread.current && vgpu_thread.current->alive && !vgpu_error_sticky();
}

static inline struct vgpu_guest_counters *vgpu_counters(void)
{
	return &vgpu_session.channel->ctl.counters;
}

#endif
