// SPDX-License-Identifier: MIT
// Google Benchmark behind the C interface of gbench.h. One thread.
#include <benchmark/benchmark.h>

#include "gbench.h"

struct gbench {
	benchmark::State *state;
};

static bool failed;

static benchmark::internal::Benchmark *add(const char *name, gbench_fn fn, int64_t argument)
{
	return benchmark::RegisterBenchmark(name, [fn](benchmark::State &state) {
		gbench b = { &state };
		fn(&b);
	})->Arg(argument)->UseRealTime();
}

void gbench_add(const char *name, gbench_fn fn, int64_t argument)
{
	add(name, fn, argument);
}

void gbench_add_times(const char *name, gbench_fn fn, int64_t argument, int64_t iterations)
{
	add(name, fn, argument)->Iterations(iterations);
}

int gbench_main(int argc, char **argv)
{
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 2;
	if (!benchmark::RunSpecifiedBenchmarks())
		return 1;
	return failed;
}

int64_t gbench_argument(const struct gbench *b)
{
	return b->state->range(0);
}

bool gbench_next(struct gbench *b)
{
	return b->state->KeepRunning();
}

bool gbench_next_batch(struct gbench *b, int64_t batch)
{
	return b->state->KeepRunningBatch(batch);
}

int64_t gbench_iterations(const struct gbench *b)
{
	return b->state->iterations();
}

void gbench_items(struct gbench *b, int64_t items)
{
	b->state->SetItemsProcessed(items);
}

void gbench_bytes(struct gbench *b, int64_t bytes)
{
	b->state->SetBytesProcessed(bytes);
}

void gbench_figure(struct gbench *b, const char *name, double value)
{
	b->state->counters[name] = value;
}

void gbench_pause(struct gbench *b)
{
	b->state->PauseTiming();
}

void gbench_resume(struct gbench *b)
{
	b->state->ResumeTiming();
}

void gbench_fail(struct gbench *b, const char *why)
{
	failed = true;
	b->state->SkipWithError(why);
}
