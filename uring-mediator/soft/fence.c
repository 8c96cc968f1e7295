/* SPDX-License-Identifier: MIT */
/*
 * Values in memory as part of a stream: write one when everything before is complete, wait until one is there. The
 * words lie in memory that the host sees, where other processes read and write them, hence the atomics.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"
#include "memory.h"

struct value_op {
	struct soft_op op;
	uint64_t addr, value;
	unsigned flags;
	bool wide;
};

static void run_write(struct soft_op *op)
{
	struct value_op *v = (struct value_op *)op;

	if (v->wide)
		atomic_store((_Atomic uint64_t *)v->addr, v->value);
	else
		atomic_store((_Atomic uint32_t *)v->addr, (uint32_t)v->value);
}

static bool wait_ready(struct soft_op *op)
{
	struct value_op *v = (struct value_op *)op;
	uint64_t now = v->wide ? atomic_load((_Atomic uint64_t *)v->addr) : atomic_load((_Atomic uint32_t *)v->addr);

	switch (v->flags & 3) {
	case CU_STREAM_WAIT_VALUE_GEQ:
		return v->wide ? (int64_t)(now - v->value) >= 0 : (int32_t)(uint32_t)(now - v->value) >= 0;
	case CU_STREAM_WAIT_VALUE_EQ:
		return now == v->value;
	case CU_STREAM_WAIT_VALUE_AND:
		return now & v->value;
	default:
		return v->wide ? ~(now | v->value) : (uint32_t)~(now | v->value);
	}
}

static void run_nothing(struct soft_op *op)
{
	(void)op;
}

static CUresult check(uint64_t addr, bool wide, bool flags_ok)
{
	struct soft_region r;
	uint64_t size = wide ? 8 : 4;

	if (!flags_ok || addr % size || !soft_memory_covers(addr, size, &r))
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult queue(struct soft_stream *s, bool wait, bool wide, uint64_t addr, uint64_t value, unsigned flags)
{
	struct value_op *v = calloc(1, sizeof(*v));

	if (!v)
		return CUDA_ERROR_OUT_OF_MEMORY;
	v->addr = addr;
	v->value = wide ? value : (uint32_t)value;
	v->flags = flags;
	v->wide = wide;
	v->op.run = wait ? run_nothing : run_write;
	v->op.ready = wait ? wait_ready : NULL;
	v->op.quick = true;
	soft_submit(s, &v->op);
	return CUDA_SUCCESS;
}

static bool wait_flags(unsigned flags)
{
	return !(flags & ~3u); /* flushing remote writes is not supported, and the attribute says so */
}

static bool write_flags(unsigned flags)
{
	return !(flags & ~CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER);
}

static CUresult capture(struct soft_stream *s, CUstreamBatchMemOpParams *ops, unsigned int count)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };

	p.memOp.count = count;
	p.memOp.paramArray = ops;
	return soft_capture(s, &p, NULL);
}

static CUresult capture_one(struct soft_stream *s, bool wait, bool wide, uint64_t addr, uint64_t value, unsigned flags)
{
	CUstreamBatchMemOpParams op = { 0 };

	if (wait) {
		op.operation = wide ? CU_STREAM_MEM_OP_WAIT_VALUE_64 : CU_STREAM_MEM_OP_WAIT_VALUE_32;
		op.waitValue.address = addr;
		op.waitValue.value64 = value;
		op.waitValue.flags = flags;
	} else {
		op.operation = wide ? CU_STREAM_MEM_OP_WRITE_VALUE_64 : CU_STREAM_MEM_OP_WRITE_VALUE_32;
		op.writeValue.address = addr;
		op.writeValue.value64 = value;
		op.writeValue.flags = flags;
	}
	return capture(s, &op, 1);
}

static CUresult value_call(CUstream handle, bool wait, bool wide, CUdeviceptr addr, uint64_t value, unsigned flags)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	rc = check(addr, wide, wait ? wait_flags(flags) : write_flags(flags));
	if (rc)
		return rc;
	rc = soft_stream_of(ctx, handle, &s);
	if (rc)
		return rc;
	rc = soft_captured(s) ? capture_one(s, wait, wide, addr, value, flags) :
				queue(s, wait, wide, addr, value, flags);
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
	return value_call(stream, true, false, addr, value, flags);
}

static CUresult soft_cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
	return value_call(stream, true, true, addr, value, flags);
}

static CUresult soft_cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr, cuuint32_t value, unsigned int flags)
{
	return value_call(stream, false, false, addr, value, flags);
}

static CUresult soft_cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr addr, cuuint64_t value, unsigned int flags)
{
	return value_call(stream, false, true, addr, value, flags);
}

static CUresult check_batched(const CUstreamBatchMemOpParams *p)
{
	switch (p->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
		return check(p->waitValue.address, false, wait_flags(p->waitValue.flags));
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return check(p->waitValue.address, true, wait_flags(p->waitValue.flags));
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
		return check(p->writeValue.address, false, write_flags(p->writeValue.flags));
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return check(p->writeValue.address, true, write_flags(p->writeValue.flags));
	case CU_STREAM_MEM_OP_BARRIER:
		return CUDA_SUCCESS; /* operations of a stream are ordered anyway */
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult queue_batched(struct soft_stream *s, const CUstreamBatchMemOpParams *p)
{
	bool wide = p->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 || p->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;

	switch (p->operation) {
	case CU_STREAM_MEM_OP_WAIT_VALUE_32:
	case CU_STREAM_MEM_OP_WAIT_VALUE_64:
		return queue(s, true, wide, p->waitValue.address, p->waitValue.value64, p->waitValue.flags);
	case CU_STREAM_MEM_OP_WRITE_VALUE_32:
	case CU_STREAM_MEM_OP_WRITE_VALUE_64:
		return queue(s, false, wide, p->writeValue.address, p->writeValue.value64, p->writeValue.flags);
	default:
		return CUDA_SUCCESS;
	}
}

static CUresult soft_cuStreamBatchMemOp_v2(CUstream handle, unsigned int count, CUstreamBatchMemOpParams *ops,
					   unsigned int flags)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	unsigned i;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (count > 256 || (count && !ops) || flags)
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < count && !rc; i++)
		rc = check_batched(&ops[i]);
	if (rc)
		return rc;
	rc = soft_stream_of(ctx, handle, &s);
	if (rc)
		return rc;
	if (soft_captured(s))
		rc = capture(s, ops, count);
	else
		for (i = 0; i < count && !rc; i++)
			rc = queue_batched(s, &ops[i]);
	soft_put(&s->obj);
	return rc;
}

void soft_fill_fence(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuStreamWaitValue32_v2);
	SOFT_SLOT(d, cuStreamWaitValue64_v2);
	SOFT_SLOT(d, cuStreamWriteValue32_v2);
	SOFT_SLOT(d, cuStreamWriteValue64_v2);
	SOFT_SLOT(d, cuStreamBatchMemOp_v2);
}
