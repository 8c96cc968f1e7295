/* SPDX-License-Identifier: MIT */
/*
 * The operations that bench_driver measures.  "To the caller" is the time until the calls have returned, with room in
 * every queue; "sustained" is the time until the device has done them.  Data are checked after each operation.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

#define SMALL 8u
#define MEDIUM (64u << 10)
#define ALLOCATION (1u << 20)

/* Fewer than any queue holds, so that no call waits for room. */
#define CALLER_BURST 500u

/* Runs `part` once for warm-up, then for each repetition; it gives the microseconds of one operation. */
static void repeat(struct bench_setup *b, struct bench_samples *s, double (*part)(struct bench_setup *, unsigned int),
		   unsigned int count)
{
	count = count / b->divide ? count / b->divide : 1;
	part(b, count);
	for (s->count = 0; s->count < b->reps; s->count++) {
		bench_together_wait(b);
		s->us[s->count] = part(b, count);
	}
}

static void drain(const struct bench_setup *b)
{
	CHECK(cu.cuStreamSynchronize(b->stream));
}

/* ---- launches ---- */

static void launch(const struct bench_setup *b, CUfunction f, void **args)
{
	CHECK(cu.cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, b->stream, args, NULL));
}

static void *empty_args[1] = { &(uint64_t){ 1 } };

static double launches(struct bench_setup *b, unsigned int n, CUfunction f, void **args, bool sustained)
{
	double start, end;

	drain(b);
	start = bench_now();
	for (unsigned int i = 0; i < n; i++)
		launch(b, f, args);
	if (sustained)
		drain(b);
	end = bench_now();
	drain(b);
	return (end - start) / n;
}

static double part_launch_caller(struct bench_setup *b, unsigned int n)
{
	return launches(b, n, b->empty, empty_args, false);
}

static double part_launch_sustained(struct bench_setup *b, unsigned int n)
{
	return launches(b, n, b->empty, empty_args, true);
}

static void op_launch_caller(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_launch_caller, CALLER_BURST);
}

static void op_launch_sustained(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_launch_sustained, 20000);
}

static double part_launch_sync(struct bench_setup *b, unsigned int n)
{
	double start = bench_now();

	for (unsigned int i = 0; i < n; i++) {
		launch(b, b->empty, empty_args);
		drain(b);
	}
	return (bench_now() - start) / n;
}

static void op_launch_sync(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_launch_sync, 2000);
}

static double part_ten(struct bench_setup *b, unsigned int n, bool sustained)
{
	static uint64_t values[10];
	void *args[10];

	for (unsigned int i = 0; i < 10; i++)
		args[i] = &values[i];
	return launches(b, n, b->ten, args, sustained);
}

static double part_ten_caller(struct bench_setup *b, unsigned int n)
{
	return part_ten(b, n, false);
}

static double part_ten_sustained(struct bench_setup *b, unsigned int n)
{
	return part_ten(b, n, true);
}

static void op_launch_ten_caller(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_ten_caller, CALLER_BURST);
}

static void op_launch_ten_sustained(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_ten_sustained, 20000);
}

static double part_wide(struct bench_setup *b, unsigned int n, bool sustained)
{
	static uint8_t params[BENCH_WIDE_BYTES];
	void *args[] = { params };

	return launches(b, n, b->wide, args, sustained);
}

static double part_wide_caller(struct bench_setup *b, unsigned int n)
{
	return part_wide(b, n, false);
}

static double part_wide_sustained(struct bench_setup *b, unsigned int n)
{
	return part_wide(b, n, true);
}

static void op_launch_wide_caller(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_wide_caller, CALLER_BURST / 4);
}

static void op_launch_wide_sustained(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_wide_sustained, 5000);
}

/* ---- small copies ---- */

static void fill(uint8_t *p, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
}

static void compare(const uint8_t *p, size_t size, unsigned int seed, const char *what)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != (uint8_t)(i * 31 + (i >> 8) + seed))
			bench_wrong(what);
}

static double d2h(struct bench_setup *b, unsigned int n, size_t size)
{
	double start = bench_now();

	for (unsigned int i = 0; i < n; i++)
		CHECK(cu.cuMemcpyDtoH(b->pageable, b->device, size));
	return (bench_now() - start) / n;
}

static double part_d2h_8(struct bench_setup *b, unsigned int n)
{
	return d2h(b, n, SMALL);
}

static double part_d2h_64k(struct bench_setup *b, unsigned int n)
{
	return d2h(b, n, MEDIUM);
}

static void op_d2h(struct bench_setup *b, struct bench_samples *s, size_t size,
		   double (*part)(struct bench_setup *, unsigned int), unsigned int n, const char *what)
{
	fill(b->pageable, size, 3);
	CHECK(cu.cuMemcpyHtoD(b->device, b->pageable, size));
	memset(b->pageable, 0, size);
	repeat(b, s, part, n);
	compare(b->pageable, size, 3, what);
}

