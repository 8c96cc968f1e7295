/* SPDX-License-Identifier: MIT */
/*
 * How a thread of the application waits. Owns nothing; the state is on the
 * caller's stack, any number of threads wait at once.
 */
#include "wait.h"

#include <sched.h>
#include <time.h>

#include <vgpu/cores.h>

#define SPINS_FREE	64u		/* pauses before the first look at the clock */
#define SPIN_NS		20000ull	/* keep the core this long, but */
#define YIELD_NS	4000ull		/* so often let those run who would end the wait, if they share it */
#define ALIVE_NS	5000000ull	/* between two questions whether the other side lives */
#define NAP_MAX_NS	5000000ull
#define SLACK_NS	60000ull	/* a sleep ends this much late by default (timer slack) */
#define SHARE_OF_FEW	100u		/* a nap is at most this part of the time waited so far */
#define SHARE_OF_MANY	1000u		/* the driver keeps the core for all of such a wait */

uint64_t vgpu_wait_elapsed(const struct vgpu_wait *w)
{
	return w->start ? vgpu_clock_ns() - w->start : 0;
}

static void nap(uint64_t ns)
{
	struct timespec t = { 0, (long)ns };

	nanosleep(&t, NULL);
}

/* A nap is at most the time waited so far, divided by this. */
static uint32_t nap_divisor(void)
{
	return vgpu_cores() > VGPU_FEW_CORES ? SHARE_OF_MANY : SHARE_OF_FEW;
}

bool vgpu_wait_step(struct vgpu_wait *w)
{
	uint64_t now, waited, share;

	/* While spinning, a look at the clock costs as much as the pauses between two. */
	if (++w->spins < SPINS_FREE || (!w->divisor && (w->spins & 15))) {
		vgpu_cpu_relax();
		return false;
	}
	now = vgpu_clock_ns();
	if (!w->start)
		w->start = w->checked = w->yielded = now;
	waited = now - w->start;
	if (waited < SPIN_NS) {
		if (now - w->yielded < YIELD_NS)
			return false;
		w->yielded = now;
		sched_yield();
		return false;
	}
	if (!w->divisor)
		w->divisor = nap_divisor();
	share = waited / w->divisor;
	if (share <= SLACK_NS + 10000)
		sched_yield();
	else
		nap(share - SLACK_NS < NAP_MAX_NS ? share - SLACK_NS : NAP_MAX_NS);
	if (now - w->checked < ALIVE_NS)
		return false;
	w->checked = now;
	return true;
}
