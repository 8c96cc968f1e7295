/* SPDX-License-Identifier: MIT */
/*
 * What a recording says, done again.  Handles and fence words are the recording's own numbers.  Addresses of allocations are
 * learnt from the replies, those of the arena from where it is mapped now, and every whole word of arguments, kernel
 * parameters and inline data that lies in one of them is put right.
 */
#include "replay.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gen/op_names.h>
#include <gen/wire.h>

#include "link.h"
#include "relocate.h"

#define PATIENCE_NS	60000000000ull	/* one wait */
#define PING_SLOT	VGPU_REPLY_SLOTS

struct host_call {
	uint64_t cookie, value;
	uint32_t fence;
};

struct replay {
	const struct recording *rec;
	struct replay_result *result;
	struct link link;
	struct relocation where;
	const struct vgpu_cmd *asked[VGPU_REPLY_SLOTS];	/* the recorded command that holds the slot */
	uint64_t seq[VGPU_REPLY_SLOTS];			/* and its number now */
	struct vgpu_consumer callbacks;
	uint8_t *callback;				/* one command of the reverse ring; NULL: no host functions */
	struct host_call *calls;
	uint64_t call_count;
	bool paced, measuring;
	uint64_t shift;					/* paced: recorded time + shift is now */
	uint64_t began;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static int bad(struct replay *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->result->why, sizeof(r->result->why), format, ap);
	va_end(ap);
	return -1;
}

static const char *op_name(uint16_t op)
{
	const char *name = vgpu_op_name(op);

	return name ? name : "a command without a name";
}

/* Host functions did something in the program that is not known here: their streams just go on. */
static void serve_callbacks(struct replay *r)
{
	const struct vgpu_cmd *cmd = (const void *)r->callback;
	uint64_t cookie, i;

	while (r->callback && vgpu_consumer_take(&r->callbacks, r->callback) > 0) {
		if (cmd->op != VGPU_OP_host_call || cmd->args_size < sizeof(cookie))
			continue;
		memcpy(&cookie, cmd + 1, sizeof(cookie));
		for (i = 0; i < r->call_count && r->calls[i].cookie != cookie; i++)
			;
		if (i < r->call_count)
			atomic_store_explicit(&r->link.channel->fences[r->calls[i].fence], r->calls[i].value,
					      memory_order_release);
	}
}

/* Now and then while something is waited for. */
static int still_well(struct replay *r, uint64_t since)
{
	struct vgpu_channel_ctl *ctl = &r->link.channel->ctl;

	if (atomic_load(&ctl->sticky_error))
		return bad(r, "the context was lost with CUDA error %u", atomic_load(&ctl->sticky_error));
	if (atomic_load(&ctl->host_state) != VGPU_HOST_READY)
		return bad(r, "the session ended: %.120s", ctl->host_text);
	if (now() - since > PATIENCE_NS)
		return bad(r, "nothing moves any more; the program may have stored something that the device waits for");
	return 0;
}

/* A pause in a loop that waits; `i` counts them. */
static int pause_once(struct replay *r, uint64_t i, uint64_t *since)
{
	if (!i)
		*since = now();
	if (i % 64 == 63) {
		serve_callbacks(r);
		sched_yield();
	}
	return i % 4096 == 4095 ? still_well(r, *since) : 0;
}

static int wait_for(struct replay *r, _Atomic uint64_t *word, uint64_t value)
{
	uint64_t i, since = 0;

	for (i = 0; atomic_load_explicit(word, memory_order_acquire) < value; i++)
		if (pause_once(r, i, &since))
			return -1;
	return 0;
}

static struct vgpu_cmd *reserve(struct replay *r, uint32_t size)
{
	struct vgpu_cmd *cmd;
	uint64_t i, since = 0;

	for (i = 0; !(cmd = vgpu_producer_reserve(&r->link.ring, size)); i++)
		if (pause_once(r, i, &since))
			return NULL;
	return cmd;
}

/* Everything sent so far has been taken. */
static int drain(struct replay *r)
{
	struct vgpu_args_ping *a;
	struct vgpu_cmd *cmd = reserve(r, VGPU_CMD_ALIGN);

	if (!cmd)
		return -1;
	*cmd = (struct vgpu_cmd){ .size = VGPU_CMD_ALIGN, .op = VGPU_OP_ping, .slot = PING_SLOT, .args_size = sizeof(*a),
				  .seq = ++r->link.seq };
	a = (void *)(cmd + 1);
	a->cookie = 0;
	link_publish(&r->link, VGPU_CMD_ALIGN);
	return wait_for(r, &r->link.channel->replies[PING_SLOT - 1].done, r->link.seq);
}

