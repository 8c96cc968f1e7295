/* SPDX-License-Identifier: MIT */
/*
 * Layout of the shared memory of one VM (BAR2 of the device) or of one
 * container client (unix transport, one channel).
 *
 * One memfd, mapped whole by three parties: QEMU (which exposes it as BAR2),
 * the guest's processes, and one worker for each open channel.  Whoever
 * creates it (stub or supervisor) calls vgpu_shm_format() before anyone else
 * sees it and seals it against shrinking and growing, so that no access
 * inside `total_size` can raise SIGBUS for want of file.
 *
 *	0		struct vgpu_shm_header
 *	extents_at	extent_count x uint32_t: who owns each arena extent
 *	channels_at	channel_count x channel_stride: one struct vgpu_channel each
 *	arena_at	the arena, extent_count x extent_size bytes
 *
 * Trust.  Every byte here can be changed at any moment by the guest.  The
 * host side takes the geometry from its own copy (vgpu_shm_geometry() of the
 * total size, the same arithmetic on both sides), never from the header; it
 * copies a command or a handshake word once, validates the copy and uses the
 * copy.  Inside one VM the processes that can open BAR2 trust each other:
 * the boundary is the VM.
 */
#ifndef VGPU_SHM_H
#define VGPU_SHM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/ring.h>

#define VGPU_SHM_MAGIC		0x3256555047565347ull	/* "GSVGPUV2", little-endian */
#define VGPU_PROTOCOL_MAJOR	3u	/* differs: the two sides refuse each other */
#define VGPU_PROTOCOL_MINOR	0u	/* additions that an older peer may ignore */
#define VGPU_PROTOCOL_VERSION	((VGPU_PROTOCOL_MAJOR << 16) | VGPU_PROTOCOL_MINOR)

#define VGPU_SHM_MIN_SIZE	(64ull << 20)	/* bytes; a power of two */
#define VGPU_SHM_MAX_SIZE	(64ull << 30)
#define VGPU_SHM_DEFAULT_SIZE	(1ull << 30)
#define VGPU_MAX_CHANNELS	64u

#define VGPU_RING_BYTES		(1u << 20)	/* command ring, data part */
#define VGPU_REVERSE_BYTES	(64u << 10)	/* host-to-guest callback ring */
#define VGPU_REPLY_SLOTS	64u
#define VGPU_REPLY_DATA		4080u		/* bytes of reply data in a slot */
#define VGPU_FENCES		32768u		/* fence words; word 0 is never used */
#define VGPU_MAX_RANGES		30u

/* Extent table entry: 0 = free, else channel index + 1. Claimed by CAS. */
#define VGPU_EXTENT_FREE	0u

/* What computes. */
enum vgpu_backend {
	VGPU_BACKEND_SOFT = 0,
	VGPU_BACKEND_CUDA = 1,
};

/* State of the host's end of a channel, `host_state` below. */
enum vgpu_host_state {
	VGPU_HOST_NONE = 0,	/* nothing on the host knows this channel */
	VGPU_HOST_OFFER = 1,	/* worker published ranges, waits for the answer */
	VGPU_HOST_RETRY = 2,	/* another worker is being looked for */
	VGPU_HOST_READY = 3,	/* worker consumes the ring */
	VGPU_HOST_DEAD = 4,	/* the session ended; see host_error */
	VGPU_HOST_REFUSED = 5,	/* never opened; see host_error, host_text */
};

/* Why a session was refused or died, `host_error` below. */
enum vgpu_host_error {
	VGPU_HOST_OK = 0,
	VGPU_HOST_NO_MEDIATOR = 1,	/* the stub has no connection to a mediator */
	VGPU_HOST_VERSION = 2,		/* protocol majors differ */
	VGPU_HOST_NO_DEVICE = 3,	/* no GPU, no driver */
	VGPU_HOST_QUOTA = 4,		/* session or memory limit of this VM */
	VGPU_HOST_PROTOCOL = 5,		/* the guest broke the protocol */
	VGPU_HOST_WORKER_DIED = 6,	/* the worker crashed or was killed */
	VGPU_HOST_ADDRESS = 7,		/* no worker had a usable address layout */
	VGPU_HOST_CLOSED = 8,		/* closed on request */
	VGPU_HOST_TIMEOUT = 9,		/* a kernel ran longer than the host allows */
};

/* Guest's answer to an offer, `guest_answer` below. */
enum vgpu_guest_answer {
	VGPU_ANSWER_NONE = 0,
	VGPU_ANSWER_ACCEPT = 1,		/* all ranges reserved, arena_base chosen */
	VGPU_ANSWER_CONFLICT = 2,	/* a range of the offer is in use in the guest process */
};

#define VGPU_GUEST_MONITOR 1u	/* guest_flags: asks about devices (NVML), uses none: a monitor serves it */

struct vgpu_range {		/* [start, start + size) of virtual addresses */
	uint64_t start;
	uint64_t size;
};

