/* SPDX-License-Identifier: MIT */
/* Contexts: primary, created, stack of the thread, state of other threads. */
#include <pthread.h>
#include <stdbool.h>

#include "gpu_test.h"

static void no_context(void **state)
{
	CUcontext ctx = (CUcontext)&ctx;
	CUdeviceptr p;
	CUstream s;
	CUevent e;
	CUdevice dev;

	(void)state;
	ok(cuCtxGetCurrent(&ctx));
	assert_null(ctx);
	expect(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&p, 16));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuStreamCreate(&s, 0));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuEventCreate(&e, 0));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxGetDevice(&dev));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&ctx));
	expect(CUDA_ERROR_INVALID_VALUE, cuCtxPushCurrent(NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuCtxGetCurrent(NULL));
}

static void primary(void **state)
{
	CUdevice dev = gpu_device();
	CUcontext a, b;
	unsigned flags = 77;
	int active = 77;

	(void)state;
	ok(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	assert_int_equal(active, 0);
	ok(cuDevicePrimaryCtxRetain(&a, dev));
	ok(cuDevicePrimaryCtxRetain(&b, dev));
	assert_ptr_equal(a, b);
	ok(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	assert_int_equal(active, 1);
	ok(cuDevicePrimaryCtxRelease(dev));
	ok(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	assert_int_equal(active, 1);
	ok(cuDevicePrimaryCtxRelease(dev));
	ok(cuDevicePrimaryCtxGetState(dev, &flags, &active));
	assert_int_equal(active, 0);
	expect(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(dev));
	expect(CUDA_ERROR_INVALID_DEVICE, cuDevicePrimaryCtxRetain(&a, 99));
	expect(CUDA_ERROR_INVALID_VALUE, cuDevicePrimaryCtxRetain(NULL, dev));
}

static void stack(void **state)
{
	CUdevice dev = gpu_device(), got;
	CUcontext prim, a, cur;
	unsigned version, flags;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxPushCurrent(prim));
	ok(cuCtxGetCurrent(&cur));
	assert_ptr_equal(cur, prim);
#if CUDA_VERSION >= 13000
	ok(cuCtxCreate(&a, NULL, CU_CTX_SCHED_AUTO, dev));
#else
	ok(cuCtxCreate(&a, CU_CTX_SCHED_AUTO, dev));
#endif
	ok(cuCtxGetCurrent(&cur));
	assert_ptr_equal(cur, a);
	assert_ptr_not_equal(cur, prim);
	ok(cuCtxGetDevice(&got));
	assert_int_equal(got, dev);
	ok(cuCtxGetApiVersion(a, &version));
	ok(cuCtxGetFlags(&flags));
	assert_int_equal(flags, CU_CTX_SCHED_AUTO);
	ok(cuCtxPopCurrent(&cur));
	assert_ptr_equal(cur, a);
	ok(cuCtxGetCurrent(&cur));
	assert_ptr_equal(cur, prim);
	ok(cuCtxSetCurrent(a));
	ok(cuCtxGetCurrent(&cur));
	assert_ptr_equal(cur, a);
	ok(cuCtxDestroy(a));
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease(dev));
}

static void *other_thread(void *arg)
{
	CUcontext cur = arg;
	CUdeviceptr p;

	ok(cuCtxGetCurrent(&cur));
	assert_null(cur);
	expect(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&p, 16));
	ok(cuCtxSetCurrent(arg));
	ok(cuMemAlloc(&p, 16));
	ok(cuMemFree(p));
	return NULL;
}

static void threads(void **state)
{
	CUdevice dev = gpu_device();
	CUcontext prim, cur;
	pthread_t t;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxSetCurrent(prim));
	assert_int_equal(pthread_create(&t, NULL, other_thread, prim), 0);
	pthread_join(t, NULL);
	ok(cuCtxGetCurrent(&cur));
	assert_ptr_equal(cur, prim);
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease(dev));
}

static void limits(void **state)
{
	CUdevice dev = gpu_device();
	CUcontext prim;
	unsigned long long id;
	size_t v;
	int lo, hi;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxSetCurrent(prim));
	ok(cuCtxGetLimit(&v, CU_LIMIT_STACK_SIZE));
	assert_true(v >= 1024);
	ok(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 4 << 20));
	ok(cuCtxGetLimit(&v, CU_LIMIT_PRINTF_FIFO_SIZE));
	assert_true(v >= 4 << 20);
	expect(CUDA_ERROR_INVALID_VALUE, cuCtxGetLimit(&v, (CUlimit)4711));
	expect(CUDA_ERROR_INVALID_VALUE, cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
	ok(cuCtxGetStreamPriorityRange(&lo, &hi));
	assert_true(hi <= lo);
	ok(cuCtxGetId(prim, &id));
	ok(cuCtxSynchronize());
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease(dev));
}

