/* SPDX-License-Identifier: MIT */
/*
 * One command from its private copy to its answer: checks of the header against the generated row, the context, the
 * handler, and then a reply slot, or the words for errors that nobody waited for.  The worker's only thread.
 */
#include <errno.h>
#include <string.h>

#include <vgpu/clock.h>

#include "monitor.h"
#include "session.h"

const void *vgpu_take(const struct vgpu_request *rq, uint32_t *at, uint32_t size)
{
	const uint8_t *p = (const uint8_t *)rq->payload + *at;

	if (*at > rq->payload_size || size > rq->payload_size - *at)
		return NULL;
	/* The padding behind the last piece may be left out. */
	*at = vgpu_align8(*at + size) < rq->payload_size ? vgpu_align8(*at + size) : rq->payload_size;
	return p;
}

const char *vgpu_take_string(const struct vgpu_request *rq, uint32_t *at, uint32_t size, uint32_t limit)
{
	const char *p;

	if (!size || size > limit)
		return NULL;
	p = vgpu_take(rq, at, size);
	return p && strnlen(p, size) == size - 1 ? p : NULL;
}

void *vgpu_room(struct vgpu_request *rq, uint32_t *end, uint32_t size)
{
	uint8_t *p = (uint8_t *)rq->ret + *end;

	if (*end > rq->ret_cap || size > rq->ret_cap - *end || vgpu_align8(size) > rq->ret_cap - *end)
		return NULL;
	memset(p, 0, size);
	*end += vgpu_align8(size);
	return p;
}

static void trace(struct vgpu_session *s, const struct vgpu_cmd *cmd, const struct vgpu_request *rq,
		  uint64_t taken, CUresult result)
{
	struct vgpu_worker_stats *st = s->stats;
	uint64_t tail = atomic_load_explicit(&st->trace_tail, memory_order_relaxed);
	struct vgpu_trace_record *r = &st->record[tail % VGPU_TRACE_RECORDS];

	*r = (struct vgpu_trace_record){
		.seq = cmd->seq, .op = cmd->op, .thread = cmd->thread, .guest = vgpu_cmd_stamp(cmd), .taken = taken,
		.done = vgpu_clock_ns(), .bytes = rq->bytes, .stream = rq->stream, .result = (int32_t)result,
		.flags = vgpu_timeline_keep(s, rq, tail, result) ? VGPU_TRACE_TIMED : 0,
	};
	atomic_store_explicit(&st->trace_tail, tail + 1, memory_order_release);
}

static uint32_t reply_size(const struct vgpu_request *rq)
{
	return rq->ret_size < VGPU_REPLY_DATA ? rq->ret_size : VGPU_REPLY_DATA;
}

static void answer(struct vgpu_session *s, const struct vgpu_cmd *cmd, const struct vgpu_request *rq,
		   CUresult result)
{
	struct vgpu_reply_slot *slot = &s->channel->replies[cmd->slot - 1];
	uint32_t size = reply_size(rq);

	memcpy(slot->data, s->reply, size);
	slot->size = size;
	slot->result = (int32_t)result;
	atomic_store_explicit(&slot->done, cmd->seq, memory_order_release);
}

static void defer(struct vgpu_session *s, const struct vgpu_cmd *cmd, CUresult result)
{
	struct vgpu_channel_ctl *ctl = &s->channel->ctl;

	atomic_store_explicit(&ctl->deferred_error, (uint32_t)result, memory_order_relaxed);
	atomic_store_explicit(&ctl->deferred_seq, cmd->seq, memory_order_release);
}

