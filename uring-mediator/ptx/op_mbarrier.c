/* SPDX-License-Identifier: MIT */
/*
 * Barriers that are objects in shared memory: mbarrier.* and cp.async.mbarrier.arrive, without counts of bytes
 * (PTX ISA, "mbarrier"). The layout of the object is ours to choose; the token that an arrival gives is the object as it
 * was before. The threads of a block take turns on one thread of the host, so plain accesses do.
 */
#include "exec.h"
#include "space.h"

#define COUNT_BITS 20u
#define COUNT_MOST ((1u << COUNT_BITS) - 1)
#define BARRIER_BYTES 8u

enum { MB_ARRIVE, MB_ARRIVE_DROP };
enum { MB_COMPLETES, MB_LEAVES_PENDING };

/* From the lowest bit: arrivals that the phase waits for, arrivals of each phase, number of the phase. */
static uint64_t join(uint64_t pending, uint64_t expected, uint64_t phase)
{
	return pending | expected << COUNT_BITS | phase << 2 * COUNT_BITS;
}

static uint32_t pending_of(uint64_t object)
{
	return object & COUNT_MOST;
}

static uint32_t expected_of(uint64_t object)
{
	return object >> COUNT_BITS & COUNT_MOST;
}

static uint64_t phase_of(uint64_t object)
{
	return object >> 2 * COUNT_BITS;
}

static int wrong_count(struct thread *t, const struct insn *in)
{
	return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "mbarrier: a count out of range");
}

static int op_init(struct thread *t, const struct insn *in)
{
	uint32_t count = (uint32_t)t->r[in->b];
	uint64_t *object = exec_operand(t, in, true);

	if (!object)
		return OP_FAULT;
	if (!count || count > COUNT_MOST)
		return wrong_count(t, in);
	*object = join(count, count, 0);
	return OP_NEXT;
}

static int op_inval(struct thread *t, const struct insn *in)
{
	uint64_t *object = exec_operand(t, in, true);

	if (!object)
		return OP_FAULT;
	*object = 0;
	return OP_NEXT;
}

static int op_arrive(struct thread *t, const struct insn *in)
{
	uint32_t count = (uint32_t)t->r[in->b], pending, expected;
	uint64_t *object = exec_operand(t, in, true), old;

	if (!object)
		return OP_FAULT;
	old = *object;
	expected = expected_of(old);
	if (!count || count > pending_of(old))
		return wrong_count(t, in);
	pending = pending_of(old) - count;
	if (!pending && in->sub2 == MB_LEAVES_PENDING)
		return wrong_count(t, in);
	if (in->sub == MB_ARRIVE_DROP)
		expected -= count;
	*object = pending ? join(pending, expected, phase_of(old)) : join(expected, expected, phase_of(old) + 1);
	if (in->flag)
		t->r[in->d] = old;
	return OP_NEXT;
}

/* Is the phase of the token, or the one of this parity, over? */
static int op_test_wait(struct thread *t, const struct insn *in)
{
	const uint64_t *object = exec_operand(t, in, false);

	if (!object)
		return OP_FAULT;
	if (in->flag)
		t->r[in->d] = (phase_of(*object) & 1) != (t->r[in->b] & 1);
	else
		t->r[in->d] = phase_of(*object) != phase_of(t->r[in->b]);
	return OP_NEXT;
}

static int op_pending_count(struct thread *t, const struct insn *in)
{
	t->r[in->d] = pending_of(t->r[in->a]);
	return OP_NEXT;
}

/* Order and scope, which one thread of the host keeps anyway. */
static void skip_order(struct decode *d)
{
	static const char *const words[] = {"relaxed", "acquire", "release", "cta", "cluster", NULL};

	while (mod_take_any(d, words) >= 0)
		;
}

/* The state space, the type, and the object's address, which is operand @i. */
static int object_operand(struct decode *d, unsigned i)
{
	enum space space = take_space(d);

	if ((space != SP_GENERIC && space != SP_SHARED) || mod_take_type(d) != T_B64)
		return decode_fail(d, -ENOTSUP, "unknown state space or type");
	return address(d, d->ops[i], space, BARRIER_BYTES, BARRIER_BYTES);
}

