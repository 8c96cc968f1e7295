/* SPDX-License-Identifier: MIT */
/*
 * What benchmarks of libcuda.so.1 begin with: the primary context of device 0, current in the calling thread, and a module
 * of kernels.  The loader's search path says whose library it is: the shim's with LD_LIBRARY_PATH set to
 * it, else the driver's.
 */
#ifndef VGPU_BENCH_DEVICE_H
#define VGPU_BENCH_DEVICE_H

#include <stdbool.h>

#include <gen/cuda_api.h>

#include "gbench.h"

#define DEVICE_TEN	10
#define DEVICE_WIDE	4096

struct device {
	CUcontext context;
	CUmodule module;
	CUfunction empty;	/* one parameter of 8 bytes */
	CUfunction ten;		/* ten of them */
	CUfunction wide;	/* one of DEVICE_WIDE bytes */
	CUfunction mix;		/* buffer, count, rounds: computes on each 32-bit element */
};

/* Made on first use, the same for all threads. NULL after gbench_fail() when there is no device. */
const struct device *device_open(struct gbench *b);

/* The same without a benchmark: NULL and nothing said. */
const struct device *device_find(void);

/* An empty launch with the parameters of `ten` or `wide`, or none. */
CUresult device_launch(const struct device *d, CUfunction f, CUstream stream);

#endif
