/* SPDX-License-Identifier: MIT */
/*
 * Rounding between binary formats in software, so that every rounding mode of PTX is exact on any host. Pure
 * functions. A value is taken apart into sign, 64-bit mantissa and exponent, and put together once.
 */
#include <math.h>

#include "float.h"

const struct float_format format_f16 = {5, 10}, format_bf16 = {8, 7}, format_f32 = {8, 23}, format_tf32 = {8, 10},
			  format_f64 = {11, 52};

static bool rounds_up(bool sign, bool odd, bool half, bool rest, enum rounding rnd)
{
	switch (rnd) {
	case RND_RZ:
		return false;
	case RND_RM:
		return sign && (half || rest);
	case RND_RP:
		return !sign && (half || rest);
	case RND_RNA:
		return half;
	default:
		return half && (rest || odd);
	}
}

static uint64_t overflow(bool sign, struct float_format f, enum rounding rnd)
{
	uint64_t infinity = ((1ull << f.exponent) - 1) << f.mantissa;
	bool largest = rnd == RND_RZ || (rnd == RND_RM && !sign) || (rnd == RND_RP && sign);

	return (uint64_t)sign << (f.exponent + f.mantissa) | (infinity - largest);
}

uint64_t float_round(bool sign, uint64_t mant, int exp, bool sticky, struct float_format f, enum rounding rnd)
{
	int bias = (1 << (f.exponent - 1)) - 1, top, drop;
	uint64_t kept;
	bool half, rest;

	if (!mant && !sticky)
		return (uint64_t)sign << (f.exponent + f.mantissa);
	if (mant) {
		int up = __builtin_clzll(mant);

		mant <<= up;
		exp -= up;
	}
	top = exp + 63; /* exponent of the leading bit */
	drop = 63 - (int)f.mantissa;
	if (top < 1 - bias)
		drop += 1 - bias - top;
	if (drop > 64 || !mant) {
		kept = 0;
		half = false;
		rest = true;
	} else if (drop == 64) {
		kept = 0;
		half = mant >> 63;
		rest = mant << 1 || sticky;
	} else {
		kept = drop ? mant >> drop : mant;
		half = drop && (mant >> (drop - 1) & 1);
		rest = sticky || (drop > 1 && mant << (65 - drop));
	}
	kept += rounds_up(sign, kept & 1, half, rest, rnd);
	if (top >= 1 - bias)
		kept += (uint64_t)(top + bias - 1) << f.mantissa; /* the leading bit adds the last one */
	if (top > bias || kept >> f.mantissa >= (1ull << f.exponent) - 1)
		return overflow(sign, f, rnd);
	return (uint64_t)sign << (f.exponent + f.mantissa) | kept;
}

uint64_t float_from_double(double v, struct float_format f, enum rounding rnd)
{
	uint64_t bits = f64_bits(v), mant = bits & 0xfffffffffffffull;
	bool sign = bits >> 63;
	int exp = (int)(bits >> 52 & 0x7ff);

	if (v != v)
		return (1ull << (f.exponent + f.mantissa)) - 1;
	if (isinf(v))
		return (uint64_t)sign << (f.exponent + f.mantissa) | ((1ull << f.exponent) - 1) << f.mantissa;
	if (exp)
		mant |= 1ull << 52;
	else
		exp = 1;
	return float_round(sign, mant, exp - 1075, false, f, rnd);
}

double float_to_double(uint64_t bits, struct float_format f)
{
	int bias = (1 << (f.exponent - 1)) - 1;
	uint64_t mant = bits & ((1ull << f.mantissa) - 1);
	int exp = (int)(bits >> f.mantissa & ((1u << f.exponent) - 1));
	bool sign = bits >> (f.exponent + f.mantissa) & 1;
	double v;

	if (exp == (1 << f.exponent) - 1)
		v = mant ? NAN : INFINITY;
	else
		v = ldexp((double)(exp ? mant | 1ull << f.mantissa : mant), (exp ? exp : 1) - bias - (int)f.mantissa);
	return sign ? -v : v;
}

double add_to_odd(double a, double b)
{
	double sum = a + b, part, error;
	uint64_t bits = f64_bits(sum);

	if (!isfinite(sum) || sum == 0)
		return sum;
	part = sum - a;
	error = (a - (sum - part)) + (b - part);
	if (error == 0 || (bits & 1))
		return sum;
	return as_f64((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
}
