/* SPDX-License-Identifier: MIT */
/*
 * Instructions at which the lanes of a warp meet: shfl, vote, match, redux, elect, activemask, bar.warp.sync, those of
 * op_matrix.c. A lane
 * that comes waits until every lane of its mask that has not exited waits at the same operation with the same mask;
 * the last one to come computes everybody's result. The forms without .sync, and activemask, have no mask: they take
 * the lanes that wait at the same instruction once no lane of the warp can go on without them.
 */
#include "exec.h"
#include "matrix.h"
#include "parse.h"

enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };
enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

static uint32_t lanes_of(const struct warp *w, uint32_t group, uint32_t i)
{
	return i < w->count && (group >> i & 1);
}

/* PTX ISA, shfl.sync: c holds the clamp value in bits 0-4 and the segment mask in bits 8-12. */
static void shuffle(struct warp *w, struct thread *t, uint32_t group)
{
	const struct insn *in = t->wait.in;
	uint32_t lane = t->lane, b = (uint32_t)t->wait.b & 31, c = (uint32_t)t->wait.c & 31;
	uint32_t segment = (uint32_t)t->wait.c >> 8 & 31, most = (lane & segment) | (c & ~segment), least = lane & segment;
	uint32_t from;
	bool valid;

	switch (in->sub) {
	case SHFL_UP:
		from = lane - b;
		valid = (int32_t)from >= (int32_t)most;
		break;
	case SHFL_DOWN:
		from = lane + b;
		valid = from <= most;
		break;
	case SHFL_BFLY:
		from = lane ^ b;
		valid = from <= most;
		break;
	default:
		from = least | (b & ~segment);
		valid = from <= most;
	}
	if (!valid)
		from = lane;
	t->r[in->d] = lanes_of(w, group, from) ? (uint32_t)w->lanes[from].wait.a : (uint32_t)t->wait.a;
	if (in->p)
		t->r[in->p] = valid;
}

static uint64_t vote(const struct insn *in, uint32_t group, uint32_t yes)
{
	switch (in->sub) {
	case VOTE_ALL:
		return yes == group;
	case VOTE_ANY:
		return yes != 0;
	case VOTE_UNI:
		return yes == group || !yes;
	default:
		return yes;
	}
}

static uint32_t gather(const struct warp *w, uint32_t group)
{
	uint32_t yes = 0;

	for (uint32_t i = 0; i < w->count; i++)
		if (group >> i & 1 && w->lanes[i].wait.a & 1)
			yes |= 1u << i;
	return yes;
}

static void match(struct warp *w, struct thread *t, uint32_t group)
{
	const struct insn *in = t->wait.in;
	uint32_t same = 0;

	for (uint32_t i = 0; i < w->count; i++)
		if (group >> i & 1 && w->lanes[i].wait.a == t->wait.a)
			same |= 1u << i;
	if (in->n == W_MATCH_ALL) {
		t->r[in->d] = same == group ? group : 0;
		if (in->p)
			t->r[in->p] = same == group;
	} else {
		t->r[in->d] = same;
	}
}

static uint32_t reduce(const struct warp *w, const struct insn *in, uint32_t group)
{
	bool first = true, is_signed = in->type == T_S32;
	uint32_t r = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		uint32_t v = (uint32_t)w->lanes[i].wait.a;
		bool less = is_signed ? (int32_t)v < (int32_t)r : v < r;

		if (!(group >> i & 1))
			continue;
		if (first)
			r = v;
		else if (in->sub == REDUX_ADD)
			r += v;
		else if (in->sub == REDUX_MIN || in->sub == REDUX_MAX)
			r = less == (in->sub == REDUX_MIN) ? v : r;
		else
			r = in->sub == REDUX_AND ? r & v : in->sub == REDUX_OR ? r | v : r ^ v;
		first = false;
	}
	return r;
}

static void finish_lane(struct warp *w, struct thread *t, uint32_t group, uint32_t yes)
{
	const struct insn *in = t->wait.in;

	switch (in->n) {
	case W_SHFL:
		shuffle(w, t, group);
		break;
	case W_VOTE:
		t->r[in->d] = vote(in, group, yes);
		break;
	case W_MATCH_ANY: case W_MATCH_ALL:
		match(w, t, group);
		break;
	case W_REDUX:
		t->r[in->d] = reduce(w, in, group);
		break;
	case W_ELECT:
		t->r[in->d] = (uint32_t)__builtin_ctz(group);
		t->r[in->p] = (uint32_t)__builtin_ctz(group) == t->lane;
		break;
	case W_ACTIVEMASK:
		t->r[in->d] = group;
		break;
	case W_ROWS:
		matrix_take_rows(w, t, group);
		break;
	default:
		break;
	}
}

