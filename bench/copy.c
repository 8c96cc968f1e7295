/* SPDX-License-Identifier: MIT */
/*
 * Synchronous copies through libcuda.so.1, pinned, registered and pageable memory, both directions, 8 bytes to 1 GiB;
 * compared with memcpy of the same sizes in the same run.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define LEAST	8ll
#define MOST	(1ll << 30)
#define SAMPLED	4096	/* bytes: for less, a look at the clock would be most of the time */

enum memory { PAGEABLE, PINNED, REGISTERED };

struct copy {
	const char *name;
	enum memory memory;
	bool up;
};

static const struct copy copies[] = {
	{ "copy/pageable_h2d", PAGEABLE, true },
	{ "copy/pageable_d2h", PAGEABLE, false },
	{ "copy/pinned_h2d", PINNED, true },
	{ "copy/pinned_d2h", PINNED, false },
	{ "copy/registered_h2d", REGISTERED, true },
	{ "copy/registered_d2h", REGISTERED, false },
};

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

static void *host_take(enum memory memory, size_t bytes)
{
	void *p = NULL;

	if (memory == PAGEABLE)
		return malloc(bytes);
	if (memory == REGISTERED) {
		p = malloc(bytes);
		if (p && !cuMemHostRegister_v2(p, bytes, 0))
			return p;
		free(p);
		return NULL;
	}
	return cuMemHostAlloc(&p, bytes, 0) ? NULL : p;
}

static CUresult host_give(enum memory memory, void *p)
{
	CUresult r = CUDA_SUCCESS;

	if (memory == PINNED)
		return p ? cuMemFreeHost(p) : CUDA_SUCCESS;
	if (memory == REGISTERED && p)
		r = cuMemHostUnregister(p);
	free(p);
	return r;
}

static CUresult once(const struct copy *c, CUdeviceptr device, void *host, size_t bytes)
{
	return c->up ? cuMemcpyHtoD_v2(device, host, bytes) : cuMemcpyDtoH_v2(host, device, bytes);
}

static CUresult run(struct gbench *b, const struct copy *c, CUdeviceptr device, void *host, size_t bytes)
{
	CUresult r = cuMemcpyHtoD_v2(device, host, bytes);
	uint64_t start;

	r |= cuCtxSynchronize();
	while (gbench_next(b)) {
		if (bytes < SAMPLED && c->up) {
			r |= once(c, device, host, bytes);
			continue;
		}
		start = gbench_clock();
		r |= once(c, device, host, bytes);
		gbench_sample(b, gbench_clock() - start);
	}
	return r | cuCtxSynchronize();
}

static void copy(struct gbench *b)
{
	size_t bytes = (size_t)gbench_argument(b);
	const struct copy *c = gbench_data(b);
	CUdeviceptr device = 0;
	void *host;

	if (!device_open(b))
		return;
	host = host_take(c->memory, bytes);
	if (!host || cuMemAlloc_v2(&device, bytes)) {
		gbench_fail(b, "no memory: the mediator's --shm-size limits what can be pinned");
	} else {
		memset(host, 1, bytes);
		if (run(b, c, device, host, bytes))
			gbench_fail(b, "a copy failed");
	}
	gbench_bytes(b, gbench_iterations(b) * (int64_t)bytes);
	if (device)
		cuMemFree_v2(device);
	host_give(c->memory, host);
}

int main(int argc, char **argv)
{
	for (int64_t bytes = LEAST; bytes <= MOST; bytes *= 8) {
		struct gbench_case c = { .args = { { "bytes", bytes } } };

		gbench_add_case("copy/memcpy", memory_copy, &c);
		for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
			c.data = &copies[i];
			gbench_add_case(copies[i].name, copy, &c);
		}
	}
	return gbench_main(argc, argv);
}
