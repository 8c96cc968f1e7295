/* SPDX-License-Identifier: MIT */
/*
 * Memory without an address: what cuMemCreate makes and space.c maps. Each has a memfd of its own, so that it can be
 * mapped more than once and given to another process. It is charged to its device until nobody names it any more:
 * neither a handle nor a mapping.
 */
#ifndef VGPU_SOFT_PHYSICAL_H
#define VGPU_SOFT_PHYSICAL_H

#include "device.h"
#include "handle.h"
#include "vgpu/cuda_types.h"

struct soft_physical {
	struct soft_object obj;
	uint32_t handles;        /* cuMemCreate and cuMemRetainAllocationHandle less cuMemRelease; physical.c's lock */
	int fd;
	uint64_t size;           /* bytes that can be mapped: whole chunks */
	uint64_t charged;        /* of them to the device's account: none if another process has them there */
	CUmemAllocationProp prop;
};

/* A new descriptor of @size bytes (whole chunks) of zeros that soft devices take for memory of device @ordinal; or -ENOMEM. */
int soft_physical_file(uint64_t size, int ordinal);
/* How many bytes of memory of device @ordinal a descriptor of another soft device holds; 0: it is something else. */
uint64_t soft_physical_size(int fd, int ordinal);
/* The memory behind a handle, with a reference for the caller; NULL when there is none. */
struct soft_physical *soft_physical_get(CUmemGenericAllocationHandle handle);
/* One more handle to memory that is mapped, even if the last one is released already. Its number, or 0 without memory. */
CUmemGenericAllocationHandle soft_physical_retain(struct soft_physical *p);

#endif