static void op_d2h_8(struct bench_setup *b, struct bench_samples *s)
{
	op_d2h(b, s, SMALL, part_d2h_8, 2000, "d2h_8");
}

static void op_d2h_64k(struct bench_setup *b, struct bench_samples *s)
{
	op_d2h(b, s, MEDIUM, part_d2h_64k, 500, "d2h_64k");
}

static double h2d(struct bench_setup *b, unsigned int n, bool sustained)
{
	double start, end;

	CHECK(cu.cuCtxSynchronize());
	start = bench_now();
	for (unsigned int i = 0; i < n; i++)
		CHECK(cu.cuMemcpyHtoD(b->device, b->pageable, SMALL));
	if (sustained)
		CHECK(cu.cuCtxSynchronize());
	end = bench_now();
	CHECK(cu.cuCtxSynchronize());
	return (end - start) / n;
}

static double part_h2d_caller(struct bench_setup *b, unsigned int n)
{
	return h2d(b, n, false);
}

static double part_h2d_sustained(struct bench_setup *b, unsigned int n)
{
	return h2d(b, n, true);
}

static void op_h2d(struct bench_setup *b, struct bench_samples *s, double (*part)(struct bench_setup *, unsigned int),
		   unsigned int n, unsigned int seed, const char *what)
{
	fill(b->pageable, SMALL, seed);
	repeat(b, s, part, n);
	memset(b->pageable, 0, SMALL);
	CHECK(cu.cuMemcpyDtoH(b->pageable, b->device, SMALL));
	compare(b->pageable, SMALL, seed, what);
}

static void op_h2d_caller(struct bench_setup *b, struct bench_samples *s)
{
	op_h2d(b, s, part_h2d_caller, CALLER_BURST, 5, "h2d_8_caller");
}

static void op_h2d_sustained(struct bench_setup *b, struct bench_samples *s)
{
	op_h2d(b, s, part_h2d_sustained, 5000, 6, "h2d_8_sustained");
}

/* ---- events ---- */

static double part_event_record(struct bench_setup *b, unsigned int n)
{
	double start, end;

	drain(b);
	start = bench_now();
	for (unsigned int i = 0; i < n; i++)
		CHECK(cu.cuEventRecord(b->event, b->stream));
	end = bench_now();
	drain(b);
	return (end - start) / n;
}

static void op_event_record(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_event_record, CALLER_BURST);
}

static double part_event_query(struct bench_setup *b, unsigned int n)
{
	double start = bench_now();

	for (unsigned int i = 0; i < n; i++)
		CHECK(cu.cuEventQuery(b->event));
	return (bench_now() - start) / n;
}

static void op_event_query(struct bench_setup *b, struct bench_samples *s)
{
	CHECK(cu.cuEventRecord(b->event, b->stream));
	CHECK(cu.cuEventSynchronize(b->event));
	repeat(b, s, part_event_query, 5000);
}

/* ---- large copies ---- */

static double up(struct bench_setup *b, const uint8_t *from)
{
	double start = bench_now();

	CHECK(cu.cuMemcpyHtoDAsync(b->device, from, b->large, b->stream));
	drain(b);
	return bench_now() - start;
}

static double down(struct bench_setup *b, uint8_t *to)
{
	double start = bench_now();

	CHECK(cu.cuMemcpyDtoHAsync(to, b->device, b->large, b->stream));
	drain(b);
	return bench_now() - start;
}

static double part_pinned_h2d(struct bench_setup *b, unsigned int n)
{
	(void)n;
	return up(b, b->pinned);
}

static double part_pinned_d2h(struct bench_setup *b, unsigned int n)
{
	(void)n;
	return down(b, b->pinned);
}

static double part_pageable_h2d(struct bench_setup *b, unsigned int n)
{
	(void)n;
	return up(b, b->pageable);
}

static double part_pageable_d2h(struct bench_setup *b, unsigned int n)
{
	(void)n;
	return down(b, b->pageable);
}

/* What went up comes back the other way, and the other way round. */
static void op_large(struct bench_setup *b, struct bench_samples *s,
		     double (*part)(struct bench_setup *, unsigned int), uint8_t *memory, bool upwards, const char *what)
{
	fill(memory, b->large, 9);
	if (!upwards) {
		up(b, memory);
		memset(memory, 0, b->large);
	}
	repeat(b, s, part, 1);
	if (upwards) {
		memset(memory, 0, b->large);
		down(b, memory);
	}
	compare(memory, b->large, 9, what);
}

static void op_pinned_h2d(struct bench_setup *b, struct bench_samples *s)
{
	op_large(b, s, part_pinned_h2d, b->pinned, true, "pinned_h2d");
}

static void op_pinned_d2h(struct bench_setup *b, struct bench_samples *s)
{
	op_large(b, s, part_pinned_d2h, b->pinned, false, "pinned_d2h");
}

