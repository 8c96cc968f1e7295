/* SPDX-License-Identifier: MIT */
#include <assert.h>

/* Kernels that go wrong on purpose. */
extern "C" __global__ void out_of_bounds(int *p, long long index)
{
	p[index + threadIdx.x] = 1;
}

extern "C" __global__ void misaligned(char *p)
{
	*(int *)(p + 1) = 1;
}

extern "C" __global__ void endless(volatile int *flag)
{
	while (!*flag)
		;
}

extern "C" __global__ void trap(int when)
{
	if ((int)threadIdx.x == when)
		__trap();
}

extern "C" __global__ void assertion(int limit)
{
	assert((int)threadIdx.x < limit);
}

/* Threads wait at different barriers, for ever. */
extern "C" __global__ void deadlock(void)
{
	if (threadIdx.x & 1)
		asm volatile("barrier.sync 1, 64;");
	else
		asm volatile("barrier.sync 2, 64;");
}
