/* SPDX-License-Identifier: MIT */
/* Memory pools: attributes, and the pools that devices have without being made. */
#include <pthread.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "device.h"
#include "handle.h"
#include "thread.h"

/* The default pool of each device, and the one that is current. */
static struct {
	pthread_mutex_t lock;
	uint64_t standard[VGPU_DEVICES];
	CUmemoryPool current[VGPU_DEVICES];	/* NULL: the default one */
} pools = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_int(CUmemPool_attribute attr)
{
	return attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

static CUresult look(CUmemoryPool pool, CUmemPool_attribute attr, const void *value, uint64_t *wire)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!value || attr < CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES || attr > CU_MEMPOOL_ATTR_USED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_handle_wire(VGPU_HANDLE_MEMPOOL, pool, wire);
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	struct vgpu_args_mempool_set_attribute *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = look(pool, attr, value, &wire);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_mempool_set_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->pool = wire;
	a->attribute = attr;
	memcpy(&a->value, value, is_int(attr) ? sizeof(int) : sizeof(uint64_t));
	return vgpu_call_finish(&c);
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	const struct vgpu_ret_mempool_get_attribute *o;
	struct vgpu_args_mempool_get_attribute *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = look(pool, attr, value, &wire);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_mempool_get_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->pool = wire;
	a->attribute = attr;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		memcpy(value, &o->value, is_int(attr) ? sizeof(int) : sizeof(uint64_t));
	}
	vgpu_call_end(&c);
	return r;
}

/* Bind an id to the default pool of a device. Under the lock. */
static CUresult fetch(CUdevice dev)
{
	struct vgpu_args_mempool_of_device *a;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_MEMPOOL, &wire);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_mempool_of_device, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (!r) {
		a = c.args;
		a->pool = wire;
		a->device = vgpu_device_real(dev);
		r = vgpu_call_finish(&c);
	}
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_MEMPOOL, wire);
	else
		pools.standard[dev] = wire;
	return r;
}

static CUresult of_device(CUmemoryPool *pool, CUdevice dev, bool current)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	vgpu_lock(&pools.lock);
	if (!pools.standard[dev])
		r = fetch(dev);
	if (!r)
		*pool = current && pools.current[dev] ? pools.current[dev] :
							vgpu_handle_app(VGPU_HANDLE_MEMPOOL, pools.standard[dev]);
	vgpu_unlock(&pools.lock);
	return r;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
	return of_device(pool_out, dev, false);
}

CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	return of_device(pool, dev, true);
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!vgpu_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	r = vgpu_remote_cuDeviceSetMemPool(vgpu_device_real(dev), pool);
	if (r)
		return r;
	vgpu_lock(&pools.lock);
	pools.current[dev] = pool;
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
	CUresult r = vgpu_remote_cuMemPoolDestroy(pool);

	if (r)
		return r;
	/* Where it was the current one, the default one is again. */
	vgpu_lock(&pools.lock);
	for (int i = 0; i < VGPU_DEVICES; i++)
		if (pools.current[i] == pool)
			pools.current[i] = NULL;
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}

/* ---- by location: those of devices are the pools above ---- */

/* The device of a location's pool: 0, INVALID_VALUE, or NOT_SUPPORTED for pools that the device cannot have here. */
static CUresult device_of(const CUmemLocation *location, CUmemAllocationType type, CUdevice *dev)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!location)
		return CUDA_ERROR_INVALID_VALUE;
	if (type == CU_MEM_ALLOCATION_TYPE_MANAGED)
		return vgpu_unsupported("memory pools of managed memory");
	if (type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	*dev = location->id;
	switch (location->type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		return vgpu_unsupported("memory pools of the host");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *pool_props)
{
	CUdevice dev;
	CUresult r = vgpu_call_ready(0);

	if (!r && pool && pool_props)
		r = device_of(&pool_props->location, pool_props->allocType, &dev);
	return r ? r : vgpu_remote_cuMemPoolCreate(pool, pool_props);
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location, CUmemAllocationType type)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);

	return r ? r : of_device(pool_out, dev, false);
}

CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);

	return r ? r : of_device(pool, dev, true);
}

CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	CUdevice dev = 0;
	CUresult r = device_of(location, type, &dev);

	return r ? r : cuDeviceSetMemPool(dev, pool);
}
