/* SPDX-License-Identifier: MIT */
/* Waiting for a turn. Owns nothing; any thread. */
#include "turn.h"

#include <sched.h>
#include <time.h>

#include "wait.h"

#define SPINS	200u		/* looks, a pause apart: several times what a command takes */
#define YIELDS	20u
#define NAP_NS	20000		/* to which the kernel adds its 50 us */

void vgpu_turn_await(struct vgpu_turn *t)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint32_t i;

	for (i = 0;; i++) {
		if (!atomic_load_explicit(&t->taken, memory_order_relaxed) && vgpu_turn_try(t))
			return;
		if (i < SPINS)
			vgpu_cpu_relax();
		else if (i < SPINS + YIELDS)
			sched_yield();
		else
			nanosleep(&nap, NULL);
	}
}
