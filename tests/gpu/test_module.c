/* SPDX-License-Identifier: MIT */
/* Modules, libraries, functions and their attributes, launches, globals. */
#include "gpu_test.h"

static const char scale_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .const .align 4 .f32 factor = 0f40000000;\n"
	".visible .global .align 4 .u32 counter;\n"
	".visible .entry scale(.param .u64 p, .param .u32 n, .param .align 8 .b8 pair[16])\n"
	"{\n\t.reg .pred %q;\n\t.reg .b32 %r<8>;\n\t.reg .b64 %d<6>;\n\t.reg .f32 %f<4>;\n"
	"\tld.param.u64 %d1, [p];\n\tld.param.u32 %r1, [n];\n\tld.param.f32 %f3, [pair+8];\n"
	"\tmov.u32 %r2, %ctaid.x;\n\tmov.u32 %r3, %ntid.x;\n\tmov.u32 %r4, %tid.x;\n"
	"\tmad.lo.s32 %r5, %r2, %r3, %r4;\n\tsetp.ge.u32 %q, %r5, %r1;\n\t@%q bra DONE;\n"
	"\tcvta.to.global.u64 %d2, %d1;\n\tmul.wide.u32 %d3, %r5, 4;\n\tadd.s64 %d4, %d2, %d3;\n"
	"\tld.global.f32 %f1, [%d4];\n\tld.const.f32 %f2, [factor];\n\tfma.rn.f32 %f1, %f1, %f2, %f3;\n"
	"\tst.global.f32 [%d4], %f1;\n\tmov.u64 %d5, counter;\n\tatom.global.add.u32 %r6, [%d5], 1;\n"
	"DONE:\n\tret;\n}\n";

struct pair {
	double unused;
	float addend;
};

static void run_scale(CUfunction f, CUdeviceptr p, uint32_t n, float addend)
{
	struct pair pair = { 0, addend };
	void *params[] = { &p, &n, &pair };

	ok(cuLaunchKernel(f, (n + 63) / 64, 1, 1, 64, 1, 1, 0, NULL, params, NULL));
}

static void launch(void **state)
{
	float in[1000], out[1000];
	CUmodule m;
	CUfunction f;
	CUdeviceptr p, g;
	uint32_t count = 0, zero = 0, n = 1000;
	size_t size;

	(void)state;
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	for (int i = 0; i < 1000; i++)
		in[i] = (float)i;
	ok(cuMemAlloc(&p, sizeof(in)));
	ok(cuMemcpyHtoD(p, in, sizeof(in)));
	ok(cuModuleGetGlobal(&g, &size, m, "counter"));
	assert_int_equal(size, 4);
	ok(cuMemcpyHtoD(g, &zero, 4));
	run_scale(f, p, n, 1.5f);
	ok(cuMemcpyDtoH(out, p, sizeof(out)));
	for (int i = 0; i < 1000; i++)
		assert_true(out[i] == 2.0f * in[i] + 1.5f);
	ok(cuMemcpyDtoH(&count, g, 4));
	assert_int_equal(count, 1000);

	/* A constant can be changed between launches. */
	ok(cuModuleGetGlobal(&g, &size, m, "factor"));
	in[0] = 3.0f;
	ok(cuMemcpyHtoD(g, in, 4));
	run_scale(f, p, 1, 0.0f);
	ok(cuMemcpyDtoH(out + 1, p, 4));
	assert_true(out[1] == 3.0f * 1.5f);
	ok(cuMemFree(p));
	ok(cuModuleUnload(m));
}

static void extra(void **state)
{
	uint8_t buf[32] = { 0 };
	size_t size = sizeof(buf);
	void *config[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, buf, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
			   CU_LAUNCH_PARAM_END };
	void *none[] = { CU_LAUNCH_PARAM_END };
	float v = 4.0f, addend = 1.0f;
	CUmodule m;
	CUfunction f;
	CUdeviceptr p;
	uint32_t n = 1;

	(void)state;
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	ok(cuMemAlloc(&p, 4));
	ok(cuMemcpyHtoD(p, &v, 4));
	memcpy(buf, &p, 8);
	memcpy(buf + 8, &n, 4);
	memcpy(buf + 16 + 8, &addend, 4);
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, config));
	expect(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, none));
	ok(cuMemcpyDtoH(&v, p, 4));
	assert_true(v == 9.0f);
	/* A block may end inside the last parameter, as NCCL's do. */
	size = 28;
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, config));
	ok(cuMemcpyDtoH(&v, p, 4));
	assert_true(v == 19.0f);
	ok(cuMemFree(p));
	ok(cuModuleUnload(m));
}

