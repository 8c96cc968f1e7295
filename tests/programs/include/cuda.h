/* SPDX-License-Identifier: MIT */
/*
 * Stands in for a toolkit's cuda.h, so that the programs of this folder compile without one. They
 * use the public API only: with a toolkit, leave this folder's include/ off the search path.
 */
#ifndef VGPU_TEST_CUDA_H
#define VGPU_TEST_CUDA_H

#include "vgpu/cuda_types.h"
#include "gen/cuda_api.h"

/* As in a toolkit, a plain name means the newest ABI of the call. */
#define cuMemAlloc		  cuMemAlloc_v2
#define cuMemFree		  cuMemFree_v2
#define cuMemcpyHtoD		  cuMemcpyHtoD_v2
#define cuMemcpyDtoH		  cuMemcpyDtoH_v2
#define cuMemcpyHtoDAsync	  cuMemcpyHtoDAsync_v2
#define cuMemcpyDtoHAsync	  cuMemcpyDtoHAsync_v2
#define cuStreamDestroy		  cuStreamDestroy_v2
#define cuEventDestroy		  cuEventDestroy_v2
#define cuEventElapsedTime	  cuEventElapsedTime_v2
#define cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2

#endif