struct vgpu_shm_header {
	uint64_t magic;
	uint32_t version;		/* VGPU_PROTOCOL_VERSION of the creator */
	uint32_t channel_count;
	uint64_t total_size;		/* bytes of the memfd */
	uint64_t channels_at;		/* offsets from the start, bytes */
	uint64_t channel_stride;
	uint64_t extents_at;
	uint64_t arena_at;
	uint64_t extent_size;
	uint32_t extent_count;
	uint32_t vm_id;
	_Alignas(64) _Atomic uint32_t link_up;	/* pci: 1 while the stub has a mediator */
	_Atomic uint32_t link_epoch;	/* counts the mediator connections of this VM */
};

/* Counters that the guest keeps, for `vgpuctl verify`. Shown, never trusted. */
struct vgpu_guest_counters {
	_Atomic uint64_t commands;	/* published */
	_Atomic uint64_t doorbells;	/* written */
	_Atomic uint64_t replies;	/* waited for and received */
	_Atomic uint64_t fence_waits;	/* waits that found the fence not yet there */
	_Atomic uint64_t fences_seen;	/* highest sum of fence values seen by the guest */
	_Atomic uint64_t bytes_h2d;
	_Atomic uint64_t bytes_d2h;
	_Atomic uint64_t ring_full;	/* times a producer found no space */
};

/* One reply slot: a synchronous call's answer. Written by the worker. */
struct vgpu_reply_slot {
	_Atomic uint64_t done;		/* seq of the command answered; stored last, release */
	int32_t result;			/* CUresult */
	uint32_t size;			/* bytes valid in data */
	uint8_t data[VGPU_REPLY_DATA];
};

/*
 * Control block of a channel.  The opener zeroes it and fills the guest's
 * half while it holds the channel's lock and host_state is NONE, DEAD or
 * REFUSED; from CHANNEL_OPEN on each field has one writer, named here.
 */
struct vgpu_channel_ctl {
	/* guest's half */
	uint32_t guest_version;		/* VGPU_PROTOCOL_VERSION */
	uint32_t guest_pid;		/* in the guest's own pid namespace, for people */
	uint32_t guest_batch;		/* VGPU_BATCH as understood, for people; 0: register mode */
	uint32_t guest_batch_usec;	/* VGPU_BATCH_USEC as understood, for people */
	char guest_name[32];		/* comm, NUL-terminated, for people */
	_Atomic uint32_t generation;	/* grows by one with each open */
	_Atomic uint32_t guest_answer;	/* enum vgpu_guest_answer, for offer_epoch below */
	_Atomic uint32_t answer_epoch;	/* the offer that guest_answer is for; stored last */
	uint32_t guest_flags;		/* VGPU_GUEST_* */
	uint64_t arena_base;		/* where the guest mapped the whole memfd */

	/* host's half (worker; supervisor and stub only while no worker is attached) */
	_Alignas(64) _Atomic uint32_t host_state;
	_Atomic uint32_t host_error;
	_Atomic uint32_t offer_epoch;	/* grows with each offer; stored last */
	uint32_t range_count;
	uint32_t host_version;
	uint32_t device_count;
	uint32_t session;		/* the mediator's number for this session, for logs */
	uint32_t backend;		/* enum vgpu_backend */
	char host_text[160];		/* one line for people: why refused or dead */
	struct vgpu_range ranges[VGPU_MAX_RANGES];	/* device addresses: reserve them */

	/* errors of commands that nobody waited for; written by the worker */
	_Alignas(64) _Atomic uint32_t sticky_error;	/* CUresult; never cleared */
	_Atomic uint32_t deferred_error;	/* CUresult of the newest asynchronous failure */
	_Atomic uint64_t deferred_seq;		/* its command; stored last. The guest reports each once */
	_Atomic uint32_t trace;			/* 1: guest stamps commands with its clock */

	_Alignas(64) struct vgpu_guest_counters counters;
};

struct vgpu_channel {
	union {
		struct vgpu_channel_ctl ctl;
		uint8_t ctl_page[4096];
	};
	union {
		struct vgpu_ring_head ring;
		uint8_t ring_page[2048];
	};
	union {
		struct vgpu_ring_head reverse;
		uint8_t reverse_page[2048];
	};
	struct vgpu_reply_slot replies[VGPU_REPLY_SLOTS];
	_Alignas(4096) _Atomic uint64_t fences[VGPU_FENCES];
	_Alignas(4096) uint8_t ring_data[VGPU_RING_BYTES];
	_Alignas(4096) uint8_t reverse_data[VGPU_REVERSE_BYTES];
};

#define VGPU_CHANNEL_STRIDE	(2ull << 20)

