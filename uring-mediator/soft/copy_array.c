/* SPDX-License-Identifier: MIT */
/* The copy calls that name an array and an offset in it: copies of one row. */
#include <stdbool.h>

#include "calls.h"
#include "soft.h"

/* One end: an array with an offset, or an address. */
struct end {
	CUmemorytype type;
	uint64_t address;
	CUarray array;
	size_t offset;
};

static CUresult copy(struct end dst, struct end src, size_t bytes, CUstream stream, bool sync)
{
	const struct vgpu_driver *d = vgpu_soft_driver();
	CUDA_MEMCPY2D c = {
		.srcMemoryType = src.type, .srcHost = (const void *)src.address, .srcDevice = src.address,
		.srcArray = src.array, .srcXInBytes = src.offset,
		.dstMemoryType = dst.type, .dstHost = (void *)dst.address, .dstDevice = dst.address,
		.dstArray = dst.array, .dstXInBytes = dst.offset,
		.WidthInBytes = bytes, .Height = 1,
	};

	return sync ? d->cuMemcpy2D_v2(&c) : d->cuMemcpy2DAsync_v2(&c, stream);
}

static struct end array(CUarray a, size_t offset)
{
	return (struct end){ CU_MEMORYTYPE_ARRAY, 0, a, offset };
}

static struct end device(CUdeviceptr address)
{
	return (struct end){ CU_MEMORYTYPE_DEVICE, address, NULL, 0 };
}

static struct end host(const void *address)
{
	return (struct end){ CU_MEMORYTYPE_HOST, (uint64_t)address, NULL, 0 };
}

static CUresult soft_cuMemcpyAtoA_v2(CUarray dst, size_t dst_offset, CUarray src, size_t src_offset, size_t n)
{
	return copy(array(dst, dst_offset), array(src, src_offset), n, NULL, true);
}

static CUresult soft_cuMemcpyAtoD_v2(CUdeviceptr dst, CUarray src, size_t offset, size_t n)
{
	return copy(device(dst), array(src, offset), n, NULL, true);
}

static CUresult soft_cuMemcpyDtoA_v2(CUarray dst, size_t offset, CUdeviceptr src, size_t n)
{
	return copy(array(dst, offset), device(src), n, NULL, true);
}

static CUresult soft_cuMemcpyAtoH_v2(void *dst, CUarray src, size_t offset, size_t n)
{
	return copy(host(dst), array(src, offset), n, NULL, true);
}

static CUresult soft_cuMemcpyAtoHAsync_v2(void *dst, CUarray src, size_t offset, size_t n, CUstream stream)
{
	return copy(host(dst), array(src, offset), n, stream, false);
}

static CUresult soft_cuMemcpyHtoA_v2(CUarray dst, size_t offset, const void *src, size_t n)
{
	return copy(array(dst, offset), host(src), n, NULL, true);
}

static CUresult soft_cuMemcpyHtoAAsync_v2(CUarray dst, size_t offset, const void *src, size_t n, CUstream stream)
{
	return copy(array(dst, offset), host(src), n, stream, false);
}

void soft_fill_copy_array(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemcpyAtoA_v2);
	SOFT_SLOT(d, cuMemcpyAtoD_v2);
	SOFT_SLOT(d, cuMemcpyDtoA_v2);
	SOFT_SLOT(d, cuMemcpyAtoH_v2);
	SOFT_SLOT(d, cuMemcpyAtoHAsync_v2);
	SOFT_SLOT(d, cuMemcpyHtoA_v2);
	SOFT_SLOT(d, cuMemcpyHtoAAsync_v2);
}
