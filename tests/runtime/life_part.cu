/* SPDX-License-Identifier: MIT */
/* A shared object with a cudart of its own: VALUE says which one it is. */
#include <cuda_runtime.h>

static __global__ void add_value(int *p)
{
	*p += VALUE;
}

/* VALUE + 1 if all goes well, else minus the error. */
extern "C" int part_run(void)
{
	int *p, n = 1;
	cudaError_t e = cudaMalloc(&p, sizeof(n));

	if (!e)
		e = cudaMemcpy(p, &n, sizeof(n), cudaMemcpyHostToDevice);
	if (!e) {
		add_value<<<1, 1>>>(p);
		e = cudaGetLastError();
	}
	if (!e)
		e = cudaMemcpy(&n, p, sizeof(n), cudaMemcpyDeviceToHost);
	if (!e)
		e = cudaFree(p);
	return e ? -(int)e : n;
}
