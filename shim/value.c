/* SPDX-License-Identifier: MIT */
/*
 * Values in memory as part of a stream. Checked here, since the driver refuses a wrong one at once and the command is not
 * waited for. Any thread.
 */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"
#include "memory.h"
#include "stream.h"

#define WAIT_KNOWN	((unsigned int)(CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH))
#define WRITE_KNOWN	((unsigned int)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER)

/* `bytes`: of the value, and so the alignment of its address. */
static CUresult check(CUdeviceptr address, uint32_t bytes, unsigned int flags, unsigned int known)
{
	if (!address || address % bytes || flags & ~known)
		return CUDA_ERROR_INVALID_VALUE;
	if (known == WAIT_KNOWN && flags & CU_STREAM_WAIT_VALUE_FLUSH)
		return CUDA_ERROR_NOT_SUPPORTED;
	return vgpu_memory_check(address, bytes);
}

static CUresult stream_ready(CUstream stream)
{
	struct vgpu_stream *s;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : vgpu_stream_find(stream, &s);
}

static CUresult check_ready(CUstream stream, CUdeviceptr address, uint32_t bytes, unsigned int flags, unsigned int known)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = stream_ready(stream);

	return r ? r : check(address, bytes, flags, known);
}

static CUresult check_operation(const CUstreamBatchMemOpParams *p)
{
	switch ((int)p->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
		return check(p->waitValue.address, 4, p->waitValue.flags, WAIT_KNOWN);
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return check(p->waitValue.address, 8, p->waitValue.flags, WAIT_KNOWN);
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
		return check(p->writeValue.address, 4, p->writeValue.flags, WRITE_KNOWN);
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return check(p->writeValue.address, 8, p->writeValue.flags, WRITE_KNOWN);
	case CU_STREAM_MEM_OP_BARRIER:
		return CUDA_SUCCESS;
	case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
	CUresult r = check_ready(stream, addr, 4, flags, WAIT_KNOWN);

	return r ? r : vgpu_remote_cuStreamWaitValue32_v2(stream, addr, value, flags);
}

CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
	CUresult r = check_ready(stream, addr, 8, flags, WAIT_KNOWN);

	return r ? r : vgpu_remote_cuStreamWaitValue64_v2(stream, addr, value, flags);
}

CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
	CUresult r = check_ready(stream, addr, 4, flags, WRITE_KNOWN);

	return r ? r : vgpu_remote_cuStreamWriteValue32_v2(stream, addr, value, flags);
}

CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
	CUresult r = check_ready(stream, addr, 8, flags, WRITE_KNOWN);

	return r ? r : vgpu_remote_cuStreamWriteValue64_v2(stream, addr, value, flags);
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned int count, CUstreamBatchMemOpParams *param_array, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = stream_ready(stream);

	if (!r && (flags || (count && !param_array)))
		r = CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < count && !r; i++)
		r = check_operation(&param_array[i]);
	return r ? r : vgpu_remote_cuStreamBatchMemOp_v2(stream, count, param_array, flags);
}
