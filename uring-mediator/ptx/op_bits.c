/* SPDX-License-Identifier: MIT */
/* Logic, shifts, bit fields, bit counts; logic on predicates. Handlers run inside a launch. */
#include "exec.h"
#include "parse.h"

#define HANDLER(name, bits, expr) \
	static int name##_##bits(struct thread *t, const struct insn *in) \
	{ \
		uint##bits##_t a = (uint##bits##_t)t->r[in->a], b = (uint##bits##_t)t->r[in->b]; \
\
		(void)b; \
		t->r[in->d] = (uint##bits##_t)(expr); \
		return OP_NEXT; \
	}
#define WIDTHS(name, expr) HANDLER(name, 16, expr) HANDLER(name, 32, expr) HANDLER(name, 64, expr)

WIDTHS(and, a & b)
WIDTHS(or, a | b)
WIDTHS(xor, a ^ b)
WIDTHS(not, ~a)
WIDTHS(cnot, a == 0)

/* The shift count is an unsigned 32-bit number whatever the type; large counts shift everything out. */
#define SHIFT(name, bits, from, expr) \
	static int name##bits(struct thread *t, const struct insn *in) \
	{ \
		from a = (from)t->r[in->a]; \
		uint32_t n = (uint32_t)t->r[in->b]; \
\
		t->r[in->d] = (uint##bits##_t)(expr); \
		return OP_NEXT; \
	}
#define SHIFTS(bits) \
	SHIFT(shl_, bits, uint##bits##_t, n < bits ? (uint64_t)a << n : 0) \
	SHIFT(shr_u, bits, uint##bits##_t, n < bits ? a >> n : 0) \
	SHIFT(shr_s, bits, int##bits##_t, a >> (n < bits ? n : bits - 1))
SHIFTS(16)
SHIFTS(32)
SHIFTS(64)

static int op_not_pred(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->r[in->a] ^ 1;
	return OP_NEXT;
}

/* Funnel shift of {b,a} by c; neg: to the left, flag: the count wraps at 32, else it is clamped to 32. */
static int op_shf(struct thread *t, const struct insn *in)
{
	uint64_t both = (uint32_t)t->r[in->a] | t->r[in->b] << 32;
	uint32_t n = (uint32_t)t->r[in->c];

	n = in->flag ? n & 31 : n < 32 ? n : 32;
	t->r[in->d] = (uint32_t)(in->neg ? both << n >> 32 : both >> n);
	return OP_NEXT;
}

static uint32_t lop3(uint32_t a, uint32_t b, uint32_t c, uint8_t lut)
{
	uint32_t r = 0;

	for (unsigned i = 0; i < 8; i++)
		if (lut >> i & 1)
			r |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
	return r;
}

static int op_lop3(struct thread *t, const struct insn *in)
{
	t->r[in->d] = lop3((uint32_t)t->r[in->a], (uint32_t)t->r[in->b], (uint32_t)t->r[in->c], (uint8_t)in->imm);
	return OP_NEXT;
}

enum { PRMT_DEFAULT, PRMT_F4E, PRMT_B4E, PRMT_RC8, PRMT_ECL, PRMT_ECR, PRMT_RC16 };

/* Which of the eight source bytes goes to place i, for the special modes: PTX ISA, table of prmt. */
static unsigned prmt_pick(unsigned mode, unsigned n, unsigned i)
{
	switch (mode) {
	case PRMT_F4E:
		return n + i;
	case PRMT_B4E:
		return (n - i) & 7;
	case PRMT_RC8:
		return n;
	case PRMT_ECL:
		return i > n ? i : n;
	case PRMT_ECR:
		return i < n ? i : n;
	default:
		return (n & 1) * 2 + (i & 1);
	}
}

static int op_prmt(struct thread *t, const struct insn *in)
{
	uint64_t bytes = (uint32_t)t->r[in->a] | t->r[in->b] << 32;
	uint32_t select = (uint32_t)t->r[in->c], result = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned nibble = select >> i * 4 & 15;
		unsigned pick = in->sub2 ? prmt_pick(in->sub2, select & 3, i) : nibble & 7;
		uint8_t byte = (uint8_t)(bytes >> pick * 8);

		if (!in->sub2 && nibble & 8)
			byte = byte & 0x80 ? 0xff : 0;
		result |= (uint32_t)byte << i * 8;
	}
	t->r[in->d] = result;
	return OP_NEXT;
}

/* A position or length: of 32-bit fields the lowest byte counts, of 64-bit fields all of it (as the hardware does). */
static unsigned field(uint64_t v, unsigned size)
{
	return size == 4 ? v & 255 : (uint32_t)v < 255 ? (uint32_t)v : 255;
}

/* Extracts c bits at b; past the top come zeros, or copies of the sign when signed. */
static int op_bfe(struct thread *t, const struct insn *in)
{
	unsigned bits = in->size * 8u, pos = field(t->r[in->b], in->size), len = field(t->r[in->c], in->size);
	uint64_t a = zero_extend(t->r[in->a], in->size), v;
	unsigned last = pos + len - 1 < bits - 1 ? pos + len - 1 : bits - 1;
	bool sign = type_is_signed(in->type) && len && (a >> last & 1);

	v = pos < bits ? a >> pos : 0;
	if (len < bits)
		v &= (1ull << len) - 1;
	if (sign) {
		unsigned have = pos >= bits ? 0 : len < bits - pos ? len : bits - pos;

		v |= have < 64 ? ~0ull << have : 0;
	}
	t->r[in->d] = zero_extend(v, in->size);
	return OP_NEXT;
}

/* Puts e bits of a at place c into b. */
static int op_bfi(struct thread *t, const struct insn *in)
{
	unsigned bits = in->size * 8u, pos = field(t->r[in->c], in->size), len = field(t->r[in->e], in->size);
	uint64_t mask = len >= 64 ? ~0ull : (1ull << len) - 1, b = zero_extend(t->r[in->b], in->size);

	if (pos < bits)
		b = (b & ~(mask << pos)) | (t->r[in->a] & mask) << pos;
	t->r[in->d] = zero_extend(b, in->size);
	return OP_NEXT;
}

/* Position of the highest bit that differs from the sign; flag: as the shift that would bring it to the top. */
static int op_bfind(struct thread *t, const struct insn *in)
{
	uint64_t a = zero_extend(t->r[in->a], in->size);
	uint32_t r;

	if (type_is_signed(in->type) && sign_extend(a, in->size) < 0)
		a = zero_extend(~a, in->size);
	r = a ? 63u - (unsigned)__builtin_clzll(a) : UINT32_MAX;
	if (in->flag && a)
		r = in->size * 8u - 1 - r;
	t->r[in->d] = r;
	return OP_NEXT;
}

static uint64_t reverse(uint64_t v, unsigned bits)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < bits; i++)
		r |= (v >> i & 1) << (bits - 1 - i);
	return r;
}

enum { B_BREV, B_CLZ, B_POPC };

static int op_count(struct thread *t, const struct insn *in)
{
	uint64_t a = zero_extend(t->r[in->a], in->size);
	unsigned bits = in->size * 8u;

	switch (in->sub) {
	case B_BREV:
		t->r[in->d] = reverse(a, bits);
		break;
	case B_CLZ:
		t->r[in->d] = a ? (unsigned)__builtin_clzll(a) - (64 - bits) : bits;
		break;
	default:
		t->r[in->d] = (unsigned)__builtin_popcountll(a);
	}
	return OP_NEXT;
}

/* The c-th set bit of a, counted from bit b upwards (c > 0) or downwards (c < 0); c = 0: b itself if it is set. */
static int op_fns(struct thread *t, const struct insn *in)
{
	uint32_t mask = (uint32_t)t->r[in->a], base = (uint32_t)t->r[in->b];
	int32_t n = (int32_t)t->r[in->c];
	int step = n < 0 ? -1 : 1;
	uint32_t left = n < 0 ? -(uint32_t)n : (uint32_t)n, found = UINT32_MAX;

	if (base > 31) {
		found = UINT32_MAX;
	} else if (!n) {
		found = mask >> base & 1 ? base : UINT32_MAX;
	} else {
		for (int i = (int)base; i >= 0 && i < 32; i += step)
			if (mask >> i & 1 && !--left) {
				found = (uint32_t)i;
				break;
			}
	}
	t->r[in->d] = found;
	return OP_NEXT;
}

/* b bits set from bit a up; flag: positions and widths wrap at 32, else they are clamped. */
static int op_bmsk(struct thread *t, const struct insn *in)
{
	uint32_t a = (uint32_t)t->r[in->a], b = (uint32_t)t->r[in->b];
	uint64_t mask;

	if (in->flag) {
		a &= 31;
		b &= 31;
	}
	mask = b >= 32 ? 0xffffffffull : (1ull << b) - 1;
	t->r[in->d] = a >= 32 ? 0 : (uint32_t)(mask << a);
	return OP_NEXT;
}

enum { L_AND, L_OR, L_XOR, L_NOT, L_CNOT };

static int decode_logic(struct decode *d)
{
	static const ptx_op ops[][3] = {
		{and_16, and_32, and_64}, {or_16, or_32, or_64}, {xor_16, xor_32, xor_64}, {not_16, not_32, not_64},
		{cnot_16, cnot_32, cnot_64},
	};
	enum type t = mod_take_type(d);
	unsigned n = d->in.sub >= L_NOT ? 1 : 2;

	if (t == T_PRED) {
		d->in.fn = d->in.sub == L_NOT ? op_not_pred : ops[d->in.sub][0];
		if (d->in.sub == L_CNOT)
			return decode_fail(d, -ENOTSUP, "unknown type");
		return emit_alike(d, n, T_PRED);
	}
	if (t < T_B16 || t > T_B64)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.fn = ops[d->in.sub][t - T_B16];
	return emit_alike(d, n, t);
}

static int decode_shift(struct decode *d)
{
	static const ptx_op left[] = {shl_16, shl_32, shl_64}, right_u[] = {shr_u16, shr_u32, shr_u64},
			    right_s[] = {shr_s16, shr_s32, shr_s64};
	enum type t = mod_take_type(d);
	unsigned size = type_size(t);
	unsigned i = size == 2 ? 0 : size == 4 ? 1 : 2;

	if (size < 2 || (!d->in.sub && (t < T_B16 || t > T_B64)))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.fn = !d->in.sub ? left[i] : type_is_signed(t) ? right_s[i] : right_u[i];
	return emit_plain(d, 2, t, t, T_U32, T_NONE);
}

static int decode_shf(struct decode *d)
{
	d->in.neg = mod_take(d, "l");
	if (!d->in.neg && !mod_take(d, "r"))
		return decode_fail(d, -EINVAL, ".l or .r is missing");
	d->in.flag = mod_take(d, "wrap");
	if (!d->in.flag && !mod_take(d, "clamp"))
		return decode_fail(d, -EINVAL, ".clamp or .wrap is missing");
	d->in.fn = op_shf;
	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	return emit_plain(d, 3, T_B32, T_B32, T_B32, T_U32);
}

static int decode_lop3(struct decode *d)
{
	uint64_t lut;
	int err = need_operands(d, 5, 5);

	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	if (!err)
		err = immediate(d, 4, 255, &lut);
	if (err)
		return err;
	d->in.imm = (int64_t)lut;
	d->in.fn = op_lop3;
	d->nops = 4;
	return emit_alike(d, 3, T_B32);
}

static int decode_prmt(struct decode *d)
{
	static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16", NULL};

	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.sub2 = (uint8_t)(mod_take_any(d, modes) + 1);
	d->in.fn = op_prmt;
	return emit_alike(d, 3, T_B32);
}

static bool wide_int(enum type t)
{
	return t == T_U32 || t == T_U64 || t == T_S32 || t == T_S64;
}

static int decode_bfe(struct decode *d)
{
	enum type t = mod_take_type(d);

	if (!wide_int(t))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.type = (uint8_t)t;
	d->in.size = (uint8_t)type_size(t);
	d->in.fn = op_bfe;
	return emit_plain(d, 3, t, t, T_U32, T_U32);
}

static int decode_bfi(struct decode *d)
{
	enum type t = mod_take_type(d);
	int err = need_operands(d, 5, 5);

	if (t != T_B32 && t != T_B64)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.size = (uint8_t)type_size(t);
	d->in.fn = op_bfi;
	if (!err)
		err = src(d, 4, T_U32, &d->in.e);
	d->nops = 4;
	return err ? err : emit_plain(d, 3, t, t, t, T_U32);
}

static int decode_bfind(struct decode *d)
{
	enum type t;

	d->in.flag = mod_take(d, "shiftamt");
	t = mod_take_type(d);
	if (!wide_int(t))
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.type = (uint8_t)t;
	d->in.size = (uint8_t)type_size(t);
	d->in.fn = op_bfind;
	return emit_plain(d, 1, T_U32, t, T_NONE, T_NONE);
}

static int decode_count(struct decode *d)
{
	enum type t = mod_take_type(d);

	if (t != T_B32 && t != T_B64)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.size = (uint8_t)type_size(t);
	d->in.fn = op_count;
	return emit_plain(d, 1, d->in.sub == B_BREV ? t : T_U32, t, T_NONE, T_NONE);
}

static int decode_fns(struct decode *d)
{
	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.fn = op_fns;
	return emit_plain(d, 3, T_B32, T_B32, T_B32, T_S32);
}

static int decode_bmsk(struct decode *d)
{
	d->in.flag = mod_take(d, "wrap");
	if (!d->in.flag && !mod_take(d, "clamp"))
		return decode_fail(d, -EINVAL, ".clamp or .wrap is missing");
	if (mod_take_type(d) != T_B32)
		return decode_fail(d, -ENOTSUP, "unknown type");
	d->in.fn = op_bmsk;
	return emit_alike(d, 2, T_B32);
}

const struct op_def ops_bits[] = {
	{"and", CLASS_INT | CLASS_PRED, decode_logic, L_AND},
	{"or", CLASS_INT | CLASS_PRED, decode_logic, L_OR},
	{"xor", CLASS_INT | CLASS_PRED, decode_logic, L_XOR},
	{"not", CLASS_INT | CLASS_PRED, decode_logic, L_NOT},
	{"cnot", CLASS_INT, decode_logic, L_CNOT},
	{"shl", CLASS_INT, decode_shift, 0},
	{"shr", CLASS_INT, decode_shift, 1},
	{"shf", CLASS_INT, decode_shf, 0},
	{"lop3", CLASS_INT, decode_lop3, 0},
	{"prmt", CLASS_INT, decode_prmt, 0},
	{"bfe", CLASS_INT, decode_bfe, 0},
	{"bfi", CLASS_INT, decode_bfi, 0},
	{"bfind", CLASS_INT, decode_bfind, 0},
	{"brev", CLASS_INT, decode_count, B_BREV},
	{"clz", CLASS_INT, decode_count, B_CLZ},
	{"popc", CLASS_INT, decode_count, B_POPC},
	{"fns", CLASS_INT, decode_fns, 0},
	{"bmsk", CLASS_INT, decode_bmsk, 0},
	{NULL, 0, NULL, 0},
};
