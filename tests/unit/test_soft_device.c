/* SPDX-License-Identifier: MIT */
/*
 * Initialisation, devices, contexts: what natively works, and the native error codes.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soft_test.h"

static void not_initialised(void **state)
{
	CUdeviceptr p;
	CUcontext ctx;
	int n, v = 0;

	(void)state;
	fails(NOT_INITIALIZED, cuDeviceGetCount(&n));
	fails(NOT_INITIALIZED, cuMemAlloc_v2(&p, 16));
	fails(NOT_INITIALIZED, cuCtxGetCurrent(&ctx));
	ok(cuDriverGetVersion(&v));
	assert_int_equal(v, 13000);
	fails(INVALID_VALUE, cuDriverGetVersion(NULL));
	fails(INVALID_VALUE, cuInit(1));
	ok(cuInit(0));
	ok(cuInit(0));
	fails(INVALID_CONTEXT, cuMemAlloc_v2(&p, 16));
	ok(cuCtxGetCurrent(&ctx));
	assert_null(ctx);
}

static void fork_child_is_not_initialised(void **state)
{
	int status, n;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(drv->cuDeviceGetCount(&n) == CUDA_ERROR_NOT_INITIALIZED &&
		      drv->cuInit(0) == CUDA_ERROR_NOT_INITIALIZED ? 7 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	ok(cuDeviceGetCount(&n));
}

static void devices(void **state)
{
	CUdevice dev;
	CUuuid uuid;
	CUdevprop prop;
	size_t total;
	char text[64];
	int n, major, minor;

	(void)state;
	ok(cuDeviceGetCount(&n));
	assert_int_equal(n, 1);
	ok(cuDeviceGet(&dev, 0));
	fails(INVALID_DEVICE, cuDeviceGet(&dev, 1));
	fails(INVALID_DEVICE, cuDeviceGet(&dev, -1));
	fails(INVALID_VALUE, cuDeviceGet(NULL, 0));
	ok(cuDeviceGetName(text, sizeof(text), 0));
	assert_string_equal(text, "vGPU soft device 0");
	ok(cuDeviceGetName(text, 5, 0));
	assert_string_equal(text, "vGPU");
	fails(INVALID_VALUE, cuDeviceGetName(text, 0, 0));
	ok(cuDeviceGetUuid_v2(&uuid, 0));
	fails(INVALID_DEVICE, cuDeviceGetUuid(&uuid, 9));
	ok(cuDeviceTotalMem_v2(&total, 0));
	assert_true(total == 4ull << 30);
	ok(cuDeviceComputeCapability(&major, &minor, 0));
	assert_int_equal(major * 10 + minor, 90);
	ok(cuDeviceGetPCIBusId(text, sizeof(text), 0));
	ok(cuDeviceGetByPCIBusId(&dev, text));
	assert_int_equal(dev, 0);
	fails(INVALID_DEVICE, cuDeviceGetByPCIBusId(&dev, "0000:77:00.0"));
	fails(INVALID_VALUE, cuDeviceGetByPCIBusId(&dev, "nonsense"));
	ok(cuDeviceGetProperties(&prop, 0));
	assert_int_equal(prop.SIMDWidth, 32);
}

static void attributes(void **state)
{
	int i, v;

	(void)state;
	for (i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; i++)
		ok(cuDeviceGetAttribute(&v, (CUdevice_attribute)i, 0));
	fails(INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)0, 0));
	fails(INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)9999, 0));
	fails(INVALID_VALUE, cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	fails(INVALID_DEVICE, cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 3));
	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0));
	assert_int_equal(v, 32);
	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0));
	assert_int_equal(v, 0);
	ok(cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
	assert_int_equal(v, 9);
}

static void primary_context(void **state)
{
	CUcontext a, b;
	CUdevice dev;
	unsigned flags;
	int active;

	(void)state;
	ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_false(active);
	fails(INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
	ok(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_YIELD));
	fails(INVALID_VALUE, cuDevicePrimaryCtxSetFlags_v2(0, 3));
	ok(cuDevicePrimaryCtxRetain(&a, 0));
	ok(cuDevicePrimaryCtxRetain(&b, 0));
	assert_ptr_equal(a, b);
	fails(INVALID_DEVICE, cuDevicePrimaryCtxRetain(&b, 1));
	fails(INVALID_VALUE, cuDevicePrimaryCtxRetain(NULL, 0));
	ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_true(active);
	assert_int_equal(flags, CU_CTX_SCHED_YIELD);
	ok(cuCtxSetCurrent(a));
	ok(cuCtxGetDevice(&dev));
	ok(cuDevicePrimaryCtxRelease_v2(0));
	ok(cuCtxGetDevice(&dev));
	ok(cuDevicePrimaryCtxRelease_v2(0));
	fails(CONTEXT_IS_DESTROYED, cuCtxGetDevice(&dev));
	fails(INVALID_CONTEXT, cuCtxPushCurrent_v2(a));
	ok(cuDevicePrimaryCtxRetain(&b, 0));
	assert_ptr_equal(a, b);
	ok(cuCtxGetDevice(&dev));
	ok(cuCtxSetCurrent(NULL));
	fails(INVALID_CONTEXT, cuCtxGetDevice(&dev));
	fails(INVALID_CONTEXT, cuCtxPopCurrent_v2(&a));
	ok(cuDevicePrimaryCtxRelease_v2(0));
}

static void reset_frees_memory(void **state)
{
	size_t before, after, total;
	CUdeviceptr p;
	CUstream s;
	CUcontext ctx;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&ctx, 0));
	ok(cuCtxSetCurrent(ctx));
	ok(cuMemGetInfo_v2(&before, &total));
	ok(cuMemAlloc_v2(&p, 100 << 20));
	ok(cuStreamCreate(&s, 0));
	ok(cuDevicePrimaryCtxReset_v2(0));
	ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	fails(INVALID_VALUE, cuMemFree_v2(p));
	fails(INVALID_HANDLE, cuStreamQuery(s));
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease_v2(0));
}

static void created_contexts(void **state)
{
	CUcontext a, b, now;
	unsigned long long ia, ib;
	unsigned version;
	CUdeviceptr p;
	CUdevice dev;

	(void)state;
	fails(INVALID_VALUE, cuCtxCreate_v2(NULL, 0, 0));
	fails(INVALID_VALUE, cuCtxCreate_v2(&a, 0x4000, 0));
	fails(INVALID_DEVICE, cuCtxCreate_v2(&a, 0, 7));
	ok(cuCtxCreate_v2(&a, CU_CTX_SCHED_SPIN, 0));
	fails(NOT_SUPPORTED, cuCtxCreate_v3(&b, NULL, 1, 0, 0));
	ok(cuCtxCreate_v4(&b, NULL, 0, 0));
	assert_ptr_not_equal(a, b);
	ok(cuCtxGetCurrent(&now));
	assert_ptr_equal(now, b);
	ok(cuCtxGetId(a, &ia));
	ok(cuCtxGetId(NULL, &ib));
	assert_true(ia != ib);
	ok(cuCtxGetApiVersion(b, &version));
	ok(cuCtxPopCurrent_v2(&now));
	assert_ptr_equal(now, b);
	ok(cuMemAlloc_v2(&p, 1 << 20));
	ok(cuCtxDestroy_v2(b));
	ok(cuMemFree_v2(p));
	fails(INVALID_CONTEXT, cuCtxDestroy_v2(b));
	fails(INVALID_CONTEXT, cuCtxSetCurrent(b));
	fails(INVALID_CONTEXT, cuCtxPushCurrent_v2(NULL));
	fails(INVALID_CONTEXT, cuCtxSynchronize_v2(b));
	ok(cuCtxSynchronize_v2(a));
	ok(cuCtxSynchronize());
	ok(cuCtxDestroy_v2(a));
	fails(INVALID_CONTEXT, cuCtxGetDevice(&dev));
}

static void context_state(void **state)
{
	CUcontext ctx;
	unsigned flags;
	size_t v;
	int least, greatest;

	(void)state;
	ok(cuCtxCreate_v2(&ctx, CU_CTX_SCHED_BLOCKING_SYNC, 0));
	ok(cuCtxGetFlags(&flags));
	assert_true(flags & CU_CTX_SCHED_BLOCKING_SYNC);
	fails(INVALID_VALUE, cuCtxGetFlags(NULL));
	ok(cuCtxGetStreamPriorityRange(&least, &greatest));
	assert_true(least == 0 && greatest < 0);
	ok(cuCtxGetStreamPriorityRange(NULL, NULL));
	ok(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
	ok(cuCtxGetLimit(&v, CU_LIMIT_STACK_SIZE));
	assert_int_equal(v, 4096);
	fails(UNSUPPORTED_LIMIT, cuCtxGetLimit(&v, (CUlimit)77));
	fails(INVALID_VALUE, cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
	fails(INVALID_VALUE, cuCtxSetCacheConfig((CUfunc_cache)9));
	ok(cuProfilerStart());
	ok(cuProfilerStop());
	ok(cuCtxDestroy_v2(ctx));
}

static void ranges_cover_memory(void **state)
{
	struct vgpu_range r;
	CUcontext ctx;
	CUdeviceptr p;

	(void)state;
	/* The device's memory, and addresses to map memory at. */
	assert_int_equal(vgpu_soft_ranges(&r, 1), 2);
	assert_int_equal(vgpu_soft_configure(&(struct vgpu_soft_config){ 0 }), -16 /* EBUSY */);
	ok(cuCtxCreate_v2(&ctx, 0, 0));
	ok(cuMemAlloc_v2(&p, 3 << 20));
	assert_true(p >= r.start && p + (3 << 20) <= r.start + r.size);
	ok(cuCtxDestroy_v2(ctx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_initialised),
		cmocka_unit_test(fork_child_is_not_initialised),
		cmocka_unit_test(devices),
		cmocka_unit_test(attributes),
		cmocka_unit_test(primary_context),
		cmocka_unit_test(reset_frees_memory),
		cmocka_unit_test(created_contexts),
		cmocka_unit_test(context_state),
		cmocka_unit_test(ranges_cover_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
