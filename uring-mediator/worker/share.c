/* SPDX-License-Identifier: MIT */
/*
 * Memory shared between sessions of one VM.  What the guest gets is never a handle of the driver but a token, a random
 * number that the supervisor keeps for the session that exported it and exchanges for the real thing, and only for
 * sessions of the same VM.  Asking it is the one thing in a command that another process of ours has to answer; the
 * supervisor never blocks, and an answer that does not come is an error.
 *
 * With the cuda backend the real thing is the driver's own 64 bytes, or its file descriptor.  The soft device has
 * descriptors only; what another process's soft device allocated is mapped through its virtual memory management.
 * The worker's only thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "io.h"
#include "log.h"
#include "session.h"

#define CHUNK		(2ull << 20)	/* the soft device shares whole pieces of this */

/* One allocation that is shared: exported by this session, or imported into it. */
struct vgpu_shared {
	struct vgpu_shared *next;
	uint8_t token[VGPU_TOKEN_BYTES];
	uint64_t start, size;
	uint32_t opens;			/* imported: cuIpcOpenMemHandle less cuIpcCloseMemHandle; 0: exported */
	uint64_t window, window_size;	/* imported, soft device: the addresses it took */
};

_Static_assert(sizeof(((struct vgpu_ret_ipc_get_memory *)0)->token) == VGPU_TOKEN_BYTES, "one size");
_Static_assert(sizeof(((struct vgpu_ctl_share *)0)->data) == sizeof(CUipcMemHandle), "the driver's handle fits");

/* ---- exchange with the supervisor ---- */

/* Send what *m says, with a descriptor or -1. The answer comes in *m; *got is what came with it, the caller's, or -1. */
static CUresult ask(struct vgpu_session *s, enum vgpu_control_type type, struct vgpu_ctl_share *m, int fd, int *got)
{
	uint8_t token[VGPU_TOKEN_BYTES];

	memcpy(token, m->token, sizeof(token));
	vgpu_msg_init(&m->h, type, sizeof(*m));
	if (!vgpu_io_ask(s->io, &m->h, fd, VGPU_CTL_SHARED, got) && !memcmp(token, m->token, sizeof(token)))
		return CUDA_SUCCESS;
	if (*got >= 0)
		close(*got);
	*got = -1;
	return CUDA_ERROR_OPERATING_SYSTEM;
}

/*
 * Until the supervisor has it the guest does not hear of the token: the process that it gives it to might be quicker
 * than this message.
 */
static CUresult export(struct vgpu_session *s, struct vgpu_ctl_share *m, int fd)
{
	CUresult r;
	int none;

	if (!s->io)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (getrandom(m->token, sizeof(m->token), 0) != sizeof(m->token))
		return CUDA_ERROR_OPERATING_SYSTEM;
	r = ask(s, VGPU_CTL_EXPORT, m, fd, &none);
	if (none >= 0)
		close(none);
	return r || m->found ? r : CUDA_ERROR_OUT_OF_MEMORY;
}

/* What a token names, of the given kind; *fd is the caller's to close, -1: none came. */
static CUresult import(struct vgpu_session *s, const uint8_t *token, uint32_t kind, struct vgpu_ctl_share *m, int *fd)
{
	CUresult r;

	*fd = -1;
	if (!s->io)
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(m, 0, sizeof(*m));
	memcpy(m->token, token, sizeof(m->token));
	m->kind = kind;
	r = ask(s, VGPU_CTL_IMPORT, m, -1, fd);
	if (r)
		return r;
	if (m->found)
		return CUDA_SUCCESS;
	vgpu_log(VGPU_LOG_NOTICE, NULL, "a token of another process names nothing that this session may have");
	return CUDA_ERROR_INVALID_HANDLE;
}

/* ---- what is shared ---- */

static struct vgpu_shared *find(const struct vgpu_session *s, uint64_t start)
{
	struct vgpu_shared *p;

	for (p = s->shared; p && p->start != start; p = p->next)
		;
	return p;
}

static struct vgpu_shared *find_token(const struct vgpu_session *s, const uint8_t *token)
{
	struct vgpu_shared *p;

	for (p = s->shared; p && memcmp(p->token, token, VGPU_TOKEN_BYTES); p = p->next)
		;
	return p;
}

