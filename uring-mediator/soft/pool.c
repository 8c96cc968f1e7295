/* SPDX-License-Identifier: MIT */
/*
 * Memory pools and allocation in stream order. Memory is taken from the heap at the call and given back by an
 * operation in the stream, so pools hold nothing in reserve: they are limits, attributes and accounts. A mutex guards
 * the array of pools; each device's default pool is in it from the start.
 */
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "context.h"
#include "graph.h"
#include "memory.h"
#include "pool.h"

#define MAX_POOLS 256

struct free_op {
	struct soft_op op;
	struct soft_region region;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct soft_pool *pools[MAX_POOLS];
static uint64_t default_pool[SOFT_MAX_DEVICES], current_pool[SOFT_MAX_DEVICES]; /* handles */

static void release_pool(struct soft_object *o)
{
	struct soft_pool *p = (struct soft_pool *)o;

	pthread_mutex_lock(&lock);
	pools[p->number] = NULL;
	pthread_mutex_unlock(&lock);
	free(p);
}

/* Lock held. */
static struct soft_pool *new_pool(int device, uint64_t max_size)
{
	struct soft_pool *p = calloc(1, sizeof(*p));
	uint32_t i = 0;

	while (i < MAX_POOLS && pools[i])
		i++;
	if (!p || i == MAX_POOLS) {
		free(p);
		return NULL;
	}
	soft_object_init(&p->obj, SOFT_POOL, NULL, release_pool);
	p->number = i;
	p->device = device;
	p->max_size = max_size;
	p->reuse[0] = p->reuse[1] = p->reuse[2] = 1;
	if (soft_bind(&p->obj) < 0) {
		free(p);
		return NULL;
	}
	pools[i] = p;
	return p;
}

struct soft_pool *soft_pool_make(int device, uint64_t max_size)
{
	struct soft_pool *p;

	pthread_mutex_lock(&lock);
	p = new_pool(device, max_size);
	pthread_mutex_unlock(&lock);
	return p;
}

struct soft_pool *soft_pool_of(uint32_t tag)
{
	struct soft_pool *p = NULL;

	pthread_mutex_lock(&lock);
	if (tag & SOFT_TAG_POOL && tag >> SOFT_TAG_POOL_NUMBER < MAX_POOLS)
		p = pools[tag >> SOFT_TAG_POOL_NUMBER];
	p = p ? soft_get(p->obj.handle, SOFT_POOL) : NULL;
	pthread_mutex_unlock(&lock);
	return p;
}

/* The device's default pool or the one that was set; 0 for want of memory. */
static uint64_t device_pool(int device, const uint64_t *which)
{
	struct soft_pool *p;
	uint64_t handle;

	pthread_mutex_lock(&lock);
	if (!default_pool[device]) {
		p = new_pool(device, 0);
		if (p)
			default_pool[device] = current_pool[device] = p->obj.handle;
	}
	handle = which[device];
	pthread_mutex_unlock(&lock);
	return handle;
}

/* Lock held. A block may outlive its pool and be counted to the next pool with that number: never below nothing. */
static void uncount(struct soft_pool *p, uint64_t size)
{
	p->used -= size < p->used ? size : p->used;
}

void soft_pool_freed(uint32_t tag, uint64_t size)
{
	struct soft_pool *p;

	if (!(tag & SOFT_TAG_POOL))
		return;
	pthread_mutex_lock(&lock);
	p = pools[tag >> SOFT_TAG_POOL_NUMBER];
	if (p)
		uncount(p, size);
	pthread_mutex_unlock(&lock);
}

void soft_pool_forget(struct soft_context *ctx)
{
	uint32_t i, mask = SOFT_TAG_CONTEXT | SOFT_TAG_POOL | ~0u << SOFT_TAG_POOL_NUMBER;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_POOLS; i++)
		if (pools[i])
			uncount(pools[i], soft_heap_sum(&ctx->device->heap, mask,
							ctx->index | SOFT_TAG_POOL | i << SOFT_TAG_POOL_NUMBER));
	pthread_mutex_unlock(&lock);
}

/* Lock held. */
static void count(struct soft_pool *p, uint64_t size)
{
	p->used += size;
	if (p->used > p->high)
		p->high = p->used;
}

void soft_pool_count(struct soft_pool *p, uint64_t size)
{
	pthread_mutex_lock(&lock);
	count(p, size);
	pthread_mutex_unlock(&lock);
}

