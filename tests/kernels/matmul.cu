/* SPDX-License-Identifier: MIT */
#define TILE 16

/* c[n*n] = a * b, one output element for each thread; n need not be a multiple of the tile. */
extern "C" __global__ void matmul(const float *a, const float *b, float *c, int n)
{
	__shared__ float ta[TILE][TILE], tb[TILE][TILE];
	int row = blockIdx.y * TILE + threadIdx.y, col = blockIdx.x * TILE + threadIdx.x;
	float sum = 0;

	for (int k = 0; k < n; k += TILE) {
		int ac = k + threadIdx.x, br = k + threadIdx.y;

		ta[threadIdx.y][threadIdx.x] = row < n && ac < n ? a[row * n + ac] : 0;
		tb[threadIdx.y][threadIdx.x] = br < n && col < n ? b[br * n + col] : 0;
		__syncthreads();
		for (int i = 0; i < TILE; i++)
			sum += ta[threadIdx.y][i] * tb[i][threadIdx.x];
		__syncthreads();
	}
	if (row < n && col < n)
		c[row * n + col] = sum;
}
