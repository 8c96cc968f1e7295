/* SPDX-License-Identifier: MIT */
/*
 * Kernel launches through libcuda.so.1: with one parameter, with ten, and with 4 KiB of them; from one to eight streams,
 * threads and processes.  "caller" is the time until the calls have returned, with room in the ring; "sustained" the time
 * until they are done.  Threads and processes are compared with one, launches with bench_path's commands that do nothing;
 * on a machine with a GPU bench_driver compares with the driver.
 */
#include <stddef.h>

#include "child.h"
#include "device.h"

#define BURST		200	/* of the largest commands: fits the ring */
#define ROUND		20000	/* sustained launches in a round */
#define STREAMS_MAX	8

static const struct shape {
	const char *caller, *sustained;
	size_t function;	/* offset in struct device */
} shapes[] = {
	{ "launch/empty_caller", "launch/empty_sustained", offsetof(struct device, empty) },
	{ "launch/ten_caller", "launch/ten_sustained", offsetof(struct device, ten) },
	{ "launch/4k_caller", "launch/4k_sustained", offsetof(struct device, wide) },
};

static CUstream streams[STREAMS_MAX];

static bool make_streams(void)
{
	for (int i = 0; i < STREAMS_MAX; i++)
		if (!streams[i] && cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING))
			return false;
	return true;
}

/* In the first thread, before the clock starts in any. */
static const struct device *prepare(struct gbench *b)
{
	const struct device *d = device_open(b);

	if (d && !gbench_thread(b) && !make_streams()) {
		gbench_fail(b, "no streams");
		return NULL;
	}
	return d;
}

static CUfunction function_of(const struct device *d, const struct shape *s)
{
	return *(const CUfunction *)((const char *)d + s->function);
}

static CUresult burst(const struct device *d, CUfunction f, int count, int first, int stream_count)
{
	CUresult r = CUDA_SUCCESS;

	for (int i = 0; i < count; i++)
		r |= device_launch(d, f, streams[(first + i) % stream_count]);
	return r;
}

static void caller(struct gbench *b)
{
	const struct device *d = prepare(b);
	CUresult r = CUDA_SUCCESS;
	uint64_t start;
	CUfunction f;

	if (!d)
		return;
	f = function_of(d, gbench_data(b));
	while (gbench_next_batch(b, BURST)) {
		start = gbench_clock();
		r |= burst(d, f, BURST, 0, (int)gbench_argument(b));
		gbench_sample(b, (gbench_clock() - start) / BURST);
		gbench_pause(b);
		r |= cuCtxSynchronize();
		gbench_resume(b);
	}
	gbench_items(b, gbench_iterations(b));
	if (r)
		gbench_fail(b, "a call failed");
}

static void sustained(struct gbench *b)
{
	const struct device *d = prepare(b);
	CUresult r = CUDA_SUCCESS;
	CUfunction f;

	if (!d)
		return;
	f = function_of(d, gbench_data(b));
	while (gbench_next_batch(b, ROUND)) {
		r |= burst(d, f, ROUND, gbench_thread(b), (int)gbench_argument(b));
		r |= cuCtxSynchronize();
	}
	gbench_items(b, gbench_iterations(b));
	if (r)
		gbench_fail(b, "a call failed");
}

static void launch_and_synchronize(struct gbench *b)
{
	const struct device *d = prepare(b);
	CUresult r = CUDA_SUCCESS;
	uint64_t start;

	while (d && gbench_next(b)) {
		start = gbench_clock();
		r |= device_launch(d, d->empty, streams[0]) | cuStreamSynchronize(streams[0]);
		gbench_sample(b, gbench_clock() - start);
	}
	if (r)
		gbench_fail(b, "a call failed");
}

/* ---- processes ---- */

static bool child_prepare(void)
{
	return device_find() && make_streams();
}

static bool child_round(void)
{
	const struct device *d = device_find();

	return d && !(burst(d, d->ten, ROUND, 0, 1) | cuStreamSynchronize(streams[0]));
}

static void processes(struct gbench *b)
{
	struct children c;
	double seconds;

	if (!children_start(&c, (int)gbench_argument(b))) {
		gbench_fail(b, "no device in a child");
		return;
	}
	children_round(&c);	/* warm-up */
	while (gbench_next(b)) {
		seconds = children_round(&c);
		if (seconds < 0)
			gbench_fail(b, "a child failed");
		else
			gbench_time(b, seconds);
	}
	gbench_items(b, gbench_iterations(b) * c.count * ROUND);
	children_stop(&c);
}

int main(int argc, char **argv)
{
	static const struct child_job job = { child_prepare, child_round };

	child_main(argc, argv, &job);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (int n = 1; n <= STREAMS_MAX; n *= 2) {
			struct gbench_case c = { .args = { { "streams", n } }, .data = &shapes[i] };

			gbench_add_case(shapes[i].caller, caller, &c);
			gbench_add_case(shapes[i].sustained, sustained, &c);
		}
	for (int n = 2; n <= 8; n *= 2)
		gbench_add_case("launch/ten_sustained", sustained,
				&(struct gbench_case){ .args = { { "streams", n } }, .threads = n, .data = &shapes[1] });
	gbench_add_case("launch/and_synchronize", launch_and_synchronize, &(struct gbench_case){ 0 });
	for (int n = 1; n <= 8; n *= 2)
		gbench_add_case("launch/processes", processes,
				&(struct gbench_case){ .args = { { "processes", n } }, .manual = true });
	return gbench_main(argc, argv);
}
