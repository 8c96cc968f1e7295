/* SPDX-License-Identifier: MIT */
/*
 * Host memory that the device may use: pinned allocations, from a heap of their own, and registered ranges of the
 * program's memory, in an array sorted by address. Both are read under locks by any thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "memory.h"

#define PINNED_LIMIT (64ull << 30)

struct registration {
	uint64_t start, size, id;
	uint32_t context;
	unsigned flags;
};

static struct soft_heap pinned;
static int pinned_rc = -EAGAIN;
static _Atomic bool pinned_made;
static pthread_once_t pinned_once = PTHREAD_ONCE_INIT;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct registration *registered;
static uint32_t count, capacity;
static uint64_t next_id = 1ull << 48; /* apart from the heaps' */

static void make_pinned(void)
{
	pinned_rc = soft_heap_init(&pinned, 0, PINNED_LIMIT, 4096);
	atomic_store(&pinned_made, !pinned_rc);
}

/* Made when it is first wanted: a worker never does, and the addresses may be its guest's. */
static bool pinned_ready(void)
{
	pthread_once(&pinned_once, make_pinned);
	return !pinned_rc;
}

static bool owns(uint64_t addr)
{
	return atomic_load(&pinned_made) && soft_heap_owns(&pinned, addr);
}

/* Lock held. The first registration that ends behind @addr. */
static uint32_t lower_bound(uint64_t addr)
{
	uint32_t lo = 0, hi = count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (registered[mid].start + registered[mid].size <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool find_registered(uint64_t addr, struct soft_region *out)
{
	const struct registration *r;
	bool found;
	uint32_t i;

	pthread_rwlock_rdlock(&lock);
	i = lower_bound(addr);
	r = &registered[i];
	found = i < count && r->start <= addr;
	if (found)
		*out = (struct soft_region){ .start = r->start, .size = r->size, .id = r->id,
					     .kind = SOFT_MEM_REGISTERED, .context = r->context, .flags = r->flags };
	pthread_rwlock_unlock(&lock);
	return found;
}

bool soft_host_find(uint64_t addr, struct soft_region *out)
{
	struct soft_block b;

	if (owns(addr)) {
		if (!soft_heap_find(&pinned, addr, &b))
			return false;
		*out = (struct soft_region){ .start = b.start, .size = b.size, .id = b.id, .kind = SOFT_MEM_HOST,
					     .context = b.tag & SOFT_TAG_CONTEXT, .tag = b.tag,
					     .flags = b.tag >> SOFT_TAG_HOST_FLAGS };
		return true;
	}
	return find_registered(addr, out);
}

void soft_host_release(struct soft_context *ctx)
{
	uint32_t i, n = 0;

	if (atomic_load(&pinned_made))
		soft_heap_free_tagged(&pinned, SOFT_TAG_CONTEXT, ctx->index);
	pthread_rwlock_wrlock(&lock);
	for (i = 0; i < count; i++)
		if (registered[i].context != ctx->index)
			registered[n++] = registered[i];
	count = n;
	pthread_rwlock_unlock(&lock);
}

static CUresult soft_cuMemHostAlloc(void **out, size_t size, unsigned int flags)
{
	struct soft_context *ctx;
	uint64_t start;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || !size ||
	    flags & ~(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED))
		return CUDA_ERROR_INVALID_VALUE;
	if (!pinned_ready() ||
	    soft_heap_alloc(&pinned, size, ctx->index | flags << SOFT_TAG_HOST_FLAGS, &start) < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*out = (void *)start;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemAllocHost_v2(void **out, size_t size)
{
	return soft_cuMemHostAlloc(out, size, 0);
}

static CUresult soft_cuMemFreeHost(void *p)
{
	struct soft_context *ctx;
	struct soft_region r;
	CUresult rc = soft_enter(&ctx);

	if (rc || !p)
		return rc;
	if (!soft_host_find((uint64_t)p, &r) || r.kind != SOFT_MEM_HOST || r.start != (uint64_t)p)
		return CUDA_ERROR_INVALID_VALUE;
	soft_context_drain(ctx, -1);
	rc = vgpu_soft_fault();
	if (rc)
		return rc;
	return soft_heap_free(&pinned, r.start) < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* Lock held. */
static CUresult insert(struct soft_context *ctx, uint64_t start, size_t size, unsigned flags)
{
	uint32_t i = lower_bound(start), n;
	struct registration *more;

	if (i < count && registered[i].start < start + size)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (count == capacity) {
		n = capacity ? capacity * 2 : 64;
		more = realloc(registered, n * sizeof(*more));
		if (!more)
			return CUDA_ERROR_OUT_OF_MEMORY;
		registered = more;
		capacity = n;
	}
	memmove(&registered[i + 1], &registered[i], (count - i) * sizeof(*registered));
	registered[i] = (struct registration){ start, size, next_id++, ctx->index, flags };
	count++;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemHostRegister_v2(void *p, size_t size, unsigned int flags)
{
	struct soft_context *ctx;
	struct soft_region r;
	uint64_t start = (uint64_t)p;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!p || !size || start + size < start || soft_memory_is_device(start) ||
	    flags & ~(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP))
		return CUDA_ERROR_INVALID_VALUE;
	if (owns(start))
		return soft_host_find(start, &r) ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED :
						   CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_wrlock(&lock);
	rc = insert(ctx, start, size, flags);
	pthread_rwlock_unlock(&lock);
	return rc;
}

static CUresult soft_cuMemHostUnregister(void *p)
{
	struct soft_context *ctx;
	uint32_t i;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!p)
		return CUDA_ERROR_INVALID_VALUE;
	soft_context_drain(ctx, -1);
	pthread_rwlock_wrlock(&lock);
	i = lower_bound((uint64_t)p);
	if (i < count && registered[i].start == (uint64_t)p) {
		count--;
		memmove(&registered[i], &registered[i + 1], (count - i) * sizeof(*registered));
	} else {
		rc = CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	}
	pthread_rwlock_unlock(&lock);
	return rc ? rc : vgpu_soft_fault();
}

static CUresult soft_cuMemHostGetDevicePointer_v2(CUdeviceptr *out, void *p, unsigned int flags)
{
	struct soft_context *ctx;
	struct soft_region r;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || flags || !soft_host_find((uint64_t)p, &r))
		return CUDA_ERROR_INVALID_VALUE;
	*out = (CUdeviceptr)(uint64_t)p;
	return CUDA_SUCCESS;
}

static CUresult soft_cuMemHostGetFlags(unsigned int *flags, void *p)
{
	struct soft_context *ctx;
	struct soft_region r;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!flags || !soft_host_find((uint64_t)p, &r))
		return CUDA_ERROR_INVALID_VALUE;
	*flags = r.flags | CU_MEMHOSTALLOC_DEVICEMAP;
	return CUDA_SUCCESS;
}

void soft_fill_host_memory(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuMemHostAlloc);
	SOFT_SLOT(d, cuMemAllocHost_v2);
	SOFT_SLOT(d, cuMemFreeHost);
	SOFT_SLOT(d, cuMemHostRegister_v2);
	SOFT_SLOT(d, cuMemHostUnregister);
	SOFT_SLOT(d, cuMemHostGetDevicePointer_v2);
	SOFT_SLOT(d, cuMemHostGetFlags);
}
