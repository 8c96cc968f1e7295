/* SPDX-License-Identifier: MIT */
/*
 * setp, set, selp, slct, testp, copysign. Comparisons of the common types have handlers of their own; the rest (half
 * types, .ftz, a second predicate, a boolean combination) goes through compare(). Handlers run inside a launch.
 */
#include <math.h>

#include "float.h"
#include "parse.h"

enum {
	CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_LO, CMP_LS, CMP_HI, CMP_HS,
	CMP_EQU, CMP_NEU, CMP_LTU, CMP_LEU, CMP_GTU, CMP_GEU, CMP_NUM, CMP_NAN
};

static const char *const comparisons[] = {
	"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs",
	"equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan", NULL
};

enum { BOOL_AND = 1, BOOL_OR, BOOL_XOR };

static const char *const booleans[] = {"and", "or", "xor", NULL};

#define COMPARE(suffix, type, load) \
	static int setp_eq_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) == (type)load(t->r[in->b]); return OP_NEXT; } \
	static int setp_ne_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) != (type)load(t->r[in->b]); return OP_NEXT; } \
	static int setp_lt_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) < (type)load(t->r[in->b]); return OP_NEXT; } \
	static int setp_le_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) <= (type)load(t->r[in->b]); return OP_NEXT; } \
	static int setp_gt_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) > (type)load(t->r[in->b]); return OP_NEXT; } \
	static int setp_ge_##suffix(struct thread *t, const struct insn *in) \
	{ t->r[in->d] = (type)load(t->r[in->a]) >= (type)load(t->r[in->b]); return OP_NEXT; }
COMPARE(u16, uint16_t, )
COMPARE(u32, uint32_t, )
COMPARE(u64, uint64_t, )
COMPARE(s16, int16_t, )
COMPARE(s32, int32_t, )
COMPARE(s64, int64_t, )
/* C's != is true for NaN, as neu; PTX's ne is not: it goes the long way */
COMPARE(f32, float, as_f32)
COMPARE(f64, double, as_f64)

#define ROW(s) {setp_eq_##s, setp_ne_##s, setp_lt_##s, setp_le_##s, setp_gt_##s, setp_ge_##s}

static const ptx_op quick[T_COUNT][6] = {
	[T_B16] = ROW(u16), [T_B32] = ROW(u32), [T_B64] = ROW(u64), [T_U16] = ROW(u16), [T_U32] = ROW(u32),
	[T_U64] = ROW(u64), [T_S16] = ROW(s16), [T_S32] = ROW(s32), [T_S64] = ROW(s64), [T_F32] = ROW(f32),
	[T_F64] = ROW(f64),
};

static bool compare_float(unsigned cmp, double a, double b)
{
	bool unordered = a != a || b != b;

	if (cmp == CMP_NUM || cmp == CMP_NAN)
		return unordered == (cmp == CMP_NAN);
	if (unordered)
		return cmp >= CMP_EQU;
	switch (cmp) {
	case CMP_EQ: case CMP_EQU:
		return a == b;
	case CMP_NE: case CMP_NEU:
		return a != b;
	case CMP_LT: case CMP_LTU:
		return a < b;
	case CMP_LE: case CMP_LEU:
		return a <= b;
	case CMP_GT: case CMP_GTU:
		return a > b;
	default:
		return a >= b;
	}
}

static bool compare_order(unsigned cmp, bool less, bool equal)
{
	switch (cmp) {
	case CMP_EQ:
		return equal;
	case CMP_NE:
		return !equal;
	case CMP_LT: case CMP_LO:
		return less;
	case CMP_LE: case CMP_LS:
		return less || equal;
	case CMP_GT: case CMP_HI:
		return !less && !equal;
	default:
		return !less;
	}
}

static double half_value(uint64_t bits, enum type t, bool ftz)
{
	bool bf = t == T_BF16 || t == T_BF16X2;

	if (ftz && !(bits & 0x7c00))
		bits &= 0x8000;
	return float_to_double(bits & 0xffff, bf ? format_bf16 : format_f16);
}

/* a cmp b for the instruction's type; of a pair the low halves. */
static bool compare(const struct insn *in, uint64_t a, uint64_t b)
{
	enum type t = in->type;
	unsigned size = type_size(t);

	if (t == T_F64)
		return compare_float(in->sub, as_f64(a), as_f64(b));
	if (t == T_F32)
		return in->ftz ? compare_float(in->sub, flush_f32(as_f32(a)), flush_f32(as_f32(b))) :
				 compare_float(in->sub, as_f32(a), as_f32(b));
	if (type_is_half(t))
		return compare_float(in->sub, half_value(a, t, in->ftz), half_value(b, t, in->ftz));
	if (type_is_signed(t) && in->sub < CMP_LO)
		return compare_order(in->sub, sign_extend(a, size) < sign_extend(b, size),
				     zero_extend(a, size) == zero_extend(b, size));
	return compare_order(in->sub, zero_extend(a, size) < zero_extend(b, size),
			     zero_extend(a, size) == zero_extend(b, size));
}

