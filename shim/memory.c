/* SPDX-License-Identifier: MIT */
/*
 * Device memory: allocating, freeing, and the table of what is allocated.
 */
#include "memory.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <stdatomic.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "channel.h"
#include "context.h"
#include "crew.h"
#include "host_pool.h"
#include "log.h"
#include "managed.h"
#include "mirror.h"
#include "session.h"
#include "stray.h"
#include "stream.h"
#include "thread.h"
#include "virtual.h"

#define KEEP_SHARED	8u		/* of a memory with other channels at most this part is kept unused */
#define TOUCH_BYTES	(1ull << 20)	/* at a time */
#define STEP_BYTES	(8ull << 20)	/* registered at once for small blocks of pinned memory */
#define STEP_SHARE	16u		/* and no larger part of the arena */
#define AHEAD_BYTES	(64ull << 20)	/* claimed ahead of use; the mediator may register less */
#define AHEAD_SHARE	8u		/* and no larger part of the arena */

struct vgpu_arena vgpu_arena;

static struct {
	pthread_rwlock_t lock;
	struct vgpu_range_map map;
	uint64_t next_id;
	_Atomic bool moved;	/* some registered memory lies, or lay, in the arena */
	_Atomic bool strays;	/* some device memory lies outside the worker's offer */
	_Atomic bool sync_memops;	/* some memory has, or had, that attribute */
	_Atomic uint32_t removals;	/* what threads remember of ranges holds as long as it does not change */
} table = { .lock = PTHREAD_RWLOCK_INITIALIZER, .next_id = 1 };

/* The driver chose the address. */
#define DEVICE_KINDS	(1u << VGPU_RANGE_DEVICE | 1u << VGPU_RANGE_GLOBAL | 1u << VGPU_RANGE_RESERVED | \
			 1u << VGPU_RANGE_IMPORTED | 1u << VGPU_RANGE_MIRROR)
#define REGISTERED_KINDS (1u << VGPU_RANGE_REGISTERED | 1u << VGPU_RANGE_MOVED)

/* ---- table ---- */

static void lock_read(void)
{
	vgpu_thread.busy++;
	pthread_rwlock_rdlock(&table.lock);
}

static void lock_write(void)
{
	vgpu_thread.busy++;
	pthread_rwlock_wrlock(&table.lock);
}

static void unlock(void)
{
	pthread_rwlock_unlock(&table.lock);
	vgpu_thread.busy--;
}

/* The driver has put something new there: memory of a graph goes without a word. Locked. */
static void evict(uint64_t start, uint64_t size)
{
	struct vgpu_range_info old;

	while ((vgpu_range_find(&table.map, start, &old) ||
		(vgpu_range_next(&table.map, start, &old) && old.start - start < size)) &&
	       old.kind == VGPU_RANGE_DEVICE) {
		vgpu_range_remove(&table.map, old.start, NULL);
		atomic_fetch_add_explicit(&table.removals, 1, memory_order_release);
	}
}

CUresult vgpu_memory_add(enum vgpu_range_kind kind, uint64_t start, uint64_t size, uint32_t flags)
{
	const struct vgpu_context *ctx = vgpu_context_home();
	bool pooled = flags & VGPU_MEMORY_OF_POOL;
	/* Copies of managed memory are waited for anyway: that needs no look at the attribute. */
	struct vgpu_range_info info = { .start = start, .size = size, .flags = flags, .kind = (uint8_t)kind,
					.sync_memops = kind == VGPU_RANGE_MANAGED || kind == VGPU_RANGE_MIRROR };
	int r;

	info.context = ctx && !pooled ? ctx->wire : 0;
	info.device = (int16_t)(ctx ? ctx->device : 0);
	lock_write();
	info.id = table.next_id++;
	if (kind == VGPU_RANGE_DEVICE)
		evict(start, size);
	r = vgpu_range_insert(&table.map, &info);
	if (!r && 1u << kind & DEVICE_KINDS && vgpu_stray_note(start, size))
		atomic_store_explicit(&table.strays, true, memory_order_release);
	if (!r && kind == VGPU_RANGE_MIRROR)
		atomic_store_explicit(&table.sync_memops, true, memory_order_release);
	if (!r && kind == VGPU_RANGE_MOVED)
		atomic_store_explicit(&table.moved, true, memory_order_release);
	unlock();
	if (!r)
		return CUDA_SUCCESS;
	return r == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
}

