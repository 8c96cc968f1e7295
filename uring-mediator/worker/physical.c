/* SPDX-License-Identifier: MIT */
/*
 * Physical device memory of cuMemCreate and where it is mapped.  It is charged to the session until both the handle
 * and the last mapping are gone, so that releasing a handle does not escape the limit.  Mappings are entered in the
 * session's ranges, where adjoining ones form one stretch.  The worker's only thread.
 */
#include <stdlib.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

struct vgpu_physical {
	struct vgpu_physical *next;
	uint64_t bytes;
	uint32_t users;		/* the handle, and each mapping */
};

static void put(struct vgpu_session *s, struct vgpu_physical *p)
{
	struct vgpu_physical **at = &s->physical;

	if (--p->users)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	vgpu_memory_release(s, p->bytes);
	free(p);
}

/* The session ends: what handles and mappings still name. */
void vgpu_physical_release(struct vgpu_session *s)
{
	struct vgpu_physical *p = s->physical;

	while (p) {
		struct vgpu_physical *next = p->next;

		free(p);
		p = next;
	}
	s->physical = NULL;
}

static struct vgpu_physical *physical_of(struct vgpu_session *s, uint64_t id)
{
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_MEMGENERIC, id);

	return e ? (struct vgpu_physical *)(uintptr_t)e->aux : NULL;
}

CUresult vgpu_handle_cuMemCreate(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemCreate *a = rq->args;
	struct vgpu_physical *p;
	CUresult r;

	r = vgpu_memory_charge(s, a->size);
	if (r)
		return r;
	p = malloc(sizeof(*p));
	r = p ? vgpu_default_cuMemCreate(s, rq) : CUDA_ERROR_OUT_OF_MEMORY;
	if (r) {
		free(p);
		vgpu_memory_release(s, a->size);
		return r;
	}
	*p = (struct vgpu_physical){ s->physical, a->size, 1 };
	s->physical = p;
	vgpu_handles_find(&s->handles, VGPU_HANDLE_MEMGENERIC, a->handle)->aux = (uint64_t)(uintptr_t)p;
	return CUDA_SUCCESS;
}

CUresult vgpu_physical_adopt(struct vgpu_session *s, uint64_t id, CUmemGenericAllocationHandle handle)
{
	struct vgpu_physical *p = malloc(sizeof(*p));
	CUresult r = p ? vgpu_session_bind(s, VGPU_HANDLE_MEMGENERIC, id, (void *)(uintptr_t)handle) : CUDA_ERROR_OUT_OF_MEMORY;

	if (r) {
		free(p);
		s->drv->cuMemRelease(handle);
		return r;
	}
	*p = (struct vgpu_physical){ s->physical, 0, 1 };
	s->physical = p;
	vgpu_handles_find(&s->handles, VGPU_HANDLE_MEMGENERIC, id)->aux = (uint64_t)(uintptr_t)p;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_cuMemRelease(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemRelease *a = rq->args;
	struct vgpu_physical *p = physical_of(s, a->handle);
	CUresult r = vgpu_default_cuMemRelease(s, rq);

	if (!r && p)
		put(s, p);
	return r;
}

/* The driver's handle may be an old one or new: in the session it is one more user of the same memory. */
CUresult vgpu_handle_cuMemRetainAllocationHandle(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemRetainAllocationHandle *a = rq->args;
	const struct vgpu_mem_range *m = vgpu_ranges_find(&s->ranges, a->addr);
	struct vgpu_physical *p = m && m->kind == VGPU_RANGE_MAPPED ? (struct vgpu_physical *)(uintptr_t)m->owner : NULL;
	CUresult r = p ? vgpu_default_cuMemRetainAllocationHandle(s, rq) : CUDA_ERROR_INVALID_VALUE;

	if (r)
		return r;
	vgpu_handles_find(&s->handles, VGPU_HANDLE_MEMGENERIC, a->handle)->aux = (uint64_t)(uintptr_t)p;
	p->users++;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_cuMemMap(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemMap *a = rq->args;
	struct vgpu_physical *p = physical_of(s, a->handle);
	CUresult r = p ? vgpu_default_cuMemMap(s, rq) : CUDA_ERROR_INVALID_VALUE;

	if (r)
		return r;
	if (vgpu_ranges_add(&s->ranges, a->ptr, a->size, VGPU_RANGE_MAPPED, (uint64_t)(uintptr_t)p, 0)) {
		s->drv->cuMemUnmap(a->ptr, a->size);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	p->users++;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_cuMemUnmap(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemUnmap *a = rq->args;
	uint64_t at = a->ptr, left = a->size;
	CUresult r = vgpu_default_cuMemUnmap(s, rq);

	while (!r && left) {
		const struct vgpu_mem_range *m = vgpu_ranges_find(&s->ranges, at);
		struct vgpu_physical *p = m && m->kind == VGPU_RANGE_MAPPED ? (struct vgpu_physical *)(uintptr_t)m->owner : NULL;
		uint64_t size = p && m->start == at ? vgpu_ranges_remove(&s->ranges, at) : 0;

		if (!size)
			break;
		put(s, p);
		at += size;
		left -= size < left ? size : left;
	}
	return r;
}