/* Settings of core dumps can be read, whatever they are. */
static void core_dumps(void **state)
{
	CUdevice dev = gpu_device();
	CUcontext prim;
	char name[1024] = { 0 }, chosen[] = "elsewhere";
	size_t size = 0;
	bool on = true;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxSetCurrent(prim));
	ok(cuCoredumpGetAttributeGlobal(CU_COREDUMP_FILE, NULL, &size));
	assert_in_range(size, 1, sizeof(name));
	size = sizeof(on);
	ok(cuCoredumpGetAttributeGlobal(CU_COREDUMP_ENABLE_ON_EXCEPTION, &on, &size));
	assert_false(on);
	on = true;
	size = sizeof(on);
	ok(cuCoredumpGetAttribute(CU_COREDUMP_ENABLE_ON_EXCEPTION, &on, &size));
	assert_false(on);
	size = sizeof(name);
	ok(cuCoredumpGetAttributeGlobal(CU_COREDUMP_FILE, name, &size));
	assert_non_null(memchr(name, '\0', sizeof(name)));
	on = false;
	size = sizeof(on);
	ok(cuCoredumpSetAttributeGlobal(CU_COREDUMP_TRIGGER_HOST, &on, &size));
	on = true;
	ok(cuCoredumpGetAttributeGlobal(CU_COREDUMP_TRIGGER_HOST, &on, &size));
	assert_false(on);
	size = sizeof(chosen);
	ok(cuCoredumpSetAttributeGlobal(CU_COREDUMP_FILE, chosen, &size));
	size = sizeof(name);
	ok(cuCoredumpGetAttributeGlobal(CU_COREDUMP_FILE, name, &size));
	assert_string_equal(name, chosen);
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease(dev));
}

/* What knows its context itself is given back without a current one. */
static void give_back(void **state)
{
	const CUDA_ARRAY_DESCRIPTOR flat = { .Width = 16, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					     .NumChannels = 1 };
	CUdevice dev = gpu_device();
	char *ptx = gpu_ptx("vector_add.ptx");
	CUdeviceptr p, managed;
	CUcontext prim;
	CUmodule module;
	CUstream stream;
	CUevent event;
	CUarray array;
	void *host;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxSetCurrent(prim));
	ok(cuMemAlloc(&p, 4096));
	ok(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
	ok(cuMemHostAlloc(&host, 4096, 0));
	ok(cuStreamCreate(&stream, 0));
	ok(cuEventCreate(&event, 0));
	ok(cuModuleLoadData(&module, ptx));
	ok(cuArrayCreate(&array, &flat));
	ok(cuCtxSetCurrent(NULL));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&p, 16));
	ok(cuMemFree(p));
	ok(cuMemFree(managed));
	ok(cuMemFreeHost(host));
	ok(cuEventDestroy(event));
	ok(cuStreamDestroy(stream));
	ok(cuModuleUnload(module));
	ok(cuArrayDestroy(array));
	ok(cuDevicePrimaryCtxRelease(dev));
	free(ptx);
}

/* What belongs to a context can be asked about without a current one. */
/* Only what is current can be left, and it stays as long as it has been entered more often. */
static void detach(void **state)
{
	CUcontext prim, ctx;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, gpu_device()));
	ok(cuCtxSetCurrent(NULL));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxDetach(NULL));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuCtxDetach(prim));
	ok(cuCtxSetCurrent(prim));
	ok(cuCtxAttach(&ctx, 0));
	assert_ptr_equal(ctx, prim);
	ok(cuCtxDetach(ctx));
	ok(cuCtxSynchronize());
	ok(cuCtxSetCurrent(NULL));
	ok(cuDevicePrimaryCtxRelease(gpu_device()));
}

static void asked_without(void **state)
{
	const CUDA_ARRAY3D_DESCRIPTOR flat = { .Width = 16, .Height = 16, .Format = CU_AD_FORMAT_UNSIGNED_INT8,
					       .NumChannels = 1 };
	CUdevice dev = gpu_device();
	char *ptx = gpu_ptx("vector_add.ptx");
	CUDA_ARRAY3D_DESCRIPTOR solid;
	CUDA_ARRAY_DESCRIPTOR desc;
	CUfunction all[1], named;
	CUmipmappedArray mipmap;
	const char *name;
	CUdeviceptr p, global;
	CUcontext prim;
	CUmodule module;
	CUarray level;
	int on = 1;

	(void)state;
	ok(cuDevicePrimaryCtxRetain(&prim, dev));
	ok(cuCtxSetCurrent(prim));
	ok(cuMemAlloc(&p, 4096));
	ok(cuModuleLoadData(&module, ptx));
	ok(cuMipmappedArrayCreate(&mipmap, &flat, 2));
	ok(cuCtxSetCurrent(NULL));
	ok(cuModuleEnumerateFunctions(all, 1, module));
	ok(cuFuncGetName(&name, all[0]));
	ok(cuModuleGetFunction(&named, module, name));
	expect(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&global, NULL, module, "none"));
	ok(cuMipmappedArrayGetLevel(&level, mipmap, 1));
	ok(cuArrayGetDescriptor(&desc, level));
	assert_int_equal(desc.Width, 8);
	ok(cuArray3DGetDescriptor(&solid, level));
	assert_int_equal(solid.Height, 8);
	ok(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
	ok(cuCtxGetCurrent(&prim));
	assert_null(prim);
	ok(cuMipmappedArrayDestroy(mipmap));
	ok(cuModuleUnload(module));
	ok(cuMemFree(p));
	ok(cuDevicePrimaryCtxRelease(dev));
	free(ptx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_context),
		cmocka_unit_test(primary),
		cmocka_unit_test(stack),
		cmocka_unit_test(threads),
		cmocka_unit_test(limits),
		cmocka_unit_test(core_dumps),
		cmocka_unit_test(give_back),
		cmocka_unit_test(detach),
		cmocka_unit_test(asked_without),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
