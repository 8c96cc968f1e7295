/* SPDX-License-Identifier: MIT */
/*
 * The video instructions (PTX ISA, "SIMD Video Instructions" and "Scalar Video Instructions"), in the forms that CUDA's
 * headers and CUB use: vadd, vsub, vavrg, vabsdiff, vmin and vmax on two halves or four bytes of a register, with .sat, or
 * with .add, which sums up the lanes; and all but vavrg, with vshl and vshr, on whole registers, with .sat and a second
 * operation (.add, .min, .max) on the result and a third operand. Selected parts of a register are not known here.
 */
#include "exec.h"
#include "parse.h"

enum { V_ADD, V_SUB, V_AVRG, V_ABSDIFF, V_MIN, V_MAX, V_SHL, V_SHR };
enum { THEN_NOTHING, THEN_ADD, THEN_MIN, THEN_MAX };

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
	int64_t most = (int64_t)(1ull << (bits - is_signed)) - 1, least = is_signed ? -most - 1 : 0;

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

	if (!is_word(to) || !is_word(a) || !is_word(b))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.n = d->in.sub & 8 ? 8 : 16;
	d->in.sub &= 7;
	d->in.type = (uint8_t)to;
	d->in.sub2 = (uint8_t)((a == T_S32) | (b == T_S32) << 1);
	d->in.flag = mod_take(d, "sat");
	d->in.neg = mod_take(d, "add");
	d->in.fn = op_video;
	return emit_alike(d, 3, T_U32);
}

static int64_t word(uint64_t v, bool is_signed)
{
	return is_signed ? (int32_t)v : (int64_t)(uint32_t)v;
}

/* The count is b: it wraps at 32, else it is clamped to 32. */
static int64_t shift(unsigned op, int64_t a, int64_t b, bool wraps)
{
	unsigned count = wraps ? b & 31 : b > 32 ? 32 : (unsigned)b;

	return op == V_SHL ? (int64_t)((uint64_t)a << count) : a >> count;
}

static int64_t then(unsigned op, int64_t v, int64_t c)
{
	switch (op) {
	case THEN_ADD:
		return v + c;
	case THEN_MIN:
		return v < c ? v : c;
	case THEN_MAX:
		return v > c ? v : c;
	default:
		return v;
	}
}

/* in->type and in->sub2 as above; in->n: the second operation; in->flag: the count of a shift wraps. */
static int op_scalar_video(struct thread *t, const struct insn *in)
{
	bool is_signed = in->type == T_S32;
	int64_t a = word(t->r[in->a], in->sub2 & 1), b = word(t->r[in->b], in->sub2 & 2);
	int64_t v = in->sub >= V_SHL ? shift(in->sub, a, b, in->flag) : combine(in->sub, a, b);

	if (in->sat)
		v = saturate(v, 32, is_signed);
	t->r[in->d] = (uint32_t)then(in->n, v, word(t->r[in->c], is_signed));
	return OP_NEXT;
}

/* ".dtype.atype.btype{.sat}{.clamp | .wrap}{.add | .min | .max} d, a, b{, c}" */
static int decode_scalar_video(struct decode *d)
{
	static const char *const second[] = {"add", "min", "max", NULL};
	enum type to = mod_take_type(d), a = mod_take_type(d), b = mod_take_type(d);
	bool shifts = d->in.sub >= V_SHL;

	if (!is_word(to) || !is_word(a) || !(shifts ? b == T_U32 : is_word(b)))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.type = (uint8_t)to;
	d->in.sub2 = (uint8_t)((a == T_S32) | (b == T_S32) << 1);
	d->in.sat = mod_take(d, "sat");
	d->in.flag = shifts && mod_take(d, "wrap");
	if (shifts && !d->in.flag && !mod_take(d, "clamp"))
		return decode_fail(d, -EINVAL, ".clamp or .wrap is missing");
	d->in.n = (uint8_t)(mod_take_any(d, second) + 1);
	d->in.fn = op_scalar_video;
	return emit_alike(d, d->in.n ? 3 : 2, T_U32);
}

const struct op_def ops_video[] = {
	{"vadd", CLASS_INT, decode_scalar_video, V_ADD},
	{"vsub", CLASS_INT, decode_scalar_video, V_SUB},
	{"vabsdiff", CLASS_INT, decode_scalar_video, V_ABSDIFF},
	{"vmin", CLASS_INT, decode_scalar_video, V_MIN},
	{"vmax", CLASS_INT, decode_scalar_video, V_MAX},
	{"vshl", CLASS_INT, decode_scalar_video, V_SHL},
	{"vshr", CLASS_INT, decode_scalar_video, V_SHR},
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
