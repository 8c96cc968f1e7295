/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the stub.  Fields marked `any` are atomics that the register
 * side (any thread) and the stub's thread share; all others belong to the
 * stub's thread once create() has started it.
 */
#ifndef VGPU_STUB_INTERNAL_H
#define VGPU_STUB_INTERNAL_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <vgpu/device.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>

#include "stub.h"

#define STUB_MAX_FDS	4	/* descriptors received with one message; more are closed */

/* What is under way in the ring: user_data points here. One use at a time. */
struct stub_op {
	void (*done)(struct vgpu_stub *s, struct stub_op *op, int res);
	bool busy;
};

#define stub_container(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

enum stub_chan_state {
	STUB_CHAN_CLOSED,
	STUB_CHAN_OPENING,	/* OPEN is queued or sent, no answer yet */
	STUB_CHAN_OPEN,
	STUB_CHAN_CLOSING,	/* CLOSE is queued or sent, no answer yet */
};

/* Requests of the register side. Both bits: close, then open. */
#define STUB_REQ_OPEN	1u
#define STUB_REQ_CLOSE	2u

struct stub_wake;

struct stub_channel {
	uint32_t index;
	int doorbell_fd;
	uint64_t doorbell_count;	/* the ring reads the eventfd into this */
	struct stub_op doorbell;
	_Atomic uint32_t request;	/* any: STUB_REQ_* */

	enum stub_chan_state state;
	bool reopen;			/* CLOSING: open again afterwards */
	bool send_open, send_close;	/* messages to the mediator not yet sent */
	uint32_t generation;		/* of the session that OPEN asked for */
	struct stub_wake *wake;		/* NULL: no worker is attached */
	uint64_t pending;		/* doorbells not yet in a message */
	uint64_t serial;
	struct vgpu_channel_stats stats;
};

enum stub_link_state {
	STUB_LINK_DOWN,		/* waits for the back-off timer */
	STUB_LINK_CONNECTING,
	STUB_LINK_HELLO,	/* connected, WELCOME is awaited */
	STUB_LINK_UP,
	STUB_LINK_DROPPING,	/* shut down; waits for its operations to end */
};

struct stub_link {
	enum stub_link_state state;
	int fd;
	struct sockaddr_un address;
	struct stub_op connect, recv, send, backoff, handshake;
	uint64_t attempt;		/* number of the connection being made or used */
	uint64_t handshake_attempt;	/* the one that the handshake timer watches */
	uint32_t delay_ms;		/* next back-off, before jitter */
	struct __kernel_timespec backoff_ts, handshake_ts;

	uint32_t error;			/* enum vgpu_host_error: why an OPEN is refused now */
	char text[160];			/* the same for people */
	char reason[256];		/* last logged; the same one is not logged twice */

	bool stats_wanted;
	uint64_t stats_cookie;

	struct msghdr recv_hdr, send_hdr;
	struct iovec recv_iov, send_iov;
	union {
		struct vgpu_msg h;
		uint8_t bytes[512];
	} in;
	union {
		struct vgpu_msg h;
		struct vgpu_msg_hello hello;
		struct vgpu_msg_channel channel;
		struct vgpu_msg_stats stats;
	} out;
	_Alignas(struct cmsghdr) uint8_t in_control[CMSG_SPACE(STUB_MAX_FDS * sizeof(int))];
	_Alignas(struct cmsghdr) uint8_t out_control[CMSG_SPACE(sizeof(int))];
};

struct stub_counters {			/* any */
	_Atomic uint64_t doorbells;
	_Atomic uint64_t wakes;
	_Atomic uint64_t wakes_failed;
	_Atomic uint64_t mmio_reads;
	_Atomic uint64_t mmio_writes;
	_Atomic uint64_t reconnects;
	_Atomic uint64_t stray;		/* accesses that no register answers */
};

/* window.c: a call as the doorbell found it in the registers. */
struct stub_request {
	uint32_t id;			/* of this stub, counted by doorbells */
	struct vgpu_v1_call call;
	uint8_t data[VGPU_V1_INLINE];
};

struct stub_window {
	pthread_mutex_t lock;		/* for all but memfd and data */
	uint32_t page[VGPU_V1_PAGE / 4];	/* the registers, as the guest sees them */
	struct stub_request request;	/* the newest */
	bool posted;			/* the stub's thread has not sent it */
	bool busy;			/* it has no result */
	int memfd;			/* behind BAR1 */
	uint8_t *data;			/* all of it */
};

#define STUB_LATCHES	8

struct stub_log {
	uint64_t window;		/* start of the current second, ns */
	uint32_t lines;			/* printed in it */
	uint64_t suppressed;
};

struct vgpu_stub {
	struct vgpu_stub_ops ops;
	struct vgpu_stub_config config;	/* without its strings */
	char name[32];
	struct vgpu_shm_geometry geometry;
	int memfd;
	void *base;			/* header and channels; the arena is not mapped here */

	struct stub_channel *channels;
	uint32_t channel_count;
	struct stub_counters counters;
	_Atomic uint32_t latch[STUB_LATCHES];	/* any: high halves of counters */
	_Atomic uint32_t scratch;		/* any */
	_Atomic uint32_t link_up;		/* any */
	_Atomic uint32_t link_epoch;		/* any */
	_Atomic uint64_t traced[2][VGPU_BAR0_SIZE / 4 / 64];	/* any: strays already told */

