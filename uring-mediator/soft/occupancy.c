/* SPDX-License-Identifier: MIT */
/*
 * Occupancy: how many blocks of a kernel a multiprocessor would hold. There are none here; the numbers follow from
 * the limits that the device's attributes tell, by the obvious arithmetic, so that programs choose sensible shapes.
 */
#include "calls.h"
#include "module.h"

#define WARP 32
#define REGISTER_UNIT 256 /* registers of a warp are given out in units of this */
#define SHARED_UNIT 128

static uint64_t round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) / unit * unit;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int soft_blocks_per_sm(const struct ptx_entry *e, unsigned threads, uint64_t dynamic)
{
	uint64_t warps = (threads + WARP - 1) / WARP, n = least(SOFT_SM_BLOCKS, SOFT_SM_THREADS / WARP / warps);
	uint64_t registers = round_up((uint64_t)e->num_regs * WARP, REGISTER_UNIT) * warps;
	uint64_t shared = round_up(e->static_shared + dynamic, SHARED_UNIT);

	if (threads > e->max_threads || e->static_shared + dynamic > SOFT_SHARED_OPTIN)
		return 0;
	if (registers)
		n = least(n, SOFT_REGISTERS / registers);
	return (int)least(n, SOFT_SHARED_SM / (shared + SOFT_SHARED_SM - SOFT_SHARED_OPTIN));
}

/* What the calls below begin with; takes a reference. */
static CUresult enter(CUfunction handle, bool arguments_ok, struct soft_function **f)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	return arguments_ok ? soft_function_of(handle, ctx, f) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction handle, int size,
									  size_t dynamic, unsigned int flags)
{
	struct soft_function *f;
	CUresult rc = enter(handle, blocks && size > 0 && !(flags & ~CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE), &f);

	if (rc)
		return rc;
	*blocks = soft_blocks_per_sm(f->entry, (unsigned)size, least(dynamic, SOFT_SHARED_SM));
	soft_put(&f->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int size, size_t dynamic)
{
	return soft_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, f, size, dynamic, 0);
}

static CUresult soft_cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic, CUfunction handle, int blocks, int size)
{
	struct soft_function *f;
	uint64_t each, fixed;
	CUresult rc = enter(handle, dynamic && blocks > 0 && size > 0, &f);

	if (rc)
		return rc;
	fixed = f->entry->static_shared + SOFT_SHARED_SM - SOFT_SHARED_OPTIN;
	each = SOFT_SHARED_SM / (unsigned)blocks / SHARED_UNIT * SHARED_UNIT;
	if (soft_blocks_per_sm(f->entry, (unsigned)size, 0) < blocks)
		rc = CUDA_ERROR_INVALID_VALUE;
	else
		*dynamic = each > fixed ? each - fixed : 0;
	soft_put(&f->obj);
	return rc;
}

static CUresult soft_cuOccupancyMaxPotentialBlockSizeWithFlags(int *min_grid, int *block, CUfunction handle,
							       CUoccupancyB2DSize shared_of, size_t dynamic, int limit,
							       unsigned int flags)
{
	struct soft_function *f;
	int size, best = 0, n, most;
	CUresult rc = enter(handle, min_grid && block && limit >= 0 &&
			    !(flags & ~CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE), &f);

	if (rc)
		return rc;
	most = (int)round_up(limit ? least((uint64_t)limit, f->entry->max_threads) : f->entry->max_threads, WARP);
	*min_grid = *block = 0;
	for (size = most; size >= WARP; size -= WARP) {
		n = soft_blocks_per_sm(f->entry, (unsigned)least((uint64_t)size, f->entry->max_threads),
				  least(shared_of ? shared_of(size) : dynamic, SOFT_SHARED_SM));
		if (n * size > best) {
			best = n * size;
			*block = (int)least((uint64_t)size, limit ? (uint64_t)limit : (uint64_t)size);
			*min_grid = n * (int)soft_config.threads;
		}
	}
	soft_put(&f->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuOccupancyMaxPotentialBlockSize(int *min_grid, int *block, CUfunction f,
						      CUoccupancyB2DSize shared_of, size_t dynamic, int limit)
{
	return soft_cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid, block, f, shared_of, dynamic, limit, 0);
}

void soft_fill_occupancy(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuOccupancyMaxActiveBlocksPerMultiprocessor);
	SOFT_SLOT(d, cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
	SOFT_SLOT(d, cuOccupancyAvailableDynamicSMemPerBlock);
	SOFT_SLOT(d, cuOccupancyMaxPotentialBlockSize);
	SOFT_SLOT(d, cuOccupancyMaxPotentialBlockSizeWithFlags);
}
