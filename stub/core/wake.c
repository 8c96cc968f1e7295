/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket to a channel's worker.  It comes with CHANNEL_OPENED, carries
 * one struct vgpu_msg_wake for any number of doorbells, CALL and RESULT of
 * register mode, and its end of file says that the worker is gone.
 *
 * At most one message is under way for a channel; doorbells that come
 * meanwhile are folded into the next.  A full socket holds messages that the
 * worker has not read, so it will wake anyway: the message is then parked in
 * the ring until there is room.  Thus the last doorbell is never lost.
 *
 * Lifetime: on the heap, freed when it was dropped and all of its
 * operations have ended.  A channel may have a new socket by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

struct stub_wake {
	struct stub_channel *chan;	/* NULL: dropped */
	int fd;
	struct stub_op recv, send, call;
	bool parked;			/* the send waits for room */
	struct vgpu_msg_wake msg;
	struct vgpu_msg_call *out;	/* with its data; made for the first one */
	union {
		struct vgpu_msg_result result;
		/* Room to see one that is too long. */
		uint8_t bytes[sizeof(struct vgpu_msg_result) + VGPU_RESULT_DATA_MAX + 8];
	} in;
};

static void wake_release(struct stub_wake *w)
{
	if (w->chan || w->recv.busy || w->send.busy || w->call.busy)
		return;
	close(w->fd);
	free(w->out);
	free(w);
}

/* Let go of the channel's socket, if there is one. */
void stub_wake_drop(struct vgpu_stub *s, struct stub_channel *chan)
{
	struct stub_wake *w = chan->wake;

	stub_window_lost(s, chan);
	if (!w)
		return;
	chan->wake = NULL;
	chan->stats.open = 0;
	w->chan = NULL;
	shutdown(w->fd, SHUT_RDWR);
	wake_release(w);
}

static void wake_recv_arm(struct vgpu_stub *s, struct stub_wake *w);

static void wake_recv_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_wake *w = stub_container(op, struct stub_wake, recv);

	if (!w->chan) {
		wake_release(w);
		return;
	}
	if (res > 0 && stub_window_result(s, w->chan, &w->in.result, (size_t)res)) {
		wake_recv_arm(s, w);
		return;
	}
	if (res > 0)
		stub_log(s, VGPU_STUB_WARNING, (int)w->chan->index,
			 "the worker sent %d bytes on its wake socket that are no RESULT", res);
	stub_channel_worker_gone(s, w->chan);
}

static void wake_recv_arm(struct vgpu_stub *s, struct stub_wake *w)
{
	struct io_uring_sqe *sqe = stub_sqe(s);

	io_uring_prep_recv(sqe, w->fd, w->in.bytes, sizeof(w->in), 0);
	stub_arm(s, sqe, &w->recv, wake_recv_done);
}

static void wake_submit(struct vgpu_stub *s, struct stub_wake *w);

static void wake_failed(struct vgpu_stub *s, struct stub_channel *chan)
{
	atomic_fetch_add_explicit(&s->counters.wakes_failed, 1, memory_order_relaxed);
	chan->stats.wakes_failed++;
}

static void wake_send_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_wake *w = stub_container(op, struct stub_wake, send);
	struct stub_channel *chan = w->chan;

	if (!chan) {
		wake_release(w);
		return;
	}
	if (res == sizeof(w->msg)) {
		atomic_fetch_add_explicit(&s->counters.wakes, 1, memory_order_relaxed);
		chan->stats.wakes++;
		w->parked = false;
		stub_wake_flush(s, chan);
		return;
	}
	wake_failed(s, chan);
	if (res != -EAGAIN && res != -EINTR) {
		stub_channel_worker_gone(s, chan);
		return;
	}
	w->parked = true;
	w->msg.doorbells += chan->pending;
	chan->pending = 0;
	wake_submit(s, w);
}

/* Parked: without MSG_DONTWAIT the ring waits for room and sends then. */
static void wake_submit(struct vgpu_stub *s, struct stub_wake *w)
{
	struct io_uring_sqe *sqe = stub_sqe(s);

	io_uring_prep_send(sqe, w->fd, &w->msg, sizeof(w->msg),
			   MSG_NOSIGNAL | (w->parked ? 0 : MSG_DONTWAIT));
	stub_arm(s, sqe, &w->send, wake_send_done);
}

