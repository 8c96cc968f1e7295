/* SPDX-License-Identifier: MIT */
/*
 * Memory of the guest's own that it has registered.  The guest has put pages of the arena under it; here the same pages
 * are mapped at the same addresses and registered with the driver, so that an address means the same to the
 * application, to us and to the device.  A window is a stretch of such pages; a registration lies in windows that adjoin, to the byte
 * as the application asked for it.  Nothing of ours is ever replaced: where an address is taken, the guest
 * does without.  The worker's only thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

#define PAGE		4096u
#define LOWEST		65536u			/* no address that a NULL with an offset could be */
#define HIGHEST_END	0x7ffffffff000ull	/* end of user addresses with four-level page tables */
#define WINDOWS_MOST	16384u			/* the kernel allows a process some 65,000 mappings */

void *vgpu_host_range_at(const struct vgpu_session *s, uint64_t addr, uint64_t size)
{
	if (!s->registrations.count || !vgpu_ranges_cover(&s->registrations, addr, size ? size : 1))
		return NULL;
	return (void *)(uintptr_t)addr;
}

/* Pages of the arena at addresses that a process can have. VGPU_BROKEN: not that, and the session ends. */
static CUresult check_window(struct vgpu_session *s, const struct vgpu_args_host_map *a)
{
	if (a->bytes && !((a->address | a->offset | a->bytes) % PAGE) && a->address >= LOWEST &&
	    a->bytes <= s->geo.total_size && a->address <= HIGHEST_END - a->bytes &&
	    a->offset >= s->geo.arena_at && a->offset <= s->geo.total_size - a->bytes)
		return CUDA_SUCCESS;
	return vgpu_session_broken(s, "host_map of %llu bytes at 0x%llx from %llu", (unsigned long long)a->bytes,
				   (unsigned long long)a->address, (unsigned long long)a->offset);
}

CUresult vgpu_handle_host_map(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_host_map *a = rq->args;
	void *at = (void *)(uintptr_t)a->address, *p;
	CUresult r = check_window(s, a);

	if (r)
		return r;
	if (s->memory_fd < 0 || s->windows.count >= WINDOWS_MOST)
		return CUDA_ERROR_NOT_SUPPORTED;
	p = mmap(at, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, s->memory_fd,
		 (off_t)a->offset);
	if (p == MAP_FAILED)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (p != at || vgpu_ranges_add(&s->windows, a->address, a->bytes, VGPU_RANGE_MAPPED, a->offset, 0)) {
		munmap(p, a->bytes);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_host_unmap(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_host_unmap *a = rq->args;
	const struct vgpu_mem_range *w = vgpu_ranges_find(&s->windows, a->address);

	if (!w || w->start != a->address || vgpu_ranges_overlap(&s->registrations, w->start, w->size))
		return vgpu_session_broken(s, "host_unmap of 0x%llx", (unsigned long long)a->address);
	munmap((void *)(uintptr_t)w->start, w->size);
	vgpu_ranges_remove(&s->windows, a->address);
	return CUDA_SUCCESS;
}

static CUresult pin(const struct vgpu_driver *drv, uint64_t address, uint64_t bytes)
{
	void *at = (void *)(uintptr_t)address;
	CUdeviceptr device = 0;
	CUresult r;

	if (!drv->cuMemHostRegister_v2 || !drv->cuMemHostUnregister || !drv->cuMemHostGetDevicePointer_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = drv->cuMemHostRegister_v2(at, bytes, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
	if (r)
		return r;
	r = drv->cuMemHostGetDevicePointer_v2(&device, at, 0);
	if (!r && device == address)
		return CUDA_SUCCESS;
	drv->cuMemHostUnregister(at);
	return r ? r : CUDA_ERROR_NOT_SUPPORTED;
}

/* What a driver has against our pages, and would not have against the application's own, is NOT_SUPPORTED. */
static CUresult for_guest(struct vgpu_session *s, CUresult r)
{
	if (!r || r == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED)
		return r;
	vgpu_session_note(s, r);
	return s->sticky ? s->sticky : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_host_register(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_host_register *a = rq->args;
	CUresult r;

	if (!vgpu_ranges_cover(&s->windows, a->address, a->bytes))
		return vgpu_session_broken(s, "host_register of %llu bytes at 0x%llx", (unsigned long long)a->bytes,
					   (unsigned long long)a->address);
	if (vgpu_ranges_overlap(&s->registrations, a->address, a->bytes))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	r = for_guest(s, pin(s->drv, a->address, a->bytes));
	if (!r && vgpu_ranges_add(&s->registrations, a->address, a->bytes, VGPU_RANGE_ALLOC, 0, 0)) {
		s->drv->cuMemHostUnregister((void *)(uintptr_t)a->address);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	return r;
}

CUresult vgpu_handle_host_unregister(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_host_unregister *a = rq->args;

	if (!vgpu_ranges_remove(&s->registrations, a->address))
		return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	return s->drv->cuMemHostUnregister((void *)(uintptr_t)a->address);
}

static CUresult pin_all(const struct vgpu_driver *drv, const struct vgpu_mem_range *r)
{
	CUresult e;

	if (!r)
		return CUDA_SUCCESS;
	e = pin_all(drv, r->left);
	if (!e)
		e = pin(drv, r->start, r->size);
	return e ? e : pin_all(drv, r->right);
}

CUresult vgpu_host_ranges_restore(struct vgpu_session *s)
{
	return pin_all(s->drv, s->registrations.root);
}

void vgpu_host_ranges_release(struct vgpu_session *s)
{
	const struct vgpu_mem_range *r;

	while ((r = s->registrations.root)) {
		s->drv->cuMemHostUnregister((void *)(uintptr_t)r->start);
		vgpu_ranges_remove(&s->registrations, r->start);
	}
	while ((r = s->windows.root)) {
		munmap((void *)(uintptr_t)r->start, r->size);
		vgpu_ranges_remove(&s->windows, r->start);
	}
	if (s->memory_fd >= 0)
		close(s->memory_fd);
}
