/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection to the mediator.  It is made as soon as the device exists
 * and made again for ever: the mediator may start after the VM, die, and come
 * back.  Attempts back off from config.backoff_min_ms to backoff_max_ms with
 * jitter; a peer that was reached but cannot be talked to (other version,
 * refusal, nonsense) is tried again at the slow end at once.
 *
 * A dropped connection is shut down first and closed when its receive and
 * its send have ended.  All functions run on the stub's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static void link_connect(struct vgpu_stub *s);

int stub_link_create(struct vgpu_stub *s, const char *path, char *err, size_t err_size)
{
	struct stub_link *l = &s->link;

	l->fd = -1;
	l->address.sun_family = AF_UNIX;
	if (!path[0] || strlen(path) >= sizeof(l->address.sun_path)) {
		snprintf(err, err_size, "socket path of %zu bytes: accepted is 1 to %zu bytes",
			 strlen(path), sizeof(l->address.sun_path) - 1);
		return -EINVAL;
	}
	memcpy(l->address.sun_path, path, strlen(path) + 1);
	l->delay_ms = s->config.backoff_min_ms;
	l->error = VGPU_HOST_NO_MEDIATOR;
	snprintf(l->text, sizeof(l->text), "the host has no mediator running for this VM");
	return 0;
}

/* ---- back-off ---- */

static struct __kernel_timespec link_timespec(uint32_t ms)
{
	return (struct __kernel_timespec){ .tv_sec = ms / 1000,
					   .tv_nsec = (long long)(ms % 1000) * 1000000 };
}

/* `ms` give or take a quarter, so that many VMs do not come at once. */
static uint32_t link_jitter(struct vgpu_stub *s, uint32_t ms)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return ms - ms / 4 + (uint32_t)(s->random % (ms / 2 + 1));
}

static void backoff_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	(void)op;
	(void)res;
	if (!s->stopping)
		link_connect(s);
}

static void link_back_off(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;
	struct io_uring_sqe *sqe;

	l->state = STUB_LINK_DOWN;
	if (s->stopping)
		return;
	l->backoff_ts = link_timespec(link_jitter(s, l->delay_ms));
	l->delay_ms = l->delay_ms * 2 < s->config.backoff_max_ms ? l->delay_ms * 2 :
								   s->config.backoff_max_ms;
	sqe = stub_sqe(s);
	io_uring_prep_timeout(sqe, &l->backoff_ts, 0, 0);
	stub_arm(s, sqe, &l->backoff, backoff_done);
}

/* ---- the end of a connection ---- */

static void link_closed(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;

	if (l->connect.busy || l->recv.busy || l->send.busy)
		return;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	link_back_off(s);
}

static void link_tell(struct vgpu_stub *s, const char *reason)
{
	struct stub_link *l = &s->link;

	if (!strcmp(l->reason, reason))
		return;
	snprintf(l->reason, sizeof(l->reason), "%s", reason);
	stub_log(s, VGPU_STUB_WARNING, -1, "no mediator at %s: %s; trying again every %u ms",
		 l->address.sun_path, reason, s->config.backoff_max_ms);
}

void stub_link_drop(struct vgpu_stub *s, bool slow, uint32_t error, const char *fmt, ...)
{
	struct stub_link *l = &s->link;
	char reason[256];
	va_list ap;

	if (l->state == STUB_LINK_DOWN || l->state == STUB_LINK_DROPPING)
		return;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (!s->stopping)
		link_tell(s, reason);
	atomic_store(&s->link_up, 0);
	stub_memory_link(s, false);
	l->error = error;
	snprintf(l->text, sizeof(l->text), "%.159s",
		 error == VGPU_HOST_NO_MEDIATOR ? "the host has no mediator running for this VM" :
						  reason);
	if (slow)
		l->delay_ms = s->config.backoff_max_ms;
	l->stats_wanted = false;
	l->state = STUB_LINK_DROPPING;
	stub_channels_link_lost(s);
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	link_closed(s);
}

/* ---- sending ---- */

static void link_send(struct vgpu_stub *s, uint16_t type, uint32_t length, int fd);

