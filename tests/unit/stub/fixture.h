/* SPDX-License-Identifier: MIT */
/*
 * A stub and a mediator that a test plays by hand: it listens, accepts and
 * says what the test tells it to.  Every wait is bounded; one that runs out
 * fails the test.  Setup and teardown compare the number of open descriptors,
 * so that each test also shows that nothing leaks.
 */
#ifndef STUB_FIXTURE_H
#define STUB_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vgpu/device.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>

#include "stub.h"

#define FIX_MEMORY	(64ull << 20)
#define FIX_CHANNELS	4u
#define FIX_WAIT_MS	10000	/* patience, for slow and loaded machines */
#define FIX_SILENT_MS	50	/* that long fix_silent() listens */

struct fixture {
	char dir[64], path[96];
	int listen_fd;			/* -1: the mediator is not running */
	int conn;			/* -1: not connected */
	struct vgpu_stub *stub;
	struct vgpu_stub_config config;
	struct vgpu_shm_geometry geometry;
	uint8_t *base;			/* the VM's memory, as the guest sees it */
	int fds_before;

	pthread_mutex_t lock;		/* for what follows */
	char log[1 << 16];
	size_t log_used;
	unsigned int traces;
	bool stall;			/* the log callback waits while it is true */
};

/* cmocka setup and teardown; the stub is not created yet. */
int fix_setup(void **state);
int fix_teardown(void **state);

void fix_create(struct fixture *f);
void fix_destroy(struct fixture *f);

/* The mediator's socket exists, or does not. */
void fix_listen(struct fixture *f);
void fix_unlisten(struct fixture *f);
/* Wait for the stub's connection; the result is also f->conn. */
int fix_accept(struct fixture *f);
void fix_hangup(struct fixture *f);
/* accept, HELLO, WELCOME. */
void fix_welcome(struct fixture *f);
/* create, listen and welcome. */
void fix_connected(struct fixture *f);

/* One message, into `buf`; a descriptor that came with it into *fd (or -1) if fd is given. Returns its size. */
size_t fix_recv(int sock, void *buf, size_t size, int *fd);
/* The next message has this type and exactly this size. */
void fix_expect(int sock, uint16_t type, void *buf, size_t size);
/* True if the peer closes within the time; messages before that are thrown away. */
bool fix_closed(int sock);
/* Nothing arrives for a moment. */
void fix_silent(int sock);
void fix_send_raw(int sock, const void *buf, size_t size, const int *fds, unsigned int count);
struct vgpu_msg fix_header(uint16_t type, size_t size);
void fix_send_channel(struct fixture *f, uint16_t type, uint32_t channel, uint32_t generation, int fd);
void fix_send_failed(struct fixture *f, uint32_t channel, uint32_t error, const char *text);

/* The guest's side. */
uint32_t fix_read(struct fixture *f, uint32_t offset);
uint64_t fix_read64(struct fixture *f, uint32_t offset);
void fix_write(struct fixture *f, uint32_t offset, uint32_t value);
struct vgpu_channel_ctl *fix_ctl(struct fixture *f, uint32_t channel);
/* Next generation, then the OPEN register. */
uint32_t fix_guest_open(struct fixture *f, uint32_t channel);
void fix_wait_state(struct fixture *f, uint32_t channel, uint32_t state, uint32_t error);
void fix_wait_counter(struct fixture *f, uint32_t offset, uint64_t at_least);
void fix_ring(struct fixture *f, uint32_t channel, uint64_t count);
/* A session with its wake socket; returns the worker's end. */
int fix_open(struct fixture *f, uint32_t channel);

void fix_wait_log(struct fixture *f, const char *part);
unsigned int fix_count_log(struct fixture *f, const char *part);
void fix_stall(struct fixture *f, bool on);
void fix_nap(void);
uint64_t fix_now_ms(void);

#endif
