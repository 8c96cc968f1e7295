/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_CONTROL_H
#define VGPU_PTX_CONTROL_H

#include "module.h"

struct parser;

bool control_is_branch(const struct insn *in);
/* A function that runs past its last instruction returns. */
int control_emit_end(struct parser *p);

#endif
