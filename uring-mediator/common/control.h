/* SPDX-License-Identifier: MIT */
/*
 * What supervisor and worker share: the control socket (SOCK_SEQPACKET pair,
 * one for each worker, inherited as VGPU_WORKER_CONTROL_FD) and the stats
 * page (memfd, inherited as VGPU_WORKER_STATS_FD, mapped by the two of them
 * and by no guest).
 *
 * Life of a worker:  spawn -> READY -> ATTACH -> ATTACHED -> ... -> exit.
 * A worker serves at most one session and then exits; CONFLICT puts it back
 * into the pool (its driver's layout did not suit that guest process).
 *
 * Command line of a worker, always in full:
 *	vgpu-worker --device auto|cuda|soft --devices LIST|all --log-level LEVEL \
 *		--soft-devices N --kernel-timeout MILLISECONDS [--monitor]
 * With --monitor it opens no device, makes no context and answers questions about devices (NVML): a monitor. One is
 * started for each session that asks for it, and serves only that.
 * It is born with its parent-death signal set to SIGKILL, no signal blocked, its two
 * descriptors and stdin..stderr open and nothing else.  End of the control
 * socket means that the supervisor is gone: exit.
 *
 * ENDED, CONFLICT and FAILED give the descriptors of ATTACH back by closing
 * them.  In the pci case the wake socket outlives a CONFLICT: the next worker
 * of the session gets the same one.
 */
#ifndef VGPU_CONTROL_H
#define VGPU_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

#include <vgpu/shm.h>
#include <vgpu/socket.h>

#define VGPU_WORKER_CONTROL_FD	3
#define VGPU_WORKER_STATS_FD	4

enum vgpu_control_type {
	VGPU_CTL_READY = 64,	/* worker: driver initialised, context created */
	VGPU_CTL_FAILED = 65,	/* worker: no usable device; exits. text says why */
	VGPU_CTL_ATTACH = 66,	/* supervisor: serve this channel; fds: memfd, wake */
	VGPU_CTL_ATTACHED = 67,	/* worker: guest accepted, ring is consumed */
	VGPU_CTL_CONFLICT = 68,	/* worker: guest refused the addresses; free again */
	VGPU_CTL_ENDED = 69,	/* worker: session over; exits. error, text */
	VGPU_CTL_DETACH = 70,	/* supervisor: end the session, exit */
	VGPU_CTL_EXPORT = 71,	/* worker: other sessions of the VM may have this; fd: what a descriptor stands for */
	VGPU_CTL_IMPORT = 72,	/* worker: wants what the token names */
	VGPU_CTL_SHARED = 73,	/* supervisor: the answer to both, at once; to IMPORT with fd as in EXPORT */
	VGPU_CTL_CENSUS_ASK = 74,	/* monitor: which processes has my VM? */
	VGPU_CTL_CENSUS = 75,	/* supervisor: these */
	VGPU_CTL_IMAGE_KEEP = 76,	/* worker: other sessions of the VM may need this code; fd: the image. No answer */
	VGPU_CTL_IMAGE_FIND = 77,	/* worker: is there code with this hash? */
	VGPU_CTL_IMAGE = 78,	/* supervisor: the answer, at once; with fd if there is */
	VGPU_CTL_WITHDRAW = 79,	/* worker: the token of an EXPORT names nothing any more. No answer */
};

struct vgpu_ctl_ready {
	struct vgpu_msg h;
	uint32_t backend;	/* enum vgpu_backend */
	uint32_t device_count;
	int32_t driver_version;
	uint32_t range_count;
	struct vgpu_range ranges[VGPU_MAX_RANGES];	/* addresses its driver has or will use */
	char device_name[96];	/* of device 0 */
};

struct vgpu_ctl_attach {
	struct vgpu_msg h;
	uint64_t shm_size;
	uint64_t memory_limit;	/* bytes of device memory for this session; 0 = none */
	uint32_t channels;
	uint32_t channel;
	uint32_t session;
	uint32_t vm_id;
	uint64_t register_ahead;	/* bytes of the arena to register before they are needed, at most */
	uint32_t wake_kind;	/* enum vgpu_wake_kind */
	uint32_t trace;		/* 1: record traces from the start */
	uint32_t images;	/* 1: IMAGE_FIND and IMAGE_KEEP make sense */
	uint32_t reserved;
};

enum vgpu_wake_kind {
	VGPU_WAKE_SOCKET = 0,	/* the stub sends WAKE and CALL on it, or a shim in register mode CALL; EOF = it is gone */
	VGPU_WAKE_EVENTFD = 1,	/* the shim writes to it; the supervisor watches the connection */
};

#define VGPU_CENSUS_MOST	64u

/* A process of a VM that has a session with a device. */
struct vgpu_census_entry {
	uint32_t guest_pid;	/* as it says itself */
	uint32_t worker_pid;	/* of the process that serves it, on the host */
	uint64_t memory_used;	/* bytes of device memory */
	uint64_t busy_ns;	/* soft device: time with work, up to now */
};

/* The sessions of the asker's VM, or without a VM those of the asker's user. Monitors are not among them. */
struct vgpu_ctl_census {
	struct vgpu_msg h;
	uint32_t count;		/* told here */
	uint32_t left_out;	/* more than there is room for */
	struct vgpu_census_entry entries[VGPU_CENSUS_MOST];
};

