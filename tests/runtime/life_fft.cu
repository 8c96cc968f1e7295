/* SPDX-License-Identifier: MIT */
/* A shared object that brings cuFFT along: loading and unloading it does so with the library. */
#include <cuda_runtime.h>
#include <cufft.h>

#define N 64

/* VALUE + 1 if the transform of a constant is one peak, else -1. */
extern "C" int part_run(void)
{
	cufftComplex h[N], *x;
	cufftHandle plan;
	bool fine;

	for (int i = 0; i < N; i++)
		h[i] = { 1, 0 };
	if (cudaMalloc(&x, sizeof(h)) || cudaMemcpy(x, h, sizeof(h), cudaMemcpyHostToDevice))
		return -1;
	fine = !cufftPlan1d(&plan, N, CUFFT_C2C, 1) && !cufftExecC2C(plan, x, x, CUFFT_FORWARD) &&
	       !cudaMemcpy(h, x, sizeof(h), cudaMemcpyDeviceToHost) && !cufftDestroy(plan);
	for (int i = 0; i < N; i++)
		fine = fine && h[i].x == (i ? 0 : N) && h[i].y == 0;
	return !cudaFree(x) && fine ? VALUE + 1 : -1;
}
