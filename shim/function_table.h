/* SPDX-License-Identifier: MIT */
/*
 * The functions of one module or library, by name. More than one may have a name: what cuModuleGetFunction found and
 * what was made of a kernel are different handles. Under the lock of function.c; the functions are its.
 */
#ifndef VGPU_SHIM_FUNCTION_TABLE_H
#define VGPU_SHIM_FUNCTION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct vgpu_function;

struct vgpu_function_table {
	struct vgpu_function **buckets;	/* chained by `next`; NULL: empty */
	uint32_t size;			/* of them, a power of two */
	uint32_t count;
};

/* A function of that name, of `kernel` (its wire id; 0: of any or none), or NULL. */
struct vgpu_function *vgpu_function_table_find(const struct vgpu_function_table *t, const char *name, uint64_t kernel);
/* Room for one more: false without memory. */
bool vgpu_function_table_reserve(struct vgpu_function_table *t);
/* Behind a reserve: `f`, whose name stays as it is while it is in here. */
void vgpu_function_table_add(struct vgpu_function_table *t, struct vgpu_function *f);
/* Any one, no longer in here; NULL when there are none, and then the table holds no memory. */
struct vgpu_function *vgpu_function_table_take(struct vgpu_function_table *t);

#endif
