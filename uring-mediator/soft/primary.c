/* SPDX-License-Identifier: MIT */
/*
 * Primary contexts: one for each device, alive while anyone retains it.
 */
#include <pthread.h>

#include "calls.h"
#include "context.h"

static struct {
	unsigned users, flags;
} primary[SOFT_MAX_DEVICES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static CUresult check(CUdevice dev, bool arguments_ok)
{
	CUresult rc = soft_enter_poisoned();

	if (rc)
		return rc;
	if (!arguments_ok)
		return CUDA_ERROR_INVALID_VALUE;
	return soft_device_get(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult soft_primary_retain(struct soft_device *d, struct soft_context **ctx)
{
	CUresult rc = vgpu_soft_fault();

	if (rc)
		return rc;
	*ctx = soft_primary_of(d);
	pthread_mutex_lock(&lock);
	if (primary[d->ordinal].users++ == 0)
		soft_context_open(*ctx, d, primary[d->ordinal].flags);
	pthread_mutex_unlock(&lock);
	return CUDA_SUCCESS;
}

CUresult soft_primary_release(struct soft_device *d)
{
	CUresult rc = CUDA_SUCCESS;

	pthread_mutex_lock(&lock);
	if (!primary[d->ordinal].users)
		rc = CUDA_ERROR_INVALID_CONTEXT;
	else if (--primary[d->ordinal].users == 0)
		soft_context_close(soft_primary_of(d));
	pthread_mutex_unlock(&lock);
	return rc;
}

static CUresult soft_cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice dev)
{
	struct soft_context *ctx;
	CUresult rc = check(dev, out);

	if (!rc)
		rc = soft_primary_retain(soft_device_get(dev), &ctx);
	if (!rc)
		*out = soft_context_handle(ctx);
	return rc;
}

static CUresult soft_cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	CUresult rc = check(dev, true);

	return rc ? rc : soft_primary_release(soft_device_get(dev));
}

static CUresult soft_cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	struct soft_context *ctx;
	CUresult rc = check(dev, true);

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	ctx = soft_primary_of(soft_device_get(dev));
	if (primary[dev].users) {
		soft_context_close(ctx);
		soft_context_open(ctx, soft_device_get(dev), primary[dev].flags);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

static CUresult soft_cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	CUresult rc = check(dev, soft_context_flags_valid(flags));

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	primary[dev].flags = flags;
	if (primary[dev].users)
		soft_primary_of(soft_device_get(dev))->flags = flags | CU_CTX_MAP_HOST;
	pthread_mutex_unlock(&lock);
	return rc;
}

static CUresult soft_cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags, int *active)
{
	CUresult rc = check(dev, flags && active);

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	*active = primary[dev].users > 0;
	*flags = primary[dev].flags;
	pthread_mutex_unlock(&lock);
	return rc;
}

void soft_fill_primary(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuDevicePrimaryCtxRetain);
	SOFT_SLOT(d, cuDevicePrimaryCtxRelease_v2);
	SOFT_SLOT(d, cuDevicePrimaryCtxReset_v2);
	SOFT_SLOT(d, cuDevicePrimaryCtxSetFlags_v2);
	SOFT_SLOT(d, cuDevicePrimaryCtxGetState);
}
