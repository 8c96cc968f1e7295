/* SPDX-License-Identifier: MIT */
/*
 * What a context tells about itself and lets be set: flags, limits, preferences, peers.
 */
#include "calls.h"
#include "context.h"

#define PRIORITY_GREATEST (-5)

/* What calls about the current context begin with that have other arguments to check. */
static CUresult enter(bool arguments_ok, struct soft_context **ctx)
{
	CUresult rc = soft_enter(ctx);

	return rc || arguments_ok ? rc : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuCtxGetDevice(CUdevice *device)
{
	struct soft_context *ctx;
	CUresult rc = enter(device, &ctx);

	if (rc)
		return rc;
	*device = ctx->device->ordinal;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetDevice_v2(CUdevice *device, CUcontext handle)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_context(handle, &ctx);

	if (rc)
		return rc;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = ctx->device->ordinal;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetId(CUcontext handle, unsigned long long *id)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_context(handle, &ctx);

	if (rc)
		return rc;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = ctx->id;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetApiVersion(CUcontext handle, unsigned int *version)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_context(handle, &ctx);

	if (rc)
		return rc;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = 3020;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetFlags(unsigned int *flags)
{
	struct soft_context *ctx;
	CUresult rc = enter(flags, &ctx);

	if (rc)
		return rc;
	*flags = ctx->flags;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSetFlags(unsigned int flags)
{
	struct soft_context *ctx;
	CUresult rc = enter(soft_context_flags_valid(flags), &ctx);

	if (rc)
		return rc;
	ctx->flags = flags | CU_CTX_MAP_HOST;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (least)
		*least = 0;
	if (greatest)
		*greatest = PRIORITY_GREATEST;
	return CUDA_SUCCESS;
}

static bool limit_known(CUlimit limit)
{
	return (int)limit >= CU_LIMIT_STACK_SIZE && limit <= CU_LIMIT_PERSISTING_L2_CACHE_SIZE;
}

static CUresult soft_cuCtxGetLimit(size_t *value, CUlimit limit)
{
	struct soft_context *ctx;
	CUresult rc = enter(value, &ctx);

	if (rc)
		return rc;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*value = ctx->limits[limit];
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSetLimit(CUlimit limit, size_t value)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (limit == CU_LIMIT_STACK_SIZE && value > 512 << 10)
		return CUDA_ERROR_INVALID_VALUE;
	if (limit == CU_LIMIT_PERSISTING_L2_CACHE_SIZE && value)
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	/* Its size stands when a kernel has used it. */
	if (limit == CU_LIMIT_PRINTF_FIFO_SIZE && atomic_load(&ctx->fifo.ever))
		return CUDA_ERROR_INVALID_VALUE;
	if (limit == CU_LIMIT_PRINTF_FIFO_SIZE)
		atomic_store(&ctx->fifo.limit, value);
	ctx->limits[limit] = value;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetCacheConfig(CUfunc_cache *config)
{
	struct soft_context *ctx;
	CUresult rc = enter(config, &ctx);

	if (rc)
		return rc;
	*config = ctx->cache_config;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSetCacheConfig(CUfunc_cache config)
{
	struct soft_context *ctx;
	CUresult rc = enter((unsigned)config <= CU_FUNC_CACHE_PREFER_EQUAL, &ctx);

	if (rc)
		return rc;
	ctx->cache_config = config;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetSharedMemConfig(CUsharedconfig *config)
{
	struct soft_context *ctx;
	CUresult rc = enter(config, &ctx);

	if (rc)
		return rc;
	*config = ctx->shared_config;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	struct soft_context *ctx;

	/* A hint; banks have one size here. */
	return enter((unsigned)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE, &ctx);
}

static CUresult soft_cuCtxResetPersistingL2Cache(void)
{
	struct soft_context *ctx;

	return soft_enter(&ctx);
}

/* Peer access is real: all devices' memory is one address space. The bookkeeping is for the error codes. */
static CUresult soft_cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags)
{
	struct soft_context *ctx, *other;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	other = soft_context_get(peer);
	if (!other || other == ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (other->device == ctx->device)
		return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
	if (ctx->peers & 1ull << other->index)
		return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
	ctx->peers |= 1ull << other->index;
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxDisablePeerAccess(CUcontext peer)
{
	struct soft_context *ctx, *other;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	other = soft_context_get(peer);
	if (!other)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!(ctx->peers & 1ull << other->index))
		return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
	ctx->peers &= ~(1ull << other->index);
	return CUDA_SUCCESS;
}

static CUresult soft_cuCtxGetExecAffinity(CUexecAffinityParam *affinity, CUexecAffinityType type)
{
	struct soft_context *ctx;
	CUresult rc = enter(affinity && type == CU_EXEC_AFFINITY_TYPE_SM_COUNT, &ctx);

	return rc ? rc : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
}

/* There is no profiler to start: the calls only check what they check natively. */
static CUresult soft_cuProfilerStart(void)
{
	struct soft_context *ctx;

	return soft_enter(&ctx);
}

static CUresult soft_cuProfilerStop(void)
{
	struct soft_context *ctx;

	return soft_enter(&ctx);
}

void soft_fill_context_state(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuCtxGetDevice);
	SOFT_SLOT(d, cuCtxGetDevice_v2);
	SOFT_SLOT(d, cuCtxGetId);
	SOFT_SLOT(d, cuCtxGetApiVersion);
	SOFT_SLOT(d, cuCtxGetFlags);
	SOFT_SLOT(d, cuCtxSetFlags);
	SOFT_SLOT(d, cuCtxGetStreamPriorityRange);
	SOFT_SLOT(d, cuCtxGetLimit);
	SOFT_SLOT(d, cuCtxSetLimit);
	SOFT_SLOT(d, cuCtxGetCacheConfig);
	SOFT_SLOT(d, cuCtxSetCacheConfig);
	SOFT_SLOT(d, cuCtxGetSharedMemConfig);
	SOFT_SLOT(d, cuCtxSetSharedMemConfig);
	SOFT_SLOT(d, cuCtxResetPersistingL2Cache);
	SOFT_SLOT(d, cuCtxEnablePeerAccess);
	SOFT_SLOT(d, cuCtxDisablePeerAccess);
	SOFT_SLOT(d, cuCtxGetExecAffinity);
	SOFT_SLOT(d, cuProfilerStart);
	SOFT_SLOT(d, cuProfilerStop);
}
