/* SPDX-License-Identifier: MIT */
/*
 * Green contexts. They have streams of their own and a number of multiprocessors that adds up as on a GPU; which threads
 * of the machine run their kernels is not different for it. A descriptor is a number that says all: device and how many.
 */
#include <string.h>

#include "calls.h"
#include "context.h"

#define MARK 0x67726e00u /* in resources of this device */
#define DESC_MARK (1ull << 63)

/* What lies in the driver's part of a CUdevResource. */
struct part {
	uint32_t mark;
	uint32_t ordinal;
	uint64_t split; /* 0: as a device or context has it; else the number of the split that it came from */
};

static void set_resource(CUdevResource *r, const struct soft_device *d, uint64_t split, unsigned count)
{
	struct part p = { MARK, (uint32_t)d->ordinal, split };

	memset(r, 0, sizeof(*r));
	if (!count)
		return;
	r->type = CU_DEV_RESOURCE_TYPE_SM;
	memcpy(r->_internal_padding, &p, sizeof(p));
	r->sm.smCount = count;
	r->sm.minSmPartitionSize = 1;
	r->sm.smCoscheduledAlignment = 1;
}

/* The device of a resource. */
static CUresult get_part(const CUdevResource *r, struct part *p, struct soft_device **d)
{
	memcpy(p, r->_internal_padding, sizeof(*p));
	if (r->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	*d = p->mark == MARK ? soft_device_get((CUdevice)p->ordinal) : NULL;
	return *d ? CUDA_SUCCESS : CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
}

static CUresult tell(struct soft_device *d, unsigned count, CUdevResource *resource, CUdevResourceType type)
{
	if (!resource)
		return CUDA_ERROR_INVALID_VALUE;
	if (type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	set_resource(resource, d, 0, count);
	return CUDA_SUCCESS;
}

static CUresult soft_cuDeviceGetDevResource(CUdevice dev, CUdevResource *resource, CUdevResourceType type)
{
	struct soft_device *d = soft_device_get(dev);
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!d)
		return CUDA_ERROR_INVALID_DEVICE;
	return tell(d, (unsigned)soft_device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, d), resource, type);
}

static CUresult soft_cuCtxGetDevResource(CUcontext handle, CUdevResource *resource, CUdevResourceType type)
{
	struct soft_context *ctx;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	ctx = soft_context_get(handle);
	return ctx ? tell(ctx->device, ctx->num_sms, resource, type) : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult soft_cuDevSmResourceSplitByCount(CUdevResource *result, unsigned int *groups,
						 const CUdevResource *input, CUdevResource *remaining,
						 unsigned int flags, unsigned int minimum)
{
	static _Atomic uint64_t next_split = 1;
	struct soft_device *d;
	unsigned most, i;
	struct part p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!groups || !input || (result && !*groups) ||
	    flags & ~(CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING |
		      CU_DEV_SM_RESOURCE_SPLIT_MAX_POTENTIAL_CLUSTER_SIZE))
		return CUDA_ERROR_INVALID_VALUE;
	rc = get_part(input, &p, &d);
	if (rc)
		return rc;
	if (p.split || minimum > input->sm.smCount)
		return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	minimum = minimum ? minimum : 1;
	most = input->sm.smCount / minimum;
	*groups = result && *groups < most ? *groups : most;
	p.split = atomic_fetch_add(&next_split, 1);
	for (i = 0; result && i < *groups; i++)
		set_resource(&result[i], d, p.split, minimum);
	if (remaining)
		set_resource(remaining, d, p.split, input->sm.smCount - *groups * minimum);
	return CUDA_SUCCESS;
}

static CUresult soft_cuDevResourceGenerateDesc(CUdevResourceDesc *desc, CUdevResource *resources, unsigned int n)
{
	struct part first = { 0 }, p;
	struct soft_device *d = NULL;
	CUresult rc = soft_enter_any();
	uint64_t count = 0;
	unsigned i;

	if (!rc && (!desc || !resources || !n))
		rc = CUDA_ERROR_INVALID_VALUE;
	for (i = 0; !rc && i < n; i++) {
		rc = get_part(&resources[i], &p, &d);
		if (!i)
			first = p;
		else if (!rc && (!p.split || p.split != first.split))
			rc = CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
		count += resources[i].sm.smCount;
	}
	if (!rc && count > (unsigned)soft_device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, d))
		rc = CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	if (!rc)
		*desc = (CUdevResourceDesc)(uintptr_t)(DESC_MARK | (uint64_t)first.ordinal << 32 | count);
	return rc;
}

/* ---- contexts ---- */

static struct soft_context *green_of(CUgreenCtx handle)
{
	struct soft_context *ctx = soft_context_get((CUcontext)handle);

	return ctx && ctx->base != ctx ? ctx : NULL;
}

static CUresult soft_cuGreenCtxCreate(CUgreenCtx *out, CUdevResourceDesc desc, CUdevice dev, unsigned int flags)
{
	uint64_t d = (uint64_t)(uintptr_t)desc;
	struct soft_context *primary, *ctx;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !(d & DESC_MARK) || flags != CU_GREEN_CTX_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	if ((d & ~DESC_MARK) >> 32 != (uint64_t)dev)
		return CUDA_ERROR_INVALID_VALUE;
	rc = soft_primary_retain(soft_device_get(dev), &primary);
	if (rc)
		return rc;
	ctx = soft_context_make(primary->device, primary->flags, primary);
	if (!ctx) {
		soft_primary_release(primary->device);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	ctx->num_sms = (unsigned)d;
	*out = (CUgreenCtx)soft_context_handle(ctx);
	return CUDA_SUCCESS;
}

static CUresult soft_cuGreenCtxDestroy(CUgreenCtx handle)
{
	struct soft_context *ctx = green_of(handle);
	CUresult rc = soft_enter_poisoned();
	struct soft_device *d;

	if (rc)
		return rc;
	if (!ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	d = ctx->device;
	soft_context_free(ctx);
	return soft_primary_release(d);
}

static CUresult soft_cuCtxFromGreenCtx(CUcontext *out, CUgreenCtx handle)
{
	struct soft_context *ctx = green_of(handle);
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	*out = soft_context_handle(ctx);
	return CUDA_SUCCESS;
}

static CUresult soft_cuGreenCtxGetDevResource(CUgreenCtx handle, CUdevResource *resource, CUdevResourceType type)
{
	return soft_cuCtxGetDevResource(green_of(handle) ? (CUcontext)handle : NULL, resource, type);
}

void soft_fill_green(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuDeviceGetDevResource);
	SOFT_SLOT(d, cuCtxGetDevResource);
	SOFT_SLOT(d, cuDevSmResourceSplitByCount);
	SOFT_SLOT(d, cuDevResourceGenerateDesc);
	SOFT_SLOT(d, cuGreenCtxCreate);
	SOFT_SLOT(d, cuGreenCtxDestroy);
	SOFT_SLOT(d, cuCtxFromGreenCtx);
	SOFT_SLOT(d, cuGreenCtxGetDevResource);
}
