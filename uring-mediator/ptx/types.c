/* SPDX-License-Identifier: MIT */
/* The fundamental types of PTX: names, sizes, classes. Constant data; any thread. */
#include <string.h>

#include "module.h"

static const struct {
	char name[7];
	uint8_t size;
} types[T_COUNT] = {
	[T_NONE] = {"", 0},
	[T_B8] = {"b8", 1}, [T_B16] = {"b16", 2}, [T_B32] = {"b32", 4}, [T_B64] = {"b64", 8},
	[T_U8] = {"u8", 1}, [T_U16] = {"u16", 2}, [T_U32] = {"u32", 4}, [T_U64] = {"u64", 8},
	[T_S8] = {"s8", 1}, [T_S16] = {"s16", 2}, [T_S32] = {"s32", 4}, [T_S64] = {"s64", 8},
	[T_F16] = {"f16", 2}, [T_BF16] = {"bf16", 2}, [T_F16X2] = {"f16x2", 4}, [T_BF16X2] = {"bf16x2", 4},
	[T_TF32] = {"tf32", 4}, [T_F32] = {"f32", 4}, [T_F64] = {"f64", 8}, [T_PRED] = {"pred", 1},
};

unsigned type_size(enum type t)
{
	return types[t].size;
}

bool type_is_signed(enum type t)
{
	return t >= T_S8 && t <= T_S64;
}

bool type_is_float(enum type t)
{
	return t == T_F32 || t == T_F64;
}

bool type_is_half(enum type t)
{
	return t >= T_F16 && t <= T_BF16X2;
}

enum type type_from_name(const char *s, size_t len)
{
	for (enum type t = T_B8; t < T_COUNT; t++)
		if (strlen(types[t].name) == len && !memcmp(types[t].name, s, len))
			return t;
	return T_NONE;
}