	_Atomic uint64_t requests;	/* any: channels with a request */
	_Atomic uint32_t reset;		/* any */
	_Atomic uint32_t stop;		/* any */
	int control_fd;			/* eventfd: one of the three above changed */
	uint64_t control_count;
	struct stub_op control;

	struct io_uring ring;
	bool ring_ready;
	bool files_registered;		/* channel i's doorbell is file i of the ring */
	unsigned int in_flight;
	bool stopping;
	pthread_t thread;
	bool thread_started;
	pthread_mutex_t start_lock;	/* for start_* only */
	pthread_cond_t start_cond;
	bool start_done;
	int start_result;

	struct stub_window window;	/* any */
	struct stub_link link;
	struct stub_log log;
	uint64_t random;
};

/* stub.c: create() without the thread; the caller runs stub_loop_*() itself (fuzzing) */
int vgpu_stub_create_idle(struct vgpu_stub **out, const struct vgpu_stub_config *config,
			  const struct vgpu_stub_ops *ops, char *err, size_t err_size);

/* memory.c: the memfd and its header */
int stub_memory_create(struct vgpu_stub *s, char *err, size_t err_size);
void stub_memory_destroy(struct vgpu_stub *s);
void stub_memory_format(struct vgpu_stub *s);
void stub_memory_link(struct vgpu_stub *s, bool up);
struct vgpu_channel_ctl *stub_memory_ctl(struct vgpu_stub *s, const struct stub_channel *chan);

/* window.c: the registers of version 1 */
int stub_window_create(struct vgpu_stub *s, char *err, size_t err_size);
void stub_window_destroy(struct vgpu_stub *s);
void stub_window_reset(struct vgpu_stub *s);
/* False: no register answers. */
bool stub_window_read(struct vgpu_stub *s, uint32_t offset, uint32_t *value);
bool stub_window_write(struct vgpu_stub *s, uint32_t offset, uint32_t value);
void stub_window_pump(struct vgpu_stub *s);
bool stub_window_result(struct vgpu_stub *s, const struct stub_channel *chan,
			const struct vgpu_msg_result *m, size_t size);
void stub_window_lost(struct vgpu_stub *s, const struct stub_channel *chan);

/* loop.c: the ring */
int stub_loop_init(struct vgpu_stub *s);
/* Reap once; wait for at least one completion if `wait`. Negative errno: the ring is broken. */
int stub_loop_once(struct vgpu_stub *s, bool wait);
/* Cancel all operations and wait for their end. */
void stub_loop_fini(struct vgpu_stub *s);
int stub_loop_start(struct vgpu_stub *s, char *err, size_t err_size);
void stub_loop_stop(struct vgpu_stub *s);
void stub_loop_kick(struct vgpu_stub *s);
struct io_uring_sqe *stub_sqe(struct vgpu_stub *s);
void stub_arm(struct vgpu_stub *s, struct io_uring_sqe *sqe, struct stub_op *op,
	      void (*done)(struct vgpu_stub *s, struct stub_op *op, int res));

/* channel.c: sessions, doorbells */
int stub_channels_create(struct vgpu_stub *s, char *err, size_t err_size);
void stub_channels_destroy(struct vgpu_stub *s);
void stub_channels_start(struct vgpu_stub *s);
void stub_channels_requests(struct vgpu_stub *s);
void stub_channels_link_lost(struct vgpu_stub *s);
void stub_channel_opened(struct vgpu_stub *s, struct stub_channel *chan, uint32_t session, int fd);
void stub_channel_failed(struct vgpu_stub *s, struct stub_channel *chan, uint32_t error,
			 const char *text);
void stub_channel_closed(struct vgpu_stub *s, struct stub_channel *chan);
void stub_channel_worker_gone(struct vgpu_stub *s, struct stub_channel *chan);

/* wake.c: the socket to a channel's worker */
int stub_wake_attach(struct vgpu_stub *s, struct stub_channel *chan, int fd);
void stub_wake_drop(struct vgpu_stub *s, struct stub_channel *chan);
void stub_wake_flush(struct vgpu_stub *s, struct stub_channel *chan);
/*
 * Send the request as a CALL, with data_len bytes of `data` (copied). 0;
 * -ENOTCONN: there is no worker; -EBUSY: it has not taken the last CALL; -ENOMEM.
 */
int stub_wake_call(struct vgpu_stub *s, struct stub_channel *chan, const struct stub_request *r,
		   const void *data);

/* link.c: the connection to the mediator */
int stub_link_create(struct vgpu_stub *s, const char *path, char *err, size_t err_size);
void stub_link_start(struct vgpu_stub *s);
void stub_link_welcome(struct vgpu_stub *s);
/* Send what is due. */
void stub_link_pump(struct vgpu_stub *s);
/* End the connection for the reason given and try again later, at once slowly if `slow`. */
void stub_link_drop(struct vgpu_stub *s, bool slow, uint32_t error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* message.c: what the mediator says */
void stub_message(struct vgpu_stub *s, const void *bytes, size_t size, int *fds, size_t fd_count);

/* log.c */
void stub_log(struct vgpu_stub *s, enum vgpu_stub_level level, int channel, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void stub_trace(struct vgpu_stub *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t stub_now_ns(void);

#endif
