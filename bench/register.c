/* SPDX-License-Identifier: MIT */
/*
 * What the ring is worth: calls that do nothing, executed by a worker of a running mediator (VGPU_SOCKET_PATH), as
 * commands in the ring and in register mode (VGPU_BATCH=0: one message there and one back for each call), over the same
 * transport.  The figure ring_over_register relates the rates of this run; it needs both benchmarks in their order.
 */
#include <gen/wire.h>

#include <time.h>

#include "gbench.h"
#include "link.h"

#define BATCH (128 << 10)

static double ring_rate;	/* calls a second, of the benchmark that ran before */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool start(struct gbench *b, struct link *l, bool registers)
{
	const char *why = link_open(l, registers);

	if (why)
		gbench_fail(b, why);
	return !why;
}

/* `from`: when the clock began. Returns calls a second. */
static double report(struct gbench *b, struct link *l, double from)
{
	double calls = (double)l->seq, rate = calls / (seconds() - from);

	gbench_items(b, (int64_t)l->seq);
	gbench_figure(b, "messages_per_1000", calls ? 1000.0 * (double)l->doorbells / calls : 0);
	link_close(l);
	return rate;
}

/* Executed, not only sent: each batch ends with an answer. */
static void ring(struct gbench *b)
{
	const uint64_t cookie = 1;
	bool ok = true;
	struct link l;
	double from;

	if (!start(b, &l, false))
		return;
	from = seconds();
	while (gbench_next_batch(b, BATCH)) {
		for (int i = 1; i < BATCH; i++)
			link_send(&l, VGPU_OP_noop, 0, NULL, 0);
		link_send(&l, VGPU_OP_ping, 1, &cookie, 1);
		ok &= !link_wait(&l);
	}
	if (!ok)
		gbench_fail(b, "the session ended");
	ring_rate = report(b, &l, from);
}

static void registers(struct gbench *b)
{
	bool ok = true;
	struct link l;
	double from, rate;

	if (!start(b, &l, true))
		return;
	from = seconds();
	while (gbench_next(b))
		ok &= !link_call(&l, VGPU_OP_noop, 0, NULL, 0);
	if (!ok)
		gbench_fail(b, "the session ended");
	rate = report(b, &l, from);
	if (ring_rate > 0)
		gbench_figure(b, "ring_over_register", ring_rate / rate);
}

int main(int argc, char **argv)
{
	gbench_add("register/ring", ring, 0);
	gbench_add("register/register", registers, 0);
	return gbench_main(argc, argv);
}
