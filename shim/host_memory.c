/* SPDX-License-Identifier: MIT */
/*
 * Host memory that the device sees: pinned and managed memory is arena
 * memory, at one address in application, worker and device. So is memory that
 * the application registers, at the address that it has (moved.c); where that
 * cannot be, it stays where it is: known, copied through staging, and
 * honestly not reachable from kernels.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "log.h"
#include "memory.h"
#include "moved.h"
#include "session.h"
#include "staging.h"
#include "thread.h"

#define HOST_FLAGS	(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_IOMEMORY | \
			 CU_MEMHOSTREGISTER_READ_ONLY)

static CUresult alloc(enum vgpu_range_kind kind, size_t bytes, uint32_t flags, void **out)
{
	void *p = vgpu_arena_alloc(&vgpu_arena, bytes);
	CUresult r;

	if (!p && vgpu_arena.refused)	/* said already, with the reason */
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!p) {
		vgpu_warn("%zu bytes of pinned memory: the arena of %llu MiB is exhausted; a larger shared memory is needed",
			  bytes, (unsigned long long)((uint64_t)vgpu_arena.extent_count * vgpu_arena.extent_size >> 20));
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	r = vgpu_memory_add(kind, (uint64_t)(uintptr_t)p, bytes, flags);
	if (r)
		vgpu_arena_free(&vgpu_arena, p);
	else
		*out = p;
	vgpu_arena_prepare(&vgpu_arena, vgpu_staging_missing());
	return r;
}

CUresult cuMemHostAlloc(void **ptr, size_t bytesize, unsigned int flags)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!ptr || flags & ~(unsigned int)HOST_FLAGS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!bytesize) {	/* nothing, which can be given back */
		*ptr = NULL;
		return CUDA_SUCCESS;
	}
	return alloc(VGPU_RANGE_PINNED, bytesize, flags, ptr);
}

CUresult cuMemAllocHost_v2(void **ptr, size_t bytesize)
{
	return cuMemHostAlloc(ptr, bytesize, 0);
}

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);
	void *p = NULL;

	if (r)
		return r;
	if (!dptr || !bytesize || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	r = alloc(VGPU_RANGE_MANAGED, bytesize, flags, &p);
	if (!r)
		*dptr = (CUdeviceptr)(uintptr_t)p;
	return r;
}

/* As natively, memory can be given back without a current context: the address says whose it is. */
CUresult cuMemFreeHost(void *p)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!p)
		return CUDA_SUCCESS;
	if ((vgpu_memory_find((uint64_t)(uintptr_t)p, &info) && info.flags & VGPU_MEMORY_OF_POOL) ||
	    !vgpu_memory_remove((uint64_t)(uintptr_t)p, 1u << VGPU_RANGE_PINNED, &info))
		return CUDA_ERROR_INVALID_VALUE;
	/* As natively: what the device still does with it is waited for. */
	r = vgpu_context_synchronize_all();
	vgpu_arena_free(&vgpu_arena, p);
	return r;
}

/* Is there memory of the process everywhere? The kernel says of a synchronisation that writes nothing where it is not. */
static bool is_there(uint64_t start, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = start & ~(page - 1);

	return !msync((void *)(uintptr_t)first, start + size - first, MS_ASYNC) || errno != ENOMEM;
}

/* Bytes of memory in this machine. */
static uint64_t all_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int flags)
{
	uint64_t start = (uint64_t)(uintptr_t)p;
	struct vgpu_range_info info;
	CUresult moved, r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!p || !bytesize || flags & ~(unsigned int)REGISTER_FLAGS || start + bytesize < start)
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)	/* of ordinary memory natively, and no other can be known here */
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_memory_find(start, &info) && info.kind == VGPU_RANGE_MOVED)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (bytesize > all_memory())
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (vgpu_memory_place(start) != VGPU_PLACE_HOST || !is_there(start, bytesize))
		return CUDA_ERROR_INVALID_VALUE;
	moved = vgpu_moved_add(start, bytesize);
	if (moved && moved != CUDA_ERROR_NOT_SUPPORTED)
		return moved;
	r = vgpu_memory_add(moved ? VGPU_RANGE_REGISTERED : VGPU_RANGE_MOVED, start, bytesize, flags);
	if (r && !moved)
		vgpu_moved_remove(start, bytesize);
	return r == CUDA_ERROR_INVALID_VALUE ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED : r;
}

CUresult cuMemHostUnregister(void *p)
{
	struct vgpu_range_info info;
	CUresult moved, r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_memory_remove((uint64_t)(uintptr_t)p, 1u << VGPU_RANGE_REGISTERED, &info))
		return CUDA_SUCCESS;
	if (vgpu_memory_remove((uint64_t)(uintptr_t)p, 1u << VGPU_RANGE_MOVED, &info)) {
		r = vgpu_context_synchronize_all();
		moved = vgpu_moved_remove(info.start, info.size);
		return r ? r : moved;
	}
	/* Inside registered memory but not where it begins, or memory of CUDA's own. */
	return vgpu_memory_find((uint64_t)(uintptr_t)p, &info) ? CUDA_ERROR_INVALID_VALUE :
								 CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *dptr, void *p, unsigned int flags)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!dptr || flags || !vgpu_memory_find((uint64_t)(uintptr_t)p, &info))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_REGISTERED)
		return vgpu_unsupported("cuMemHostGetDevicePointer of registered memory that could not be moved");
	if (info.kind != VGPU_RANGE_PINNED && info.kind != VGPU_RANGE_MOVED)
		return CUDA_ERROR_INVALID_VALUE;
	*dptr = (CUdeviceptr)(uintptr_t)p;
	return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned int *flags, void *p)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!flags || !vgpu_memory_find((uint64_t)(uintptr_t)p, &info))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_MANAGED) {
		*flags = CU_MEMHOSTALLOC_DEVICEMAP;
		return CUDA_SUCCESS;
	}
	if (info.kind != VGPU_RANGE_PINNED && info.kind != VGPU_RANGE_REGISTERED && info.kind != VGPU_RANGE_MOVED)
		return CUDA_ERROR_INVALID_VALUE;
	/* What the device reaches is mapped for it whether that was asked for or not, as natively with unified addresses. */
	*flags = info.kind == VGPU_RANGE_PINNED ? info.flags & HOST_FLAGS : info.flags;
	if (info.kind != VGPU_RANGE_REGISTERED)
		*flags |= CU_MEMHOSTALLOC_DEVICEMAP;
	return CUDA_SUCCESS;
}
