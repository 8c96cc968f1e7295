/* SPDX-License-Identifier: MIT */
/* Host callbacks in streams need the reverse ring, which this build does not serve: refused, by name. */
#include <gen/cuda_api.h>

#include "call.h"

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *user_data)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	(void)stream;
	(void)user_data;
	if (r)
		return r;
	return fn ? vgpu_unsupported("cuLaunchHostFunc") : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *user_data, unsigned int flags)
{
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	(void)stream;
	(void)user_data;
	if (r)
		return r;
	return callback && !flags ? vgpu_unsupported("cuStreamAddCallback") : CUDA_ERROR_INVALID_VALUE;
}