static CUresult take(struct soft_pool *p, struct soft_context *ctx, size_t size, CUdeviceptr *out)
{
	uint64_t start;
	CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

	if (p->imported)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&lock);
	if ((!p->max_size || (size <= p->max_size && p->used <= p->max_size - size)) &&
	    !soft_heap_alloc(&soft_devices[p->device].heap, size,
			     ctx->index | SOFT_TAG_POOL | p->number << SOFT_TAG_POOL_NUMBER, &start)) {
		count(p, size);
		*out = start;
		rc = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

static CUresult capture_alloc(struct soft_stream *s, size_t size, CUdeviceptr *out)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC };
	struct soft_node *n;
	CUresult rc;

	p.alloc.bytesize = size;
	rc = soft_capture(s, &p, &n);
	if (!rc)
		*out = n->memory->start;
	return rc;
}

static CUresult capture_free(struct soft_stream *s, CUdeviceptr dptr)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEM_FREE };

	p.free.dptr = dptr;
	return soft_capture(s, &p, NULL);
}

static CUresult allocate(CUdeviceptr *dptr, size_t size, CUmemoryPool pool, CUstream stream)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	struct soft_pool *p;
	uint64_t handle = (uint64_t)(uintptr_t)pool;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!dptr || !size)
		return CUDA_ERROR_INVALID_VALUE;
	rc = soft_stream_of(ctx, stream, &s);
	if (rc)
		return rc;
	if (soft_captured(s)) {
		rc = capture_alloc(s, size, dptr);
		soft_put(&s->obj);
		return rc;
	}
	if (!handle)
		handle = device_pool(s->obj.ctx->device->ordinal, current_pool);
	p = soft_get(handle, SOFT_POOL);
	rc = p ? take(p, ctx, size, dptr) : CUDA_ERROR_INVALID_VALUE;
	if (p)
		soft_put(&p->obj);
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuMemAllocAsync(CUdeviceptr *dptr, size_t size, CUstream stream)
{
	return allocate(dptr, size, NULL, stream);
}

static CUresult soft_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t size, CUmemoryPool pool, CUstream stream)
{
	return pool ? allocate(dptr, size, pool, stream) : CUDA_ERROR_INVALID_VALUE;
}

static void run_free(struct soft_op *op)
{
	const struct soft_region *r = &((struct free_op *)op)->region;

	if (!soft_heap_free(&soft_devices[r->device].heap, r->start))
		soft_pool_freed(r->tag, r->size);
}

static CUresult soft_cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	struct free_op *f;
	struct soft_region r;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!soft_memory_find(dptr, &r) || r.start != dptr || r.kind != SOFT_MEM_DEVICE ||
	    r.tag & (SOFT_TAG_MODULE | SOFT_TAG_MAPPED))
		return CUDA_ERROR_INVALID_VALUE;
	rc = soft_stream_of(ctx, stream, &s);
	if (rc)
		return rc;
	if (soft_captured(s)) {
		rc = r.tag & SOFT_TAG_GRAPH ? capture_free(s, dptr) : CUDA_ERROR_INVALID_VALUE;
		soft_put(&s->obj);
		return rc;
	}
	if (r.tag & SOFT_TAG_GRAPH) {
		/* It keeps its place and is written by nobody before the next launch. */
		rc = soft_graph_memory_free(&r);
		soft_put(&s->obj);
		return rc;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	} else if (r.tag & SOFT_TAG_FREEING ||
		   soft_heap_retag(&soft_devices[r.device].heap, dptr, r.tag, r.tag | SOFT_TAG_FREEING) < 0) {
		free(f);
		rc = CUDA_ERROR_INVALID_VALUE;
	} else {
		f->region = r;
		f->op.run = run_free;
		f->op.quick = true;
		soft_submit(s, &f->op);
	}
	soft_put(&s->obj);
	return rc;
}

static bool location_valid(const CUmemLocation *l)
{
	return l->type == CU_MEM_LOCATION_TYPE_DEVICE && soft_device_get(l->id);
}

