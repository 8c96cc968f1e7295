/* SPDX-License-Identifier: MIT */
/*
 * Memory pools: attributes, and the pools that devices have without being made. What is asked of a pool of the host or of
 * managed memory is answered by host_pool.c.
 */
#include <pthread.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "device.h"
#include "handle.h"
#include "host_pool.h"
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
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!value || attr < CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES || attr > CU_MEMPOOL_ATTR_USED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_handle_wire(VGPU_HANDLE_MEMPOOL, pool, wire);
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	struct vgpu_args_mempool_set_attribute *a;
	struct vgpu_host_pool *host;
	struct vgpu_call c;
	uint64_t wire, v = 0;
	CUresult r;

	r = look(pool, attr, value, &wire);
	if (r)
		return r;
	memcpy(&v, value, is_int(attr) ? sizeof(int) : sizeof(v));
	host = vgpu_host_pool_find(pool);
	if (host)
		return vgpu_host_pool_set(host, attr, v);
	r = vgpu_call_begin(&c, VGPU_OP_mempool_set_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->pool = wire;
	a->attribute = attr;
	a->value = v;
	return vgpu_call_finish(&c);
}

static CUresult fetch_attribute(uint64_t wire, CUmemPool_attribute attr, uint64_t *v)
{
	const struct vgpu_ret_mempool_get_attribute *o;
	struct vgpu_args_mempool_get_attribute *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_mempool_get_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->pool = wire;
	a->attribute = attr;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*v = o->value;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
	struct vgpu_host_pool *host;
	uint64_t wire, v;
	CUresult r;

	r = look(pool, attr, value, &wire);
	if (r)
		return r;
	host = vgpu_host_pool_find(pool);
	r = host ? vgpu_host_pool_get(host, attr, &v) : fetch_attribute(wire, attr, &v);
	if (!r)
		memcpy(value, &v, is_int(attr) ? sizeof(int) : sizeof(v));
	return r;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t min_bytes_to_keep)
{
	struct vgpu_host_pool *host = vgpu_host_pool_find(pool);
	CUresult r;

	if (!host)
		return vgpu_remote_cuMemPoolTrimTo(pool, min_bytes_to_keep);
	r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	return r ? r : vgpu_host_pool_trim(host, min_bytes_to_keep);
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc *map, size_t count)
{
	struct vgpu_host_pool *host = vgpu_host_pool_find(pool);
	CUresult r;

	if (!host)
		return vgpu_remote_cuMemPoolSetAccess(pool, map, count);
	r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	if (r)
		return r;
	return map && count ? vgpu_host_pool_set_access(host, map, count) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool mem_pool, CUmemLocation *location)
{
	struct vgpu_host_pool *host = vgpu_host_pool_find(mem_pool);
	CUresult r;

	if (!host)
		return vgpu_remote_cuMemPoolGetAccess(flags, mem_pool, location);
	r = vgpu_call_ready(VGPU_CALL_UNSAFE);
	if (r)
		return r;
	return flags && location ? vgpu_host_pool_get_access(host, location, flags) : CUDA_ERROR_INVALID_VALUE;
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
	if (!vgpu_device_valid(dev))	/* as natively */
		return current ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_DEVICE;
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
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!vgpu_device_valid(dev) || vgpu_host_pool_find(pool))	/* that is no memory of the device's */
		return CUDA_ERROR_INVALID_VALUE;
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
	struct vgpu_host_pool *host = vgpu_host_pool_find(pool);
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (!r)
		r = host ? vgpu_host_pool_destroy(host) : vgpu_remote_cuMemPoolDestroy(pool);
	if (r || host)
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

/* The location of a pool: 0, or what is wrong with it. *host: the pool is one of host_pool.c. */
static CUresult check_place(const CUmemLocation *location, CUmemAllocationType type, bool *host)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!location)
		return CUDA_ERROR_INVALID_VALUE;
	*host = vgpu_host_pool_serves(location, type);
	return *host || (type == CU_MEM_ALLOCATION_TYPE_PINNED && location->type == CU_MEM_LOCATION_TYPE_DEVICE) ?
		CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *pool_props)
{
	bool host = false;
	CUresult r = vgpu_call_ready(0);

	if (!r && pool && pool_props)
		r = check_place(&pool_props->location, pool_props->allocType, &host);
	if (!r && host)
		r = vgpu_capture_unsafe();
	if (r)
		return r;
	return host ? vgpu_host_pool_create(pool, pool_props) : vgpu_remote_cuMemPoolCreate(pool, pool_props);
}

/* The same where a pool is not made but chosen, with the answers that driver 580 has there. */
static CUresult check_choice(const CUmemLocation *location, CUmemAllocationType type, bool *host)
{
	CUresult r = check_place(location, type, host);

	if (r)
		return location && ((int)location->type < 0 || location->type > CU_MEM_LOCATION_TYPE_HOST_NUMA) ?
			       CUDA_ERROR_NOT_SUPPORTED : r;
	return *host || vgpu_device_valid(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult of_place(CUmemoryPool *pool, const CUmemLocation *location, CUmemAllocationType type, bool current)
{
	bool host;
	CUresult r = check_choice(location, type, &host);

	if (r)
		return r;
	return host ? vgpu_host_pool_of(location, type, current, pool) : of_device(pool, location->id, current);
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location, CUmemAllocationType type)
{
	return of_place(pool_out, location, type, false);
}

CUresult cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	return of_place(pool, location, type, true);
}

CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	bool host;
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (!r)
		r = check_choice(location, type, &host);
	if (r)
		return r;
	return host ? vgpu_host_pool_make_current(location, type, pool) : cuDeviceSetMemPool(location->id, pool);
}
