/* SPDX-License-Identifier: MIT */
struct job {
	const int *in;
	long long *out;
	short scale;
	char shift[5];
	double offset;
	int n;
};

/* A struct passed by value, one of its arrays indexed by a run-time value. */
extern "C" __global__ void struct_param(char first, struct job job, short last)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < job.n)
		job.out[i] = ((long long)job.in[i] * job.scale << job.shift[i % 5]) + (long long)job.offset + first + last;
}
