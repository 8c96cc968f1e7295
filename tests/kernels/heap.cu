/* SPDX-License-Identifier: MIT */

struct item {
	item *next;
	unsigned value;
};

__device__ item *kept[64];

/* Each thread builds a list of `length` items on the heap of the device. */
extern "C" __global__ void build(unsigned length, unsigned *failures)
{
	item *list = nullptr;

	for (unsigned i = 0; i < length; i++) {
		item *one = new item;

		if (!one) {
			atomicAdd(failures, 1);
			break;
		}
		one->next = list;
		one->value = i + threadIdx.x;
		list = one;
	}
	kept[threadIdx.x] = list;
}

/* A later kernel adds them up and gives them back. */
extern "C" __global__ void drain(unsigned *sums)
{
	unsigned sum = 0;

	for (item *one = kept[threadIdx.x]; one;) {
		item *next = one->next;

		sum += one->value;
		delete one;
		one = next;
	}
	sums[threadIdx.x] = sum;
}

/* More than there is: no memory, and no error. */
extern "C" __global__ void greedy(unsigned long long size, unsigned *got)
{
	void *p = malloc(size);

	*got = p != nullptr;
	free(p);
}
