/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite: ordinary CUDA programs that check what the driver API
 * does and which error codes it gives.  The same binaries run on the bare
 * driver (the truth) and through the mediator; nothing in them knows which.
 * A program exits 77 (skipped) where no CUDA device can be had.
 */
#ifndef VGPU_GPU_TEST_H
#define VGPU_GPU_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <cuda.h>

#define SKIPPED 77

/* The call must give exactly this code; the message names call, wanted and got. */
#define expect(want, call) \
	gpu_expect((want), (call), #call, __FILE__, __LINE__)
#define ok(call) expect(CUDA_SUCCESS, call)

void gpu_expect(CUresult want, CUresult got, const char *call, const char *file, int line);

/* cmocka group fixtures: device 0 with its primary context current / none at all. */
int gpu_setup(void **state);
int gpu_teardown(void **state);

CUdevice gpu_device(void);
CUcontext gpu_context(void);

/* Reads a PTX file of tests/kernels (folder in VGPU_TEST_KERNELS) and loads it. */
CUmodule gpu_module(const char *name);
char *gpu_ptx(const char *name);	/* caller frees */

/* Exits 77 if the machine has no CUDA device; initialises the driver otherwise. */
void gpu_need_device(void);

/* A millisecond, between looks at something that happens on its own time. */
void gpu_nap(void);

/* The word at this address of the device. */
uint32_t gpu_word(CUdeviceptr at);

/* A buffer of pseudo-random bytes, the same for the same seed. Caller frees. */
void *gpu_random(size_t size, uint32_t seed);

#endif
