/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: one lock, a list of streams that can run, one of streams parked behind others, one of streams that
 * wait for a value in memory; executor threads that take streams from the first. See scheduler.h.
 *
 * Missed wake-ups are excluded like this: who waits for a stream raises its `watchers` and then reads `completed`; who
 * completes stores `completed` and then reads `watchers`; both sequentially consistent.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "context.h"
#include "device.h"
#include "scheduler.h"

#define BASE_EXECUTORS 2
#define MAX_EXECUTORS 48
#define IDLE_SPINS 64      /* looks at the ready list before an executor sleeps; a few microseconds */
#define WAIT_SPINS 64      /* looks at `completed` before a call sleeps */
#define POLL_MIN_NS 2000   /* between looks at polled values; grows by half up to the maximum */
#define POLL_MAX_NS 500000

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct soft_stream *ready, *ready_tail, *parked, *polling;
	atomic_uint num_ready;
	pthread_t threads[MAX_EXECUTORS];
	unsigned num_threads, idle, busy;
	bool spinner, poller, started;
	atomic_bool stop;
	uint64_t nap;
} sched = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t soft_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void deadline(struct timespec *t, uint64_t ns)
{
	uint64_t at = soft_now() + ns;

	t->tv_sec = (time_t)(at / 1000000000u);
	t->tv_nsec = (long)(at % 1000000000u);
}

static void *executor(void *arg);

/* A thread with all signals blocked: they belong to the program around us. */
static int spawn(void)
{
	sigset_t all, old;
	int rc;

	if (sched.num_threads == MAX_EXECUTORS)
		return -EAGAIN;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&sched.threads[sched.num_threads], NULL, executor, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return -rc;
	sched.num_threads++;
	return 0;
}

int soft_sched_start(void)
{
	pthread_condattr_t a;
	int rc = 0;

	pthread_mutex_lock(&sched.lock);
	if (!sched.started) {
		pthread_condattr_init(&a);
		pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
		pthread_cond_init(&sched.work, &a);
		pthread_cond_init(&sched.done, &a);
		pthread_condattr_destroy(&a);
		rc = spawn();
		sched.started = !rc;
	}
	pthread_mutex_unlock(&sched.lock);
	return rc ? -ENOMEM : 0;
}

void soft_sched_stop(void)
{
	unsigned i, n;

	pthread_mutex_lock(&sched.lock);
	atomic_store(&sched.stop, true);
	n = sched.num_threads;
	if (sched.started) {
		pthread_cond_broadcast(&sched.work);
		pthread_cond_broadcast(&sched.done);
	}
	pthread_mutex_unlock(&sched.lock);
	for (i = 0; i < n; i++)
		pthread_join(sched.threads[i], NULL);
}

/* Lock held. An idle stream has work: it joins its context's busy ones, and holds itself. */
static void begin_busy(struct soft_stream *s)
{
	struct soft_context *ctx = s->obj.ctx;

	soft_ref(&s->obj);
	s->prev = NULL;
	s->next = ctx->busy;
	if (s->next)
		s->next->prev = s;
	ctx->busy = s;
}

/* Lock held. The caller puts the reference when it has given the lock back. */
static void end_busy(struct soft_stream *s)
{
	s->state = SOFT_IDLE;
	if (s->prev)
		s->prev->next = s->next;
	else
		s->obj.ctx->busy = s->next;
	if (s->next)
		s->next->prev = s->prev;
}

/* Lock held. */
static void make_ready(struct soft_stream *s)
{
	s->state = SOFT_READY;
	if (s->priority < 0 && sched.ready) {
		s->link = sched.ready;
		sched.ready = s;
	} else {
		s->link = NULL;
		if (sched.ready)
			sched.ready_tail->link = s;
		else
			sched.ready = s;
		sched.ready_tail = s;
	}
	if (atomic_fetch_add(&sched.num_ready, 1) == 0 && sched.spinner)
		return;
	if (sched.idle)
		pthread_cond_signal(&sched.work);
	else if (sched.num_threads < BASE_EXECUTORS + sched.busy)
		spawn();
}

