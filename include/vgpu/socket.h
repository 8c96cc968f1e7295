/* SPDX-License-Identifier: MIT */
/*
 * Messages on the mediator's sockets.
 *
 * All sockets are AF_UNIX SOCK_SEQPACKET: one message, one packet, so that a
 * peer that dies never leaves half a message.  Little-endian.  Every message
 * opens with struct vgpu_msg; its length must equal the packet's, and a type
 * has one length, except for CALL and RESULT, which end with data whose length
 * they say.  File descriptors travel with the message that names them.
 * A receiver closes on wrong magic, major, type or length, after one log line.
 *
 *	stub  -> supervisor	HELLO(stub, memfd)  CHANNEL_OPEN  CHANNEL_CLOSE  STATS
 *	supervisor -> stub	WELCOME|REFUSED  CHANNEL_OPENED(wake socket)
 *				CHANNEL_FAILED  CHANNEL_CLOSED  STATS_REQUEST
 *	stub  -> worker		WAKE  CALL		(on the wake socket)
 *	worker -> stub		RESULT			(on the wake socket)
 *	shim  -> supervisor	HELLO(shim)		(unix transport: connection = session)
 *	supervisor -> shim	WELCOME(memfd, doorbell eventfd or wake socket)|REFUSED
 *	shim  -> worker		CALL			(register mode, on the wake socket)
 *	worker -> shim		RESULT			(the same)
 *
 * Supervisor and worker speak on a socket pair of their own
 * (uring-mediator/common/control.h), `vgpuctl` on a separate control socket.
 */
#ifndef VGPU_SOCKET_H
#define VGPU_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include <vgpu/ring.h>
#include <vgpu/v1.h>

#define VGPU_MSG_MAGIC		0x55504756u	/* bytes "VGPU" */
#define VGPU_DEFAULT_SOCKET	"/run/vgpu/mediator.sock"
#define VGPU_DEFAULT_CONTROL	"/run/vgpu/control.sock"

enum vgpu_msg_type {
	VGPU_MSG_HELLO = 1,
	VGPU_MSG_WELCOME = 2,
	VGPU_MSG_REFUSED = 3,
	VGPU_MSG_CHANNEL_OPEN = 4,
	VGPU_MSG_CHANNEL_OPENED = 5,
	VGPU_MSG_CHANNEL_FAILED = 6,
	VGPU_MSG_CHANNEL_CLOSE = 7,
	VGPU_MSG_CHANNEL_CLOSED = 8,
	VGPU_MSG_WAKE = 9,
	VGPU_MSG_STATS_REQUEST = 10,
	VGPU_MSG_STATS = 11,
	VGPU_MSG_CALL = 12,
	VGPU_MSG_RESULT = 13,
};

enum vgpu_role {
	VGPU_ROLE_STUB = 1,
	VGPU_ROLE_SHIM = 2,
	VGPU_ROLE_MONITOR = 3,	/* as SHIM, for a process that asks about devices (NVML) and uses none */
};

/* What a shim asks for, vgpu_msg_hello.flags. */
#define VGPU_HELLO_REGISTERS	1u	/* register mode: a socket to the worker instead of an eventfd */

struct vgpu_msg {
	uint32_t magic;
	uint16_t type;		/* enum vgpu_msg_type */
	uint16_t reserved;	/* zero */
	uint32_t length;	/* bytes, this header included */
	uint32_t version;	/* VGPU_PROTOCOL_VERSION of the sender */
};

/* First message of a connection. Stub: the memfd comes with it. */
struct vgpu_msg_hello {
	struct vgpu_msg h;
	uint32_t role;		/* enum vgpu_role */
	uint32_t vm_id;		/* stub: property vm-id; shim: 0 */
	uint64_t shm_size;	/* stub: bytes of the memfd; shim: wanted size, 0 = the mediator's default */
	union {
		uint32_t channels;	/* stub: number of channels */
		uint32_t flags;		/* shim: VGPU_HELLO_*; a mediator that does not know one ignores it */
	};
	uint32_t pid;		/* of the sender, for people; SO_PEERCRED decides */
	char name[32];		/* stub: VM name or ""; shim: comm. NUL-terminated */
};

/* Shim: memfd and eventfd (or socket) come with it, in this order; channel 0 is the session's. */
struct vgpu_msg_welcome {
	struct vgpu_msg h;
	uint64_t shm_size;
	uint32_t session;	/* shim: session number; stub: 0 */
	uint32_t reserved;
};

struct vgpu_msg_refused {	/* also CHANNEL_FAILED */
	struct vgpu_msg h;
	uint32_t channel;	/* CHANNEL_FAILED only */
	uint32_t error;		/* enum vgpu_host_error */
	char text[160];		/* one line, NUL-terminated */
};

struct vgpu_msg_channel {	/* CHANNEL_OPEN, OPENED, CLOSE, CLOSED */
	struct vgpu_msg h;
	uint32_t channel;
	uint32_t generation;	/* of the channel's control block, as read by the stub */
	uint32_t session;	/* OPENED: the mediator's number; else 0 */
	uint32_t reserved;
};

/* Stub to worker: `doorbells` writes were folded into this one message. */
struct vgpu_msg_wake {
	struct vgpu_msg h;
	uint32_t channel;
	uint32_t reserved;
	uint64_t doorbells;	/* since the previous WAKE of this channel */
	uint64_t serial;	/* 1, 2, 3 … for each channel: shows a lost message */
};

/*
 * Register mode: one call as version 1 has it, data behind the struct.  On the unix transport from the shim, in a VM
 * from the stub, which has it from its registers.  The worker answers each with one RESULT; who sends a second before
 * that is read later.  `serial` counts on with that of WAKE; a CALL is one doorbell.
 */
struct vgpu_msg_call {
	struct vgpu_msg h;
	uint32_t channel;
	uint32_t request;	/* the sender's number, returned in RESULT */
	uint64_t serial;
	struct vgpu_v1_call call;
};

struct vgpu_msg_result {
	struct vgpu_msg h;
	uint32_t channel;
	uint32_t request;
	struct vgpu_v1_result result;
};

#define VGPU_CALL_DATA_MAX	VGPU_CMD_MAX	/* bytes behind struct vgpu_msg_call */
#define VGPU_RESULT_DATA_MAX	4080u		/* behind struct vgpu_msg_result: what fits a reply slot */

struct vgpu_msg_stats_request {
	struct vgpu_msg h;
	uint64_t cookie;	/* returned in STATS */
};

struct vgpu_channel_stats {
	uint64_t doorbells;	/* seen by the stub on this channel since it opened */
	uint64_t wakes;		/* messages sent to the worker */
	uint64_t wakes_failed;	/* socket full or gone */
	uint32_t generation;
	uint32_t open;		/* 1: the stub holds a wake socket */
};

struct vgpu_msg_stats {
	struct vgpu_msg h;
	uint64_t cookie;
	uint64_t mmio_reads;
	uint64_t mmio_writes;
	uint32_t reconnects;
	uint32_t channels;	/* entries in use below */
	struct vgpu_channel_stats channel[64];
};

_Static_assert(sizeof(struct vgpu_msg) == 16, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_hello) == 72, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_welcome) == 32, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_refused) == 184, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_channel) == 32, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_wake) == 40, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_call) == 120, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_result) == 112, "wire layout");
_Static_assert(sizeof(struct vgpu_msg_stats) == 48 + 64 * 32, "wire layout");

#endif
