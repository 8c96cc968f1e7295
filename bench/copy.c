/* SPDX-License-Identifier: MIT */
/*
 * Large copies through libcuda.so.1 (the shim's with LD_LIBRARY_PATH set to it, else the native one), 8 GiB in each run,
 * compared with memcpy of the same buffers' sizes in the same run.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>

#include "gbench.h"

#define TOTAL	(8ll << 30)

static bool context(struct gbench *b)
{
	static CUcontext ctx;

	if (ctx)
		return true;
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx)) {
		gbench_fail(b, "no device");
		return false;
	}
	return true;
}

static void memory_copy(struct gbench *b)
{
	size_t bytes = (size_t)gbench_argument(b);
	char *from = malloc(bytes), *to = malloc(bytes);

	if (from && to) {
		memset(from, 1, bytes);
		memset(to, 2, bytes);
		while (gbench_next(b)) {
			memcpy(to, from, bytes);
			/* The compiler must believe that somebody reads it. */
			__asm__ volatile("" : : "r"(to), "r"(from) : "memory");
		}
	} else {
		gbench_fail(b, "no memory");
	}
	gbench_bytes(b, gbench_iterations(b) * (int64_t)bytes);
	free(from);
	free(to);
}

static void copy(struct gbench *b, bool to_device)
{
	size_t bytes = (size_t)gbench_argument(b);
	CUdeviceptr device = 0;
	char *host;

	if (!context(b))
		return;
	host = malloc(bytes);
	if (!host || cuMemAlloc_v2(&device, bytes)) {
		gbench_fail(b, "no memory");
		free(host);
		return;
	}
	memset(host, 1, bytes);
	cuMemcpyHtoD_v2(device, host, bytes);
	while (gbench_next(b))
		if (to_device ? cuMemcpyHtoD_v2(device, host, bytes) : cuMemcpyDtoH_v2(host, device, bytes))
			gbench_fail(b, "the copy failed");
	cuCtxSynchronize();
	gbench_bytes(b, gbench_iterations(b) * (int64_t)bytes);
	cuMemFree_v2(device);
	free(host);
}

static void h2d(struct gbench *b)
{
	copy(b, true);
}

static void d2h(struct gbench *b)
{
	copy(b, false);
}

int main(int argc, char **argv)
{
	static const int64_t sizes[] = { 64ll << 10, 16ll << 20, 256ll << 20 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int64_t n = TOTAL / sizes[i];

		gbench_add_times("copy/memcpy", memory_copy, sizes[i], n);
		gbench_add_times("copy/pageable_h2d", h2d, sizes[i], n);
		gbench_add_times("copy/pageable_d2h", d2h, sizes[i], n);
	}
	return gbench_main(argc, argv);
}
