/* SPDX-License-Identifier: MIT */
/*
 * Barriers of a block: bar.sync, bar.red, bar.arrive and their barrier.* spellings. Whole warps arrive: a warp is there
 * once all its threads that have not exited are, and then counts as 32 threads (PTX ISA, "bar, barrier").
 */
#include "exec.h"
#include "parse.h"

enum { BAR_SYNC, BAR_ARRIVE, BAR_POPC, BAR_AND, BAR_OR };

static bool complete(const struct block *b, const struct barrier *bar)
{
	uint32_t there = 0, missing = 0;

	if (!bar->arrived)
		return false;
	for (uint32_t i = 0; i < b->run->nwarps; i++) {
		uint32_t exited = b->warps[i].exited;

		if (exited == ~0u && !bar->lanes[i])
			continue;
		if ((bar->lanes[i] | exited) == ~0u)
			there += WARP_SIZE;
		else
			missing++;
	}
	return bar->expected ? there >= bar->expected : !missing;
}

static void release(struct block *b, uint32_t number)
{
	struct barrier *bar = &b->barriers[number];

	for (uint32_t i = 0; i < b->run->nthreads; i++) {
		struct thread *t = &b->threads[i];
		const struct insn *in = t->wait.in;

		if (t->state != AT_BARRIER || t->barrier != number)
			continue;
		t->state = READY;
		if (in->sub == BAR_POPC)
			t->r[in->d] = bar->votes;
		else if (in->sub == BAR_AND)
			t->r[in->d] = bar->votes == bar->arrived;
		else if (in->sub == BAR_OR)
			t->r[in->d] = bar->votes != 0;
	}
	*bar = (struct barrier){0};
}

void barrier_thread_exited(struct block *b)
{
	for (uint32_t i = 0; i < BARRIERS; i++)
		if (complete(b, &b->barriers[i]))
			release(b, i);
}

static int op_bar(struct thread *t, const struct insn *in)
{
	uint32_t number = (uint32_t)t->r[in->a], expected = in->flag ? (uint32_t)t->r[in->b] : 0;
	struct barrier *bar;

	if (number >= BARRIERS || (in->flag && (!expected || expected % WARP_SIZE)))
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "bar: no such barrier or thread count");
	bar = &t->block->barriers[number];
	bar->expected = expected;
	bar->arrived++;
	bar->lanes[t->warp->number] |= 1u << t->lane;
	if (in->sub >= BAR_POPC)
		bar->votes += (t->r[in->c] & 1) ^ in->neg;
	if (in->sub != BAR_ARRIVE) {
		t->state = AT_BARRIER;
		t->barrier = number;
		t->wait.in = in;
	}
	if (complete(t->block, bar))
		release(t->block, number);
	return t->state == READY ? OP_NEXT : OP_BLOCKED;
}

/* Operands from @first: barrier, and where given the count of threads. */
static int barrier_operands(struct decode *d, unsigned first, bool counted)
{
	int err = src(d, first, T_U32, &d->in.a);

	d->in.flag = counted;
	if (!err && counted)
		err = src(d, first + 1, T_U32, &d->in.b);
	d->in.fn = op_bar;
	return err;
}

static int decode_red(struct decode *d)
{
	static const char *const names[] = {"popc", "and", "or", NULL};
	int which = mod_take_any(d, names), err = need_operands(d, 3, 4);
	enum type t = mod_take_type(d);

	if (which < 0 || t != (which ? T_PRED : T_U32))
		return decode_fail(d, -ENOTSUP, "unknown reduction");
	d->in.sub = (uint8_t)(BAR_POPC + which);
	if (!err)
		err = dst(d, 0, t, &d->in.d);
	if (!err)
		err = barrier_operands(d, 1, d->nops == 4);
	if (!err)
		err = src_pred(d, d->nops - 1, &d->in.c, &d->in.neg);
	return err ? err : emit(d->p, &d->in);
}

static int decode_bar(struct decode *d)
{
	int err;

	mod_take(d, "cta");
	mod_take(d, "aligned");
	if (mod_take(d, "red"))
		return decode_red(d);
	if (mod_take(d, "arrive")) {
		d->in.sub = BAR_ARRIVE;
		err = need_operands(d, 2, 2);
	} else {
		if (!mod_take(d, "sync"))
			return decode_fail(d, -ENOTSUP, "unknown instruction");
		d->in.sub = BAR_SYNC;
		err = need_operands(d, 1, 2);
	}
	if (!err)
		err = barrier_operands(d, 0, d->nops == 2);
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_barrier[] = {
	{"bar", CLASS_NONE | CLASS_INT | CLASS_PRED, decode_bar, 0},
	{"barrier", CLASS_NONE | CLASS_INT | CLASS_PRED, decode_bar, 0},
	{NULL, 0, NULL, 0},
};
