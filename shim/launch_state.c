/* SPDX-License-Identifier: MIT */
/*
 * Launches of CUDA 3: shape and parameters are set on the function, one call after another, and cuLaunch takes what is
 * there. A function's state is made by the first of these calls, under the lock, and lives as long as the function;
 * a launch is cuLaunchKernel's with the parameters as one raw block. As natively, threads that set
 * the same function at the same time get one another's values.
 */
#include "launch_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>

#include "call.h"
#include "capture.h"
#include "context.h"
#include "device.h"
#include "function.h"
#include "launch.h"
#include "thread.h"

struct vgpu_launch_state {
	uint32_t block[3];	/* threads; 0: not set, and no launch takes that */
	uint32_t shared_bytes;
	size_t param_bytes;
	uint8_t params[VGPU_LAUNCH_PARAM_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void vgpu_launch_state_drop(struct vgpu_function *f)
{
	free(f->launch_state);
	f->launch_state = NULL;
}

/* The function's state, made if it has none. */
static CUresult find(CUfunction app, struct vgpu_launch_state **state)
{
	struct vgpu_function *f;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	f = vgpu_handle_object(VGPU_HANDLE_FUNCTION, app);	/* as natively, these calls take no kernel */
	if (!f)
		return CUDA_ERROR_INVALID_HANDLE;
	vgpu_lock(&lock);
	if (!f->launch_state)
		f->launch_state = calloc(1, sizeof(*f->launch_state));
	*state = f->launch_state;
	vgpu_unlock(&lock);
	return *state ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuFuncSetBlockShape(CUfunction hfunc, int x, int y, int z)
{
	struct vgpu_launch_state *s;
	CUresult r = find(hfunc, &s);
	int64_t most;

	if (r)
		return r;
	most = vgpu_function_get(hfunc)->attributes[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
	if (x <= 0 || y <= 0 || z <= 0 || x > most || y > most || (int64_t)x * y > most || (int64_t)x * y * z > most ||
	    z > vgpu_device(vgpu_thread.current->device)->attributes[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z])
		return CUDA_ERROR_INVALID_VALUE;
	s->block[0] = (uint32_t)x;
	s->block[1] = (uint32_t)y;
	s->block[2] = (uint32_t)z;
	return CUDA_SUCCESS;
}

CUresult cuFuncSetSharedSize(CUfunction hfunc, unsigned int bytes)
{
	struct vgpu_launch_state *s;
	CUresult r = find(hfunc, &s);

	if (r)
		return r;
	if (bytes > (unsigned int)vgpu_function_get(hfunc)->attributes[CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES])
		return CUDA_ERROR_INVALID_VALUE;	/* no launch would take it */
	s->shared_bytes = bytes;
	return CUDA_SUCCESS;
}

CUresult cuParamSetSize(CUfunction hfunc, unsigned int numbytes)
{
	struct vgpu_launch_state *s;
	CUresult r = find(hfunc, &s);

	if (r)
		return r;
	if (numbytes > sizeof(s->params))
		return CUDA_ERROR_INVALID_VALUE;
	s->param_bytes = numbytes;
	return CUDA_SUCCESS;
}

CUresult cuParamSetv(CUfunction hfunc, int offset, void *ptr, unsigned int numbytes)
{
	struct vgpu_launch_state *s;
	CUresult r = find(hfunc, &s);

	if (r)
		return r;
	if (!ptr || offset < 0 || numbytes > sizeof(s->params) || (size_t)offset > sizeof(s->params) - numbytes)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(s->params + offset, ptr, numbytes);
	return CUDA_SUCCESS;
}

CUresult cuParamSeti(CUfunction hfunc, int offset, unsigned int value)
{
	return cuParamSetv(hfunc, offset, &value, sizeof(value));
}

CUresult cuParamSetf(CUfunction hfunc, int offset, float value)
{
	return cuParamSetv(hfunc, offset, &value, sizeof(value));
}

CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height, CUstream stream)
{
	struct vgpu_launch_state *s;
	CUresult r = find(f, &s);
	void *extra[5];

	if (!r)
		r = vgpu_capture_unsafe();
	if (r)
		return r;
	if (grid_width <= 0 || grid_height <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (s->param_bytes < vgpu_function_get(f)->param_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	extra[1] = s->params;
	extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	extra[3] = &s->param_bytes;
	extra[4] = CU_LAUNCH_PARAM_END;
	return vgpu_launch(&(struct vgpu_launch){
		.function = f, .stream = stream,
		.grid = { (uint32_t)grid_width, (uint32_t)grid_height, 1 },
		.block = { s->block[0], s->block[1], s->block[2] },
		.shared_bytes = s->shared_bytes, .extra = extra });
}

CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height)
{
	return cuLaunchGridAsync(f, grid_width, grid_height, NULL);
}

CUresult cuLaunch(CUfunction f)
{
	return cuLaunchGridAsync(f, 1, 1, NULL);
}
