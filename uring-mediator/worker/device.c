/* SPDX-License-Identifier: MIT */
/* Choice and initialisation of the backend, see device.h. The worker's only thread, once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>

#include "control.h"
#include "device.h"
#include "log.h"
#include "soft/soft.h"

static void soft_log(void *ctx, enum vgpu_soft_level level, const char *line)
{
	(void)ctx;
	vgpu_log((int)level, NULL, "soft device: %s", line);
}

static int fail(char *why, size_t size, const char *what, CUresult r)
{
	if (r)
		snprintf(why, size, "%s: CUDA error %d", what, r);
	else
		snprintf(why, size, "%s", what);
	return -ENODEV;
}

/* Initialise whatever table d->drv is: device 0 must give us its primary context. */
static int start(struct vgpu_device *d, char *why, size_t size)
{
	const struct vgpu_driver *drv = d->drv;
	int count = 0;
	CUresult r = drv->cuInit(0);

	if (r)
		return fail(why, size, "the driver does not initialise", r);
	if (drv->cuDriverGetVersion)
		drv->cuDriverGetVersion(&d->driver_version);
	r = drv->cuDeviceGetCount(&count);
	if (r || count <= 0)
		return fail(why, size, "the driver has no device", r);
	d->count = (uint32_t)count;
	drv->cuDeviceGetName(d->name, sizeof(d->name), 0);
	d->name[sizeof(d->name) - 1] = 0;
	r = drv->cuDevicePrimaryCtxRetain(&d->primary, 0);
	if (!r)
		r = drv->cuCtxSetCurrent(d->primary);
	if (!r && drv->cuStreamCreate)
		r = drv->cuStreamCreate(&d->probe, CU_STREAM_NON_BLOCKING);
	return r ? fail(why, size, "device 0 gives no context", r) : 0;
}

/* Room that later allocations may take: twice the memory of all devices, for fragments, and the arena's mappings. */
static uint64_t spare_of(const struct vgpu_device *d)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < d->count; i++) {
		size_t bytes = 0;

		if (!d->drv->cuDeviceTotalMem_v2(&bytes, (CUdevice)i))
			sum += bytes;
	}
	return 2 * sum + (64ull << 30);
}

/*
 * Have the driver make its default memory pool now, so that the pool's addresses are part of the offer.  A driver
 * without pools has nothing to warm.
 */
static void warm_pool(const struct vgpu_driver *drv)
{
	CUdeviceptr p;

	if (!drv->cuMemAllocAsync || !drv->cuMemFreeAsync || !drv->cuStreamSynchronize)
		return;
	if (!drv->cuMemAllocAsync(&p, 1, NULL)) {
		drv->cuMemFreeAsync(p, NULL);
		drv->cuStreamSynchronize(NULL);	/* the pool's threshold is 0: its memory goes back now */
	}
}

static int open_cuda(struct vgpu_device *d, const char *devices, char *why, size_t size)
{
	int ret;

	d->backend = VGPU_BACKEND_CUDA;
	/* The driver itself knows how to hide devices; it reads this once, in cuInit. */
	if (strcmp(devices, "all")) {
		setenv("CUDA_VISIBLE_DEVICES", devices, 1);
		/* Numbers mean what nvidia-smi and a monitor mean by them. */
		setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);
	}
	d->drv = vgpu_cuda_driver(why, size);
	d->image_mentions = vgpu_soft_image_mentions;
	ret = d->drv ? start(d, why, size) : -ENODEV;
	if (ret)
		return ret;
	warm_pool(d->drv);
	d->range_count = vgpu_maps_driver_ranges(d->ranges, VGPU_MAX_RANGES - 2, spare_of(d));
	return 0;
}

static int open_soft(struct vgpu_device *d, unsigned int soft_devices, char *why, size_t size)
{
	struct vgpu_soft_config config = {
		.log = soft_log, .devices = soft_devices, .busy_ns = &d->stats->busy_ns,
		.busy_since = &d->stats->busy_since,
	};
	int n, ret;

	config.seed = (uint64_t)(uintptr_t)d;	/* differs from worker to worker, so that conflicts can be evaded */
	vgpu_soft_configure(&config);
	d->backend = VGPU_BACKEND_SOFT;
	d->drv = vgpu_soft_driver();
	d->limit_image = vgpu_soft_set_image_limit;
	d->share = vgpu_soft_share;
	d->share_event = vgpu_soft_share_event;
	d->open_event = vgpu_soft_open_event;
	d->share_pointer = vgpu_soft_share_pointer;
	d->open_pointer = vgpu_soft_open_pointer;
	d->image_mentions = vgpu_soft_image_mentions;
	n = vgpu_soft_ranges(d->ranges, VGPU_MAX_RANGES - 2);
	if (n < 0 || n > (int)VGPU_MAX_RANGES - 2) {
		snprintf(why, size, "no address space for the soft device");
		return -ENODEV;
	}
	d->range_count = (uint32_t)n;
	ret = start(d, why, size);
	return ret;
}

int vgpu_device_open(struct vgpu_device *d, struct vgpu_worker_stats *stats, enum vgpu_device_choice choice,
		     const char *devices, unsigned int soft_devices, char *why, size_t size)
{
	int ret;

	*d = (struct vgpu_device){ .stats = stats };
	if (choice == VGPU_DEVICE_SOFT) {
		ret = open_soft(d, soft_devices, why, size);
		if (!ret)
			vgpu_log(VGPU_LOG_INFO, NULL, "device: soft, as asked");
		return ret;
	}
	ret = open_cuda(d, devices, why, size);
	if (!ret) {
		vgpu_log(VGPU_LOG_INFO, NULL, "device: cuda, %u of them, first is %s, driver %d", d->count, d->name,
			 d->driver_version);
		return 0;
	}
	if (choice == VGPU_DEVICE_CUDA)
		return ret;
	vgpu_log(VGPU_LOG_NOTICE, NULL, "device: soft, because there is no usable GPU (%s)", why);
	*d = (struct vgpu_device){ .stats = d->stats };
	return open_soft(d, soft_devices, why, size);
}