bool vgpu_memory_find(uint64_t address, struct vgpu_range_info *info)
{
	bool found;

	lock_read();
	found = vgpu_range_find(&table.map, address, info);
	unlock();
	return found;
}

bool vgpu_memory_set_sync(uint64_t address, bool on)
{
	bool found;

	lock_write();
	found = vgpu_range_set_sync(&table.map, address, on);
	if (found && on)
		atomic_store_explicit(&table.sync_memops, true, memory_order_release);
	unlock();
	return found;
}

static bool is_sync(uint64_t address)
{
	struct vgpu_range_info info;

	return vgpu_memory_find(address, &info) && info.sync_memops;
}

CUresult vgpu_memory_settle(uint64_t dst, uint64_t src, struct vgpu_stream *s)
{
	CUresult r;

	if (!atomic_load_explicit(&table.sync_memops, memory_order_acquire) || (!is_sync(dst) && !is_sync(src)))
		return CUDA_SUCCESS;
	r = vgpu_stream_wait(s);
	vgpu_mirror_pull();
	return r;
}

bool vgpu_memory_remove(uint64_t start, uint32_t kinds, struct vgpu_range_info *info)
{
	bool found;

	lock_write();
	found = vgpu_range_find(&table.map, start, info) && info->start == start && kinds & 1u << info->kind;
	if (found) {
		vgpu_range_remove(&table.map, start, NULL);
		atomic_fetch_add_explicit(&table.removals, 1, memory_order_release);
	}
	unlock();
	return found;
}

void vgpu_memory_drop(const struct vgpu_context *ctx)
{
	struct vgpu_range_info info;
	uint64_t from = 0;

	lock_write();
	while (vgpu_range_next(&table.map, from, &info)) {
		from = info.start + info.size;
		/* Registered memory is the application's own: it stays until it is unregistered. */
		if (info.context != ctx->wire || 1u << info.kind & REGISTERED_KINDS)
			continue;
		vgpu_range_remove(&table.map, info.start, NULL);
		atomic_fetch_add_explicit(&table.removals, 1, memory_order_release);
		if (info.kind == VGPU_RANGE_MANAGED)
			vgpu_managed_forget(info.start, info.size);
		if (info.kind == VGPU_RANGE_PINNED || info.kind == VGPU_RANGE_MANAGED)
			vgpu_arena_free(&vgpu_arena, (void *)(uintptr_t)info.start);
	}
	unlock();
}

enum vgpu_place vgpu_memory_place(uint64_t address)
{
	struct vgpu_range_info info;

	if (vgpu_session_is_arena(address))
		return VGPU_PLACE_ARENA;
	if (vgpu_session_is_device(address))
		return VGPU_PLACE_DEVICE;
	if (!atomic_load_explicit(&table.strays, memory_order_acquire) &&
	    !atomic_load_explicit(&table.moved, memory_order_acquire))
		return VGPU_PLACE_HOST;
	if (!vgpu_memory_find(address, &info))
		return VGPU_PLACE_HOST;
	if (info.kind == VGPU_RANGE_MOVED)
		return VGPU_PLACE_ARENA;
	return 1u << info.kind & DEVICE_KINDS ? VGPU_PLACE_DEVICE : VGPU_PLACE_HOST;
}

/* The two ranges that this thread's last copies used: found again without the table's lock. */
static __thread struct {
	uint32_t removals[2], next;
	uint64_t start[2], size[2];
} recent __attribute__((tls_model("initial-exec")));