_Static_assert(sizeof(struct vgpu_shm_header) <= 4096, "header fits its page");
_Static_assert(offsetof(struct vgpu_shm_header, link_up) == 128, "wire layout");
_Static_assert(sizeof(struct vgpu_reply_slot) == 4096, "wire layout");
_Static_assert(offsetof(struct vgpu_channel_ctl, host_state) == 128, "wire layout");
_Static_assert(offsetof(struct vgpu_channel_ctl, ranges) == 320, "wire layout");
_Static_assert(offsetof(struct vgpu_channel_ctl, sticky_error) == 832, "wire layout");
_Static_assert(offsetof(struct vgpu_channel_ctl, counters) == 896, "wire layout");
_Static_assert(sizeof(struct vgpu_channel_ctl) <= 4096, "control fits its page");
_Static_assert(offsetof(struct vgpu_channel, ring) == 4096, "wire layout");
_Static_assert(offsetof(struct vgpu_channel, reverse) == 6144, "wire layout");
_Static_assert(offsetof(struct vgpu_channel, replies) == 8192, "wire layout");
_Static_assert(offsetof(struct vgpu_channel, fences) == 270336, "wire layout");
_Static_assert(offsetof(struct vgpu_channel, ring_data) == 532480, "wire layout");
_Static_assert(offsetof(struct vgpu_channel, reverse_data) == 1581056, "wire layout");
_Static_assert(sizeof(struct vgpu_channel) <= VGPU_CHANNEL_STRIDE, "channel fits its stride");

/* Where everything lies for a memfd of a given size. */
struct vgpu_shm_geometry {
	uint64_t total_size;
	uint32_t channel_count;
	uint32_t extent_count;
	uint64_t channels_at;
	uint64_t extents_at;
	uint64_t arena_at;
	uint64_t extent_size;
};

/*
 * Fill *g for a memfd of total_size bytes (a power of two between
 * VGPU_SHM_MIN_SIZE and VGPU_SHM_MAX_SIZE) with `channels` channels
 * (1..VGPU_MAX_CHANNELS).  Channels take at most half of the memory; asking for
 * more is an error.  Extents are total_size / 1024, at least 1 MiB.
 * Returns 0, or -1 if the arguments are out of range.
 */
static inline int vgpu_shm_geometry(struct vgpu_shm_geometry *g, uint64_t total_size,
				    uint32_t channels)
{
	uint64_t extent, at;

	if (total_size < VGPU_SHM_MIN_SIZE || total_size > VGPU_SHM_MAX_SIZE ||
	    (total_size & (total_size - 1)))
		return -1;
	if (!channels || channels > VGPU_MAX_CHANNELS ||
	    channels * VGPU_CHANNEL_STRIDE > total_size / 2)
		return -1;
	extent = total_size / 1024;
	if (extent < (1u << 20))
		extent = 1u << 20;
	g->total_size = total_size;
	g->channel_count = channels;
	g->extents_at = 4096;
	/* At most 1024 entries of four bytes: one page after the header. */
	g->channels_at = VGPU_CHANNEL_STRIDE;
	at = g->channels_at + channels * VGPU_CHANNEL_STRIDE;
	at = (at + extent - 1) / extent * extent;
	g->arena_at = at;
	g->extent_size = extent;
	g->extent_count = (uint32_t)((total_size - at) / extent);
	return 0;
}

/* Default number of channels for a memfd: up to 64, in at most half of it. */
static inline uint32_t vgpu_shm_default_channels(uint64_t total_size)
{
	uint64_t n = total_size / 4 / VGPU_CHANNEL_STRIDE;

	return n > VGPU_MAX_CHANNELS ? VGPU_MAX_CHANNELS : n ? (uint32_t)n : 1;
}

/* Write the header of a freshly made, zero-filled memfd mapped at `base`. */
static inline void vgpu_shm_format(void *base, const struct vgpu_shm_geometry *g, uint32_t vm_id)
{
	struct vgpu_shm_header *h = base;

	h->version = VGPU_PROTOCOL_VERSION;
	h->channel_count = g->channel_count;
	h->total_size = g->total_size;
	h->channels_at = g->channels_at;
	h->channel_stride = VGPU_CHANNEL_STRIDE;
	h->extents_at = g->extents_at;
	h->arena_at = g->arena_at;
	h->extent_size = g->extent_size;
	h->extent_count = g->extent_count;
	h->vm_id = vm_id;
	atomic_thread_fence(memory_order_release);
	h->magic = VGPU_SHM_MAGIC;
}

/* Channel `i` (below geometry's channel_count) of the memfd mapped at `base`. */
static inline struct vgpu_channel *vgpu_shm_channel(void *base, const struct vgpu_shm_geometry *g,
						    uint32_t i)
{
	return (struct vgpu_channel *)((uint8_t *)base + g->channels_at + i * VGPU_CHANNEL_STRIDE);
}

static inline _Atomic uint32_t *vgpu_shm_extents(void *base, const struct vgpu_shm_geometry *g)
{
	return (_Atomic uint32_t *)((uint8_t *)base + g->extents_at);
}

#endif