static bool combine(struct thread *t, const struct insn *in, bool v)
{
	bool c = (t->r[in->c] & 1) ^ in->neg;

	switch (in->sub2) {
	case BOOL_AND:
		return v && c;
	case BOOL_OR:
		return v || c;
	case BOOL_XOR:
		return v != c;
	default:
		return v;
	}
}

/* p = (a cmp b) op c, q = !(a cmp b) op c; of pairs p is for the low halves and q for the high ones. */
static int op_setp(struct thread *t, const struct insn *in)
{
	uint64_t a = t->r[in->a], b = t->r[in->b];
	bool v = compare(in, a, b);
	bool pairs = in->type == T_F16X2 || in->type == T_BF16X2;
	bool p = combine(t, in, v), q = combine(t, in, pairs ? compare(in, a >> 16, b >> 16) : !v);

	t->r[in->d] = p;
	if (in->p)
		t->r[in->p] = q;
	return OP_NEXT;
}

/* All ones or 1.0 for true. */
static int op_set(struct thread *t, const struct insn *in)
{
	static const uint32_t truth[T_COUNT] = {
		[T_U16] = 0xffff, [T_S16] = 0xffff, [T_U32] = 0xffffffff, [T_S32] = 0xffffffff, [T_F32] = 0x3f800000,
		[T_F16] = 0x3c00, [T_BF16] = 0x3f80,
	};

	t->r[in->d] = combine(t, in, compare(in, t->r[in->a], t->r[in->b])) ? truth[in->type2] : 0;
	return OP_NEXT;
}

/* The same of each half of a pair, into the halves of a pair or of an integer. */
static int op_set_pair(struct thread *t, const struct insn *in)
{
	static const uint32_t truth[T_COUNT] = {
		[T_U32] = 0xffff, [T_S32] = 0xffff, [T_F16X2] = 0x3c00, [T_BF16X2] = 0x3f80,
	};
	uint64_t a = t->r[in->a], b = t->r[in->b];
	uint32_t low = combine(t, in, compare(in, a, b)) ? truth[in->type2] : 0;
	uint32_t high = combine(t, in, compare(in, a >> 16, b >> 16)) ? truth[in->type2] : 0;

	t->r[in->d] = low | high << 16;
	return OP_NEXT;
}

static int op_selp(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->r[((t->r[in->c] & 1) ^ in->neg) ? in->a : in->b];
	return OP_NEXT;
}

static int op_slct(struct thread *t, const struct insn *in)
{
	bool first;

	if (in->type == T_S32)
		first = (int32_t)t->r[in->c] >= 0;
	else
		first = (in->ftz ? flush_f32(as_f32(t->r[in->c])) : as_f32(t->r[in->c])) >= 0;
	t->r[in->d] = t->r[first ? in->a : in->b];
	return OP_NEXT;
}

enum { TEST_FINITE, TEST_INFINITE, TEST_NUMBER, TEST_NOTANUMBER, TEST_NORMAL, TEST_SUBNORMAL };

static int op_testp(struct thread *t, const struct insn *in)
{
	uint64_t v = t->r[in->a];
	int kind = in->type == T_F64 ? fpclassify(as_f64(v)) : fpclassify(as_f32(v));
	static const bool answers[6][3] = {
		/* NaN, infinite, subnormal */
		[TEST_INFINITE] = {false, true, false}, [TEST_NOTANUMBER] = {true, false, false},
		[TEST_SUBNORMAL] = {false, false, true}, [TEST_NUMBER] = {false, true, true},
		[TEST_FINITE] = {false, false, true}, [TEST_NORMAL] = {false, false, false},
	};

	switch (kind) {
	case FP_NAN:
		t->r[in->d] = answers[in->sub][0];
		break;
	case FP_INFINITE:
		t->r[in->d] = answers[in->sub][1];
		break;
	case FP_SUBNORMAL:
		t->r[in->d] = answers[in->sub][2];
		break;
	default: /* the manual counts zeros as normal */
		t->r[in->d] = in->sub == TEST_FINITE || in->sub == TEST_NUMBER || in->sub == TEST_NORMAL;
	}
	return OP_NEXT;
}

static int op_copysign(struct thread *t, const struct insn *in)
{
	uint64_t top = in->type == T_F64 ? 1ull << 63 : 1ull << 31;

	t->r[in->d] = (t->r[in->a] & top) | (t->r[in->b] & ~top);
	return OP_NEXT;
}

static bool compare_fits(unsigned cmp, enum type t)
{
	if (type_is_float(t) || type_is_half(t))
		return cmp <= CMP_GE || cmp >= CMP_EQU;
	if (t >= T_B16 && t <= T_B64)
		return cmp <= CMP_NE;
	if (t >= T_S16 && t <= T_S64)
		return cmp <= CMP_GE;
	return t >= T_U16 && t <= T_U64 && cmp <= CMP_HS;
}

