/* SPDX-License-Identifier: MIT */
/*
 * What lies at an address: device memory, pinned host memory, registered host memory, or nothing that CUDA knows.
 * Addresses are those of this process (device memory is identity-mapped).
 */
#ifndef VGPU_SOFT_MEMORY_H
#define VGPU_SOFT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu/cuda_types.h"

struct soft_context;

enum soft_memory_kind { SOFT_MEM_DEVICE, SOFT_MEM_HOST, SOFT_MEM_REGISTERED };

/* Tags of heap blocks: the owning context's index, and what the block is. */
#define SOFT_TAG_CONTEXT 0xffu
#define SOFT_TAG_MANAGED 0x100u /* cuMemAllocManaged */
#define SOFT_TAG_POOL 0x200u    /* from a memory pool: freed in stream order too */
#define SOFT_TAG_MODULE 0x400u  /* a module's variable: not the application's to free */
#define SOFT_TAG_FREEING 0x800u /* cuMemFreeAsync was called */
#define SOFT_TAG_MAPPED 0x1000u /* by cuMemMap: not to be freed either */
#define SOFT_TAG_GRAPH 0x2000u  /* of a mem alloc node: the memory stays, whoever frees it */
#define SOFT_TAG_KERNEL 0x4000u /* malloc in a kernel: free in a kernel only */
#define SOFT_TAG_IDLE 0x8000u   /* (GRAPH) no launch has allocated it, or it was freed since */
#define SOFT_TAG_HOST_FLAGS 16  /* shift: flags of cuMemHostAlloc */

struct soft_region {
	uint64_t start, size, id;
	enum soft_memory_kind kind;
	uint32_t context; /* index */
	uint32_t tag;     /* of a heap block */
	unsigned flags;   /* of host memory */
	int device;       /* ordinal */
};

/* The region around @addr. Any thread; constant time for allocations. */
bool soft_memory_find(uint64_t addr, struct soft_region *out);
/* The application frees memory of a mem alloc node. INVALID_VALUE: it is not allocated. */
CUresult soft_graph_memory_free(const struct soft_region *r);
/* Whether all of [addr, addr + size) lies in one region, or in adjoining mappings; *out is the first. */
bool soft_memory_covers(uint64_t addr, uint64_t size, struct soft_region *out);
/* The same for host memory, which may have been registered in pieces side by side. */
bool soft_memory_known_host(uint64_t addr, uint64_t size);
/* Whether @addr lies in the address space that is reserved for device memory. */
bool soft_memory_is_device(uint64_t addr);
/* Frees all memory of @ctx and forgets its registrations. */
void soft_memory_release(struct soft_context *ctx);

/* Device memory of @ctx. 0 or -ENOMEM. */
int soft_memory_alloc(struct soft_context *ctx, uint64_t size, uint32_t flags, uint64_t *start);
/*
 * malloc and free of kernels in @ctx. Never more in all than its CU_LIMIT_MALLOC_HEAP_SIZE: then 0. False: no kernel of
 * @ctx was given that address.
 */
uint64_t soft_memory_kernel_alloc(struct soft_context *ctx, uint64_t size);
bool soft_memory_kernel_free(struct soft_context *ctx, uint64_t start);
/* Frees a module's variable, unless its context took it along. */
void soft_memory_free(struct soft_context *ctx, uint64_t start);

/* host_memory.c */
bool soft_host_find(uint64_t addr, struct soft_region *out);
void soft_host_release(struct soft_context *ctx);

#endif
