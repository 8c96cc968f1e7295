/* SPDX-License-Identifier: MIT */
/*
 * Single instructions against the same computation in C, on random operands full of special values. Each case is a
 * statement on registers %a %b %c (operands), %d (result), %p %q (scratch predicates), with the sizes of d, a, b, c.
 */
#include <math.h>

#include "ptx_device.h"

#define COUNT 512

#define I8(x) ((int8_t)(x))
#define U8(x) ((uint8_t)(x))
#define I16(x) ((int16_t)(x))
#define U16(x) ((uint16_t)(x))
#define I32(x) ((int32_t)(x))
#define U32(x) ((uint32_t)(x))
#define I64(x) ((int64_t)(x))
#define WIDE(x) ((__int128)(x))
#define UWIDE(x) ((unsigned __int128)(x))
#define F(x) as_float((uint32_t)(x))
#define D(x) as_double(x)
#define BF(x) float_bits(x)
#define BD(x) double_bits(x)

static float as_float(uint32_t v)
{
	float f;

	memcpy(&f, &v, sizeof(f));
	return f;
}

static double as_double(uint64_t v)
{
	double d;

	memcpy(&d, &v, sizeof(d));
	return d;
}

/* A NaN of single precision is always this one. */
static uint64_t float_bits(float f)
{
	uint32_t v;

	memcpy(&v, &f, sizeof(v));
	return f != f ? 0x7fffffffu : v;
}

static uint64_t double_bits(double d)
{
	uint64_t v;

	memcpy(&v, &d, sizeof(v));
	return v;
}

static uint64_t shl(uint64_t v, uint64_t n, unsigned bits)
{
	return U32(n) >= bits ? 0 : v << U32(n);
}

static uint64_t shr(uint64_t v, uint64_t n, unsigned bits)
{
	return U32(n) >= bits ? 0 : v >> U32(n);
}

static int64_t sar(int64_t v, uint64_t n, unsigned bits)
{
	return v >> (U32(n) >= bits ? bits - 1 : U32(n));
}