/* Send what is pending, unless a message is under way (its end calls again). */
void stub_wake_flush(struct vgpu_stub *s, struct stub_channel *chan)
{
	struct stub_wake *w = chan->wake;

	if (!chan->pending)
		return;
	if (!w) {
		/* The worker's socket may come after the first doorbell. */
		if (chan->state == STUB_CHAN_OPENING)
			return;
		chan->pending = 0;
		wake_failed(s, chan);
		return;
	}
	if (w->send.busy)
		return;
	w->msg = (struct vgpu_msg_wake){
		.h = { .magic = VGPU_MSG_MAGIC, .type = VGPU_MSG_WAKE,
		       .length = sizeof(w->msg), .version = VGPU_PROTOCOL_VERSION },
		.channel = chan->index,
		.doorbells = chan->pending,
		.serial = ++chan->serial,
	};
	chan->pending = 0;
	wake_submit(s, w);
}

static void wake_call_submit(struct vgpu_stub *s, struct stub_wake *w);

static void wake_call_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_wake *w = stub_container(op, struct stub_wake, call);
	struct stub_channel *chan = w->chan;

	if (!chan) {
		wake_release(w);
		return;
	}
	if (res == (int)w->out->h.length) {
		atomic_fetch_add_explicit(&s->counters.wakes, 1, memory_order_relaxed);
		chan->stats.wakes++;
		return;
	}
	wake_failed(s, chan);
	if (res == -EAGAIN || res == -EINTR)
		wake_call_submit(s, w);
	else
		stub_channel_worker_gone(s, chan);
}

/* A full socket: the ring waits for room. */
static void wake_call_submit(struct vgpu_stub *s, struct stub_wake *w)
{
	struct io_uring_sqe *sqe = stub_sqe(s);

	io_uring_prep_send(sqe, w->fd, w->out, w->out->h.length, MSG_NOSIGNAL);
	stub_arm(s, sqe, &w->call, wake_call_done);
}

int stub_wake_call(struct vgpu_stub *s, struct stub_channel *chan, const struct stub_request *r,
		   const void *data)
{
	struct stub_wake *w = chan->wake;

	if (!w)
		return -ENOTCONN;
	if (w->call.busy)
		return -EBUSY;
	if (!w->out)
		w->out = malloc(sizeof(*w->out) + VGPU_CALL_DATA_MAX);
	if (!w->out)
		return -ENOMEM;
	*w->out = (struct vgpu_msg_call){
		.h = { .magic = VGPU_MSG_MAGIC, .type = VGPU_MSG_CALL,
		       .length = (uint32_t)sizeof(*w->out) + r->call.data_len, .version = VGPU_PROTOCOL_VERSION },
		.channel = chan->index,
		.request = r->id,
		.serial = ++chan->serial,
		.call = r->call,
	};
	memcpy(w->out + 1, data, r->call.data_len);
	wake_call_submit(s, w);
	return 0;
}

static int wake_check(int fd)
{
	int type = 0, domain = 0;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size))
		return -errno;
	size = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size))
		return -errno;
	if (type != SOCK_SEQPACKET || domain != AF_UNIX)
		return -EPROTOTYPE;
	/* The ring, not the socket, decides what waits. */
	return fcntl(fd, F_SETFL, 0) ? -errno : 0;
}

/* Takes `fd` over in any case. 0, or a negative errno if it is not such a socket. */
int stub_wake_attach(struct vgpu_stub *s, struct stub_channel *chan, int fd)
{
	struct stub_wake *w;
	int rc = wake_check(fd);

	w = rc ? NULL : calloc(1, sizeof(*w));
	if (!w) {
		close(fd);
		return rc ? rc : -ENOMEM;
	}
	w->fd = fd;
	w->chan = chan;
	chan->wake = w;
	chan->stats.open = 1;
	wake_recv_arm(s, w);
	stub_wake_flush(s, chan);
	stub_window_pump(s);
	return 0;
}
