/* SPDX-License-Identifier: MIT */
/* The worker's main loop over one session. */
#ifndef VGPU_WORKER_LOOP_H
#define VGPU_WORKER_LOOP_H

#include "io.h"
#include "session.h"

/*
 * Serve the ring until the session ends.  Returns why: VGPU_HOST_CLOSED (told to, or the guest said goodbye),
 * VGPU_HOST_PROTOCOL, VGPU_HOST_WORKER_DIED (our own failure); `why` is one line for people.
 */
enum vgpu_host_error vgpu_loop_run(struct vgpu_session *s, struct vgpu_io *io, char *why, size_t size);

#endif
