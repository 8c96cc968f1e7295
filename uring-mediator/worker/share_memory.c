/* SPDX-License-Identifier: MIT */
/*
 * Memory shared between sessions of one VM: allocations, by cuIpcGetMemHandle, and memory of cuMemCreate.  With the cuda
 * backend what travels is the driver's own 64 bytes, or its file descriptor.  The soft device has descriptors only; what
 * another process's soft device allocated is mapped through its virtual memory management.  The worker's only thread.
 */
#include <string.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "log.h"
#include "share.h"

#define CHUNK	(2ull << 20)	/* the soft device shares whole pieces of this */

_Static_assert(sizeof(((struct vgpu_ret_ipc_get_memory *)0)->token) == VGPU_TOKEN_BYTES, "one size");
_Static_assert(sizeof(((struct vgpu_ctl_share *)0)->data) == sizeof(CUipcMemHandle), "the driver's handle fits");

/* ---- memory of cuMemAlloc ---- */

/* The driver's handle, or the soft device's descriptor and where in it the memory lies. */
static CUresult describe(struct vgpu_session *s, const struct vgpu_mem_range *r, struct vgpu_ctl_share *m, int *fd)
{
	CUipcMemHandle handle;
	CUresult rc;

	*fd = -1;
	m->size = r->size;
	if (s->device->share)
		return s->device->share(r->start, fd, &m->offset) < 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
	if (!s->drv->cuIpcGetMemHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	rc = s->drv->cuIpcGetMemHandle(&handle, r->start);
	memcpy(m->data, &handle, sizeof(m->data));
	return rc;
}

CUresult vgpu_handle_ipc_get_memory(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_get_memory *a = rq->args;
	struct vgpu_ret_ipc_get_memory *o = rq->ret;
	const struct vgpu_mem_range *r = vgpu_ranges_find(&s->ranges, a->pointer);
	struct vgpu_ctl_share m = { .kind = VGPU_SHARE_MEMORY };
	CUresult rc;
	int fd;

	if (!r || r->kind != VGPU_RANGE_ALLOC)
		return CUDA_ERROR_INVALID_VALUE;
	rq->ret_size = sizeof(*o);
	if (vgpu_share_known(s, VGPU_SHARE_MEMORY, r->start, o->token))
		return CUDA_SUCCESS;
	rc = describe(s, r, &m, &fd);
	return rc ? rc : vgpu_share_export(s, &m, r->start, fd, o->token);
}

/* Map the whole descriptor somewhere, for the device that is current. 0 or the driver's error. */
static CUresult map_window(struct vgpu_session *s, const struct vgpu_ctl_share *m, int fd, struct vgpu_shared *p)
{
	const struct vgpu_driver *drv = s->drv;
	CUmemGenericAllocationHandle handle;
	CUmemAccessDesc access = { .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUdeviceptr at = 0;
	CUresult r;

	p->window_size = (m->offset + m->size + CHUNK - 1) / CHUNK * CHUNK;
	access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	r = drv->cuCtxGetDevice(&access.location.id);
	if (!r)
		r = drv->cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
							CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	if (r)
		return r;
	r = drv->cuMemAddressReserve(&at, p->window_size, 0, 0, 0);
	if (!r)
		r = drv->cuMemMap(at, p->window_size, 0, handle, 0);
	drv->cuMemRelease(handle);
	if (!r)
		r = drv->cuMemSetAccess(at, p->window_size, &access, 1);
	if (!r) {
		p->window = at;
		p->key = at + m->offset;
		return CUDA_SUCCESS;
	}
	if (at && drv->cuMemAddressFree(at, p->window_size))	/* mapped already */
		vgpu_log(VGPU_LOG_WARNING, NULL, "addresses of imported memory stay taken");
	return r;
}

static CUresult open_memory(struct vgpu_session *s, const struct vgpu_ctl_share *m, int fd, uint32_t flags,
			    struct vgpu_shared *p)
{
	CUdeviceptr at = 0;
	CUipcMemHandle handle;
	CUresult r;

	if (fd >= 0)
		return s->device->share ? map_window(s, m, fd, p) : CUDA_ERROR_INVALID_HANDLE;
	if (s->device->share || !s->drv->cuIpcOpenMemHandle_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&handle, m->data, sizeof(handle));
	r = s->drv->cuIpcOpenMemHandle_v2(&at, handle, flags);
	p->key = at;
	return r;
}

static CUresult close_memory(struct vgpu_session *s, const struct vgpu_shared *p)
{
	CUresult r;

	if (!p->window)
		return s->drv->cuIpcCloseMemHandle ? s->drv->cuIpcCloseMemHandle(p->key) : CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuMemUnmap(p->window, p->window_size);
	return r ? r : s->drv->cuMemAddressFree(p->window, p->window_size);
}

/* The first cuIpcOpenMemHandle of a token in this session. */
static CUresult open_first(struct vgpu_session *s, const uint8_t *token, uint32_t flags, struct vgpu_shared **out)
{
	struct vgpu_ctl_share m;
	struct vgpu_shared *p;
	CUresult r;
	int fd;

	r = vgpu_share_import(s, token, VGPU_SHARE_MEMORY, &m, &fd);
	p = r ? NULL : vgpu_share_note(s, token, VGPU_SHARE_MEMORY, 0);
	if (!r)
		r = p ? open_memory(s, &m, fd, flags, p) : CUDA_ERROR_OUT_OF_MEMORY;
	if (fd >= 0)
		close(fd);
	if (!r && vgpu_ranges_add(&s->ranges, p->key, m.size, VGPU_RANGE_IMPORTED, 0, 0)) {
		close_memory(s, p);
		r = CUDA_ERROR_MAP_FAILED;
	}
	if (!r)
		p->size = m.size;
	else if (p)
		vgpu_share_forget(s, p);
	*out = r ? NULL : p;
	return r;
}

CUresult vgpu_handle_ipc_open_memory(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_open_memory *a = rq->args;
	struct vgpu_ret_ipc_open_memory *o = rq->ret;
	struct vgpu_shared *p = vgpu_share_find_token(s, a->token);
	CUresult r = CUDA_SUCCESS;

	if (p && !p->opens)	/* natively, too, the process that has it already cannot open it */
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!p)
		r = open_first(s, a->token, a->flags, &p);
	if (r)
		return r;
	p->opens++;
	o->pointer = p->key;
	o->size = p->size;
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_ipc_close_memory(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_close_memory *a = rq->args;
	struct vgpu_ret_ipc_close_memory *o = rq->ret;
	struct vgpu_shared *p = vgpu_share_find(s, VGPU_SHARE_MEMORY, a->pointer);
	CUresult r;

	if (!p || !p->opens)
		return CUDA_ERROR_INVALID_VALUE;
	r = p->opens > 1 ? CUDA_SUCCESS : close_memory(s, p);
	if (r)
		return r;
	o->left = --p->opens;
	rq->ret_size = sizeof(*o);
	if (!p->opens) {
		vgpu_ranges_remove(&s->ranges, p->key);
		vgpu_share_forget(s, p);
	}
	return CUDA_SUCCESS;
}

/* ---- memory of cuMemCreate ---- */

CUresult vgpu_handle_memory_export(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memory_export *a = rq->args;
	struct vgpu_ret_memory_export *o = rq->ret;
	struct vgpu_ctl_share m = { .kind = VGPU_SHARE_PHYSICAL };
	void *handle;
	CUresult r;
	int fd = -1;

	if (!s->drv->cuMemExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_session_lookup(s, VGPU_HANDLE_MEMGENERIC, a->handle, &handle);
	if (r)
		return r;
	rq->ret_size = sizeof(*o);
	if (vgpu_share_known(s, VGPU_SHARE_PHYSICAL, a->handle, o->token))
		return CUDA_SUCCESS;
	r = s->drv->cuMemExportToShareableHandle(&fd, (CUmemGenericAllocationHandle)(uintptr_t)handle,
						 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	return r ? r : vgpu_share_export(s, &m, a->handle, fd, o->token);
}

CUresult vgpu_handle_memory_import(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_memory_import *a = rq->args;
	CUmemGenericAllocationHandle handle = 0;
	struct vgpu_ctl_share m;
	CUresult r;
	int fd;

	if (!s->drv->cuMemImportFromShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (vgpu_handle_kind_of(a->handle) != VGPU_HANDLE_MEMGENERIC)
		return vgpu_session_broken(s, "memory_import into something else");
	r = vgpu_share_import(s, a->token, VGPU_SHARE_PHYSICAL, &m, &fd);
	if (!r)
		r = fd < 0 ? CUDA_ERROR_INVALID_HANDLE :
			     s->drv->cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
								    CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	if (fd >= 0)
		close(fd);
	return r ? r : vgpu_physical_adopt(s, a->handle, handle);
}
