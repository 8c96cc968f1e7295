/* SPDX-License-Identifier: MIT */
/*
 * Kernel launches. What natively fails at once fails here at once, with the
 * same code: handles, geometry, parameters. The parameter block is written straight into
 * the ring from what came with the function; nothing is allocated or asked.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>
#include <vgpu/operands.h>

#include "call.h"
#include "channel.h"
#include "config.h"
#include "context.h"
#include "device.h"
#include "function.h"
#include "handle.h"
#include "launch.h"
#include "stream.h"
#include "thread.h"

/* What was set for a kernel holds for the functions made of it, too, whichever came first. Asked only beyond their own limit. */
static bool kernel_allows(const struct vgpu_function *f, uint32_t shared_bytes)
{
	const struct vgpu_function *kernel = f->kernel ? vgpu_handle_object_wire(VGPU_HANDLE_KERNEL, f->kernel) : NULL;

	return kernel && shared_bytes <= (uint32_t)kernel->attributes[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES];
}

CUresult vgpu_launch_check(const struct vgpu_launch *l, const struct vgpu_function *f)
{
	const int *a = vgpu_device(vgpu_thread.current->device)->attributes;
	uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
	int i, limit;

	if (!threads || !l->grid[0] || !l->grid[1] || !l->grid[2])
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < 3; i++)
		if (l->block[i] > (uint32_t)a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i] ||
		    l->grid[i] > (uint32_t)a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i])
			return CUDA_ERROR_INVALID_VALUE;
	if (threads > (uint64_t)a[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK])
		return CUDA_ERROR_INVALID_VALUE;
	/* Beyond what the kernel was declared for it is a wrong value, beyond the registers it is resources. */
	if (threads > (uint64_t)f->attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK])
		return threads * (uint64_t)f->attributes[CU_FUNC_ATTRIBUTE_NUM_REGS] >
			       (uint64_t)a[CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK] ?
			       CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES : CUDA_ERROR_INVALID_VALUE;
	limit = f->attributes[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES];
	return l->shared_bytes > (uint32_t)limit && !kernel_allows(f, l->shared_bytes) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/*
 * The application packed the block itself. It may end inside the last parameter, of which a kernel with a large one may need the
 * beginning only.
 */
