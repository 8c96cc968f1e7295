/* SPDX-License-Identifier: MIT */
/* Events shared with other processes of this VM. Any thread. */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "event.h"
#include "handle.h"
#include "passport.h"

CUresult cuIpcGetEventHandle(CUipcEventHandle *handle, CUevent event)
{
	const struct vgpu_event *e;
	struct vgpu_passport p;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!handle || !event)
		return CUDA_ERROR_INVALID_VALUE;
	e = vgpu_handle_object(VGPU_HANDLE_EVENT, event);
	if (!e || !vgpu_event_shared(e))
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_passport_issue(&p, VGPU_PASSPORT_EVENT, VGPU_OP_ipc_get_event, e->wire, 0);
	if (!r)
		memcpy(handle, &p, sizeof(*handle));
	return r;
}

CUresult cuIpcOpenEventHandle(CUevent *event, CUipcEventHandle handle)
{
	struct vgpu_passport p;
	uint64_t wire;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!event)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_passport_read(&p, VGPU_PASSPORT_EVENT, &handle))
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_passport_redeem(&p, VGPU_OP_ipc_open_event, VGPU_HANDLE_EVENT, VGPU_CALL_CONTEXT, &wire);
	if (!r)
		*event = vgpu_event_init(wire, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING);
	return r;
}