/* What setp and set have in common: comparison, boolean operator with its predicate, sources. */
static int decode_comparison(struct decode *d, enum type t, unsigned first)
{
	int cmp = mod_take_any(d, comparisons), err;
	bool ftz = mod_take(d, "ftz");

	d->in.type = (uint8_t)t;
	d->in.ftz = ftz;
	if (cmp < 0 || !compare_fits((unsigned)cmp, t) || (ftz && t != T_F32 && t != T_F16 && t != T_F16X2))
		return decode_fail(d, -ENOTSUP, "unknown comparison");
	d->in.sub = (uint8_t)cmp;
	d->in.sub2 = (uint8_t)(mod_take_any(d, booleans) + 1);
	err = need_operands(d, first + 2 + (d->in.sub2 != 0), first + 2 + (d->in.sub2 != 0));
	if (!err)
		err = src(d, first, t, &d->in.a);
	if (!err)
		err = src(d, first + 1, t, &d->in.b);
	if (!err && d->in.sub2)
		err = src_pred(d, first + 2, &d->in.c, &d->in.neg);
	return err;
}

static int decode_setp(struct decode *d)
{
	enum type t = mod_take_type(d);
	int err = decode_comparison(d, t, 1);
	struct operand *pair = d->nops ? d->ops[0]->pair : NULL;

	if (!err)
		err = dst_of(d, d->ops[0], T_PRED, &d->in.d);
	if (!err && pair)
		err = pair->pair ? decode_fail(d, -EINVAL, "a third result") : dst_of(d, pair, T_PRED, &d->in.p);
	if (err)
		return err;
	d->in.fn = op_setp;
	if (!d->in.ftz && !d->in.sub2 && !d->in.p && d->in.sub <= CMP_GE &&
	    !(type_is_float(t) && d->in.sub == CMP_NE) && quick[t][d->in.sub])
		d->in.fn = quick[t][d->in.sub];
	return emit(d->p, &d->in);
}

static bool set_fits(enum type td, enum type t)
{
	if (t == T_F16X2 || t == T_BF16X2)
		return td == T_U32 || td == T_S32 || td == t;
	return td == T_U32 || td == T_S32 || td == T_F32 || td == T_F16 || td == T_BF16 || td == T_U16 || td == T_S16;
}

static int decode_set(struct decode *d)
{
	enum type td = mod_take_type(d), t = mod_take_type(d);
	int err;

	if (!set_fits(td, t))
		return decode_fail(d, -ENOTSUP, "unknown type");
	err = decode_comparison(d, t, 1);
	d->in.type2 = (uint8_t)td;
	d->in.fn = t == T_F16X2 || t == T_BF16X2 ? op_set_pair : op_set;
	if (!err)
		err = dst(d, 0, td, &d->in.d);
	return err ? err : emit(d->p, &d->in);
}

static int decode_selp(struct decode *d)
{
	enum type t = mod_take_type(d);
	int err = need_operands(d, 4, 4);

	if (type_size(t) < 2 || t == T_PRED || type_is_half(t) || t == T_TF32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	if (!err)
		err = dst(d, 0, t, &d->in.d);
	if (!err)
		err = src(d, 1, t, &d->in.a);
	if (!err)
		err = src(d, 2, t, &d->in.b);
	if (!err)
		err = src_pred(d, 3, &d->in.c, &d->in.neg);
	d->in.fn = op_selp;
	return err ? err : emit(d->p, &d->in);
}

static int decode_slct(struct decode *d)
{
	bool ftz = mod_take(d, "ftz");
	enum type td = mod_take_type(d), t = mod_take_type(d);

	if (type_size(td) < 2 || type_is_half(td) || (t != T_S32 && t != T_F32) || (ftz && t != T_F32))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.ftz = ftz;
	d->in.type = (uint8_t)t;
	d->in.fn = op_slct;
	return emit_plain(d, 3, td, td, td, t);
}

static int decode_testp(struct decode *d)
{
	static const char *const tests[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal", NULL};
	int which = mod_take_any(d, tests);
	enum type t = mod_take_type(d);

	if (which < 0 || !type_is_float(t))
		return decode_fail(d, -ENOTSUP, "unknown test");
	d->in.sub = (uint8_t)which;
	d->in.type = (uint8_t)t;
	d->in.fn = op_testp;
	return emit_plain(d, 1, T_PRED, t, T_NONE, T_NONE);
}

static int decode_copysign(struct decode *d)
{
	enum type t = mod_take_type(d);

	d->in.type = (uint8_t)t;
	d->in.fn = op_copysign;
	return emit_alike(d, 2, t);
}

const struct op_def ops_compare[] = {
	{"setp", CLASS_ANY, decode_setp, 0},
	{"set", CLASS_ANY, decode_set, 0},
	{"selp", CLASS_ANY, decode_selp, 0},
	{"slct", CLASS_ANY, decode_slct, 0},
	{"testp", CLASS_FLOAT, decode_testp, 0},
	{"copysign", CLASS_FLOAT, decode_copysign, 0},
	{NULL, 0, NULL, 0},
};
