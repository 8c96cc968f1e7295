/* SPDX-License-Identifier: MIT */
/*
 * Device memory: allocation calls over the device's heap, and the look-up of any address.
 */
#include <errno.h>
#include <fcntl.h>

#include "calls.h"
#include "context.h"
#include "memory.h"
#include "physical.h"
#include "pool.h"
#include "space.h"

#define PITCH_ALIGN 512

static struct soft_device *device_at(uint64_t addr)
{
	unsigned i;

	for (i = 0; i < soft_config.devices; i++)
		if (soft_heap_owns(&soft_devices[i].heap, addr))
			return &soft_devices[i];
	return NULL;
}

bool soft_memory_is_device(uint64_t addr)
{
	return device_at(addr) || soft_space_owns(addr);
}

bool soft_memory_find(uint64_t addr, struct soft_region *out)
{
	struct soft_device *d = device_at(addr);
	struct soft_block b;

	if (soft_space_owns(addr))
		return soft_space_find(addr, out);
	if (!d)
		return soft_host_find(addr, out);
	if (!soft_heap_find(&d->heap, addr, &b))
		return false;
	*out = (struct soft_region){ .start = b.start, .size = b.size, .id = b.id, .kind = SOFT_MEM_DEVICE,
				     .context = b.tag & SOFT_TAG_CONTEXT, .tag = b.tag, .device = d->ordinal };
	return true;
}

bool soft_memory_covers(uint64_t addr, uint64_t size, struct soft_region *out)
{
	struct soft_region next;
	uint64_t room;

	if (!soft_memory_find(addr, out))
		return false;
	room = out->size - (addr - out->start);
	for (next = *out; room < size && next.tag & SOFT_TAG_MAPPED; room += next.size)
		if (!soft_space_find(next.start + next.size, &next))
			return false;
	return room >= size;
}

bool soft_memory_known_host(uint64_t addr, uint64_t size)
{
	struct soft_region r;
	uint64_t rest;

	while (soft_host_find(addr, &r)) {
		rest = r.size - (addr - r.start);
		if (size <= rest)
			return true;
		addr += rest;
		size -= rest;
	}
	return false;
}

int soft_memory_alloc(struct soft_context *ctx, uint64_t size, uint32_t flags, uint64_t *start)
{
	return soft_heap_alloc(&ctx->device->heap, size, ctx->index | flags, start);
}

void soft_memory_free(struct soft_context *ctx, uint64_t start)
{
	uint32_t tag = ctx->index | SOFT_TAG_MODULE;

	if (!soft_heap_retag(&ctx->device->heap, start, tag, tag))
		soft_heap_free(&ctx->device->heap, start);
}

uint64_t soft_memory_kernel_alloc(struct soft_context *ctx, uint64_t size)
{
	uint64_t start, limit = ctx->limits[CU_LIMIT_MALLOC_HEAP_SIZE];

	if (size > limit || atomic_fetch_add(&ctx->kernel_heap, size) > limit - size) {
		if (size <= limit)
			atomic_fetch_sub(&ctx->kernel_heap, size);
		return 0;
	}
	if (!soft_memory_alloc(ctx, size, SOFT_TAG_KERNEL, &start))
		return start;
	atomic_fetch_sub(&ctx->kernel_heap, size);
	return 0;
}

bool soft_memory_kernel_free(struct soft_context *ctx, uint64_t start)
{
	uint32_t tag = ctx->index | SOFT_TAG_KERNEL;
	struct soft_region r;

	/* Of two threads that free the same, one finds the tag. */
	if (!soft_memory_find(start, &r) || soft_heap_retag(&ctx->device->heap, start, tag, tag | SOFT_TAG_FREEING))
		return false;
	atomic_fetch_sub(&ctx->kernel_heap, r.size);
	return !soft_heap_free(&ctx->device->heap, start);
}

