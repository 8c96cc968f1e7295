/* SPDX-License-Identifier: MIT */
/*
 * What CUDA knows about a pointer.
 */
#include <string.h>

#include "calls.h"
#include "context.h"
#include "memory.h"

static CUcontext region_context(const struct soft_region *r)
{
	struct soft_context *ctx = soft_context_at(r->context);

	return ctx ? soft_context_handle(ctx) : NULL;
}

static int region_device(const struct soft_region *r)
{
	struct soft_context *ctx = soft_context_at(r->context);

	return r->kind == SOFT_MEM_DEVICE || !ctx ? r->device : ctx->device->ordinal;
}

/* Bytes that an attribute's value has; 0 for attributes that are not known. */
static size_t attribute_size(CUpointer_attribute which)
{
	switch (which) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		return 8;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		return 4;
	default:
		return 0;
	}
}

static uint64_t region_attribute(const struct soft_region *r, CUpointer_attribute which, uint64_t ptr)
{
	bool device_only = r->kind == SOFT_MEM_DEVICE && !(r->tag & SOFT_TAG_MANAGED);

	switch (which) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		return (uint64_t)(uintptr_t)region_context(r);
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		return r->kind == SOFT_MEM_DEVICE ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		return ptr;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		return device_only ? 0 : ptr;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		return r->id;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		return r->tag & SOFT_TAG_MANAGED && r->kind == SOFT_MEM_DEVICE;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		return (uint64_t)region_device(r);
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		return r->start;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		return r->size;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		return 1;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
	default:
		return 0;
	}
}

static void store(void *data, uint64_t value, size_t size)
{
	uint32_t narrow = (uint32_t)value;

	if (size == 8)
		memcpy(data, &value, 8);
	else
		memcpy(data, &narrow, 4);
}

static CUresult soft_cuPointerGetAttribute(void *data, CUpointer_attribute which, CUdeviceptr ptr)
{
	struct soft_context *ctx;
	struct soft_region r;
	size_t size = attribute_size(which);
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!data || !size || !soft_memory_find(ptr, &r))
		return CUDA_ERROR_INVALID_VALUE;
	if (which == CU_POINTER_ATTRIBUTE_HOST_POINTER && !region_attribute(&r, which, ptr))
		return CUDA_ERROR_INVALID_VALUE;
	store(data, region_attribute(&r, which, ptr), size);
	return CUDA_SUCCESS;
}

/* Unlike the single form, this succeeds for any pointer: what CUDA does not know has zeros, and no device (-2). */
static CUresult soft_cuPointerGetAttributes(unsigned int n, CUpointer_attribute *which, void **data, CUdeviceptr ptr)
{
	struct soft_context *ctx;
	struct soft_region r;
	unsigned i;
	bool known;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!n || !which || !data)
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < n; i++)
		if (!data[i] || !attribute_size(which[i]))
			return CUDA_ERROR_INVALID_VALUE;
	known = soft_memory_find(ptr, &r);
	for (i = 0; i < n; i++) {
		uint64_t none = which[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ? (uint64_t)CU_DEVICE_INVALID : 0;

		store(data[i], known ? region_attribute(&r, which[i], ptr) : none, attribute_size(which[i]));
	}
	return CUDA_SUCCESS;
}

void soft_fill_pointer(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuPointerGetAttribute);
	SOFT_SLOT(d, cuPointerGetAttributes);
}
