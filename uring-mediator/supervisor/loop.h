/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's only waiting place: one io_uring, one thread.
 *
 * An operation is a struct io_op inside the object that it works for.  Its
 * callback runs for each completion, and once with `more` false when the
 * kernel has let go of it; the object must live until then.  Timers share
 * one kernel timeout, so that an object with nothing to wait for costs
 * nothing.
 */
#ifndef SUPERVISOR_LOOP_H
#define SUPERVISOR_LOOP_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "list.h"
#include "message.h"

struct io_op {
	/* res: as the system call's, negative errno. */
	void (*done)(struct io_op *op, int res, unsigned int flags, bool more);
	bool armed;		/* the kernel holds it */
};

struct timer {
	struct list link;
	uint64_t when_ms;
	void (*fire)(struct timer *timer);
};

#define TIMER_QUEUES	16u

/*
 * Timers with the same delay expire in the order in which they were set: one
 * queue for each delay in use makes setting, clearing and finding the next
 * independent of their number.  The last queue takes further delays, sorted.
 */
struct timer_queue {
	uint64_t delay_ms;
	struct list timers;		/* by when_ms */
};

struct loop {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *buffer_memory;
	struct msghdr receive;		/* shape of every multishot receive */
	struct timer_queue timers[TIMER_QUEUES];
	struct io_op timeout;
	struct __kernel_timespec timeout_at;
	uint64_t timeout_ms;		/* what the kernel is armed for, 0: not armed */
	uint64_t now_ms;		/* CLOCK_MONOTONIC at the last wake-up */
	bool stop;
};

/*
 * Set up the ring; sqpoll: a kernel thread submits (costs a core while busy).
 * 0 or -errno, `why` then says what is missing.
 */
int loop_init(struct loop *loop, bool sqpoll, char *why, size_t why_size);
void loop_exit(struct loop *loop);

/* Serve completions until loop->stop is set. 0 or -errno. */
int loop_run(struct loop *loop);
/* Serve what is there and wait for more at most until the next timer. 0 or -errno. */
int loop_turn(struct loop *loop);

/* Multishot: one completion for each connection, res is its descriptor. */
void loop_accept(struct loop *loop, struct io_op *op, int fd);
/* Multishot: one completion for each packet, to be opened with loop_packet(). */
void loop_receive(struct loop *loop, struct io_op *op, int fd);
void loop_read(struct loop *loop, struct io_op *op, int fd, void *buf, uint32_t size);
void loop_send(struct loop *loop, struct io_op *op, int fd, const void *buf, uint32_t size);
/* One completion when fd becomes readable. */
void loop_poll(struct loop *loop, struct io_op *op, int fd);
void loop_cancel(struct loop *loop, struct io_op *op);

/*
 * The packet of a loop_receive() completion: copied into *packet, buffer
 * given back.  Its size; 0: end of the connection; -errno: error, -EPROTO:
 * a packet or descriptors that did not fit.  Descriptors are the caller's.
 */
int loop_packet(struct loop *loop, int res, unsigned int flags, struct vgpu_packet *packet);

/* Fire once, `delay_ms` from now; moves a timer that is already set. */
void timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
void timer_clear(struct timer *timer);

uint64_t clock_ms(void);

#endif
