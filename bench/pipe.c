/* SPDX-License-Identifier: MIT */
/* Descriptors of a pipe, and the engine without io_uring; see pipe.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipe.h"

/* ---- epoll + read, send, recv: what io_uring is compared with ---- */

struct pipe_side {
	bool bells;
	int epoll;
};

static void epoll_close(struct pipe_side *s)
{
	close(s->epoll);
	free(s);
}

static struct pipe_side *epoll_open(struct pipe *p, bool bells)
{
	struct pipe_side *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->bells = bells;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned int i = 0; i < p->channels; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, bells ? p->bell[i] : p->sock[i][1], &e)) {
			epoll_close(s);
			return NULL;
		}
	}
	return s;
}

static int epoll_bell(struct pipe *p, unsigned int channel)
{
	struct vgpu_msg_wake m;
	uint64_t count;

	if (read(p->bell[channel], &count, sizeof(count)) != sizeof(count))
		return -errno;
	pipe_message(&m, channel, count);
	if (send(p->sock[channel][0], &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
		return -errno;
	p->doorbells += count;
	p->messages++;
	return 0;
}

static int epoll_message(struct pipe *p, unsigned int channel)
{
	struct vgpu_msg_wake m;

	if (recv(p->sock[channel][1], &m, sizeof(m), 0) != sizeof(m))
		return -errno;
	pipe_received(p, m.doorbells);
	return 0;
}

static int epoll_turn(struct pipe *p, struct pipe_side *s)
{
	struct epoll_event e[PIPE_MOST];
	int n = epoll_wait(s->epoll, e, PIPE_MOST, -1), ret = 0;

	for (int i = 0; i < n && !ret; i++)
		ret = s->bells ? epoll_bell(p, e[i].data.u32) : epoll_message(p, e[i].data.u32);
	return n < 0 ? -errno : ret;
}

const struct pipe_engine pipe_epoll = { epoll_open, epoll_turn, NULL, epoll_close };

/* ---- what all ways share ---- */

static const struct pipe_engine *engine(const struct pipe *p)
{
	return p->features & PIPE_EPOLL ? &pipe_epoll : &pipe_uring;
}

void pipe_message(struct vgpu_msg_wake *m, unsigned int channel, uint64_t doorbells)
{
	*m = (struct vgpu_msg_wake){
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_WAKE, 0, sizeof(*m), VGPU_PROTOCOL_VERSION },
		.channel = channel, .doorbells = doorbells,
	};
}

static int open_channel(struct pipe *p, unsigned int i)
{
	p->bell[i] = eventfd(0, EFD_CLOEXEC | (p->features & PIPE_EACH ? EFD_SEMAPHORE : 0));
	if (p->bell[i] < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->sock[i])) {
		close(p->bell[i]);
		return -errno;
	}
	p->channels = i + 1;
	return 0;
}

int pipe_open(struct pipe *p, const struct pipe_way *way, unsigned int channels)
{
	int ret = 0;

	memset(p, 0, sizeof(*p));
	p->features = way->features;
	for (unsigned int i = 0; i < channels && !ret; i++)
		ret = open_channel(p, i);
	if (!ret) {
		p->stub = engine(p)->open(p, true);
		p->workers = p->stub ? engine(p)->open(p, false) : NULL;
		ret = p->workers ? 0 : -errno;
	}
	if (ret)
		pipe_close(p);
	return ret;
}

void pipe_close(struct pipe *p)
{
	if (p->stub)
		engine(p)->close(p->stub);
	if (p->workers)
		engine(p)->close(p->workers);
	for (unsigned int i = 0; i < p->channels; i++) {
		close(p->bell[i]);
		close(p->sock[i][0]);
		close(p->sock[i][1]);
	}
}

void pipe_ring(struct pipe *p, unsigned int channel, uint64_t count)
{
	if (write(p->bell[channel], &count, sizeof(count)) != sizeof(count))
		abort();
}

int pipe_stub_turn(struct pipe *p)
{
	return engine(p)->turn(p, p->stub);
}

void pipe_stub_flush(struct pipe *p)
{
	if (engine(p)->flush)
		engine(p)->flush(p->stub);
}

int pipe_worker_turn(struct pipe *p)
{
	return engine(p)->turn(p, p->workers);
}
