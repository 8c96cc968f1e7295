/* SPDX-License-Identifier: MIT */
/*
 * Copies under kernels: pinned memory goes to the device, is computed on, and comes back, piece by piece, pieces
 * dealt to streams in turn.  With two streams the device can copy one piece while it computes another; with one
 * stream it cannot.  How long the kernel computes is chosen so that it takes as long as a copy, or given, so that two
 * runs compute the same.
 */
#include <string.h>

#include "driver.h"

#define STREAMS_MAX	4u
#define BLOCK		256u
#define LOOPS_MAX	(1u << 20)
#define PROBE_LOOPS	256u

/* x -> x * a + c is what the kernel does in all its rounds. */
struct affine {
	uint32_t a, c;
};

static struct affine rounds(unsigned int n)
{
	struct affine f = { 1, 0 };

	while (n--)
		f = (struct affine){ f.a * 1664525u, f.c * 1664525u + 1013904223u };
	return f;
}

static void compute(const struct bench_setup *b, CUdeviceptr at, unsigned int loops, CUstream stream)
{
	unsigned int count = (unsigned int)(b->piece / sizeof(uint32_t));
	void *args[] = { &at, &count, &loops };

	CHECK(cu.cuLaunchKernel(b->mix, (count + BLOCK - 1) / BLOCK, 1, 1, BLOCK, 1, 1, 0, stream, args, NULL));
}

static double time_copy(const struct bench_setup *b)
{
	double start = bench_now();

	CHECK(cu.cuMemcpyHtoDAsync(b->device, b->pinned, b->piece, b->stream));
	CHECK(cu.cuStreamSynchronize(b->stream));
	return bench_now() - start;
}

static double time_compute(const struct bench_setup *b, unsigned int loops)
{
	double start = bench_now();

	compute(b, b->device, loops, b->stream);
	CHECK(cu.cuStreamSynchronize(b->stream));
	return bench_now() - start;
}

/* Rounds after which the kernel has taken as long as a copy of its piece. */
static unsigned int calibrate(const struct bench_setup *b)
{
	double copy = 0, none = 0, some = 0, loops;

	for (int i = 0; i < 3; i++) {	/* the last of each counts */
		copy = time_copy(b);
		none = time_compute(b, 0);
		some = time_compute(b, PROBE_LOOPS);
	}
	if (some <= none)
		return LOOPS_MAX;
	loops = PROBE_LOOPS * (copy > none ? copy - none : 0) / (some - none);
	return loops < 1 ? 1 : loops > LOOPS_MAX ? LOOPS_MAX : (unsigned int)loops;
}

static void verify(const struct bench_setup *b)
{
	const uint32_t *out = (const uint32_t *)b->pinned;
	struct affine f = rounds(b->loops);

	for (size_t i = 0; i < b->piece * b->pieces / sizeof(*out); i++)
		if (out[i] != (uint32_t)i * f.a + f.c)
			bench_wrong("overlap");
}

static double once(const struct bench_setup *b, const CUstream *streams, unsigned int count)
{
	uint32_t *in = (uint32_t *)b->pinned;
	double start;

	for (size_t i = 0; i < b->piece * b->pieces / sizeof(*in); i++)
		in[i] = (uint32_t)i;
	start = bench_now();
	for (unsigned int i = 0; i < b->pieces; i++) {
		CUstream stream = streams[i % count];
		size_t at = i * b->piece;

		CHECK(cu.cuMemcpyHtoDAsync(b->device + at, b->pinned + at, b->piece, stream));
		compute(b, b->device + at, b->loops, stream);
		CHECK(cu.cuMemcpyDtoHAsync(b->pinned + at, b->device + at, b->piece, stream));
	}
	for (unsigned int i = 0; i < count; i++)
		CHECK(cu.cuStreamSynchronize(streams[i]));
	return bench_now() - start;
}

void bench_overlap(struct bench_setup *b, struct bench_samples *s, unsigned int count)
{
	CUstream streams[STREAMS_MAX];

	if (!b->loops)
		b->loops = calibrate(b);
	for (unsigned int i = 0; i < count; i++)
		CHECK(cu.cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
	once(b, streams, count);
	verify(b);
	for (s->count = 0; s->count < b->reps; s->count++) {
		bench_together_wait(b);
		s->us[s->count] = once(b, streams, count);
	}
	verify(b);
	for (unsigned int i = 0; i < count; i++)
		CHECK(cu.cuStreamDestroy(streams[i]));
}
