/* SPDX-License-Identifier: MIT */
/*
 * A pipe on io_uring, one ring for each side, with the features that pipe.h names.  A ring is made by the thread that uses
 * it first, because SINGLE_ISSUER binds it to that thread.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "pipe.h"

#define ENTRIES		256u
#define GROUP		0
#define BUFFERS		256u	/* a power of two */
#define BUFFER_BYTES	64u
#define KIND_SEND	(1ull << 32)
#define OP_READ_MULTISHOT	49	/* Linux 6.7; liburing 2.3 has no name for it */

_Static_assert(sizeof(struct vgpu_msg_wake) <= BUFFER_BYTES, "a message fits a buffer");

struct pipe_side {
	bool bells, multi, ready;
	unsigned int features;
	struct io_uring ring;
	struct io_uring_buf_ring *provided;
	uint8_t buffer[BUFFERS][BUFFER_BYTES];
	uint64_t count[PIPE_MOST];
	struct vgpu_msg_wake in[PIPE_MOST], out[PIPE_MOST];
	uint64_t pending[PIPE_MOST];	/* doorbells that wait for the end of a send */
	bool busy[PIPE_MOST];		/* a send that says when it has ended is under way */
};

static struct io_uring_sqe *get_sqe(struct pipe_side *s)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&s->ring))) {
		io_uring_submit(&s->ring);
		io_uring_sqring_wait(&s->ring);
	}
	return sqe;
}

/* Registered files: of the stub the bells and behind them its sockets, of the workers their sockets. */
static int file(const struct pipe *p, const struct pipe_side *s, unsigned int channel, bool sends)
{
	if (s->features & PIPE_FIXED)
		return (int)(channel + (sends ? p->channels : 0));
	return s->bells ? sends ? p->sock[channel][0] : p->bell[channel] : p->sock[channel][1];
}

static void arm_bell(struct pipe_side *s, struct io_uring_sqe *sqe, int fd, unsigned int channel)
{
	if (s->multi) {
		io_uring_prep_rw(OP_READ_MULTISHOT, sqe, fd, NULL, 0, (uint64_t)-1);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
	} else if (s->features & PIPE_BUFFERS) {
		io_uring_prep_read_fixed(sqe, fd, &s->count[channel], 8, 0, 0);
	} else {
		io_uring_prep_read(sqe, fd, &s->count[channel], 8, 0);
	}
}

static void arm_socket(struct pipe_side *s, struct io_uring_sqe *sqe, int fd, unsigned int channel)
{
	if (s->multi) {
		io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
	} else {
		io_uring_prep_recv(sqe, fd, &s->in[channel], sizeof(s->in[channel]), 0);
	}
}

static void arm(struct pipe *p, struct pipe_side *s, unsigned int channel)
{
	struct io_uring_sqe *sqe = get_sqe(s);

	if (s->bells)
		arm_bell(s, sqe, file(p, s, channel, false), channel);
	else
		arm_socket(s, sqe, file(p, s, channel, false), channel);
	if (s->features & PIPE_FIXED)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, channel);
}

static void give(struct pipe_side *s, unsigned int id)
{
	io_uring_buf_ring_add(s->provided, s->buffer[id], BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(s->provided, 1);
}

static int provide(struct pipe_side *s)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = GROUP };
	int ret;

	if (posix_memalign((void **)&s->provided, 4096, BUFFERS * sizeof(struct io_uring_buf)))
		return -ENOMEM;
	reg.ring_addr = (uintptr_t)s->provided;
	ret = io_uring_register_buf_ring(&s->ring, &reg, 0);
	if (ret)
		return ret;
	io_uring_buf_ring_init(s->provided);
	for (unsigned int i = 0; i < BUFFERS; i++)
		give(s, i);
	return 0;
}

static int register_files(struct pipe *p, struct pipe_side *s)
{
	int fds[2 * PIPE_MOST];

	for (unsigned int i = 0; i < p->channels; i++) {
		fds[i] = s->bells ? p->bell[i] : p->sock[i][1];
		fds[p->channels + i] = p->sock[i][0];
	}
	return io_uring_register_files(&s->ring, fds, s->bells ? 2 * p->channels : p->channels);
}

