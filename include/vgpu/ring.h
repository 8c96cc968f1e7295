/* SPDX-License-Identifier: MIT */
/*
 * The command ring: one producer process, one consumer process, in memory
 * that both map.  Indices are free-running 64-bit byte counts; a command is a
 * multiple of 64 bytes and never crosses the end of the data area (the
 * producer fills the rest with one VGPU_OP_PAD command).
 *
 * Producer side: callers serialise themselves (the shim holds the channel's
 * lock from reserve to publish).  Consumer side: one thread.
 *
 * Neither side trusts the other's index: the producer clamps what the
 * consumer claims to have eaten, the consumer checks every length before it
 * copies.  Each keeps its own index privately and only ever publishes it.
 * The consumer publishes its index when it has emptied the ring or eaten a
 * sixteenth of it, not with each command: a producer that waits for space
 * looks at that cache line all the time, and would take it away each time.
 *
 * Sleep and doorbell.  The consumer announces ASLEEP, then looks for more
 * commands, then sleeps.  The producer publishes, then looks at the
 * announcement, and rings if it says ASLEEP.  That is the classic store-buffer
 * pattern: a full fence on both sides would let one of them always see the
 * other.  The producer's fence waits for the cache lines that it has just
 * written, which the consumer holds, and so costs several times the rest of
 * a command (184 against 20 ns for its caller); therefore only the consumer, who
 * does it once before a sleep, pays.  On x86-64 the producer has none: its
 * store leaves the store buffer in well under a microsecond, an interrupt
 * or an exit of the virtual machine empties it at once, and the consumer goes
 * on looking for VGPU_SETTLE_LOOKS pauses (some microseconds) after its
 * announcement.  Whoever sleeps without a time limit has to have looked once
 * more after a limited sleep.  Other architectures fence.
 */
#ifndef VGPU_RING_H
#define VGPU_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VGPU_CMD_ALIGN		64u
#define VGPU_SETTLE_LOOKS	256u
#define VGPU_CMD_MAX		(128u << 10)	/* bytes of one command, header included */

enum vgpu_consumer_state {
	VGPU_CONSUMER_ASLEEP = 0,	/* ring the doorbell */
	VGPU_CONSUMER_POLLING = 1,	/* looks at the ring, has nothing to do */
	VGPU_CONSUMER_RUNNING = 2,	/* executes commands */
};

/*
 * Header of every command. The args struct of the operation follows at once. Half a cache line: with its arguments a record
 * of an event, a wait for one, a fence, a fill or a copy between devices is one line, and costs its writer one.
 */
struct vgpu_cmd {
	uint32_t size;		/* bytes: header, args, payload, stamp, padding; multiple of 64 */
	uint16_t op;		/* enum of the generated gen/wire.h; 0 is never valid */
	uint8_t slot;		/* reply slot + 1 if the caller waits, else 0 */
	uint8_t flags;		/* VGPU_CMD_STAMPED */
	uint32_t args_size;	/* bytes of the args struct */
	uint32_t payload_size;	/* bytes after the args struct (8-byte aligned) */
	uint64_t seq;		/* 1, 2, 3 … in ring order: the call's identity within its process */
	uint32_t context;	/* wire id (low half) of the context that is current, 0: none */
	uint32_t thread;	/* the guest's thread id, for traces */
};

#define VGPU_OP_PAD		0xffffu	/* skip to the end of the data area */
#define VGPU_CMD_STAMPED	1u	/* the last 8 bytes of `size` are the guest's CLOCK_MONOTONIC, ns: when tracing */

_Static_assert(sizeof(struct vgpu_cmd) == 32, "wire layout");

/* Bytes to the next part: the parts of a payload, and of an answer, are whole words. */
static inline size_t vgpu_align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* Bytes that the command says it has, without stamp and padding. */
static inline uint64_t vgpu_cmd_bytes(const struct vgpu_cmd *cmd)
{
	return (uint64_t)sizeof(*cmd) + cmd->args_size + cmd->payload_size;
}

static inline uint64_t *vgpu_cmd_stamp_place(struct vgpu_cmd *cmd)
{
	return (uint64_t *)((uint8_t *)cmd + cmd->size) - 1;
}

/* The stamp of a private copy whose `size` has been checked; 0: it has none. */
static inline uint64_t vgpu_cmd_stamp(const struct vgpu_cmd *cmd)
{
	return cmd->flags & VGPU_CMD_STAMPED ? ((const uint64_t *)((const uint8_t *)cmd + cmd->size))[-1] : 0;
}

/* Is all that the command says it has inside its `size`? */
static inline bool vgpu_cmd_fits(const struct vgpu_cmd *cmd)
{
	return vgpu_cmd_bytes(cmd) + (cmd->flags & VGPU_CMD_STAMPED ? sizeof(uint64_t) : 0) <= cmd->size;
}

