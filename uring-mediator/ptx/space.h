/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_SPACE_H
#define VGPU_PTX_SPACE_H

#include "parse.h"

/* Consumes a state space among the modifiers; SP_GENERIC when none is named. */
enum space take_space(struct decode *d);
/* The first generic address of a space's window; 0 of global memory. */
uint64_t space_window(enum space space);

#endif
