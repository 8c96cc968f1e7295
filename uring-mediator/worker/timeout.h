/* SPDX-License-Identifier: MIT */
/*
 * The limit on how long one kernel may run (--kernel-timeout).  Behind every launch the stream writes a growing number
 * into a word of this process that no guest sees; a thread of its own looks at these words, so it notices also while
 * the worker's other thread is stuck in the driver behind the very kernel.  A stream with a launch outstanding whose
 * word has not changed for that long ends the session: the supervisor is told, kills this process and with it the
 * kernel, and declares the channel dead with VGPU_HOST_TIMEOUT, which the guest returns as CUDA_ERROR_LAUNCH_TIMEOUT.
 *
 * What counts is a stream standing still with a launch in it, so a launch that waits for something else (an event, a
 * value that the host writes, a host function) counts too.  Launches into a stream that is being captured do not run
 * and are not watched; a launch of the graph is.
 */
#ifndef VGPU_WORKER_TIMEOUT_H
#define VGPU_WORKER_TIMEOUT_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_session;

/*
 * Watch this session, which is attached and whose context is current. `control`: the socket to the supervisor. 0 or
 * -errno; then nothing is watched.
 */
int vgpu_timeout_start(struct vgpu_session *s, int control, uint64_t limit_ns);

/* End the thread. Does nothing when nothing is watched. */
void vgpu_timeout_stop(struct vgpu_session *s);

/* All below: the worker's main thread; nothing happens when nothing is watched. */

/* A kernel or a graph was enqueued in the stream, in the current context. */
void vgpu_timeout_launched(struct vgpu_session *s, CUstream stream);

/* The stream of the current context is destroyed; what is in it goes on. */
void vgpu_timeout_drop_stream(struct vgpu_session *s, CUstream stream);

/* The context is gone with all that was in its streams. */
void vgpu_timeout_drop_context(struct vgpu_session *s, uint32_t context);

/* The primary context was reset: make the words known to the driver again. */
CUresult vgpu_timeout_restore(struct vgpu_session *s);

#endif
