/* SPDX-License-Identifier: MIT */
/*
 * bench_driver: an ordinary program of the CUDA driver API that measures single operations.  It opens libcuda.so.1 at
 * run time, so that the very same program runs on NVIDIA's driver and on ours; which one is the loader's choice.
 * One thread.  A call that fails ends the program with status 2 and one line.
 */
#ifndef VGPU_BENCH_DRIVER_H
#define VGPU_BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cuda.h>

#define BENCH_CALLS(X)                                                                                   \
	X(cuInit) X(cuDriverGetVersion) X(cuDeviceGet) X(cuDeviceGetName) X(cuDevicePrimaryCtxRetain)    \
	X(cuDevicePrimaryCtxRelease) X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuMemAlloc) X(cuMemFree)   \
	X(cuMemAllocHost) X(cuMemFreeHost) X(cuMemcpyHtoD) X(cuMemcpyDtoH) X(cuMemcpyHtoDAsync)          \
	X(cuMemcpyDtoHAsync) X(cuStreamCreate) X(cuStreamDestroy) X(cuStreamSynchronize) X(cuEventCreate)\
	X(cuEventDestroy) X(cuEventRecord) X(cuEventQuery) X(cuEventSynchronize) X(cuModuleLoadData)     \
	X(cuModuleUnload) X(cuModuleGetFunction) X(cuLaunchKernel) X(cuGetErrorName)

/* The members carry the versioned names, since the plain ones are macros. */
struct bench_cuda {
#define X(name) __typeof__(&name) name;
	BENCH_CALLS(X)
#undef X
};

extern struct bench_cuda cu;

#define BENCH_NO_LIBRARY 77	/* exit status */

/* Open the library. NULL, or why not, as one line. */
const char *bench_cuda_open(const char *library);

#define CHECK(call)                                             \
	do {                                                    \
		CUresult check_result = (call);                 \
		if (check_result != CUDA_SUCCESS)               \
			bench_die(#call, check_result);         \
	} while (0)

_Noreturn void bench_die(const char *call, CUresult result);
/* The data that came back are not those that were sent. */
_Noreturn void bench_wrong(const char *what);

/* Microseconds of CLOCK_MONOTONIC. */
double bench_now(void);

#define BENCH_REPS_MAX 64u
#define BENCH_PROCESSES_MAX 16u

/* The repetitions of one operation; warm-up is not among them. */
struct bench_samples {
	double us[BENCH_REPS_MAX];
	unsigned int count;
};

double bench_median(const struct bench_samples *s);

/* What all operations use. Made once; the buffers hold `large` bytes. */
struct bench_setup {
	unsigned int reps;		/* repetitions after the warm-up */
	unsigned int divide;		/* operations in a repetition are divided by this: quick runs */
	size_t large;			/* bytes of a large copy */
	size_t piece;			/* overlap: bytes of a piece */
	unsigned int pieces;		/* overlap: pieces */
	unsigned int loops;		/* overlap: rounds of the kernel; 0: calibrate */
	unsigned int pause_ms;		/* for a mediator to start new workers while nothing is measured */
	const char *library;
	unsigned int processes, process;	/* that measure at once, and which of them this is: 0 speaks for all */
	struct bench_together *together;	/* NULL: one process */
	CUdeviceptr device;		/* `large` bytes */
	uint8_t *pinned, *pageable;
	CUstream stream;
	CUevent event;
	CUmodule module;
	CUfunction empty, ten, wide, mix;
};

/*
 * together.c: b->processes of them from here on, none of which has opened CUDA. They wait for each other before each
 * repetition. A sample of all together is the time that the slowest took, divided by their number: the sum of what they
 * did in a second is comparable with that of another library's processes, and with one.
 */
void bench_together_start(struct bench_setup *b);
void bench_together_wait(const struct bench_setup *b);
void bench_together_gather(const struct bench_setup *b, struct bench_samples *s);
/* The last of each process; the first waits for the others. 0, or the exit status when one failed. */
int bench_together_end(const struct bench_setup *b);

/* Let b->pause_ms pass. */
void bench_pause(const struct bench_setup *b);

/* driver_kernels.c: the PTX of the four kernels above. */
extern const char bench_ptx[];

#define BENCH_WIDE_BYTES 4096u	/* parameters of `wide` */

/* overlap.c: copy in, compute, copy out in pieces, over that many streams; one sample is the time of all of it. */
void bench_overlap(struct bench_setup *b, struct bench_samples *s, unsigned int streams);

/* driver_ops.c */
struct bench_op {
	const char *name;	/* key in the JSON */
	const char *title;	/* for people */
	void (*run)(struct bench_setup *b, struct bench_samples *s);
};

extern const struct bench_op bench_ops[];
extern const unsigned int bench_op_count;

/* From cuInit to a context that has allocated, in a process of its own each time. Before anything of CUDA is opened. */
void bench_init(struct bench_setup *b, struct bench_samples *s, unsigned int processes);

#endif
