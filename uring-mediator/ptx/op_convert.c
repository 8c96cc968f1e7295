/* SPDX-License-Identifier: MIT */
/*
 * cvt between all integer and floating types. The common conversions between integers have handlers of their own;
 * the rest goes by way of a 64-bit integer or a double, which hold every source value exactly, and is rounded once.
 * Rules: PTX ISA, "cvt". Handlers run inside a launch.
 */
#include <math.h>

#include "float.h"
#include "parse.h"

#define MOVE(name, to, from) \
	static int cvt_##name(struct thread *t, const struct insn *in) \
	{ \
		t->r[in->d] = (uint64_t)(to)(from)t->r[in->a]; \
		return OP_NEXT; \
	}
MOVE(u8, uint8_t, uint8_t)
MOVE(u16, uint16_t, uint16_t)
MOVE(u32, uint32_t, uint32_t)
MOVE(u64, uint64_t, uint64_t)
MOVE(s8, int64_t, int8_t)
MOVE(s16, int64_t, int16_t)
MOVE(s32, int64_t, int32_t)

/* By the narrower of the two types: its value, extended by its sign, is the result. */
static const ptx_op moves[T_COUNT] = {
	[T_U8] = cvt_u8, [T_U16] = cvt_u16, [T_U32] = cvt_u32, [T_U64] = cvt_u64,
	[T_S8] = cvt_s8, [T_S16] = cvt_s16, [T_S32] = cvt_s32, [T_S64] = cvt_u64,
};

static struct float_format format_of(enum type t)
{
	switch (t) {
	case T_F16: case T_F16X2:
		return format_f16;
	case T_BF16: case T_BF16X2:
		return format_bf16;
	case T_TF32:
		return format_tf32;
	case T_F32:
		return format_f32;
	default:
		return format_f64;
	}
}

static bool is_integer(enum type t)
{
	return t >= T_U8 && t <= T_S64;
}

/* The limits of an integer type, as its sign and magnitude. */
static uint64_t max_of(enum type t)
{
	unsigned bits = type_size(t) * 8 - type_is_signed(t);

	return bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
}

static uint64_t min_of(enum type t)
{
	return type_is_signed(t) ? ~max_of(t) : 0;
}

/* Between integers with .sat: the nearest value that the result's type has. */
static int op_saturate(struct thread *t, const struct insn *in)
{
	unsigned size = type_size(in->type2);
	uint64_t v = type_is_signed(in->type2) ? (uint64_t)sign_extend(t->r[in->a], size) :
						 zero_extend(t->r[in->a], size);
	bool negative = type_is_signed(in->type2) && (int64_t)v < 0;

	if (negative)
		v = !type_is_signed(in->type) ? 0 : (int64_t)v < (int64_t)min_of(in->type) ? min_of(in->type) : v;
	else if (v > max_of(in->type))
		v = max_of(in->type);
	t->r[in->d] = v;
	return OP_NEXT;
}

static double round_integral(double v, enum rounding rnd)
{
	switch (rnd) {
	case RND_RZI:
		return trunc(v);
	case RND_RMI:
		return floor(v);
	case RND_RPI:
		return ceil(v);
	default:
		return rint(v);
	}
}

static double load(const struct insn *in, uint64_t bits, bool ftz)
{
	switch (in->type2) {
	case T_F64:
		return as_f64(bits);
	case T_F32:
		return ftz ? flush_f32(as_f32(bits)) : as_f32(bits);
	default:
		return float_to_double(bits & 0xffff, format_of(in->type2));
	}
}

/* Out of range gives the nearest value; NaN gives 0, or the top bit alone when one side has 64 bits. */
static int op_to_integer(struct thread *t, const struct insn *in)
{
	double v = round_integral(load(in, t->r[in->a], in->ftz), in->rnd), top;
	enum type to = in->type;
	unsigned bits = type_size(to) * 8 - type_is_signed(to);
	uint64_t r;

	top = ldexp(1, (int)bits);
	if (v != v)
		r = in->type2 != T_F64 && type_size(to) < 8 ? 0 : 1ull << (type_size(to) * 8 - 1);
	else if (v >= top)
		r = max_of(to);
	else if (v < (type_is_signed(to) ? -top : 0))
		r = min_of(to);
	else
		r = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
	t->r[in->d] = type_is_signed(to) ? (uint64_t)sign_extend(r, type_size(to)) : zero_extend(r, type_size(to));
	return OP_NEXT;
}

