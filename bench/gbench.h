/* SPDX-License-Identifier: MIT */
/*
 * Google Benchmark for C: what our benchmarks use of it.  gbench.cc is the only C++ of the project.  A benchmark is a
 * function that sets up, runs `while (gbench_next(b))` around what it measures, and reports.  Time is wall-clock time.
 *
 * Names are noun/what, and what varies follows as argument:value, so that a report can plot one over another:
 * "ring/throughput/bytes:64".  With threads the function runs in each of them, from the first gbench_next() to the
 * last at the same time, and Google Benchmark appends "/threads:N".
 */
#ifndef VGPU_GBENCH_H
#define VGPU_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GBENCH_ARGUMENTS 4

struct gbench;
typedef void (*gbench_fn)(struct gbench *b);

/* How a benchmark is run; what is left out is 0. */
struct gbench_case {
	struct {
		const char *name;	/* NULL: no more arguments */
		int64_t value;
	} args[GBENCH_ARGUMENTS];
	int threads;			/* 0: one */
	int64_t iterations;		/* 0: as many as give a steady time */
	bool manual;			/* the time of an iteration is what gbench_time() says */
	const void *data;		/* the caller's own, for gbench_data() */
};

/* Register, before gbench_main(). The case is copied. */
void gbench_add_case(const char *name, gbench_fn fn, const struct gbench_case *c);

/* With one argument, whose name does not appear. */
void gbench_add(const char *name, gbench_fn fn, int64_t argument);

/* Options of Google Benchmark (--benchmark_filter=..., --benchmark_format=json). What main() returns. */
int gbench_main(int argc, char **argv);

/* The first argument, or that of an index. */
int64_t gbench_argument(const struct gbench *b);
int64_t gbench_argument_at(const struct gbench *b, unsigned int index);

const void *gbench_data(const struct gbench *b);

/* Which thread is this, from 0 on? */
int gbench_thread(const struct gbench *b);

/* Run on? One iteration, or `batch` of them at once. */
bool gbench_next(struct gbench *b);
bool gbench_next_batch(struct gbench *b, int64_t batch);
int64_t gbench_iterations(const struct gbench *b);

/* Totals over all iterations of this thread: reported as a rate, threads together. */
void gbench_items(struct gbench *b, int64_t items);
void gbench_bytes(struct gbench *b, int64_t bytes);

/* A figure of its own in the report; the mean of the threads'. */
void gbench_figure(struct gbench *b, const char *name, double value);

/* Time between pause and resume does not count. */
void gbench_pause(struct gbench *b);
void gbench_resume(struct gbench *b);

/* With `manual`: what this iteration took, in each. */
void gbench_time(struct gbench *b, double seconds);

/* CLOCK_MONOTONIC, ns. */
uint64_t gbench_clock(void);

/*
 * One latency, ns. Kept in a histogram whose steps are 3 %; at the end p50_ns, p99_ns and p999_ns become figures of the
 * report (with threads the mean of theirs).
 */
void gbench_sample(struct gbench *b, uint64_t ns);

/* Give up with a reason; gbench_next() then says false, and gbench_main() does not return 0. */
void gbench_fail(struct gbench *b, const char *why);

#ifdef __cplusplus
}
#endif

#endif
