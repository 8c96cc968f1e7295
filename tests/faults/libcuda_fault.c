/* SPDX-License-Identifier: MIT */
/*
 * A libcuda.so.1 for tests: the soft device behind the door through which the worker gets the real driver, and it
 * misbehaves when told.  Exports only cuGetProcAddress_v2.  What it does wrong stands in the file that VGPU_FAULT_FILE
 * names, one "KEY NUMBER" a line, read once by each process (so the next worker can have a driver that is well):
 *
 *	init CODE	cuInit returns it
 *	version N	cuDriverGetVersion says N
 *	devices N	as many devices; 0: none
 *	context CODE	cuDevicePrimaryCtxRetain returns it
 *	alloc CODE	cuMemAlloc returns it
 *	pin MIB		cuMemHostRegister refuses more than so much in all with CUDA_ERROR_OUT_OF_MEMORY
 *	write CODE	cuStreamWriteValue64 returns it
 *	lost N		after N calls of those counted below, all of them return CUDA_ERROR_DEVICE_UNAVAILABLE
 *	missing NAME	there is no such function
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>

#include "soft/soft.h"

CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version, cuuint64_t flags,
			     CUdriverProcAddressQueryResult *status);

static struct {
	int init, version, context, alloc, write;
	unsigned int devices;
	long pin;		/* bytes that can be registered, -1: all */
	long lost;		/* calls that still work, -1: all */
	char missing[64];
} fault = { .devices = 1, .pin = -1, .lost = -1 };

static struct vgpu_driver table;
static const struct vgpu_driver *soft;
static _Atomic long calls;

static void read_line(const char *line)
{
	char key[32], value[64];
	long n;

	if (sscanf(line, "%31s %63s", key, value) != 2)
		return;
	n = strtol(value, NULL, 10);
	if (!strcmp(key, "init"))
		fault.init = (int)n;
	else if (!strcmp(key, "version"))
		fault.version = (int)n;
	else if (!strcmp(key, "devices"))
		fault.devices = (unsigned int)n;
	else if (!strcmp(key, "context"))
		fault.context = (int)n;
	else if (!strcmp(key, "alloc"))
		fault.alloc = (int)n;
	else if (!strcmp(key, "pin"))
		fault.pin = n << 20;
	else if (!strcmp(key, "write"))
		fault.write = (int)n;
	else if (!strcmp(key, "lost"))
		fault.lost = n;
	else if (!strcmp(key, "missing"))
		memcpy(fault.missing, value, sizeof(value));
}

static void read_file(void)
{
	const char *path = getenv("VGPU_FAULT_FILE");
	FILE *f = path ? fopen(path, "re") : NULL;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		read_line(line);
	if (f)
		fclose(f);
}

/* One more call of those that notice a lost device. */
static bool lost(void)
{
	return fault.lost >= 0 && atomic_fetch_add(&calls, 1) >= fault.lost;
}

#define ALIVE(call) (lost() ? CUDA_ERROR_DEVICE_UNAVAILABLE : soft->call)

static CUresult f_cuInit(unsigned int flags)
{
	return fault.init ? (CUresult)fault.init : soft->cuInit(flags);
}

static CUresult f_cuDriverGetVersion(int *version)
{
	CUresult r = soft->cuDriverGetVersion(version);

	if (fault.version)
		*version = fault.version;
	return r;
}

static CUresult f_cuDeviceGetCount(int *count)
{
	CUresult r = soft->cuDeviceGetCount(count);

	if (!fault.devices)
		*count = 0;
	return r;
}

static CUresult f_cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice dev)
{
	return fault.context ? (CUresult)fault.context : soft->cuDevicePrimaryCtxRetain(ctx, dev);
}

static CUresult f_cuMemAlloc_v2(CUdeviceptr *p, size_t bytes)
{
	return fault.alloc ? (CUresult)fault.alloc : ALIVE(cuMemAlloc_v2(p, bytes));
}

/* As where memory may be locked only up to a limit. One thread registers; what it gives back is not counted. */
static CUresult f_cuMemHostRegister_v2(void *p, size_t bytes, unsigned int flags)
{
	static long pinned;
	CUresult r;

	if (fault.pin >= 0 && pinned + (long)bytes > fault.pin)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = soft->cuMemHostRegister_v2(p, bytes, flags);
	pinned += r ? 0 : (long)bytes;
	return r;
}

static CUresult f_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr at, cuuint64_t value, unsigned int flags)
{
	return fault.write ? (CUresult)fault.write : ALIVE(cuStreamWriteValue64_v2(stream, at, value, flags));
}

static CUresult f_cuStreamQuery(CUstream stream)
{
	return ALIVE(cuStreamQuery(stream));
}

static CUresult f_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
	return ALIVE(cuMemcpyHtoDAsync_v2(dst, src, bytes, stream));
}

static CUresult f_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
	return ALIVE(cuMemcpyDtoHAsync_v2(dst, src, bytes, stream));
}

#define WRAP(name) (table.name = f_##name)

static void prepare(void)
{
	struct vgpu_soft_config config = { .seed = (uint64_t)(uintptr_t)&config };

	read_file();
	config.devices = fault.devices;
	vgpu_soft_configure(&config);
	soft = vgpu_soft_driver();
	table = *soft;
	WRAP(cuInit);
	WRAP(cuDriverGetVersion);
	WRAP(cuDeviceGetCount);
	WRAP(cuDevicePrimaryCtxRetain);
	WRAP(cuMemAlloc_v2);
	WRAP(cuMemHostRegister_v2);
	WRAP(cuStreamWriteValue64_v2);
	WRAP(cuStreamQuery);
	WRAP(cuMemcpyHtoDAsync_v2);
	WRAP(cuMemcpyDtoHAsync_v2);
}

__attribute__((visibility("default")))
CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version, cuuint64_t flags,
			     CUdriverProcAddressQueryResult *status)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)flags;
	(void)status;
	pthread_once(&once, prepare);
	*fn = NULL;
	for (size_t i = 0; i < VGPU_DRIVER_SLOTS; i++) {
		const struct vgpu_driver_slot *slot = &vgpu_driver_slots[i];

		if (!strcmp(slot->base, symbol) && slot->since == version && strcmp(slot->symbol, fault.missing))
			memcpy(fn, (const char *)&table + slot->offset, sizeof(*fn));
	}
	return *fn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