static bool is_recent(uint64_t address, uint64_t bytes)
{
	uint32_t i, removals = atomic_load_explicit(&table.removals, memory_order_acquire);

	for (i = 0; i < 2; i++)
		if (recent.removals[i] == removals && address - recent.start[i] < recent.size[i] &&
		    bytes <= recent.size[i] - (address - recent.start[i]))
			return true;
	return false;
}

CUresult vgpu_memory_check(uint64_t address, uint64_t bytes)
{
	struct vgpu_range_info info;
	uint32_t i, removals;

	if (is_recent(address, bytes))
		return CUDA_SUCCESS;
	removals = atomic_load_explicit(&table.removals, memory_order_acquire);
	if (!vgpu_memory_find(address, &info) || info.kind == VGPU_RANGE_REGISTERED)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes > info.start + info.size - address)
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_RESERVED)
		return vgpu_virtual_covers(address, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	i = recent.next++ & 1;
	recent.removals[i] = removals;
	recent.start[i] = info.start;
	recent.size[i] = info.size;
	return CUDA_SUCCESS;
}

/* ---- arena ---- */

static int send_extents(uint16_t op, uint32_t first, uint32_t count, struct vgpu_call *c, unsigned flags)
{
	struct vgpu_args_arena_register *a;

	if (vgpu_call_begin(c, op, sizeof(*a), 0, flags))
		return -1;
	a = c->args;
	a->offset = vgpu_session.geometry.arena_at + (uint64_t)first * vgpu_session.geometry.extent_size;
	a->bytes = (uint64_t)count * vgpu_session.geometry.extent_size;
	vgpu_call_submit(c);
	return 0;
}

_Static_assert(sizeof(struct vgpu_args_arena_register) == sizeof(struct vgpu_args_arena_unregister), "one shape");
_Static_assert(sizeof(struct vgpu_args_arena_register) == sizeof(struct vgpu_args_arena_ahead), "one shape");

/* Pages that several threads make from the end on while the driver registers them from the start. */
struct touch {
	uint8_t *at;
	uint64_t bytes;
	int advice;
	_Atomic uint64_t done;
};

static void touch_pages(void *job)
{
	struct touch *t = job;
	uint64_t done, from;

	/* Where it cannot be had, the driver and page faults do it. */
	while ((done = atomic_fetch_add_explicit(&t->done, TOUCH_BYTES, memory_order_relaxed)) < t->bytes) {
		from = t->bytes - done > TOUCH_BYTES ? t->bytes - done - TOUCH_BYTES : 0;
		if (madvise(t->at + from, t->bytes - done - from, t->advice))
			return;
	}
}

void vgpu_memory_touch(uint8_t *at, uint64_t bytes, int advice)
{
	struct touch t = { .at = at, .bytes = bytes, .advice = advice };

	vgpu_crew_run(touch_pages, &t, bytes > 16 * TOUCH_BYTES ? vgpu_crew_size() - 1 : 0);
}

static void touch_extents(uint32_t first, uint32_t count)
{
	if (vgpu_session.channel->ctl.backend == VGPU_BACKEND_CUDA)
		vgpu_memory_touch(vgpu_arena.base + (uint64_t)first * vgpu_arena.extent_size,
				  (uint64_t)count * vgpu_arena.extent_size, MADV_POPULATE_WRITE);
}

/* The driver may refuse: more than may be locked, for example. That is the caller's to know, so it is waited for. */
static int claimed(uint32_t first, uint32_t count)
{
	struct vgpu_call c;
	CUresult r;

	if (send_extents(VGPU_OP_arena_register, first, count, &c, VGPU_CALL_REPLY))
		return -1;
	touch_extents(first, count);
	r = vgpu_call_wait(&c);
	vgpu_call_end(&c);
	if (r) {
		vgpu_warn("the host does not let the device use %llu MiB more of pinned memory (CUDA error %d): use less, or have the mediator's lockable memory raised (ulimit -l, LimitMEMLOCK=)",
			  (unsigned long long)count * vgpu_arena.extent_size >> 20, (int)r);
		return -1;
	}
	return 0;
}

