/* SPDX-License-Identifier: MIT */
/* Values that libraries keep for a context, by key. ctx NULL: the current one. */
#ifndef VGPU_SHIM_CONTEXT_STORAGE_H
#define VGPU_SHIM_CONTEXT_STORAGE_H

#include <vgpu/cuda_types.h>

typedef void (*vgpu_storage_destructor)(CUcontext ctx, void *key, void *value);

/* `destroy` (may be NULL) is called when the context goes away, not when the value is deleted. */
CUresult vgpu_context_storage_put(CUcontext ctx, void *key, void *value, vgpu_storage_destructor destroy);
/* INVALID_HANDLE if there is none. */
CUresult vgpu_context_storage_delete(CUcontext ctx, void *key);
CUresult vgpu_context_storage_get(void **value, CUcontext ctx, void *key);

#endif