static struct soft_stream *pop_ready(void)
{
	struct soft_stream *s = sched.ready;

	if (!s)
		return NULL;
	sched.ready = s->link;
	atomic_fetch_sub(&sched.num_ready, 1);
	s->state = SOFT_RUNNING;
	return s;
}

/* Work of a poisoned process and of a context that is being destroyed is dropped. */
static bool is_void(const struct soft_stream *s)
{
	return soft_poisoned() || atomic_load_explicit(&s->obj.ctx->cancelled, memory_order_relaxed);
}

static struct soft_dep *pending_dep(struct soft_op *op)
{
	for (; op->next_dep < op->num_deps; op->next_dep++)
		if (!soft_reached(op->deps[op->next_dep].on, op->deps[op->next_dep].seq))
			return &op->deps[op->next_dep];
	return NULL;
}

/* Lock held. Parked streams whose turn has come, and calls that wait, go on. */
static void release_parked(void)
{
	struct soft_stream **p = &sched.parked, *s;
	struct soft_dep *d;

	while ((s = *p)) {
		d = &s->head->deps[s->head->next_dep];
		if (!is_void(s) && !soft_reached(d->on, d->seq)) {
			p = &s->link;
			continue;
		}
		*p = s->link;
		atomic_fetch_sub(&d->on->watchers, 1);
		make_ready(s);
	}
	pthread_cond_broadcast(&sched.done);
}

/* Lock held. */
static void release_polling(void)
{
	struct soft_stream **p = &sched.polling, *s;

	while ((s = *p)) {
		if (!is_void(s) && !s->head->ready(s->head)) {
			p = &s->link;
			continue;
		}
		*p = s->link;
		sched.nap = POLL_MIN_NS;
		make_ready(s);
	}
}

void soft_sched_kick(void)
{
	pthread_mutex_lock(&sched.lock);
	release_parked();
	release_polling();
	pthread_mutex_unlock(&sched.lock);
}

static void free_op(struct soft_op *op)
{
	uint32_t i;

	if (op->drop)
		op->drop(op);
	for (i = 0; i < op->num_deps; i++)
		soft_put(&op->deps[i].on->obj);
	if (op->deps != &op->one)
		free(op->deps);
	free(op);
}

static void complete(struct soft_op *op)
{
	struct soft_stream *s = op->stream;
	uint64_t seq = op->seq;

	free_op(op);
	atomic_store(&s->completed, seq);
	if (atomic_load(&s->watchers)) {
		pthread_mutex_lock(&sched.lock);
		release_parked();
		pthread_mutex_unlock(&sched.lock);
	}
}

/* Lock held. Puts the rest of a batch back in front of what came meanwhile. */
static void put_back(struct soft_stream *s, struct soft_op *first)
{
	struct soft_op *last = first;

	if (!first)
		return;
	while (last->next)
		last = last->next;
	last->next = s->head;
	if (!s->head)
		s->tail = last;
	s->head = first;
}

/* Lock held; false when the operation it would wait for is complete by now. */
static bool park(struct soft_stream *s)
{
	struct soft_dep *d = &s->head->deps[s->head->next_dep];

	atomic_fetch_add(&d->on->watchers, 1);
	if (atomic_load(&d->on->completed) >= d->seq) {
		atomic_fetch_sub(&d->on->watchers, 1);
		return false;
	}
	s->state = SOFT_PARKED;
	s->link = sched.parked;
	sched.parked = s;
	return true;
}

static void poll_later(struct soft_stream *s)
{
	s->state = SOFT_POLLING;
	s->link = sched.polling;
	sched.polling = s;
	sched.nap = POLL_MIN_NS;
	if (sched.idle && !sched.poller)
		pthread_cond_signal(&sched.work);
}

/*
 * Runs @op, the next of @s, if it can run now. True: go on with the next. False: the stream waits, everything from @op
 * on is back in its queue, and it is no longer the caller's.
 */
