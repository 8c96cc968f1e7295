/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic. Handlers run inside a launch, decoders on the parsing thread. Results that do not depend on the
 * sign are computed on unsigned 64-bit numbers and cut to their width.
 */
#include "exec.h"
#include "parse.h"

#define WIDTHS(X, name, expr) X(name, 16, expr) X(name, 32, expr) X(name, 64, expr)

/* a, b, c: unsigned numbers of the width; the result is cut to it */
#define HANDLER_U(name, bits, expr) \
	static int name##_u##bits(struct thread *t, const struct insn *in) \
	{ \
		uint64_t a = (uint##bits##_t)t->r[in->a], b = (uint##bits##_t)t->r[in->b]; \
		uint64_t c = (uint##bits##_t)t->r[in->c]; \
\
		(void)b; \
		(void)c; \
		t->r[in->d] = (uint##bits##_t)(expr); \
		return OP_NEXT; \
	}
/* the same for signed ones */
#define HANDLER_S(name, bits, expr) \
	static int name##_s##bits(struct thread *t, const struct insn *in) \
	{ \
		int64_t a = (int##bits##_t)t->r[in->a], b = (int##bits##_t)t->r[in->b]; \
		int64_t c = (int##bits##_t)t->r[in->c]; \
\
		(void)b; \
		(void)c; \
		t->r[in->d] = (uint##bits##_t)(expr); \
		return OP_NEXT; \
	}

/* Division by zero gives all ones, quotient and remainder: the manual leaves it open, the hardware does that. */
static uint64_t divide_s(int64_t a, int64_t b)
{
	if (!b)
		return UINT64_MAX;
	return b == -1 ? -(uint64_t)a : (uint64_t)(a / b);
}

static uint64_t remainder_s(int64_t a, int64_t b)
{
	if (!b)
		return UINT64_MAX;
	return b == -1 ? 0 : (uint64_t)(a % b);
}

static uint64_t distance_s(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

WIDTHS(HANDLER_U, add, a + b)
WIDTHS(HANDLER_U, sub, a - b)
WIDTHS(HANDLER_U, mul, a * b)
WIDTHS(HANDLER_U, mad, a * b + c)
WIDTHS(HANDLER_U, div, b ? a / b : UINT64_MAX)
WIDTHS(HANDLER_S, div, divide_s(a, b))
WIDTHS(HANDLER_U, rem, b ? a % b : UINT64_MAX)
WIDTHS(HANDLER_S, rem, remainder_s(a, b))
WIDTHS(HANDLER_U, min, a < b ? a : b)
WIDTHS(HANDLER_S, min, a < b ? a : b)
WIDTHS(HANDLER_U, max, a > b ? a : b)
WIDTHS(HANDLER_S, max, a > b ? a : b)
WIDTHS(HANDLER_S, abs, a < 0 ? -(uint64_t)a : (uint64_t)a)
WIDTHS(HANDLER_S, neg, -(uint64_t)a)
WIDTHS(HANDLER_U, sad, c + (a > b ? a - b : b - a))
WIDTHS(HANDLER_S, sad, (uint64_t)c + distance_s(a, b))
HANDLER_U(mul_hi, 16, a * b >> 16)
HANDLER_U(mul_hi, 32, a * b >> 32)
HANDLER_U(mul_hi, 64, (unsigned __int128)a * b >> 64)
HANDLER_S(mul_hi, 16, a * b >> 16)
HANDLER_S(mul_hi, 32, a * b >> 32)
HANDLER_S(mul_hi, 64, (__int128)a * b >> 64)
HANDLER_U(mad_hi, 16, (a * b >> 16) + c)
HANDLER_U(mad_hi, 32, (a * b >> 32) + c)
HANDLER_U(mad_hi, 64, (uint64_t)((unsigned __int128)a * b >> 64) + c)
HANDLER_S(mad_hi, 16, (a * b >> 16) + c)
HANDLER_S(mad_hi, 32, (a * b >> 32) + c)
HANDLER_S(mad_hi, 64, (uint64_t)((__int128)a * b >> 64) + (uint64_t)c)

/* Products twice as wide as their operands; c has the product's width. */
#define HANDLER_WIDE(bits, twice, from, sign) \
	static int mul_wide_##sign##bits(struct thread *t, const struct insn *in) \
	{ \
		t->r[in->d] = (uint##twice##_t)((from)t->r[in->a] * (int64_t)(from)t->r[in->b]); \
		return OP_NEXT; \
	} \
	static int mad_wide_##sign##bits(struct thread *t, const struct insn *in) \
	{ \
		uint64_t product = (uint64_t)((from)t->r[in->a] * (int64_t)(from)t->r[in->b]); \
\
		t->r[in->d] = (uint##twice##_t)(product + t->r[in->c]); \
		return OP_NEXT; \
	}
HANDLER_WIDE(16, 32, uint16_t, u)
HANDLER_WIDE(16, 32, int16_t, s)
HANDLER_WIDE(32, 64, int32_t, s)

static int mul_wide_u32(struct thread *t, const struct insn *in)
{
	t->r[in->d] = (uint64_t)(uint32_t)t->r[in->a] * (uint32_t)t->r[in->b];
	return OP_NEXT;
}

static int mad_wide_u32(struct thread *t, const struct insn *in)
{
	t->r[in->d] = (uint64_t)(uint32_t)t->r[in->a] * (uint32_t)t->r[in->b] + t->r[in->c];
	return OP_NEXT;
}

static uint64_t clamp_s32(int64_t v)
{
	return (uint32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

HANDLER_S(add_sat, 32, clamp_s32(a + b))
HANDLER_S(sub_sat, 32, clamp_s32(a - b))
HANDLER_S(mad_hi_sat, 32, clamp_s32((a * b >> 32) + c))

static int64_t low24(uint64_t v, bool is_signed)
{
	return is_signed ? (int64_t)(v << 40) >> 40 : (int64_t)(v & 0xffffff);
}

/* mul24 and mad24; in->flag takes bits 16 to 47 of the product, else bits 0 to 31. */
static int op_mad24(struct thread *t, const struct insn *in)
{
	bool is_signed = in->type == T_S32;
	int64_t product = low24(t->r[in->a], is_signed) * low24(t->r[in->b], is_signed);
	uint32_t part = (uint32_t)(in->flag ? product >> 16 : product), c = (uint32_t)t->r[in->c];

	if (in->sat)
		t->r[in->d] = clamp_s32((int64_t)(int32_t)part + (int32_t)c);
	else
		t->r[in->d] = part + c;
	return OP_NEXT;
}

/* Four products of bytes (sub 4) or two of a half-word and a byte (sub 2, in->flag takes the upper bytes), summed. */
static int op_dot(struct thread *t, const struct insn *in)
{
	uint32_t a = (uint32_t)t->r[in->a], b = (uint32_t)t->r[in->b], sum = (uint32_t)t->r[in->c];
	unsigned n = in->sub, width = 32 / n;

	if (in->flag)
		b >>= 16;
	for (unsigned i = 0; i < n; i++) {
		uint64_t x = zero_extend(a >> i * width, width / 8), y = (uint8_t)(b >> i * 8);
		int64_t sx = in->type == T_S32 ? sign_extend(x, width / 8) : (int64_t)x;
		int64_t sy = in->type2 == T_S32 ? sign_extend(y, 1) : (int64_t)y;

		sum += (uint32_t)(sx * sy);
	}
	t->r[in->d] = sum;
	return OP_NEXT;
}

enum { I_ADD, I_SUB, I_MUL, I_MAD, I_DIV, I_REM, I_MIN, I_MAX, I_ABS, I_NEG, I_SAD, I_MUL_HI, I_MAD_HI, I_COUNT };

#define ROW_U(n) {n##_u16, n##_u32, n##_u64, n##_u16, n##_u32, n##_u64}
#define ROW_US(n) {n##_u16, n##_u32, n##_u64, n##_s16, n##_s32, n##_s64}
#define ROW_S(n) {NULL, NULL, NULL, n##_s16, n##_s32, n##_s64}

static const ptx_op table[I_COUNT][6] = {
	[I_ADD] = ROW_U(add), [I_SUB] = ROW_U(sub), [I_MUL] = ROW_U(mul), [I_MAD] = ROW_U(mad),
	[I_DIV] = ROW_US(div), [I_REM] = ROW_US(rem), [I_MIN] = ROW_US(min), [I_MAX] = ROW_US(max),
	[I_ABS] = ROW_S(abs), [I_NEG] = ROW_S(neg), [I_SAD] = ROW_US(sad),
	[I_MUL_HI] = ROW_US(mul_hi), [I_MAD_HI] = ROW_US(mad_hi),
};

static ptx_op select_op(unsigned op, enum type t)
{
	if (t >= T_U16 && t <= T_U64)
		return table[op][t - T_U16];
	if (t >= T_S16 && t <= T_S64)
		return table[op][t - T_S16 + 3];
	return NULL;
}

/* All operands are of type @t; in.fn is set already, if there is one for that type. */
static int finish(struct decode *d, enum type t, unsigned sources)
{
	return d->in.fn ? emit_alike(d, sources, t) : decode_fail(d, -ENOTSUP, "unknown type");
}

static bool has_mod(const struct decode *d, const char *name)
{
	for (unsigned i = 0; i < d->nmods; i++)
		if (d->mods[i].len == strlen(name) && !memcmp(d->mods[i].text, name, d->mods[i].len))
			return true;
	return false;
}

/* add, sub: with .cc they belong to the carry family, with .sat only for s32. */
static int decode_add(struct decode *d)
{
	enum type t;

	if (has_mod(d, "cc"))
		return 1;
	t = mod_take_type(d);
	d->in.fn = select_op(d->in.sub, t);
	if (t == T_S32 && mod_take(d, "sat"))
		d->in.fn = d->in.sub == I_ADD ? add_sat_s32 : sub_sat_s32;
	return finish(d, t, 2);
}

static int decode_two(struct decode *d)
{
	enum type t = mod_take_type(d);

	d->in.fn = select_op(d->in.sub, t);
	return finish(d, t, 2);
}

static int decode_one(struct decode *d)
{
	enum type t = mod_take_type(d);

	d->in.fn = select_op(d->in.sub, t);
	return finish(d, t, 1);
}

static int decode_sad(struct decode *d)
{
	enum type t = mod_take_type(d);

	d->in.fn = select_op(I_SAD, t);
	return finish(d, t, 3);
}

static int decode_wide(struct decode *d, bool add)
{
	static const struct {
		enum type type, twice;
		ptx_op mul, mad;
	} rows[] = {
		{T_U16, T_U32, mul_wide_u16, mad_wide_u16}, {T_S16, T_S32, mul_wide_s16, mad_wide_s16},
		{T_U32, T_U64, mul_wide_u32, mad_wide_u32}, {T_S32, T_S64, mul_wide_s32, mad_wide_s32},
	};
	enum type t = mod_take_type(d);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == t) {
			d->in.fn = add ? rows[i].mad : rows[i].mul;
			return emit_plain(d, add ? 3 : 2, rows[i].twice, t, t, rows[i].twice);
		}
	return decode_fail(d, -ENOTSUP, "unknown type");
}

/* mul and mad: .lo, .hi or .wide. */
static int decode_mul(struct decode *d)
{
	bool add = d->in.sub == I_MAD, hi;
	enum type t;

	if (has_mod(d, "cc"))
		return 1;
	if (mod_take(d, "wide"))
		return decode_wide(d, add);
	hi = mod_take(d, "hi");
	if (!hi && !mod_take(d, "lo"))
		return decode_fail(d, -EINVAL, ".lo, .hi or .wide is missing");
	t = mod_take_type(d);
	d->in.fn = select_op(hi ? (add ? I_MAD_HI : I_MUL_HI) : d->in.sub, t);
	if (add && hi && t == T_S32 && mod_take(d, "sat"))
		d->in.fn = mad_hi_sat_s32;
	return finish(d, t, add ? 3 : 2);
}

static int decode_mul24(struct decode *d)
{
	bool add = d->in.sub;
	enum type t;

	d->in.flag = mod_take(d, "hi");
	if (!d->in.flag && !mod_take(d, "lo"))
		return decode_fail(d, -EINVAL, ".lo or .hi is missing");
	t = mod_take_type(d);
	d->in.type = (uint8_t)t;
	d->in.sat = add && d->in.flag && t == T_S32 && mod_take(d, "sat");
	d->in.fn = t == T_U32 || t == T_S32 ? op_mad24 : NULL;
	return finish(d, t, add ? 3 : 2);
}

static int decode_dot(struct decode *d)
{
	enum type t;

	if (d->in.sub == 2) {
		d->in.flag = mod_take(d, "hi");
		if (!d->in.flag && !mod_take(d, "lo"))
			return decode_fail(d, -EINVAL, ".lo or .hi is missing");
	}
	d->in.type = (uint8_t)mod_take_type(d);
	d->in.type2 = (uint8_t)mod_take_type(d);
	t = d->in.type;
	if ((t == T_U32 || t == T_S32) && (d->in.type2 == T_U32 || d->in.type2 == T_S32))
		d->in.fn = op_dot;
	return finish(d, T_B32, 3);
}

const struct op_def ops_int[] = {
	{"add", CLASS_INT, decode_add, I_ADD},
	{"sub", CLASS_INT, decode_add, I_SUB},
	{"mul", CLASS_INT, decode_mul, I_MUL},
	{"mad", CLASS_INT, decode_mul, I_MAD},
	{"div", CLASS_INT, decode_two, I_DIV},
	{"rem", CLASS_INT, decode_two, I_REM},
	{"min", CLASS_INT, decode_two, I_MIN},
	{"max", CLASS_INT, decode_two, I_MAX},
	{"abs", CLASS_INT, decode_one, I_ABS},
	{"neg", CLASS_INT, decode_one, I_NEG},
	{"sad", CLASS_INT, decode_sad, 0},
	{"mul24", CLASS_INT, decode_mul24, 0},
	{"mad24", CLASS_INT, decode_mul24, 1},
	{"dp4a", CLASS_INT, decode_dot, 4},
	{"dp2a", CLASS_INT, decode_dot, 2},
	{NULL, 0, NULL, 0},
};
