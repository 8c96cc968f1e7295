/* SPDX-License-Identifier: MIT */
/*
 * A program in parts (nvcc -rdc=true): its kernels call a function and use variables of another part, so the fat
 * binaries have to be linked when they are loaded. Exit status 0 if all went well.
 */
#include <cstdio>

#include <cuda_runtime.h>

#include "parts.cuh"

static int failures;

#define CHECK(call) do { cudaError_t e_ = (call); if (e_ != cudaSuccess) { failures++; \
	printf("%d: %s: %s\n", __LINE__, #call, cudaGetErrorName(e_)); } } while (0)
#define EXPECT(what) do { if (!(what)) { failures++; printf("%d: not so: %s\n", __LINE__, #what); } } while (0)

static __device__ int own = 100;	/* part.cu has another one */
__device__ int counter;

__global__ void work(int *out)
{
	out[threadIdx.x] = twice(threadIdx.x) + bias[1] + own;
	atomicAdd(&counter, 1);
}

int main()
{
	int *out, h[32] = { 0 }, n = 0;

	CHECK(cudaMalloc(&out, sizeof(h)));
	work<<<1, 32>>>(out);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(h, out, sizeof(h), cudaMemcpyDeviceToHost));
	EXPECT(h[0] == 107 && h[31] == 169);
	CHECK(cudaMemcpyFromSymbol(&n, counter, sizeof(n)));
	EXPECT(n == 32);
	CHECK(cudaMemcpyFromSymbol(&n, calls, sizeof(n)));
	EXPECT(n == 32);
	fill<<<1, 32>>>(out, 5);
	CHECK(cudaMemcpy(h, out, sizeof(h), cudaMemcpyDeviceToHost));
	EXPECT(h[0] == 5 && h[31] == 36);
	EXPECT(fill_from_part(out, 32) == 0);
	CHECK(cudaMemcpy(h, out, sizeof(h), cudaMemcpyDeviceToHost));
	EXPECT(h[0] == 9 && h[31] == 40);
	return failures != 0;
}