static bool step(struct soft_stream *s, struct soft_op *op)
{
	struct soft_op *next = op->next;
	bool drop = is_void(s), dep = !drop && pending_dep(op);

	if (dep || (!drop && op->ready && !op->ready(op))) {
		pthread_mutex_lock(&sched.lock);
		put_back(s, op);
		if (!dep)
			poll_later(s);
		else if (!park(s))
			make_ready(s);
		pthread_mutex_unlock(&sched.lock);
		return false;
	}
	if (drop && !op->unconditional) {
		complete(op);
		return true;
	}
	if (op->handed) {
		/* It may be complete, and another thread serve the stream, before run() returns. */
		pthread_mutex_lock(&sched.lock);
		put_back(s, next);
		pthread_mutex_unlock(&sched.lock);
		op->run(op);
		return false;
	}
	op->run(op);
	complete(op);
	return true;
}

/* The batch is done: the stream goes on, or is idle and gives up the reference that its queue held. */
static void leave(struct soft_stream *s)
{
	bool rest;

	pthread_mutex_lock(&sched.lock);
	rest = s->head;
	if (rest)
		make_ready(s);
	else
		end_busy(s);
	pthread_mutex_unlock(&sched.lock);
	if (!rest)
		soft_put(&s->obj);
}

/* Runs the stream, which is RUNNING and the caller's, until it is empty, waits for something, or has had its share. */
static void serve(struct soft_stream *s)
{
	struct soft_op *op, *next;

	pthread_mutex_lock(&sched.lock);
	op = s->head;
	s->head = s->tail = NULL;
	pthread_mutex_unlock(&sched.lock);
	for (; op; op = next) {
		next = op->next;
		if (!step(s, op))
			return;
	}
	leave(s);
}

/* Lock held. One look at the polled values, then a nap that ends early when there is work. */
static void poll_values(void)
{
	struct timespec t;

	release_polling();
	if (sched.ready || !sched.polling)
		return;
	sched.poller = true;
	sched.idle++;
	deadline(&t, sched.nap);
	sched.nap = sched.nap * 3 / 2 > POLL_MAX_NS ? POLL_MAX_NS : sched.nap * 3 / 2;
	pthread_cond_timedwait(&sched.work, &sched.lock, &t);
	sched.idle--;
	sched.poller = false;
}

/* Lock held. Looks for a moment, then sleeps. */
static void idle_wait(void)
{
	unsigned i;

	if (!sched.spinner) {
		sched.spinner = true;
		pthread_mutex_unlock(&sched.lock);
		for (i = 0; i < IDLE_SPINS && !atomic_load_explicit(&sched.num_ready, memory_order_relaxed); i++)
			relax();
		pthread_mutex_lock(&sched.lock);
		sched.spinner = false;
		if (sched.ready || atomic_load(&sched.stop) || (sched.polling && !sched.poller))
			return;
	}
	sched.idle++;
	pthread_cond_wait(&sched.work, &sched.lock);
	sched.idle--;
}

static void *executor(void *arg)
{
	struct soft_stream *s;

	pthread_mutex_lock(&sched.lock);
	while (!atomic_load(&sched.stop)) {
		s = pop_ready();
		if (s) {
			pthread_mutex_unlock(&sched.lock);
			serve(s);
			pthread_mutex_lock(&sched.lock);
		} else if (sched.polling && !sched.poller) {
			poll_values();
		} else {
			idle_wait();
		}
	}
	pthread_mutex_unlock(&sched.lock);
	return arg;
}

int soft_op_depend(struct soft_op *op, struct soft_stream *on, uint64_t seq)
{
	struct soft_dep *more;

	if (!op->num_deps) {
		op->deps = &op->one;
	} else if (!(op->num_deps & (op->num_deps - 1))) {
		more = malloc(2 * op->num_deps * sizeof(*more));
		if (!more)
			return -ENOMEM;
		for (uint32_t i = 0; i < op->num_deps; i++)
			more[i] = op->deps[i];
		if (op->deps != &op->one)
			free(op->deps);
		op->deps = more;
	}
	soft_ref(&on->obj);
	op->deps[op->num_deps].on = on;
	op->deps[op->num_deps++].seq = seq;
	return 0;
}

