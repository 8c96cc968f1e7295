/* SPDX-License-Identifier: MIT */
/*
 * Memory pools of the host and of managed memory: arena memory, which application and device have at one address. They
 * live in this process alone; the worker sees the memory and nothing of the pools. Any thread.
 */
#ifndef VGPU_SHIM_HOST_POOL_H
#define VGPU_SHIM_HOST_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_host_pool;
struct vgpu_stream;

/* What is behind the handle of a pool. */
struct vgpu_pool {
	struct vgpu_host_pool *host;	/* NULL: the pool is the driver's */
};

/* The pool behind a handle, or NULL: the driver's, or no live one. */
struct vgpu_host_pool *vgpu_host_pool_find(CUmemoryPool pool);
/* Are pools of such memory of this kind, whatever can be had of it? */
bool vgpu_host_pool_serves(const CUmemLocation *location, CUmemAllocationType type);
CUresult vgpu_host_pool_create(CUmemoryPool *pool, const CUmemPoolProps *props);
/* Memory that is still allocated stays, and the pool's resources with it. */
CUresult vgpu_host_pool_destroy(struct vgpu_host_pool *p);
/* The pool of a location: the current one, or the one that it has without its being made. */
CUresult vgpu_host_pool_of(const CUmemLocation *location, CUmemAllocationType type, bool current, CUmemoryPool *pool);
CUresult vgpu_host_pool_make_current(const CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool);

/* There at once; what the stream freed before is taken again only when the device has come to that. */
CUresult vgpu_host_pool_alloc(struct vgpu_host_pool *p, uint64_t bytes, struct vgpu_stream *s, CUdeviceptr *dptr);
/* Free what a pool gave once `s` has come to it, or (NULL) now. INVALID_VALUE if no pool gave it. */
CUresult vgpu_host_pool_free(CUdeviceptr dptr, struct vgpu_stream *s);
/* The handle of the pool that this address is from, or NULL. */
CUmemoryPool vgpu_host_pool_giver(uint64_t address);

/* `value`: four bytes for the first three attributes, eight for the others. */
CUresult vgpu_host_pool_set(struct vgpu_host_pool *p, CUmemPool_attribute attr, uint64_t value);
CUresult vgpu_host_pool_get(struct vgpu_host_pool *p, CUmemPool_attribute attr, uint64_t *value);
CUresult vgpu_host_pool_trim(struct vgpu_host_pool *p, uint64_t keep);
CUresult vgpu_host_pool_set_access(struct vgpu_host_pool *p, const CUmemAccessDesc *map, size_t count);
CUresult vgpu_host_pool_get_access(struct vgpu_host_pool *p, const CUmemLocation *location, CUmemAccess_flags *flags);

#endif
