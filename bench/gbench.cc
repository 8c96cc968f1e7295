// SPDX-License-Identifier: MIT
// Google Benchmark behind the C interface of gbench.h. A struct gbench belongs to one thread of one run.
#include <atomic>
#include <ctime>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "gbench.h"

// Latencies by exponent and 32 steps of each power of two: no allocation while the clock runs.
#define STEP_BITS 5
#define STEPS	  (1u << STEP_BITS)

struct gbench {
	benchmark::State *state;
	const void *data;
	uint64_t samples;
	uint64_t histogram[64 * STEPS];
};

static std::atomic<bool> failed;

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int exponent = ns < STEPS ? 0 : 63 - STEP_BITS - (unsigned int)__builtin_clzll(ns);

	return exponent * STEPS + (unsigned int)(ns >> exponent);
}

// The middle of a bucket.
static double value_of(unsigned int bucket)
{
	unsigned int exponent = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
	uint64_t first = (uint64_t)(bucket - exponent * STEPS) << exponent;

	return (double)first + (double)((uint64_t)1 << exponent) / 2 - 0.5;
}

static double quantile(const struct gbench *b, double q)
{
	uint64_t rank = (uint64_t)(q * (double)(b->samples - 1)), seen = 0;
	unsigned int i = 0;

	while ((seen += b->histogram[i]) <= rank)
		i++;
	return value_of(i);
}

static void report_samples(struct gbench *b)
{
	if (!b->samples)
		return;
	gbench_figure(b, "p50_ns", quantile(b, 0.5));
	gbench_figure(b, "p99_ns", quantile(b, 0.99));
	gbench_figure(b, "p999_ns", quantile(b, 0.999));
}

static benchmark::internal::Benchmark *add(const char *name, gbench_fn fn, const void *data)
{
	return benchmark::RegisterBenchmark(name, [fn, data](benchmark::State &state) {
		std::vector<struct gbench> b(1);

		b[0].state = &state;
		b[0].data = data;
		fn(b.data());
		report_samples(b.data());
	});
}

void gbench_add_case(const char *name, gbench_fn fn, const struct gbench_case *c)
{
	benchmark::internal::Benchmark *b = add(name, fn, c->data);
	std::vector<std::string> names;
	std::vector<int64_t> values;

	for (unsigned int i = 0; i < GBENCH_ARGUMENTS && c->args[i].name; i++) {
		names.push_back(c->args[i].name);
		values.push_back(c->args[i].value);
	}
	b->ArgNames(names)->Args(values);
	if (c->threads)
		b->Threads(c->threads);
	if (c->iterations)
		b->Iterations(c->iterations);
	if (c->manual)
		b->UseManualTime();
	else
		b->UseRealTime();
}

void gbench_add(const char *name, gbench_fn fn, int64_t argument)
{
	add(name, fn, nullptr)->Arg(argument)->UseRealTime();
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

int64_t gbench_argument_at(const struct gbench *b, unsigned int index)
{
	return b->state->range(index);
}

const void *gbench_data(const struct gbench *b)
{
	return b->data;
}

int gbench_thread(const struct gbench *b)
{
	return b->state->thread_index();
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
	b->state->counters[name] = benchmark::Counter(value, benchmark::Counter::kAvgThreads);
}

void gbench_pause(struct gbench *b)
{
	b->state->PauseTiming();
}

void gbench_resume(struct gbench *b)
{
	b->state->ResumeTiming();
}

void gbench_time(struct gbench *b, double seconds)
{
	b->state->SetIterationTime(seconds);
}

uint64_t gbench_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void gbench_sample(struct gbench *b, uint64_t ns)
{
	b->histogram[bucket_of(ns)]++;
	b->samples++;
}

void gbench_fail(struct gbench *b, const char *why)
{
	failed = true;
	b->state->SkipWithError(why);
}
