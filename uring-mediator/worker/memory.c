/* SPDX-License-Identifier: MIT */
/*
 * Device memory of the session: allocation, the limit, and the check that every address of a copy or a memset goes
 * through.  Accounts live in the session and are published in the stats page.  The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"
#include "log.h"

static void publish(struct vgpu_session *s)
{
	atomic_store_explicit(&s->stats->memory_used, s->memory_used, memory_order_relaxed);
}

void vgpu_memory_note_peak(struct vgpu_session *s)
{
	s->memory_peak = s->memory_used;
	atomic_store_explicit(&s->stats->memory_peak, s->memory_peak, memory_order_relaxed);
}

CUresult vgpu_memory_charge(struct vgpu_session *s, uint64_t bytes)
{
	if (bytes > UINT64_MAX - s->memory_used)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (s->memory_limit && s->memory_used + bytes > s->memory_limit) {
		vgpu_log(VGPU_LOG_NOTICE, NULL, "allocation of %llu bytes refused: %llu of %llu are in use",
			 (unsigned long long)bytes, (unsigned long long)s->memory_used,
			 (unsigned long long)s->memory_limit);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	s->memory_used += bytes;
	publish(s);
	return CUDA_SUCCESS;
}

void vgpu_memory_release(struct vgpu_session *s, uint64_t bytes)
{
	s->memory_used -= bytes < s->memory_used ? bytes : s->memory_used;
	publish(s);
}

CUresult vgpu_memory_check(const struct vgpu_session *s, uint64_t addr, uint64_t size)
{
	if (!size || vgpu_ranges_cover(&s->ranges, addr, size) || vgpu_arena_pointer(s, addr, size))
		return CUDA_SUCCESS;
	return CUDA_ERROR_INVALID_VALUE;
}

static bool of_pool(enum vgpu_range_kind kind)
{
	return kind == VGPU_RANGE_POOL || kind == VGPU_RANGE_POINTER;
}

/* Forget memory from pools that is noted where the driver has put something else. */
static void evict(struct vgpu_session *s, uint64_t start, uint64_t bytes)
{
	const struct vgpu_mem_range *r;

	while ((r = vgpu_ranges_overlap(&s->ranges, start, bytes)) && of_pool(r->kind))
		vgpu_memory_forget(s, r->start);
}

CUresult vgpu_memory_enter(struct vgpu_session *s, CUdeviceptr dptr, uint64_t bytes, enum vgpu_range_kind kind)
{
	uint32_t context = of_pool(kind) ? 0 : vgpu_session_home(s);

	evict(s, dptr, bytes);
	return vgpu_ranges_add(&s->ranges, dptr, bytes, kind, 0, context) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

/* Enter a fresh allocation, or give it back when it cannot be entered. */
static CUresult keep(struct vgpu_session *s, CUdeviceptr dptr, uint64_t bytes, enum vgpu_range_kind kind)
{
	CUresult r = vgpu_memory_enter(s, dptr, bytes, kind);

	if (r)
		s->drv->cuMemFree_v2(dptr);
	return r;
}

CUresult vgpu_handle_cuMemAlloc_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemAlloc_v2 *a = rq->args;
	struct vgpu_ret_cuMemAlloc_v2 *o = rq->ret;
	CUresult r = vgpu_memory_charge(s, a->bytesize);

	if (r)
		return r;
	r = vgpu_default_cuMemAlloc_v2(s, rq);
	if (!r)
		r = keep(s, o->dptr, a->bytesize, VGPU_RANGE_ALLOC);
	if (r)
		vgpu_memory_release(s, a->bytesize);
	return r;
}

CUresult vgpu_handle_cuMemAllocPitch_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemAllocPitch_v2 *a = rq->args;
	struct vgpu_ret_cuMemAllocPitch_v2 *o = rq->ret;
	uint64_t guess, bytes;
	CUresult r;

	/* The pitch is the driver's choice: ask for the least, then book the difference. */
	if (__builtin_mul_overflow(a->width_in_bytes, a->height, &guess))
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = vgpu_memory_charge(s, guess);
	if (r)
		return r;
	r = vgpu_default_cuMemAllocPitch_v2(s, rq);
	bytes = r ? 0 : o->pitch * a->height;
	if (!r)
		r = keep(s, o->dptr, bytes, VGPU_RANGE_ALLOC);
	vgpu_memory_release(s, guess);
	if (!r) {
		s->memory_used += bytes;
		publish(s);
	}
	return r;
}

void vgpu_memory_forget(struct vgpu_session *s, CUdeviceptr dptr)
{
	const struct vgpu_mem_range *r = vgpu_ranges_find(&s->ranges, dptr);
	uint64_t charged = vgpu_range_charged(r) ? r->size : 0;

	vgpu_share_withdraw(s, VGPU_SHARE_MEMORY, dptr);
	vgpu_share_withdraw(s, VGPU_SHARE_POINTER, dptr);
	vgpu_ranges_remove(&s->ranges, dptr);
	vgpu_memory_release(s, charged);
}

