/* SPDX-License-Identifier: MIT */
/*
 * Memory pools of the host and of managed memory. An allocation is a block of the arena, had at once: earlier than its
 * stream would have it. A free is kept with a fence behind the stream's work, and the block goes back to the arena
 * when that has arrived and somebody asks a pool for anything. One mutex for all pools; the channel is used without it
 * where that may wait.
 *
 * A pool outlives its handle while memory of it is allocated or waits for its stream.
 */
#include "host_pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gen/cuda_api.h>

#include "call.h"
#include "context.h"
#include "device.h"
#include "handle.h"
#include "log.h"
#include "managed.h"
#include "memory.h"
#include "stream.h"
#include "thread.h"

#define BUCKETS		1024u
#define CHUNK		(2ull << 20)	/* what is reserved comes in pieces of it */
#define LOOK_AHEAD	8u		/* waiting frees that are asked for before the rest is left for later */

struct block {
	struct block *next;		/* in its bucket, or among the waiting ones */
	uint64_t start, size;
	struct vgpu_host_pool *pool;
	vgpu_fence freed;		/* when it waits: the stream's free */
};

struct vgpu_host_pool {
	struct vgpu_host_pool *next;	/* among those of locations */
	CUmemLocation location;
	CUmemAllocationType type;
	uint64_t wire;			/* 0: destroyed */
	bool standard;			/* of its location without being made */
	CUmemoryPool current;		/* of a standard one: the pool that is current instead, NULL: itself */
	uint64_t most;			/* bytes, 0: no limit */
	uint64_t reuse[3];		/* the three switches; nothing depends on them here */
	uint64_t threshold;
	uint64_t used, used_high, reserved_high;
	uint64_t blocks;		/* allocated or waiting */
	uint64_t access;		/* bit: device that was given access */
};

static struct {
	pthread_mutex_t lock;
	struct block *buckets[BUCKETS];
	struct block *waiting, **tail;
	struct vgpu_host_pool *standard;
} pools = { .lock = PTHREAD_MUTEX_INITIALIZER, .tail = &pools.waiting };

static bool is_managed(const struct vgpu_host_pool *p)
{
	return p->type == CU_MEM_ALLOCATION_TYPE_MANAGED;
}

/* ---- blocks; the lock is held ---- */

static struct block **bucket(uint64_t start)
{
	return &pools.buckets[start / VGPU_ARENA_MIN % BUCKETS];
}

static struct block *take(uint64_t start)
{
	struct block **at = bucket(start), *b;

	while (*at && (*at)->start != start)
		at = &(*at)->next;
	b = *at;
	if (b)
		*at = b->next;
	return b;
}

static uint64_t reserved(const struct vgpu_host_pool *p)
{
	return (p->used + CHUNK - 1) / CHUNK * CHUNK;
}

static void count(struct vgpu_host_pool *p, uint64_t bytes)
{
	p->used += bytes;
	p->blocks++;
	if (p->used > p->used_high)
		p->used_high = p->used;
	if (reserved(p) > p->reserved_high)
		p->reserved_high = reserved(p);
}

static void put_pool(struct vgpu_host_pool *p)
{
	if (!p->wire && !p->blocks)
		free(p);
}

/* The device is done with it. */
static void give_back(struct block *b)
{
	struct vgpu_host_pool *p = b->pool;

	vgpu_arena_free(&vgpu_arena, (void *)(uintptr_t)b->start);
	p->used -= b->size;
	p->blocks--;
	free(b);
	put_pool(p);
}

/* Give back what the streams have come to. A stream that does not get on must not make this long. */
static void sweep(void)
{
	struct block **at = &pools.waiting, *b;
	uint32_t left = LOOK_AHEAD;

	while ((b = *at) && left) {
		if (!vgpu_fence_done(b->freed)) {
			at = &b->next;
			left--;
			continue;
		}
		*at = b->next;
		if (pools.tail == &b->next)
			pools.tail = at;
		give_back(b);
	}
}

