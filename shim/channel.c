/* SPDX-License-Identifier: MIT */
/*
 * Commands into the ring, replies out of their slots.
 *
 * One lock (turn.h) serialises the producers of this process from reserve to publish;
 * a command is written in place, so a launch costs its caller one lock, the
 * stores and one look at the consumer's state. Reply slots are taken before
 * the lock and waited for without it. Everything here may run in any thread
 * of the application; with VGPU_BATCH above 1 a thread of ours rings for
 * commands that were held back for too long.
 *
 * In register mode (VGPU_BATCH=0) a command is made in a buffer instead of the
 * ring, and whoever submits it keeps the lock until the transport has brought
 * its result, which is put where a worker would have put it.
 */
#include "channel.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "config.h"
#include "context.h"
#include "log.h"
#include "mirror.h"
#include "output.h"
#include "record.h"
#include "stream.h"
#include "thread.h"
#include "turn.h"
#include "wait.h"

#define PREFETCH_AHEAD	1024u		/* bytes of the ring between a command and what is fetched meanwhile */
#define PREFETCH_MOST	512u		/* bytes fetched with one command */
#define ROOM_AGAIN	(VGPU_RING_BYTES / 16)	/* bytes free before a full ring is written again */
#define BYE_NS	1000000000ull	/* how long the end of a process waits for what it queued to be taken */

/* Register mode: the command being made and its result. Under the lock. */
static struct {
	_Alignas(VGPU_CMD_ALIGN) uint8_t command[VGPU_CMD_MAX];
	struct vgpu_transport_result result;
} by_register;

static struct {
	struct vgpu_turn turn;
	struct vgpu_producer producer;
	uint64_t seq;
	_Atomic uint64_t free_slots;
	_Atomic uint64_t reported;	/* deferred_seq that the application has been told */
	uint32_t batch, batch_usec;
	uint32_t held;			/* commands published to a sleeper without a doorbell; under the lock */
	uint64_t doorbells;		/* under the lock */
	pthread_mutex_t flush_lock;
	pthread_cond_t flush_wake;
	bool flush_wanted;		/* under flush_lock */
} channel = {
	.flush_lock = PTHREAD_MUTEX_INITIALIZER,
	.flush_wake = PTHREAD_COND_INITIALIZER,
};

/* Without the question of re-entry: for calls made on behalf of one that has passed vgpu_ready(). */
static CUresult usable(unsigned flags)
{
	uint32_t state = atomic_load_explicit(&vgpu_session.state, memory_order_acquire);

	if (state == VGPU_SESSION_COLD || state == VGPU_SESSION_FORKED)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (state != VGPU_SESSION_OPEN)
		return (CUresult)atomic_load(&vgpu_session.error);
	if (flags & VGPU_CALL_CONTEXT) {
		if (!vgpu_thread.current)
			return CUDA_ERROR_INVALID_CONTEXT;
		if (!vgpu_thread.current->alive)
			return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	}
	return CUDA_SUCCESS;
}

CUresult vgpu_ready(void)
{
	CUresult r = usable(0);

	return !r && vgpu_thread.busy ? CUDA_ERROR_NOT_PERMITTED : r;
}

CUresult vgpu_call_ready(unsigned flags)
{
	CUresult r = usable(flags);

	if (!r && vgpu_thread.busy)
		return CUDA_ERROR_NOT_PERMITTED;
	if (!r && flags & VGPU_CALL_UNSAFE)
		r = vgpu_capture_unsafe();
	return r ? r : vgpu_error_sticky();
}

static uint32_t thread_id(void)
{
	if (!vgpu_thread.id)
		vgpu_thread.id = (uint32_t)syscall(SYS_gettid);
	return vgpu_thread.id;
}

/* A slot's number plus one, or 0 when the session ended while all were taken. */
static __attribute__((noinline)) uint32_t take_slot(void)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint64_t free = atomic_load_explicit(&channel.free_slots, memory_order_relaxed);
	uint64_t bit;

	for (;;) {
		while (!free) {
			if (vgpu_wait_step(&w) && vgpu_session_check())
				return 0;
			free = atomic_load_explicit(&channel.free_slots, memory_order_relaxed);
		}
		bit = free & -free;
		if (atomic_compare_exchange_weak_explicit(&channel.free_slots, &free, free & ~bit,
							  memory_order_acquire, memory_order_relaxed))
			return (uint32_t)__builtin_ctzll(bit) + 1;
	}
}

static void give_slot(uint32_t slot)
{
	if (slot)
		atomic_fetch_or_explicit(&channel.free_slots, 1ull << (slot - 1), memory_order_release);
}

/* A pause between two looks at a full ring: each look disturbs the consumer. */
static void pause_long(void)
{
	uint32_t i;

	for (i = 0; i < 64; i++)
		vgpu_cpu_relax();
}

