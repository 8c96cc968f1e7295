/* SPDX-License-Identifier: MIT */
/*
 * The approximations: div, rcp, sqrt, rsqrt, sin, cos, lg2, ex2, tanh with .approx or .full. The manual gives bounds
 * of their errors; these results are the exact ones rounded to the type, or within one unit of that, so inside all
 * bounds, but not bit for bit those of a GPU. Handlers run inside a launch.
 */
#include <math.h>

#include "float.h"
#include "parse.h"

enum { X_DIV, X_RCP, X_SQRT, X_RSQRT, X_SIN, X_COS, X_LG2, X_EX2, X_TANH };

static double compute(unsigned op, double a, double b)
{
	switch (op) {
	case X_DIV:
		return a / b;
	case X_RCP:
		return 1 / a;
	case X_SQRT:
		return sqrt(a);
	case X_RSQRT:
		return 1 / sqrt(a);
	case X_SIN:
		return sin(a);
	case X_COS:
		return cos(a);
	case X_LG2:
		return log2(a);
	case X_EX2:
		return exp2(a);
	default:
		return tanh(a);
	}
}

static int op_f32(struct thread *t, const struct insn *in)
{
	float a = as_f32(t->r[in->a]), b = as_f32(t->r[in->b]), r;

	if (in->ftz) {
		a = flush_f32(a);
		b = flush_f32(b);
	}
	r = (float)compute(in->sub, a, b);
	if (in->flag && fabsf(b) > 0x1p126f && !isinf(b) && !is_nan(r))
		r = isinf(a) ? NAN : copysignf(0, r); /* the manual on divisors beyond 2^126 */
	if (in->ftz)
		r = flush_f32(r);
	t->r[in->d] = canonical_f32(r);
	return OP_NEXT;
}

static int op_rsqrt_f64(struct thread *t, const struct insn *in)
{
	t->r[in->d] = f64_bits(1 / sqrt(as_f64(t->r[in->a])));
	return OP_NEXT;
}

/* With .ftz: of the upper half of a double; subnormals count as zeros, the lower half of the result is 0. */
static int op_f64(struct thread *t, const struct insn *in)
{
	uint64_t v = t->r[in->a] & 0xffffffff00000000ull, r;

	if (!(v >> 52 & 0x7ff))
		v &= 1ull << 63;
	r = f64_bits(compute(in->sub, as_f64(v), 0));
	if (as_f64(r) != as_f64(r))
		r = 0x7fffffff00000000ull;
	else if (!(r >> 52 & 0x7ff))
		r &= 1ull << 63;
	t->r[in->d] = r & 0xffffffff00000000ull;
	return OP_NEXT;
}

static int op_half(struct thread *t, const struct insn *in)
{
	bool bf = in->type == T_BF16 || in->type == T_BF16X2;
	struct float_format f = bf ? format_bf16 : format_f16;
	uint64_t v = t->r[in->a];
	unsigned n = type_size(in->type) / 2;
	uint64_t result = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t half = v >> i * 16 & 0xffff, r;

		if (in->ftz && !(half & (bf ? 0x7f80 : 0x7c00)))
			half &= 0x8000;
		r = float_from_double(compute(in->sub, float_to_double(half, f), 0), f, RND_RN);
		if (in->ftz && !(r & (bf ? 0x7f80 : 0x7c00)))
			r &= 0x8000;
		result |= r << i * 16;
	}
	t->r[in->d] = result;
	return OP_NEXT;
}

static int decode_approx(struct decode *d)
{
	unsigned op = d->in.sub;
	enum type t = mod_take_type(d);
	bool full = op == X_DIV && mod_take(d, "full");

	d->in.flag = op == X_DIV && !full;
	if (!full && !mod_take(d, "approx"))
		return decode_fail(d, -ENOTSUP, "a rounding mode is missing");
	d->in.ftz = mod_take(d, "ftz");
	if (t == T_F32) {
		d->in.fn = op_f32;
	} else if (t == T_F64 && (op == X_RCP || op == X_RSQRT) && (d->in.ftz || op == X_RSQRT)) {
		d->in.fn = d->in.ftz ? op_f64 : op_rsqrt_f64;
	} else if (type_is_half(t) && (op == X_EX2 || op == X_TANH) &&
		   d->in.ftz == (op == X_EX2 && (t == T_BF16 || t == T_BF16X2))) {
		d->in.fn = op_half;
	} else {
		return decode_fail(d, -ENOTSUP, "unknown type");
	}
	d->in.type = (uint8_t)t;
	return emit_alike(d, op == X_DIV ? 2 : 1, t);
}

const struct op_def ops_approx[] = {
	{"div", CLASS_FLOAT, decode_approx, X_DIV},
	{"rcp", CLASS_FLOAT, decode_approx, X_RCP},
	{"sqrt", CLASS_FLOAT, decode_approx, X_SQRT},
	{"rsqrt", CLASS_FLOAT, decode_approx, X_RSQRT},
	{"sin", CLASS_FLOAT, decode_approx, X_SIN},
	{"cos", CLASS_FLOAT, decode_approx, X_COS},
	{"lg2", CLASS_FLOAT, decode_approx, X_LG2},
	{"ex2", CLASS_FLOAT | CLASS_HALF, decode_approx, X_EX2},
	{"tanh", CLASS_FLOAT | CLASS_HALF, decode_approx, X_TANH},
	{NULL, 0, NULL, 0},
};
