/* SPDX-License-Identifier: MIT */
/* mov (with packing and unpacking), cvta, isspacep: registers and kinds of addresses. */
#include "exec.h"
#include "space.h"

static const struct {
	const char *name;
	enum space space;
} spaces[] = {
	{"global", SP_GLOBAL}, {"shared", SP_SHARED}, {"shared::cta", SP_SHARED}, {"local", SP_LOCAL},
	{"const", SP_CONST}, {"param", SP_PARAM}, {"param::entry", SP_PARAM}, {"param::func", SP_PARAM},
};

enum space take_space(struct decode *d)
{
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (mod_take(d, spaces[i].name))
			return spaces[i].space;
	return SP_GENERIC;
}

/* The first generic address of a space's window; 0 of global memory. */
static uint64_t space_window(enum space space)
{
	switch (space) {
	case SP_SHARED:
		return PTX_WINDOW_SHARED;
	case SP_LOCAL:
		return PTX_WINDOW_LOCAL;
	case SP_PARAM:
		return PTX_WINDOW_PARAM;
	default:
		return 0;
	}
}

static int op_mov(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->r[in->a];
	return OP_NEXT;
}

/* in->n pieces of in->size bytes; the first is the lowest. */
static int op_pack(struct thread *t, const struct insn *in)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < in->n; i++)
		v |= zero_extend(t->r[in->slots[i]], in->size) << i * in->size * 8;
	t->r[in->d] = v;
	return OP_NEXT;
}

static int op_unpack(struct thread *t, const struct insn *in)
{
	uint64_t v = t->r[in->a];

	for (unsigned i = 0; i < in->n; i++)
		t->r[in->slots[i]] = zero_extend(v >> i * in->size * 8, in->size);
	return OP_NEXT;
}

static int op_isspacep(struct thread *t, const struct insn *in)
{
	uint64_t a = t->r[in->a];
	enum space is = a < PTX_WINDOW_SHARED || a >= PTX_WINDOW_CODE ? SP_GLOBAL :
			a < PTX_WINDOW_LOCAL ? SP_SHARED : a < PTX_WINDOW_PARAM ? SP_LOCAL : SP_PARAM;

	t->r[in->d] = is == in->space;
	return OP_NEXT;
}

static const enum type bits_of[] = {[1] = T_B8, [2] = T_B16, [4] = T_B32, [8] = T_B64};

static int decode_pack(struct decode *d, enum type t)
{
	bool unpack = d->ops[0]->kind == OPD_VECTOR;
	const struct operand *vector = d->ops[!unpack];
	unsigned n = vector->n, size = type_size(t);
	int err;

	if ((n != 2 && n != 4) || size / n < 1 || t < T_B16 || t > T_B64 || d->ops[unpack]->kind == OPD_VECTOR)
		return decode_fail(d, -EINVAL, "a vector does not fit");
	d->in.n = (uint8_t)n;
	d->in.size = (uint8_t)(size / n);
	d->in.fn = unpack ? op_unpack : op_pack;
	for (unsigned i = 0; i < n; i++)
		if (vector->list[i].kind == OPD_REG && type_size(vector->list[i].type) != size / n)
			return decode_fail(d, -EINVAL, "a vector does not fit");
	err = slots_of_list(d, vector, bits_of[size / n], unpack, &d->in.slots);
	if (!err)
		err = unpack ? src(d, 1, t, &d->in.a) : dst(d, 0, t, &d->in.d);
	return err ? err : emit(d->p, &d->in);
}

static int decode_mov(struct decode *d)
{
	enum type t = mod_take_type(d);
	int err = need_operands(d, 2, 2);

	if (!err && (type_size(t) < 2 || type_is_half(t) || t == T_TF32) && t != T_PRED && t != T_F16 && t != T_F16X2)
		err = decode_fail(d, -ENOTSUP, "unknown type");
	if (err)
		return err;
	if (d->ops[0]->kind == OPD_VECTOR || d->ops[1]->kind == OPD_VECTOR)
		return decode_pack(d, t);
	err = dst(d, 0, t, &d->in.d);
	if (!err && d->ops[1]->kind == OPD_SPECIAL && !d->in.guard && !type_is_float(t) && t != T_PRED)
		return emit_special(d->p, d->line, (unsigned)d->ops[1]->value, d->in.d);
	if (!err)
		err = src(d, 1, t, &d->in.a);
	d->in.fn = op_mov;
	return err ? err : emit(d->p, &d->in);
}

static int decode_cvta(struct decode *d)
{
	bool to = mod_take(d, "to");
	enum space space = take_space(d);
	enum type t = mod_take_type(d);
	uint64_t window = space_window(space);

	if (t != T_U64 || space == SP_GENERIC)
		return decode_fail(d, -ENOTSUP, "unknown state space or type");
	if (space == SP_PARAM && !d->p->f->is_entry)
		window = PTX_WINDOW_LOCAL;
	d->in.imm = (int64_t)(to ? -window : window);
	d->in.fn = window ? exec_add_imm : op_mov;
	return emit_alike(d, 1, t);
}

static int decode_isspacep(struct decode *d)
{
	enum space space = take_space(d);

	if (space == SP_GENERIC || space == SP_CONST)
		return decode_fail(d, -ENOTSUP, "unknown state space");
	d->in.space = (uint8_t)space;
	d->in.fn = op_isspacep;
	return emit_plain(d, 1, T_PRED, T_U64, T_NONE, T_NONE);
}

const struct op_def ops_move[] = {
	{"mov", CLASS_ANY, decode_mov, 0},
	{"cvta", CLASS_INT, decode_cvta, 0},
	{"isspacep", CLASS_NONE, decode_isspacep, 0},
	{NULL, 0, NULL, 0},
};