/* What is set for a kernel holds for the function that was made of it before. */
static void kernel_sets_function(void **state)
{
	struct pair pair = { .addend = 1.0f };
	float v = 4.0f;
	uint32_t n = 1, bytes = 64u << 10;
	CUlibrary library;
	CUfunction f;
	CUkernel k;
	CUdeviceptr p;
	void *params[] = { &p, &n, &pair };

	(void)state;
	ok(cuLibraryLoadData(&library, scale_ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernel(&k, library, "scale"));
	ok(cuKernelGetFunction(&f, k));
	ok(cuMemAlloc(&p, 4));
	ok(cuMemcpyHtoD(p, &v, 4));
	expect(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, bytes, NULL, params, NULL));
	ok(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)bytes, k, gpu_device()));
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, bytes, NULL, params, NULL));
	ok(cuCtxSynchronize());
	ok(cuMemFree(p));
	ok(cuLibraryUnload(library));
}

/* Shape and parameters set on the function, as CUDA 3 did. */
static void launch_state(void **state)
{
	float v[4] = { 1, 2, 3, 4 }, addend = 1.0f;
	unsigned int n = 4;
	CUstream s;
	CUmodule m;
	CUfunction f;
	CUdeviceptr p;

	(void)state;
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&p, sizeof(v)));
	ok(cuMemcpyHtoD(p, v, sizeof(v)));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncSetBlockShape(f, 1025, 1, 1));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncSetBlockShape(f, 8, 1, 65));
	ok(cuFuncSetBlockShape(f, 2, 1, 1));
	ok(cuFuncSetSharedSize(f, 0));
	ok(cuParamSetv(f, 0, &p, sizeof(p)));
	ok(cuParamSeti(f, 8, n));
	ok(cuParamSetf(f, 16 + 8, addend));
	ok(cuParamSetSize(f, 32));
	ok(cuLaunch(f));
	ok(cuMemcpyDtoH(v, p, sizeof(v)));
	assert_true(v[0] == 3.0f && v[1] == 5.0f && v[2] == 3.0f && v[3] == 4.0f);
	ok(cuLaunchGrid(f, 2, 1));
	ok(cuMemcpyDtoH(v, p, sizeof(v)));
	assert_true(v[0] == 7.0f && v[1] == 11.0f && v[2] == 7.0f && v[3] == 9.0f);
	ok(cuParamSetf(f, 16 + 8, 0.0f));
	ok(cuLaunchGridAsync(f, 2, 1, s));
	ok(cuStreamSynchronize(s));
	ok(cuMemcpyDtoH(v, p, sizeof(v)));
	assert_true(v[0] == 14.0f && v[1] == 22.0f && v[2] == 14.0f && v[3] == 18.0f);
	ok(cuMemFree(p));
	ok(cuStreamDestroy(s));
	ok(cuModuleUnload(m));
}

static void functions(void **state)
{
	CUmodule m;
	CUfunction f;
	size_t off, size;
	int v, again;

	(void)state;
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
	assert_in_range(v, 32, 1024);
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, f));
	assert_int_equal(v, 0);
	ok(cuFuncGetParamInfo(f, 0, &off, &size));
	assert_int_equal(off, 0);
	assert_int_equal(size, 8);
	ok(cuFuncGetParamInfo(f, 1, &off, &size));
	assert_int_equal(off, 8);
	assert_int_equal(size, 4);
	ok(cuFuncGetParamInfo(f, 2, &off, &size));
	assert_int_equal(off, 16);
	assert_int_equal(size, 16);
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncGetParamInfo(f, 3, &off, &size));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncGetAttribute(&v, (CUfunction_attribute)999, f));
	ok(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 16384));
	ok(cuFuncSetCacheConfig(f, CU_FUNC_CACHE_PREFER_L1));
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, 128, 0));
	assert_in_range(v, 1, 64);
	/* Whoever remembers an answer remembers the question, too. */
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&again, f, 128, 0, 0));
	assert_int_equal(again, v);
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&again, f, 1024, 0));
	assert_in_range(again, 1, 2);
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&again, f, 128, 0));
	assert_int_equal(again, v);
	expect(CUDA_ERROR_INVALID_VALUE, cuOccupancyMaxActiveBlocksPerMultiprocessor(NULL, f, 128, 0));
	ok(cuModuleUnload(m));
}