/* Lock held. A dependency that cannot be noted for want of memory makes the context unusable, never the order wrong. */
static void depend_on(struct soft_op *op, struct soft_stream *on)
{
	if (!soft_reached(on, on->submitted) &&
	    soft_op_depend(op, on, on->submitted) < 0)
		soft_poison(CUDA_ERROR_OUT_OF_MEMORY);
}

/* Lock held. All streams of a context wait for its gate, those of green ones for that of their base, too. */
static void order_gate(struct soft_stream *s, struct soft_op *op)
{
	struct soft_context *ctx = s->obj.ctx;

	if (s == &ctx->gate)
		return;
	depend_on(op, &ctx->gate);
	if (ctx->base != ctx)
		depend_on(op, &ctx->base->gate);
}

/* Lock held. The default stream waits for blocking streams, and they for it. */
static void order_default(struct soft_stream *s, struct soft_op *op)
{
	struct soft_stream *o;

	if (s->flags & CU_STREAM_NON_BLOCKING)
		return;
	if (!s->legacy) {
		depend_on(op, &s->obj.ctx->legacy);
		return;
	}
	for (o = s->obj.ctx->busy; o; o = o->next)
		if (o != s && !(o->flags & CU_STREAM_NON_BLOCKING))
			depend_on(op, o);
}

/* Whether the submitting thread may run @op, the first of an idle stream, itself. */
static bool runs_inline(struct soft_op *op)
{
	return op->quick && !pending_dep(op);
}

static void run_inline(struct soft_stream *s, struct soft_op *op)
{
	begin_busy(s);
	s->state = SOFT_RUNNING;
	pthread_mutex_unlock(&sched.lock);
	if (step(s, op))
		leave(s);
}

uint64_t soft_submit(struct soft_stream *s, struct soft_op *op)
{
	uint64_t seq;

	op->stream = s;
	op->next = NULL;
	pthread_mutex_lock(&sched.lock);
	order_gate(s, op);
	order_default(s, op);
	seq = op->seq = ++s->submitted;
	if (s->state == SOFT_IDLE && runs_inline(op)) {
		run_inline(s, op);
		return seq;
	}
	if (s->head)
		s->tail->next = op;
	else
		s->head = op;
	s->tail = op;
	if (s->state == SOFT_IDLE) {
		begin_busy(s);
		make_ready(s);
	}
	pthread_mutex_unlock(&sched.lock);
	return seq;
}

CUresult soft_submit_and_wait(struct soft_stream *s, struct soft_op *op)
{
	uint64_t seq = soft_submit(s, op);

	return soft_wait(s, seq);
}

/* Waits until @seq is reached; @until (ns, 0 = never) passes, or the device stops. */
static bool wait_until(struct soft_stream *s, uint64_t seq, uint64_t until)
{
	struct timespec t = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
	unsigned i;
	int rc = 0;

	for (i = 0; i < WAIT_SPINS; i++) {
		if (soft_reached(s, seq))
			return true;
		relax();
	}
	pthread_mutex_lock(&sched.lock);
	atomic_fetch_add(&s->watchers, 1);
	while (atomic_load(&s->completed) < seq && !rc && !atomic_load(&sched.stop)) {
		if (until)
			rc = pthread_cond_timedwait(&sched.done, &sched.lock, &t);
		else
			pthread_cond_wait(&sched.done, &sched.lock);
	}
	atomic_fetch_sub(&s->watchers, 1);
	pthread_mutex_unlock(&sched.lock);
	return soft_reached(s, seq);
}

