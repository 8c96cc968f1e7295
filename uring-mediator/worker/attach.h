/* SPDX-License-Identifier: MIT */
/* The handshake of a worker with its guest process: addresses, then the ring. */
#ifndef VGPU_WORKER_ATTACH_H
#define VGPU_WORKER_ATTACH_H

#include "io.h"
#include "session.h"

/*
 * Offer our addresses in the channel that `a` names, take the guest's answer, map the memfd where the guest has it,
 * register the fences and announce READY.  0; -EADDRINUSE: the guest cannot live with these addresses (the session
 * is as new, another worker may serve it); -ECANCELED: told to stop meanwhile; another -errno: this channel cannot be
 * served, `why` says it in one line and *error is its wire code.  Does not keep memfd.
 */
int vgpu_attach(struct vgpu_session *s, struct vgpu_io *io, const struct vgpu_ctl_attach *a, int memfd,
		enum vgpu_host_error *error, char *why, size_t size);

/* Tell the guest that its session is over. No-op when not attached. */
void vgpu_attach_end(struct vgpu_session *s, enum vgpu_host_error error, const char *text);

#endif
