/* SPDX-License-Identifier: MIT */
/*
 * The kernels of a module (as functions) or of a library: a handle for each, in the order of the entries of its PTX.
 * They are made with their owner and taken away with it, so reading them needs no lock.
 */
#ifndef VGPU_SOFT_ENTRIES_H
#define VGPU_SOFT_ENTRIES_H

#include "handle.h"
#include "ptx/ptx.h"
#include "vgpu/cuda_types.h"

struct soft_entries {
	size_t count;
	uint64_t *handles;
};

/* Room for a handle for each entry of @ptx; OUT_OF_MEMORY. The owner frees .handles. */
CUresult soft_entries_init(struct soft_entries *e, const struct ptx_module *ptx);
/* Gives the object of the next entry a handle. OUT_OF_MEMORY, and then the creator's reference is gone, too. */
CUresult soft_entries_add(struct soft_entries *e, struct soft_object *o);
/* The handle of the entry of @ptx that has that name; 0: there is none. */
uint64_t soft_entries_find(const struct soft_entries *e, const struct ptx_module *ptx, const char *name);
/* Takes all handles, which are of @kind, away. */
void soft_entries_drop(const struct soft_entries *e, enum soft_kind kind);

#endif
