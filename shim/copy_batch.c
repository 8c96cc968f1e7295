/* SPDX-License-Identifier: MIT */
/*
 * Copies in batches: one after the other in the order of the stream, which
 * any order of a batch may be. What the application says of its sources is kept: a
 * pageable source that is to be read in stream order waits for the stream.
 * Hints of places and flags are hints.
 */
#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "array.h"
#include "batch.h"
#include "call.h"
#include "copy.h"
#include "copy_shape.h"
#include "device.h"
#include "memory.h"
#include "stream.h"

#define NO_INDEX	SIZE_MAX	/* the failure is not one copy's */

/* The stream of a batch: not the default one, and not one that is being captured. */
static CUresult batch_stream(CUstream stream, struct vgpu_stream **s)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!stream || stream == CU_STREAM_LEGACY)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_stream_get(stream, s);
	if (!r && (*s)->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return r;
}

static CUresult check_order(CUmemcpySrcAccessOrder order)
{
	return order >= CU_MEMCPY_SRC_ACCESS_ORDER_STREAM && order <= CU_MEMCPY_SRC_ACCESS_ORDER_ANY ?
		       CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Before a source is read: what was queued may still write to it. */
static CUresult settle_source(uint64_t src, CUmemcpySrcAccessOrder order, struct vgpu_stream *s)
{
	if (order != CU_MEMCPY_SRC_ACCESS_ORDER_STREAM || vgpu_memory_place(src) != VGPU_PLACE_HOST)
		return CUDA_SUCCESS;
	return vgpu_stream_wait(s);
}

static bool is_place(CUmemLocation l)
{
	return l.type == CU_MEM_LOCATION_TYPE_DEVICE ? vgpu_device_valid(l.id) :
						       (unsigned)l.type <= CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static CUresult check_attributes(size_t count, const CUmemcpyAttributes *attrs, const size_t *idxs, size_t num)
{
	size_t k;

	if (!attrs || !vgpu_batch_splits(count, idxs, num))
		return CUDA_ERROR_INVALID_VALUE;
	for (k = 0; k < num; k++)
		if (check_order(attrs[k].srcAccessOrder) || !is_place(attrs[k].srcLocHint) ||
		    !is_place(attrs[k].dstLocHint) ||
		    attrs[k].flags & ~(unsigned int)CU_MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult copy_one(uint64_t dst, uint64_t src, size_t bytes, CUmemcpySrcAccessOrder order, struct vgpu_stream *s)
{
	CUresult r;

	if (!dst || !src || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	r = settle_source(src, order, s);
	return r ? r : vgpu_copy(dst, src, bytes, s, false);
}

CUresult cuMemcpyBatchAsync(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
			    CUmemcpyAttributes *attrs, size_t *attrs_idxs, size_t num_attrs, size_t *fail_idx,
			    CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_stream *s;
	size_t i, k = 0;
	CUresult r = batch_stream(stream, &s);

	if (!r && (!dsts || !srcs || !sizes || !count))
		r = CUDA_ERROR_INVALID_VALUE;
	if (!r)
		r = check_attributes(count, attrs, attrs_idxs, num_attrs);
	if (fail_idx)
		*fail_idx = NO_INDEX;
	for (i = 0; i < count && !r; i++) {
		k += k + 1 < num_attrs && attrs_idxs[k + 1] == i;
		r = copy_one(dsts[i], srcs[i], sizes[i], attrs[k].srcAccessOrder, s);
		if (r && fail_idx)
			*fail_idx = i;
	}
	return r;
}

CUresult cuMemcpyBatchAsync_v2(CUdeviceptr *dsts, CUdeviceptr *srcs, size_t *sizes, size_t count,
			       CUmemcpyAttributes *attrs, size_t *attrs_idxs, size_t num_attrs, CUstream stream)
{
	return cuMemcpyBatchAsync(dsts, srcs, sizes, count, attrs, attrs_idxs, num_attrs, NULL, stream);
}

/* Bytes of an array's element; a pointer leaves them as they are. */
static CUresult element_of(const CUmemcpy3DOperand *o, size_t *bytes)
{
	const struct vgpu_array *a;
	uint64_t wire;

	if (o->type == CU_MEMCPY_OPERAND_TYPE_POINTER)
		return CUDA_SUCCESS;
	if (o->type != CU_MEMCPY_OPERAND_TYPE_ARRAY)
		return CUDA_ERROR_INVALID_VALUE;
	a = vgpu_array_get(o->op.array.array, &wire);
	if (!a)
		return CUDA_ERROR_INVALID_HANDLE;
	*bytes = vgpu_array_element(a);
	return *bytes ? CUDA_SUCCESS : vgpu_unsupported("cuMemcpy3DBatchAsync of compressed arrays");
}

static void fill_source(CUDA_MEMCPY3D *c, const CUmemcpy3DOperand *o, size_t element)
{
	if (o->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
		c->srcMemoryType = CU_MEMORYTYPE_ARRAY;
		c->srcArray = o->op.array.array;
		c->srcXInBytes = o->op.array.offset.x * element;
		c->srcY = o->op.array.offset.y;
		c->srcZ = o->op.array.offset.z;
	} else {
		c->srcMemoryType = CU_MEMORYTYPE_UNIFIED;
		c->srcDevice = o->op.ptr.ptr;
		c->srcPitch = o->op.ptr.rowLength * element;
		c->srcHeight = o->op.ptr.layerHeight;
	}
}

static void fill_destination(CUDA_MEMCPY3D *c, const CUmemcpy3DOperand *o, size_t element)
{
	if (o->type == CU_MEMCPY_OPERAND_TYPE_ARRAY) {
		c->dstMemoryType = CU_MEMORYTYPE_ARRAY;
		c->dstArray = o->op.array.array;
		c->dstXInBytes = o->op.array.offset.x * element;
		c->dstY = o->op.array.offset.y;
		c->dstZ = o->op.array.offset.z;
	} else {
		c->dstMemoryType = CU_MEMORYTYPE_UNIFIED;
		c->dstDevice = o->op.ptr.ptr;
		c->dstPitch = o->op.ptr.rowLength * element;
		c->dstHeight = o->op.ptr.layerHeight;
	}
}

static CUresult copy_box(const CUDA_MEMCPY3D_BATCH_OP *op, CUstream stream, struct vgpu_stream *s)
{
	CUDA_MEMCPY3D c = { .Height = op->extent.height, .Depth = op->extent.depth };
	struct vgpu_shape shape;
	size_t from = 0, to = 0, element;
	CUresult r = check_order(op->srcAccessOrder);

	if (!r)
		r = element_of(&op->src, &from);
	if (!r)
		r = element_of(&op->dst, &to);
	if (r)
		return r;
	if (from && to && from != to)
		return CUDA_ERROR_INVALID_VALUE;
	element = from ? from : to ? to : 1;	/* without an array, extents count bytes */
	c.WidthInBytes = op->extent.width * element;
	fill_source(&c, &op->src, element);
	fill_destination(&c, &op->dst, element);
	r = vgpu_shape_of_3d(&c, &shape);
	if (!r && c.srcMemoryType == CU_MEMORYTYPE_UNIFIED)
		r = settle_source(c.srcDevice, op->srcAccessOrder, s);
	return r ? r : vgpu_shape_copy(&shape, stream, false);
}

CUresult cuMemcpy3DBatchAsync(size_t num_ops, CUDA_MEMCPY3D_BATCH_OP *op_list, size_t *fail_idx,
			      unsigned long long flags, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_stream *s;
	size_t i;
	CUresult r = batch_stream(stream, &s);

	if (!r && (!num_ops || !op_list || flags))
		r = CUDA_ERROR_INVALID_VALUE;
	if (fail_idx)
		*fail_idx = NO_INDEX;
	for (i = 0; i < num_ops && !r; i++) {
		r = copy_box(&op_list[i], stream, s);
		if (r && fail_idx)
			*fail_idx = i;
	}
	return r;
}

CUresult cuMemcpy3DBatchAsync_v2(size_t num_ops, CUDA_MEMCPY3D_BATCH_OP *op_list, unsigned long long flags,
				 CUstream stream)
{
	return cuMemcpy3DBatchAsync(num_ops, op_list, NULL, flags, stream);
}
