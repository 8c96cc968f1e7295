/* SPDX-License-Identifier: MIT */
/*
 * Copies under kernels through libcuda.so.1: pieces of pinned memory go to the device, are computed on, and come back.
 * Either each piece does all of it in one of several streams, or it goes through several stages, each with a stream of its
 * own and an event that hands the piece over: the first copies in, the last copies out, those between compute.  Compared with
 * one stream and one stage, where nothing overlaps.  (On a machine with a GPU bench_driver's `overlap` compares with the
 * driver.)
 */
#include <string.h>

#include "device.h"

#define MOST	8
#define PIECES	16
#define PIECE	(256u << 10)	/* bytes */
#define COUNT	1024u		/* elements that are computed on: little, where a processor does it */
#define ROUNDS	16u

static struct {
	const struct device *device;
	CUstream streams[MOST];
	CUevent events[MOST];
	CUdeviceptr memory;
	uint8_t *host;
} own;

static bool prepare(struct gbench *b)
{
	void *host;

	if (own.host)
		return true;
	own.device = device_open(b);
	if (!own.device)
		return false;
	for (int i = 0; i < MOST; i++)
		if (cuStreamCreate(&own.streams[i], CU_STREAM_NON_BLOCKING) ||
		    cuEventCreate(&own.events[i], CU_EVENT_DISABLE_TIMING))
			return false;
	if (cuMemAlloc_v2(&own.memory, PIECES * PIECE) || cuMemHostAlloc(&host, PIECES * PIECE, 0))
		return false;
	own.host = host;
	memset(own.host, 1, PIECES * PIECE);
	return true;
}

static CUresult copy_in(unsigned int piece, CUstream s)
{
	return cuMemcpyHtoDAsync_v2(own.memory + piece * PIECE, own.host + piece * PIECE, PIECE, s);
}

static CUresult compute(unsigned int piece, CUstream s)
{
	CUdeviceptr at = own.memory + piece * PIECE;
	unsigned int count = COUNT, rounds = ROUNDS;
	void *params[] = { &at, &count, &rounds };

	return cuLaunchKernel(own.device->mix, COUNT / 256, 1, 1, 256, 1, 1, 0, s, params, NULL);
}

static CUresult copy_out(unsigned int piece, CUstream s)
{
	return cuMemcpyDtoHAsync_v2(own.host + piece * PIECE, own.memory + piece * PIECE, PIECE, s);
}

static CUresult over_streams(int n)
{
	CUresult r = CUDA_SUCCESS;

	for (unsigned int i = 0; i < PIECES; i++) {
		CUstream s = own.streams[i % (unsigned int)n];

		r |= copy_in(i, s) | compute(i, s) | copy_out(i, s);
	}
	return r;
}

/* One stage does everything, two copy in and out and the second computes, and so on. */
static CUresult through_stages(int n)
{
	CUresult r = CUDA_SUCCESS;

	for (unsigned int i = 0; i < PIECES; i++)
		for (int stage = 0; stage < n; stage++) {
			CUstream s = own.streams[stage];

			if (stage)
				r |= cuStreamWaitEvent(s, own.events[stage - 1], 0);
			if (!stage)
				r |= copy_in(i, s);
			if (stage ? stage < n - 1 || n == 2 : n == 1)
				r |= compute(i, s);
			if (stage == n - 1)
				r |= copy_out(i, s);
			else
				r |= cuEventRecord(own.events[stage], s);
		}
	return r;
}

static void overlap(struct gbench *b, CUresult (*pass)(int n))
{
	CUresult r = CUDA_SUCCESS;
	uint64_t start;

	if (!prepare(b)) {
		gbench_fail(b, "no device, or not enough memory");
		return;
	}
	while (gbench_next(b)) {
		start = gbench_clock();
		r |= pass((int)gbench_argument(b)) | cuCtxSynchronize();
		gbench_sample(b, gbench_clock() - start);
	}
	gbench_items(b, gbench_iterations(b) * PIECES);
	gbench_bytes(b, gbench_iterations(b) * PIECES * PIECE * 2);
	if (r)
		gbench_fail(b, "a call failed");
}

static void streams(struct gbench *b)
{
	overlap(b, over_streams);
}

static void stages(struct gbench *b)
{
	overlap(b, through_stages);
}

int main(int argc, char **argv)
{
	for (int n = 1; n <= MOST; n++) {
		gbench_add_case("overlap/streams", streams, &(struct gbench_case){ .args = { { "streams", n } } });
		gbench_add_case("overlap/stages", stages, &(struct gbench_case){ .args = { { "stages", n } } });
	}
	return gbench_main(argc, argv);
}
