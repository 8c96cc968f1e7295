/* SPDX-License-Identifier: MIT */
/*
 * The way of a doorbell: eventfd, stub, message, worker.  Features of io_uring one by one, against epoll with read, send
 * and recv, and against one message for each doorbell.
 *
 *	cost	a doorbell on each channel, carried by one thread: system calls and what the kernel does in them, nobody is
 *		woken
 *	latency	one doorbell, until a worker that slept has its message: stub and workers have threads of their own
 *	flood	doorbells as fast as one thread can ring them; how many messages remain of them
 *
 * Threads are bound to cores where there are two: the one that rings to the first, stub and workers to the second.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gbench.h"
#include "pipe.h"

#define FLOOD 4096	/* doorbells between two waits for all of them to arrive */

/* From left to right each adds one feature, so that a row minus the one before is what the feature brings. */
static const struct pipe_way ways[] = {
	{ "message_each", PIPE_EPOLL | PIPE_EACH },
	{ "epoll", PIPE_EPOLL },
	{ "uring", 0 },
	{ "uring_defer", PIPE_DEFER },
	{ "uring_defer_skip", PIPE_DEFER | PIPE_SKIP },
	{ "uring_defer_skip_fixed", PIPE_DEFER | PIPE_SKIP | PIPE_FIXED },
	{ "uring_defer_skip_fixed_buffers", PIPE_DEFER | PIPE_SKIP | PIPE_FIXED | PIPE_BUFFERS },
	{ "uring_defer_skip_fixed_multi", PIPE_DEFER | PIPE_SKIP | PIPE_FIXED | PIPE_MULTI },
	{ "uring_defer_skip_fixed_multi_bell",
	  PIPE_DEFER | PIPE_SKIP | PIPE_FIXED | PIPE_MULTI | PIPE_MULTI_BELL },
	{ "uring_sqpoll_fixed", PIPE_SQPOLL | PIPE_FIXED },
};

static bool start(struct gbench *b, struct pipe *p, unsigned int channels)
{
	int ret = pipe_open(p, gbench_data(b), channels);

	if (ret)
		gbench_fail(b, strerror(-ret));
	return !ret;
}

static uint64_t arrived(struct pipe *p)
{
	return atomic_load_explicit(&p->received, memory_order_acquire);
}

/* ---- one thread ---- */

static int carry(struct pipe *p, uint64_t rung)
{
	int ret = 0;

	while (!ret && p->doorbells < rung)
		ret = pipe_stub_turn(p);
	pipe_stub_flush(p);
	while (!ret && arrived(p) < rung)
		ret = pipe_worker_turn(p);
	return ret;
}

static void cost(struct gbench *b)
{
	unsigned int channels = (unsigned int)gbench_argument(b);
	uint64_t rung = 0;
	struct pipe p;
	int ret = 0;

	if (!start(b, &p, channels))
		return;
	while (gbench_next(b)) {
		for (unsigned int i = 0; i < channels; i++)
			pipe_ring(&p, i, 1);
		rung += channels;
		ret = ret ? ret : carry(&p, rung);
	}
	if (ret)
		gbench_fail(b, strerror(-ret));
	gbench_items(b, (int64_t)rung);
	pipe_close(&p);
}

/* ---- a thread for the stub, one for the workers ---- */

struct line {
	struct pipe pipe;
	pthread_t stub, workers;
	uint64_t rung;
	_Atomic uint64_t last;		/* rung when the threads shall end, 0: not yet */
	_Atomic int error;
	double stub_ns, worker_ns;	/* processor time, when they have ended */
};

static bool two_cores;

static void pin(const struct pipe *p, unsigned int core)
{
	cpu_set_t set;

	/* Its kernel threads would be bound to the same core, and never leave it. */
	if (!two_cores || p->features & PIPE_SQPOLL)
		return;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static double thread_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return 1e9 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       1e3 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void *stub_main(void *arg)
{
	struct line *l = arg;
	int ret = 0;

	pin(&l->pipe, 1);
	while (!ret && l->pipe.doorbells != atomic_load(&l->last))
		ret = pipe_stub_turn(&l->pipe);
	pipe_stub_flush(&l->pipe);
	atomic_store(&l->error, ret);
	l->stub_ns = thread_ns();
	return NULL;
}

static void *worker_main(void *arg)
{
	struct line *l = arg;
	int ret = 0;

	pin(&l->pipe, 1);
	while (!ret && arrived(&l->pipe) != atomic_load(&l->last))
		ret = pipe_worker_turn(&l->pipe);
	atomic_store(&l->error, ret);
	l->worker_ns = thread_ns();
	return NULL;
}

static bool line_open(struct gbench *b, struct line *l)
{
	memset(l, 0, sizeof(*l));
	atomic_store(&l->last, UINT64_MAX);
	if (!start(b, &l->pipe, 1))
		return false;
	pin(&l->pipe, 0);
	if (pthread_create(&l->stub, NULL, stub_main, l) || pthread_create(&l->workers, NULL, worker_main, l))
		abort();
	return true;
}

static void line_ring(struct line *l, uint64_t times)
{
	while (times--) {
		pipe_ring(&l->pipe, 0, 1);
		l->rung++;
	}
	while (arrived(&l->pipe) != l->rung && !atomic_load(&l->error))
		;
}

static void line_close(struct gbench *b, struct line *l)
{
	atomic_store(&l->last, l->rung + 1);
	pipe_ring(&l->pipe, 0, 1);
	pthread_join(l->stub, NULL);
	pthread_join(l->workers, NULL);
	if (atomic_load(&l->error))
		gbench_fail(b, strerror(-atomic_load(&l->error)));
	gbench_items(b, (int64_t)l->rung);
	gbench_figure(b, "messages_per_1000", 1000.0 * (double)l->pipe.messages / (double)l->pipe.doorbells);
	gbench_figure(b, "stub_ns", l->stub_ns / (double)l->pipe.doorbells);
	gbench_figure(b, "worker_ns", l->worker_ns / (double)l->pipe.doorbells);
	pipe_close(&l->pipe);
}

static void latency(struct gbench *b)
{
	struct line l;

	if (!line_open(b, &l))
		return;
	while (gbench_next(b)) {
		uint64_t begin = gbench_clock();

		line_ring(&l, 1);
		gbench_sample(b, gbench_clock() - begin);
	}
	line_close(b, &l);
}

static void flood(struct gbench *b)
{
	struct line l;

	if (!line_open(b, &l))
		return;
	while (gbench_next_batch(b, FLOOD))
		line_ring(&l, FLOOD);
	line_close(b, &l);
}

/* ---- the list ---- */

static void add(const char *what, gbench_fn fn, int64_t channels, const struct pipe_way *way)
{
	const struct gbench_case c = { .args = { { "channels", channels } }, .data = way };
	char name[96];

	snprintf(name, sizeof(name), "pipeline/%s_%s", what, way->name);
	gbench_add_case(name, fn, &c);
}

int main(int argc, char **argv)
{
	const size_t count = sizeof(ways) / sizeof(ways[0]);
	cpu_set_t set;

	two_cores = !sched_getaffinity(0, sizeof(set), &set) && CPU_ISSET(0, &set) && CPU_ISSET(1, &set);
	for (size_t i = 0; i < count; i++)
		for (int64_t channels = 1; channels <= PIPE_MOST; channels *= 8)
			add("cost", cost, channels, &ways[i]);
	for (size_t i = 0; i < count; i++)
		add("latency", latency, 1, &ways[i]);
	for (size_t i = 0; i < count; i++)
		add("flood", flood, 1, &ways[i]);
	return gbench_main(argc, argv);
}
