/* SPDX-License-Identifier: MIT */
/* Memory pools shared with other processes of this VM: pools by descriptor, allocations of them by 64 bytes. Any thread. */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "handle.h"
#include "host_pool.h"
#include "memory.h"
#include "passport.h"

/* What the two calls with descriptors ask first. */
static CUresult check(bool arguments_ok, unsigned long long flags)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	return arguments_ok && !flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolExportToShareableHandle(void *handle_out, CUmemoryPool pool, CUmemAllocationHandleType handle_type,
					  unsigned long long flags)
{
	/* No pool here was made to be exported in another way. */
	bool file = handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	uint64_t wire;
	CUresult r = check(handle_out && pool && file, flags);

	if (!r)
		r = vgpu_host_pool_find(pool) ? CUDA_ERROR_INVALID_VALUE : vgpu_handle_wire(VGPU_HANDLE_MEMPOOL, pool, &wire);
	return r ? r : vgpu_passport_issue_file(handle_out, VGPU_PASSPORT_POOL, VGPU_OP_mempool_export, wire);
}

CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool *pool_out, void *handle, CUmemAllocationHandleType handle_type,
					    unsigned long long flags)
{
	struct vgpu_passport p;
	uint64_t wire;
	CUresult r = check(pool_out, flags);

	if (r)
		return r;
	if (handle_type == CU_MEM_HANDLE_TYPE_WIN32 || handle_type == CU_MEM_HANDLE_TYPE_FABRIC)
		return vgpu_unsupported("memory pools shared by other handles than file descriptors");
	r = handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ?
		vgpu_passport_read_file(&p, VGPU_PASSPORT_POOL, handle) : CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = vgpu_passport_redeem(&p, VGPU_OP_mempool_import, VGPU_HANDLE_MEMPOOL, 0, &wire);
	if (!r)
		*pool_out = vgpu_handle_app(VGPU_HANDLE_MEMPOOL, wire);
	return r;
}

CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData *share_data_out, CUdeviceptr ptr)
{
	struct vgpu_passport p;
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!share_data_out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_memory_check(ptr, 1);
	if (!r)
		r = vgpu_passport_issue(&p, VGPU_PASSPORT_POINTER, VGPU_OP_pointer_export, ptr, 0);
	if (!r)
		memcpy(share_data_out, &p, sizeof(*share_data_out));
	return r;
}

static CUresult open_token(const uint8_t *token, uint64_t pool, uint64_t *start, uint64_t *size)
{
	const struct vgpu_ret_pointer_import *o;
	struct vgpu_args_pointer_import *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_pointer_import, sizeof(*a), 0, VGPU_CALL_REPLY);

	if (r)
		return r;
	a = c.args;
	a->pool = pool;
	memcpy(a->token, token, sizeof(a->token));
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*start = o->pointer;
		*size = o->size;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool, CUmemPoolPtrExportData *share_data)
{
	struct vgpu_passport p;
	uint64_t wire, start, size;
	CUresult r = vgpu_call_ready(VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!ptr_out || !share_data || !vgpu_passport_read(&p, VGPU_PASSPORT_POINTER, share_data))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_MEMPOOL, pool, &wire);
	if (!r)
		r = open_token(p.token, wire, &start, &size);
	if (!r)
		r = vgpu_memory_add(VGPU_RANGE_DEVICE, start, size, VGPU_MEMORY_ORDERED);
	if (!r)
		*ptr_out = start;
	return r;
}
