/* SPDX-License-Identifier: MIT */
/*
 * Ways to carry doorbells to workers: a stub that reaps eventfds and sends one message for each that rang, and workers that
 * receive.  Everything of a pipe is used by one thread at a time on the stub's side and one on the workers'.
 */
#ifndef VGPU_BENCH_PIPE_H
#define VGPU_BENCH_PIPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/shm.h>
#include <vgpu/socket.h>

#define PIPE_MOST 64u	/* channels */

enum {
	PIPE_EPOLL = 1u << 0,	/* epoll_wait, read, send, recv; else io_uring, with: */
	PIPE_DEFER = 1u << 1,	/* SINGLE_ISSUER | DEFER_TASKRUN */
	PIPE_FIXED = 1u << 2,	/* registered files, the ring's own among them */
	PIPE_BUFFERS = 1u << 3,	/* registered buffers for the doorbells' counts */
	PIPE_MULTI = 1u << 4,	/* multishot receives into a provided buffer ring */
	PIPE_SKIP = 1u << 5,	/* sends that succeed complete silently */
	PIPE_SQPOLL = 1u << 6,	/* a kernel thread submits */
	PIPE_EACH = 1u << 7,	/* a message for each doorbell: nothing is folded */
	PIPE_MULTI_BELL = 1u << 8,	/* multishot reads of the doorbells, too */
};

struct pipe_way {
	const char *name;
	unsigned int features;
};

struct pipe {
	unsigned int features, channels;
	int bell[PIPE_MOST];		/* eventfds */
	int sock[PIPE_MOST][2];		/* the stub's end, the worker's */
	struct pipe_side *stub, *workers;
	uint64_t doorbells;		/* reaped by the stub; its thread */
	uint64_t messages;		/* sent by it; its thread */
	_Atomic uint64_t received;	/* doorbells that the messages received told of; written by the workers' thread */
};

/* Both sides ready for use. 0 or -errno; -EINVAL where the kernel lacks a feature. */
int pipe_open(struct pipe *p, const struct pipe_way *way, unsigned int channels);
void pipe_close(struct pipe *p);

/* Ring `count` times. */
void pipe_ring(struct pipe *p, unsigned int channel, uint64_t count);

/* Wait for doorbells, send what is due. 0 or -errno. */
int pipe_stub_turn(struct pipe *p);

/* Have the kernel see now what would else leave with the next turn. */
void pipe_stub_flush(struct pipe *p);

/* Wait for messages, take all that are there. 0 or -errno. */
int pipe_worker_turn(struct pipe *p);

/* ---- the two engines; a side is of the stub if `bells`, else of the workers ---- */

struct pipe_engine {
	struct pipe_side *(*open)(struct pipe *p, bool bells);	/* NULL with errno */
	int (*turn)(struct pipe *p, struct pipe_side *side);
	void (*flush)(struct pipe_side *side);	/* NULL: there is never anything left */
	void (*close)(struct pipe_side *side);
};

extern const struct pipe_engine pipe_epoll, pipe_uring;

/* Called by the workers: a message told of so many doorbells. */
static inline void pipe_received(struct pipe *p, uint64_t doorbells)
{
	uint64_t n = atomic_load_explicit(&p->received, memory_order_relaxed);

	atomic_store_explicit(&p->received, n + doorbells, memory_order_release);
}

/* The message for `doorbells` of a channel. */
void pipe_message(struct vgpu_msg_wake *m, unsigned int channel, uint64_t doorbells);

#endif
