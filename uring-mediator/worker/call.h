/* SPDX-License-Identifier: MIT */
/* Register mode at its far end: one CALL, one RESULT. */
#ifndef VGPU_WORKER_CALL_H
#define VGPU_WORKER_CALL_H

#include "io.h"
#include "session.h"

/*
 * Execute the CALL in io->packet and answer it.  0, or -EPROTO with s->broken set: the guest broke the protocol; or
 * another -errno of the io_uring, with s->broken set, too.
 */
int vgpu_call_serve(struct vgpu_session *s, struct vgpu_io *io);

#endif
