/* SPDX-License-Identifier: MIT */
/*
 * What events and idle streams cost their caller through libcuda.so.1.  Compared with bench_path's noop_caller, the same
 * way without a CUDA call, and on a machine with a GPU by bench_driver with the driver's own.
 */
#include "device.h"

#define BURST 1000	/* fits the ring */

static CUstream stream;
static CUevent event;

static bool prepare(struct gbench *b)
{
	if (!device_open(b))
		return false;
	if (!stream && (cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuEventCreate(&event, CU_EVENT_DISABLE_TIMING))) {
		gbench_fail(b, "no stream or no event");
		return false;
	}
	return true;
}

static CUresult record(void)
{
	return cuEventRecord(event, stream);
}

static CUresult query(void)
{
	return cuEventQuery(event);
}

static CUresult stream_query(void)
{
	return cuStreamQuery(stream);
}

static CUresult synchronize(void)
{
	return cuStreamSynchronize(stream);
}

static CUresult record_synchronize(void)
{
	return cuEventRecord(event, stream) | cuEventSynchronize(event);
}

static const struct call {
	const char *name;
	CUresult (*call)(void);
} calls[] = {
	{ "event/record", record },
	{ "event/query", query },
	{ "event/idle_stream_query", stream_query },
	{ "event/idle_stream_synchronize", synchronize },
};

/* In bursts that fit the ring; the clock stands while they are executed. */
static void caller(struct gbench *b)
{
	const struct call *c = gbench_data(b);
	CUresult r = CUDA_SUCCESS;
	uint64_t start;

	if (!prepare(b))
		return;
	while (gbench_next_batch(b, BURST)) {
		start = gbench_clock();
		for (int i = 0; i < BURST; i++)
			r |= c->call();
		gbench_sample(b, (gbench_clock() - start) / BURST);
		gbench_pause(b);
		r |= cuStreamSynchronize(stream);
		gbench_resume(b);
	}
	if (r)
		gbench_fail(b, "a call failed");
}

static void there_and_back(struct gbench *b)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t start;

	if (!prepare(b))
		return;
	while (gbench_next(b)) {
		start = gbench_clock();
		r |= record_synchronize();
		gbench_sample(b, gbench_clock() - start);
	}
	if (r)
		gbench_fail(b, "a call failed");
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		gbench_add_case(calls[i].name, caller, &(struct gbench_case){ .data = &calls[i] });
	gbench_add_case("event/record_and_synchronize", there_and_back, &(struct gbench_case){ 0 });
	return gbench_main(argc, argv);
}
