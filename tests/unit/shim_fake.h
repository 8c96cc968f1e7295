/* SPDX-License-Identifier: MIT */
/*
 * The shim's runtime without a mediator: a private shared memory, a transport
 * that counts doorbells, and a consumer thread that the test supplies.
 */
#ifndef TEST_SHIM_FAKE_H
#define TEST_SHIM_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/ring.h>

struct shim_fake {
	_Atomic uint64_t doorbells;
	_Atomic bool alive;
	_Atomic bool stop;
	bool device;		/* what cuInit asks of devices is answered: there is one */
	/* One command, already private; runs in the consumer thread. */
	void (*command)(struct shim_fake *f, const struct vgpu_cmd *cmd);
	uint64_t taken;
	struct vgpu_consumer consumer;
};

extern struct shim_fake shim_fake;

/* Open vgpu_session over fresh memory; VGPU_BATCH as given. Once for each test program. */
void shim_fake_open(uint32_t batch, uint32_t batch_usec);
/* Take all that is there now; number of commands, -1 for a broken ring. */
int shim_fake_drain(void);
/* The answer to a command that waits. */
void shim_fake_reply(const struct vgpu_cmd *cmd, int result, const void *data, uint32_t size);
/* Drain until `stop`, polling. For pthread_create(). */
void *shim_fake_thread(void *unused);
/* Open, drain in a thread, and have one device, for which the test need not answer. 0, or nothing can be tested. */
int shim_fake_start(void);
void shim_fake_stop(void);

#endif
