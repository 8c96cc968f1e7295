/* SPDX-License-Identifier: MIT */
/*
 * Calls of the worker's own, between those of the guest's threads, which are all one thread to the driver: some would end a
 * capture that the guest has begun. With the mode relaxed the driver lets them pass.
 */
#ifndef VGPU_WORKER_CAPTURE_MODE_H
#define VGPU_WORKER_CAPTURE_MODE_H

#include <gen/driver_table.h>

/* Sets this thread's mode. The one before, to be set again afterwards. */
static inline CUstreamCaptureMode vgpu_capture_mode(const struct vgpu_driver *drv, CUstreamCaptureMode mode)
{
	if (drv->cuThreadExchangeStreamCaptureMode)
		drv->cuThreadExchangeStreamCaptureMode(&mode);
	return mode;
}

#endif
