/* SPDX-License-Identifier: MIT */
/*
 * Values in memory as part of a stream, with the guest's addresses: the driver would take any address of this process
 * that is registered, so each is checked to be device memory of the session or arena.  The worker's only thread.
 */
#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"
#include "session.h"

#define BATCH_MOST	256u

CUresult vgpu_handle_cuStreamWaitValue32_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuStreamWaitValue32_v2 *a = rq->args;
	CUresult r = vgpu_memory_check(s, a->addr, 4);

	return r ? r : vgpu_default_cuStreamWaitValue32_v2(s, rq);
}

CUresult vgpu_handle_cuStreamWaitValue64_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuStreamWaitValue64_v2 *a = rq->args;
	CUresult r = vgpu_memory_check(s, a->addr, 8);

	return r ? r : vgpu_default_cuStreamWaitValue64_v2(s, rq);
}

CUresult vgpu_handle_cuStreamWriteValue32_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuStreamWriteValue32_v2 *a = rq->args;
	CUresult r = vgpu_memory_check(s, a->addr, 4);

	return r ? r : vgpu_default_cuStreamWriteValue32_v2(s, rq);
}

CUresult vgpu_handle_cuStreamWriteValue64_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuStreamWriteValue64_v2 *a = rq->args;
	CUresult r = vgpu_memory_check(s, a->addr, 8);

	return r ? r : vgpu_default_cuStreamWriteValue64_v2(s, rq);
}

/* What has no address may pass; what is not known is not passed on. */
CUresult vgpu_memory_operation_check(const struct vgpu_session *s, const CUstreamBatchMemOpParams *p)
{
	switch (p->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
		return vgpu_memory_check(s, p->waitValue.address, 4);
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return vgpu_memory_check(s, p->waitValue.address, 8);
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
		return vgpu_memory_check(s, p->writeValue.address, 4);
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return vgpu_memory_check(s, p->writeValue.address, 8);
	case CU_STREAM_MEM_OP_BARRIER:
	case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult vgpu_handle_cuStreamBatchMemOp_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuStreamBatchMemOp_v2 *a = rq->args;
	const CUstreamBatchMemOpParams *p;
	CUresult r = CUDA_SUCCESS;
	uint32_t at = 0;

	if (a->count > BATCH_MOST)
		return vgpu_session_broken(s, "cuStreamBatchMemOp with %u operations", a->count);
	if (!a->count)
		return vgpu_default_cuStreamBatchMemOp_v2(s, rq);
	p = vgpu_take(rq, &at, a->count * (uint32_t)sizeof(*p));
	if (!p)
		return vgpu_session_broken(s, "cuStreamBatchMemOp: operations do not fit their payload");
	for (uint32_t i = 0; i < a->count && !r; i++)
		r = vgpu_memory_operation_check(s, &p[i]);
	return r ? r : vgpu_default_cuStreamBatchMemOp_v2(s, rq);
}
