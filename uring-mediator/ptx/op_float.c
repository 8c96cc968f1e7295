/* SPDX-License-Identifier: MIT */
/*
 * f32 and f64 arithmetic with exact rounding: add, sub, mul, fma, mad, div, rcp, sqrt, and abs, neg, min, max.
 * Round-to-nearest without .ftz has handlers of its own; everything else goes through one handler each for f32 and
 * f64 that sets the host's rounding mode around the operation. Built without contraction.
 */
#include <fenv.h>
#include <math.h>

#include "float.h"
#include "parse.h"

enum { F_ADD, F_SUB, F_MUL, F_FMA, F_DIV, F_RCP, F_SQRT, F_ABS, F_NEG, F_MIN, F_MAX };

#define HANDLER(name, expr32, expr64, third) \
	static int name##_f32(struct thread *t, const struct insn *in) \
	{ \
		float a = as_f32(t->r[in->a]), b = as_f32(t->r[in->b]), c = as_f32(t->r[in->c]); \
\
		(void)c; \
		t->r[in->d] = canonical_f32(expr32); \
		return OP_NEXT; \
	} \
	static int name##_f64(struct thread *t, const struct insn *in) \
	{ \
		double a = as_f64(t->r[in->a]), b = as_f64(t->r[in->b]), c = as_f64(t->r[in->c]); \
\
		(void)c; \
		t->r[in->d] = canonical_f64(expr64, a, b, third); \
		return OP_NEXT; \
	}
HANDLER(add, a + b, a + b, 0)
HANDLER(sub, a - b, a - b, 0)
HANDLER(mul, a * b, a * b, 0)
HANDLER(fma, fmaf(a, b, c), fma(a, b, c), c)

/* volatile keeps the operation between the changes of rounding mode */
#define ROUNDED(type, sqrt_fn, fma_fn) \
	static type compute_##type(unsigned op, type x, type y, type z, int mode) \
	{ \
		volatile type a = x, b = y, c = z, r; \
\
		if (mode != FE_TONEAREST) \
			fesetround(mode); \
		switch (op) { \
		case F_ADD: \
			r = a + b; \
			break; \
		case F_SUB: \
			r = a - b; \
			break; \
		case F_MUL: \
			r = a * b; \
			break; \
		case F_DIV: \
			r = a / b; \
			break; \
		case F_RCP: \
			r = 1 / a; \
			break; \
		case F_SQRT: \
			r = sqrt_fn(a); \
			break; \
		default: \
			r = fma_fn(a, b, c); \
		} \
		if (mode != FE_TONEAREST) \
			fesetround(FE_TONEAREST); \
		return r; \
	}
ROUNDED(float, sqrtf, fmaf)
ROUNDED(double, sqrt, fma)

static int host_rounding(enum rounding rnd)
{
	switch (rnd) {
	case RND_RZ:
		return FE_TOWARDZERO;
	case RND_RM:
		return FE_DOWNWARD;
	case RND_RP:
		return FE_UPWARD;
	default:
		return FE_TONEAREST;
	}
}

static float saturate(float v)
{
	return v > 0 ? (v < 1 ? v : 1) : 0;
}

static int op_f32(struct thread *t, const struct insn *in)
{
	float a = as_f32(t->r[in->a]), b = as_f32(t->r[in->b]), c = as_f32(t->r[in->c]), r;

	if (in->ftz) {
		a = flush_f32(a);
		b = flush_f32(b);
		c = flush_f32(c);
	}
	r = compute_float(in->sub, a, b, c, host_rounding(in->rnd));
	if (in->ftz)
		r = flush_f32(r);
	if (in->sat)
		r = saturate(r);
	t->r[in->d] = canonical_f32(r);
	return OP_NEXT;
}

static int op_f64(struct thread *t, const struct insn *in)
{
	double a = as_f64(t->r[in->a]), b = in->sub < F_RCP ? as_f64(t->r[in->b]) : 0;
	double c = in->sub == F_FMA ? as_f64(t->r[in->c]) : 0;

	double r = compute_double(in->sub, a, b, c, host_rounding(in->rnd));

	if (in->sub == F_DIV)
		t->r[in->d] = canonical_f64(r, b, a, 0);
	else
		t->r[in->d] = canonical_f64(r, a, b, c);
	return OP_NEXT;
}

/* abs and neg of a NaN: the canonical one of single precision, the same one of double precision. */
static int op_sign(struct thread *t, const struct insn *in)
{
	uint64_t v = t->r[in->a], top = in->type == T_F32 ? 1ull << 31 : 1ull << 63;
	bool nan = in->type == T_F32 ? is_nan(as_f32(v)) : is_nan(as_f64(v));

	if (in->ftz)
		v = f32_bits(flush_f32(as_f32(v)));
	if (nan)
		t->r[in->d] = in->type == T_F32 ? F32_NAN : v | 1ull << 51;
	else
		t->r[in->d] = in->sub == F_ABS ? v & ~top : v ^ top;
	return OP_NEXT;
}

