/* SPDX-License-Identifier: MIT */
/*
 * What the worker waits for besides its ring: the control socket, and while a session runs the wake descriptor.  One
 * io_uring with one receive armed on each; a completion is folded into the words below, which the loop looks at.
 * A CALL stays in its buffer until it is answered, and nothing is received from that socket meanwhile.
 * The worker's only thread.
 */
#ifndef VGPU_WORKER_IO_H
#define VGPU_WORKER_IO_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "control.h"
#include "message.h"

/* On the wake socket. */
union vgpu_io_packet {
	struct vgpu_msg h;
	struct vgpu_msg_wake wake;
	struct vgpu_msg_call call;
	uint8_t bytes[sizeof(struct vgpu_msg_call) + VGPU_CALL_DATA_MAX + 8];	/* room to see that one is too long */
};

struct vgpu_io {
	struct io_uring uring;
	struct vgpu_worker_stats *stats;
	int control;
	int wake;			/* -1: no session */
	uint32_t wake_kind;
	uint32_t channel;
	uint64_t serial;		/* of the last WAKE */
	uint64_t wake_tag;		/* user_data of the armed receive on wake; grows with each session */
	bool control_armed, wake_armed;
	bool answering;			/* the RESULT in `result` is on its way */

	/* what came; the loop takes it */
	bool attach_came;
	struct vgpu_ctl_attach attach;
	int attach_fds[2];		/* memfd, wake: the taker's */
	bool answer_came;		/* to vgpu_io_ask() */
	union {
		struct vgpu_msg h;
		struct vgpu_ctl_share share;
		struct vgpu_ctl_image image;
	} answer;
	int answer_fd;			/* what came with it; -1: none */
	bool census_came;
	struct vgpu_ctl_census census;
	bool detach;
	bool control_closed;		/* end or error of the control socket: exit */
	bool wake_closed;		/* the VM is gone, or the process in register mode */
	size_t call_size;		/* bytes of the CALL in `packet` that waits to be answered; 0: none */
	char broken[160];		/* a damaged message: what was wrong; "" if none */

	/* buffers of the armed receives */
	struct msghdr control_msg;
	struct iovec control_iov;
	union {
		struct vgpu_msg h;
		struct vgpu_ctl_attach attach;
		struct vgpu_ctl_note note;
		struct vgpu_ctl_census census;
		uint8_t bytes[VGPU_MSG_MAX_BYTES];
	} control_packet;
	_Alignas(struct cmsghdr) uint8_t control_cmsg[CMSG_SPACE(sizeof(int) * VGPU_MSG_MAX_FDS)];
	uint64_t wake_count;		/* eventfd */
	union vgpu_io_packet *packet;	/* socket; made for the first one that is watched */
	union {
		struct vgpu_msg_result h;
		uint8_t bytes[sizeof(struct vgpu_msg_result) + VGPU_RESULT_DATA_MAX];
	} result;
};


/* Set up the ring and arm the control socket. 0 or -errno. */
int vgpu_io_init(struct vgpu_io *io, int control, struct vgpu_worker_stats *stats);
void vgpu_io_exit(struct vgpu_io *io);

/* Start and stop listening on a session's wake descriptor (owned by the caller, closed by it after stop). */
int vgpu_io_watch(struct vgpu_io *io, int wake, uint32_t wake_kind, uint32_t channel);
void vgpu_io_unwatch(struct vgpu_io *io);

/* Fold what has completed. Returns the number of completions, never waits. */
unsigned int vgpu_io_poll(struct vgpu_io *io);

/* Wait until something completes or timeout_ns is over (negative: no limit), then fold. 0 or -errno. */
int vgpu_io_wait(struct vgpu_io *io, int64_t timeout_ns);

/*
 * Answer the CALL in io->packet with `size` bytes of data (at most VGPU_RESULT_DATA_MAX, copied) and receive the next.
 * Only while !io->answering. 0 or -errno.
 */
int vgpu_io_answer(struct vgpu_io *io, CUresult status, const void *data, uint32_t size);

/*
 * Send *m, with a descriptor that stays the caller's or -1, and wait for the supervisor's answer, of type `answer`: it
 * comes in *m, which is as long.  *answer_fd: the caller's to close, -1: none.  The supervisor never blocks; 0, or
 * -errno: -ETIMEDOUT after two seconds.  A late answer to an earlier question is possible: look whose it is.
 */
int vgpu_io_ask(struct vgpu_io *io, struct vgpu_msg *m, int fd, enum vgpu_control_type answer, int *answer_fd);

/* Send a control message. 0 or -errno. */
int vgpu_io_note(struct vgpu_io *io, enum vgpu_control_type type, enum vgpu_host_error error, const char *text);

#endif
