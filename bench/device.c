/* SPDX-License-Identifier: MIT */
/* The device of a benchmark, see device.h. Any thread; made once. */
#include <pthread.h>

#include "device.h"

const char device_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry empty()\n{\n	ret;\n}\n"
	".visible .entry ten(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 d, .param .u32 e,\n"
	"	.param .u64 f, .param .u64 g, .param .u32 h, .param .u32 i, .param .u64 j)\n"
	"{\n	ret;\n}\n"
	".visible .entry wide(.param .align 8 .b8 a[4096])\n{\n	ret;\n}\n";

static struct device device;
static bool made;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
	struct device *d = &device;

	made = !cuInit(0) && !cuDevicePrimaryCtxRetain(&d->context, 0) && !cuCtxSetCurrent(d->context) &&
	       !cuModuleLoadData(&d->module, device_ptx) && !cuModuleGetFunction(&d->empty, d->module, "empty") &&
	       !cuModuleGetFunction(&d->ten, d->module, "ten") && !cuModuleGetFunction(&d->wide, d->module, "wide");
}

const struct device *device_find(void)
{
	pthread_once(&once, make);
	return made && !cuCtxSetCurrent(device.context) ? &device : NULL;
}

const struct device *device_open(struct gbench *b)
{
	const struct device *d = device_find();

	if (!d)
		gbench_fail(b, "no device");
	return d;
}

CUresult device_launch(const struct device *d, CUfunction f, CUstream stream)
{
	static uint64_t block[DEVICE_WIDE / sizeof(uint64_t)];
	static void *const ten[DEVICE_TEN] = { block, block, block, block, block, block, block, block, block, block };
	static void *const wide[] = { block };

	return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, (void **)(f == d->ten ? ten : wide), NULL);
}
