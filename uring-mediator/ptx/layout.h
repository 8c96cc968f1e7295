/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_LAYOUT_H
#define VGPU_PTX_LAYOUT_H

struct parser;

/* Closes a module that has been read to its end: unresolved names, shared memory, the public descriptions. */
int layout_module(struct parser *p);

#endif
