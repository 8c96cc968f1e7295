/* SPDX-License-Identifier: MIT */
/* What cuInit sets up besides session, devices and contexts. */
#ifndef VGPU_SHIM_INIT_H
#define VGPU_SHIM_INIT_H

#include <vgpu/cuda_types.h>

/* objects.c: sizes of the objects behind handles, memory tables, the arena. */
CUresult vgpu_tables_init(void);

#endif
