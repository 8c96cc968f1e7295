/* SPDX-License-Identifier: MIT */
__device__ __noinline__ unsigned long long fibonacci(int n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ __noinline__ int gcd(int a, int b)
{
	return b ? gcd(b, a % b) : a;
}

__device__ __noinline__ int twice(int x) { return 2 * x; }
__device__ __noinline__ int square(int x) { return x * x; }
__device__ __noinline__ int negate(int x) { return -x; }
__device__ int (*const operations[3])(int) = {twice, square, negate};

extern "C" __global__ void recursion(const int *in, unsigned long long *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		out[i] = fibonacci(in[i] % 15) * 1000 + gcd(in[i], 360);
}

extern "C" __global__ void indirect(const int *in, int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		out[i] = operations[(unsigned)in[i] % 3](in[i] % 1000);
}

/* A jump table. */
extern "C" __global__ void dispatch(const int *in, int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	switch ((unsigned)in[i] % 11) {
	case 0: out[i] = in[i] + 1; break;
	case 1: out[i] = in[i] * 3; break;
	case 2: out[i] = in[i] ^ 0x55; break;
	case 3: out[i] = in[i] / 7; break;
	case 4: out[i] = gcd(in[i], 1000); break;
	case 5: out[i] = in[i] << 3; break;
	case 6: out[i] = ~in[i]; break;
	case 7: out[i] = in[i] % 13; break;
	default: out[i] = -1;
	}
}