/*
 * The ring is full: wait for space, with the lock held; NULL when the session ended meanwhile. There must be room for many
 * commands before the next: a look at the consumer's index for each would slow the consumer down.
 */
static __attribute__((noinline)) void *await_room(uint32_t size)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	void *p;

	atomic_fetch_add_explicit(&vgpu_counters()->ring_full, 1, memory_order_relaxed);
	if (channel.held) {
		vgpu_producer_rings(&channel.producer);
		channel.held = 0;
		channel.doorbells++;
		vgpu_session.transport.ops->doorbell(&vgpu_session.transport);
	}
	do {
		pause_long();
		if (vgpu_wait_step(&w) && vgpu_session_check())
			return NULL;
	} while (vgpu_producer_room(&channel.producer) < ROOM_AGAIN ||
		 !(p = vgpu_producer_reserve(&channel.producer, size)));
	return p;
}

/* Space for a command, with the lock held; NULL when the session has ended. */
static inline void *reserve(uint32_t size)
{
	void *p;

	if (channel.batch == VGPU_BATCH_REGISTERS)
		return by_register.command;
	p = vgpu_producer_reserve(&channel.producer, size);
	return p ? p : await_room(size);
}

static inline void fill_header(struct vgpu_call *c, struct vgpu_cmd *cmd, uint16_t op, uint32_t args_size,
			uint32_t payload_size)
{
	const struct vgpu_context *ctx = vgpu_thread.current;

	cmd->size = c->size;
	cmd->op = op;
	cmd->slot = (uint8_t)c->slot;
	cmd->flags = c->flags;
	cmd->args_size = args_size;
	cmd->payload_size = payload_size;
	cmd->seq = c->seq = ++channel.seq;
	/* A primary context can be current before it is made: the worker does not know it yet. */
	cmd->context = ctx && ctx->alive ? (uint32_t)ctx->wire : 0;
	cmd->thread = thread_id();
	if (c->flags & VGPU_CMD_STAMPED)
		*vgpu_cmd_stamp_place(cmd) = vgpu_clock_ns();
	c->command = cmd;
	c->args = cmd + 1;
	c->payload = (uint8_t *)(cmd + 1) + args_size;
}

