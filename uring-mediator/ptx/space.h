/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_SPACE_H
#define VGPU_PTX_SPACE_H

#include "parse.h"

/* Consumes a state space among the modifiers; SP_GENERIC when none is named. */
enum space take_space(struct decode *d);

#endif