/* Results go to registers that no other lane reads; wait values stay untouched until all are done. */
static void finish(struct warp *w, uint32_t group)
{
	const struct insn *in = w->lanes[__builtin_ctz(group)].wait.in;
	uint32_t yes = gather(w, group);

	if (in->n == W_MULTIPLY)
		matrix_multiply(w, group, in->matrix);
	for (uint32_t i = 0; i < w->count; i++)
		if (group >> i & 1)
			finish_lane(w, &w->lanes[i], group, yes);
	for (uint32_t i = 0; i < w->count; i++)
		if (group >> i & 1)
			w->lanes[i].state = READY;
}

static bool same_operation(const struct insn *a, const struct insn *b)
{
	return a->n == b->n && a->sub == b->sub && a->type == b->type && a->matrix == b->matrix;
}

/* Whether everybody that @t waits for is there; then all go on. */
static bool try_finish(struct warp *w, const struct thread *t)
{
	uint32_t group = t->wait.mask & ~w->exited;

	for (uint32_t i = 0; i < w->count; i++) {
		const struct thread *o = &w->lanes[i];

		if (!(group >> i & 1))
			continue;
		if (o->state != AT_WARP || o->wait.converged || o->wait.mask != t->wait.mask ||
		    !same_operation(o->wait.in, t->wait.in))
			return false;
	}
	finish(w, group);
	return true;
}

void warp_lane_exited(struct warp *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->lanes[i].state == AT_WARP && !w->lanes[i].wait.converged)
			try_finish(w, &w->lanes[i]);
}

/* Called when no lane can go on, or all that can have had a turn: lets the groups without a mask go on. */
bool warp_release_converged(struct warp *w)
{
	bool any = false;

	for (uint32_t i = 0; i < w->count; i++) {
		const struct insn *in = w->lanes[i].wait.in;
		uint32_t group = 0;

		if (w->lanes[i].state != AT_WARP || !w->lanes[i].wait.converged)
			continue;
		for (uint32_t k = i; k < w->count; k++)
			if (w->lanes[k].state == AT_WARP && w->lanes[k].wait.converged && w->lanes[k].wait.in == in)
				group |= 1u << k;
		finish(w, group);
		any = true;
	}
	return any;
}

/* a: the lane's value; b, c: shfl's; e: the mask, when in->flag. */
int warp_meet(struct thread *t, const struct insn *in)
{
	struct wait *wait = &t->wait;

	wait->in = in;
	wait->a = t->r[in->a];
	wait->b = t->r[in->b];
	wait->c = t->r[in->c];
	if (in->n == W_VOTE)
		wait->a = (wait->a & 1) ^ in->neg;
	else
		wait->a = zero_extend(wait->a, in->size);
	wait->converged = !in->flag;
	wait->mask = (uint32_t)t->r[in->e];
	t->state = AT_WARP;
	if (wait->converged)
		return OP_BLOCKED;
	if (!(wait->mask >> t->lane & 1))
		return exec_fault(t, in, PTX_FAULT_ILLEGAL_INSTRUCTION, 0, "the mask does not hold the calling lane");
	return try_finish(t->warp, t) ? OP_NEXT : OP_BLOCKED;
}

static int start(struct decode *d, unsigned what, unsigned size)
{
	d->in.fn = warp_meet;
	d->in.n = (uint8_t)what;
	d->in.size = (uint8_t)size;
	return 0;
}

static int mask_operand(struct decode *d, unsigned i)
{
	d->in.flag = true;
	return src(d, i, T_B32, &d->in.e);
}