struct vgpu_ctl_note {		/* FAILED, ATTACHED, CONFLICT, ENDED, DETACH, CENSUS_ASK */
	struct vgpu_msg h;
	uint32_t error;		/* enum vgpu_host_error */
	uint32_t reserved;
	char text[160];
};

#define VGPU_TOKEN_BYTES	16

enum vgpu_share_kind {
	VGPU_SHARE_MEMORY = 1,		/* an allocation: the driver's handle in data, or a descriptor and an offset in it */
	VGPU_SHARE_PHYSICAL = 2,	/* memory of cuMemCreate: a descriptor */
	VGPU_SHARE_EVENT = 3,		/* an event: the driver's handle in data, or a descriptor */
	VGPU_SHARE_POOL = 4,		/* a memory pool: a descriptor */
	VGPU_SHARE_POINTER = 5,		/* an allocation of such a pool: the driver's data, and perhaps a descriptor */
};

struct vgpu_ctl_share {		/* EXPORT, IMPORT, SHARED, WITHDRAW */
	struct vgpu_msg h;
	uint8_t token[VGPU_TOKEN_BYTES];	/* random, chosen by the worker that exports */
	uint32_t kind;		/* enum vgpu_share_kind */
	uint32_t found;		/* SHARED: 0 if there is no such token, or it is another VM's, or it cannot be kept */
	uint64_t offset;	/* of the memory in the descriptor, bytes */
	uint64_t size;		/* of the memory, bytes */
	uint8_t data[64];
};

/*
 * An image is a file in memory of bytes + 1 bytes, the last one NUL, with all seals: nobody can change it any more.  The
 * hash is vgpu_image_hash() of the bytes, computed by the worker that keeps it.
 */
struct vgpu_ctl_image {		/* IMAGE_KEEP, IMAGE_FIND, IMAGE */
	struct vgpu_msg h;
	uint64_t hash[2];
	uint64_t bytes;
	uint32_t found;		/* IMAGE */
	uint32_t reserved;
};

/* The seals of an image. */
#define VGPU_IMAGE_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

/* One traced command; times are the worker's CLOCK_MONOTONIC, ns, 0 = did not happen. */
struct vgpu_trace_record {
	uint64_t seq;
	uint32_t op;
	uint32_t thread;	/* guest's thread id */
	uint64_t guest;		/* guest's stamp (its own clock) */
	uint64_t taken;		/* copied out of the ring */
	uint64_t done;		/* backend call returned */
	uint64_t bytes;		/* moved by this command */
	uint64_t stream;	/* wire id of the stream, 0 = none */
	int32_t result;		/* CUresult */
	uint32_t flags;		/* VGPU_TRACE_* */
	uint64_t device_begin;	/* the device had come to this work of its stream */
	uint64_t device_end;	/* and had done it; written last, later than the rest */
	uint64_t reserved[6];
};

#define VGPU_TRACE_TIMED	1u	/* device times are known, or (device_end 0) will be soon */

#define VGPU_TRACE_RECORDS	8192u	/* a power of two */

struct vgpu_worker_stats {
	_Atomic uint64_t wakes;		/* WAKE and CALL messages or eventfd reads received */
	_Atomic uint64_t doorbells;	/* sum of their doorbell counts, a CALL is one */
	_Atomic uint64_t commands;	/* executed */
	_Atomic uint64_t calls;		/* of them those that came as CALL, each answered by a RESULT */
	_Atomic uint64_t last_seq;
	_Atomic uint32_t last_op;
	_Atomic uint32_t state;		/* enum vgpu_consumer_state, for people */
	_Atomic uint64_t replies;
	_Atomic uint64_t fences;	/* fence writes enqueued */
	_Atomic uint64_t errors;	/* commands that returned an error */
	_Atomic uint64_t launches;
	_Atomic uint64_t bytes_h2d;
	_Atomic uint64_t bytes_d2h;
	_Atomic uint64_t image_bytes;	/* of code that came from the guest */
	_Atomic uint64_t image_bytes_spared;	/* of code that had not to come: another session had sent it */
	_Atomic uint64_t memory_used;	/* device memory of the session, bytes */
	_Atomic uint64_t memory_peak;
	_Atomic uint64_t arena_registered;	/* bytes of the arena registered with the driver */
	_Atomic uint64_t arena_ahead;	/* registrations that were there when they were asked for */
	_Atomic uint64_t arena_late;	/* registrations that a command waited for */
	_Atomic uint64_t sleeps;	/* times the consumer went to sleep */
	_Atomic uint64_t polls;		/* empty looks at the ring */
	_Atomic uint64_t wake_gaps;	/* holes in the serial numbers of WAKE messages */
	_Atomic uint64_t busy_ns;	/* soft device: time with work, to the end of the last stretch */
	_Atomic uint64_t busy_since;	/* its CLOCK_MONOTONIC, ns, when the present stretch began; 0: idle */
	_Alignas(64) _Atomic uint32_t trace;	/* supervisor sets 1: record below */
	_Alignas(64) _Atomic uint64_t trace_tail;	/* records written so far */
	struct vgpu_trace_record record[VGPU_TRACE_RECORDS];
};

_Static_assert(sizeof(struct vgpu_trace_record) == 128, "two cache lines");

/* To a counter that one thread writes: a plain load and store, no locked instruction. */
static inline void vgpu_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif
