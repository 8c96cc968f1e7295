/* SPDX-License-Identifier: MIT */
/* Batches of copies and prefetches, in which one attribute or place is for several operations. */
#ifndef VGPU_SHIM_BATCH_H
#define VGPU_SHIM_BATCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Entry k is for the operations from idxs[k] on to the next one's: do the `num` of them split `count` operations? The
 * first begins at 0, and none is for nothing.
 */
static inline bool vgpu_batch_splits(size_t count, const size_t *idxs, size_t num)
{
	size_t k;

	if (!idxs || !num || num > count || idxs[0])
		return false;
	for (k = 0; k < num; k++)
		if (idxs[k] >= count || (k && idxs[k] <= idxs[k - 1]))
			return false;
	return true;
}

#endif
