/* SPDX-License-Identifier: MIT */
/*
 * f16, bf16 and pairs of them: add, sub, mul, fma, neg, abs, min, max. Computed on doubles, rounded once: sums to odd
 * first, so that the second rounding cannot err. Handlers run inside a launch.
 */
#include <math.h>

#include "float.h"
#include "half.h"
#include "parse.h"

enum { H_ADD, H_SUB, H_MUL, H_FMA, H_NEG, H_ABS, H_MIN, H_MAX };

static bool is_bf16(enum type t)
{
	return t == T_BF16 || t == T_BF16X2;
}

static bool is_pair(enum type t)
{
	return t == T_F16X2 || t == T_BF16X2;
}

static uint32_t flush(uint32_t v)
{
	return v & 0x7c00 ? v : v & 0x8000;
}

static bool half_nan(uint32_t v, enum type t)
{
	return (v & 0x7fff) > (is_bf16(t) ? 0x7f80u : 0x7c00u);
}

/* The order of all numbers as integers, with -0 below +0. */
static int32_t rank(uint32_t v)
{
	return v & 0x8000 ? -(int32_t)(v & 0x7fff) - 1 : (int32_t)(v & 0x7fff);
}

static uint32_t min_max(const struct insn *in, uint32_t a, uint32_t b)
{
	bool na = half_nan(a, in->type), nb = half_nan(b, in->type);

	if ((na && nb) || ((na || nb) && in->neg))
		return F16_NAN;
	if (na || nb)
		return na ? b : a;
	return (rank(a) < rank(b)) == (in->sub == H_MIN) ? a : b;
}

static double compute(const struct insn *in, double a, double b, double c)
{
	switch (in->sub) {
	case H_ADD:
		return add_to_odd(a, b);
	case H_SUB:
		return add_to_odd(a, -b);
	case H_MUL:
		return a * b;
	default:
		return add_to_odd(a * b, c);
	}
}

static uint32_t arithmetic(const struct insn *in, uint32_t a, uint32_t b, uint32_t c)
{
	struct float_format f = is_bf16(in->type) ? format_bf16 : format_f16;
	double v = compute(in, float_to_double(a, f), float_to_double(b, f), float_to_double(c, f));

	if (in->sat)
		v = v > 0 ? (v < 1 ? v : 1) : 0;
	if (in->flag && v <= 0)
		v = 0;
	return (uint32_t)float_from_double(v, f, RND_RN);
}

static uint32_t one(const struct insn *in, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t r;

	a &= 0xffff;
	b &= 0xffff;
	c &= 0xffff;
	if (in->ftz) {
		a = flush(a);
		b = flush(b);
		c = flush(c);
	}
	switch (in->sub) {
	case H_NEG:
		return half_nan(a, in->type) ? F16_NAN : a ^ 0x8000;
	case H_ABS:
		return half_nan(a, in->type) ? F16_NAN : a & 0x7fff;
	case H_MIN: case H_MAX:
		return min_max(in, a, b);
	default:
		r = arithmetic(in, a, b, c);
		return in->ftz ? flush(r) : r;
	}
}

static int op_half(struct thread *t, const struct insn *in)
{
	uint32_t a = (uint32_t)t->r[in->a], b = (uint32_t)t->r[in->b], c = (uint32_t)t->r[in->c];
	uint32_t r = one(in, a, b, c);

	if (is_pair(in->type))
		r |= one(in, a >> 16, b >> 16, c >> 16) << 16;
	t->r[in->d] = r;
	return OP_NEXT;
}

uint32_t half_add(enum type t, uint32_t a, uint32_t b)
{
	struct insn in = {.type = (uint8_t)t, .sub = H_ADD};
	uint32_t r = one(&in, a, b, 0);

	return is_pair(t) ? r | one(&in, a >> 16, b >> 16, 0) << 16 : r;
}

static int decode_half(struct decode *d)
{
	unsigned op = d->in.sub, n = op == H_FMA ? 3 : op == H_NEG || op == H_ABS ? 1 : 2;
	enum rounding rnd = mod_take_rounding(d);
	enum type t = mod_take_type(d);

	if (!type_is_half(t) || (rnd != RND_NONE && rnd != RND_RN) || (rnd && op >= H_NEG))
		return decode_fail(d, -ENOTSUP, "unknown type or rounding");
	if (op == H_FMA && !rnd)
		return decode_fail(d, -EINVAL, "a rounding mode is missing");
	d->in.type = (uint8_t)t;
	d->in.ftz = !is_bf16(t) && mod_take(d, "ftz");
	if (!is_bf16(t) && op <= H_FMA)
		d->in.sat = mod_take(d, "sat");
	d->in.flag = op == H_FMA && !d->in.sat && mod_take(d, "relu");
	d->in.neg = op >= H_MIN && mod_take(d, "NaN");
	d->in.fn = op_half;
	return emit_alike(d, n, t);
}

const struct op_def ops_half[] = {
	{"add", CLASS_HALF, decode_half, H_ADD},
	{"sub", CLASS_HALF, decode_half, H_SUB},
	{"mul", CLASS_HALF, decode_half, H_MUL},
	{"fma", CLASS_HALF, decode_half, H_FMA},
	{"neg", CLASS_HALF, decode_half, H_NEG},
	{"abs", CLASS_HALF, decode_half, H_ABS},
	{"min", CLASS_HALF, decode_half, H_MIN},
	{"max", CLASS_HALF, decode_half, H_MAX},
	{NULL, 0, NULL, 0},
};
