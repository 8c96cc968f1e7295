/* SPDX-License-Identifier: MIT */
/*
 * A mediator of the test's own, with fake_worker, in a directory of its own;
 * and the two kinds of peers that it serves.  Failures end the test.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <vgpu/shm.h>

#include "control.h"
#include "message.h"

struct mediator {
	char dir[64], socket[96], control[96], log[96];
	pid_t pid;
};

/* Start with FAKE_WORKER=mode and more options (NULL-terminated); returns when it listens. */
void mediator_start(struct mediator *m, const char *mode, ...);
/*
 * SIGKILL: it leaves its sockets. Then mediator_restart() starts another in its place, with options as above, or
 * mediator_clear() removes what is left of it.
 */
void mediator_kill(const struct mediator *m);
void mediator_restart(struct mediator *m, const char *mode, ...);
void mediator_clear(const struct mediator *m);
/* SIGTERM; asserts that it ends with status 0 and leaves no socket. */
void mediator_stop(struct mediator *m);
/* Lines of its log that contain the text. */
unsigned int mediator_logged(const struct mediator *m, const char *text);

/* Only a test that fails waits this long; a busy machine may take seconds for what is a moment on an idle one. */
#define PATIENCE_MS	20000

/* Try until the expression holds. */
#define soon(expression)					\
	do {							\
		int tries = PATIENCE_MS / 10;			\
		while (!(expression) && tries--)		\
			nap_ms(10);				\
		assert_true(expression);			\
	} while (0)

void nap_ms(unsigned int ms);

int peer_connect(const struct mediator *m);
int control_connect(const struct mediator *m);
/* Send the line, return the answer. */
struct json_object *control_ask(int fd, const char *line);
/* A number of the status document's top level, or of "object.key". */
uint64_t status_number(const struct mediator *m, const char *key);

/* Wait for the next packet; 0 at the end of the connection. */
int peer_receive(int fd, struct vgpu_packet *p);

struct shim {
	int fd, memfd, wake;
	uint32_t session;
	struct vgpu_shm_geometry g;
	void *base;
	struct vgpu_channel *channel;
	struct vgpu_producer producer;
	uint64_t seq;
};

void hello_send(int fd, uint32_t role, uint64_t size, uint32_t channels, int memfd);
/* Connect as a shim with 64 MiB and take WELCOME. */
void shim_open(struct shim *s, const struct mediator *m);
/* The same, and wait until a worker serves it. */
void shim_start(struct shim *s, const struct mediator *m);
/* As shim_open(), over a socket that is connected already; it is the shim's then. */
void shim_open_on(struct shim *s, int fd, uint32_t role);
/* The same as VGPU_ROLE_SHIM or VGPU_ROLE_MONITOR. */
void shim_open_role(struct shim *s, const struct mediator *m, uint32_t role);
/* The same as another user: the kernel tells the mediator who that is. Needs root. */
void shim_open_as(struct shim *s, const struct mediator *m, uint32_t role, uid_t uid);
/* Publish one command and ring. */
void shim_command(struct shim *s);
void shim_close(struct shim *s);

struct stub {
	int fd, memfd;
	struct vgpu_shm_geometry g;
	void *base;
};

int make_memory(uint64_t size, unsigned int seals);
/* Connect as the stub of VM `vm_id` with 64 MiB and 4 channels, take WELCOME. */
void stub_open(struct stub *s, const struct mediator *m);
void stub_channel(struct stub *s, uint16_t type, uint32_t channel, uint32_t generation);
/* Wait for a message of this type, answering STATS_REQUEST meanwhile. */
void stub_expect(struct stub *s, uint16_t type, struct vgpu_packet *p);
struct vgpu_channel_ctl *stub_ctl(struct stub *s, uint32_t channel);
/* What a guest does to a channel before it asks for a session. */
void stub_guest_prepares(struct stub *s, uint32_t channel, uint32_t generation);
/* A session on the channel, running; *wake is the caller's. */
void stub_open_channel(struct stub *s, uint32_t channel, uint32_t generation, int *wake);
void stub_close(struct stub *s);

/* One session of either transport, seen from its guest. */
struct party {
	struct vgpu_channel *channel;
	struct vgpu_producer ring;
	int wake;
	bool socket;		/* a VM's: rung by messages */
	uint64_t seq;
};

/* Returns when its worker is ready. `wake` stays the shim's. */
struct party party_of_shim(const struct shim *s);
/* A session on the channel; p.wake is the caller's. */
struct party party_of_vm(struct stub *s, uint32_t channel);
/* Have the worker execute a command of one unit (64 bytes), of which `op` and what follows the header are set. Its result. */
int party_call(struct party *p, const void *command);

/* Open descriptors of a process. */
unsigned int count_fds(pid_t pid);

#endif