static void claimed_ahead(uint32_t first, uint32_t count)
{
	struct vgpu_call c;

	if (send_extents(VGPU_OP_arena_ahead, first, count, &c, 0))
		vgpu_debug("extents %u..%u are not announced: the session is over", first, first + count);
}

static void released(uint32_t first, uint32_t count)
{
	struct vgpu_call c;

	if (send_extents(VGPU_OP_arena_unregister, first, count, &c, 0))
		vgpu_debug("extents %u..%u are given up without telling the worker: the session is over", first,
			   first + count);
}

CUresult vgpu_memory_init(void)
{
	struct vgpu_session *s = &vgpu_session;

	if (vgpu_arena_init(&vgpu_arena, s->base, &s->geometry, s->transport.channel))
		return CUDA_ERROR_OUT_OF_MEMORY;
	vgpu_arena.claimed = claimed;
	vgpu_arena.claimed_ahead = claimed_ahead;
	vgpu_arena.released = released;
	/* Alone in the memory, there is nobody to keep it from. */
	vgpu_arena.keep = vgpu_arena.extent_count / (s->geometry.channel_count > 1 ? KEEP_SHARED : 1);
	vgpu_arena.step = (uint32_t)(STEP_BYTES / vgpu_arena.extent_size);
	if (vgpu_arena.step > vgpu_arena.extent_count / STEP_SHARE)
		vgpu_arena.step = vgpu_arena.extent_count / STEP_SHARE;
	vgpu_arena.ahead_most = (uint32_t)(AHEAD_BYTES / vgpu_arena.extent_size);
	if (vgpu_arena.ahead_most > vgpu_arena.extent_count / AHEAD_SHARE)
		vgpu_arena.ahead_most = vgpu_arena.extent_count / AHEAD_SHARE;
	madvise(vgpu_arena.base, (size_t)vgpu_arena.extent_count * vgpu_arena.extent_size, MADV_HUGEPAGE);
	return CUDA_SUCCESS;
}

/* ---- API ---- */

/* The device's driver has given memory: what cannot be entered in the table goes back. */
static CUresult enter(CUdeviceptr start, uint64_t size)
{
	CUresult r = vgpu_memory_add(VGPU_RANGE_DEVICE, start, size, 0);

	if (r)
		vgpu_remote_cuMemFree_v2(start);
	return r;
}

/* The same of memory that a stream gives, and takes. */
static CUresult enter_ordered(CUdeviceptr start, uint64_t size, uint32_t flags, CUstream stream)
{
	CUresult r = size ? vgpu_memory_add(VGPU_RANGE_DEVICE, start, size, flags) : CUDA_SUCCESS;

	if (r)
		vgpu_remote_cuMemFreeAsync(start, stream);
	return r;
}

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!dptr || !bytesize)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_remote_cuMemAlloc_v2(dptr, bytesize);
	return r ? r : enter(*dptr, bytesize);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width_in_bytes, size_t height,
			    unsigned int element_size_bytes)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!dptr || !pitch || !width_in_bytes || !height)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_remote_cuMemAllocPitch_v2(dptr, pitch, width_in_bytes, height, element_size_bytes);
	return r ? r : enter(*dptr, *pitch * height);
}

/* Memory that the device's driver is about to free: forgotten, unless a graph will make it again. */
static bool give_back(CUdeviceptr dptr, uint32_t kinds, struct vgpu_range_info *info)
{
	if (vgpu_memory_find(dptr, info) && info->start == dptr && info->kind == VGPU_RANGE_DEVICE &&
	    info->flags & VGPU_MEMORY_OF_GRAPH)
		return true;
	return vgpu_memory_remove(dptr, kinds, info);
}

