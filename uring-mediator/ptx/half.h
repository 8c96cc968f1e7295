/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_HALF_H
#define VGPU_PTX_HALF_H

#include "module.h"

/* a + b of f16, bf16 or pairs of them, rounded to nearest even. */
uint32_t half_add(enum type t, uint32_t a, uint32_t b);

#endif
