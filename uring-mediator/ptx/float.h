/* SPDX-License-Identifier: MIT */
/* Floating point that more than one family needs. Pure functions; any thread. */
#ifndef VGPU_PTX_FLOAT_H
#define VGPU_PTX_FLOAT_H

#include "exec.h"

#define F32_NAN 0x7fffffffu /* what every single-precision operation answers for not-a-number */
#define F16_NAN 0x7fffu     /* of both formats of 16 bits */

/* A binary format: bits of exponent and of mantissa. */
struct float_format {
	unsigned exponent, mantissa;
};

extern const struct float_format format_f16, format_bf16, format_f32, format_tf32, format_f64;

/* sign * mant * 2^exp (sticky: and a little more) rounded to the format. rnd: RN, RZ, RM, RP, RNA (ties away). */
uint64_t float_round(bool sign, uint64_t mant, int exp, bool sticky, struct float_format f, enum rounding rnd);
/* A finite or infinite double, rounded; NaN becomes the format's canonical one. */
uint64_t float_from_double(double v, struct float_format f, enum rounding rnd);
/* Exact. */
double float_to_double(uint64_t bits, struct float_format f);
/* a + b and a * b + c rounded to odd: exact enough to be rounded once more to half the precision. */
double add_to_odd(double a, double b);

static inline float flush_f32(float f)
{
	uint32_t w = f32_bits(f);

	return (w & 0x7f800000u) ? f : as_f32(w & 0x80000000u);
}

static inline bool is_nan(double v)
{
	return v != v;
}

/*
 * The result of a double operation: of several NaN operands the hardware keeps the second, then the third
 * (of a division the first: callers swap).
 */
static inline uint64_t canonical_f64(double r, double a, double b, double c)
{
	if (!is_nan(r))
		return f64_bits(r);
	return f64_bits(is_nan(b) ? b : is_nan(c) ? c : is_nan(a) ? a : r) | 1ull << 51;
}

static inline uint32_t canonical_f32(float f)
{
	return f != f ? F32_NAN : f32_bits(f);
}

#endif