static CUresult check(struct vgpu_session *s, const struct vgpu_cmd *cmd, const struct vgpu_op_info *op)
{
	if (!op || (s->device->monitor && !vgpu_monitor_allows(cmd->op)))
		return vgpu_session_broken(s, "operation 0x%04x does not exist", cmd->op);
	if (cmd->args_size != op->args_size)
		return vgpu_session_broken(s, "%s: %u bytes of arguments instead of %u", op->name, cmd->args_size,
					   op->args_size);
	if (cmd->payload_size > op->payload_max)
		return vgpu_session_broken(s, "%s: payload of %u bytes, at most %u", op->name, cmd->payload_size,
					   op->payload_max);
	if (cmd->slot > VGPU_REPLY_SLOTS || (op->sync && !cmd->slot))
		return vgpu_session_broken(s, "%s: reply slot %u", op->name, cmd->slot);
	return CUDA_SUCCESS;
}

static CUresult run(struct vgpu_session *s, const struct vgpu_cmd *cmd, const struct vgpu_op_info *op,
		    struct vgpu_request *rq)
{
	CUresult r = vgpu_session_enter(s, cmd->context);

	if (op->ret_max)
		memset(s->reply, 0, op->ret_max < VGPU_REPLY_DATA ? vgpu_align8(op->ret_max) : VGPU_REPLY_DATA);
	if (!r)
		r = op->fn(s, rq);
	if (r == VGPU_BROKEN && !s->broken[0])
		vgpu_session_broken(s, "%s: malformed arguments", op->name);
	return r;
}

static void count(struct vgpu_session *s, const struct vgpu_cmd *cmd, CUresult r)
{
	struct vgpu_worker_stats *st = s->stats;

	vgpu_count(&st->commands, 1);
	atomic_store_explicit(&st->last_seq, cmd->seq, memory_order_relaxed);
	atomic_store_explicit(&st->last_op, cmd->op, memory_order_relaxed);
	if (r)
		vgpu_count(&st->errors, 1);
	if (s->memory_used > s->memory_peak)
		vgpu_memory_note_peak(s);
}

/* Execute s->command; the answer goes to `outcome`, or to its slot if that is NULL. */
static int execute(struct vgpu_session *s, struct vgpu_outcome *outcome)
{
	const struct vgpu_cmd *cmd = (const struct vgpu_cmd *)s->command;
	const struct vgpu_op_info *op = vgpu_op_find(cmd->op);
	bool tracing = atomic_load_explicit(&s->stats->trace, memory_order_relaxed);
	uint64_t taken = tracing ? vgpu_clock_ns() : 0;
	uint8_t *args = s->command + sizeof(*cmd);
	struct vgpu_request rq = {
		.args = args, .args_size = cmd->args_size, .payload = args + vgpu_align8(cmd->args_size),
		.payload_size = cmd->payload_size, .ret = s->reply, .ret_cap = VGPU_REPLY_DATA,
		.op = cmd->op, .seq = cmd->seq, .traced = tracing,
	};
	CUresult r;

	if (check(s, cmd, op))
		return -EPROTO;
	r = run(s, cmd, op, &rq);
	vgpu_timeline_end(s, &rq);
	if (r == VGPU_BROKEN)
		return -EPROTO;
	count(s, cmd, r);
	vgpu_session_note(s, r);
	if (outcome)
		*outcome = (struct vgpu_outcome){ r, cmd->slot ? reply_size(&rq) : 0 };
	else if (cmd->slot)
		answer(s, cmd, &rq, r);
	if (cmd->slot)
		vgpu_count(&s->stats->replies, 1);
	else if (r)
		defer(s, cmd, r);
	if (rq.late_fence && !s->sticky)
		atomic_store_explicit(&s->channel->fences[rq.late_fence], rq.late_value, memory_order_release);
	if (tracing)
		trace(s, cmd, &rq, taken, r);
	return 0;
}

int vgpu_request_execute(struct vgpu_session *s)
{
	return execute(s, NULL);
}

int vgpu_request_call(struct vgpu_session *s, struct vgpu_outcome *outcome)
{
	int ret = execute(s, outcome);

	if (!ret)
		vgpu_count(&s->stats->calls, 1);
	return ret;
}
