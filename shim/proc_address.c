/* SPDX-License-Identifier: MIT */
/*
 * cuGetProcAddress, both forms. Names are base names; the version decides
 * which ABI is meant, a flag which default stream. Works before cuInit.
 */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/proc_table.h>

#include "log.h"

/* First row of that name, or NULL. The table is sorted by name. */
static const struct vgpu_proc *first_of(const char *name)
{
	size_t low = 0, high = VGPU_PROCS, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(vgpu_procs[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < VGPU_PROCS && !strcmp(vgpu_procs[low].name, name) ? &vgpu_procs[low] : NULL;
}

/* The newest row that the version allows; if the per-thread form is wanted and there is one, no other will do. */
static void *choose(const struct vgpu_proc *row, int version, int per_thread)
{
	const struct vgpu_proc *end = vgpu_procs + VGPU_PROCS, *best = NULL;
	const char *name = row->name;
	int least = 0;

	for (const struct vgpu_proc *p = row; p < end && !strcmp(p->name, name); p++)
		least |= per_thread & p->per_thread;
	for (; row < end && !strcmp(row->name, name); row++) {
		if (row->since > version || row->per_thread > per_thread || row->per_thread < least)
			continue;
		if (!best || row->per_thread > best->per_thread ||
		    (row->per_thread == best->per_thread && row->since > best->since))
			best = row;
	}
	return best ? (void *)(uintptr_t)best->fn : NULL;
}

/* A version above the driver's is refused, whatever the name. */
static CUresult check(const char *symbol, void **fn, int version, cuuint64_t flags)
{
	int most;

	if (!symbol || !fn || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	return cuDriverGetVersion(&most) || version > most ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int cuda_version, cuuint64_t flags,
			     CUdriverProcAddressQueryResult *symbol_status)
{
	CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
	const struct vgpu_proc *row;

	if (check(symbol, fn, cuda_version, flags))
		return CUDA_ERROR_INVALID_VALUE;
	row = first_of(symbol);
	*fn = row ? choose(row, cuda_version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) : NULL;
	if (!row)
		status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	else if (!*fn)
		status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
	if (status)
		vgpu_debug("cuGetProcAddress(%s, %d): %s", symbol, cuda_version, row ? "needs a newer version" : "unknown");
	if (symbol_status)
		*symbol_status = status;
	return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *symbol, void **fn, int cuda_version, cuuint64_t flags)
{
	const struct vgpu_proc *row;
	void *found;

	if (check(symbol, fn, cuda_version, flags))
		return CUDA_ERROR_INVALID_VALUE;
	row = first_of(symbol);
	found = row ? choose(row, cuda_version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) : NULL;
	if (!found)
		return CUDA_ERROR_NOT_FOUND;
	*fn = found;
	return CUDA_SUCCESS;
}