static void send_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_link *l = &s->link;

	(void)op;
	if (l->state == STUB_LINK_DROPPING) {
		link_closed(s);
		return;
	}
	if (res == -EAGAIN || res == -EINTR) {
		link_send(s, l->out.h.type, l->out.h.length, l->out.h.type == VGPU_MSG_HELLO ?
			  s->memfd : -1);
		return;
	}
	if (res < 0) {
		stub_link_drop(s, false, VGPU_HOST_NO_MEDIATOR, "sending failed: %s", strerror(-res));
		return;
	}
	stub_link_pump(s);
}

/* The message lies in l->out; `fd` (or -1) goes with it. */
static void link_send(struct vgpu_stub *s, uint16_t type, uint32_t length, int fd)
{
	struct stub_link *l = &s->link;
	struct io_uring_sqe *sqe;
	struct cmsghdr *c;

	l->out.h = (struct vgpu_msg){ .magic = VGPU_MSG_MAGIC, .type = type, .length = length,
				      .version = VGPU_PROTOCOL_VERSION };
	l->send_iov = (struct iovec){ .iov_base = &l->out, .iov_len = length };
	l->send_hdr = (struct msghdr){ .msg_iov = &l->send_iov, .msg_iovlen = 1 };
	if (fd >= 0) {
		l->send_hdr.msg_control = l->out_control;
		l->send_hdr.msg_controllen = sizeof(l->out_control);
		c = CMSG_FIRSTHDR(&l->send_hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	sqe = stub_sqe(s);
	io_uring_prep_sendmsg(sqe, l->fd, &l->send_hdr, MSG_NOSIGNAL);
	stub_arm(s, sqe, &l->send, send_done);
}

static void link_send_hello(struct vgpu_stub *s)
{
	struct vgpu_msg_hello *hello = &s->link.out.hello;

	memset(hello, 0, sizeof(*hello));
	hello->role = VGPU_ROLE_STUB;
	hello->vm_id = s->config.vm_id;
	hello->shm_size = s->geometry.total_size;
	hello->channels = s->channel_count;
	hello->pid = (uint32_t)getpid();
	snprintf(hello->name, sizeof(hello->name), "%s", s->name);
	link_send(s, VGPU_MSG_HELLO, sizeof(*hello), s->memfd);
}

static void link_send_stats(struct vgpu_stub *s)
{
	struct vgpu_msg_stats *m = &s->link.out.stats;
	uint32_t i;

	memset(m, 0, sizeof(*m));
	m->cookie = s->link.stats_cookie;
	m->mmio_reads = atomic_load(&s->counters.mmio_reads);
	m->mmio_writes = atomic_load(&s->counters.mmio_writes);
	m->reconnects = (uint32_t)atomic_load(&s->counters.reconnects);
	m->channels = s->channel_count;
	for (i = 0; i < s->channel_count; i++)
		m->channel[i] = s->channels[i].stats;
	link_send(s, VGPU_MSG_STATS, sizeof(*m), -1);
}

static void link_send_channel(struct vgpu_stub *s, struct stub_channel *chan)
{
	struct vgpu_msg_channel *m = &s->link.out.channel;
	uint16_t type = chan->send_close ? VGPU_MSG_CHANNEL_CLOSE : VGPU_MSG_CHANNEL_OPEN;

	chan->send_open = chan->send_close = false;
	memset(m, 0, sizeof(*m));
	m->channel = chan->index;
	m->generation = chan->generation;
	link_send(s, type, sizeof(*m), -1);
}

/* Nothing is queued: what is due is known from the state, so that it is bounded. */
void stub_link_pump(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;
	uint32_t i;

	if (l->state != STUB_LINK_UP || l->send.busy)
		return;
	if (l->stats_wanted) {
		l->stats_wanted = false;
		link_send_stats(s);
		return;
	}
	for (i = 0; i < s->channel_count; i++) {
		if (s->channels[i].send_open || s->channels[i].send_close) {
			link_send_channel(s, &s->channels[i]);
			return;
		}
	}
}

/* ---- receiving ---- */

static void link_receive(struct vgpu_stub *s);

static size_t recv_fds(struct msghdr *hdr, int *fds)
{
	struct cmsghdr *c;
	size_t count = 0, n, i;
	int fd;

	for (c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count < STUB_MAX_FDS)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

static void recv_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_link *l = &s->link;
	int fds[STUB_MAX_FDS];
	size_t count = res >= 0 ? recv_fds(&l->recv_hdr, fds) : 0;

	(void)op;
	if (l->state == STUB_LINK_DROPPING || res <= 0) {
		while (count)
			close(fds[--count]);
		if (l->state == STUB_LINK_DROPPING)
			link_closed(s);
		else if (res == -EAGAIN || res == -EINTR)
			link_receive(s);
		else
			stub_link_drop(s, false, VGPU_HOST_NO_MEDIATOR, "connection lost (%s)",
				       res ? strerror(-res) : "closed by the mediator");
		return;
	}
	if (l->recv_hdr.msg_flags & MSG_TRUNC)
		res = sizeof(l->in) + 1;
	stub_message(s, &l->in, (size_t)res, fds, count);
	if (l->state == STUB_LINK_HELLO || l->state == STUB_LINK_UP)
		link_receive(s);
}

static void link_receive(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;
	struct io_uring_sqe *sqe = stub_sqe(s);

	l->recv_iov = (struct iovec){ .iov_base = &l->in, .iov_len = sizeof(l->in) };
	l->recv_hdr = (struct msghdr){ .msg_iov = &l->recv_iov, .msg_iovlen = 1,
				       .msg_control = l->in_control,
				       .msg_controllen = sizeof(l->in_control) };
	io_uring_prep_recvmsg(sqe, l->fd, &l->recv_hdr, MSG_CMSG_CLOEXEC);
	stub_arm(s, sqe, &l->recv, recv_done);
}

/* ---- making a connection ---- */

static void handshake_arm(struct vgpu_stub *s);

/* One timer at a time; it may still watch an earlier attempt when a new one begins. */
static void handshake_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_link *l = &s->link;

	(void)op;
	(void)res;
	if (s->stopping || l->state != STUB_LINK_HELLO)
		return;
	if (l->handshake_attempt != l->attempt)
		handshake_arm(s);
	else
		stub_link_drop(s, true, VGPU_HOST_NO_MEDIATOR,
			       "it accepted the connection but did not answer for %u ms",
			       s->config.handshake_ms);
}

static void handshake_arm(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;
	struct io_uring_sqe *sqe;

	if (l->handshake.busy)
		return;
	l->handshake_attempt = l->attempt;
	l->handshake_ts = link_timespec(s->config.handshake_ms);
	sqe = stub_sqe(s);
	io_uring_prep_timeout(sqe, &l->handshake_ts, 0, 0);
	stub_arm(s, sqe, &l->handshake, handshake_done);
}

static void connect_done(struct vgpu_stub *s, struct stub_op *op, int res)
{
	struct stub_link *l = &s->link;

	(void)op;
	if (l->state == STUB_LINK_DROPPING) {
		link_closed(s);
		return;
	}
	if (res < 0) {
		stub_link_drop(s, false, VGPU_HOST_NO_MEDIATOR, "%s", strerror(-res));
		return;
	}
	/* It had to fail rather than wait; from here on the ring waits. */
	if (fcntl(l->fd, F_SETFL, 0)) {
		stub_link_drop(s, true, VGPU_HOST_NO_MEDIATOR, "fcntl: %s", strerror(errno));
		return;
	}
	l->state = STUB_LINK_HELLO;
	handshake_arm(s);
	link_receive(s);
	link_send_hello(s);
}

static void link_connect(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;
	struct io_uring_sqe *sqe;

	l->attempt++;
	l->state = STUB_LINK_CONNECTING;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0) {
		stub_link_drop(s, true, VGPU_HOST_NO_MEDIATOR, "socket: %s", strerror(errno));
		return;
	}
	sqe = stub_sqe(s);
	io_uring_prep_connect(sqe, l->fd, (struct sockaddr *)&l->address, sizeof(l->address));
	stub_arm(s, sqe, &l->connect, connect_done);
}

void stub_link_start(struct vgpu_stub *s)
{
	link_connect(s);
}

/* The mediator accepted the VM. */
void stub_link_welcome(struct vgpu_stub *s)
{
	struct stub_link *l = &s->link;

	l->state = STUB_LINK_UP;
	l->delay_ms = s->config.backoff_min_ms;
	l->reason[0] = '\0';
	if (atomic_fetch_add(&s->link_epoch, 1))
		atomic_fetch_add(&s->counters.reconnects, 1);
	atomic_store(&s->link_up, 1);
	stub_memory_link(s, true);
	stub_log(s, VGPU_STUB_INFO, -1, "connected to the mediator at %s, connection %u",
		 l->address.sun_path, atomic_load(&s->link_epoch));
	stub_link_pump(s);
}