static void op_pageable_h2d(struct bench_setup *b, struct bench_samples *s)
{
	op_large(b, s, part_pageable_h2d, b->pageable, true, "pageable_h2d");
}

static void op_pageable_d2h(struct bench_setup *b, struct bench_samples *s)
{
	op_large(b, s, part_pageable_d2h, b->pageable, false, "pageable_d2h");
}

/* ---- memory ---- */

static double part_alloc_free(struct bench_setup *b, unsigned int n)
{
	double start = bench_now();
	CUdeviceptr p;

	(void)b;
	for (unsigned int i = 0; i < n; i++) {
		CHECK(cu.cuMemAlloc(&p, ALLOCATION));
		CHECK(cu.cuMemFree(p));
	}
	return (bench_now() - start) / n;
}

static void op_alloc_free(struct bench_setup *b, struct bench_samples *s)
{
	repeat(b, s, part_alloc_free, 300);
}

/* ---- overlap ---- */

static void op_overlap(struct bench_setup *b, struct bench_samples *s)
{
	bench_overlap(b, s, 2);
}

static void op_overlap_none(struct bench_setup *b, struct bench_samples *s)
{
	bench_overlap(b, s, 1);
}

const struct bench_op bench_ops[] = {
	{ "launch_caller", "launch, cost to the caller", op_launch_caller },
	{ "launch_sustained", "sustained empty launches", op_launch_sustained },
	{ "launch_sync", "launch + synchronize", op_launch_sync },
	{ "launch_10_caller", "launch with 10 parameters, to the caller", op_launch_ten_caller },
	{ "launch_10_sustained", "launch with 10 parameters, sustained", op_launch_ten_sustained },
	{ "launch_4k_caller", "launch with 4 KiB of parameters, to the caller", op_launch_wide_caller },
	{ "launch_4k_sustained", "launch with 4 KiB of parameters, sustained", op_launch_wide_sustained },
	{ "d2h_8", "device->host 8 B, synchronous", op_d2h_8 },
	{ "d2h_64k", "device->host 64 KiB, synchronous", op_d2h_64k },
	{ "h2d_8_caller", "host->device 8 B, pageable, to the caller", op_h2d_caller },
	{ "h2d_8_sustained", "host->device 8 B, pageable, sustained", op_h2d_sustained },
	{ "event_record", "event record, to the caller", op_event_record },
	{ "event_query", "event query", op_event_query },
	{ "pinned_h2d", "pinned host->device, large", op_pinned_h2d },
	{ "pinned_d2h", "pinned device->host, large", op_pinned_d2h },
	{ "pageable_h2d", "pageable host->device, large", op_pageable_h2d },
	{ "pageable_d2h", "pageable device->host, large", op_pageable_d2h },
	{ "alloc_free", "cuMemAlloc + cuMemFree 1 MiB", op_alloc_free },
	{ "overlap", "copy, compute, copy in pieces, 2 streams", op_overlap },
	{ "overlap_none", "the same with 1 stream", op_overlap_none },
};
const unsigned int bench_op_count = sizeof(bench_ops) / sizeof(bench_ops[0]);

/* ---- the beginning of a process ---- */

/* In a new process: from cuInit until the context has done something. */
static double first_use(const struct bench_setup *b)
{
	const char *why = bench_cuda_open(b->library);
	CUcontext context;
	double start, end;
	CUdevice device;
	CUdeviceptr p;

	if (why) {
		fprintf(stderr, "bench_driver: %s\n", why);
		_exit(BENCH_NO_LIBRARY);
	}
	start = bench_now();
	CHECK(cu.cuInit(0));
	CHECK(cu.cuDeviceGet(&device, 0));
	CHECK(cu.cuDevicePrimaryCtxRetain(&context, device));
	CHECK(cu.cuCtxSetCurrent(context));
	CHECK(cu.cuMemAlloc(&p, 4096));
	CHECK(cu.cuCtxSynchronize());
	end = bench_now();
	CHECK(cu.cuMemFree(p));
	CHECK(cu.cuDevicePrimaryCtxRelease(device));
	return end - start;
}

static double in_child(const struct bench_setup *b)
{
	double us = 0;
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) || (pid = fork()) < 0) {
		perror("bench_driver");
		exit(2);
	}
	if (!pid) {
		us = first_use(b);
		exit(write(ends[1], &us, sizeof(us)) == sizeof(us) ? 0 : 2);
	}
	close(ends[1]);
	if (read(ends[0], &us, sizeof(us)) != sizeof(us))
		us = 0;
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid || status || us <= 0)
		exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 2);
	return us;
}

void bench_init(struct bench_setup *b, struct bench_samples *s, unsigned int processes)
{
	in_child(b);	/* warm-up: the files are in memory then */
	for (s->count = 0; s->count < processes && s->count < BENCH_REPS_MAX; s->count++) {
		bench_pause(b);
		s->us[s->count] = in_child(b);
	}
	bench_pause(b);
}
