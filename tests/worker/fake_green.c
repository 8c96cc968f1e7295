/* SPDX-License-Identifier: MIT */
/* Resources and green contexts of the driver that checks its caller: it takes back only what it has given. One thread. */
#include <string.h>

#include "fake_parts.h"

#define SMS	132u
#define SECRET	0x7365637265740000ull	/* in the part of a resource that only a driver understands */

static unsigned int part_count;

static void tell(CUdevResource *r, unsigned int count, unsigned int number)
{
	uint64_t secret = SECRET + number;

	r->type = CU_DEV_RESOURCE_TYPE_SM;
	memcpy(r->_internal_padding, &secret, sizeof(secret));
	r->sm.smCount = count;
	r->sm.minSmPartitionSize = 8;
	r->sm.smCoscheduledAlignment = 8;
}

static void check_resource(const CUdevResource *r)
{
	uint64_t secret;

	memcpy(&secret, r->_internal_padding, sizeof(secret));
	fake_insist(r->type == CU_DEV_RESOURCE_TYPE_SM && secret >= SECRET && secret <= SECRET + part_count,
		    "a resource that it did not make");
}

static CUresult f_device_resource(CUdevice d, CUdevResource *r, CUdevResourceType type)
{
	(void)d;
	(void)type;
	if (!fake.result)
		tell(r, SMS, 0);
	return fake.result;
}

static CUresult f_split(CUdevResource *out, unsigned int *count, const CUdevResource *in, CUdevResource *rest,
			unsigned int flags, unsigned int least)
{
	unsigned int most;

	(void)flags;
	check_resource(in);
	if (!least || least > in->sm.smCount)
		return CUDA_ERROR_INVALID_VALUE;
	most = in->sm.smCount / least;
	*count = out && *count < most ? *count : most;
	for (unsigned int i = 0; out && i < *count; i++)
		tell(&out[i], least, ++part_count);
	if (rest && in->sm.smCount > *count * least)
		tell(rest, in->sm.smCount - *count * least, ++part_count);
	return fake.result;
}

static CUresult f_describe(CUdevResourceDesc *desc, CUdevResource *r, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		check_resource(&r[i]);
	if (!fake.result)
		*desc = fake_make(VGPU_HANDLE_RESOURCEDESC, NULL);
	return fake.result;
}

static CUresult f_create(CUgreenCtx *out, CUdevResourceDesc desc, CUdevice d, unsigned int flags)
{
	(void)d;
	(void)flags;
	fake_check(desc, VGPU_HANDLE_RESOURCEDESC);
	if (!fake.result)
		*out = fake_make(VGPU_HANDLE_GREENCTX, NULL);
	return fake.result;
}

static CUresult f_context(CUcontext *out, CUgreenCtx green)
{
	*out = (CUcontext)fake_check(green, VGPU_HANDLE_GREENCTX);
	return fake.result;
}

static CUresult f_green_resource(CUgreenCtx green, CUdevResource *r, CUdevResourceType type)
{
	fake_check(green, VGPU_HANDLE_GREENCTX);
	return f_device_resource(0, r, type);
}

static CUresult f_destroy(CUgreenCtx green)
{
	fake_insist(fake.current != (CUcontext)green, "the current context to destroy");
	fake_destroy(fake_check(green, VGPU_HANDLE_GREENCTX));
	return fake.result;
}

void fake_fill_green(struct vgpu_driver *t)
{
	t->cuDeviceGetDevResource = f_device_resource;
	t->cuDevSmResourceSplitByCount = f_split;
	t->cuDevResourceGenerateDesc = f_describe;
	t->cuGreenCtxCreate = f_create;
	t->cuCtxFromGreenCtx = f_context;
	t->cuGreenCtxGetDevResource = f_green_resource;
	t->cuGreenCtxDestroy = f_destroy;
}
