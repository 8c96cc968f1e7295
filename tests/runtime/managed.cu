/* SPDX-License-Identifier: MIT */
/* __managed__ variables of a program: the host reads and writes them between kernels. */
#include <cstdio>

#include <cuda_runtime.h>

__managed__ int counter = 5;
static __managed__ float table[5000];

__global__ void change(int by)
{
	atomicAdd(&counter, by);
	table[threadIdx.x] += 1.5f;
}

static int wrong(const char *what)
{
	printf("wrong: %s\n", what);
	return 1;
}

int main()
{
	cudaPointerAttributes a;
	void *p;
	int n = 0;

	if (counter != 5 || table[4999] != 0)
		return wrong("initial values");
	counter = 100;
	table[7] = 1;
	table[4999] = 9;
	for (int i = 0; i < 3; i++)
		change<<<1, 32>>>(1);
	if (cudaDeviceSynchronize() || counter != 196 || table[7] != 5.5f || table[31] != 4.5f || table[4999] != 9)
		return wrong("kernels");
	counter = 1;
	if (cudaMemcpyFromSymbol(&n, counter, sizeof(n)) || n != 1)
		return wrong("copy from a symbol");
	n = 3;
	if (cudaMemcpyToSymbol(counter, &n, sizeof(n)) || counter != 3)
		return wrong("copy to a symbol");
	if (cudaGetSymbolAddress(&p, counter) || p != &counter || cudaPointerGetAttributes(&a, p) ||
	    a.type != cudaMemoryTypeManaged || a.hostPointer != p || a.devicePointer != p)
		return wrong("address");
	puts("managed variables work");
	return 0;
}