static uint64_t sat32(int64_t v)
{
	return U32(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

static int64_t sdiv(int64_t a, int64_t b)
{
	return !b ? -1 : b == -1 ? I64(-(uint64_t)a) : a / b;
}

static int64_t srem(int64_t a, int64_t b)
{
	return !b ? -1 : b == -1 ? 0 : a % b;
}

static uint64_t reverse(uint64_t v, unsigned bits)
{
	uint64_t r = 0;

	while (bits--) {
		r = r << 1 | (v & 1);
		v >>= 1;
	}
	return r;
}

static uint64_t leading(uint64_t v, unsigned bits)
{
	unsigned n = 0;

	while (n < bits && !(v >> (bits - 1 - n) & 1))
		n++;
	return n;
}

static uint64_t flush(uint64_t v)
{
	return v & 0x7f800000 ? U32(v) : v & 0x80000000;
}

static uint64_t clamp01(float f)
{
	return BF(!(f > 0) ? 0 : f > 1 ? 1 : f);
}

/* The bits of the lesser one, -0 below +0; a NaN counts only when both are or when it may win. */
static uint64_t lesser(float x, float y, bool nan_wins)
{
	if (x != x || y != y)
		return nan_wins || (x != x && y != y) ? 0x7fffffffu : BF(x != x ? y : x);
	if (x == y)
		return signbit(x) ? BF(x) : BF(y);
	return x < y ? BF(x) : BF(y);
}

/* max is the lesser of the negated operands, negated again unless it is a NaN. */
static uint64_t negated(float x, float y)
{
	return x != x && y != y ? 0 : 0x80000000u;
}

static unsigned field(uint64_t v, unsigned bits)
{
	return bits == 32 ? v & 255 : U32(v) > 255 ? 255 : U32(v);
}

/* Bit by bit, as the manual's pseudo-code has it. */
static uint64_t extract(uint64_t a, uint64_t b, uint64_t c, unsigned bits, bool is_signed)
{
	unsigned pos = field(b, bits), len = field(c, bits), last = pos + len - 1 < bits - 1 ? pos + len - 1 : bits - 1;
	uint64_t sign = is_signed && len ? a >> last & 1 : 0, d = 0;

	for (unsigned i = 0; i < bits; i++)
		d |= (i < len && pos + i < bits ? a >> (pos + i) & 1 : sign) << i;
	return d;
}

static uint64_t insert(uint64_t a, uint64_t b, uint64_t c, unsigned bits)
{
	unsigned pos = field(c, bits), len = field(U32(c) >> 8, bits);

	for (unsigned i = 0; i < len && pos + i < bits; i++)
		b = (b & ~(1ull << (pos + i))) | (a >> i & 1) << (pos + i);
	return b;
}

static uint64_t permute(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t all = U32(a) | b << 32, d = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned n = c >> i * 4 & 15;
		uint64_t byte = all >> (n & 7) * 8 & 0xff;

		d |= (n & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << i * 8;
	}
	return d;
}

/* Four bytes each: the differences, or c and their sum. */
static uint64_t absdiff4(uint64_t a, uint64_t b, uint64_t c, bool add)
{
	uint32_t packed = 0, sum = (uint32_t)c;

	for (unsigned i = 0; i < 32; i += 8) {
		uint32_t x = a >> i & 255, y = b >> i & 255, v = x > y ? x - y : y - x;

		packed |= v << i;
		sum += v;
	}
	return add ? sum : packed;
}

/* Two signed halves each: their sums, as far as those go. */
static uint64_t vadd2_sat(uint64_t a, uint64_t b)
{
	uint32_t packed = 0;

	for (unsigned i = 0; i < 32; i += 16) {
		int32_t v = (int16_t)(a >> i) + (int16_t)(b >> i);

		v = v > 32767 ? 32767 : v < -32768 ? -32768 : v;
		packed |= ((uint32_t)v & 0xffff) << i;
	}
	return packed;
}

static uint64_t dot(uint64_t a, uint64_t b, uint64_t c, bool sa, bool sb)
{
	for (unsigned i = 0; i < 4; i++)
		c += (uint64_t)((sa ? I8(a >> i * 8) : U8(a >> i * 8)) * (sb ? I8(b >> i * 8) : U8(b >> i * 8)));
	return c;
}

#define CASES(X) \
	X(add16, "add.u16 %d, %a, %b;", 2, 2, 2, 2, a + b) \
	X(add32, "add.s32 %d, %a, %b;", 4, 4, 4, 4, a + b) \
	X(add64, "add.s64 %d, %a, %b;", 8, 8, 8, 8, a + b) \
	X(addsat, "add.sat.s32 %d, %a, %b;", 4, 4, 4, 4, sat32(I64(I32(a)) + I32(b))) \
	X(subsat, "sub.sat.s32 %d, %a, %b;", 4, 4, 4, 4, sat32(I64(I32(a)) - I32(b))) \
	X(sub32, "sub.s32 %d, %a, %b;", 4, 4, 4, 4, a - b) \
	X(sub64, "sub.u64 %d, %a, %b;", 8, 8, 8, 8, a - b) \
	X(mul16, "mul.lo.u16 %d, %a, %b;", 2, 2, 2, 2, a * b) \
	X(mul32, "mul.lo.s32 %d, %a, %b;", 4, 4, 4, 4, a * b) \
	X(mul64, "mul.lo.s64 %d, %a, %b;", 8, 8, 8, 8, a * b) \
	X(hi_u16, "mul.hi.u16 %d, %a, %b;", 2, 2, 2, 2, (a * b) >> 16) \
	X(hi_s16, "mul.hi.s16 %d, %a, %b;", 2, 2, 2, 2, (I16(a) * I16(b)) >> 16) \
	X(hi_u32, "mul.hi.u32 %d, %a, %b;", 4, 4, 4, 4, (a * b) >> 32) \
	X(hi_s32, "mul.hi.s32 %d, %a, %b;", 4, 4, 4, 4, (I64(I32(a)) * I32(b)) >> 32) \
	X(hi_u64, "mul.hi.u64 %d, %a, %b;", 8, 8, 8, 8, (UWIDE(a) * b) >> 64) \
	X(hi_s64, "mul.hi.s64 %d, %a, %b;", 8, 8, 8, 8, (WIDE(I64(a)) * I64(b)) >> 64) \
	X(wide_u16, "mul.wide.u16 %d, %a, %b;", 4, 2, 2, 2, a * b) \
	X(wide_s16, "mul.wide.s16 %d, %a, %b;", 4, 2, 2, 2, I16(a) * I16(b)) \
	X(wide_u32, "mul.wide.u32 %d, %a, %b;", 8, 4, 4, 4, a * b) \
	X(wide_s32, "mul.wide.s32 %d, %a, %b;", 8, 4, 4, 4, I64(I32(a)) * I32(b)) \
	X(mad32, "mad.lo.s32 %d, %a, %b, %c;", 4, 4, 4, 4, a * b + c) \
	X(mad64, "mad.lo.u64 %d, %a, %b, %c;", 8, 8, 8, 8, a * b + c) \
	X(madhi_s32, "mad.hi.s32 %d, %a, %b, %c;", 4, 4, 4, 4, ((I64(I32(a)) * I32(b)) >> 32) + c) \
	X(madhi_u64, "mad.hi.u64 %d, %a, %b, %c;", 8, 8, 8, 8, U32(0) + (uint64_t)((UWIDE(a) * b) >> 64) + c) \
	X(madhisat, "mad.hi.sat.s32 %d, %a, %b, %c;", 4, 4, 4, 4, sat32(((I64(I32(a)) * I32(b)) >> 32) + I32(c))) \
	X(madwide_s32, "mad.wide.s32 %d, %a, %b, %c;", 8, 4, 4, 8, (uint64_t)(I64(I32(a)) * I32(b)) + c) \
	X(madwide_u32, "mad.wide.u32 %d, %a, %b, %c;", 8, 4, 4, 8, a * b + c) \
	X(madwide_s16, "mad.wide.s16 %d, %a, %b, %c;", 4, 2, 2, 4, U32(I16(a) * I16(b)) + c) \
	X(mul24, "mul24.lo.u32 %d, %a, %b;", 4, 4, 4, 4, (a & 0xffffff) * (b & 0xffffff)) \
	X(mul24hi, "mul24.hi.s32 %d, %a, %b;", 4, 4, 4, 4, ((I64(a << 40) >> 40) * (I64(b << 40) >> 40)) >> 16) \
	X(mad24, "mad24.lo.s32 %d, %a, %b, %c;", 4, 4, 4, 4, \
	  (uint64_t)((I64(a << 40) >> 40) * (I64(b << 40) >> 40)) + c) \
	X(div_u16, "div.u16 %d, %a, %b;", 2, 2, 2, 2, b ? a / b : 0xffff) \
	X(div_s16, "div.s16 %d, %a, %b;", 2, 2, 2, 2, sdiv(I16(a), I16(b))) \
	X(div_u32, "div.u32 %d, %a, %b;", 4, 4, 4, 4, b ? a / b : ~0u) \
	X(div_s32, "div.s32 %d, %a, %b;", 4, 4, 4, 4, sdiv(I32(a), I32(b))) \
	X(div_u64, "div.u64 %d, %a, %b;", 8, 8, 8, 8, b ? a / b : ~0ull) \
	X(div_s64, "div.s64 %d, %a, %b;", 8, 8, 8, 8, sdiv(I64(a), I64(b))) \
	X(rem_u32, "rem.u32 %d, %a, %b;", 4, 4, 4, 4, b ? a % b : ~0u) \
	X(rem_s32, "rem.s32 %d, %a, %b;", 4, 4, 4, 4, srem(I32(a), I32(b))) \
	X(rem_s64, "rem.s64 %d, %a, %b;", 8, 8, 8, 8, srem(I64(a), I64(b))) \
	X(abs_s16, "abs.s16 %d, %a;", 2, 2, 2, 2, I16(a) < 0 ? -a : a) \
	X(abs_s32, "abs.s32 %d, %a;", 4, 4, 4, 4, I32(a) < 0 ? -a : a) \
	X(abs_s64, "abs.s64 %d, %a;", 8, 8, 8, 8, I64(a) < 0 ? -a : a) \
	X(neg_s32, "neg.s32 %d, %a;", 4, 4, 4, 4, -a) \
	X(min_u32, "min.u32 %d, %a, %b;", 4, 4, 4, 4, a < b ? a : b) \
	X(min_s32, "min.s32 %d, %a, %b;", 4, 4, 4, 4, I32(a) < I32(b) ? a : b) \
	X(max_s16, "max.s16 %d, %a, %b;", 2, 2, 2, 2, I16(a) > I16(b) ? a : b) \
	X(max_u64, "max.u64 %d, %a, %b;", 8, 8, 8, 8, a > b ? a : b) \
	X(max_s64, "max.s64 %d, %a, %b;", 8, 8, 8, 8, I64(a) > I64(b) ? a : b) \
	X(sad_u32, "sad.u32 %d, %a, %b, %c;", 4, 4, 4, 4, c + (a > b ? a - b : b - a)) \
	X(sad_s32, "sad.s32 %d, %a, %b, %c;", 4, 4, 4, 4, c + (I32(a) > I32(b) ? a - b : b - a)) \
	X(vabsdiff4, "vabsdiff4.u32.u32.u32 %d, %a, %b, %c;", 4, 4, 4, 4, absdiff4(a, b, c, false)) \
	X(vabsdiff4_add, "vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", 4, 4, 4, 4, absdiff4(a, b, c, true)) \
	X(vadd2_sat, "vadd2.s32.s32.s32.sat %d, %a, %b, %c;", 4, 4, 4, 4, vadd2_sat(a, b)) \
	X(vadd_sat, "vadd.s32.s32.u32.sat %d, %a, %b;", 4, 4, 4, 4, sat32(I64(I32(a)) + I64(b))) \
	X(vsub_max, "vsub.s32.s32.s32.sat.max %d, %a, %b, %c;", 4, 4, 4, 4, \
	  I32(sat32(I64(I32(a)) - I32(b))) > I32(c) ? sat32(I64(I32(a)) - I32(b)) : c) \
	X(vabsdiff, "vabsdiff.u32.u32.u32.add %d, %a, %b, %c;", 4, 4, 4, 4, (a > b ? a - b : b - a) + c) \
	X(vmin, "vmin.s32.s32.s32 %d, %a, %b;", 4, 4, 4, 4, I32(a) < I32(b) ? a : b) \
	X(vmax_min, "vmax.u32.u32.u32.min %d, %a, %b, %c;", 4, 4, 4, 4, (a > b ? a : b) < c ? (a > b ? a : b) : c) \
	X(vshl, "vshl.u32.u32.u32.wrap %d, %a, %b;", 4, 4, 4, 4, a << (b & 31)) \
	X(vshr, "vshr.u32.u32.u32.clamp.add %d, %a, %b, %c;", 4, 4, 4, 4, shr(a, b, 32) + c) \
	X(vshr_s, "vshr.s32.s32.u32.wrap %d, %a, %b;", 4, 4, 4, 4, I32(a) >> (b & 31)) \
	X(dp4a_uu, "dp4a.u32.u32 %d, %a, %b, %c;", 4, 4, 4, 4, dot(a, b, c, false, false)) \
	X(dp4a_ss, "dp4a.s32.s32 %d, %a, %b, %c;", 4, 4, 4, 4, dot(a, b, c, true, true)) \
	X(dp4a_su, "dp4a.s32.u32 %d, %a, %b, %c;", 4, 4, 4, 4, dot(a, b, c, true, false)) \
	X(dp2a_lo, "dp2a.lo.s32.u32 %d, %a, %b, %c;", 4, 4, 4, 4, c + I16(a) * U8(b) + I16(a >> 16) * U8(b >> 8)) \
	X(dp2a_hi, "dp2a.hi.u32.s32 %d, %a, %b, %c;", 4, 4, 4, 4, c + U16(a) * I8(b >> 16) + U16(a >> 16) * I8(b >> 24)) \
	X(carry, "add.cc.u32 %d, %a, %b; addc.u32 %d, %c, 0;", 4, 4, 4, 4, c + ((a + b) >> 32)) \
	X(carry64, "add.cc.u64 %d, %a, %b; addc.u64 %d, %c, %a;", 8, 8, 8, 8, c + a + (a + b < a)) \
	X(borrow, "sub.cc.u32 %d, %a, %b; subc.u32 %d, %c, 5;", 4, 4, 4, 4, c - 5 - (a < b)) \
	X(carry_chain, "add.cc.u32 %d, %a, %b; addc.cc.u32 %d, %c, %a; addc.u32 %d, %b, 0;", 4, 4, 4, 4, \
	  b + ((c + a + ((a + b) >> 32)) >> 32)) \
	X(madcc, "mad.lo.cc.u32 %d, %a, %b, %c; madc.hi.u32 %d, %a, %b, %c;", 4, 4, 4, 4, \
	  (((a * b) >> 32) + c + ((U32(a * b) + c) >> 32))) \
	X(and32, "and.b32 %d, %a, %b;", 4, 4, 4, 4, a & b) \
	X(or64, "or.b64 %d, %a, %b;", 8, 8, 8, 8, a | b) \
	X(xor16, "xor.b16 %d, %a, %b;", 2, 2, 2, 2, a ^ b) \
	X(not32, "not.b32 %d, %a;", 4, 4, 4, 4, ~a) \
	X(cnot64, "cnot.b64 %d, %a;", 8, 8, 8, 8, a == 0) \
	X(shl16, "shl.b16 %d, %a, %b;", 2, 2, 4, 2, shl(a, b, 16)) \
	X(shl32, "shl.b32 %d, %a, %b;", 4, 4, 4, 4, shl(a, b, 32)) \
	X(shl64, "shl.b64 %d, %a, %b;", 8, 8, 4, 8, shl(a, b, 64)) \
	X(shr_u32, "shr.u32 %d, %a, %b;", 4, 4, 4, 4, shr(a, b, 32)) \
	X(shr_s16, "shr.s16 %d, %a, %b;", 2, 2, 4, 2, sar(I16(a), b, 16)) \
	X(shr_s32, "shr.s32 %d, %a, %b;", 4, 4, 4, 4, sar(I32(a), b, 32)) \
	X(shr_s64, "shr.s64 %d, %a, %b;", 8, 8, 4, 8, sar(I64(a), b, 64)) \
	X(shr_b64, "shr.b64 %d, %a, %b;", 8, 8, 4, 8, shr(a, b, 64)) \
	X(shf_l, "shf.l.wrap.b32 %d, %a, %b, %c;", 4, 4, 4, 4, ((b << 32 | a) << (c & 31)) >> 32) \
	X(shf_r, "shf.r.wrap.b32 %d, %a, %b, %c;", 4, 4, 4, 4, (b << 32 | a) >> (c & 31)) \
	X(shf_lc, "shf.l.clamp.b32 %d, %a, %b, %c;", 4, 4, 4, 4, c >= 32 ? a : ((b << 32 | a) << c) >> 32) \
	X(shf_rc, "shf.r.clamp.b32 %d, %a, %b, %c;", 4, 4, 4, 4, c >= 32 ? b : (b << 32 | a) >> c) \
	X(lop3, "lop3.b32 %d, %a, %b, %c, 0x96;", 4, 4, 4, 4, a ^ b ^ c) \
	X(lop3_b, "lop3.b32 %d, %a, %b, %c, 0xca;", 4, 4, 4, 4, (a & b) | (~a & c)) \
	X(prmt, "prmt.b32 %d, %a, %b, %c;", 4, 4, 4, 4, permute(a, b, c)) \
	X(bfe_u32, "bfe.u32 %d, %a, %b, %c;", 4, 4, 4, 4, extract(a, b, c, 32, false)) \
	X(bfe_s32, "bfe.s32 %d, %a, %b, %c;", 4, 4, 4, 4, extract(a, b, c, 32, true)) \
	X(bfe_u64, "bfe.u64 %d, %a, %b, %c;", 8, 8, 4, 4, extract(a, b, c, 64, false)) \
	X(bfe_s64, "bfe.s64 %d, %a, %b, %c;", 8, 8, 4, 4, extract(a, b, c, 64, true)) \
	X(bfi32, "{.reg .b32 n; shr.u32 n, %c, 8; bfi.b32 %d, %a, %b, %c, n;}", 4, 4, 4, 4, insert(a, b, c, 32)) \
	X(bfi64, "{.reg .b32 n; shr.u32 n, %c, 8; bfi.b64 %d, %a, %b, %c, n;}", 8, 8, 8, 4, insert(a, b, c, 64)) \
	X(bfind_u, "bfind.u32 %d, %a;", 4, 4, 4, 4, a ? 31 - leading(a, 32) : ~0u) \
	X(bfind_s, "bfind.s64 %d, %a;", 4, 8, 4, 4, (a ^ sar(I64(a), 63, 64)) ? 63 - leading(a ^ sar(I64(a), 63, 64), 64) : ~0u) \
	X(bfind_amt, "bfind.shiftamt.u32 %d, %a;", 4, 4, 4, 4, a ? leading(a, 32) : ~0u) \
	X(brev, "brev.b32 %d, %a;", 4, 4, 4, 4, reverse(a, 32)) \
	X(brev64, "brev.b64 %d, %a;", 8, 8, 8, 8, reverse(a, 64)) \
	X(clz, "clz.b32 %d, %a;", 4, 4, 4, 4, leading(a, 32)) \
	X(clz64, "clz.b64 %d, %a;", 4, 8, 8, 8, leading(a, 64)) \
	X(popc, "popc.b64 %d, %a;", 4, 8, 8, 8, __builtin_popcountll(a)) \
	X(setp_lt_s, "setp.lt.s32 %p, %a, %b; selp.b32 %d, 1, 2, %p;", 4, 4, 4, 4, I32(a) < I32(b) ? 1 : 2) \
	X(setp_hs, "setp.hs.u64 %p, %a, %b; selp.b32 %d, 1, 2, %p;", 4, 8, 8, 8, a >= b ? 1 : 2) \
	X(setp_and, "setp.gt.s16 %q, %b, 0; setp.ge.and.s16 %p|%q, %a, %b, %q; selp.u32 %d, 1, 0, %p; @%q add.u32 %d, %d, 2;", \
	  4, 2, 2, 2, I16(b) > 0 ? I16(a) >= I16(b) ? 1 : 2 : 0) \
	X(setp_xor, "setp.ne.b32 %q, %c, 1; setp.eq.xor.b32 %p, %a, %b, !%q; selp.u32 %d, 1, 0, %p;", \
	  4, 4, 4, 4, (a == b) ^ (c == 1)) \
	X(setp_f, "setp.lt.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, F(a) < F(b)) \
	X(setp_ne, "setp.ne.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, F(a) < F(b) || F(a) > F(b)) \
	X(setp_neu, "setp.neu.f64 %p, %a, %b; selp.u32 %d, 1, 0, %p;", 4, 8, 8, 8, !(D(a) == D(b))) \
	X(setp_geu, "setp.geu.f64 %p, %a, %b; selp.u32 %d, 1, 0, %p;", 4, 8, 8, 8, !(D(a) < D(b))) \
	X(setp_nan, "setp.nan.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, F(a) != F(a) || F(b) != F(b)) \
	X(setp_ftz, "setp.eq.ftz.f32 %p, %a, 0f00000000; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, !(flush(a) << 33)) \
	X(set, "set.le.u32.s32 %d, %a, %b;", 4, 4, 4, 4, I32(a) <= I32(b) ? ~0u : 0) \
	X(set_f, "set.gt.f32.f32 %d, %a, %b;", 4, 4, 4, 4, F(a) > F(b) ? 0x3f800000 : 0) \
	X(set_pair, "and.b32 %a, %a, 0x3fff3fff; and.b32 %b, %b, 0x3fff3fff; set.lt.u32.f16x2 %d, %a, %b;", 4, 4, 4, 4, \
	  ((a & 0x3fff) < (b & 0x3fff) ? 0xffffu : 0) | ((a >> 16 & 0x3fff) < (b >> 16 & 0x3fff) ? 0xffff0000u : 0)) \
	X(slct, "slct.u32.s32 %d, %a, %b, %c;", 4, 4, 4, 4, I32(c) >= 0 ? a : b) \
	X(slct_f, "slct.b64.f32 %d, %a, %b, %c;", 8, 8, 8, 4, F(c) >= 0 ? a : b) \
	X(testp_n, "testp.normal.f32 %p, %a; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, fpclassify(F(a)) == FP_NORMAL || F(a) == 0) \
	X(testp_s, "testp.subnormal.f64 %p, %a; selp.u32 %d, 1, 0, %p;", 4, 8, 4, 4, fpclassify(D(a)) == FP_SUBNORMAL) \
	X(testp_f, "testp.finite.f32 %p, %a; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, isfinite(F(a)) != 0) \
	X(testp_num, "testp.number.f32 %p, %a; selp.u32 %d, 1, 0, %p;", 4, 4, 4, 4, F(a) == F(a)) \
	X(copysign, "copysign.f32 %d, %a, %b;", 4, 4, 4, 4, (a & 0x80000000) | (b & 0x7fffffff)) \
	X(guard, "setp.ne.s32 %p, %a, %b; mov.u32 %d, 7; @%p mov.u32 %d, 8; @!%p add.u32 %d, %d, 1; @%p bra L; add.u32 %d, %d, 8; L:", \
	  4, 4, 4, 4, a != b ? 8 : 16) \
	X(loop, "{.reg .b32 i; and.b32 i, %a, 63; mov.u32 %d, 0; L: setp.eq.u32 %p, i, 0; @%p bra E; add.u32 %d, %d, i; sub.u32 i, i, 1; bra L; E: }", \
	  4, 4, 4, 4, (a & 63) * ((a & 63) + 1) / 2) \
	X(pack, "mov.b64 %d, {%a, %b};", 8, 4, 4, 4, a | b << 32) \
	X(pack4, "{.reg .b16 h; mov.u16 h, 5; mov.b64 %d, {%a, h, %b, %c};}", 8, 2, 2, 2, a | 5 << 16 | b << 32 | c << 48) \
	X(unpack, "{.reg .b16 x, y; mov.b32 {x, y}, %a; mov.b32 %d, {y, x};}", 4, 4, 4, 4, a >> 16 | a << 16) \
	X(unpack_sink, "{.reg .b32 y; mov.b64 {_, y}, %a; mov.u32 %d, y;}", 4, 8, 4, 4, a >> 32)

#define FLOATS(X) \
	X(fadd, "add.f32 %d, %a, %b;", 4, 4, 4, 4, BF(F(a) + F(b))) \
	X(fsub, "sub.rn.f32 %d, %a, %b;", 4, 4, 4, 4, BF(F(a) - F(b))) \
	X(fmul, "mul.f32 %d, %a, %b;", 4, 4, 4, 4, BF(F(a) * F(b))) \
	X(ffma, "fma.rn.f32 %d, %a, %b, %c;", 4, 4, 4, 4, BF(fmaf(F(a), F(b), F(c)))) \
	X(fdiv, "div.rn.f32 %d, %a, %b;", 4, 4, 4, 4, BF(F(a) / F(b))) \
	X(frcp, "rcp.rn.f32 %d, %a;", 4, 4, 4, 4, BF(1 / F(a))) \
	X(fsqrt, "sqrt.rn.f32 %d, %a;", 4, 4, 4, 4, BF(sqrtf(F(a)))) \
	X(fadd_ftz, "add.ftz.f32 %d, %a, %b;", 4, 4, 4, 4, flush(BF(F(flush(a)) + F(flush(b))))) \
	X(fmul_ftz, "mul.ftz.f32 %d, %a, %b;", 4, 4, 4, 4, flush(BF(F(flush(a)) * F(flush(b))))) \
	X(fmul_sat, "mul.sat.f32 %d, %a, %b;", 4, 4, 4, 4, clamp01(F(a) * F(b))) \
	X(fma_sat, "fma.rn.sat.f32 %d, %a, %b, %c;", 4, 4, 4, 4, clamp01(fmaf(F(a), F(b), F(c)))) \
	X(fmin, "min.f32 %d, %a, %b;", 4, 4, 4, 4, lesser(F(a), F(b), false)) \
	X(fmax, "max.f32 %d, %a, %b;", 4, 4, 4, 4, lesser(-F(a), -F(b), false) ^ negated(F(a), F(b))) \
	X(fmin_nan, "min.NaN.f32 %d, %a, %b;", 4, 4, 4, 4, lesser(F(a), F(b), true)) \
	X(fabs, "abs.f32 %d, %a;", 4, 4, 4, 4, BF(F(a & 0x7fffffff))) \
	X(fneg, "neg.f32 %d, %a;", 4, 4, 4, 4, BF(F(a ^ 0x80000000))) \
	X(dadd, "add.f64 %d, %a, %b;", 8, 8, 8, 8, BD(D(a) + D(b))) \
	X(dsub, "sub.f64 %d, %a, %b;", 8, 8, 8, 8, BD(D(a) - D(b))) \
	X(dmul, "mul.rn.f64 %d, %a, %b;", 8, 8, 8, 8, BD(D(a) * D(b))) \
	X(dfma, "fma.rn.f64 %d, %a, %b, %c;", 8, 8, 8, 8, BD(fma(D(a), D(b), D(c)))) \
	X(ddiv, "div.rn.f64 %d, %a, %b;", 8, 8, 8, 8, BD(D(a) / D(b))) \
	X(dsqrt, "sqrt.rn.f64 %d, %a;", 8, 8, 8, 8, BD(sqrt(D(a)))) \
	X(dmin, "min.f64 %d, %a, %b;", 8, 8, 8, 8, BD(D(a) != D(a) ? D(b) : D(b) != D(b) ? D(a) : \
	  D(a) == D(b) ? (a >> 63 ? D(a) : D(b)) : D(a) < D(b) ? D(a) : D(b)))

#define FUNCTION(id, text, ds, as, bs, cs, expr) \
	static uint64_t want_##id(uint64_t a, uint64_t b, uint64_t c) \
	{ \
		(void)a; \
		(void)b; \
		(void)c; \
		return (uint64_t)(expr); \
	}
CASES(FUNCTION)
FLOATS(FUNCTION)

struct instruction {
	const char *text;
	unsigned sizes[4]; /* of d, a, b, c */
	uint64_t (*want)(uint64_t a, uint64_t b, uint64_t c);
};

#define ROW(id, text, ds, as, bs, cs, expr) {text, {ds, as, bs, cs}, want_##id},
static const struct instruction integers[] = {CASES(ROW)};
static const struct instruction floats[] = {FLOATS(ROW)};

static uint64_t cut(uint64_t v, unsigned size)
{
	return size == 8 ? v : v & ((1ull << size * 8) - 1);
}

static void load_case(struct device *dev, const struct instruction *c)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 ".version 8.0\n.target sm_80\n.address_size 64\n"
		 ".entry k(.param .u64 in, .param .u64 out)\n{\n"
		 ".reg .b64 %%i, %%o, %%t; .reg .b32 %%x; .reg .pred %%p, %%q;\n"
		 ".reg .b%u %%d; .reg .b%u %%a; .reg .b%u %%b; .reg .b%u %%c;\n"
		 "ld.param.u64 %%i, [in]; ld.param.u64 %%o, [out];\n"
		 "mov.u32 %%x, %%tid.x; mul.wide.u32 %%t, %%x, 24; add.u64 %%i, %%i, %%t;\n"
		 "mul.wide.u32 %%t, %%x, 8; add.u64 %%o, %%o, %%t;\n"
		 "ld.b%u %%a, [%%i]; ld.b%u %%b, [%%i+8]; ld.b%u %%c, [%%i+16];\n"
		 "%s\nst.b%u [%%o], %%d;\nret;\n}\n",
		 c->sizes[0] * 8, c->sizes[1] * 8, c->sizes[2] * 8, c->sizes[3] * 8, c->sizes[1] * 8, c->sizes[2] * 8,
		 c->sizes[3] * 8, c->text, c->sizes[0] * 8);
	device_load_text(dev, text);
}

