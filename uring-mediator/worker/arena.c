/* SPDX-License-Identifier: MIT */
/*
 * The arena: bulk memory shared with the guest, at one address in both processes.  The guest claims extents and asks
 * for their registration before it uses them, and names those that it will want next, which are registered when there is
 * nothing else to do; what is registered is remembered here, so that it can be undone and, after
 * a context reset, done again.  The worker's only thread.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "log.h"
#include "session.h"

#define PORTION		(2ull << 20)	/* bytes that one idle look at the ring may cost */
#define PINNED_MOST	65536u	/* stretches; an arena has at most 1024 extents, each may be asked for in parts */

struct vgpu_pinned {
	uint64_t offset, bytes;
	struct vgpu_pinned *next;
};

void *vgpu_arena_at(const struct vgpu_session *s, uint64_t offset, uint64_t size)
{
	if (!s->base)
		return NULL;
	if (offset >= s->geo.arena_at && offset <= s->geo.total_size && size <= s->geo.total_size - offset)
		return s->base + offset;
	return vgpu_host_range_at(s, (uint64_t)(uintptr_t)s->base + offset, size);
}

void *vgpu_arena_pointer(const struct vgpu_session *s, uint64_t addr, uint64_t size)
{
	return vgpu_arena_at(s, addr - (uint64_t)(uintptr_t)s->base, size);
}

/* One line for each session: what to do about it is the operator's. */
static void say_refused(struct vgpu_session *s, uint64_t bytes, CUresult r)
{
	struct rlimit limit = { 0, 0 };

	if (s->pin_refused)
		return;
	s->pin_refused = true;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	vgpu_log(VGPU_LOG_WARNING, NULL,
		 "the driver does not register %llu MiB more of the arena (CUDA error %d): %llu MiB are registered, the limit of lockable memory is %lld MiB (-1: none); raise LimitMEMLOCK= of the service, or make the shared memory smaller",
		 (unsigned long long)(bytes >> 20), (int)r,
		 (unsigned long long)(atomic_load_explicit(&s->stats->arena_registered, memory_order_relaxed) >> 20),
		 limit.rlim_cur == RLIM_INFINITY ? -1ll : (long long)(limit.rlim_cur >> 20));
}

