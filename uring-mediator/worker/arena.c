/* SPDX-License-Identifier: MIT */
/*
 * The arena: bulk memory shared with the guest, at one address in both processes.  The guest claims extents and asks
 * for their registration before it uses them; what is registered is remembered here, so that it can be undone and, after
 * a context reset, done again.  The worker's only thread.
 */
#include <stdlib.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "log.h"
#include "session.h"

#define PINNED_MOST	65536u	/* stretches; an arena has at most 1024 extents, each may be asked for in parts */

struct vgpu_pinned {
	uint64_t offset, bytes;
	struct vgpu_pinned *next;
};

void *vgpu_arena_at(const struct vgpu_session *s, uint64_t offset, uint64_t size)
{
	if (!s->base || offset < s->geo.arena_at || offset > s->geo.total_size || size > s->geo.total_size - offset)
		return NULL;
	return s->base + offset;
}

void *vgpu_arena_pointer(const struct vgpu_session *s, uint64_t addr, uint64_t size)
{
	return vgpu_arena_at(s, addr - (uint64_t)(uintptr_t)s->base, size);
}

static CUresult pin(struct vgpu_session *s, void *at, uint64_t bytes)
{
	if (!s->drv->cuMemHostRegister_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuMemHostRegister_v2(at, bytes, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
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

CUresult vgpu_handle_arena_register(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_arena_register *a = rq->args;
	void *at = vgpu_arena_at(s, a->offset, a->bytes);
	struct vgpu_pinned *p;
	uint32_t stretches;
	CUresult r;

	if (!at || !a->bytes || a->offset % 4096 || a->bytes % 4096)
		return vgpu_session_broken(s, "arena_register of %llu bytes at %llu", (unsigned long long)a->bytes,
					   (unsigned long long)a->offset);
	if (overlaps(s, a->offset, a->bytes, &stretches))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	p = stretches < PINNED_MOST ? malloc(sizeof(*p)) : NULL;
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = pin(s, at, a->bytes);
	if (r) {
		free(p);
		return r;
	}
	*p = (struct vgpu_pinned){ a->offset, a->bytes, s->pinned };
	s->pinned = p;
	count(s);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_arena_unregister(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_arena_unregister *a = rq->args;
	struct vgpu_pinned **at, *p;
	CUresult r;

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