/* May this address be given to the driver to be freed? */
static bool freeable(const struct vgpu_session *s, CUdeviceptr dptr)
{
	const struct vgpu_mem_range *r = vgpu_ranges_find(&s->ranges, dptr);

	return r && r->start == dptr && (vgpu_range_charged(r) || r->kind == VGPU_RANGE_POINTER);
}

CUresult vgpu_handle_cuMemFree_v2(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemFree_v2 *a = rq->args;
	CUresult r;

	if (!freeable(s, a->dptr))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_default_cuMemFree_v2(s, rq);
	if (!r)
		vgpu_memory_forget(s, a->dptr);
	return r;
}

/* In a stream that captures, an allocation is a node of a graph. */
static CUresult captured(struct vgpu_session *s, uint64_t stream, CUdeviceptr dptr, uint64_t bytes)
{
	CUgraph graph = vgpu_capture_graph(s, stream);

	return graph ? vgpu_graph_memory_alloc(s, graph, dptr, bytes) : CUDA_SUCCESS;
}

/* An allocation of a pool by @allocate, which writes its address to *@dptr, in the answer. */
static CUresult alloc_async(struct vgpu_session *s, struct vgpu_request *rq, uint64_t stream, uint64_t bytes,
			    CUresult (*allocate)(struct vgpu_session *s, struct vgpu_request *rq), const uint64_t *dptr)
{
	CUresult r = vgpu_memory_charge(s, bytes);

	if (r)
		return r;
	r = allocate(s, rq);
	if (!r)
		r = keep(s, *dptr, bytes, VGPU_RANGE_POOL);
	if (r) {
		vgpu_memory_release(s, bytes);
		return r;
	}
	return captured(s, stream, *dptr, bytes);
}

CUresult vgpu_handle_cuMemAllocAsync(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemAllocAsync *a = rq->args;
	struct vgpu_ret_cuMemAllocAsync *o = rq->ret;

	return alloc_async(s, rq, a->stream, a->bytesize, vgpu_default_cuMemAllocAsync, &o->dptr);
}

CUresult vgpu_handle_cuMemAllocFromPoolAsync(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemAllocFromPoolAsync *a = rq->args;
	struct vgpu_ret_cuMemAllocFromPoolAsync *o = rq->ret;

	return alloc_async(s, rq, a->stream, a->bytesize, vgpu_default_cuMemAllocFromPoolAsync, &o->dptr);
}

CUresult vgpu_handle_cuMemFreeAsync(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuMemFreeAsync *a = rq->args;
	CUgraph graph;
	CUresult r;

	if (!freeable(s, a->dptr))
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_default_cuMemFreeAsync(s, rq);
	if (r)
		return r;
	graph = vgpu_capture_graph(s, a->stream);
	if (graph)
		return vgpu_graph_memory_free(s, graph, a->dptr);
	vgpu_memory_forget(s, a->dptr);
	return CUDA_SUCCESS;
}

/* Bytes of a pointer attribute's value; 0: an address or handle of this process, or unknown. */
static uint32_t attribute_size(uint32_t attribute)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		return 4;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		return 1;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		return 8;
	default:
		return 0;
	}
}

CUresult vgpu_handle_pointer_attribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_pointer_attribute *a = rq->args;
	struct vgpu_ret_pointer_attribute *o = rq->ret;
	uint32_t size = attribute_size(a->attribute);
	CUresult r = vgpu_memory_check(s, a->pointer, 1);

	if (r)
		return r;
	if (!s->drv->cuPointerGetAttribute || !size)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuPointerGetAttribute(o->value, (CUpointer_attribute)a->attribute, a->pointer);
	o->size = size;
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_mempool_set_attribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_mempool_set_attribute *a = rq->args;
	uint64_t value = a->value;
	void *pool;
	CUresult r;

	if (!s->drv->cuMemPoolSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_session_lookup(s, VGPU_HANDLE_MEMPOOL, a->pool, &pool);
	return r ? r : s->drv->cuMemPoolSetAttribute(pool, (CUmemPool_attribute)a->attribute, &value);
}

CUresult vgpu_handle_mempool_get_attribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_mempool_get_attribute *a = rq->args;
	struct vgpu_ret_mempool_get_attribute *o = rq->ret;
	void *pool;
	CUresult r;

	if (!s->drv->cuMemPoolGetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_session_lookup(s, VGPU_HANDLE_MEMPOOL, a->pool, &pool);
	if (!r)
		r = s->drv->cuMemPoolGetAttribute(pool, (CUmemPool_attribute)a->attribute, &o->value);
	rq->ret_size = sizeof(*o);
	return r;
}

CUresult vgpu_handle_mempool_of_device(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_mempool_of_device *a = rq->args;
	CUresult (*get)(CUmemoryPool *, CUdevice) = a->current ? s->drv->cuDeviceGetMemPool :
								 s->drv->cuDeviceGetDefaultMemPool;
	struct vgpu_handle_entry *known = vgpu_handles_find(&s->handles, VGPU_HANDLE_MEMPOOL, a->pool);
	CUmemoryPool pool = NULL;
	CUresult r;

	if (!get)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = get(&pool, a->device);
	if (r || (known && known->obj == pool))
		return r;
	return vgpu_session_bind(s, VGPU_HANDLE_MEMPOOL, a->pool, pool);
}
