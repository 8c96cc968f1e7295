/* SPDX-License-Identifier: MIT */
/* A ring whose consumer is a child process that only takes: the least that can stand behind a producer. */
#ifndef VGPU_BENCH_CONSUMER_H
#define VGPU_BENCH_CONSUMER_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>

#define CONSUMER_END	2	/* operation after which the consumer ends */

struct consumer {
	void *memory;		/* shared memory of one channel */
	struct vgpu_shm_geometry geometry;
	struct vgpu_ring_head *ring;
	uint8_t *data;		/* VGPU_RING_BYTES */
	pid_t pid;
};

/* False without memory or process. */
bool consumer_start(struct consumer *c);
/* After CONSUMER_END. False if the consumer saw a damaged ring. The memory is gone. */
bool consumer_wait(struct consumer *c);

#endif
