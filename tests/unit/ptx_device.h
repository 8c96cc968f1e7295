/* SPDX-License-Identifier: MIT */
/* A device for tests of the PTX interpreter: memory that knows its bounds, modules loaded from text, launches. */
#ifndef TEST_PTX_DEVICE_H
#define TEST_PTX_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ptx.h"

#define DEVICE_BLOCKS 64

struct device {
	struct ptx_module *module;
	struct ptx_fault fault;
	struct { unsigned char *at; size_t size; } mem[DEVICE_BLOCKS];
	size_t nmem;
	char output[8192];
	size_t output_len;
};

/* Loads tests/kernels/NAME.ptx, or @text; fails the test on an error. */
void device_load(struct device *dev, const char *name);
void device_load_text(struct device *dev, const char *text);
void device_free(struct device *dev);
/* Zeroed device memory; its device address is its host address. */
void *device_alloc(struct device *dev, size_t size);
/* The memory of a module variable. */
void *device_global(struct device *dev, const char *name);
/* Parameters are laid out from @args, one pointer for each parameter, as cuLaunchKernel does. */
int device_launch(struct device *dev, const char *kernel, uint32_t gx, uint32_t gy, uint32_t bx, uint32_t by,
		  uint32_t shared, const void **args);
int device_launch_full(struct device *dev, struct ptx_launch *l, const char *kernel, const void **args);

uint64_t random_u64(void);
/* Random bits with many special values: zeros, infinities, NaN, subnormals, small numbers, all ones. */
uint64_t random_bits(void);

#endif
