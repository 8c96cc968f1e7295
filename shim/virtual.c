/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory management, as far as the guest must know of it: which device addresses are reserved (they must not
 * become host addresses of this process) and where memory is mapped. Any thread; one reader-writer lock.
 */
#include "virtual.h"

#include <pthread.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"
#include "log.h"
#include "memory.h"
#include "session.h"
#include "thread.h"

#define HINT_UNIT	4096u	/* what a wished address must be a multiple of */

static struct {
	pthread_rwlock_t lock;
	struct vgpu_range_map map;
} mapped = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static void unlock(void)
{
	pthread_rwlock_unlock(&mapped.lock);
	vgpu_thread.busy--;
}

bool vgpu_virtual_covers(uint64_t address, uint64_t bytes)
{
	struct vgpu_range_info info;
	uint64_t end = address + bytes;

	vgpu_thread.busy++;
	pthread_rwlock_rdlock(&mapped.lock);
	while (address < end && vgpu_range_find(&mapped.map, address, &info))
		address = info.start + info.size;
	unlock();
	return address >= end;
}

bool vgpu_virtual_find(uint64_t address, struct vgpu_range_info *info)
{
	bool found;

	vgpu_thread.busy++;
	pthread_rwlock_rdlock(&mapped.lock);
	found = vgpu_range_find(&mapped.map, address, info);
	unlock();
	return found;
}

/* Memory of the host would be the worker's host's: nothing that this process can reach. */
CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
		     unsigned long long flags)
{
	if (prop && (prop->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT || prop->win32HandleMetaData))
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	if (prop && (prop->location.type == CU_MEM_LOCATION_TYPE_HOST || prop->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA))
		return vgpu_unsupported("cuMemCreate of host memory");
	return vgpu_remote_cuMemCreate(handle, size, prop, flags);
}

/* The wish is heeded where no host memory can be: in what this process keeps free for the device. */
CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr, unsigned long long flags)
{
	bool heeded = addr && addr + size > addr && vgpu_session_is_device(addr) && vgpu_session_is_device(addr + size - 1);
	CUresult r = addr % HINT_UNIT ? CUDA_ERROR_INVALID_VALUE :
					vgpu_remote_cuMemAddressReserve(ptr, size, alignment, heeded ? addr : 0, flags);

	return r ? r : vgpu_memory_add(VGPU_RANGE_RESERVED, *ptr, size, 0);
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_remote_cuMemAddressFree(ptr, size);

	if (!r)
		vgpu_memory_remove(ptr, 1u << VGPU_RANGE_RESERVED, &info);
	return r;
}

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
		  unsigned long long flags)
{
	struct vgpu_range_info info = { .start = ptr, .size = size };
	CUresult r = vgpu_remote_cuMemMap(ptr, size, offset, handle, flags);
	int err;

	if (r)
		return r;
	vgpu_thread.busy++;
	pthread_rwlock_wrlock(&mapped.lock);
	err = vgpu_range_insert(&mapped.map, &info);
	unlock();
	if (!err)
		return CUDA_SUCCESS;
	r = vgpu_remote_cuMemUnmap(ptr, size);
	if (r)
		vgpu_warn("memory at %#llx stays mapped (CUDA error %d)", ptr, (int)r);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
	struct vgpu_range_info info;
	uint64_t end = ptr + size;
	CUresult r = vgpu_remote_cuMemUnmap(ptr, size);

	if (r)
		return r;
	vgpu_thread.busy++;
	pthread_rwlock_wrlock(&mapped.lock);
	while (vgpu_range_next(&mapped.map, ptr, &info) && info.start < end)
		vgpu_range_remove(&mapped.map, info.start, NULL);
	unlock();
	return CUDA_SUCCESS;
}
