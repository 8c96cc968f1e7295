/* SPDX-License-Identifier: MIT */
/*
 * The handles of a module's or library's kernels. Any thread: see the header.
 */
#include <stdlib.h>
#include <string.h>

#include "entries.h"

CUresult soft_entries_init(struct soft_entries *e, const struct ptx_module *ptx)
{
	e->count = 0;
	e->handles = calloc(ptx_entry_count(ptx) + 1, sizeof(*e->handles));
	return e->handles ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult soft_entries_add(struct soft_entries *e, struct soft_object *o)
{
	if (soft_bind(o) < 0) {
		soft_put(o);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	e->handles[e->count++] = o->handle;
	return CUDA_SUCCESS;
}

uint64_t soft_entries_find(const struct soft_entries *e, const struct ptx_module *ptx, const char *name)
{
	for (size_t i = 0; i < e->count; i++)
		if (!strcmp(ptx_entry_at(ptx, i)->name, name))
			return e->handles[i];
	return 0;
}

void soft_entries_drop(const struct soft_entries *e, enum soft_kind kind)
{
	struct soft_object *o;

	for (size_t i = 0; i < e->count; i++) {
		o = soft_take(e->handles[i], kind);
		if (o)
			soft_put(o);
	}
}
