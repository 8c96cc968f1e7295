/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: a kernel that faults writes no fence, and a worker that sleeps calls nothing that would tell it.  It
 * keeps the fences that were enqueued and not yet seen in memory; while there are any, the loop wakes at least every
 * VGPU_WATCHDOG_MS and asks the driver, by a query of an empty stream, whether the context is still alive.
 *
 * The words it looks at belong to the guest, which can so only stop its own watchdog.
 */
#ifndef VGPU_WORKER_WATCHDOG_H
#define VGPU_WORKER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/shm.h>

#define VGPU_WATCHDOG_MS	50

struct vgpu_session;

struct vgpu_watchdog {
	uint64_t expected[VGPU_FENCES];		/* value of the newest fence of each word; 0: none outstanding */
	uint16_t waiting[VGPU_FENCES];		/* words with one, in no order */
	uint32_t count;
	uint64_t asked_ns;			/* when the driver was last asked */
};

/* A write of `value` to fence word `index` was enqueued. */
void vgpu_watchdog_expect(struct vgpu_watchdog *w, uint32_t index, uint64_t value);

/* Forget the fences that have arrived. True if others are outstanding. */
bool vgpu_watchdog_outstanding(struct vgpu_session *s);

/* While fences are outstanding, ask the driver at most every VGPU_WATCHDOG_MS; an error becomes sticky. */
void vgpu_watchdog_run(struct vgpu_session *s, uint64_t now_ns);

#endif
