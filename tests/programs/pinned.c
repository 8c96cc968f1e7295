/* SPDX-License-Identifier: MIT */
/*
 * pinned BLOCK_MIB [BLOCKS [NAP_MS]]: pinned memory in blocks until BLOCKS (0: all that can be had) are there, with a
 * nap before each; each block is used by the device before the next is asked for. Prints "N blocks, then ERROR". At the
 * end one block is freed and had again. Exit status: 0 everything worked until memory ended, 1 wrong data or another
 * error.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "program.h"

#define MOST 1024

static void nap(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The device writes the whole block, the host looks at its ends. */
static void use(uint32_t *p, size_t bytes, uint32_t value)
{
	CHECK(cuMemsetD32((CUdeviceptr)(uintptr_t)p, value, bytes / 4));
	CHECK(cuCtxSynchronize());
	if (p[0] != value || p[bytes / 4 - 1] != value) {
		fprintf(stderr, "wrong data in pinned memory\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 16) << 20;
	unsigned long blocks = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, n = 0;
	long ms = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	static void *block[MOST];
	const char *name = "CUDA_SUCCESS";
	CUresult r = CUDA_SUCCESS;
	CUcontext ctx;

	CHECK(cuInit(0));
	CHECK(cuDevicePrimaryCtxRetain(&ctx, 0));
	CHECK(cuCtxSetCurrent(ctx));
	while (n < (blocks && blocks < MOST ? blocks : MOST)) {
		nap(ms);
		r = cuMemAllocHost(&block[n], bytes);
		if (r)
			break;
		use(block[n], bytes, (uint32_t)n + 1);
		n++;
	}
	cuGetErrorName(r, &name);
	printf("%lu blocks, then %s\n", n, name);
	if ((r && r != CUDA_ERROR_OUT_OF_MEMORY) || !n)
		return 1;
	CHECK(cuMemFreeHost(block[n - 1]));
	CHECK(cuMemAllocHost(&block[n - 1], bytes));
	use(block[n - 1], bytes, 77);
	return 0;
}
