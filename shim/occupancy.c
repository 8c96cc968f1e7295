/* SPDX-License-Identifier: MIT */
/*
 * How many blocks a multiprocessor takes, and which block size fills the device best. Frameworks ask the first before each
 * launch of some kernels, so each function keeps the driver's last answer, until something is set on which it may depend.
 * A callback for the shared memory of a block size is the application's code, so it runs here: the sizes are
 * tried one warp apart, each asked for its occupancy.
 */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "channel.h"
#include "context.h"
#include "device.h"
#include "function.h"
#include "thread.h"

#define DEVICES		32		/* fields of a question that is kept: device, threads, bytes; 16 bits for the answer */
#define THREADS		2048
#define ANSWERS		0x10000

/* The question as a number, 0: one that is not kept. */
static uint64_t question(int threads, size_t shared, unsigned int flags)
{
	int device = vgpu_thread.current->device;

	if (flags || threads <= 0 || threads >= THREADS || shared > UINT32_MAX || device >= DEVICES)
		return 0;
	return (uint64_t)device << 59 | (uint64_t)threads << 48 | (uint64_t)shared << 16;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *num_blocks, CUfunction func, int block_size,
							      size_t dynamic_smem_size, unsigned int flags)
{
	struct vgpu_function *f = num_blocks && vgpu_call_clear() ? vgpu_function_get(func) : NULL;
	uint64_t asked = f ? question(block_size, dynamic_smem_size, flags) : 0;
	uint64_t known = asked ? atomic_load_explicit(&f->occupancy, memory_order_relaxed) : 0;
	CUresult r;

	if (asked && (known & ~(uint64_t)(ANSWERS - 1)) == asked) {
		*num_blocks = (int)(known & (ANSWERS - 1));
		return CUDA_SUCCESS;
	}
	r = flags ? vgpu_remote_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(num_blocks, func, block_size,
										     dynamic_smem_size, flags) :
		    vgpu_remote_cuOccupancyMaxActiveBlocksPerMultiprocessor(num_blocks, func, block_size,
									    dynamic_smem_size);
	if (!r && asked && *num_blocks >= 0 && *num_blocks < ANSWERS)
		atomic_store_explicit(&f->occupancy, asked | (uint64_t)*num_blocks, memory_order_relaxed);
	return r;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *num_blocks, CUfunction func, int block_size,
						     size_t dynamic_smem_size)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(num_blocks, func, block_size, dynamic_smem_size, 0);
}

/* ---- what the answer depends on ---- */

static void forget(enum vgpu_handle_kind kind)
{
	struct vgpu_function *f;
	uint64_t wire = 0;

	while ((wire = vgpu_handle_next(kind, wire))) {
		f = vgpu_handle_object_wire(kind, wire);
		if (f)
			atomic_store_explicit(&f->occupancy, 0, memory_order_relaxed);
	}
}

void vgpu_occupancy_forget(void)
{
	forget(VGPU_HANDLE_FUNCTION);
	forget(VGPU_HANDLE_KERNEL);
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
	CUresult r = vgpu_remote_cuCtxSetCacheConfig(config);

	vgpu_occupancy_forget();
	return r;
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
	CUresult r = vgpu_remote_cuKernelSetCacheConfig(kernel, config, dev);

	vgpu_occupancy_forget();
	return r;
}

CUresult cuFuncSetCacheConfig(CUfunction func, CUfunc_cache config)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!vgpu_handle_live(VGPU_HANDLE_FUNCTION, func))	/* a kernel, too */
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_remote_cuFuncSetCacheConfig(func, config);
	vgpu_occupancy_forget();
	return r;
}

/* ---- block sizes ---- */

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
