/* SPDX-License-Identifier: MIT */
/*
 * Google Benchmark for C: what our benchmarks use of it.  gbench.cc is the only C++ of the project.  A benchmark is a
 * function that sets up, runs `while (gbench_next(b))` around what it measures, and reports.  One thread.
 */
#ifndef VGPU_GBENCH_H
#define VGPU_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench;
typedef void (*gbench_fn)(struct gbench *b);

/* Register, before gbench_main(). `name` and the argument appear in the report; time is wall-clock time. */
void gbench_add(const char *name, gbench_fn fn, int64_t argument);

/* The same with a fixed number of iterations. */
void gbench_add_times(const char *name, gbench_fn fn, int64_t argument, int64_t iterations);

/* Options of Google Benchmark (--benchmark_filter=..., --benchmark_format=json). What main() returns. */
int gbench_main(int argc, char **argv);

int64_t gbench_argument(const struct gbench *b);

/* Run on? One iteration, or `batch` of them at once. */
bool gbench_next(struct gbench *b);
bool gbench_next_batch(struct gbench *b, int64_t batch);
int64_t gbench_iterations(const struct gbench *b);

/* Totals over all iterations: reported as a rate. */
void gbench_items(struct gbench *b, int64_t items);
void gbench_bytes(struct gbench *b, int64_t bytes);

/* A figure of its own in the report. */
void gbench_figure(struct gbench *b, const char *name, double value);

/* Time between pause and resume does not count. */
void gbench_pause(struct gbench *b);
void gbench_resume(struct gbench *b);

/* Give up with a reason; gbench_next() then says false, and gbench_main() does not return 0. */
void gbench_fail(struct gbench *b, const char *why);

#ifdef __cplusplus
}
#endif

#endif