/* Blocks that may wait for each other, by the call of that name and by attribute. */
static void cooperative(void **state)
{
	CUlaunchAttribute attribute = { .id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1 };
	CUlaunchConfig config = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 64, .blockDimY = 1,
				  .blockDimZ = 1, .attrs = &attribute, .numAttrs = 1 };
	struct pair pair = { 0, 1 };
	float value[64] = { 5 };
	uint32_t n = 64;
	CUdeviceptr p;
	void *params[] = { &p, &n, &pair };
	int supported = 0;
	CUmodule m;
	CUfunction f;

	(void)state;
	ok(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, gpu_device()));
	if (!supported)
		skip();
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	ok(cuMemAlloc(&p, sizeof(value)));
	ok(cuMemcpyHtoD(p, value, sizeof(value)));
	ok(cuLaunchCooperativeKernel(f, 1, 1, 1, 64, 1, 1, 0, NULL, params));
	ok(cuLaunchKernelEx(&config, f, params, NULL));
	ok(cuMemcpyDtoH(value, p, sizeof(value)));
	assert_true(value[0] == 23.0f && value[63] == 3.0f);	/* twice: doubled, and one more */
	ok(cuMemFree(p));
	ok(cuModuleUnload(m));
}

static void wrong_launch(void **state)
{
	CUdeviceptr p = 0;
	uint32_t n = 0;
	struct pair pair = { 0, 0 };
	void *params[] = { &p, &n, &pair };
	CUmodule m;
	CUfunction f;

	(void)state;
	ok(cuModuleLoadData(&m, scale_ptx));
	ok(cuModuleGetFunction(&f, m, "scale"));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 0, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 1, 1, 0, 1, 1, 0, NULL, params, NULL));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 1, 1, 2048, 1, 1, 0, NULL, params, NULL));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 70000, 1, 1, 1, 1, 0, NULL, params, NULL));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 1 << 20, NULL, params, NULL));
	expect(CUDA_ERROR_INVALID_VALUE,
	       cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
	expect(CUDA_ERROR_INVALID_HANDLE,
	       cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuCtxSynchronize());
	ok(cuModuleUnload(m));
}

static void wrong_images(void **state)
{
	CUmodule m;
	CUfunction f;
	CUdeviceptr g;
	size_t size;

	(void)state;
	expect(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, "this is not PTX at all\n"));
	expect(CUDA_ERROR_INVALID_PTX,
	       cuModuleLoadData(&m, ".version 7.0\n.target sm_50\n.address_size 64\n"
				    ".visible .entry k() { frobnicate.u32 %r1; ret; }\n"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&m, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(NULL, scale_ptx));
	expect(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&m, "/does/not/exist.ptx"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleLoad(&m, ""));
	expect(CUDA_ERROR_INVALID_IMAGE, cuModuleLoad(&m, "/dev/null"));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncGetModule(&m, NULL));
	ok(cuModuleLoadData(&m, scale_ptx));
	expect(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, m, "no_such_kernel"));
	expect(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&g, &size, m, "no_such_global"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(NULL, m, "scale"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(&f, m, NULL));
	ok(cuModuleUnload(m));
}

static void libraries(void **state)
{
	float v = 5.0f;
	uint32_t n = 1;
	CUlibrary lib;
	CUkernel k;
	CUfunction f;
	CUmodule m;
	CUdeviceptr p, g;
	size_t size;
	struct pair pair = { 0, 2.0f };
	void *params[] = { &p, &n, &pair };

	(void)state;
	ok(cuLibraryLoadData(&lib, scale_ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernel(&k, lib, "scale"));
	expect(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&k, lib, "nope"));
	expect(CUDA_ERROR_NOT_FOUND, cuLibraryGetKernel(&k, lib, ""));
	ok(cuLibraryGetKernel(&k, lib, "scale"));
	ok(cuKernelGetFunction(&f, k));
	ok(cuLibraryGetModule(&m, lib));
	ok(cuLibraryGetGlobal(&g, &size, lib, "counter"));
	assert_int_equal(size, 4);
	ok(cuMemAlloc(&p, 4));
	ok(cuMemcpyHtoD(p, &v, 4));
	/* A kernel handle is accepted where a function is wanted. */
	ok(cuLaunchKernel((CUfunction)k, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuMemcpyDtoH(&v, p, 4));
	assert_true(v == (5.0f * 2 + 2) * 2 + 2);
	ok(cuMemFree(p));
	ok(cuLibraryUnload(lib));
}

/* Launches take a kernel for a function; what asks about one or the other, or sets it, does not. */
static void kinds(void **state)
{
	CUfunctionLoadingState loading;
	size_t offset, size;
	const char *name;
	CUlibrary lib;
	CUfunction f, of;
	CUmodule m;
	CUkernel k;
	void *p;
	int v;

	(void)state;
	ok(cuLibraryLoadData(&lib, scale_ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernel(&k, lib, "scale"));
	ok(cuKernelGetFunction(&f, k));
	of = (CUfunction)k;
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, of));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncSetAttribute(of, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncSetCacheConfig(of, CU_FUNC_CACHE_PREFER_NONE));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncGetName(&name, of));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncGetParamInfo(of, 0, &offset, &size));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncIsLoaded(&loading, of));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncGetModule(&m, of));
	expect(CUDA_ERROR_INVALID_HANDLE, cuFuncSetSharedSize(of, 0));
	expect(CUDA_ERROR_INVALID_HANDLE, cuParamSeti(of, 0, 0));
	expect(CUDA_ERROR_INVALID_HANDLE, cuKernelGetName(&name, (CUkernel)f));
	expect(CUDA_ERROR_INVALID_HANDLE, cuKernelGetParamInfo((CUkernel)f, 0, &offset, &size));
	expect(CUDA_ERROR_INVALID_HANDLE, cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, (CUkernel)f, gpu_device()));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncSetSharedSize(f, ~0u));
	ok(cuFuncSetSharedSize(f, 256));
	/* Neither code for the host nor references to surfaces. */
	expect(CUDA_ERROR_INVALID_VALUE, cuLibraryGetUnifiedFunction(&p, lib, "scale"));
	expect(CUDA_ERROR_INVALID_HANDLE, cuLibraryGetUnifiedFunction(&p, NULL, "scale"));
	ok(cuLibraryUnload(lib));
}

