/* SPDX-License-Identifier: MIT */
/* Device memory of the driver that checks its caller: blocks that are never touched. One thread. */
#include "fake_parts.h"

#define MEMORY_BASE 0x300000000000ull
#define MEMORY_MOST 4096

struct block {
	uint64_t start, size;
};

static struct block blocks[MEMORY_MOST];
static unsigned int block_count;
static uint64_t next_block = MEMORY_BASE;

void fake_memory_reset(void)
{
	block_count = 0;
	next_block = MEMORY_BASE;
}

void fake_check_device(CUdeviceptr at, uint64_t size)
{
	for (unsigned int i = 0; i < block_count; i++)
		if (at >= blocks[i].start && at - blocks[i].start <= blocks[i].size &&
		    size <= blocks[i].size - (at - blocks[i].start))
			return;
	fake_insist(false, "a device address outside device memory");
}

void fake_check_any(CUdeviceptr at, uint64_t size)
{
	if (!fake_in_arena((const void *)(uintptr_t)at, size))
		fake_check_device(at, size);
}

void fake_memory_restore(uint64_t at, uint64_t bytes)
{
	for (unsigned int i = 0; i < block_count; i++)
		if (blocks[i].start == at)
			return;
	fake_insist(block_count < MEMORY_MOST, "more than it can hold");
	blocks[block_count++] = (struct block){ at, bytes };
}

CUresult fake_alloc(CUdeviceptr *p, size_t bytes)
{
	fake.calls++;
	if (fake.result)
		return fake.result;
	if (!bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (block_count == MEMORY_MOST || bytes > (1ull << 40))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*p = next_block;
	blocks[block_count++] = (struct block){ next_block, bytes };
	next_block += (bytes + 511) & ~511ull;
	return CUDA_SUCCESS;
}

static CUresult f_alloc_pitch(CUdeviceptr *p, size_t *pitch, size_t width, size_t height, unsigned int element)
{
	(void)element;
	if (width > (1u << 30) || height > (1u << 10))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*pitch = (width + 511) & ~(size_t)511;
	return fake_alloc(p, *pitch * height);
}

static CUresult f_alloc_async(CUdeviceptr *p, size_t bytes, CUstream s)
{
	fake_check_stream(s);
	return fake_alloc(p, bytes);
}

static CUresult f_free(CUdeviceptr p)
{
	fake.calls++;
	for (unsigned int i = 0; i < block_count; i++) {
		if (blocks[i].start == p) {
			blocks[i] = blocks[--block_count];
			return CUDA_SUCCESS;
		}
	}
	fake_insist(false, "an address to free that was not allocated");
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult f_free_async(CUdeviceptr p, CUstream s)
{
	fake_check_stream(s);
	return f_free(p);
}

static CUresult f_h2d(CUdeviceptr dst, const void *src, size_t n, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	fake_check_any(dst, n);
	fake_check_source(src, n);
	return fake.result;
}

static CUresult f_d2h(void *dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	fake_check_any(src, n);
	fake_insist(fake_in_arena(dst, n), "a host destination outside the arena");
	return fake.result;
}

static CUresult f_d2d(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	fake_check_device(dst, n);
	fake_check_device(src, n);
	return fake.result;
}

static CUresult f_any_copy(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	fake_check_any(dst, n);
	fake_check_any(src, n);
	return fake.result;
}

static CUresult f_peer(CUdeviceptr dst, CUcontext dc, CUdeviceptr src, CUcontext sc, size_t n, CUstream s)
{
	(void)dc;
	(void)sc;
	return f_any_copy(dst, src, n, s);
}

static void check_side(CUmemorytype type, const void *host, CUdeviceptr device, uint64_t span)
{
	if (type == CU_MEMORYTYPE_HOST)
		fake_insist(fake_in_arena(host, span), "a pitched host side outside the arena");
	else
		fake_check_device(device, span);
}

static CUresult f_2d(const CUDA_MEMCPY2D *c, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	check_side(c->srcMemoryType, c->srcHost, c->srcDevice, (c->Height - 1) * c->srcPitch + c->WidthInBytes);
	check_side(c->dstMemoryType, c->dstHost, c->dstDevice, (c->Height - 1) * c->dstPitch + c->WidthInBytes);
	return fake.result;
}

static CUresult f_3d(const CUDA_MEMCPY3D *c, CUstream s)
{
	fake.calls++;
	fake_check_stream(s);
	if (c->srcMemoryType == CU_MEMORYTYPE_ARRAY)
		fake_check(c->srcArray, VGPU_HANDLE_ARRAY);
	else
		check_side(c->srcMemoryType, c->srcHost, c->srcDevice,
			   (c->Depth - 1) * c->srcHeight * c->srcPitch + (c->Height - 1) * c->srcPitch + c->WidthInBytes);
	if (c->dstMemoryType == CU_MEMORYTYPE_ARRAY)
		fake_check(c->dstArray, VGPU_HANDLE_ARRAY);
	else
		check_side(c->dstMemoryType, c->dstHost, c->dstDevice,
			   (c->Depth - 1) * c->dstHeight * c->dstPitch + (c->Height - 1) * c->dstPitch + c->WidthInBytes);
	return fake.result;
}

static CUresult f_set8(CUdeviceptr dst, unsigned char v, size_t n, CUstream s)
{
	(void)v;
	fake.calls++;
	fake_check_stream(s);
	fake_check_any(dst, n);
	return fake.result;
}

static CUresult f_set16(CUdeviceptr dst, unsigned short v, size_t n, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, n * 2, s);
}

static CUresult f_set32(CUdeviceptr dst, unsigned int v, size_t n, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, n * 4, s);
}