/* "[state,] [object] [, count]"; without a state @results is 0. */
static int decode_arrival(struct decode *d, unsigned how, unsigned results)
{
	int err;

	d->in.sub = (uint8_t)how;
	d->in.sub2 = mod_take(d, "noComplete") ? MB_LEAVES_PENDING : MB_COMPLETES;
	d->in.flag = results && d->nops && d->ops[0]->kind != OPD_SINK;
	d->in.fn = op_arrive;
	skip_order(d);
	err = need_operands(d, 1 + results, 2 + results);
	if (!err)
		err = object_operand(d, results);
	if (!err && d->in.flag)
		err = dst(d, 0, T_B64, &d->in.d);
	if (!err && d->nops == 2 + results)
		err = src(d, 1 + results, T_U32, &d->in.b);
	else if (!err)
		err = constant(d->p, 1, &d->in.b);
	return err ? err : emit(d->p, &d->in);
}

static int decode_wait(struct decode *d)
{
	int err;

	d->in.flag = mod_take(d, "parity");
	d->in.fn = op_test_wait;
	skip_order(d);
	err = need_operands(d, 3, 4);	/* the fourth: how long try_wait may take, which is no time here */
	if (!err)
		err = object_operand(d, 1);
	if (!err)
		err = dst(d, 0, T_PRED, &d->in.d);
	if (!err)
		err = src(d, 2, d->in.flag ? T_U32 : T_B64, &d->in.b);
	return err ? err : emit(d->p, &d->in);
}

static int decode_init(struct decode *d)
{
	int err = need_operands(d, 2, 2);

	d->in.fn = op_init;
	if (!err)
		err = object_operand(d, 0);
	if (!err)
		err = src(d, 1, T_U32, &d->in.b);
	return err ? err : emit(d->p, &d->in);
}

static int decode_inval(struct decode *d)
{
	int err = need_operands(d, 1, 1);

	d->in.fn = op_inval;
	if (!err)
		err = object_operand(d, 0);
	return err ? err : emit(d->p, &d->in);
}

static int decode_pending_count(struct decode *d)
{
	d->in.fn = op_pending_count;
	if (mod_take_type(d) != T_B64)
		return decode_fail(d, -ENOTSUP, "unknown type");
	return emit_plain(d, 1, T_U32, T_B64, T_NONE, T_NONE);
}

static int decode_mbarrier(struct decode *d)
{
	if (mod_take(d, "init"))
		return decode_init(d);
	if (mod_take(d, "inval"))
		return decode_inval(d);
	if (mod_take(d, "arrive"))
		return decode_arrival(d, MB_ARRIVE, 1);
	if (mod_take(d, "arrive_drop"))
		return decode_arrival(d, MB_ARRIVE_DROP, 1);
	if (mod_take(d, "test_wait") || mod_take(d, "try_wait"))
		return decode_wait(d);
	if (mod_take(d, "pending_count"))
		return decode_pending_count(d);
	return decode_fail(d, -ENOTSUP, "unknown instruction");
}

/*
 * The copies of cp.async are complete when it returns. The arrival that they cause counts only with .noinc; without
 * it the phase waits for one more, which then comes.
 */
static int decode_copy_arrive(struct decode *d)
{
	int err;

	if (!mod_take(d, "async") || !mod_take(d, "mbarrier") || !mod_take(d, "arrive"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	if (mod_take(d, "noinc"))
		return decode_arrival(d, MB_ARRIVE, 0);
	err = need_operands(d, 1, 1);
	if (!err)
		err = object_operand(d, 0);
	return err;
}

const struct op_def ops_mbarrier[] = {
	{"mbarrier", CLASS_INT, decode_mbarrier, 0},
	{"cp", CLASS_INT, decode_copy_arrive, 0},
	{NULL, 0, NULL, 0},
};