/* What a kernel's parameters are is asked in a context. */
static void kernel_parameters(void **state)
{
	size_t offset, size;
	CUcontext ctx;
	CUlibrary lib;
	CUkernel k;
	CUresult r;

	(void)state;
	ok(cuLibraryLoadData(&lib, scale_ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernel(&k, lib, "scale"));
	ok(cuKernelGetParamInfo(k, 1, &offset, &size));
	assert_int_equal(offset, 8);
	assert_int_equal(size, 4);
	expect(CUDA_ERROR_INVALID_VALUE, cuKernelGetParamInfo(k, 3, &offset, &size));
	ok(cuCtxPopCurrent(&ctx));
	r = cuKernelGetParamInfo(k, 1, &offset, &size);
	ok(cuCtxPushCurrent(ctx));
	assert_int_not_equal(r, CUDA_SUCCESS);
	assert_int_not_equal(r, CUDA_ERROR_INVALID_VALUE);	/* that says: no more parameters */
	ok(cuLibraryUnload(lib));
}

/* All functions, in any order, each found by its own name again. */
static void enumerated(void **state)
{
	CUmodule mod = gpu_module("texture.ptx");
	CUfunction all[64], again;
	CUkernel kernels[64];
	CUlibrary lib;
	unsigned count;
	const char *name;
	char *text = gpu_ptx("texture.ptx");

	(void)state;
	ok(cuModuleGetFunctionCount(&count, mod));
	assert_in_range(count, 2, 64);
	ok(cuModuleEnumerateFunctions(all, count, mod));
	ok(cuModuleEnumerateFunctions(all, 0, mod));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(all[0], CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024));
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncSetCacheConfig(all[0], (CUfunc_cache)4));
	for (unsigned i = 0; i < count; i++) {
		ok(cuFuncGetName(&name, all[i]));
		ok(cuModuleGetFunction(&again, mod, name));
		assert_ptr_equal(again, all[i]);
		for (unsigned k = 0; k < i; k++)
			assert_ptr_not_equal(all[k], all[i]);
	}
	expect(CUDA_ERROR_INVALID_VALUE, cuFuncGetName(&name, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuKernelGetName(&name, NULL));
	ok(cuModuleUnload(mod));
	ok(cuLibraryLoadData(&lib, text, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernelCount(&count, lib));
	ok(cuLibraryEnumerateKernels(kernels, count, lib));
	for (unsigned i = 0; i < count; i++)
		ok(cuKernelGetName(&name, kernels[i]));
	ok(cuLibraryUnload(lib));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(launch),
		cmocka_unit_test(extra), cmocka_unit_test(kernel_sets_function),
		cmocka_unit_test(launch_state),
		cmocka_unit_test(functions),
		cmocka_unit_test(cooperative),
		cmocka_unit_test(wrong_launch),
		cmocka_unit_test(wrong_images),
		cmocka_unit_test(libraries),
		cmocka_unit_test(kinds),
		cmocka_unit_test(kernel_parameters),
		cmocka_unit_test(enumerated),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("module", tests, gpu_setup, gpu_teardown);
}
