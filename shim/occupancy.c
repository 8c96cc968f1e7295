/* SPDX-License-Identifier: MIT */
/*
 * Which block size fills the device best. A callback for the shared memory
 * of a block size is the application's code, so it runs here: the sizes are
 * tried one warp apart, each asked for its occupancy.
 */
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "device.h"
#include "function.h"
#include "thread.h"

static CUresult ask(int *min_grid, int *block, const struct vgpu_function *f, size_t shared, int limit, unsigned flags)
{
	const struct vgpu_ret_occupancy_block_size *o;
	struct vgpu_args_occupancy_block_size *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_occupancy_block_size, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->function = f->wire;
	a->dynamic_shared = shared;
	a->block_size_limit = limit;
	a->flags = flags;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*min_grid = o->min_grid_size;
		*block = o->block_size;
	}
	vgpu_call_end(&c);
	return r;
}

/* With a callback: the size with the most threads on a multiprocessor, the largest of equals. */
static CUresult search(int *min_grid, int *block, CUfunction func, const struct vgpu_function *f,
		       CUoccupancyB2DSize shared_of, int limit, unsigned flags)
{
	const int *a = vgpu_device(vgpu_thread.current->device)->attributes;
	int warp = a[CU_DEVICE_ATTRIBUTE_WARP_SIZE], most = f->attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
	int size, blocks, best = 0;
	CUresult r;

	if (limit > 0 && limit < most)
		most = limit;
	*min_grid = *block = 0;
	for (size = (most + warp - 1) / warp * warp; size > 0; size -= warp) {
		int threads = size < most ? size : most;

		r = cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&blocks, func, threads, shared_of(threads), flags);
		if (r)
			return r;
		if (blocks * threads <= best)
			continue;
		best = blocks * threads;
		*block = threads;
		*min_grid = blocks * a[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT];
	}
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *min_grid_size, int *block_size, CUfunction func,
						   CUoccupancyB2DSize block_size_to_dynamic_smem_size,
						   size_t dynamic_smem_size, int block_size_limit, unsigned int flags)
{
	struct vgpu_function *f;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!min_grid_size || !block_size)
		return CUDA_ERROR_INVALID_VALUE;
	f = vgpu_function_get(func);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (block_size_to_dynamic_smem_size)
		return search(min_grid_size, block_size, func, f, block_size_to_dynamic_smem_size, block_size_limit, flags);
	return ask(min_grid_size, block_size, f, dynamic_smem_size, block_size_limit, flags);
}

CUresult cuOccupancyMaxPotentialBlockSize(int *min_grid_size, int *block_size, CUfunction func,
					  CUoccupancyB2DSize block_size_to_dynamic_smem_size,
					  size_t dynamic_smem_size, int block_size_limit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid_size, block_size, func, block_size_to_dynamic_smem_size,
							 dynamic_smem_size, block_size_limit, 0);
}
