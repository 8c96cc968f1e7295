/* SPDX-License-Identifier: MIT */
/*
 * What loading a module costs, by size: `first`, of which no process has sent the like, and `known`, which another process
 * sent before; `others` is one of which all but the kernel is for other generations of devices, as most of a library is.
 * Compared with each other: what `known` still costs is hashing.  A driver of its own has nothing to send; there all of
 * them are reading.
 */
#include <stdlib.h>
#include <string.h>

#include "../tests/programs/fatbin.h"
#include "child.h"
#include "device.h"

#define KNOWN	1u	/* the seed of what the child sends */

extern const char bench_ptx[];

static const int64_t sizes[] = { 64, 1 << 10, 16 << 10, 128 << 10, 300 << 10 };	/* KiB; all of them fit a store */
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* `own`: of this device's generation. */
static void *make(int64_t kib, uint64_t seed, bool own)
{
	int major = 0;
	size_t bytes;

	if (cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0))
		return NULL;
	return fatbin_make(bench_ptx, strlen(bench_ptx), (struct fatbin_filler){
		.bytes = (size_t)kib << 10, .seed = seed, .arch = fatbin_arch_beside(own ? major : major - 1) }, &bytes);
}

/* Nanoseconds that loading took, 0 if it failed. */
static uint64_t load(const void *image)
{
	uint64_t start = gbench_clock(), took;
	CUmodule module;

	if (!image || cuModuleLoadData(&module, image))
		return 0;
	took = gbench_clock() - start;
	return cuModuleUnload(module) || cuCtxSynchronize() ? 0 : took;
}

/* ---- another process, which sends one of each size ---- */

static bool child_prepare(void)
{
	return device_find();
}

static bool child_round(void)
{
	bool ok = true;

	for (size_t i = 0; i < SIZES && ok; i++) {
		void *image = make(sizes[i], KNOWN, true);

		ok = load(image);
		free(image);
	}
	return ok;
}

static bool sent_by_another(void)
{
	struct children c;
	double seconds;

	if (!children_start(&c, 1))
		return false;
	seconds = children_round(&c);
	children_stop(&c);
	return seconds >= 0;
}

/* ---- measured ---- */

static void measure(struct gbench *b, const void *image)
{
	uint64_t ns = load(image);

	if (!ns) {
		gbench_fail(b, "a module does not load");
		return;
	}
	gbench_time(b, (double)ns / 1e9);
	gbench_sample(b, ns);
}

/* A new one each time. */
static void unknown(struct gbench *b, bool own)
{
	int64_t kib = gbench_argument(b);
	static uint64_t seed;
	void *image;

	if (!seed)
		seed = gbench_clock();	/* other than in an earlier run */
	if (!device_open(b))
		return;
	while (gbench_next(b)) {
		image = make(kib, ++seed, own);
		measure(b, image);
		free(image);
	}
	gbench_bytes(b, gbench_iterations(b) * (kib << 10));
}

static void first(struct gbench *b)
{
	unknown(b, true);
}

static void others(struct gbench *b)
{
	unknown(b, false);
}

static void known(struct gbench *b)
{
	int64_t kib = gbench_argument(b);
	void *image;

	if (!device_open(b))
		return;
	if (!sent_by_another()) {
		gbench_fail(b, "another process failed");
		return;
	}
	image = make(kib, KNOWN, true);
	while (gbench_next(b))
		measure(b, image);
	gbench_bytes(b, gbench_iterations(b) * (kib << 10));
	free(image);
}

int main(int argc, char **argv)
{
	static const struct child_job job = { child_prepare, child_round };

	child_main(argc, argv, &job);
	for (size_t i = 0; i < SIZES; i++) {
		struct gbench_case c = { .args = { { "kib", sizes[i] } }, .iterations = 5, .manual = true };

		gbench_add_case("code/first", first, &c);
		gbench_add_case("code/known", known, &c);
		gbench_add_case("code/others", others, &c);
	}
	return gbench_main(argc, argv);
}
