/* SPDX-License-Identifier: MIT */
/*
 * A guest without the shim: a session of the unix transport (VGPU_SOCKET_PATH) with bare hands, for benchmarks and tests
 * of the path itself.  One thread, one session at a time.
 */
#ifndef VGPU_BENCH_LINK_H
#define VGPU_BENCH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/ring.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>

struct link {
	int sock, memfd, bell;		/* bell: eventfd, or in register mode the socket to the worker */
	struct vgpu_shm_geometry geo;
	uint8_t *base;
	struct vgpu_channel *channel;
	struct vgpu_producer ring;
	uint64_t seq, doorbells, full;
};

/* Connect and shake hands, for the ring or for register mode. NULL, or what went wrong. */
const char *link_open(struct link *l, bool registers);
/* The same with so many bytes of shared memory; the mediator may give another size. */
const char *link_open_sized(struct link *l, bool registers, uint64_t shm_size);
void link_close(struct link *l);

/* One command without args beyond `words` 64-bit words; `slot`: reply slot + 1 or 0. Waits while the ring is full. */
void link_send(struct link *l, uint16_t op, uint16_t slot, const uint64_t *words, uint32_t count);

/* Publish what was reserved in `ring`, and ring if the worker sleeps. */
void link_publish(struct link *l, uint32_t size);

/* Wait for the answer to the newest command in reply slot 0. Its CUresult, or -1 if the session is dead. */
int link_wait(struct link *l);

/* Register mode: the same command as one CALL, and its RESULT. Its CUresult, or -1 if the session is dead. */
int link_call(struct link *l, uint16_t op, uint16_t slot, const uint64_t *words, uint32_t count);

/* The CALL with `size` bytes of data behind it, and nothing more. False if it could not be sent. */
bool link_send_call(struct link *l, struct vgpu_msg_call *m, const void *data, uint32_t size);

/* The next RESULT, without its data. Its CUresult, or -1 at the end of the session. */
int link_result(struct link *l);

#endif
