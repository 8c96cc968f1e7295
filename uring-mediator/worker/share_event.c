/* SPDX-License-Identifier: MIT */
/*
 * Events shared between sessions of one VM.  Recording and waiting are the driver's, as for every event; what is special is
 * that no fence word tells a guest of another one's records, so it asks (event_query), and that it waits for the answer
 * when it records or waits in a stream: what it tells another process then must not be quicker.  The worker's only thread.
 */
#include <string.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "share.h"

_Static_assert(sizeof(((struct vgpu_ret_ipc_get_event *)0)->token) == VGPU_TOKEN_BYTES, "one size");
_Static_assert(sizeof(((struct vgpu_ctl_share *)0)->data) == sizeof(CUipcEventHandle), "the driver's handle fits");

static CUresult describe(struct vgpu_session *s, CUevent event, struct vgpu_ctl_share *m, int *fd)
{
	CUipcEventHandle handle;
	CUresult r;

	*fd = -1;
	if (s->device->share_event)
		return s->device->share_event(event, fd) < 0 ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
	if (!s->drv->cuIpcGetEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuIpcGetEventHandle(&handle, event);
	memcpy(m->data, &handle, sizeof(m->data));
	return r;
}

CUresult vgpu_handle_ipc_get_event(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_get_event *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_EVENT, a->event);
	struct vgpu_ctl_share m = { .kind = VGPU_SHARE_EVENT };
	struct vgpu_ret_ipc_get_event *o = rq->ret;
	CUresult r;
	int fd;

	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	rq->ret_size = sizeof(*o);
	if (vgpu_share_known(s, VGPU_SHARE_EVENT, a->event, o->token))
		return CUDA_SUCCESS;
	r = describe(s, e->obj, &m, &fd);
	if (!r)
		r = vgpu_share_export(s, &m, a->event, fd, o->token);
	e->aux = !r;	/* exported */
	return r;
}

static CUresult open_event(struct vgpu_session *s, const struct vgpu_ctl_share *m, int fd, CUevent *event)
{
	CUipcEventHandle handle;

	if (s->device->open_event)
		return fd >= 0 ? s->device->open_event(fd, event) : CUDA_ERROR_INVALID_HANDLE;
	if (!s->drv->cuIpcOpenEventHandle)
		return CUDA_ERROR_NOT_SUPPORTED;
	memcpy(&handle, m->data, sizeof(handle));
	return s->drv->cuIpcOpenEventHandle(event, handle);
}

CUresult vgpu_handle_ipc_open_event(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_ipc_open_event *a = rq->args;
	struct vgpu_ctl_share m;
	CUevent event = NULL;
	CUresult r;
	int fd;

	r = vgpu_share_import(s, a->token, VGPU_SHARE_EVENT, &m, &fd);
	if (!r)
		r = open_event(s, &m, fd, &event);
	if (fd >= 0)
		close(fd);
	return r ? r : vgpu_session_bind(s, VGPU_HANDLE_EVENT, a->handle, event);
}