CUresult vgpu_call_begin(struct vgpu_call *c, uint16_t op, uint32_t args_size, uint32_t payload_size, unsigned flags)
{
	uint64_t size = sizeof(struct vgpu_cmd) + (uint64_t)args_size + payload_size;
	CUresult r;
	void *p;

	if (!(flags & VGPU_CALL_CHECKED)) {
		r = usable(flags);
		if (!r)
			r = vgpu_error_sticky();
		if (r)
			return r;
	}
	c->flags = 0;
	if (atomic_load_explicit(&vgpu_session.channel->ctl.trace, memory_order_relaxed)) {
		c->flags = VGPU_CMD_STAMPED;
		size += sizeof(uint64_t);
	}
	size = (size + VGPU_CMD_ALIGN - 1) & ~(uint64_t)(VGPU_CMD_ALIGN - 1);
	if (size > VGPU_CMD_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	c->size = (uint32_t)size;
	c->slot = 0;
	c->ret = NULL;
	c->ret_size = 0;
	if (flags & VGPU_CALL_REPLY) {
		c->slot = take_slot();
		if (!c->slot)
			return (CUresult)atomic_load(&vgpu_session.error);
	}
	vgpu_turn_take(&channel.turn);
	p = reserve(c->size);
	if (!p) {
		vgpu_turn_give(&channel.turn);
		give_slot(c->slot);
		return (CUresult)atomic_load(&vgpu_session.error);
	}
	fill_header(c, p, op, args_size, payload_size);
	if (!(flags & VGPU_CALL_FILLED))
		memset(c->args, 0, args_size);
	return CUDA_SUCCESS;
}

void vgpu_call_in(struct vgpu_call *c, const struct vgpu_context *ctx)
{
	struct vgpu_cmd *cmd = c->command;

	cmd->context = (uint32_t)ctx->wire;
}

/* The command is in the ring: its streams have work that no fence covers yet. Under the lock. */
static void mark_touched(void)
{
	struct vgpu_thread *t = &vgpu_thread;
	int i;

	for (i = 0; i < 2 && t->touched[i]; i++) {
		vgpu_stream_mark(t->touched[i]);
		t->touched[i] = NULL;
	}
}

/* After a publish, under the lock: is a doorbell due, and is it to be held back? */
static bool doorbell_due(bool waits)
{
	if (!vgpu_producer_must_ring(&channel.producer)) {
		channel.held = 0;
		return false;
	}
	if (channel.batch > 1 && !waits && ++channel.held < channel.batch)
		return false;
	vgpu_producer_rings(&channel.producer);
	channel.held = 0;
	channel.doorbells++;
	atomic_store_explicit(&vgpu_counters()->doorbells, channel.doorbells, memory_order_relaxed);
	return true;
}

static void wake_flusher(void)
{
	pthread_mutex_lock(&channel.flush_lock);
	channel.flush_wanted = true;
	pthread_cond_signal(&channel.flush_wake);
	pthread_mutex_unlock(&channel.flush_lock);
}

/* The result of a call goes into its reply slot, as from a worker that consumes the ring. */
static void deliver(const struct vgpu_call *c)
{
	const struct vgpu_transport_result *from = &by_register.result;
	struct vgpu_reply_slot *slot = &vgpu_session.channel->replies[c->slot - 1];

	memcpy(slot->data, from->data, from->size);
	slot->size = from->size;
	slot->result = from->status;
	atomic_store_explicit(&slot->done, c->seq, memory_order_release);
}

/* Register mode, with the lock held: one command there and its result back. 0 or -errno. */
static int call_by_register(struct vgpu_call *c, uint64_t until)
{
	const struct vgpu_cmd *cmd = c->command;
	int r;

	channel.doorbells++;
	atomic_store_explicit(&vgpu_counters()->commands, channel.seq, memory_order_relaxed);
	atomic_store_explicit(&vgpu_counters()->doorbells, channel.doorbells, memory_order_relaxed);
	r = vgpu_session.transport.ops->call(&vgpu_session.transport, cmd,
					     c->flags ? cmd->size : (uint32_t)vgpu_cmd_bytes(cmd), until,
					     &by_register.result);
	if (!r && c->slot)
		deliver(c);
	return r;
}

static void submit_by_register(struct vgpu_call *c)
{
	int r;

	mark_touched();
	r = call_by_register(c, 0);
	vgpu_turn_give(&channel.turn);
	if (r)
		vgpu_session_lost("the worker does not answer in register mode");
}

void vgpu_call_submit(struct vgpu_call *c)
{
	bool ring, first_held;

	if (vgpu_recording())
		vgpu_record_command(c->command);
	if (channel.batch == VGPU_BATCH_REGISTERS) {
		submit_by_register(c);
		return;
	}
	vgpu_producer_publish(&channel.producer, c->size);
	mark_touched();
	atomic_store_explicit(&vgpu_counters()->commands, channel.seq, memory_order_relaxed);
	ring = doorbell_due(c->slot != 0);
	first_held = channel.held == 1;
	if (first_held)
		wake_flusher();
	vgpu_producer_prefetch(&channel.producer, PREFETCH_AHEAD, c->size < PREFETCH_MOST ? c->size : PREFETCH_MOST);
	vgpu_turn_give(&channel.turn);
	if (ring)
		vgpu_session.transport.ops->doorbell(&vgpu_session.transport);
}

void vgpu_channel_lock(void)
{
	vgpu_turn_take(&channel.turn);
}

void vgpu_channel_unlock(void)
{
	vgpu_turn_give(&channel.turn);
}

void vgpu_channel_flush(void)
{
	bool ring;

	if (channel.batch <= 1)
		return;
	vgpu_turn_take(&channel.turn);
	ring = channel.held && doorbell_due(true);
	vgpu_turn_give(&channel.turn);
	if (ring)
		vgpu_session.transport.ops->doorbell(&vgpu_session.transport);
}

CUresult vgpu_call_wait(struct vgpu_call *c)
{
	struct vgpu_reply_slot *slot = &vgpu_session.channel->replies[c->slot - 1];
	struct vgpu_wait w = VGPU_WAIT_INIT;
	CUresult r;

	while (atomic_load_explicit(&slot->done, memory_order_acquire) != c->seq) {
		if (!vgpu_wait_step(&w))
			continue;
		r = vgpu_session_check();
		if (r)
			return r;
	}
	atomic_fetch_add_explicit(&vgpu_counters()->replies, 1, memory_order_relaxed);
	c->ret = slot->data;
	c->ret_size = slot->size <= VGPU_REPLY_DATA ? slot->size : 0;
	if (vgpu_recording())
		vgpu_record_reply(c->seq, c->slot, slot->result, c->ret, c->ret_size);
	return (CUresult)slot->result;
}

void vgpu_call_end(struct vgpu_call *c)
{
	give_slot(c->slot);
	c->slot = 0;
}

CUresult vgpu_call_answer(struct vgpu_call *c, size_t ret_size)
{
	CUresult r;

	vgpu_call_submit(c);
	r = vgpu_call_wait(c);
	return !r && c->ret_size != ret_size ? vgpu_call_broken() : r;
}

CUresult vgpu_call_finish(struct vgpu_call *c)
{
	CUresult r;

	vgpu_call_submit(c);
	r = vgpu_call_wait(c);
	vgpu_call_end(c);
	return r;
}

CUresult vgpu_call_verdict(void)
{
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_ping, sizeof(struct vgpu_args_ping), 0, VGPU_CALL_REPLY);

	if (!r)
		r = vgpu_call_finish(&c);
	return r ? r : vgpu_error_take();
}

