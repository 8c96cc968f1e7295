/* SPDX-License-Identifier: MIT */
/*
 * A supervisor and a guest in one, for tests and benchmarks: starts a real vgpu-worker (environment VGPU_WORKER) on a
 * memfd of its own and speaks to it through the ring, without the shim.  One thread.  Every failure of the set-up ends
 * the program with a line on stderr.
 */
#ifndef VGPU_TEST_GUEST_H
#define VGPU_TEST_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>

#include "control.h"

struct guest {
	pid_t worker;
	int control, wake, memfd;
	struct vgpu_worker_stats *stats;
	struct vgpu_ctl_ready ready;	/* what the worker said first */
	struct vgpu_shm_geometry geo;
	uint8_t *base;
	struct vgpu_channel *channel;
	struct vgpu_producer ring;
	uint64_t seq;
	uint64_t doorbells;
	uint32_t context;		/* for the header of each command */
};

/* Start a worker with --device soft (or what VGPU_TEST_DEVICE says) and wait for READY. */
void guest_spawn(struct guest *g);

/* ATTACH and the guest's side of the handshake. `limit`: bytes of device memory, 0: none. */
void guest_attach(struct guest *g, uint64_t limit);

/* DETACH, and wait for the worker to end. Its exit status. */
int guest_finish(struct guest *g);

/* The next note of the worker (type, error, text) within 10 s; false: it closed the socket. */
bool guest_note(struct guest *g, struct vgpu_ctl_note *note);

/*
 * One command. guest_begin gives room for args and, behind them, the payload; guest_end publishes and rings if needed.
 * `slot`: reply slot + 1 or 0.
 */
struct guest_command {
	struct vgpu_cmd *cmd;
	void *args, *payload;
};
struct guest_command guest_begin(struct guest *g, uint16_t op, uint32_t args, uint32_t payload, uint16_t slot);
void guest_end(struct guest *g, struct guest_command c);

/* Wait for the answer to the newest command in slot 1. Its CUresult; *ret points at the data. */
int guest_wait(struct guest *g, const void **ret);

/* begin + copy args and payload + end + wait, in slot 1. */
int guest_call(struct guest *g, uint16_t op, const void *args, uint32_t args_size, const void *payload,
	       uint32_t payload_size, const void **ret);
/* The same without an answer. */
void guest_send(struct guest *g, uint16_t op, const void *args, uint32_t args_size, const void *payload,
		uint32_t payload_size);

/* A tenth of a millisecond. */
void guest_nap(void);

/* Wait up to `ms` until fence word `index` is at least `value`. */
bool guest_fence(struct guest *g, uint32_t index, uint64_t value, unsigned int ms);

#endif
