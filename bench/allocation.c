/* SPDX-License-Identifier: MIT */
/*
 * Allocating: jemalloc against glibc's allocator in the mediator's own pattern, in one process (jemalloc has taken over
 * malloc(), glibc's is reached by its other name); and through libcuda.so.1 device memory, pinned memory, compared with
 * the former, and memory of the program's own that it registers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* The C library's own, whoever has taken over malloc(). */
extern void *__libc_malloc(size_t size);
extern void __libc_free(void *p);

static const struct allocator {
	const char *name;
	void *(*take)(size_t size);
	void (*give)(void *p);
} allocators[] = {
	{ "jemalloc", malloc, free },
	{ "glibc", __libc_malloc, __libc_free },
};

/* `live` blocks between `least` and `most` bytes; the oldest goes when a new one comes, and all of each is written. */
static const struct pattern {
	const char *name;
	unsigned int live;
	size_t least, most;
} patterns[] = {
	{ "messages", 64, 64, 4096 },
	{ "sessions", 1000, 512, 16384 },
	{ "staging", 8, 64 << 10, 4 << 20 },
};

#define LIVE_MOST 1000
#define ALLOCATORS (sizeof(allocators) / sizeof(allocators[0]))
#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

struct pairing {
	const struct pattern *pattern;
	const struct allocator *allocator;
};

/* Sizes are as likely in each doubling. */
static size_t next_size(const struct pattern *p, uint64_t *random)
{
	unsigned int doublings = 0;

	while (p->least << doublings < p->most)
		doublings++;
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (p->least << (*random >> 40) % doublings) + (*random >> 20) % p->least;
}

static void churn(struct gbench *b)
{
	const struct pairing *m = gbench_data(b);
	static void *blocks[LIVE_MOST];
	uint64_t random = 1, i = 0;
	int64_t bytes = 0;

	memset(blocks, 0, sizeof(blocks));
	while (gbench_next(b)) {
		size_t size = next_size(m->pattern, &random);
		void **at = &blocks[i++ % m->pattern->live];

		m->allocator->give(*at);
		*at = m->allocator->take(size);
		if (!*at)
			gbench_fail(b, "no memory");
		else
			memset(*at, 1, size);
		bytes += (int64_t)size;
	}
	for (i = 0; i < m->pattern->live; i++)
		m->allocator->give(blocks[i]);
	gbench_bytes(b, bytes);
}

static void device_memory(struct gbench *b)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t start;
	CUdeviceptr p;

	if (!device_open(b))
		return;
	while (gbench_next(b)) {
		start = gbench_clock();
		r |= cuMemAlloc_v2(&p, (size_t)gbench_argument(b)) | cuMemFree_v2(p);
		gbench_sample(b, gbench_clock() - start);
	}
	if (r)
		gbench_fail(b, "no memory");
}

static void pinned_memory(struct gbench *b)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t start;
	void *p;

	if (!device_open(b))
		return;
	while (gbench_next(b)) {
		start = gbench_clock();
		r |= cuMemHostAlloc(&p, (size_t)gbench_argument(b), 0) | cuMemFreeHost(p);
		gbench_sample(b, gbench_clock() - start);
	}
	if (r)
		gbench_fail(b, "no memory");
}

/* Memory that is there already, made known to the device and forgotten again. */
static void registered_memory(struct gbench *b)
{
	size_t bytes = (size_t)gbench_argument(b);
	void *p = aligned_alloc(4096, bytes);
	CUresult r = CUDA_SUCCESS;
	uint64_t start;

	if (p && device_open(b)) {
		memset(p, 1, bytes);
		while (gbench_next(b)) {
			start = gbench_clock();
			r |= cuMemHostRegister_v2(p, bytes, 0) | cuMemHostUnregister(p);
			gbench_sample(b, gbench_clock() - start);
		}
	}
	if (!p || r)
		gbench_fail(b, "no memory");
	free(p);
}

static void add_churn(struct pairing *m, const struct pattern *p, const struct allocator *a)
{
	char name[64];

	*m = (struct pairing){ p, a };
	snprintf(name, sizeof(name), "allocation/%s_%s", p->name, a->name);
	gbench_add_case(name, churn, &(struct gbench_case){ .data = m });
}

int main(int argc, char **argv)
{
	static struct pairing pairings[PATTERNS][ALLOCATORS];

	for (size_t p = 0; p < PATTERNS; p++)
		for (size_t a = 0; a < ALLOCATORS; a++)
			add_churn(&pairings[p][a], &patterns[p], &allocators[a]);
	for (int64_t bytes = 512; bytes <= 64 << 20; bytes *= 8) {
		struct gbench_case c = { .args = { { "bytes", bytes } } };

		gbench_add_case("allocation/device", device_memory, &c);
		gbench_add_case("allocation/pinned", pinned_memory, &c);
		if (bytes >= 4096)
			gbench_add_case("allocation/registered", registered_memory, &c);
	}
	return gbench_main(argc, argv);
}