/* On the thread that uses this side. */
static int start(struct pipe *p, struct pipe_side *s)
{
	struct iovec counts = { s->count, sizeof(s->count) };
	unsigned int flags = 0;
	int ret;

	if (s->features & PIPE_DEFER)
		flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	if (s->features & PIPE_SQPOLL)
		flags |= IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER;
	ret = io_uring_queue_init(ENTRIES, &s->ring, flags);
	if (ret)
		return ret;
	s->ready = true;
	if (s->features & PIPE_FIXED)
		ret = register_files(p, s);
	if (!ret && s->features & PIPE_FIXED && io_uring_register_ring_fd(&s->ring) != 1)
		ret = -EINVAL;
	if (!ret && s->features & PIPE_BUFFERS)
		ret = io_uring_register_buffers(&s->ring, &counts, 1);
	if (!ret && s->multi)
		ret = provide(s);
	for (unsigned int i = 0; i < p->channels && !ret; i++)
		arm(p, s, i);
	return ret;
}

static void uring_close(struct pipe_side *s)
{
	if (s->ready)
		io_uring_queue_exit(&s->ring);
	free(s->provided);
	free(s);
}

static struct pipe_side *uring_open(struct pipe *p, bool bells)
{
	struct pipe_side *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->bells = bells;
	s->features = p->features;
	s->multi = p->features & (bells ? PIPE_MULTI_BELL : PIPE_MULTI);
	return s;
}

/* A send that may wait for room tells when it has ended; until then doorbells gather. */
static void send_wake(struct pipe *p, struct pipe_side *s, unsigned int channel, bool waits)
{
	struct io_uring_sqe *sqe = get_sqe(s);

	pipe_message(&s->out[channel], channel, s->pending[channel]);
	s->pending[channel] = 0;
	io_uring_prep_send(sqe, file(p, s, channel, true), &s->out[channel], sizeof(s->out[channel]),
			   MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT));
	if (s->features & PIPE_FIXED)
		sqe->flags |= IOSQE_FIXED_FILE;
	if (!waits)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	s->busy[channel] = waits;
	io_uring_sqe_set_data64(sqe, KIND_SEND | channel);
	p->messages++;
}

static int sent(struct pipe *p, struct pipe_side *s, unsigned int channel, int res)
{
	s->busy[channel] = false;
	if (res == -EAGAIN) {
		s->pending[channel] += s->out[channel].doorbells;
		p->messages--;
		send_wake(p, s, channel, true);
	} else if (res < 0) {
		return res;
	} else if (s->pending[channel]) {
		send_wake(p, s, channel, !(s->features & PIPE_SKIP));
	}
	return 0;
}

static void rang(struct pipe *p, struct pipe_side *s, unsigned int channel, uint64_t doorbells)
{
	p->doorbells += doorbells;
	s->pending[channel] += doorbells;
	if (!s->busy[channel])
		send_wake(p, s, channel, !(s->features & PIPE_SKIP));
}

static void took(struct pipe *p, struct pipe_side *s, unsigned int channel, const void *data)
{
	if (s->bells)
		rang(p, s, channel, *(const uint64_t *)data);
	else
		pipe_received(p, ((const struct vgpu_msg_wake *)data)->doorbells);
}

static int completed(struct pipe *p, struct pipe_side *s, const struct io_uring_cqe *cqe)
{
	unsigned int channel = (unsigned int)cqe->user_data, id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	if (cqe->user_data & KIND_SEND)
		return sent(p, s, channel, cqe->res);
	if (cqe->res < 0 && cqe->res != -ENOBUFS)
		return cqe->res;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		took(p, s, channel, s->buffer[id]);
		give(s, id);
	} else if (cqe->res > 0) {
		took(p, s, channel, s->bells ? (void *)&s->count[channel] : (void *)&s->in[channel]);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm(p, s, channel);
	return 0;
}

static int reap(struct pipe *p, struct pipe_side *s)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;
	int ret = 0;

	io_uring_for_each_cqe(&s->ring, head, cqe) {
		if (!ret)
			ret = completed(p, s, cqe);
		n++;
	}
	io_uring_cq_advance(&s->ring, n);
	return ret;
}

/* One system call: what the last turn prepared leaves with this one's wait. */
static int uring_turn(struct pipe *p, struct pipe_side *s)
{
	int ret = s->ready ? 0 : start(p, s);

	if (!ret)
		ret = io_uring_submit_and_wait(&s->ring, 1);
	if (ret >= 0)
		ret = reap(p, s);
	return ret;
}

static void uring_flush(struct pipe_side *s)
{
	io_uring_submit(&s->ring);
}

const struct pipe_engine pipe_uring = { uring_open, uring_turn, uring_flush, uring_close };
