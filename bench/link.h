/* SPDX-License-Identifier: MIT */
/*
 * A guest without the shim: a session of the unix transport (VGPU_SOCKET_PATH) with bare hands, for benchmarks of the
 * path itself.  One thread.
 */
#ifndef VGPU_BENCH_LINK_H
#define VGPU_BENCH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>

struct link {
	int sock, memfd, bell;
	struct vgpu_shm_geometry geo;
	uint8_t *base;
	struct vgpu_channel *channel;
	struct vgpu_producer ring;
	uint64_t seq, doorbells, full;
};

/* Connect and shake hands. NULL, or what went wrong. */
const char *link_open(struct link *l);
void link_close(struct link *l);

/* One command without args beyond `words` 64-bit words; `slot`: reply slot + 1 or 0. Waits while the ring is full. */
void link_send(struct link *l, uint16_t op, uint16_t slot, const uint64_t *words, uint32_t count);

/* Wait for the answer to the newest command in reply slot 0. Its CUresult, or -1 if the session is dead. */
int link_wait(struct link *l);

#endif