CUresult vgpu_call_broken(void)
{
	vgpu_error("the worker's reply has the wrong size: shim and worker are not of one build");
	return CUDA_ERROR_UNKNOWN;
}

CUresult vgpu_error_after(CUresult waited)
{
	if (!waited)
		return vgpu_error_take();
	vgpu_output_fetch();
	return waited;
}

CUresult vgpu_error_take(void)
{
	struct vgpu_channel_ctl *ctl = &vgpu_session.channel->ctl;
	CUresult r = vgpu_error_sticky();
	uint64_t seq, told;

	vgpu_output_fetch();
	if (r)
		return r;
	vgpu_mirror_pull();
	seq = atomic_load_explicit(&ctl->deferred_seq, memory_order_acquire);
	told = atomic_load(&channel.reported);
	if (seq <= told || !atomic_compare_exchange_strong(&channel.reported, &told, seq))
		return CUDA_SUCCESS;
	return (CUresult)atomic_load(&ctl->deferred_error);
}

static void *bye_room(uint32_t size)
{
	return channel.batch == VGPU_BATCH_REGISTERS ? by_register.command :
						       vgpu_producer_reserve(&channel.producer, size);
}

static void bye_send(struct vgpu_call *c, uint64_t until)
{
	/* Counted ahead: the host takes its last look at the counters when it answers. */
	atomic_fetch_add_explicit(&vgpu_counters()->replies, 1, memory_order_relaxed);
	if (channel.batch == VGPU_BATCH_REGISTERS) {
		call_by_register(c, until);
		return;
	}
	vgpu_producer_publish(&channel.producer, c->size);
	atomic_store_explicit(&vgpu_counters()->commands, channel.seq, memory_order_relaxed);
	if (doorbell_due(true))
		vgpu_session.transport.ops->doorbell(&vgpu_session.transport);
}

/*
 * Other threads may be anywhere, also stopped for good while they hold the lock (exit from a handler), and
 * the host may be gone: nothing here waits for long.
 */
void vgpu_channel_bye(void)
{
	uint64_t until = vgpu_clock_ns() + BYE_NS;
	struct vgpu_reply_slot *slot;
	struct vgpu_wait w = VGPU_WAIT_INIT;
	struct vgpu_call c = { .size = VGPU_CMD_ALIGN };
	uint64_t free = atomic_load(&channel.free_slots);
	void *p;

	if (!free || vgpu_thread.busy || !vgpu_turn_try(&channel.turn))
		return;
	c.slot = (uint32_t)__builtin_ctzll(free) + 1;
	if (!atomic_compare_exchange_strong(&channel.free_slots, &free, free & ~(1ull << (c.slot - 1))))
		c.slot = 0;
	p = c.slot ? bye_room(c.size) : NULL;
	if (p) {
		fill_header(&c, p, VGPU_OP_session_bye, 0, 0);
		bye_send(&c, until);
	}
	vgpu_turn_end(&channel.turn);
	if (!p)
		return;
	slot = &vgpu_session.channel->replies[c.slot - 1];
	while (atomic_load_explicit(&slot->done, memory_order_acquire) != c.seq && vgpu_clock_ns() < until)
		if (vgpu_wait_step(&w) && !vgpu_session.transport.ops->alive(&vgpu_session.transport))
			return;
}

/* VGPU_BATCH above 1: rings for what was held back longer than VGPU_BATCH_USEC. */
static void *flusher(void *unused)
{
	struct timespec nap = { (time_t)(channel.batch_usec / 1000000), (long)(channel.batch_usec % 1000000) * 1000 };

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&channel.flush_lock);
		while (!channel.flush_wanted)
			pthread_cond_wait(&channel.flush_wake, &channel.flush_lock);
		channel.flush_wanted = false;
		pthread_mutex_unlock(&channel.flush_lock);
		nanosleep(&nap, NULL);
		if (atomic_load(&vgpu_session.state) > VGPU_SESSION_OPEN)
			return NULL;
		vgpu_channel_flush();
	}
}

int vgpu_channel_init(uint32_t batch, uint32_t batch_usec)
{
	struct vgpu_channel *ch = vgpu_session.channel;

	vgpu_producer_init(&channel.producer, &ch->ring, ch->ring_data, VGPU_RING_BYTES);
	atomic_store(&channel.free_slots, UINT64_MAX);
	channel.batch = batch;
	channel.batch_usec = batch_usec;
	return batch > 1 ? vgpu_thread_start(flusher, NULL) : 0;
}
