/* SPDX-License-Identifier: MIT */
/*
 * Streams as queues of operations, and the threads that run them.
 *
 * A stream is a first-in first-out queue: its operations run one at a time, in order, on whichever executor thread
 * picks the stream up, or on the submitting thread when the stream is idle and the operation is quick. An operation
 * completes by raising the stream's `completed` to its number; everything that waits (other streams, calls) waits for
 * such a (stream, number) pair. One lock guards all queues; operations run without it.
 *
 * Nothing that may wait for long holds an executor: waits for other streams park the stream, waits for values in
 * memory are polled, host functions have a thread of their own, and while kernels run there is always another executor.
 */
#ifndef VGPU_SOFT_SCHED_H
#define VGPU_SOFT_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "handle.h"
#include "vgpu/cuda_types.h"

struct soft_capture;
struct soft_stream;

struct soft_dep {
	struct soft_stream *on; /* a reference */
	uint64_t seq;
};

/* The head of every operation; embedded first in the structure of its kind, which malloc() gave. */
struct soft_op {
	struct soft_op *next;
	struct soft_stream *stream;
	uint64_t seq;
	struct soft_dep one, *deps; /* deps points to `one` or to malloc'ed memory */
	uint32_t num_deps, next_dep;
	void (*run)(struct soft_op *op);
	bool (*ready)(struct soft_op *op);  /* NULL, or whether it may run yet; polled, cheap, under the lock */
	void (*drop)(struct soft_op *op);   /* NULL, or gives up what it holds; the scheduler frees the operation itself */
	bool quick;                         /* short enough for the submitting thread */
	bool unconditional;                 /* run even when the process is poisoned or the context goes */
	bool handed;                        /* run() only hands it over; soft_handed_done() completes it */
};

struct soft_stream {
	struct soft_object obj;
	uint64_t id;
	unsigned flags; /* CU_STREAM_NON_BLOCKING */
	int priority;
	bool legacy;
	_Atomic uint64_t completed; /* number of the last complete operation */
	struct soft_capture *_Atomic capture; /* capture.c: it is being captured */
	atomic_uint watchers;       /* whoever completes an operation must take the lock and look */
	/* under the scheduler's lock */
	enum { SOFT_IDLE, SOFT_READY, SOFT_RUNNING, SOFT_PARKED, SOFT_POLLING } state;
	uint64_t submitted;
	struct soft_op *head, *tail;
	struct soft_stream *link;           /* in the ready, parked or polling list */
	struct soft_stream *prev, *next;    /* in the context's list of busy ones */
};

/* Starts the first executor; more come as they are needed. 0 or -ENOMEM. */
int soft_sched_start(void);
/* Ends all threads; queued operations never run. */
void soft_sched_stop(void);

/* Adds a dependency before submission; takes a reference on @on. 0 or -ENOMEM. */
int soft_op_depend(struct soft_op *op, struct soft_stream *on, uint64_t seq);
/*
 * Appends @op to @s and gives it away: it is freed after it ran, which may be before this returns. Returns its
 * number. The default stream's rules (it and blocking streams wait for each other) are applied here.
 */
uint64_t soft_submit(struct soft_stream *s, struct soft_op *op);
/* soft_submit and soft_wait. */
CUresult soft_submit_and_wait(struct soft_stream *s, struct soft_op *op);

static inline bool soft_reached(struct soft_stream *s, uint64_t seq)
{
	return atomic_load_explicit(&s->completed, memory_order_acquire) >= seq;
}

/* Blocks until operation @seq of @s is complete; the process's fault when there is one. */
CUresult soft_wait(struct soft_stream *s, uint64_t seq);
/* Blocks until all that @s holds now is complete; for the default stream also that of blocking streams. */
CUresult soft_stream_drain(struct soft_stream *s);
bool soft_stream_idle(struct soft_stream *s);
/* Notes in @op, as dependencies, all that streams of @ctx and its green contexts hold now. 0 or -ENOMEM. */
int soft_context_note(struct soft_op *op, struct soft_context *ctx);
/* Blocks until all streams of @ctx and its green contexts are done with what they hold now, at most @ms milliseconds (-1: for ever). */
bool soft_context_drain(struct soft_context *ctx, int ms);
/* ctx->cancelled was set: streams that wait for something else take notice. */
void soft_sched_kick(void);

/* Around an operation that may take long, on its executor: others stay available meanwhile. */
void soft_long_begin(void);
void soft_long_end(void);

/* From any thread: @op, which is `handed`, is complete. */
void soft_handed_done(struct soft_op *op);

uint64_t soft_now(void); /* CLOCK_MONOTONIC, ns */

#endif
