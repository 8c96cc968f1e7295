/* SPDX-License-Identifier: MIT */
/* Register mode at its far end: one CALL, one RESULT. */
#ifndef VGPU_WORKER_CALL_H
#define VGPU_WORKER_CALL_H

#include "io.h"
#include "session.h"

/*
 * Check and execute a CALL of `size` bytes, which nobody changes any more.  0 with the answer in *out and s->reply, or
 * -EPROTO with s->broken set: the guest broke the protocol.
 */
int vgpu_call_execute(struct vgpu_session *s, const struct vgpu_msg_call *m, size_t size, struct vgpu_outcome *out);

/*
 * Execute the CALL in io->packet and answer it.  0, or -EPROTO with s->broken set: the guest broke the protocol; or
 * another -errno of the io_uring, with s->broken set, too.
 */
int vgpu_call_serve(struct vgpu_session *s, struct vgpu_io *io);

#endif
