/* SPDX-License-Identifier: MIT */
/*
 * Many calls that the device has next to nothing to do for, and the time that they took, waiting for the last included.
 * Usage: calls [COUNT]
 */
#include "program.h"

#include <time.h>

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
	CUdeviceptr memory;
	unsigned char last = 0;
	double from, took;

	if (count < 1) {
		fprintf(stderr, "usage: %s [COUNT]\n", argv[0]);
		return 2;
	}
	program_open("calls");
	fflush(stdout);
	CHECK(cuMemAlloc(&memory, 1));
	from = seconds();
	for (long i = 1; i <= count; i++)
		CHECK(cuMemsetD8Async(memory, (unsigned char)i, 1, CU_STREAM_PER_THREAD));
	CHECK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	took = seconds() - from;
	CHECK(cuMemcpyDtoH(&last, memory, 1));
	CHECK(cuMemFree(memory));
	if (last != (unsigned char)count) {
		fprintf(stderr, "calls: the last call wrote %u, not %u\n", last, (unsigned char)count);
		return 1;
	}
	printf("calls: %ld calls in %.3f ms, %.0f a second\n", count, took * 1e3, (double)count / took);
	return 0;
}
