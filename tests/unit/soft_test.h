/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the soft device share: the table, a current context, short checks.
 */
#ifndef VGPU_SOFT_TEST_H
#define VGPU_SOFT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gen/driver_table.h"
#include "soft/soft.h"

#define drv (vgpu_soft_driver())
#define ok(call) assert_int_equal(drv->call, CUDA_SUCCESS)
#define fails(error, call) assert_int_equal(drv->call, CUDA_ERROR_##error)

/* An address that no table knows. */
#define WILD ((CUdeviceptr)0x1234567000)

/* Group set-up: initialises, makes the primary context current. */
static inline int soft_test_begin(void **state)
{
	CUcontext ctx;

	(void)state;
	if (drv->cuInit(0) || drv->cuDevicePrimaryCtxRetain(&ctx, 0) || drv->cuCtxSetCurrent(ctx))
		return -1;
	return 0;
}

static inline int soft_test_end(void **state)
{
	(void)state;
	return drv->cuDevicePrimaryCtxRelease_v2(0) ? -1 : 0;
}

/* Memory that host and device share, zeroed. */
static inline void *pinned(size_t size)
{
	void *p;

	assert_int_equal(drv->cuMemHostAlloc(&p, size, 0), CUDA_SUCCESS);
	memset(p, 0, size);
	return p;
}

static inline CUdeviceptr dptr(const volatile void *p)
{
	return (CUdeviceptr)(uintptr_t)p;
}

#endif