/* Memory that a pool of the host or of managed memory gave. */
static bool is_pooled(CUdeviceptr dptr)
{
	struct vgpu_range_info info;

	return vgpu_memory_find(dptr, &info) && info.start == dptr &&
	       (info.kind == VGPU_RANGE_PINNED || info.kind == VGPU_RANGE_MANAGED) && info.flags & VGPU_MEMORY_OF_POOL;
}

/* Needs no current context: the address says whose memory it is. */
CUresult cuMemFree_v2(CUdeviceptr dptr)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!dptr)
		return CUDA_SUCCESS;
	r = vgpu_capture_unsafe();
	if (r)
		return r;
	if (is_pooled(dptr))
		return vgpu_host_pool_free(dptr, NULL);
	if (!give_back(dptr, 1u << VGPU_RANGE_DEVICE | 1u << VGPU_RANGE_MANAGED, &info))
		return CUDA_ERROR_INVALID_VALUE;
	if (info.kind == VGPU_RANGE_DEVICE)
		return vgpu_remote_cuMemFree_v2(dptr);
	r = vgpu_context_synchronize_all();
	vgpu_managed_forget(dptr, info.size);
	vgpu_arena_free(&vgpu_arena, (void *)(uintptr_t)dptr);
	return r;
}

/*
 * In a captured stream it is a node, and the address a graph's; beside a capture it is as unsafe as any other
 * allocation. *flags: for vgpu_memory_add().
 */
static CUresult check_capture(CUstream stream, struct vgpu_stream **s, uint32_t *flags)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	*flags = VGPU_MEMORY_ORDERED;
	if (!r)
		r = vgpu_stream_get(stream, s);
	if (r)
		return r;
	if ((*s)->capture == CU_STREAM_CAPTURE_STATUS_NONE)
		return vgpu_capture_unsafe();
	*flags |= VGPU_MEMORY_OF_GRAPH;
	return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_stream *s;
	uint32_t flags;
	CUresult r = check_capture(stream, &s, &flags);

	if (!r)
		r = vgpu_remote_cuMemAllocAsync(dptr, bytesize, stream);
	return r ? r : enter_ordered(*dptr, bytesize, flags, stream);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_host_pool *host = vgpu_host_pool_find(pool);
	struct vgpu_stream *s;
	uint32_t flags;
	CUresult r = check_capture(stream, &s, &flags);

	if (!r && host)
		return dptr ? vgpu_host_pool_alloc(host, bytesize, s, dptr) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = vgpu_remote_cuMemAllocFromPoolAsync(dptr, bytesize, pool, stream);
	return r ? r : enter_ordered(*dptr, bytesize, flags, stream);
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_range_info info;
	struct vgpu_stream *s;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!dptr)
		return CUDA_SUCCESS;
	r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (is_pooled(dptr))
		return vgpu_host_pool_free(dptr, s);
	/* A graph frees what a graph allocates. */
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE && vgpu_memory_find(dptr, &info) && !(info.flags & VGPU_MEMORY_OF_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	if (!give_back(dptr, 1u << VGPU_RANGE_DEVICE, &info))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_remote_cuMemFreeAsync(dptr, stream);
	/* Whether a launch has allocated it the worker knows. */
	return !r && info.flags & VGPU_MEMORY_OF_GRAPH ? vgpu_call_verdict() : r;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr dptr)
{
	struct vgpu_range_info info;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!base && !size)
		return CUDA_SUCCESS;
	if (!vgpu_memory_find(dptr, &info))
		return vgpu_session_is_device(dptr) ? vgpu_remote_cuMemGetAddressRange_v2(base, size, dptr) :
						      CUDA_ERROR_NOT_FOUND;
	if (info.kind == VGPU_RANGE_RESERVED && !vgpu_virtual_find(dptr, &info))
		return CUDA_ERROR_NOT_FOUND;
	if (base)
		*base = info.start;
	if (size)
		*size = info.size;
	return CUDA_SUCCESS;
}
