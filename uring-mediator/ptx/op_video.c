/* SPDX-License-Identifier: MIT */
/*
 * The SIMD video instructions: vadd, vsub, vavrg, vabsdiff, vmin and vmax on two halves or four bytes of a register
 * (PTX ISA, "SIMD Video Instructions"), in the forms that CUDA's headers use: whole registers, with .sat, or with .add,
 * which sums up the lanes.
 */
#include "exec.h"
#include "parse.h"

enum { V_ADD, V_SUB, V_AVRG, V_ABSDIFF, V_MIN, V_MAX };

static int64_t lane(uint64_t v, unsigned i, unsigned bits, bool is_signed)
{
	uint64_t part = (v >> i * bits) & ((1u << bits) - 1);

	return is_signed ? sign_extend(part, bits / 8) : (int64_t)part;
}

static int64_t combine(unsigned op, int64_t a, int64_t b)
{
	switch (op) {
	case V_ADD:
		return a + b;
	case V_SUB:
		return a - b;
	case V_AVRG:
		return (a + b + (a + b >= 0)) >> 1;
	case V_ABSDIFF:
		return a < b ? b - a : a - b;
	case V_MIN:
		return a < b ? a : b;
	default:
		return a < b ? b : a;
	}
}

static int64_t saturate(int64_t v, unsigned bits, bool is_signed)
{
	int64_t most = (int64_t)(1u << (bits - is_signed)) - 1, least = is_signed ? -most - 1 : 0;

	return v < least ? least : v > most ? most : v;
}

/* in->n: bits of a lane; in->type: of the result; in->sub2: bit 0 a is signed, bit 1 b is. */
static int op_video(struct thread *t, const struct insn *in)
{
	uint64_t packed = 0, sum = t->r[in->c];
	bool is_signed = in->type == T_S32;

	for (unsigned i = 0; i < 32u / in->n; i++) {
		int64_t v = combine(in->sub, lane(t->r[in->a], i, in->n, in->sub2 & 1),
				    lane(t->r[in->b], i, in->n, in->sub2 & 2));

		sum += (uint64_t)v;
		if (in->flag)
			v = saturate(v, in->n, is_signed);
		packed |= ((uint64_t)v & ((1u << in->n) - 1)) << i * in->n;
	}
	t->r[in->d] = (uint32_t)(in->neg ? sum : packed);
	return OP_NEXT;
}

static bool is_word(enum type t)
{
	return t == T_S32 || t == T_U32;
}

/* ".dtype.atype.btype{.sat | .add} d, a, b, c"; in.sub of the table: the operation, and 8 for four lanes. */
static int decode_video(struct decode *d)
{
	enum type to = mod_take_type(d), a = mod_take_type(d), b = mod_take_type(d);
	int err = need_operands(d, 4, 4);

	if (!is_word(to) || !is_word(a) || !is_word(b))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.n = d->in.sub & 8 ? 8 : 16;
	d->in.sub &= 7;
	d->in.type = (uint8_t)to;
	d->in.sub2 = (uint8_t)((a == T_S32) | (b == T_S32) << 1);
	d->in.flag = mod_take(d, "sat");
	d->in.neg = mod_take(d, "add");
	d->in.fn = op_video;
	if (!err)
		err = dst(d, 0, T_U32, &d->in.d);
	if (!err)
		err = src(d, 1, T_U32, &d->in.a);
	if (!err)
		err = src(d, 2, T_U32, &d->in.b);
	if (!err)
		err = src(d, 3, T_U32, &d->in.c);
	return err ? err : emit(d->p, &d->in);
}

const struct op_def ops_video[] = {
	{"vadd2", CLASS_INT, decode_video, V_ADD},
	{"vadd4", CLASS_INT, decode_video, 8 | V_ADD},
	{"vsub2", CLASS_INT, decode_video, V_SUB},
	{"vsub4", CLASS_INT, decode_video, 8 | V_SUB},
	{"vavrg2", CLASS_INT, decode_video, V_AVRG},
	{"vavrg4", CLASS_INT, decode_video, 8 | V_AVRG},
	{"vabsdiff2", CLASS_INT, decode_video, V_ABSDIFF},
	{"vabsdiff4", CLASS_INT, decode_video, 8 | V_ABSDIFF},
	{"vmin2", CLASS_INT, decode_video, V_MIN},
	{"vmin4", CLASS_INT, decode_video, 8 | V_MIN},
	{"vmax2", CLASS_INT, decode_video, V_MAX},
	{"vmax4", CLASS_INT, decode_video, 8 | V_MAX},
	{NULL, 0, NULL, 0},
};
