/* SPDX-License-Identifier: MIT */
/*
 * Launches: what a launch may look like, its parameters gathered into one block, the operation.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "graph.h"
#include "grid.h"

#define MAX_EXTRA 16 /* words of `extra` that are looked at */

struct launch_op {
	struct soft_op op;
	struct soft_function *function; /* a reference */
	struct soft_grid grid;
	_Alignas(16) unsigned char params[];
};

static bool shape_valid(const uint32_t grid[3], const uint32_t block[3])
{
	uint64_t threads = (uint64_t)block[0] * block[1] * block[2];

	return grid[0] && grid[1] && grid[2] && grid[0] <= 0x7fffffff && grid[1] <= 65535 && grid[2] <= 65535 &&
	       threads && block[0] <= 1024 && block[1] <= 1024 && block[2] <= 64 && threads <= SOFT_MAX_BLOCK_THREADS;
}

/* All blocks of a cooperative launch are on the device at once, or it is refused. */
static CUresult fits_at_once(const struct ptx_entry *e, const struct soft_grid *g)
{
	uint64_t blocks = (uint64_t)g->grid[0] * g->grid[1] * g->grid[2];
	int most = soft_blocks_per_sm(e, g->block[0] * g->block[1] * g->block[2], g->dynamic_shared);

	return blocks > (uint64_t)most * soft_config.threads ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

static CUresult fits(struct soft_function *f, const struct soft_grid *g)
{
	const struct ptx_entry *e = f->entry;
	int most = 0;

	if (!shape_valid(g->grid, g->block))
		return CUDA_ERROR_INVALID_VALUE;
	if (e->reqntid[0] && memcmp(e->reqntid, g->block, sizeof(e->reqntid)))
		return CUDA_ERROR_INVALID_VALUE;
	if (g->block[0] * g->block[1] * g->block[2] > e->max_threads)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	soft_attribute_get(e, &f->settings, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, &most);
	if (most < 0 || g->dynamic_shared > (unsigned)most)
		return CUDA_ERROR_INVALID_VALUE;
	return g->cooperative ? fits_at_once(e, g) : CUDA_SUCCESS;
}

/* The buffer form: pairs of a key and a value, up to the end mark. */
static CUresult take_extra(const struct ptx_entry *e, void **extra, unsigned char *params)
{
	const void *buffer = NULL;
	size_t size = 0, used = 0;
	unsigned i;

	for (i = 0; i < MAX_EXTRA && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
		if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[i + 1];
		else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[i + 1])
			size = *(const size_t *)extra[i + 1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	if (e->num_params)
		used = e->params[e->num_params - 1].offset + e->params[e->num_params - 1].size;
	if (i >= MAX_EXTRA || size < used || (used && !buffer))
		return CUDA_ERROR_INVALID_VALUE;
	if (used)
		memcpy(params, buffer, used);
	return CUDA_SUCCESS;
}

static CUresult take_params(const struct ptx_entry *e, void **kernel_params, void **extra, unsigned char *params)
{
	uint32_t i;

	if (kernel_params && extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (extra)
		return take_extra(e, extra, params);
	for (i = 0; i < e->num_params; i++) {
		if (!kernel_params || !kernel_params[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(params + e->params[i].offset, kernel_params[i], e->params[i].size);
	}
	return CUDA_SUCCESS;
}

static void run_launch(struct soft_op *op)
{
	struct launch_op *l = (struct launch_op *)op;

	soft_grid_run(l->function, &l->grid);
}

static void drop_launch(struct soft_op *op)
{
	soft_put(&((struct launch_op *)op)->function->obj);
}

/* Takes over the reference on @f when it succeeds. */
static CUresult submit(struct soft_function *f, const struct soft_grid *g, struct soft_stream *s, void **kernel_params,
		       void **extra)
{
	struct launch_op *l;
	CUresult rc = s->obj.ctx->base == f->obj.ctx ? fits(f, g) : CUDA_ERROR_INVALID_HANDLE;

	if (rc)
		return rc;
	l = calloc(1, sizeof(*l) + f->entry->params_size);
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	rc = take_params(f->entry, kernel_params, extra, l->params);
	if (rc) {
		free(l);
		return rc;
	}
	l->op.run = run_launch;
	l->op.drop = drop_launch;
	l->function = f;
	l->grid = *g;
	l->grid.params = l->params;
	soft_submit(s, &l->op);
	return CUDA_SUCCESS;
}

CUresult soft_launch_take(const CUDA_KERNEL_NODE_PARAMS_v3 *k, void **block, size_t *size, void ***args)
{
	const struct soft_grid g = { { k->gridDimX, k->gridDimY, k->gridDimZ },
				     { k->blockDimX, k->blockDimY, k->blockDimZ }, k->sharedMemBytes, false, NULL };
	const struct ptx_entry *e;
	struct soft_context *ctx;
	struct soft_function *f;
	CUresult rc = soft_enter(&ctx);
	uint32_t i;

	if (!rc)
		rc = soft_function_of(k->func ? k->func : (CUfunction)(uintptr_t)k->kern, ctx, &f);
	if (rc)
		return rc;
	e = f->entry;
	rc = fits(f, &g);
	*size = e->params_size;
	*block = calloc(1, e->params_size + 1);
	*args = calloc(e->num_params + 1, sizeof(void *));
	if (!rc && (!*block || !*args))
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	if (!rc)
		rc = take_params(e, k->kernelParams, k->extra, *block);
	for (i = 0; i < e->num_params && !rc; i++)
		(*args)[i] = (unsigned char *)*block + e->params[i].offset;
	soft_put(&f->obj);
	return rc;
}

static CUresult capture(CUfunction handle, const struct soft_grid *g, struct soft_stream *s, void **kernel_params,
			void **extra)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_KERNEL };

	p.kernel = (CUDA_KERNEL_NODE_PARAMS_v3){
		.func = handle, .gridDimX = g->grid[0], .gridDimY = g->grid[1], .gridDimZ = g->grid[2],
		.blockDimX = g->block[0], .blockDimY = g->block[1], .blockDimZ = g->block[2],
		.sharedMemBytes = g->dynamic_shared, .kernelParams = kernel_params, .extra = extra,
	};
	return soft_capture(s, &p, NULL);
}

static CUresult refuse(const char *what)
{
	soft_log(VGPU_SOFT_WARNING, "launch: %s not supported", what);
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult launch(CUfunction handle, const struct soft_grid *g, CUstream stream, void **kernel_params,
		       void **extra)
{
	struct soft_function *f;
	struct soft_context *ctx;
	struct soft_stream *s;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	soft_fifo_flush(&ctx->fifo); /* so that what was printed before has its room back */
	rc = soft_stream_of(ctx, stream, &s);
	if (rc)
		return rc;
	if (soft_captured(s)) {
		rc = g->cooperative ? refuse("cooperative launches in a graph are") :
				      capture(handle, g, s, kernel_params, extra);
		soft_put(&s->obj);
		return rc;
	}
	rc = soft_function_of(handle, s->obj.ctx->base, &f);
	if (!rc) {
		rc = submit(f, g, s, kernel_params, extra);
		if (rc)
			soft_put(&f->obj);
	}
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
				    unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
				    void **kernel_params, void **extra)
{
	const struct soft_grid g = { { gx, gy, gz }, { bx, by, bz }, shared, false, NULL };

	return launch(f, &g, stream, kernel_params, extra);
}

/* Hints are accepted, since the result is the same without them; what changes the result is refused. */
static CUresult take_attribute(const CUlaunchAttribute *a, struct soft_grid *g)
{
	switch (a->id) {
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		g->cooperative = a->value.cooperative != 0;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
		return a->value.clusterDim.x <= 1 && a->value.clusterDim.y <= 1 && a->value.clusterDim.z <= 1 ?
			       CUDA_SUCCESS : refuse("clusters of blocks are");
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		return refuse("events of a launch are");
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		return refuse("updatable graph nodes are");
	default:
		return (unsigned)a->id < CU_LAUNCH_ATTRIBUTE_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult soft_cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **kernel_params, void **extra)
{
	struct soft_grid g;
	unsigned i;
	CUresult rc = CUDA_SUCCESS;

	if (!c || (c->numAttrs && !c->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	g = (struct soft_grid){ { c->gridDimX, c->gridDimY, c->gridDimZ },
				{ c->blockDimX, c->blockDimY, c->blockDimZ }, c->sharedMemBytes, false, NULL };
	for (i = 0; i < c->numAttrs && !rc; i++)
		rc = take_attribute(&c->attrs[i], &g);
	return rc ? rc : launch(f, &g, c->hStream, kernel_params, extra);
}

void soft_fill_launch(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuLaunchKernel);
	SOFT_SLOT(d, cuLaunchKernelEx);
}