/* What a command that was recorded tells about addresses and host functions. */
static void note_command(struct replay *r, const struct vgpu_cmd *cmd)
{
	const struct vgpu_args_host_call *call = (const void *)(cmd + 1);
	uint64_t address;

	if (cmd->op == VGPU_OP_host_call && cmd->args_size >= sizeof(*call) && call->done_fence < VGPU_FENCES)
		r->calls[r->call_count++] = (struct host_call){ call->cookie, call->done_value, call->done_fence };
	if ((cmd->op == VGPU_OP_cuMemFree_v2 || cmd->op == VGPU_OP_cuMemFreeAsync || cmd->op == VGPU_OP_cuMemAddressFree) &&
	    cmd->args_size >= sizeof(address)) {
		memcpy(&address, cmd + 1, sizeof(address));
		relocation_remove(&r->where, address);
	}
}

static int send_command(struct replay *r, const struct vgpu_record *record)
{
	const struct vgpu_cmd *from = (const void *)(record + 1);
	struct vgpu_cmd *cmd = reserve(r, from->size);
	size_t there = record->size - sizeof(*record);

	if (!cmd)
		return -1;
	memcpy(cmd, from, there);
	memset((uint8_t *)cmd + there, 0, from->size - there);
	cmd->seq = ++r->link.seq;
	cmd->flags = 0;
	/* Code is not data. */
	if (from->op != VGPU_OP_image_data)
		relocation_words(&r->where, cmd + 1, there - sizeof(*cmd));
	if (from->slot) {
		r->asked[from->slot - 1] = from;
		r->seq[from->slot - 1] = r->link.seq;
	}
	link_publish(&r->link, from->size);
	note_command(r, from);
	if (r->measuring) {
		r->result->commands++;
		r->result->launches += from->op == VGPU_OP_launch;
		r->result->copied += recording_copied(from);
	}
	return 0;
}

/* Replies that hold the address of an allocation: where it stands, and where its size. */
static const struct answer {
	uint16_t op, address, size, times;
	bool size_in_reply;
} answers[] = {
#define ARG(call, member) offsetof(struct vgpu_args_##call, member)
#define RET(call, member) offsetof(struct vgpu_ret_##call, member)
#define NONE UINT16_MAX
	{ VGPU_OP_cuMemAlloc_v2, RET(cuMemAlloc_v2, dptr), ARG(cuMemAlloc_v2, bytesize), NONE, false },
	{ VGPU_OP_cuMemAllocPitch_v2, RET(cuMemAllocPitch_v2, dptr), RET(cuMemAllocPitch_v2, pitch),
	  ARG(cuMemAllocPitch_v2, height), true },
	{ VGPU_OP_cuMemAllocAsync, RET(cuMemAllocAsync, dptr), ARG(cuMemAllocAsync, bytesize), NONE, false },
	{ VGPU_OP_cuMemAllocFromPoolAsync, RET(cuMemAllocFromPoolAsync, dptr), ARG(cuMemAllocFromPoolAsync, bytesize), NONE,
	  false },
	{ VGPU_OP_cuMemAddressReserve, RET(cuMemAddressReserve, ptr), ARG(cuMemAddressReserve, size), NONE, false },
	{ VGPU_OP_cuModuleGetGlobal_v2, RET(cuModuleGetGlobal_v2, dptr), RET(cuModuleGetGlobal_v2, bytes), NONE, true },
	{ VGPU_OP_cuLibraryGetGlobal, RET(cuLibraryGetGlobal, dptr), RET(cuLibraryGetGlobal, bytes), NONE, true },
	{ VGPU_OP_cuLibraryGetManaged, RET(cuLibraryGetManaged, dptr), RET(cuLibraryGetManaged, bytes), NONE, true },
};

static uint64_t word_at(const void *data, size_t bytes, uint16_t at)
{
	uint64_t word = 0;

	if (at != NONE && at + sizeof(word) <= bytes)
		memcpy(&word, (const uint8_t *)data + at, sizeof(word));
	return word;
}

static int learn(struct replay *r, const struct vgpu_cmd *cmd, const struct vgpu_record_reply *then,
		 const struct vgpu_reply_slot *slot)
{
	const struct answer *a;
	uint64_t size;

	for (a = answers; a < answers + sizeof(answers) / sizeof(answers[0]) && a->op != cmd->op; a++)
		;
	if (a == answers + sizeof(answers) / sizeof(answers[0]))
		return 0;
	size = a->size_in_reply ? word_at(then + 1, then->size, a->size) : word_at(cmd + 1, cmd->args_size, a->size);
	if (a->times != NONE)
		size *= word_at(cmd + 1, cmd->args_size, a->times);
	if (relocation_add(&r->where, word_at(then + 1, then->size, a->address), size,
			   word_at(slot->data, slot->size <= VGPU_REPLY_DATA ? slot->size : 0, a->address)))
		return bad(r, "no memory");
	return 0;
}

