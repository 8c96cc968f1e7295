/* SPDX-License-Identifier: MIT */
/* The copy calls that name an array and an offset in it: boxes of one row. */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"
#include "copy_shape.h"
#include "stream.h"

/* One end: an array with an offset, or an address of the given type. */
static void from(CUDA_MEMCPY2D *c, CUmemorytype type, uint64_t address, CUarray array, size_t offset)
{
	c->srcMemoryType = type;
	c->srcHost = (const void *)(uintptr_t)address;
	c->srcDevice = address;
	c->srcArray = array;
	c->srcXInBytes = offset;
}

static void to(CUDA_MEMCPY2D *c, CUmemorytype type, uint64_t address, CUarray array, size_t offset)
{
	c->dstMemoryType = type;
	c->dstHost = (void *)(uintptr_t)address;
	c->dstDevice = address;
	c->dstArray = array;
	c->dstXInBytes = offset;
}

static CUresult copy(CUDA_MEMCPY2D *c, size_t bytes, CUstream stream, bool wait)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_shape shape;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	c->WidthInBytes = bytes;
	c->Height = 1;
	r = vgpu_shape_of_2d(c, &shape);
	return r ? r : vgpu_shape_copy(&shape, stream, wait);
}

CUresult vgpu_on_cuMemcpyAtoA_v2(CUstream default_stream, CUarray dst, size_t dst_offset, CUarray src,
				 size_t src_offset, size_t bytes)
{
	CUDA_MEMCPY2D c = { 0 };

	from(&c, CU_MEMORYTYPE_ARRAY, 0, src, src_offset);
	to(&c, CU_MEMORYTYPE_ARRAY, 0, dst, dst_offset);
	return copy(&c, bytes, default_stream, true);
}

CUresult vgpu_on_cuMemcpyAtoD_v2(CUstream default_stream, CUdeviceptr dst, CUarray src, size_t src_offset, size_t bytes)
{
	CUDA_MEMCPY2D c = { 0 };

	from(&c, CU_MEMORYTYPE_ARRAY, 0, src, src_offset);
	to(&c, CU_MEMORYTYPE_DEVICE, dst, NULL, 0);
	return copy(&c, bytes, default_stream, true);
}

CUresult vgpu_on_cuMemcpyDtoA_v2(CUstream default_stream, CUarray dst, size_t dst_offset, CUdeviceptr src, size_t bytes)
{
	CUDA_MEMCPY2D c = { 0 };

	from(&c, CU_MEMORYTYPE_DEVICE, src, NULL, 0);
	to(&c, CU_MEMORYTYPE_ARRAY, 0, dst, dst_offset);
	return copy(&c, bytes, default_stream, true);
}

static CUresult array_to_host(void *dst, CUarray src, size_t src_offset, size_t bytes, CUstream stream, bool wait)
{
	CUDA_MEMCPY2D c = { 0 };

	from(&c, CU_MEMORYTYPE_ARRAY, 0, src, src_offset);
	to(&c, CU_MEMORYTYPE_HOST, (uintptr_t)dst, NULL, 0);
	return copy(&c, bytes, stream, wait);
}

CUresult vgpu_on_cuMemcpyAtoH_v2(CUstream default_stream, void *dst, CUarray src, size_t src_offset, size_t bytes)
{
	return array_to_host(dst, src, src_offset, bytes, default_stream, true);
}

CUresult cuMemcpyAtoHAsync_v2(void *dst, CUarray src, size_t src_offset, size_t bytes, CUstream stream)
{
	return array_to_host(dst, src, src_offset, bytes, stream, false);
}

static CUresult host_to_array(CUarray dst, size_t dst_offset, const void *src, size_t bytes, CUstream stream, bool wait)
{
	CUDA_MEMCPY2D c = { 0 };

	from(&c, CU_MEMORYTYPE_HOST, (uintptr_t)src, NULL, 0);
	to(&c, CU_MEMORYTYPE_ARRAY, 0, dst, dst_offset);
	return copy(&c, bytes, stream, wait);
}

CUresult vgpu_on_cuMemcpyHtoA_v2(CUstream default_stream, CUarray dst, size_t dst_offset, const void *src, size_t bytes)
{
	return host_to_array(dst, dst_offset, src, bytes, default_stream, true);
}

CUresult cuMemcpyHtoAAsync_v2(CUarray dst, size_t dst_offset, const void *src, size_t bytes, CUstream stream)
{
	return host_to_array(dst, dst_offset, src, bytes, stream, false);
}