CUresult soft_wait(struct soft_stream *s, uint64_t seq)
{
	if (!wait_until(s, seq, 0))
		return CUDA_ERROR_DEINITIALIZED;
	soft_fifo_flush(&s->obj.ctx->base->fifo);
	return vgpu_soft_fault();
}

/* Notes in @op, as dependencies, all that streams of @ctx hold now. Lock taken. */
static int note_busy(struct soft_op *op, struct soft_context *ctx, bool blocking_only)
{
	struct soft_stream *s;
	int rc = 0;

	pthread_mutex_lock(&sched.lock);
	for (s = ctx->busy; s && !rc; s = s->next)
		if (!(blocking_only && s->flags & CU_STREAM_NON_BLOCKING))
			rc = soft_op_depend(op, s, s->submitted);
	pthread_mutex_unlock(&sched.lock);
	return rc;
}

int soft_context_note(struct soft_op *op, struct soft_context *ctx)
{
	struct soft_context *green;
	uint32_t at = 0;
	int rc = note_busy(op, ctx, false);

	while (!rc && (green = soft_context_green(ctx, &at)))
		rc = note_busy(op, green, false);
	return rc;
}

static bool drain(struct soft_context *ctx, bool blocking_only, uint64_t until)
{
	struct soft_op *op = calloc(1, sizeof(*op));
	bool ok = op && !(blocking_only ? note_busy(op, ctx, true) : soft_context_note(op, ctx));
	uint32_t i;

	for (i = 0; ok && i < op->num_deps; i++)
		ok = wait_until(op->deps[i].on, op->deps[i].seq, until);
	if (op)
		free_op(op);
	soft_fifo_flush(&ctx->base->fifo);
	return ok;
}

bool soft_context_drain(struct soft_context *ctx, int ms)
{
	return drain(ctx, false, ms < 0 ? 0 : soft_now() + (uint64_t)ms * 1000000u);
}

CUresult soft_stream_drain(struct soft_stream *s)
{
	uint64_t seq;

	if (s->legacy) {
		if (!drain(s->obj.ctx, true, 0))
			return CUDA_ERROR_DEINITIALIZED;
		return vgpu_soft_fault();
	}
	pthread_mutex_lock(&sched.lock);
	seq = s->submitted;
	pthread_mutex_unlock(&sched.lock);
	return soft_wait(s, seq);
}

bool soft_stream_idle(struct soft_stream *s)
{
	struct soft_stream *o;
	bool idle;

	pthread_mutex_lock(&sched.lock);
	idle = soft_reached(s, s->submitted);
	if (s->legacy)
		for (o = s->obj.ctx->busy; o && idle; o = o->next)
			idle = o->flags & CU_STREAM_NON_BLOCKING || soft_reached(o, o->submitted);
	pthread_mutex_unlock(&sched.lock);
	return idle;
}

/* Lock held. In this order a reader counts the stretch twice for a moment rather than not at all. */
static void end_stretch(void)
{
	uint64_t since = atomic_load_explicit(soft_config.busy_since, memory_order_relaxed);

	atomic_fetch_add_explicit(soft_config.busy_ns, soft_now() - since, memory_order_relaxed);
	atomic_store_explicit(soft_config.busy_since, 0, memory_order_relaxed);
}

void soft_long_begin(void)
{
	pthread_mutex_lock(&sched.lock);
	if (!sched.busy++ && soft_config.busy_since)
		atomic_store_explicit(soft_config.busy_since, soft_now(), memory_order_relaxed);
	if (!sched.idle && !sched.spinner && sched.num_threads < BASE_EXECUTORS + sched.busy)
		spawn();
	pthread_mutex_unlock(&sched.lock);
}

void soft_long_end(void)
{
	pthread_mutex_lock(&sched.lock);
	if (!--sched.busy && soft_config.busy_since)
		end_stretch();
	pthread_mutex_unlock(&sched.lock);
}

void soft_handed_done(struct soft_op *op)
{
	struct soft_stream *s = op->stream;

	complete(op);
	leave(s);
}