static int take_reply(struct replay *r, const struct vgpu_record *record)
{
	const struct vgpu_record_reply *then = (const void *)(record + 1);
	struct vgpu_reply_slot *slot = &r->link.channel->replies[then->slot - 1];
	const struct vgpu_cmd *cmd = r->asked[then->slot - 1];

	if (wait_for(r, &slot->done, r->seq[then->slot - 1]))
		return -1;
	if (slot->result != then->result)
		return bad(r, "command %llu (%s) answered %d, in the recording %d", (unsigned long long)cmd->seq,
			   op_name(cmd->op), slot->result, then->result);
	return then->result ? 0 : learn(r, cmd, then, slot);
}

static int check_result(struct replay *r, const struct vgpu_record *record)
{
	const struct vgpu_record_result *then = (const void *)(record + 1);

	r->result->checked++;
	if (vgpu_record_hash(VGPU_RECORD_HASH_INIT, r->link.base + then->offset, then->bytes) == then->hash)
		return 0;
	return bad(r, "result %llu (%llu bytes) is not what it was in the recording", (unsigned long long)r->result->checked,
		   (unsigned long long)then->bytes);
}

static int do_record(struct replay *r, const struct vgpu_record *record)
{
	const struct vgpu_record_wait *w = (const void *)(record + 1);
	const struct vgpu_record_place *place = (const void *)(record + 1);
	int e = 0;

	switch (record->type) {
	case VGPU_RECORD_COMMAND:
		while (r->paced && now() < record->time + r->shift)
			serve_callbacks(r);
		return send_command(r, record);
	case VGPU_RECORD_DATA:
		memcpy(r->link.base + place->offset, place + 1, place->bytes);
		return 0;
	case VGPU_RECORD_RESULT:
		return check_result(r, record);
	case VGPU_RECORD_REPLY:
		e = take_reply(r, record);
		break;
	case VGPU_RECORD_WAIT:
		e = wait_for(r, &r->link.channel->fences[w->fence], w->value);
		break;
	}
	r->shift = r->paced ? now() - record->time : 0;
	return e;
}

/* The clock begins or ends at this record. */
static int mark(struct replay *r, uint64_t at)
{
	if (at != r->rec->from && at != r->rec->to)
		return 0;
	if (drain(r))
		return -1;
	r->measuring = at == r->rec->from;
	if (r->measuring) {
		r->began = now();
		r->result->doorbells = r->link.doorbells;
	} else {
		r->result->ns = now() - r->began;
		r->result->doorbells = r->link.doorbells - r->result->doorbells;
	}
	return 0;
}

static int do_all(struct replay *r)
{
	const struct vgpu_record *record;
	uint64_t at;

	r->shift = now();
	for (at = sizeof(r->rec->file);; at += vgpu_record_stride(record->size)) {
		record = recording_at(r->rec, at);
		if (mark(r, at))
			return -1;
		if (record->type == VGPU_RECORD_END)
			break;
		if (do_record(r, record))
			return -1;
	}
	if (atomic_load(&r->link.channel->ctl.deferred_seq))
		return bad(r, "a command that nobody waited for failed with CUDA error %u",
			   atomic_load(&r->link.channel->ctl.deferred_error));
	return 0;
}

static int prepare(struct replay *r)
{
	const char *why = link_open_sized(&r->link, false, r->rec->file.shm_size);
	struct vgpu_channel *ch = r->link.channel;

	if (why)
		return bad(r, "%s", why);
	if (r->link.geo.total_size != r->rec->file.shm_size)
		return bad(r, "the mediator gives %llu MiB of shared memory, the program had %llu",
			   (unsigned long long)r->link.geo.total_size >> 20, (unsigned long long)r->rec->file.shm_size >> 20);
	if (relocation_add(&r->where, r->rec->file.arena_base, r->rec->file.shm_size, (uint64_t)(uintptr_t)r->link.base))
		return bad(r, "no memory");
	if (!r->rec->host_calls)
		return 0;
	r->callback = aligned_alloc(VGPU_CMD_ALIGN, VGPU_CMD_MAX);
	r->calls = calloc(r->rec->host_calls, sizeof(*r->calls));
	if (!r->callback || !r->calls)
		return bad(r, "no memory");
	vgpu_consumer_init(&r->callbacks, &ch->reverse, ch->reverse_data, VGPU_REVERSE_BYTES);
	return 0;
}

int replay_run(const struct recording *rec, bool paced, struct replay_result *result)
{
	struct replay r = { .rec = rec, .result = result, .paced = paced, .link = { .sock = -1 } };
	int e;

	memset(result, 0, sizeof(*result));
	e = prepare(&r);
	if (!e)
		e = do_all(&r);
	if (r.link.channel)
		link_close(&r.link);
	relocation_free(&r.where);
	free(r.callback);
	free(r.calls);
	return e;
}
