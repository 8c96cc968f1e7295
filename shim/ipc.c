/* SPDX-License-Identifier: MIT */
/* Memory shared with other processes of this VM: allocations by handle, memory of cuMemCreate by descriptor. Any thread. */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "handle.h"
#include "memory.h"
#include "passport.h"

/* ---- allocations ---- */

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr dptr)
{
	struct vgpu_passport p;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_memory_check(dptr, 1);
	if (!r)
		r = vgpu_passport_issue(&p, VGPU_PASSPORT_ALLOCATION, VGPU_OP_ipc_get_memory, dptr, VGPU_CALL_CONTEXT);
	if (!r)
		memcpy(handle, &p, sizeof(*handle));
	return r;
}

static CUresult open_token(const uint8_t *token, unsigned int flags, uint64_t *start, uint64_t *size)
{
	struct vgpu_args_ipc_open_memory *a;
	const struct vgpu_ret_ipc_open_memory *o;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_ipc_open_memory, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c.args;
	memcpy(a->token, token, sizeof(a->token));
	a->flags = flags;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*start = o->pointer;
		*size = o->size;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
	struct vgpu_range_info info;
	struct vgpu_passport p;
	uint64_t start, size;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!pdptr || flags & ~(unsigned int)CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_passport_read(&p, VGPU_PASSPORT_ALLOCATION, &handle))
		return CUDA_ERROR_INVALID_HANDLE;
	r = open_token(p.token, flags, &start, &size);
	if (r)
		return r;
	/* Opened before: it is there, and the worker counts how often. */
	if (!vgpu_memory_find(start, &info) || info.kind != VGPU_RANGE_IMPORTED)
		r = vgpu_memory_add(VGPU_RANGE_IMPORTED, start, size, 0);
	if (!r)
		*pdptr = start;
	return r;
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int flags)
{
	return cuIpcOpenMemHandle_v2(pdptr, handle, flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)
{
	struct vgpu_args_ipc_close_memory *a;
	const struct vgpu_ret_ipc_close_memory *o;
	struct vgpu_range_info info;
	struct vgpu_call c;
	bool last = false;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!vgpu_memory_find(dptr, &info) || info.kind != VGPU_RANGE_IMPORTED || info.start != dptr)
		return CUDA_ERROR_INVALID_VALUE;
	/* What the device still does with it is waited for. */
	r = vgpu_context_synchronize_all();
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_ipc_close_memory, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->pointer = dptr;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		last = !o->left;
	}
	vgpu_call_end(&c);
	if (last)
		vgpu_memory_remove(dptr, 1u << VGPU_RANGE_IMPORTED, &info);
	return r;
}

/* ---- memory of cuMemCreate, as a file descriptor ---- */

CUresult cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
				      unsigned long long flags)
{
	uint64_t wire;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	/* No memory here was made to be exported in another way. */
	if (!out || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_MEMGENERIC, (const void *)(uintptr_t)handle, &wire);
	return r ? r : vgpu_passport_issue_file(out, VGPU_PASSPORT_PHYSICAL, VGPU_OP_memory_export, wire);
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *os_handle,
					CUmemAllocationHandleType type)
{
	struct vgpu_passport p;
	uint64_t wire;
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	if (type == CU_MEM_HANDLE_TYPE_WIN32 || type == CU_MEM_HANDLE_TYPE_WIN32_KMT || type == CU_MEM_HANDLE_TYPE_FABRIC)
		return vgpu_unsupported("cuMemImportFromShareableHandle of other handles than file descriptors");
	r = type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ?
		vgpu_passport_read_file(&p, VGPU_PASSPORT_PHYSICAL, os_handle) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = vgpu_passport_redeem(&p, VGPU_OP_memory_import, VGPU_HANDLE_MEMGENERIC, 0, &wire);
	if (!r)
		*handle = (CUmemGenericAllocationHandle)(uintptr_t)vgpu_handle_app(VGPU_HANDLE_MEMGENERIC, wire);
	return r;
}