struct vgpu_ring_head {
	_Alignas(64) _Atomic uint64_t tail;	/* producer: bytes published */
	_Alignas(64) _Atomic uint64_t head;	/* consumer: bytes taken */
	_Alignas(64) _Atomic uint32_t consumer_state;	/* enum vgpu_consumer_state */
	_Atomic uint32_t sleeps;	/* consumer: number of the sleep announced, never 0; 0: it does not count them */
};

_Static_assert(sizeof(struct vgpu_ring_head) == 192, "wire layout");

/* ---- producer ---- */

struct vgpu_producer {
	struct vgpu_ring_head *ring;
	uint8_t *data;
	uint32_t size;		/* bytes of data, a power of two */
	uint64_t tail;		/* private truth; ring->tail lags until publish */
	uint64_t head;		/* last accepted value of ring->head */
	uint32_t asleep;	/* number of the sleep seen last */
	uint32_t rung;		/* number of the sleep that was rung for last; 0: none */
};

static inline void vgpu_producer_init(struct vgpu_producer *p, struct vgpu_ring_head *ring,
				      void *data, uint32_t size)
{
	p->ring = ring;
	p->data = data;
	p->size = size;
	p->asleep = p->rung = 0;
	p->tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	p->head = atomic_load_explicit(&ring->head, memory_order_acquire);
	if (p->tail - p->head > size)
		p->head = p->tail;
}

/*
 * Space for one command of `size` bytes (a multiple of 64, at most
 * VGPU_CMD_MAX and at most half of the ring), or NULL if the ring is too
 * full now.  A command that does not fit before the end of the data area is
 * placed at its start, behind a PAD that is published with it.
 */
static inline void *vgpu_producer_reserve(struct vgpu_producer *p, uint32_t size)
{
	uint32_t at = (uint32_t)(p->tail & (p->size - 1));
	uint32_t to_end = p->size - at;
	uint32_t need = size <= to_end ? size : to_end + size;
	struct vgpu_cmd *pad;

	if (p->size - (p->tail - p->head) < need) {
		uint64_t head = atomic_load_explicit(&p->ring->head, memory_order_acquire);

		/* A consumer that claims more than was published is not believed. */
		if (p->tail - head > p->tail - p->head)
			return NULL;
		p->head = head;
		if (p->size - (p->tail - head) < need)
			return NULL;
	}
	if (size > to_end) {
		pad = (struct vgpu_cmd *)(p->data + at);
		pad->size = to_end;
		pad->op = VGPU_OP_PAD;
		pad->slot = 0;
		p->tail += to_end;
		at = 0;
	}
	return p->data + at;
}

/* Bytes free now; looks at the consumer's index, which costs the consumer its cache line. */
static inline uint32_t vgpu_producer_room(struct vgpu_producer *p)
{
	uint64_t head = atomic_load_explicit(&p->ring->head, memory_order_acquire);

	if (p->tail - head <= p->tail - p->head)
		p->head = head;
	return p->size - (uint32_t)(p->tail - p->head);
}

/* Make the command reserved last visible. */
static inline void vgpu_producer_publish(struct vgpu_producer *p, uint32_t size)
{
	p->tail += size;
	atomic_store_explicit(&p->ring->tail, p->tail, memory_order_release);
}

/* Fetch a line that will be written. __builtin_prefetch() fetches it for reading unless told of a newer processor. */
static inline void vgpu_prefetch_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1, 3);
#endif
}

/*
 * Behind a publish: have `bytes` of lines, `ahead` bytes from here, fetched for writing while the caller does something else.
 * The consumer had them last, and the locked instruction of a later command would wait for each of them. A line takes as long
 * to come as several commands to write, so it is asked for some commands ahead; if each asks for as many lines as it is
 * long, each line is asked for once.
 */
static inline void vgpu_producer_prefetch(const struct vgpu_producer *p, uint32_t ahead, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i += VGPU_CMD_ALIGN)
		vgpu_prefetch_write(p->data + ((p->tail + ahead + i) & (p->size - 1)));
}