/* Until nothing waits, or a stream fails. */
static void sweep_all(void)
{
	vgpu_fence f;
	CUresult r = CUDA_SUCCESS;

	vgpu_lock(&pools.lock);
	while (!r && pools.waiting) {
		f = pools.waiting->freed;
		vgpu_unlock(&pools.lock);
		r = vgpu_fence_wait(f);
		vgpu_lock(&pools.lock);
		sweep();
	}
	vgpu_unlock(&pools.lock);
}

/* ---- pools ---- */

static bool is_host(CUmemLocationType type)
{
	return type == CU_MEM_LOCATION_TYPE_HOST || type == CU_MEM_LOCATION_TYPE_HOST_NUMA;
}

bool vgpu_host_pool_serves(const CUmemLocation *location, CUmemAllocationType type)
{
	return type == CU_MEM_ALLOCATION_TYPE_MANAGED ||
	       (type == CU_MEM_ALLOCATION_TYPE_PINNED && is_host(location->type));
}

/* Does this machine have that node of memory? One that does not say has the first. */
static bool is_node(int id)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", id);
	return !id || (id > 0 && !access(path, F_OK));
}

static CUresult check_location(const CUmemLocation *l, CUmemAllocationType type)
{
	switch (l->type) {
	case CU_MEM_LOCATION_TYPE_NONE:
		return type == CU_MEM_ALLOCATION_TYPE_MANAGED ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return vgpu_device_valid(l->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
	case CU_MEM_LOCATION_TYPE_HOST:
		return CUDA_SUCCESS;
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
		return is_node(l->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

struct vgpu_host_pool *vgpu_host_pool_find(CUmemoryPool pool)
{
	const struct vgpu_pool *p = vgpu_handle_object(VGPU_HANDLE_MEMPOOL, pool);

	return p ? p->host : NULL;
}

static CUmemoryPool handle_of(const struct vgpu_host_pool *p)
{
	return vgpu_handle_app(VGPU_HANDLE_MEMPOOL, p->wire);
}

static struct vgpu_host_pool *make(const CUmemLocation *location, CUmemAllocationType type)
{
	struct vgpu_host_pool *p = calloc(1, sizeof(*p));
	struct vgpu_pool *o;

	if (!p)
		return NULL;
	if (vgpu_handle_new(VGPU_HANDLE_MEMPOOL, &p->wire)) {
		free(p);
		return NULL;
	}
	p->location = *location;
	p->type = type;
	p->reuse[0] = p->reuse[1] = p->reuse[2] = 1;
	o = vgpu_handle_object_wire(VGPU_HANDLE_MEMPOOL, p->wire);
	o->host = p;
	return p;
}

CUresult vgpu_host_pool_create(CUmemoryPool *pool, const CUmemPoolProps *props)
{
	CUresult r = check_location(&props->location, props->allocType);
	struct vgpu_host_pool *p;

	if (r)
		return r;
	if (props->handleTypes && (props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED ||
				   props->location.type == CU_MEM_LOCATION_TYPE_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	if (props->handleTypes)
		return vgpu_unsupported("memory pools of the host that are shared with other processes");
	if (props->maxSize && props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED)
		return CUDA_ERROR_INVALID_VALUE;
	p = make(&props->location, props->allocType);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	p->most = props->maxSize;
	*pool = handle_of(p);
	return CUDA_SUCCESS;
}

CUresult vgpu_host_pool_destroy(struct vgpu_host_pool *p)
{
	struct vgpu_host_pool *s;
	CUmemoryPool pool = handle_of(p);

	if (p->standard)
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&pools.lock);
	for (s = pools.standard; s; s = s->next)
		if (s->current == pool)
			s->current = NULL;
	vgpu_handle_drop(VGPU_HANDLE_MEMPOOL, p->wire);
	p->wire = 0;
	put_pool(p);
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}

static bool same_place(const CUmemLocation *a, const CUmemLocation *b)
{
	bool has_id = a->type == CU_MEM_LOCATION_TYPE_DEVICE || a->type == CU_MEM_LOCATION_TYPE_HOST_NUMA;

	return a->type == b->type && (!has_id || a->id == b->id);
}

/* The pool that a location has without its being made; made here all the same, when it is first asked for. Locked. */
static struct vgpu_host_pool *standard_of(const CUmemLocation *location, CUmemAllocationType type)
{
	struct vgpu_host_pool *p = pools.standard;

	while (p && (p->type != type || !same_place(&p->location, location)))
		p = p->next;
	if (p)
		return p;
	p = make(location, type);
	if (!p)
		return NULL;
	p->standard = true;
	p->next = pools.standard;
	pools.standard = p;
	return p;
}

CUresult vgpu_host_pool_of(const CUmemLocation *location, CUmemAllocationType type, bool current, CUmemoryPool *pool)
{
	CUresult r = check_location(location, type);
	struct vgpu_host_pool *p;

	if (r)
		return r;
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&pools.lock);
	p = standard_of(location, type);
	if (p)
		*pool = current && p->current ? p->current : handle_of(p);
	vgpu_unlock(&pools.lock);
	return p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult vgpu_host_pool_make_current(const CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	struct vgpu_host_pool *p = vgpu_host_pool_find(pool), *s;
	CUresult r = check_location(location, type);

	if (r)
		return r;
	if (!p || p->type != type || !same_place(&p->location, location))
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&pools.lock);
	s = standard_of(location, type);
	if (s)
		s->current = s == p ? NULL : pool;
	vgpu_unlock(&pools.lock);
	return s ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* ---- memory ---- */

/* A block of the arena that the pool may have, counted and in the table. */
static struct block *new_block(struct vgpu_host_pool *p, uint64_t bytes)
{
	struct block *b = NULL, **at;
	void *m;

	vgpu_lock(&pools.lock);
	sweep();
	m = p->most && (bytes > p->most || p->used > p->most - bytes) ? NULL : vgpu_arena_alloc(&vgpu_arena, bytes);
	if (m)
		b = calloc(1, sizeof(*b));
	if (b) {
		b->start = (uint64_t)(uintptr_t)m;
		b->size = bytes;
		b->pool = p;
		at = bucket(b->start);
		b->next = *at;
		*at = b;
		count(p, bytes);
	} else if (m) {
		vgpu_arena_free(&vgpu_arena, m);
	}
	vgpu_unlock(&pools.lock);
	return b;
}

CUresult vgpu_host_pool_alloc(struct vgpu_host_pool *p, uint64_t bytes, struct vgpu_stream *s, CUdeviceptr *dptr)
{
	struct block *b;
	CUresult r;

	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		return vgpu_unsupported("memory of host pools in graphs");
	if (!bytes) {
		*dptr = 0;
		return CUDA_SUCCESS;
	}
	b = new_block(p, bytes);
	if (!b) {	/* what waits for its stream may be what is missing */
		sweep_all();
		b = new_block(p, bytes);
	}
	if (!b)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgpu_memory_add(is_managed(p) ? VGPU_RANGE_MANAGED : VGPU_RANGE_PINNED, b->start, bytes, VGPU_MEMORY_OF_POOL);
	if (!r) {
		*dptr = b->start;
		return CUDA_SUCCESS;
	}
	vgpu_lock(&pools.lock);
	give_back(take(b->start));
	vgpu_unlock(&pools.lock);
	return r;
}

/* It is the stream's to free from here on. */
static void wait_for(struct block *b, vgpu_fence f)
{
	b->freed = f;
	b->next = NULL;
	*pools.tail = b;
	pools.tail = &b->next;
}

CUresult vgpu_host_pool_free(CUdeviceptr dptr, struct vgpu_stream *s)
{
	struct vgpu_range_info info;
	struct block *b;
	vgpu_fence f = 0;
	CUresult r;

	if (s && s->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		return vgpu_unsupported("memory of host pools in graphs");
	if (!vgpu_memory_find(dptr, &info) || info.start != dptr || !(info.flags & VGPU_MEMORY_OF_POOL) ||
	    !vgpu_memory_remove(dptr, 1u << VGPU_RANGE_PINNED | 1u << VGPU_RANGE_MANAGED, &info))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_MANAGED)
		vgpu_managed_forget(info.start, info.size);
	r = s ? vgpu_stream_fence(s, &f) : vgpu_context_synchronize_all();
	vgpu_lock(&pools.lock);
	b = take(dptr);
	if (b)
		wait_for(b, f);
	sweep();
	vgpu_unlock(&pools.lock);
	return r;
}

CUmemoryPool vgpu_host_pool_giver(uint64_t address)
{
	struct vgpu_range_info info;
	CUmemoryPool pool = NULL;
	struct block *b;

	if (!vgpu_memory_find(address, &info))
		return NULL;
	vgpu_lock(&pools.lock);
	for (b = *bucket(info.start); b && b->start != info.start; b = b->next)
		;
	if (b && b->pool->wire)
		pool = handle_of(b->pool);
	vgpu_unlock(&pools.lock);
	return pool;
}

/* ---- attributes, access ---- */

/* Watermarks can be taken back to what is there now, and nothing else about memory can be set. */
CUresult vgpu_host_pool_set(struct vgpu_host_pool *p, CUmemPool_attribute attr, uint64_t value)
{
	CUresult r = CUDA_SUCCESS;

	vgpu_lock(&pools.lock);
	sweep();
	if (attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
		p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] = value != 0;
	else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
		p->threshold = value;
	else if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH && !value)
		p->reserved_high = reserved(p);
	else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH && !value)
		p->used_high = p->used;
	else
		r = CUDA_ERROR_INVALID_VALUE;
	vgpu_unlock(&pools.lock);
	return r;
}

CUresult vgpu_host_pool_get(struct vgpu_host_pool *p, CUmemPool_attribute attr, uint64_t *value)
{
	vgpu_lock(&pools.lock);
	sweep();
	if (attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
		*value = p->reuse[attr - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
	else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
		*value = p->threshold;
	else if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
		*value = reserved(p);
	else if (attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
		*value = p->reserved_high;
	else
		*value = attr == CU_MEMPOOL_ATTR_USED_MEM_CURRENT ? p->used : p->used_high;
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}

/* Nothing is kept that is not used. */
CUresult vgpu_host_pool_trim(struct vgpu_host_pool *p, uint64_t keep)
{
	uint64_t now;

	(void)keep;
	return vgpu_host_pool_get(p, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &now);
}

CUresult vgpu_host_pool_set_access(struct vgpu_host_pool *p, const CUmemAccessDesc *map, size_t n)
{
	uint64_t on = 0, off = 0, bit;
	size_t i;

	for (i = 0; i < n; i++) {
		if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE && !is_host(map[i].location.type))
			return CUDA_ERROR_INVALID_VALUE;
		if (map[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE && !vgpu_device_valid(map[i].location.id))
			return CUDA_ERROR_INVALID_DEVICE;
		if (map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && map[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_INVALID_VALUE;
		bit = is_host(map[i].location.type) ? 0 : 1ull << map[i].location.id;
		*(map[i].flags ? &on : &off) |= bit;
	}
	vgpu_lock(&pools.lock);
	p->access = (p->access | on) & ~off;
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}

/* The arena is reached from everywhere: this is what was asked for, as pools answer it. */
CUresult vgpu_host_pool_get_access(struct vgpu_host_pool *p, const CUmemLocation *location, CUmemAccess_flags *flags)
{
	bool device = location->type == CU_MEM_LOCATION_TYPE_DEVICE;

	if (!device && !is_host(location->type))
		return CUDA_ERROR_INVALID_VALUE;
	if (device && !vgpu_device_valid(location->id))
		return CUDA_ERROR_INVALID_DEVICE;
	vgpu_lock(&pools.lock);
	*flags = !device || is_managed(p) || p->access >> location->id & 1 ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE :
									      CU_MEM_ACCESS_FLAGS_PROT_NONE;
	vgpu_unlock(&pools.lock);
	return CUDA_SUCCESS;
}