static struct vgpu_shared *note(struct vgpu_session *s, const uint8_t *token, uint64_t start, uint64_t size)
{
	struct vgpu_shared *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	memcpy(p->token, token, sizeof(p->token));
	p->start = start;
	p->size = size;
	p->next = s->shared;
	s->shared = p;
	return p;
}

static void forget(struct vgpu_session *s, struct vgpu_shared *p)
{
	struct vgpu_shared **at = &s->shared;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

void vgpu_share_freed(struct vgpu_session *s, uint64_t start)
{
	struct vgpu_shared *p = find(s, start);

	if (p)
		forget(s, p);
}

void vgpu_share_release(struct vgpu_session *s)
{
	while (s->shared)
		forget(s, s->shared);
}

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
	struct vgpu_shared *p;
	CUresult rc;
	int fd;

	if (!r || r->kind != VGPU_RANGE_ALLOC)
		return CUDA_ERROR_INVALID_VALUE;
	rq->ret_size = sizeof(*o);
	p = find(s, r->start);
	if (!p) {
		rc = describe(s, r, &m, &fd);
		if (!rc)
			rc = export(s, &m, fd);
		if (fd >= 0)
			close(fd);
		p = rc ? NULL : note(s, m.token, r->start, r->size);
		if (!p)
			return rc ? rc : CUDA_ERROR_OUT_OF_MEMORY;
	}
	memcpy(o->token, p->token, sizeof(o->token));
	return CUDA_SUCCESS;
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
		p->start = at + m->offset;
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
	p->start = at;
	return r;
}

static CUresult close_memory(struct vgpu_session *s, const struct vgpu_shared *p)
{
	CUresult r;

	if (!p->window)
		return s->drv->cuIpcCloseMemHandle ? s->drv->cuIpcCloseMemHandle(p->start) : CUDA_ERROR_NOT_SUPPORTED;
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

	r = import(s, token, VGPU_SHARE_MEMORY, &m, &fd);
	p = r ? NULL : note(s, token, 0, m.size);
	if (!r)
		r = p ? open_memory(s, &m, fd, flags, p) : CUDA_ERROR_OUT_OF_MEMORY;
	if (fd >= 0)
		close(fd);
	if (!r && vgpu_ranges_add(&s->ranges, p->start, p->size, VGPU_RANGE_IMPORTED, 0, 0)) {
		close_memory(s, p);
		r = CUDA_ERROR_MAP_FAILED;
	}
	if (r && p)
		forget(s, p);
	*out = r ? NULL : p;
	return r;
}

CUresult vgpu_handle_ipc_open_memory(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_open_memory *a = rq->args;
	struct vgpu_ret_ipc_open_memory *o = rq->ret;
	struct vgpu_shared *p = find_token(s, a->token);
	CUresult r = CUDA_SUCCESS;

	if (p && !p->opens)	/* natively, too, the process that has it already cannot open it */
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!p)
		r = open_first(s, a->token, a->flags, &p);
	if (r)
		return r;
	p->opens++;
	o->pointer = p->start;
	o->size = p->size;
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_ipc_close_memory(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_close_memory *a = rq->args;
	struct vgpu_ret_ipc_close_memory *o = rq->ret;
	struct vgpu_shared *p = find(s, a->pointer);
	CUresult r;

	if (!p || !p->opens)
		return CUDA_ERROR_INVALID_VALUE;
	r = p->opens > 1 ? CUDA_SUCCESS : close_memory(s, p);
	if (r)
		return r;
	o->left = --p->opens;
	rq->ret_size = sizeof(*o);
	if (!p->opens) {
		vgpu_ranges_remove(&s->ranges, p->start);
		forget(s, p);
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
	r = s->drv->cuMemExportToShareableHandle(&fd, (CUmemGenericAllocationHandle)(uintptr_t)handle,
						 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (r)
		return r;
	r = export(s, &m, fd);
	close(fd);
	memcpy(o->token, m.token, sizeof(o->token));
	rq->ret_size = sizeof(*o);
	return r;
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
	r = import(s, a->token, VGPU_SHARE_PHYSICAL, &m, &fd);
	if (!r)
		r = fd < 0 ? CUDA_ERROR_INVALID_HANDLE :
			     s->drv->cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
								    CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	if (fd >= 0)
		close(fd);
	return r ? r : vgpu_physical_adopt(s, a->handle, handle);
}
