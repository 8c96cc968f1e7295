/* SPDX-License-Identifier: MIT */
/* out[block] = sum of the block's elements: shuffles inside a warp, shared memory between warps. */
extern "C" __global__ void reduce(const int *in, int *out, int n)
{
	__shared__ int sums[32];
	int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	int v = i < n ? in[i] : 0;

	for (int d = 16; d; d >>= 1)
		v += __shfl_down_sync(0xffffffff, v, d);
	if (!lane)
		sums[warp] = v;
	__syncthreads();
	if (warp)
		return;
	v = lane < (blockDim.x + 31) / 32 ? sums[lane] : 0;
	for (int d = 16; d; d >>= 1)
		v += __shfl_xor_sync(0xffffffff, v, d);
	if (!lane)
		out[blockIdx.x] = v;
}

/* counts[0] = how many are positive, by ballot; counts[1] = blocks in which all, counts[2] = in which any are. */
extern "C" __global__ void votes(const int *in, int *counts, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	int positive = i < n && in[i] > 0;
	unsigned ballot = __ballot_sync(0xffffffff, positive);

	if (!(threadIdx.x & 31))
		atomicAdd(&counts[0], __popc(ballot));
	int all = __syncthreads_and(positive), any = __syncthreads_or(positive), sum = __syncthreads_count(positive);
	if (!threadIdx.x) {
		atomicAdd(&counts[1], all != 0);
		atomicAdd(&counts[2], any != 0);
		atomicAdd(&counts[3], sum);
	}
}