static int op_from_integer(struct thread *t, const struct insn *in)
{
	unsigned size = type_size(in->type2);
	uint64_t v = zero_extend(t->r[in->a], size);
	bool negative = type_is_signed(in->type2) && sign_extend(v, size) < 0;

	if (negative)
		v = -(uint64_t)sign_extend(v, size);
	if (in->sat)
		t->r[in->d] = float_round(false, negative ? 0 : v != 0, 0, false, format_of(in->type), RND_RN);
	else
		t->r[in->d] = float_round(negative, v, 0, false, format_of(in->type), in->rnd);
	return OP_NEXT;
}

/* s32 to f32 and f64, nearest: what most kernels use. */
static int op_f32_s32(struct thread *t, const struct insn *in)
{
	t->r[in->d] = f32_bits((float)(int32_t)t->r[in->a]);
	return OP_NEXT;
}

static int op_f64_s32(struct thread *t, const struct insn *in)
{
	t->r[in->d] = f64_bits((double)(int32_t)t->r[in->a]);
	return OP_NEXT;
}

static bool below_normal(uint64_t bits, struct float_format f)
{
	return !(bits >> f.mantissa & ((1u << f.exponent) - 1));
}

/* One value to a floating type of in->type: saturation to [0, 1], .relu (flag), rounding, .ftz. */
static uint64_t to_float(const struct insn *in, double v)
{
	struct float_format f = format_of(in->type);
	uint64_t r;

	if (in->rnd >= RND_RNI)
		v = round_integral(v, in->rnd);
	if (in->sat)
		v = v > 0 ? (v < 1 ? v : 1) : 0;
	if (in->flag && v <= 0)
		v = 0; /* -0 too */
	if (in->type == T_F64)
		return f64_bits(v);
	r = float_from_double(v, f, in->rnd >= RND_RNI ? RND_RN : in->rnd);
	if (in->ftz && in->type == T_F32 && below_normal(r, f))
		r &= 0x80000000u;
	return in->type == T_TF32 ? r << 13 : r;
}

/* NaN between floating types, as the hardware has it: some conversions keep sign and payload, some do not. */
static uint64_t convert_nan(const struct insn *in, uint64_t bits)
{
	enum type to = in->type, from = in->type2;
	bool sign = bits >> (type_size(from) * 8 - 1) & 1;

	if (in->sat)
		return 0;
	switch (to) {
	case T_F64:
		if (from == T_F64)
			return bits | 1ull << 51;
		if (from == T_F32)
			return in->ftz ? 0x7fffffffe0000000ull :
					 (uint64_t)sign << 63 | 0x7ff8000000000000ull | (bits & 0x7fffff) << 29;
		return (uint64_t)sign << 63 | 0x7ff8000000000000ull | (bits & 0x3ff) << 42;
	case T_F32:
		if (from == T_BF16)
			return bits << 16 & UINT32_MAX;
		if (from == T_F32 && !in->rnd && !in->ftz)
			return bits & UINT32_MAX;
		return from == T_F64 ? (uint64_t)sign << 31 | 0x7fc00000u | (bits >> 29 & 0x7fffff) : F32_NAN;
	case T_TF32:
		return bits & 0xffffe000u;
	default:
		return from == T_F64 ? (uint64_t)sign << 15 | 0x7e00 | (bits >> 42 & 0x3ff) : F16_NAN;
	}
}

/* .ftz does not flush what becomes a half. */
static int op_to_float(struct thread *t, const struct insn *in)
{
	uint64_t bits = t->r[in->a];
	double v = load(in, bits, in->ftz && in->type != T_F16);

	t->r[in->d] = is_nan(v) ? convert_nan(in, bits) : to_float(in, v);
	return OP_NEXT;
}

/* d = {to(a), to(b)}: a goes to the upper half. */
static int op_to_pair(struct thread *t, const struct insn *in)
{
	t->r[in->d] = to_float(in, load(in, t->r[in->a], false)) << 16 | to_float(in, load(in, t->r[in->b], false));
	return OP_NEXT;
}

static bool plain_float(enum type t)
{
	return type_is_float(t) || t == T_F16 || t == T_BF16;
}