static CUresult parse_extra(void **extra, const struct vgpu_function *f, const void **block, size_t *size)
{
	*block = NULL;
	*size = 0;
	for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
		if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER)
			*block = extra[1];
		else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[1])
			*size = *(const size_t *)extra[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (!*block)
		return *size ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	return f->param_count && *size <= f->params[f->param_count - 1].offset ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/*
 * Where the parameters are: in a *block of *size bytes, or, NULL, in l->params, and then *size is the whole block's. A
 * kernel without any needs neither.
 */
static inline CUresult find_params(const struct vgpu_launch *l, const struct vgpu_function *f, const void **block,
				   size_t *size)
{
	CUresult r;

	*block = NULL;
	*size = f->param_bytes;
	if (l->extra) {
		r = l->params ? CUDA_ERROR_INVALID_VALUE : parse_extra(l->extra, f, block, size);
		if (r)
			return r;
	}
	if (f->param_count && !*block && !l->params)
		return CUDA_ERROR_INVALID_VALUE;
	return *size > VGPU_LAUNCH_PARAM_BYTES ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* Bytes of the block as it travels: the driver reads all parameters. */
static size_t whole_block(const struct vgpu_function *f, size_t given)
{
	return given < f->param_bytes ? f->param_bytes : given;
}

static void pack(uint8_t *to, const struct vgpu_function *f, void **params)
{
	const struct vgpu_param *p = f->params, *end = p + f->param_count;

	for (; p < end; p++, params++) {
		if (p->size == 8)
			memcpy(to + p->offset, *params, 8);
		else if (p->size == 4)
			memcpy(to + p->offset, *params, 4);
		else
			memcpy(to + p->offset, *params, p->size);
	}
}

CUresult vgpu_launch_block(const struct vgpu_launch *l, const struct vgpu_function *f, void **block, uint32_t *bytes)
{
	const void *given;
	size_t size;
	CUresult r = find_params(l, f, &given, &size);

	*bytes = (uint32_t)(given ? whole_block(f, size) : size);
	*block = r ? NULL : calloc(1, *bytes + 1);
	if (r || !*block)
		return r ? r : CUDA_ERROR_OUT_OF_MEMORY;
	if (given)
		memcpy(*block, given, size);
	else if (!l->extra)
		pack(*block, f, l->params);
	return CUDA_SUCCESS;
}

/* Handles inside attributes become wire ids. Everything else travels as it is. */
static CUresult translate(CUlaunchAttribute *attribute)
{
	CUevent *event = NULL;
	uint64_t wire;
	CUresult r;

	if (attribute->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
		event = &attribute->value.programmaticEvent.event;
	else if (attribute->id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
		event = &attribute->value.launchCompletionEvent.event;
	if (!event)
		return CUDA_SUCCESS;
	r = vgpu_handle_wire(VGPU_HANDLE_EVENT, *event, &wire);
	*event = (CUevent)(uintptr_t)wire;
	return r;
}

static CUresult prepare_attributes(const struct vgpu_launch *l, CUlaunchAttribute *to)
{
	CUresult r = CUDA_SUCCESS;
	uint32_t i;

	if (l->attr_count > VGPU_LAUNCH_ATTRIBUTES || (l->attr_count && !l->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < l->attr_count && !r; i++) {
		to[i] = l->attrs[i];
		r = translate(&to[i]);
	}
	return r;
}

static bool is_cooperative(const struct vgpu_launch *l)
{
	uint32_t i;

	for (i = 0; i < l->attr_count; i++)
		if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && l->attrs[i].value.cooperative)
			return true;
	return l->cooperative;
}

/* All blocks of a cooperative launch must be on the device at once, and whether they can be is for the driver to say. */
static CUresult check_at_once(const struct vgpu_launch *l)
{
	const int *a = vgpu_device(vgpu_thread.current->device)->attributes;
	uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
	uint64_t blocks = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
	int each;
	CUresult r = cuOccupancyMaxActiveBlocksPerMultiprocessor(&each, l->function, (int)threads, l->shared_bytes);

	if (r)
		return r;
	return blocks > (uint64_t)each * (uint64_t)a[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT] ?
		       CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

/*
 * A launch in clusters as one number that is not 0, or 0: there are none. Whether a cluster is too large, has too much
 * shared memory or does not divide the grid is for the driver to say.
 */
static uint64_t cluster_shape(const struct vgpu_launch *l)
{
	uint64_t shape = 0xcbf29ce484222325ull;	/* FNV-1a of words */
	const unsigned int *dim = NULL;
	uint32_t i;

	for (i = 0; i < l->attr_count; i++)
		if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
			dim = &l->attrs[i].value.clusterDim.x;
	if (!dim)
		return 0;
	for (i = 0; i < 3; i++) {
		shape = (shape ^ dim[i]) * 0x100000001b3ull;
		shape = (shape ^ l->block[i]) * 0x100000001b3ull;
		shape = (shape ^ (dim[i] && !(l->grid[i] % dim[i]))) * 0x100000001b3ull;
	}
	return ((shape ^ l->shared_bytes) * 0x100000001b3ull) | 1;
}

/* With CUDA_LAUNCH_BLOCKING: what became of the kernel is the launch's result. Nothing runs in a capture yet. */
static CUresult wait_for_kernel(struct vgpu_stream *s)
{
	if (atomic_load_explicit(&s->capture, memory_order_acquire) != CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_SUCCESS;
	return vgpu_error_after(vgpu_stream_wait(s));
}

/* The attribute that makes a captured launch a node that device code can change, or NULL. */
static CUlaunchAttribute *updatable(const struct vgpu_launch *l)
{
	for (uint32_t i = 0; i < l->attr_count; i++)
		if (l->attrs[i].id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
			return &l->attrs[i];
	return NULL;
}

/* What device code names the node by that was just captured: it is the one that the stream's next will depend on. */
static CUresult name_node(CUstream stream, CUlaunchAttribute *attribute)
{
	CUstreamCaptureStatus status;
	const CUgraphEdgeData *edges;
	const CUgraphNode *last;
	size_t count = 0;
	CUresult r = cuStreamGetCaptureInfo_v3(stream, &status, NULL, NULL, &last, &edges, &count);

	if (r || count != 1)
		return r;
	return cuGraphKernelNodeGetAttribute(last[0], attribute->id, &attribute->value);
}

/*
 * The first of its shape is waited for, so that what is wrong with it is said at once, as natively; and so is one whose
 * node has to be named.
 */
static CUresult submit(struct vgpu_call *c, const struct vgpu_launch *l, struct vgpu_function *f, struct vgpu_stream *s,
		       uint64_t shape)
{
	CUlaunchAttribute *node = updatable(l);
	CUresult r = CUDA_SUCCESS;

	if (!shape && !node) {
		vgpu_call_submit(c);
	} else {
		r = vgpu_call_finish(c);
		if (!r && shape)
			atomic_store_explicit(&f->proved, shape, memory_order_relaxed);
		if (!r && node)
			r = name_node(l->stream, node);
	}
	return !r && vgpu_config.launch_blocking ? wait_for_kernel(s) : r;
}

CUresult vgpu_launch(const struct vgpu_launch *l)
{
	VGPU_STREAM_LENDS(l->stream);
	CUlaunchAttribute attributes[VGPU_LAUNCH_ATTRIBUTES];
	struct vgpu_args_launch *a;
	struct vgpu_function *f;
	struct vgpu_stream *s;
	struct vgpu_call c;
	const void *block;
	size_t bytes, given, padded;
	uint64_t shape = 0;	/* what the driver has to say first */
	CUresult r;

	r = vgpu_call_clear() ? CUDA_SUCCESS : vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	f = vgpu_function_get(l->function);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	r = vgpu_stream_get(l->stream, &s);
	if (!r)
		r = vgpu_launch_check(l, f);
	if (r)
		return r;
	r = find_params(l, f, &block, &given);
	if (!r && l->attr_count) {
		r = prepare_attributes(l, attributes);
		shape = r ? 0 : cluster_shape(l);
		if (shape == atomic_load_explicit(&f->proved, memory_order_relaxed))
			shape = 0;
	}
	if (!r && is_cooperative(l))
		r = check_at_once(l);
	if (r)
		return r;
	bytes = whole_block(f, given);
	padded = vgpu_align8(bytes);
	r = vgpu_call_begin(&c, VGPU_OP_launch, sizeof(*a),
			    (uint32_t)(padded + l->attr_count * sizeof(*attributes)),
			    VGPU_CALL_CONTEXT | VGPU_CALL_CHECKED | VGPU_CALL_FILLED | (shape || updatable(l) ? VGPU_CALL_REPLY : 0));
	if (r)
		return r;
	a = c.args;
	a->function = f->wire;
	a->stream = s->wire;
	memcpy(a->grid, l->grid, sizeof(a->grid));
	memcpy(a->block, l->block, sizeof(a->block));
	a->shared_bytes = l->shared_bytes;
	a->param_bytes = (uint16_t)bytes;
	a->attr_count = (uint8_t)l->attr_count;
	a->flags = l->cooperative ? VGPU_LAUNCH_COOPERATIVE : 0;
	if (block)
		memset((uint8_t *)memcpy(c.payload, block, given) + given, 0, bytes - given);
	else if (!l->extra)
		pack(c.payload, f, l->params);
	if (l->attr_count)
		memcpy((uint8_t *)c.payload + padded, attributes, l->attr_count * sizeof(*attributes));
	vgpu_touch(s);
	return submit(&c, l, f, s, shape);
}

CUresult cuLaunchKernel(CUfunction f, unsigned int grid_dim_x, unsigned int grid_dim_y, unsigned int grid_dim_z,
			unsigned int block_dim_x, unsigned int block_dim_y, unsigned int block_dim_z,
			unsigned int shared_mem_bytes, CUstream stream, void **kernel_params, void **extra)
{
	return vgpu_launch(&(struct vgpu_launch){
		.function = f, .stream = stream,
		.grid = { grid_dim_x, grid_dim_y, grid_dim_z }, .block = { block_dim_x, block_dim_y, block_dim_z },
		.shared_bytes = shared_mem_bytes, .params = kernel_params, .extra = extra });
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int grid_dim_x, unsigned int grid_dim_y,
				   unsigned int grid_dim_z, unsigned int block_dim_x, unsigned int block_dim_y,
				   unsigned int block_dim_z, unsigned int shared_mem_bytes, CUstream stream,
				   void **kernel_params)
{
	return vgpu_launch(&(struct vgpu_launch){
		.function = f, .stream = stream, .cooperative = true,
		.grid = { grid_dim_x, grid_dim_y, grid_dim_z }, .block = { block_dim_x, block_dim_y, block_dim_z },
		.shared_bytes = shared_mem_bytes, .params = kernel_params });
}

CUresult vgpu_on_cuLaunchKernelEx(CUstream default_stream, const CUlaunchConfig *config, CUfunction f,
				  void **kernel_params, void **extra)
{
	if (!config)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	return vgpu_launch(&(struct vgpu_launch){
		.function = f, .stream = config->hStream ? config->hStream : default_stream,
		.grid = { config->gridDimX, config->gridDimY, config->gridDimZ },
		.block = { config->blockDimX, config->blockDimY, config->blockDimZ },
		.shared_bytes = config->sharedMemBytes, .attrs = config->attrs, .attr_count = config->numAttrs,
		.params = kernel_params, .extra = extra });
}

/* ---- occupancy of clusters: a launch's description without the launch ---- */

static CUresult clusters(int *value, CUfunction func, const CUlaunchConfig *config, uint32_t what)
{
	VGPU_STREAM_LENDS(config ? config->hStream : NULL);
	CUlaunchAttribute attributes[VGPU_LAUNCH_ATTRIBUTES];
	const struct vgpu_ret_occupancy_clusters *o;
	struct vgpu_args_occupancy_clusters *a;
	struct vgpu_launch l = { .function = func };
	struct vgpu_function *f;
	struct vgpu_stream *s;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!value || !config)
		return CUDA_ERROR_INVALID_VALUE;
	f = vgpu_function_get(func);
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	l.attrs = config->attrs;
	l.attr_count = config->numAttrs;
	r = vgpu_stream_get(config->hStream, &s);
	if (!r)
		r = prepare_attributes(&l, attributes);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_occupancy_clusters, sizeof(*a),
				    (uint32_t)(l.attr_count * sizeof(*attributes)), VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->function = f->wire;
	a->stream = s->wire;
	a->grid[0] = config->gridDimX;
	a->grid[1] = config->gridDimY;
	a->grid[2] = config->gridDimZ;
	a->block[0] = config->blockDimX;
	a->block[1] = config->blockDimY;
	a->block[2] = config->blockDimZ;
	a->shared_bytes = config->sharedMemBytes;
	a->attr_count = l.attr_count;
	a->what = what;
	if (l.attr_count)
		memcpy(c.payload, attributes, l.attr_count * sizeof(*attributes));
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*value = o->value;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuOccupancyMaxActiveClusters(int *num_clusters, CUfunction func, const CUlaunchConfig *config)
{
	return clusters(num_clusters, func, config, 0);
}

CUresult cuOccupancyMaxPotentialClusterSize(int *cluster_size, CUfunction func, const CUlaunchConfig *config)
{
	return clusters(cluster_size, func, config, 1);
}