static CUresult f_rows8(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w, s);
}

static CUresult f_rows16(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w * 2, s);
}

static CUresult f_rows32(CUdeviceptr dst, size_t pitch, unsigned int v, size_t w, size_t h, CUstream s)
{
	(void)v;
	return f_set8(dst, 0, (h - 1) * pitch + w * 4, s);
}

static CUresult f_register(void *p, size_t bytes, unsigned int flags)
{
	(void)flags;
	fake_insist(fake_in_arena(p, bytes) || p == (void *)fake_present->channel->fences ||
		    vgpu_ranges_cover(&fake_present->windows, (uint64_t)(uintptr_t)p, bytes),
		    "memory to register outside the arena and the windows");
	return fake.result;
}

static CUresult f_device_pointer(CUdeviceptr *device, void *p, unsigned int flags)
{
	fake_insist(!flags && vgpu_ranges_cover(&fake_present->windows, (uint64_t)(uintptr_t)p, 1), "memory that is not registered");
	*device = (CUdeviceptr)(uintptr_t)p;
	return CUDA_SUCCESS;
}

static CUresult f_unregister(void *p)
{
	fake_insist(fake_in_arena(p, 1) || p == (void *)fake_present->channel->fences ||
		    vgpu_ranges_cover(&fake_present->windows, (uint64_t)(uintptr_t)p, 1),
		    "memory to unregister outside the arena and the windows");
	return CUDA_SUCCESS;
}

void fake_fill_memory(struct vgpu_driver *t)
{
	t->cuMemAlloc_v2 = fake_alloc;
	t->cuMemAllocPitch_v2 = f_alloc_pitch;
	t->cuMemAllocAsync = f_alloc_async;
	t->cuMemFree_v2 = f_free;
	t->cuMemFreeAsync = f_free_async;
	t->cuMemcpyHtoDAsync_v2 = f_h2d;
	t->cuMemcpyDtoHAsync_v2 = f_d2h;
	t->cuMemcpyDtoDAsync_v2 = f_d2d;
	t->cuMemcpyAsync = f_any_copy;
	t->cuMemcpyPeerAsync = f_peer;
	t->cuMemcpy2DAsync_v2 = f_2d;
	t->cuMemcpy3DAsync_v2 = f_3d;
	t->cuMemcpy3DPeerAsync = NULL;
	t->cuMemAllocFromPoolAsync = NULL;
	t->cuMemMap = NULL;	/* would have to know what is reserved */
	t->cuMemsetD8Async = f_set8;
	t->cuMemsetD16Async = f_set16;
	t->cuMemsetD32Async = f_set32;
	t->cuMemsetD2D8Async = f_rows8;
	t->cuMemsetD2D16Async = f_rows16;
	t->cuMemsetD2D32Async = f_rows32;
	t->cuMemHostRegister_v2 = f_register;
	t->cuMemHostUnregister = f_unregister;
	t->cuMemHostGetDevicePointer_v2 = f_device_pointer;
}