static int finish(struct decode *d, enum type to, enum type from)
{
	unsigned width;
	int err = need_operands(d, 2, 2);

	if (!err)
		err = dst_wide(d, d->ops[0], to, &d->in.d, &width);
	if (!err)
		err = src_wide(d, d->ops[1], from, &d->in.a);
	return err ? err : emit(d->p, &d->in);
}

static int decode_integers(struct decode *d, enum type to, enum type from)
{
	enum type narrow = type_size(to) <= type_size(from) ? to : from;

	if (d->in.rnd)
		return decode_fail(d, -EINVAL, "a rounding mode between integers");
	d->in.fn = d->in.sat ? op_saturate : moves[narrow];
	return finish(d, to, from);
}

/* f16x2 and bf16x2 from two f32, and tf32. */
static int decode_packed(struct decode *d, enum type to, enum type from)
{
	d->in.flag = mod_take(d, "relu");
	if (from != T_F32 || (d->in.rnd != RND_RN && d->in.rnd != RND_RZ && !(to == T_TF32 && d->in.rnd == RND_RNA)))
		return decode_fail(d, -ENOTSUP, "unknown conversion");
	if (d->in.sat || d->in.ftz)
		return decode_fail(d, -ENOTSUP, "unknown modifier");
	d->in.fn = to == T_TF32 ? op_to_float : op_to_pair;
	return emit_plain(d, to == T_TF32 ? 1 : 2, T_B32, T_F32, T_F32, T_NONE);
}

static int decode_floats(struct decode *d, enum type to, enum type from)
{
	bool narrower = type_size(to) < type_size(from) || (type_size(to) == type_size(from) && to != from);
	bool integral = d->in.rnd >= RND_RNI;

	d->in.flag = (to == T_F16 || to == T_BF16) && mod_take(d, "relu");
	if (d->in.rnd == RND_RNA || (narrower && (!d->in.rnd || integral)) || (!narrower && d->in.rnd && !integral))
		return decode_fail(d, -EINVAL, "a rounding mode is missing or out of place");
	if (integral && to != from)
		return decode_fail(d, -EINVAL, "a rounding mode out of place");
	d->in.fn = op_to_float;
	return finish(d, to, from);
}

static int decode_mixed(struct decode *d, enum type to, enum type from)
{
	if (is_integer(to)) {
		if (!plain_float(from) || d->in.rnd < RND_RNI)
			return decode_fail(d, -EINVAL, "an integer rounding mode is missing");
		d->in.fn = op_to_integer;
		return finish(d, to, from);
	}
	if (!plain_float(to) || !d->in.rnd || d->in.rnd > RND_RP)
		return decode_fail(d, -EINVAL, "a rounding mode is missing");
	d->in.fn = op_from_integer;
	if (from == T_S32 && !d->in.sat && d->in.rnd == RND_RN && type_is_float(to))
		d->in.fn = to == T_F32 ? op_f32_s32 : op_f64_s32;
	return finish(d, to, from);
}

static int decode_cvt(struct decode *d)
{
	enum type to, from;

	if (mod_take(d, "pack"))
		return decode_fail(d, -ENOTSUP, "unknown instruction");
	d->in.rnd = (uint8_t)mod_take_rounding(d);
	d->in.ftz = mod_take(d, "ftz");
	d->in.sat = mod_take(d, "sat");
	to = mod_take_type(d);
	from = mod_take_type(d);
	d->in.type = (uint8_t)to;
	d->in.type2 = (uint8_t)from;
	if (d->in.ftz && to != T_F32 && from != T_F32)
		return decode_fail(d, -EINVAL, ".ftz without f32");
	if (to == T_F16X2 || to == T_BF16X2 || to == T_TF32)
		return decode_packed(d, to, from);
	if (is_integer(to) && is_integer(from))
		return decode_integers(d, to, from);
	if (plain_float(to) && plain_float(from))
		return decode_floats(d, to, from);
	if ((is_integer(to) || plain_float(to)) && (is_integer(from) || plain_float(from)))
		return decode_mixed(d, to, from);
	return decode_fail(d, -ENOTSUP, "unknown conversion");
}

const struct op_def ops_convert[] = {
	{"cvt", CLASS_ANY, decode_cvt, 0},
	{NULL, 0, NULL, 0},
};
