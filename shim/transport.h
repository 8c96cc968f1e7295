/* SPDX-License-Identifier: MIT */
/*
 * A transport brings the shared memory and a way to ring. Two of them:
 * transport_unix.c (the mediator's socket) and transport_pci.c (BAR2 and BAR0
 * of the device in this VM). Opened by the thread that runs cuInit; doorbell
 * and alive are called by any thread, `close` by nobody else at the same time.
 */
#ifndef VGPU_SHIM_TRANSPORT_H
#define VGPU_SHIM_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/shm.h>

struct vgpu_cmd;
struct vgpu_config;

/* What one call of register mode brought back. */
struct vgpu_transport_result {
	int32_t status;			/* CUresult */
	uint32_t size;			/* bytes of data */
	uint8_t data[VGPU_REPLY_DATA];
};

struct vgpu_transport {
	const struct vgpu_transport_ops *ops;
	int memory_fd;			/* the whole shared memory, mappable from offset 0 */
	int wake_fd;			/* unix: eventfd, or in register mode the socket to the worker; else -1 */
	int link_fd;			/* unix: the connection; else -1 */
	volatile uint32_t *registers;	/* pci: BAR0; else NULL */
	volatile uint8_t *window;	/* pci, register mode: BAR1; else NULL */
	uint32_t generation;		/* pci: of our session on the channel */
	uint64_t calls;			/* unix, register mode: made so far */
	struct vgpu_shm_geometry geometry;
	uint32_t channel;		/* ours */
	uint32_t session;		/* unix: the mediator's number, 0 until known */
	char mapping[32];		/* how the memory is mapped, for people */
	char text[320];			/* why open failed: one line with the next step */
};

struct vgpu_transport_ops {
	const char *name;
	/*
	 * Connect. 0; -ENODEV: there is no such way here (the next transport is
	 * tried); other negative errno: it is there and does not work. t->text
	 * says why. The channel's guest half is written by session.c between
	 * open and start.
	 */
	int (*open)(struct vgpu_transport *t, const struct vgpu_config *config);
	/* The guest's half of the control block is filled in: ask for a worker. */
	int (*start)(struct vgpu_transport *t);
	void (*doorbell)(struct vgpu_transport *t);
	/*
	 * Register mode (VGPU_BATCH=0): carry one command of `size` bytes to the worker and wait for what it answers.  0,
	 * -ETIMEDOUT after `until` (CLOCK_MONOTONIC, ns; 0: no limit), or other negative errno: the way is broken.
	 * By one thread at a time.
	 */
	int (*call)(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size, uint64_t until,
		    struct vgpu_transport_result *result);
	/* False once the other end is known to be gone. Cheap enough to ask each 5 ms. */
	bool (*alive)(struct vgpu_transport *t);
	void (*close)(struct vgpu_transport *t);
	/* At process exit, other threads may be inside: tell the host, touch nothing else. May be NULL. */
	void (*exit)(struct vgpu_transport *t);
	/* In a fork's child: give up what is shared with the parent. Async-signal-safe. */
	void (*forked)(struct vgpu_transport *t);
};

extern const struct vgpu_transport_ops vgpu_transport_unix;
extern const struct vgpu_transport_ops vgpu_transport_pci;

/* Open the configured transport, or by default pci if the device is there, else unix. 0 or -errno. */
int vgpu_transport_open(struct vgpu_transport *t, const struct vgpu_config *config);

#endif