static CUresult pin(struct vgpu_session *s, void *at, uint64_t bytes)
{
	CUresult r;

	if (!s->drv->cuMemHostRegister_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuMemHostRegister_v2(at, bytes, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
	if (r)
		say_refused(s, bytes, r);
	return r;
}

static void count(struct vgpu_session *s)
{
	uint64_t bytes = 0;

	for (const struct vgpu_pinned *p = s->pinned; p; p = p->next)
		bytes += p->bytes;
	atomic_store_explicit(&s->stats->arena_registered, bytes, memory_order_relaxed);
}

static bool overlaps(const struct vgpu_session *s, uint64_t offset, uint64_t bytes, uint32_t *stretches)
{
	*stretches = 0;
	for (const struct vgpu_pinned *p = s->pinned; p; p = p->next) {
		if (offset < p->offset + p->bytes && p->offset < offset + bytes)
			return true;
		++*stretches;
	}
	return false;
}

/* What arena_register and arena_ahead name: whole pages of the arena. NULL: anything else, and the session ends. */
static void *stretch_at(struct vgpu_session *s, uint64_t offset, uint64_t bytes)
{
	if (s->base && offset >= s->geo.arena_at && offset <= s->geo.total_size && bytes &&
	    bytes <= s->geo.total_size - offset && !(offset % 4096) && !(bytes % 4096))
		return s->base + offset;
	vgpu_session_broken(s, "arena_register of %llu bytes at %llu", (unsigned long long)bytes,
			    (unsigned long long)offset);
	return NULL;
}

static CUresult add(struct vgpu_session *s, void *at, uint64_t offset, uint64_t bytes)
{
	struct vgpu_pinned *p;
	uint32_t stretches;
	CUresult r;

	if (overlaps(s, offset, bytes, &stretches))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	p = stretches < PINNED_MOST ? malloc(sizeof(*p)) : NULL;
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = pin(s, at, bytes);
	if (r) {
		free(p);
		return r;
	}
	*p = (struct vgpu_pinned){ offset, bytes, s->pinned };
	s->pinned = p;
	count(s);
	return CUDA_SUCCESS;
}

static bool is_wish(const struct vgpu_session *s, uint64_t offset, uint64_t bytes)
{
	return s->ahead.bytes == bytes && s->ahead.offset == offset;
}

CUresult vgpu_handle_arena_register(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_arena_register *a = rq->args;
	void *at = stretch_at(s, a->offset, a->bytes);
	bool ahead;

	if (!at)
		return VGPU_BROKEN;
	ahead = is_wish(s, a->offset, a->bytes) && s->ahead.state == VGPU_WISH_DONE;
	if (is_wish(s, a->offset, a->bytes))
		s->ahead.bytes = 0;
	atomic_fetch_add_explicit(ahead ? &s->stats->arena_ahead : &s->stats->arena_late, 1, memory_order_relaxed);
	return ahead ? CUDA_SUCCESS : add(s, at, a->offset, a->bytes);
}

CUresult vgpu_handle_arena_ahead(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_arena_ahead *a = rq->args;

	if (!stretch_at(s, a->offset, a->bytes))
		return VGPU_BROKEN;
	s->ahead = (struct vgpu_arena_wish){ .offset = a->offset, .bytes = a->bytes };
	if (a->bytes > s->ahead_most)
		s->ahead.state = VGPU_WISH_REFUSED;
	return CUDA_SUCCESS;
}

bool vgpu_arena_step_ahead(struct vgpu_session *s)
{
	struct vgpu_arena_wish *w = &s->ahead;
	uint64_t left = w->bytes - w->populated;

	if (!w->bytes || w->state != VGPU_WISH_OPEN || s->sticky)
		return false;
	/* A page fault each is what costs most of a registration, and it can be had in portions. */
	if (left && s->device->backend == VGPU_BACKEND_CUDA &&
	    !madvise(s->base + w->offset + w->populated, left < PORTION ? left : PORTION, MADV_POPULATE_WRITE)) {
		w->populated += left < PORTION ? left : PORTION;
		return true;
	}
	w->state = add(s, s->base + w->offset, w->offset, w->bytes) ? VGPU_WISH_REFUSED : VGPU_WISH_DONE;
	return true;
}

CUresult vgpu_handle_arena_unregister(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_arena_unregister *a = rq->args;
	struct vgpu_pinned **at, *p;
	CUresult r;

	if (is_wish(s, a->offset, a->bytes)) {
		s->ahead.bytes = 0;
		if (s->ahead.state != VGPU_WISH_DONE)
			return CUDA_SUCCESS;
	}
	for (at = &s->pinned; (p = *at); at = &p->next)
		if (p->offset == a->offset && p->bytes == a->bytes)
			break;
	if (!p)
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	r = s->drv->cuMemHostUnregister ? s->drv->cuMemHostUnregister(s->base + p->offset) : CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	*at = p->next;
	free(p);
	count(s);
	return CUDA_SUCCESS;
}

CUresult vgpu_arena_restore(struct vgpu_session *s)
{
	CUresult r = pin(s, (void *)s->channel->fences, sizeof(s->channel->fences));

	for (const struct vgpu_pinned *p = s->pinned; p && !r; p = p->next)
		r = pin(s, s->base + p->offset, p->bytes);
	if (!r)
		r = vgpu_host_ranges_restore(s);
	return r ? r : vgpu_timeout_restore(s);
}

void vgpu_arena_release(struct vgpu_session *s)
{
	struct vgpu_pinned *p;

	while ((p = s->pinned)) {
		s->pinned = p->next;
		if (s->drv->cuMemHostUnregister)
			s->drv->cuMemHostUnregister(s->base + p->offset);
		free(p);
	}
	if (s->channel && s->drv->cuMemHostUnregister)
		s->drv->cuMemHostUnregister((void *)s->channel->fences);
	count(s);
}
