/* SPDX-License-Identifier: MIT */
/*
 * What the guest answers by itself about a device, sent once; and the commands that concern nothing but the session.
 * The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

CUresult vgpu_handle_noop(struct vgpu_session *s, struct vgpu_request *rq)
{
	(void)s;
	(void)rq;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_ping(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ping *a = rq->args;
	struct vgpu_ret_ping *o = rq->ret;

	(void)s;
	o->cookie = a->cookie;
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_session_bye(struct vgpu_session *s, struct vgpu_request *rq)
{
	(void)rq;
	s->bye = true;
	return CUDA_SUCCESS;
}

static CUresult identity(const struct vgpu_driver *drv, CUdevice dev, struct vgpu_ret_device_snapshot *o)
{
	size_t bytes = 0;
	CUuuid uuid = { { 0 } };
	CUresult r = drv->cuDeviceTotalMem_v2(&bytes, dev);

	o->total_mem = bytes;
	if (!r)
		r = drv->cuDeviceGetName((char *)o->name, sizeof(o->name), dev);
	if (!r && drv->cuDeviceGetPCIBusId)
		r = drv->cuDeviceGetPCIBusId((char *)o->pci_bus_id, sizeof(o->pci_bus_id), dev);
	if (!r && drv->cuDeviceGetUuid) {
		r = drv->cuDeviceGetUuid(&uuid, dev);
		memcpy(o->uuid, uuid.bytes, sizeof(o->uuid));
	}
	if (!r && drv->cuDeviceGetUuid_v2) {
		r = drv->cuDeviceGetUuid_v2(&uuid, dev);
		memcpy(o->uuid_v2, uuid.bytes, sizeof(o->uuid_v2));
	}
	o->name[sizeof(o->name) - 1] = 0;
	o->pci_bus_id[sizeof(o->pci_bus_id) - 1] = 0;
	return r;
}

/* Attributes that this driver does not know stay 0. */
static void attributes(const struct vgpu_driver *drv, CUdevice dev, struct vgpu_ret_device_snapshot *o)
{
	const int most = (int)(sizeof(o->attributes) / sizeof(o->attributes[0]));
	int count = CU_DEVICE_ATTRIBUTE_MAX < most ? CU_DEVICE_ATTRIBUTE_MAX : most;

	for (int i = 1; i < count; i++)
		if (drv->cuDeviceGetAttribute(&o->attributes[i], (CUdevice_attribute)i, dev))
			o->attributes[i] = 0;
	o->attribute_count = count;
}

CUresult vgpu_handle_device_snapshot(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_device_snapshot *a = rq->args;
	struct vgpu_ret_device_snapshot *o = rq->ret;
	const struct vgpu_driver *drv = s->drv;
	CUresult r = CUDA_SUCCESS;
	int active = 0;

	if (a->device < 0 || (uint32_t)a->device >= s->device->count)
		return CUDA_ERROR_INVALID_DEVICE;
	o->device_count = (int32_t)s->device->count;
	o->driver_version = s->device->driver_version;
	r = identity(drv, a->device, o);
	if (r)
		return r;
	attributes(drv, a->device, o);
	if (drv->cuCtxGetStreamPriorityRange)
		r = drv->cuCtxGetStreamPriorityRange(&o->priority_least, &o->priority_greatest);
	if (!r && drv->cuDevicePrimaryCtxGetState)
		r = drv->cuDevicePrimaryCtxGetState(a->device, &o->primary_flags, &active);
	rq->ret_size = sizeof(*o);
	return r;
}