void soft_memory_release(struct soft_context *ctx)
{
	soft_pool_forget(ctx);
	soft_heap_free_tagged(&ctx->device->heap, SOFT_TAG_CONTEXT, ctx->index);
	soft_host_release(ctx);
}

static CUresult allocate(CUdeviceptr *out, size_t size, uint32_t flags)
{
	struct soft_context *ctx;
	uint64_t start;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || !size)
		return CUDA_ERROR_INVALID_VALUE;
	if (soft_memory_alloc(ctx, size, flags, &start) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = start;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemAlloc_v2(CUdeviceptr *dptr, size_t size)
{
	return allocate(dptr, size, 0);
}

static CUresult soft_cuMemAllocManaged(CUdeviceptr *dptr, size_t size, unsigned int flags)
{
	if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
		return CUDA_ERROR_INVALID_VALUE;
	return allocate(dptr, size, SOFT_TAG_MANAGED);
}

static CUresult soft_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height,
					unsigned int element)
{
	uint64_t row = (width + PITCH_ALIGN - 1) & ~(uint64_t)(PITCH_ALIGN - 1), size;
	CUresult rc;

	if (!pitch || !width || !height || (element != 4 && element != 8 && element != 16))
		return CUDA_ERROR_INVALID_VALUE;
	if (row < width || __builtin_mul_overflow(row, height, &size))
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = allocate(dptr, size, 0);
	if (!rc)
		*pitch = row;
	return rc;
}

/* As natively, freeing waits until nothing that was submitted can use the memory any more. */
CUresult soft_graph_memory_free(const struct soft_region *r)
{
	if (r->tag & SOFT_TAG_IDLE ||
	    soft_heap_retag(&soft_devices[r->device].heap, r->start, r->tag, r->tag | SOFT_TAG_IDLE) < 0)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemFree_v2(CUdeviceptr dptr)
{
	struct soft_context *owner;
	struct soft_region r;
	CUresult rc = soft_enter_any();

	if (rc || !dptr)
		return rc;
	if (!soft_memory_find(dptr, &r) || r.start != dptr || r.kind != SOFT_MEM_DEVICE ||
	    r.tag & (SOFT_TAG_MODULE | SOFT_TAG_MAPPED | SOFT_TAG_FREEING | SOFT_TAG_KERNEL))
		return CUDA_ERROR_INVALID_VALUE;
	owner = soft_context_at(r.context);
	if (owner)
		soft_context_drain(owner, -1);
	rc = vgpu_soft_fault();
	if (rc)
		return rc;
	if (r.tag & SOFT_TAG_GRAPH)
		return soft_graph_memory_free(&r);
	if (soft_heap_free(&soft_devices[r.device].heap, dptr) < 0)
		return CUDA_ERROR_INVALID_VALUE;
	soft_pool_freed(r.tag, r.size);
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemGetInfo_v2(size_t *free, size_t *total)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (free)
		*free = ctx->device->heap.limit - soft_heap_used(&ctx->device->heap);
	if (total)
		*total = ctx->device->heap.limit;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr dptr)
{
	struct soft_context *ctx;
	struct soft_region r;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!soft_memory_find(dptr, &r))
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = r.start;
	if (size)
		*size = r.size;
	return CUDA_SUCCESS;
}

int vgpu_soft_share(CUdeviceptr start, int *fd, uint64_t *offset)
{
	struct soft_device *d = device_at(start);
	int shared;

	if (!d)
		return -EINVAL;
	soft_context_drain_all();
	shared = soft_heap_share(&d->heap, start, soft_physical_file, d->ordinal, offset);
	if (shared < 0)
		return shared;
	*fd = fcntl(shared, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

void soft_fill_memory(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemAlloc_v2);
	SOFT_SLOT(d, cuMemAllocManaged);
	SOFT_SLOT(d, cuMemAllocPitch_v2);
	SOFT_SLOT(d, cuMemFree_v2);
	SOFT_SLOT(d, cuMemGetInfo_v2);
	SOFT_SLOT(d, cuMemGetAddressRange_v2);
}
