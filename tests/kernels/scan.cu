/* SPDX-License-Identifier: MIT */
/* Inclusive prefix sum of each block's elements; the block's total goes to totals[block]. */
extern "C" __global__ void scan(const unsigned long long *in, unsigned long long *out, unsigned long long *totals, int n)
{
	extern __shared__ unsigned long long sums[];
	int i = blockIdx.x * blockDim.x + threadIdx.x, t = threadIdx.x;

	sums[t] = i < n ? in[i] : 0;
	for (unsigned d = 1; d < blockDim.x; d *= 2) {
		__syncthreads();
		unsigned long long left = t >= (int)d ? sums[t - d] : 0;
		__syncthreads();
		sums[t] += left;
	}
	if (i < n)
		out[i] = sums[t];
	if (t == (int)blockDim.x - 1)
		totals[blockIdx.x] = sums[t];
}