/* After a publish: must the doorbell be rung? */
static inline bool vgpu_producer_must_ring(struct vgpu_producer *p)
{
#if defined(__x86_64__)
	atomic_signal_fence(memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
	/* The number is stored before the state: what is read here is of this sleep, or of a later one. */
	if (atomic_load_explicit(&p->ring->consumer_state, memory_order_acquire) != VGPU_CONSUMER_ASLEEP)
		return false;
	p->asleep = atomic_load_explicit(&p->ring->sleeps, memory_order_relaxed);
	return !p->asleep || p->asleep != p->rung;
}

/* The doorbell of which vgpu_producer_must_ring() said last that it is due is being rung. */
static inline void vgpu_producer_rings(struct vgpu_producer *p)
{
	p->rung = p->asleep;
}

/* ---- consumer ---- */

struct vgpu_consumer {
	struct vgpu_ring_head *ring;
	const uint8_t *data;
	uint32_t size;
	uint64_t head;		/* private truth; ring->head lags by up to size / 16 */
	uint64_t released;	/* what ring->head says */
	uint64_t tail;		/* seen last: looked at again only when all up to it is taken */
	uint32_t sleeps;	/* private truth of ring->sleeps */
};

static inline void vgpu_consumer_init(struct vgpu_consumer *c, struct vgpu_ring_head *ring,
				      const void *data, uint32_t size)
{
	c->ring = ring;
	c->data = data;
	c->size = size;
	c->head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	c->tail = c->head;
	c->released = c->head;
	c->sleeps = atomic_load_explicit(&ring->sleeps, memory_order_relaxed);
}

/* Give the space of everything taken back to the producer. */
static inline void vgpu_consumer_release(struct vgpu_consumer *c)
{
	if (c->released == c->head)
		return;
	c->released = c->head;
	atomic_store_explicit(&c->ring->head, c->head, memory_order_release);
}

/* `size` bytes were taken. */
static inline void vgpu_consumer_advance(struct vgpu_consumer *c, uint32_t size)
{
	c->head += size;
	if (c->head - c->released >= c->size / 16)
		vgpu_consumer_release(c);
}

/*
 * Take the next command: copy it to `buf` (VGPU_CMD_MAX bytes, 64-byte
 * aligned, private).  Returns its size, 0 if there
 * is none, -1 if the ring's contents break the protocol.  Afterwards only
 * `buf` may be looked at; its `size` field equals the returned value, and
 * what it says it has fits into it.  The producer's index is read once for
 * all that it published: each read takes its cache line away from the producer.
 */
static inline int vgpu_consumer_take(struct vgpu_consumer *c, void *buf)
{
	for (;;) {
		uint64_t avail = c->tail - c->head;
		uint32_t at = (uint32_t)(c->head & (c->size - 1));
		const struct vgpu_cmd *src = (const struct vgpu_cmd *)(c->data + at);
		struct vgpu_cmd *cmd = buf;
		uint32_t size;

		if (!avail) {
			c->tail = atomic_load_explicit(&c->ring->tail, memory_order_acquire);
			avail = c->tail - c->head;
		}
		if (!avail) {
			vgpu_consumer_release(c);
			return 0;
		}
		if (avail > c->size || avail % VGPU_CMD_ALIGN)
			return -1;
		/* The one read of the length that counts. */
		size = __atomic_load_n(&src->size, __ATOMIC_RELAXED);
		if (size < VGPU_CMD_ALIGN || size % VGPU_CMD_ALIGN || size > avail ||
		    size > c->size - at)
			return -1;
		if (__atomic_load_n(&src->op, __ATOMIC_RELAXED) == VGPU_OP_PAD) {
			if (size != c->size - at)
				return -1;
			vgpu_consumer_advance(c, size);
			continue;
		}
		if (size > VGPU_CMD_MAX)
			return -1;
		memcpy(buf, src, size);
		cmd->size = size;
		vgpu_consumer_advance(c, size);
		return vgpu_cmd_fits(cmd) ? (int)size : -1;
	}
}

/* Is a command waiting? (One load; what it says may be a lie of the producer.) */
static inline bool vgpu_consumer_pending(const struct vgpu_consumer *c)
{
	return atomic_load_explicit(&c->ring->tail, memory_order_acquire) != c->head;
}

static inline void vgpu_consumer_announce(struct vgpu_consumer *c, enum vgpu_consumer_state state)
{
	atomic_store_explicit(&c->ring->consumer_state, state, memory_order_relaxed);
}

/*
 * Announce sleep. True: nothing was published, go to sleep and wait for a
 * doorbell. False: a command arrived in between; the state is RUNNING again.
 */
static inline bool vgpu_consumer_may_sleep(struct vgpu_consumer *c)
{
	if (!++c->sleeps)
		c->sleeps = 1;
	atomic_store_explicit(&c->ring->sleeps, c->sleeps, memory_order_relaxed);
	atomic_store_explicit(&c->ring->consumer_state, VGPU_CONSUMER_ASLEEP, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < VGPU_SETTLE_LOOKS; i++) {
		if (vgpu_consumer_pending(c)) {
			vgpu_consumer_announce(c, VGPU_CONSUMER_RUNNING);
			return false;
		}
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	return true;
}

#endif
