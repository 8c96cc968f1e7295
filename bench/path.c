/* SPDX-License-Identifier: MIT */
/*
 * Commands that do nothing, from this process to a worker of a running mediator (VGPU_SOCKET_PATH): what one costs its
 * caller, how many a worker executes in a second, how many doorbells that takes, how long an answer takes.  Compared with
 * bench_ring, the same ring without a worker behind it.
 */
#include <stdlib.h>
#include <time.h>

#include <gen/wire.h>

#include "gbench.h"
#include "link.h"

/* Fits the ring: no call waits for room. */
#define BURST 8192

static bool barrier(struct link *l)
{
	const uint64_t cookie = 1;

	link_send(l, VGPU_OP_ping, 1, &cookie, 1);
	return link_wait(l) == 0;
}

static bool start(struct gbench *b, struct link *l)
{
	const char *why = link_open(l, false);

	if (why)
		gbench_fail(b, why);
	return !why;
}

static void report(struct gbench *b, struct link *l, uint64_t commands)
{
	gbench_items(b, (int64_t)commands);
	gbench_figure(b, "doorbells_per_1000", commands ? 1000.0 * (double)l->doorbells / (double)commands : 0);
	link_close(l);
}

/* Executed, not only sent: the time ends with an answer to the last. */
static void noop_throughput(struct gbench *b)
{
	struct link l;
	bool ok = true;

	if (!start(b, &l))
		return;
	while (gbench_next_batch(b, BURST * 16)) {
		for (int i = 0; i < BURST * 16; i++)
			link_send(&l, VGPU_OP_noop, 0, NULL, 0);
		ok &= barrier(&l);
	}
	if (!ok)
		gbench_fail(b, "the session ended");
	report(b, &l, l.seq);
}

/* The caller's own time, with room in the ring; the worker catches up while the clock stands. */
static void noop_caller(struct gbench *b)
{
	struct link l;
	bool ok = true;

	if (!start(b, &l))
		return;
	while (gbench_next_batch(b, BURST)) {
		for (int i = 0; i < BURST; i++)
			link_send(&l, VGPU_OP_noop, 0, NULL, 0);
		gbench_pause(b);
		ok &= barrier(&l);
		gbench_resume(b);
	}
	if (!ok)
		gbench_fail(b, "the session ended");
	report(b, &l, l.seq);
}

static void round_trip(struct gbench *b)
{
	struct link l;
	bool ok = true;

	if (!start(b, &l))
		return;
	while (gbench_next(b))
		ok &= barrier(&l);
	if (!ok)
		gbench_fail(b, "the session ended");
	report(b, &l, l.seq);
}

int main(int argc, char **argv)
{
	gbench_add("path/noop_throughput", noop_throughput, 0);
	gbench_add("path/noop_caller", noop_caller, 0);
	gbench_add("path/round_trip", round_trip, 0);
	return gbench_main(argc, argv);
}
