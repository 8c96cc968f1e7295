/* SPDX-License-Identifier: MIT */
#define RADIUS 3

/* out[i] = sum of in[i-3 .. i+3], zero beyond the ends; the tile and its halo lie in dynamic shared memory. */
extern "C" __global__ void stencil(const int *in, int *out, int n)
{
	extern __shared__ int tile[];
	int i = blockIdx.x * blockDim.x + threadIdx.x, l = threadIdx.x + RADIUS, sum = 0;

	tile[l] = i < n ? in[i] : 0;
	if (threadIdx.x < RADIUS) {
		int right = i + (int)blockDim.x;

		tile[l - RADIUS] = i >= RADIUS ? in[i - RADIUS] : 0;
		tile[l + blockDim.x] = right < n ? in[right] : 0;
	}
	__syncthreads();
	for (int d = -RADIUS; d <= RADIUS; d++)
		sum += tile[l + d];
	if (i < n)
		out[i] = sum;
}
