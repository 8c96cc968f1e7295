/* SPDX-License-Identifier: MIT */
/*
 * Threads of ours that help one call of the application at a time with bulk
 * work. Made when first needed, asleep when there is nothing to do, deaf to
 * the application's signals; a fork's child has none and never asks for one.
 */
#ifndef VGPU_SHIM_CREW_H
#define VGPU_SHIM_CREW_H

#include <stdint.h>

/* Threads that may work on one copy, the caller included: VGPU_COPY_THREADS, or what the cores allow. At least 1. */
uint32_t vgpu_crew_size(void);
/*
 * Call work(job) here and, at the same time, in up to `more` helpers; returns when all have returned. Helpers
 * see the caller's current context as theirs. When they are busy with another call, or cannot be made, the caller works
 * alone: `work` takes its pieces from `job` until none is left.
 */
void vgpu_crew_run(void (*work)(void *job), void *job, uint32_t more);

#endif
