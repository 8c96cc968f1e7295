/* SPDX-License-Identifier: MIT */
/*
 * Kernel launches and occupancy.  The parameter block comes laid out as the driver wants it; its size is compared with
 * what the driver said about the kernel (module.c keeps that beside the handle), because a short block would make the
 * driver read on into this process.  The worker's only thread.
 */
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>
#include <vgpu/operands.h>

#include "function.h"
#include "log.h"
#include "session.h"

#define ATTRIBUTES_MOST	32u
#define PARAMS_MOST	1024u	/* of a cooperative kernel: 4 KiB of words */

static struct vgpu_handle_entry *find_function(struct vgpu_session *s, uint64_t id)
{
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(id);

	if (kind != VGPU_HANDLE_FUNCTION && kind != VGPU_HANDLE_KERNEL)
		return NULL;
	return vgpu_handles_find(&s->handles, kind, id);
}

/* One attribute from the wire: handles become objects, what holds host pointers is refused. */
static CUresult take_attribute(struct vgpu_session *s, const CUlaunchAttribute *in, CUlaunchAttribute *out)
{
	void *event = NULL;
	uint64_t id;
	CUresult r;

	*out = *in;
	switch (in->id) {
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		memcpy(&id, &in->value, sizeof(id));	/* both open with the event */
		r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, id, &event);
		if (in->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
			out->value.programmaticEvent.event = event;
		else
			out->value.launchCompletionEvent.event = event;
		return r;
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		out->value.deviceUpdatableKernelNode.devNode = NULL;	/* the driver's to fill in, the guest asks the node */
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return CUDA_SUCCESS;
	default:
		vgpu_log(VGPU_LOG_NOTICE, NULL, "launch attribute %u is not supported", in->id);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUresult take_attributes(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t *at, uint32_t count,
				CUlaunchAttribute *out)
{
	const CUlaunchAttribute *in;
	CUresult r = CUDA_SUCCESS;

	if (count > ATTRIBUTES_MOST)
		return vgpu_session_broken(s, "launch with %u attributes", count);
	in = vgpu_take(rq, at, count * (uint32_t)sizeof(*in));
	if (!in)
		return vgpu_session_broken(s, "launch attributes do not fit their payload");
	for (uint32_t i = 0; i < count && !r; i++)
		r = take_attribute(s, &in[i], &out[i]);
	return r;
}

static bool cooperative(const struct vgpu_args_launch *a, const CUlaunchAttribute *attrs)
{
	for (uint32_t i = 0; i < a->attr_count; i++)
		if (attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && attrs[i].value.cooperative)
			return true;
	return a->flags & VGPU_LAUNCH_COOPERATIVE;
}

/* A pointer to each parameter in the block. */
static CUresult point(const struct vgpu_session *s, const struct vgpu_handle_entry *f, const uint8_t *block, size_t bytes,
		      void **params)
{
	size_t offset, size;
	uint32_t n = 0;

	while (!vgpu_function_parameter(s, f, n, &offset, &size)) {
		if (n == PARAMS_MOST || offset > bytes || size > bytes - offset)
			return CUDA_ERROR_INVALID_VALUE;
		params[n++] = (void *)(uintptr_t)(block + offset);
	}
	return CUDA_SUCCESS;
}

/* Blocks that wait for each other: the driver takes their parameters one by one only. */
static CUresult launch_ex(struct vgpu_session *s, const struct vgpu_args_launch *a, const struct vgpu_handle_entry *f,
			  CUstream stream, CUlaunchAttribute *attrs, void **extra)
{
	void *params[PARAMS_MOST];
	bool one_by_one = cooperative(a, attrs);
	CUlaunchConfig c = {
		.gridDimX = a->grid[0], .gridDimY = a->grid[1], .gridDimZ = a->grid[2],
		.blockDimX = a->block[0], .blockDimY = a->block[1], .blockDimZ = a->block[2],
		.sharedMemBytes = a->shared_bytes, .hStream = stream, .attrs = attrs, .numAttrs = a->attr_count,
	};
	CUresult r;

	if (!s->drv->cuLaunchKernelEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (a->flags & VGPU_LAUNCH_COOPERATIVE) {
		attrs[c.numAttrs] = (CUlaunchAttribute){ .id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE };
		attrs[c.numAttrs++].value.cooperative = 1;
	}
	if (!one_by_one)
		return s->drv->cuLaunchKernelEx(&c, f->obj, NULL, extra);
	r = point(s, f, extra[1], a->param_bytes, params);
	return r ? r : s->drv->cuLaunchKernelEx(&c, f->obj, params, NULL);
}

static CUresult launch(struct vgpu_session *s, const struct vgpu_args_launch *a, const struct vgpu_handle_entry *f,
		       CUstream stream, CUlaunchAttribute *attrs, const void *params)
{
	size_t bytes = a->param_bytes;
	void *extra[] = {
		CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)(uintptr_t)params,
		CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END,
	};

	if (a->attr_count || a->flags)
		return launch_ex(s, a, f, stream, attrs, extra);
	if (!s->drv->cuLaunchKernel)
		return CUDA_ERROR_NOT_SUPPORTED;
	return s->drv->cuLaunchKernel(f->obj, a->grid[0], a->grid[1], a->grid[2], a->block[0], a->block[1], a->block[2],
				      a->shared_bytes, stream, NULL, extra);
}

CUresult vgpu_handle_launch(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_launch *a = rq->args;
	struct vgpu_handle_entry *f = find_function(s, a->function);
	CUlaunchAttribute attrs[ATTRIBUTES_MOST + 1];
	const void *params;
	uint32_t at = 0;
	void *stream;
	CUresult r;

	rq->stream = a->stream;
	params = vgpu_take(rq, &at, a->param_bytes);
	if (!params || a->flags & ~VGPU_LAUNCH_COOPERATIVE)
		return vgpu_session_broken(s, "launch with %u bytes of parameters in a payload of %u", a->param_bytes,
					   rq->payload_size);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	if (a->param_bytes < f->aux)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);
	if (!r && a->attr_count)
		r = take_attributes(s, rq, &at, a->attr_count, attrs);
	if (!r)
		vgpu_timeline_begin(s, rq, stream);
	if (!r)
		r = launch(s, a, f, stream, attrs, params);
	if (r)
		return r;
	vgpu_count(&s->stats->launches, 1);
	vgpu_timeout_launched(s, stream);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_occupancy_block_size(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_occupancy_block_size *a = rq->args;
	struct vgpu_ret_occupancy_block_size *o = rq->ret;
	void *f;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_FUNCTION, a->function, &f);

	if (r)
		return r;
	if (!s->drv->cuOccupancyMaxPotentialBlockSizeWithFlags)
		return CUDA_ERROR_NOT_SUPPORTED;
	rq->ret_size = sizeof(*o);
	return s->drv->cuOccupancyMaxPotentialBlockSizeWithFlags(&o->min_grid_size, &o->block_size, f, NULL,
								 a->dynamic_shared, a->block_size_limit, a->flags);
}

CUresult vgpu_handle_occupancy_clusters(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_occupancy_clusters *a = rq->args;
	struct vgpu_ret_occupancy_clusters *o = rq->ret;
	CUlaunchAttribute attrs[ATTRIBUTES_MOST];
	void *f, *stream;
	uint32_t at = 0;
	CUlaunchConfig c;
	CUresult (*ask)(int *, CUfunction, const CUlaunchConfig *);
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_FUNCTION, a->function, &f);

	if (a->what > 1)
		return vgpu_session_broken(s, "occupancy question %u", a->what);
	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);
	if (!r)
		r = take_attributes(s, rq, &at, a->attr_count, attrs);
	if (r)
		return r;
	c = (CUlaunchConfig){
		.gridDimX = a->grid[0], .gridDimY = a->grid[1], .gridDimZ = a->grid[2],
		.blockDimX = a->block[0], .blockDimY = a->block[1], .blockDimZ = a->block[2],
		.sharedMemBytes = a->shared_bytes, .hStream = stream, .attrs = attrs, .numAttrs = a->attr_count,
	};
	ask = a->what ? s->drv->cuOccupancyMaxPotentialClusterSize : s->drv->cuOccupancyMaxActiveClusters;
	rq->ret_size = sizeof(*o);
	return ask ? ask(&o->value, f, &c) : CUDA_ERROR_NOT_SUPPORTED;
}
