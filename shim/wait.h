/* SPDX-License-Identifier: MIT */
/*
 * Adaptive waiting for a word of shared memory: spin, then give the core
 * away, then nap for at most 1/100 of the time waited so far, so that a long
 * wait ends at most 1 % late and a short one costs no nap.
 *
 *	struct vgpu_wait w = VGPU_WAIT_INIT;
 *	while (!condition)
 *		if (vgpu_wait_step(&w))
 *			look at the slow signs: is the other side alive?
 */
#ifndef VGPU_SHIM_WAIT_H
#define VGPU_SHIM_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct vgpu_wait {
	uint64_t start;		/* CLOCK_MONOTONIC, ns; 0 before the first look at the clock */
	uint64_t yielded;	/* when the core was last given away while spinning */
	uint64_t checked;	/* when vgpu_wait_step() last returned true */
	uint32_t spins;
	bool yields;		/* the spinning phase is over */
};

#define VGPU_WAIT_INIT { 0, 0, 0, 0, false }

/* One step. True now and then (each 5 ms or so): time to ask whether the other side lives. */
bool vgpu_wait_step(struct vgpu_wait *w);
/* Nanoseconds waited so far; 0 while still in the first spins. */
uint64_t vgpu_wait_elapsed(const struct vgpu_wait *w);
uint64_t vgpu_clock_ns(void);

static inline void vgpu_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
