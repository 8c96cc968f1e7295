/* SPDX-License-Identifier: MIT */
/*
 * Memory pools shared between sessions of one VM, and single allocations of them.  A pool travels as the driver's
 * descriptor, an allocation as the driver's 64 bytes: guests see neither, since a driver believes what is in them.  An
 * imported allocation is charged to the session that made it.  The worker's only thread.
 */
#include <string.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "share.h"

_Static_assert(sizeof(((struct vgpu_ctl_share *)0)->data) == sizeof(CUmemPoolPtrExportData), "the driver's data fit");

CUresult vgpu_handle_mempool_export(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_mempool_export *a = rq->args;
	struct vgpu_ctl_share m = { .kind = VGPU_SHARE_POOL };
	struct vgpu_ret_mempool_export *o = rq->ret;
	void *pool;
	CUresult r;
	int fd = -1;

	if (!s->drv->cuMemPoolExportToShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_session_lookup(s, VGPU_HANDLE_MEMPOOL, a->pool, &pool);
	if (r)
		return r;
	rq->ret_size = sizeof(*o);
	if (vgpu_share_known(s, VGPU_SHARE_POOL, a->pool, o->token))
		return CUDA_SUCCESS;
	r = s->drv->cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	return r ? r : vgpu_share_export(s, &m, a->pool, fd, o->token);
}

CUresult vgpu_handle_mempool_import(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_mempool_import *a = rq->args;
	CUmemoryPool pool = NULL;
	struct vgpu_ctl_share m;
	CUresult r;
	int fd;

	if (!s->drv->cuMemPoolImportFromShareableHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_share_import(s, a->token, VGPU_SHARE_POOL, &m, &fd);
	if (!r)
		r = fd < 0 ? CUDA_ERROR_INVALID_HANDLE :
			     s->drv->cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd,
									CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (fd >= 0)
		close(fd);
	return r ? r : vgpu_session_bind(s, VGPU_HANDLE_MEMPOOL, a->handle, pool);
}

CUresult vgpu_handle_cuMemPoolDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemPoolDestroy *a = rq->args;
	CUresult r = vgpu_default_cuMemPoolDestroy(s, rq);

	if (!r)
		vgpu_share_withdraw(s, VGPU_SHARE_POOL, a->pool);
	return r;
}

/* ---- allocations ---- */

static CUresult describe(struct vgpu_session *s, uint64_t start, struct vgpu_ctl_share *m, int *fd)
{
	CUmemPoolPtrExportData data;
	CUresult r;

	*fd = -1;
	if (s->device->share_pointer)
		r = s->device->share_pointer(start, &data, fd);
	else
		r = s->drv->cuMemPoolExportPointer ? s->drv->cuMemPoolExportPointer(&data, start) :
						     CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		memcpy(m->data, &data, sizeof(m->data));
	return r;
}

CUresult vgpu_handle_pointer_export(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_pointer_export *a = rq->args;
	const struct vgpu_mem_range *range = vgpu_ranges_find(&s->ranges, a->pointer);
	struct vgpu_ctl_share m = { .kind = VGPU_SHARE_POINTER };
	struct vgpu_ret_pointer_export *o = rq->ret;
	CUresult r;
	int fd;

	if (!range || range->kind != VGPU_RANGE_POOL || range->start != a->pointer)
		return CUDA_ERROR_INVALID_VALUE;
	rq->ret_size = sizeof(*o);
	if (vgpu_share_known(s, VGPU_SHARE_POINTER, a->pointer, o->token))
		return CUDA_SUCCESS;
	m.size = range->size;
	r = describe(s, a->pointer, &m, &fd);
	return r ? r : vgpu_share_export(s, &m, a->pointer, fd, o->token);
}

static CUresult open_pointer(struct vgpu_session *s, CUmemoryPool pool, const struct vgpu_ctl_share *m, int fd,
			     CUdeviceptr *start)
{
	CUmemPoolPtrExportData data;

	memcpy(&data, m->data, sizeof(data));
	if (s->device->open_pointer)
		return s->device->open_pointer(pool, &data, fd, start);
	return s->drv->cuMemPoolImportPointer ? s->drv->cuMemPoolImportPointer(start, pool, &data) :
						CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_pointer_import(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_pointer_import *a = rq->args;
	struct vgpu_ret_pointer_import *o = rq->ret;
	struct vgpu_ctl_share m;
	CUdeviceptr start = 0;
	void *pool;
	CUresult r;
	int fd;

	r = vgpu_session_lookup(s, VGPU_HANDLE_MEMPOOL, a->pool, &pool);
	if (r)
		return r;
	r = vgpu_share_import(s, a->token, VGPU_SHARE_POINTER, &m, &fd);
	if (!r)
		r = open_pointer(s, pool, &m, fd, &start);
	if (fd >= 0)
		close(fd);
	if (r)
		return r == CUDA_ERROR_INVALID_HANDLE ? CUDA_ERROR_INVALID_VALUE : r;
	r = vgpu_memory_enter(s, start, m.size, VGPU_RANGE_POINTER);
	if (r) {
		s->drv->cuMemFree_v2(start);
		return r;
	}
	o->pointer = start;
	o->size = m.size;
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}
