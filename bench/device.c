/* SPDX-License-Identifier: MIT */
/* The device of a benchmark, see device.h. Any thread; made once. */
#include <pthread.h>

#include "device.h"

/* driver_kernels.c */
extern const char bench_ptx[];

static struct device device;
static bool made;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
	struct device *d = &device;

	made = !cuInit(0) && !cuDevicePrimaryCtxRetain(&d->context, 0) && !cuCtxSetCurrent(d->context) &&
	       !cuModuleLoadData(&d->module, bench_ptx) && !cuModuleGetFunction(&d->empty, d->module, "empty") &&
	       !cuModuleGetFunction(&d->ten, d->module, "ten") && !cuModuleGetFunction(&d->wide, d->module, "wide") &&
	       !cuModuleGetFunction(&d->mix, d->module, "mix");
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
