/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share: an ordinary CUDA program's error check, one context on
 * device 0, one kernel from a PTX file. A program is single-threaded; it exits with 0 if its
 * result was right, with 1 if not, and 2 if a call failed.
 */
#ifndef VGPU_TEST_PROGRAM_H
#define VGPU_TEST_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>

#include <cuda.h>

#define CHECK(call)                                                                                \
	do {                                                                                       \
		CUresult check_result = (call);                                                    \
		if (check_result != CUDA_SUCCESS)                                                  \
			program_die(#call, check_result);                                          \
	} while (0)

/* Prints the call and the name of its error, then exits with 2. */
void program_die(const char *call, CUresult result);

/* Initialises, makes device 0's primary context current and prints the device's name. */
CUdevice program_open(const char *name);

/* Loads `file` (a name in the kernels' folder, or a path with a slash) and finds `kernel`. */
CUfunction program_kernel(CUmodule *module, const char *file, const char *kernel);

/* A small integer value for element i, so that sums are exact in single precision. */
float program_value(unsigned i);

/* Says how many of `count` elements differ; the program's exit status. */
int program_verdict(const char *name, size_t wrong, size_t count);

#endif
