/* SPDX-License-Identifier: MIT */
/*
 * Adaptive waiting for a word of shared memory: spin, then give the core
 * away, then nap for at most 1/1000 of the time waited so far (1/100 where the
 * process has one or two processors), so that a long wait ends at most that
 * much late and a short one costs no nap.
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

#include <vgpu/clock.h>

struct vgpu_wait {
	uint64_t start;		/* CLOCK_MONOTONIC, ns; 0 before the first look at the clock */
	uint64_t yielded;	/* when the core was last given away while spinning */
	uint64_t checked;	/* when vgpu_wait_step() last returned true */
	uint32_t spins;
	uint32_t divisor;	/* a nap is at most this part of the time waited; 0 while still spinning */
};

#define VGPU_WAIT_INIT { 0, 0, 0, 0, 0 }

/* One step. True now and then (each 5 ms or so): time to ask whether the other side lives. */
bool vgpu_wait_step(struct vgpu_wait *w);
/* Nanoseconds waited so far; 0 while still in the first spins. */
uint64_t vgpu_wait_elapsed(const struct vgpu_wait *w);

static inline void vgpu_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