static int decode_shfl(struct decode *d)
{
	static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
	bool sync = mod_take(d, "sync");
	int mode = mod_take_any(d, modes), err = need_operands(d, 4 + sync, 4 + sync);
	struct operand *pair = d->nops ? d->ops[0]->pair : NULL;

	if (mode < 0 || mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown mode or type");
	start(d, W_SHFL, 4);
	d->in.sub = (uint8_t)mode;
	if (!err)
		err = dst_of(d, d->ops[0], T_B32, &d->in.d);
	if (!err && pair)
		err = dst_of(d, pair, T_PRED, &d->in.p);
	if (!err)
		err = src(d, 1, T_B32, &d->in.a);
	if (!err)
		err = src(d, 2, T_B32, &d->in.b);
	if (!err)
		err = src(d, 3, T_B32, &d->in.c);
	if (!err && sync)
		err = mask_operand(d, 4);
	return err ? err : emit(d->p, &d->in);
}

static int decode_vote(struct decode *d)
{
	static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
	bool sync = mod_take(d, "sync");
	int mode = mod_take_any(d, modes), err = need_operands(d, 2 + sync, 2 + sync);
	enum type t = mod_take_type(d);

	if (mode < 0 || t != (mode == VOTE_BALLOT ? T_B32 : T_PRED))
		return decode_fail(d, -ENOTSUP, "unknown mode or type");
	start(d, W_VOTE, 1);
	d->in.sub = (uint8_t)mode;
	if (!err)
		err = dst(d, 0, t, &d->in.d);
	if (!err)
		err = src_pred(d, 1, &d->in.a, &d->in.neg);
	if (!err && sync)
		err = mask_operand(d, 2);
	return err ? err : emit(d->p, &d->in);
}

static int decode_match(struct decode *d)
{
	bool all = mod_take(d, "all");
	int err = need_operands(d, 3, 3);
	struct operand *pair = d->nops ? d->ops[0]->pair : NULL;
	enum type t = mod_take_type(d);

	if ((!all && !mod_take(d, "any")) || !mod_take(d, "sync") || (t != T_B32 && t != T_B64) || (pair && !all))
		return decode_fail(d, -ENOTSUP, "unknown mode or type");
	start(d, all ? W_MATCH_ALL : W_MATCH_ANY, type_size(t));
	if (!err)
		err = dst_of(d, d->ops[0], T_B32, &d->in.d);
	if (!err && pair)
		err = dst_of(d, pair, T_PRED, &d->in.p);
	if (!err)
		err = src(d, 1, t, &d->in.a);
	if (!err)
		err = mask_operand(d, 2);
	return err ? err : emit(d->p, &d->in);
}

static int decode_redux(struct decode *d)
{
	static const char *const names[] = {"add", "min", "max", "and", "or", "xor", NULL};
	int op = mod_take_any(d, names), err = need_operands(d, 3, 3);
	enum type t = mod_take_type(d);

	if (op < 0 || !mod_take(d, "sync") || !(op >= REDUX_AND ? t == T_B32 : t == T_U32 || t == T_S32))
		return decode_fail(d, -ENOTSUP, "unknown operation or type");
	start(d, W_REDUX, 4);
	d->in.sub = (uint8_t)op;
	d->in.type = (uint8_t)t;
	if (!err)
		err = dst(d, 0, t, &d->in.d);
	if (!err)
		err = src(d, 1, t, &d->in.a);
	if (!err)
		err = mask_operand(d, 2);
	return err ? err : emit(d->p, &d->in);
}

static int decode_elect(struct decode *d)
{
	int err = need_operands(d, 2, 2);
	struct operand *pair = d->nops ? d->ops[0]->pair : NULL;

	if (!mod_take(d, "sync"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	if (!err && !pair)
		err = decode_fail(d, -EINVAL, "a predicate is missing");
	start(d, W_ELECT, 4);
	if (!err)
		err = dst_of(d, d->ops[0], T_B32, &d->in.d);
	if (!err)
		err = dst_of(d, pair, T_PRED, &d->in.p);
	if (!err)
		err = mask_operand(d, 1);
	return err ? err : emit(d->p, &d->in);
}

static int decode_activemask(struct decode *d)
{
	int err = need_operands(d, 1, 1);

	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	start(d, W_ACTIVEMASK, 4);
	if (!err)
		err = dst(d, 0, T_B32, &d->in.d);
	return err ? err : emit(d->p, &d->in);
}

static int decode_warp_sync(struct decode *d)
{
	int err = need_operands(d, 1, 1);

	if (!mod_take(d, "sync"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	start(d, W_SYNC, 4);
	if (!err)
		err = mask_operand(d, 0);
	return err ? err : emit(d->p, &d->in);
}

static int decode_bar_warp(struct decode *d)
{
	return mod_take(d, "warp") ? decode_warp_sync(d) : 1;
}

const struct op_def ops_warp[] = {
	{"shfl", CLASS_INT, decode_shfl, 0},
	{"vote", CLASS_INT | CLASS_PRED, decode_vote, 0},
	{"match", CLASS_INT, decode_match, 0},
	{"redux", CLASS_INT, decode_redux, 0},
	{"elect", CLASS_NONE, decode_elect, 0},
	{"activemask", CLASS_INT, decode_activemask, 0},
	{"bar", CLASS_NONE, decode_bar_warp, 0},
	{"barrier", CLASS_NONE, decode_bar_warp, 0},
	{NULL, 0, NULL, 0},
};
