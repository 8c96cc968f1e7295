/* SPDX-License-Identifier: MIT */
/* Sizes of what CUDA arrays hold: facts of the driver API, for guest, worker and soft device. */
#ifndef VGPU_ARRAY_FORMAT_H
#define VGPU_ARRAY_FORMAT_H

#include "vgpu/cuda_types.h"

/* Bytes of one channel of an element; 0 for formats whose elements are not simply channels (planar, compressed, packed). */
static inline unsigned vgpu_array_channel_bytes(CUarray_format format)
{
	switch ((int)format) {
	case CU_AD_FORMAT_UNSIGNED_INT8:
	case CU_AD_FORMAT_SIGNED_INT8:
		return 1;
	case CU_AD_FORMAT_UNSIGNED_INT16:
	case CU_AD_FORMAT_SIGNED_INT16:
	case CU_AD_FORMAT_HALF:
		return 2;
	case CU_AD_FORMAT_UNSIGNED_INT32:
	case CU_AD_FORMAT_SIGNED_INT32:
	case CU_AD_FORMAT_FLOAT:
		return 4;
	default:
		return 0;
	}
}

/* Extents as a descriptor gives them: 0 means that the array does not have this dimension. */
static inline size_t vgpu_array_extent(size_t n)
{
	return n ? n : 1;
}

#endif /* VGPU_ARRAY_FORMAT_H */