static CUresult soft_cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *props)
{
	struct soft_pool *p;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED || !location_valid(&props->location))
		return CUDA_ERROR_INVALID_VALUE;
	if (props->handleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
		soft_log(VGPU_SOFT_WARNING, "cuMemPoolCreate: pools are shared by file descriptors only");
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	p = soft_pool_make(props->location.id, props->maxSize);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (props->handleTypes)
		soft_pool_offer(p);
	*out = (CUmemoryPool)(uintptr_t)p->obj.handle;
	return CUDA_SUCCESS;
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_pool(CUmemoryPool handle, bool arguments_ok, struct soft_pool **p)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	*p = arguments_ok ? soft_get((uint64_t)(uintptr_t)handle, SOFT_POOL) : NULL;
	return *p ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuMemPoolDestroy(CUmemoryPool handle)
{
	uint64_t h = (uint64_t)(uintptr_t)handle;
	struct soft_pool *p;
	int d;
	CUresult rc = enter_pool(handle, true, &p);

	if (rc)
		return rc;
	d = p->device;
	soft_put(&p->obj);
	pthread_mutex_lock(&lock);
	if (default_pool[d] == h)
		rc = CUDA_ERROR_INVALID_VALUE;
	else if (current_pool[d] == h)
		current_pool[d] = default_pool[d];
	pthread_mutex_unlock(&lock);
	if (rc)
		return rc;
	p = soft_take(h, SOFT_POOL);
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	soft_put(&p->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemPoolTrimTo(CUmemoryPool handle, size_t keep)
{
	struct soft_pool *p;
	CUresult rc = enter_pool(handle, true, &p);

	(void)keep; /* nothing is held in reserve */
	if (!rc)
		soft_put(&p->obj);
	return rc;
}

static CUresult soft_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *map, size_t count)
{
	struct soft_pool *p;
	size_t i;
	CUresult rc = enter_pool(handle, map || !count, &p);

	if (rc)
		return rc;
	for (i = 0; i < count && !rc; i++) {
		if (!location_valid(&map[i].location))
			rc = CUDA_ERROR_INVALID_VALUE;
		else if (map[i].location.id == p->device && map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			rc = CUDA_ERROR_INVALID_VALUE;
	}
	soft_put(&p->obj);
	return rc;
}

static CUresult soft_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle, CUmemLocation *location)
{
	struct soft_pool *p;
	CUresult rc = enter_pool(handle, flags && location, &p);

	if (rc)
		return rc;
	if (location_valid(location))
		*flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	else
		rc = CUDA_ERROR_INVALID_VALUE;
	soft_put(&p->obj);
	return rc;
}

/* Lock held. */
static CUresult get_attribute(const struct soft_pool *p, CUmemPool_attribute which, void *value)
{
	uint64_t *wide = value;

	switch (which) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)value = p->reuse[which - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*wide = p->threshold;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*wide = p->used;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*wide = p->high;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* Lock held. */
static CUresult set_attribute(struct soft_pool *p, CUmemPool_attribute which, const void *value)
{
	switch (which) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		p->reuse[which - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] = *(const int *)value != 0;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		p->threshold = *(const uint64_t *)value;
		return CUDA_SUCCESS;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (*(const uint64_t *)value)
			return CUDA_ERROR_INVALID_VALUE;
		p->high = p->used;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult soft_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute which, void *value)
{
	struct soft_pool *p;
	CUresult rc = enter_pool(handle, value, &p);

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	rc = get_attribute(p, which, value);
	pthread_mutex_unlock(&lock);
	soft_put(&p->obj);
	return rc;
}

static CUresult soft_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute which, void *value)
{
	struct soft_pool *p;
	CUresult rc = enter_pool(handle, value, &p);

	if (rc)
		return rc;
	pthread_mutex_lock(&lock);
	rc = set_attribute(p, which, value);
	pthread_mutex_unlock(&lock);
	soft_put(&p->obj);
	return rc;
}

static CUresult get_device_pool(CUmemoryPool *out, CUdevice dev, const uint64_t *which)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	if (!soft_device_get(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	*out = (CUmemoryPool)(uintptr_t)device_pool(dev, which);
	return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult soft_cuDeviceGetDefaultMemPool(CUmemoryPool *out, CUdevice dev)
{
	return get_device_pool(out, dev, default_pool);
}

static CUresult soft_cuDeviceGetMemPool(CUmemoryPool *out, CUdevice dev)
{
	return get_device_pool(out, dev, current_pool);
}

static CUresult soft_cuDeviceSetMemPool(CUdevice dev, CUmemoryPool handle)
{
	struct soft_pool *p;
	CUresult rc = enter_pool(handle, true, &p);

	if (rc)
		return rc;
	if (!soft_device_get(dev)) {
		rc = CUDA_ERROR_INVALID_DEVICE;
	} else if (p->device != dev || p->imported) {
		rc = CUDA_ERROR_INVALID_VALUE;
	} else {
		device_pool(dev, default_pool);
		pthread_mutex_lock(&lock);
		current_pool[dev] = p->obj.handle;
		pthread_mutex_unlock(&lock);
	}
	soft_put(&p->obj);
	return rc;
}

void soft_fill_pool(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemAllocAsync);
	SOFT_SLOT(d, cuMemAllocFromPoolAsync);
	SOFT_SLOT(d, cuMemFreeAsync);
	SOFT_SLOT(d, cuMemPoolCreate);
	SOFT_SLOT(d, cuMemPoolDestroy);
	SOFT_SLOT(d, cuMemPoolTrimTo);
	SOFT_SLOT(d, cuMemPoolSetAccess);
	SOFT_SLOT(d, cuMemPoolGetAccess);
	SOFT_SLOT(d, cuMemPoolGetAttribute);
	SOFT_SLOT(d, cuMemPoolSetAttribute);
	SOFT_SLOT(d, cuDeviceGetDefaultMemPool);
	SOFT_SLOT(d, cuDeviceGetMemPool);
	SOFT_SLOT(d, cuDeviceSetMemPool);
}
