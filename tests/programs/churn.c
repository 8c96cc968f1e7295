/* SPDX-License-Identifier: MIT */
/*
 * Keeps a device busy until it is told to stop: churn [MIB [SECONDS]].
 * Allocates MIB of device memory, says "ready", then copies random data there
 * and back, checking every byte, for SECONDS (0: for ever).  Exit status:
 * 0 all copies right, 1 wrong data, 2 a CUDA call failed (named on stderr).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cuda.h>

#define PIECE (4u << 20)

static int failed(const char *what, CUresult err)
{
	const char *name = NULL;

	if (!err)
		return 0;
	cuGetErrorName(err, &name);
	fprintf(stderr, "churn: %s: %s (%d)\n", what, name ? name : "?", err);
	return 1;
}

static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static int round_trip(CUdeviceptr p, size_t size, uint32_t *out, uint32_t *in, uint32_t *seed)
{
	size_t n = size < PIECE ? size : PIECE;

	for (size_t i = 0; i < n / 4; i++)
		out[i] = next(seed);
	for (size_t at = 0; at + n <= size; at += n) {
		if (failed("cuMemcpyHtoD", cuMemcpyHtoD(p + at, out, n)) ||
		    failed("cuMemcpyDtoH", cuMemcpyDtoH(in, p + at, n)))
			return 2;
		if (memcmp(in, out, n)) {
			fprintf(stderr, "churn: wrong data\n");
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	long seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	static uint32_t out[PIECE / 4], in[PIECE / 4];
	uint32_t seed = (uint32_t)time(NULL) | 1;
	time_t end = time(NULL) + seconds;
	CUcontext ctx;
	CUdeviceptr p;
	int err = 0;

	if (failed("cuInit", cuInit(0)) ||
	    failed("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&ctx, 0)) ||
	    failed("cuCtxSetCurrent", cuCtxSetCurrent(ctx)) ||
	    failed("cuMemAlloc", cuMemAlloc(&p, size)))
		return 2;
	printf("ready\n");
	fflush(stdout);
	while (!err && (!seconds || time(NULL) < end))
		err = round_trip(p, size, out, in, &seed);
	if (!err && failed("cuMemFree", cuMemFree(p)))
		err = 2;
	return err;
}
