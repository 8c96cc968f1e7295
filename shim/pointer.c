/* SPDX-License-Identifier: MIT */
/*
 * What is known of a pointer, from the table of memory.c. For a pointer that
 * CUDA does not know cuPointerGetAttribute fails and cuPointerGetAttributes
 * answers with zeros, as natively.
 */
#include <string.h>
#include <unistd.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "handle.h"
#include "host_pool.h"
#include "memory.h"
#include "session.h"
#include "thread.h"
#include "virtual.h"

static bool on_host(const struct vgpu_range_info *i)
{
	return i->kind == VGPU_RANGE_PINNED || i->kind == VGPU_RANGE_REGISTERED || i->kind == VGPU_RANGE_MOVED;
}

static void put(void *data, const void *value, size_t size)
{
	memcpy(data, value, size);
}

/* Numbers and truth values: four bytes, of which the runtime reads all. */
static void put_int(void *data, int value)
{
	memcpy(data, &value, sizeof(value));
}

static void put_pointer(void *data, uint64_t value)
{
	memcpy(data, &value, sizeof(value));
}

/* One attribute of a known pointer into *data. */
static CUresult known(void *data, CUpointer_attribute attribute, uint64_t p, const struct vgpu_range_info *i)
{
	CUcontext ctx = i->context ? vgpu_handle_app(VGPU_HANDLE_CONTEXT, i->context) : NULL;
	bool registered = i->kind == VGPU_RANGE_REGISTERED;
	bool managed = i->kind == VGPU_RANGE_MANAGED || i->kind == VGPU_RANGE_MIRROR;
	bool reachable = managed || i->kind == VGPU_RANGE_PINNED || i->kind == VGPU_RANGE_MOVED;
	const uint64_t none = 0;

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		put(data, &ctx, sizeof(ctx));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		put_int(data, on_host(i) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		put_pointer(data, registered ? 0 : p);
		return registered ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		put_pointer(data, registered || reachable ? p : 0);
		return registered || reachable ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return vgpu_unsupported("CU_POINTER_ATTRIBUTE_P2P_TOKENS");
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		put(data, &i->id, sizeof(i->id));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		put_int(data, managed);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		put_int(data, i->device);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		put_pointer(data, i->start);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		put(data, &i->size, sizeof(i->size));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		put_int(data, 1);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		put_int(data, CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		put_pointer(data, (uint64_t)(uintptr_t)(reachable ? vgpu_host_pool_giver(i->start) : NULL));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		put(data, &none, sizeof(none));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		put_int(data, i->sync_memops);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		put_int(data, i->kind == VGPU_RANGE_DEVICE && !(i->flags & VGPU_MEMORY_ORDERED));
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		put_int(data, 0);
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/*
 * What an unknown pointer has, as driver 580 answers: zero bytes of the attribute's size, no device, itself as host
 * pointer, and of its range not a byte is written.
 */
static void unknown(void *data, CUpointer_attribute attribute, uint64_t p)
{
	uint64_t zero = 0;

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		put_int(data, -2);	/* CU_DEVICE_INVALID */
		return;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		put_pointer(data, p);
		return;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		return;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		put_int(data, 0);
		return;
	default:
		put(data, &zero, sizeof(zero));
	}
}

static bool exists(CUpointer_attribute attribute)
{
	return (int)attribute >= CU_POINTER_ATTRIBUTE_CONTEXT && attribute <= CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE;
}

static CUresult ask_worker(void *data, CUpointer_attribute attribute, uint64_t p)
{
	struct vgpu_args_pointer_attribute *a;
	const struct vgpu_ret_pointer_attribute *o;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_pointer_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->pointer = p;
	a->attribute = attribute;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		put(data, o->value, o->size <= 8 ? o->size : 8);
	}
	vgpu_call_end(&c);
	return r;
}

/* Device memory that the worker has and this table does not: mapped by other means. */
static CUresult ask(void *data, CUpointer_attribute attribute, uint64_t p)
{
	return vgpu_memory_place(p) == VGPU_PLACE_DEVICE ? ask_worker(data, attribute, p) : CUDA_ERROR_INVALID_VALUE;
}

bool vgpu_memory_is_managed(uint64_t address)
{
	uint64_t managed = 0;

	return !ask_worker(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address) && managed;
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!data || !exists(attribute))
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_memory_find(ptr, &info) && info.kind != VGPU_RANGE_RESERVED)
		return known(data, attribute, ptr, &info);
	return ask(data, attribute, ptr);
}

CUresult cuPointerGetAttributes(unsigned int num_attributes, CUpointer_attribute *attributes, void **data, CUdeviceptr ptr)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_ready();
	unsigned int i;
	bool found;

	if (r)
		return r;
	if (!num_attributes || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	found = vgpu_memory_find(ptr, &info) && info.kind != VGPU_RANGE_RESERVED;
	for (i = 0; i < num_attributes; i++) {
		if (!data[i] || !exists(attributes[i]))
			return CUDA_ERROR_INVALID_VALUE;
		if (found ? known(data[i], attributes[i], ptr, &info) : ask(data[i], attributes[i], ptr))
			unknown(data[i], attributes[i], found ? 0 : ptr);
	}
	return CUDA_SUCCESS;
}

/* Whole pages of device memory could be handed to other devices of the machine, if it had any. */
CUresult cuMemGetHandleForAddressRange(void *handle, CUdeviceptr dptr, size_t size, CUmemRangeHandleType type,
				       unsigned long long flags)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct vgpu_range_info info;

	if (!handle || !size || (dptr | size) % page || type != CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD ||
	    flags & ~(unsigned long long)CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE)
		return CUDA_ERROR_INVALID_VALUE;
	if (vgpu_ready())
		return vgpu_ready();
	return vgpu_memory_find(dptr, &info) && size <= info.start + info.size - dptr ?
		       vgpu_unsupported("cuMemGetHandleForAddressRange") : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target, CUflushGPUDirectRDMAWritesScope scope)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	return target == CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX &&
			       (scope == CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER ||
				scope == CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES) ?
		       vgpu_unsupported("cuFlushGPUDirectRDMAWrites") : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
	struct vgpu_range_info info;
	struct vgpu_context *owner;
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	unsigned int on;

	if (r)
		return r;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !vgpu_memory_find(ptr, &info))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_RESERVED && !vgpu_virtual_covers(ptr, 1))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_RESERVED)	/* a reservation holds many allocations, and one flag */
		return vgpu_unsupported("cuPointerSetAttribute of mapped memory");
	memcpy(&on, value, sizeof(on));
	if (!vgpu_memory_set_sync(ptr, on))
		return CUDA_ERROR_INVALID_VALUE;
	owner = vgpu_thread.current ? vgpu_thread.current : vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, info.context);
	return on && owner ? vgpu_context_synchronize(owner) : CUDA_SUCCESS;
}
