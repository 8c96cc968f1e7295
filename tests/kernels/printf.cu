/* SPDX-License-Identifier: MIT */
#include <stdio.h>

extern "C" __global__ void hello(int value, double ratio, const char *name)
{
	if (threadIdx.x == 0)
		printf("block %d of %u\n", blockIdx.x, gridDim.x);
	__syncthreads();
	if (threadIdx.x == 1)
		printf("%5d|%-6x|%08.3f|%s|%c|%lld|%%|%.2e\n", value, value, ratio, name, 'z', 1ll << 40, ratio);
}