static bool nan64(const struct instruction *c, uint64_t v)
{
	return strstr(c->text, "f64 %d") && D(v) != D(v);
}

static void run_case(const struct instruction *c)
{
	struct device dev;
	uint64_t *in, *out;

	load_case(&dev, c);
	in = device_alloc(&dev, COUNT * 24);
	out = device_alloc(&dev, COUNT * 8);
	for (size_t i = 0; i < COUNT * 3; i++)
		in[i] = random_bits();
	assert_int_equal(device_launch(&dev, "k", 1, 1, COUNT, 1, 0, (const void *[]){&in, &out}), 0);
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t a = cut(in[i * 3], c->sizes[1]), b = cut(in[i * 3 + 1], c->sizes[2]);
		uint64_t n = cut(in[i * 3 + 2], c->sizes[3]), want = cut(c->want(a, b, n), c->sizes[0]);

		if (out[i] != want && !(nan64(c, out[i]) && nan64(c, want)))
			fail_msg("%s a=%#llx b=%#llx c=%#llx: %#llx, not %#llx", c->text, (unsigned long long)a,
				 (unsigned long long)b, (unsigned long long)n, (unsigned long long)out[i],
				 (unsigned long long)want);
	}
	device_free(&dev);
}

static void test_integers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
		run_case(&integers[i]);
}

static void test_floats(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
		run_case(&floats[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_integers), cmocka_unit_test(test_floats)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
