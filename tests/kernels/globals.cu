/* SPDX-License-Identifier: MIT */
struct node {
	int value;
	struct node *next;
};

__constant__ float coefficients[4] = {1.0f, -0.5f, 0.25f, 3.0f};
__constant__ int bias;
__device__ int counter = 5;
__device__ double table[3] = {1.5, -2.5, 1e300};
__device__ struct node tail = {7, 0};
__device__ struct node head = {3, &tail};

extern "C" __global__ void globals(const float *x, float *y, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i >= n)
		return;
	y[i] = ((coefficients[3] * x[i] + coefficients[2]) * x[i] + coefficients[1]) * x[i] + coefficients[0] + bias;
	atomicAdd(&counter, 1);
}

/* out[0..2] = the table doubled; out[3] = sum over the linked list of globals. */
extern "C" __global__ void global_pointers(double *out)
{
	int sum = 0;

	for (int i = 0; i < 3; i++)
		out[i] = table[i] * 2;
	for (struct node *p = &head; p; p = p->next)
		sum += p->value;
	out[3] = sum;
}
