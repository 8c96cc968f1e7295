/* SPDX-License-Identifier: MIT */
/* Arithmetic with the carry flag, which every thread has for itself: add.cc, addc, sub.cc, subc, mad.cc, madc. */
#include "exec.h"
#include "parse.h"

enum { C_ADD, C_SUB, C_MAD };

/* x + y + carry of in->size bytes (4 or 8) */
static uint64_t add_carry(struct thread *t, const struct insn *in, uint64_t x, uint64_t y)
{
	unsigned __int128 sum = (unsigned __int128)x + y + (in->neg && t->carry);

	if (in->flag)
		t->carry = (bool)(sum >> in->size * 8 & 1);
	return zero_extend((uint64_t)sum, in->size);
}

static int op_add(struct thread *t, const struct insn *in)
{
	t->r[in->d] = add_carry(t, in, zero_extend(t->r[in->a], in->size), zero_extend(t->r[in->b], in->size));
	return OP_NEXT;
}

/* The flag after a subtraction means borrow. */
static int op_sub(struct thread *t, const struct insn *in)
{
	uint64_t a = zero_extend(t->r[in->a], in->size), b = zero_extend(t->r[in->b], in->size);
	bool borrow = in->neg && t->carry;

	if (in->flag)
		t->carry = a < b || (a == b && borrow);
	t->r[in->d] = zero_extend(a - b - borrow, in->size);
	return OP_NEXT;
}

static uint64_t product_part(const struct insn *in, uint64_t a, uint64_t b)
{
	bool is_signed = type_is_signed(in->type);
	__int128 p;

	if (is_signed)
		p = (__int128)sign_extend(a, in->size) * sign_extend(b, in->size);
	else
		p = (__int128)((unsigned __int128)zero_extend(a, in->size) * zero_extend(b, in->size));
	return zero_extend((uint64_t)(in->sub2 ? p >> in->size * 8 : p), in->size);
}

static int op_mad(struct thread *t, const struct insn *in)
{
	uint64_t part = product_part(in, t->r[in->a], t->r[in->b]);

	t->r[in->d] = add_carry(t, in, part, zero_extend(t->r[in->c], in->size));
	return OP_NEXT;
}

/* neg: the carry goes in; flag: it comes out. */
static int decode_carry(struct decode *d)
{
	static const ptx_op ops[] = {op_add, op_sub, op_mad};
	bool takes = d->op[d->op_len - 1] == 'c', mad = d->in.sub == C_MAD;
	enum type t;

	d->in.flag = mod_take(d, "cc");
	if (!takes && !d->in.flag)
		return 1;
	d->in.neg = takes;
	if (mad) {
		d->in.sub2 = mod_take(d, "hi");
		if (!d->in.sub2 && !mod_take(d, "lo"))
			return decode_fail(d, -EINVAL, ".lo or .hi is missing");
	}
	t = mod_take_type(d);
	if (t != T_U32 && t != T_S32 && t != T_U64 && t != T_S64)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.type = (uint8_t)t;
	d->in.size = (uint8_t)type_size(t);
	d->in.fn = ops[d->in.sub];
	return emit_alike(d, mad ? 3 : 2, t);
}

const struct op_def ops_carry[] = {
	{"add", CLASS_INT, decode_carry, C_ADD},
	{"addc", CLASS_INT, decode_carry, C_ADD},
	{"sub", CLASS_INT, decode_carry, C_SUB},
	{"subc", CLASS_INT, decode_carry, C_SUB},
	{"mad", CLASS_INT, decode_carry, C_MAD},
	{"madc", CLASS_INT, decode_carry, C_MAD},
	{NULL, 0, NULL, 0},
};