/* -0 is less than +0; a NaN loses against a number unless .NaN is given (flag). */
#define MIN_MAX(type, is_negative) \
	static type pick_##type(const struct insn *in, type a, type b) \
	{ \
		if (a != a || b != b) \
			return in->flag ? (a != a ? a : b) : a != a ? b : a; \
		if (a == b) \
			return (is_negative(a) != 0) == (in->sub == F_MIN) ? a : b; \
		return (a < b) == (in->sub == F_MIN) ? a : b; \
	}
MIN_MAX(float, signbit)
MIN_MAX(double, signbit)

static int op_min_max(struct thread *t, const struct insn *in)
{
	if (in->type == T_F64) {
		t->r[in->d] = f64_bits(pick_double(in, as_f64(t->r[in->a]), as_f64(t->r[in->b])));
	} else {
		float a = as_f32(t->r[in->a]), b = as_f32(t->r[in->b]);

		if (in->ftz)
			t->r[in->d] = canonical_f32(pick_float(in, flush_f32(a), flush_f32(b)));
		else
			t->r[in->d] = canonical_f32(pick_float(in, a, b));
	}
	return OP_NEXT;
}

/* Consumes rounding, .ftz, .sat and the type. */
static int modifiers(struct decode *d, enum type *t)
{
	d->in.rnd = (uint8_t)mod_take_rounding(d);
	*t = mod_take_type(d);
	d->in.type = (uint8_t)*t;
	if (!type_is_float(*t) || d->in.rnd > RND_RP)
		return decode_fail(d, -ENOTSUP, "unknown type or rounding");
	if (*t == T_F32) {
		d->in.ftz = mod_take(d, "ftz");
		d->in.sat = mod_take(d, "sat");
	}
	return 0;
}

static int decode_arithmetic(struct decode *d)
{
	static const ptx_op plain[2][4] = {{add_f32, sub_f32, mul_f32, fma_f32}, {add_f64, sub_f64, mul_f64, fma_f64}};
	enum type t;
	int err = modifiers(d, &t);

	if (err)
		return err;
	d->in.fn = t == T_F64 ? op_f64 : op_f32;
	if (d->in.rnd <= RND_RN && !d->in.ftz && !d->in.sat)
		d->in.fn = plain[t == T_F64][d->in.sub];
	if (d->in.sub == F_FMA && !d->in.rnd && (d->op[0] == 'f' || t == T_F64))
		return decode_fail(d, -EINVAL, "a rounding mode is missing");
	return emit_alike(d, d->in.sub == F_FMA ? 3 : 2, t);
}

/* div, rcp, sqrt with a rounding mode; .approx and .full belong to the approximations. */
static int decode_divide(struct decode *d)
{
	enum type t;
	int err;

	for (unsigned i = 0; i < d->nmods; i++)
		if ((d->mods[i].len == 6 && !memcmp(d->mods[i].text, "approx", 6)) ||
		    (d->mods[i].len == 4 && !memcmp(d->mods[i].text, "full", 4)))
			return 1;
	err = modifiers(d, &t);
	if (!err && !d->in.rnd)
		err = decode_fail(d, -ENOTSUP, "a rounding mode is missing");
	if (!err && d->in.sat)
		err = decode_fail(d, -ENOTSUP, "unknown modifier");
	if (err)
		return err;
	d->in.fn = t == T_F64 ? op_f64 : op_f32;
	return emit_alike(d, d->in.sub == F_DIV ? 2 : 1, t);
}

static int decode_sign(struct decode *d)
{
	enum type t;
	int err = modifiers(d, &t);

	if (!err && (d->in.rnd || d->in.sat))
		err = decode_fail(d, -ENOTSUP, "unknown modifier");
	d->in.fn = op_sign;
	return err ? err : emit_alike(d, 1, t);
}

static int decode_min_max(struct decode *d)
{
	enum type t;
	int err = modifiers(d, &t);

	if (!err && (d->in.rnd || d->in.sat))
		err = decode_fail(d, -ENOTSUP, "unknown modifier");
	d->in.flag = t == T_F32 && mod_take(d, "NaN");
	d->in.fn = op_min_max;
	return err ? err : emit_alike(d, 2, t);
}

const struct op_def ops_float[] = {
	{"add", CLASS_FLOAT, decode_arithmetic, F_ADD},
	{"sub", CLASS_FLOAT, decode_arithmetic, F_SUB},
	{"mul", CLASS_FLOAT, decode_arithmetic, F_MUL},
	{"fma", CLASS_FLOAT, decode_arithmetic, F_FMA},
	{"mad", CLASS_FLOAT, decode_arithmetic, F_FMA},
	{"div", CLASS_FLOAT, decode_divide, F_DIV},
	{"rcp", CLASS_FLOAT, decode_divide, F_RCP},
	{"sqrt", CLASS_FLOAT, decode_divide, F_SQRT},
	{"abs", CLASS_FLOAT, decode_sign, F_ABS},
	{"neg", CLASS_FLOAT, decode_sign, F_NEG},
	{"min", CLASS_FLOAT, decode_min_max, F_MIN},
	{"max", CLASS_FLOAT, decode_min_max, F_MAX},
	{NULL, 0, NULL, 0},
};
