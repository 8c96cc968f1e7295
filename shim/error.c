/* SPDX-License-Identifier: MIT */
/* Names and texts of results. Work before cuInit, as natively. */
#include <gen/cuda_api.h>
#include <gen/errors.h>

static CUresult answer(const char *text, const char **str)
{
	if (!str)
		return CUDA_ERROR_INVALID_VALUE;
	*str = text;
	return text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **str)
{
	return answer(vgpu_error_name(error), str);
}

CUresult cuGetErrorString(CUresult error, const char **str)
{
	return answer(vgpu_error_text(error), str);
}
