/* SPDX-License-Identifier: MIT */
/*
 * Modules, libraries, functions: loading and its error codes, look-up, attributes, what lives how long.
 */
#include "soft_kernels.h"

static char last_log[512];

static void keep_log(void *ctx, enum vgpu_soft_level level, const char *line)
{
	(void)ctx;
	(void)level;
	snprintf(last_log, sizeof(last_log), "%s", line);
}

static int begin(void **state)
{
	const struct vgpu_soft_config config = { .log = keep_log };

	return vgpu_soft_configure(&config) ? -1 : soft_test_begin(state);
}

static void functions(void **state)
{
	size_t offset, size;
	CUfunction f, again;
	const char *name;
	CUmodule m, of;
	unsigned n;
	int v;

	(void)state;
	assert_int_equal(load_kernels(&m, "saxpy.ptx"), CUDA_SUCCESS);
	ok(cuModuleGetFunctionCount(&n, m));
	assert_int_equal(n, 2);
	ok(cuModuleGetFunction(&f, m, "saxpy"));
	ok(cuModuleGetFunction(&again, m, "saxpy"));
	assert_ptr_equal(f, again);
	fails(NOT_FOUND, cuModuleGetFunction(&f, m, "nothing"));
	fails(INVALID_VALUE, cuModuleGetFunction(NULL, m, "saxpy"));
	fails(INVALID_VALUE, cuModuleGetFunction(&f, m, NULL));
	fails(INVALID_HANDLE, cuModuleGetFunction(&f, (CUmodule)5, "saxpy"));
	ok(cuFuncGetName(&name, f));
	assert_string_equal(name, "saxpy");
	ok(cuFuncGetModule(&of, f));
	assert_ptr_equal(of, m);
	ok(cuFuncGetParamInfo(f, 0, &offset, &size));
	assert_int_equal(offset, 0);
	fails(INVALID_VALUE, cuFuncGetParamInfo(f, 40, &offset, &size));
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f));
	assert_int_equal(v, 1024);
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_PTX_VERSION, f));
	assert_int_equal(v, 75);
	fails(INVALID_VALUE, cuFuncGetAttribute(&v, (CUfunction_attribute)99, f));
	fails(INVALID_HANDLE, cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, (CUfunction)9));
	ok(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 65536));
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, f));
	assert_int_equal(v, 65536);
	fails(INVALID_VALUE, cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20));
	fails(INVALID_VALUE, cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_NUM_REGS, 1));
	ok(cuFuncSetCacheConfig(f, CU_FUNC_CACHE_PREFER_L1));
	ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, 256, 0));
	assert_true(v >= 1 && v <= 8);
	fails(INVALID_VALUE, cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, 0, 0));
	ok(cuOccupancyMaxPotentialBlockSize(&v, (int *)&n, f, NULL, 0, 0));
	assert_true(v > 0 && n >= 32 && n <= 1024);
	ok(cuModuleUnload(m));
	fails(INVALID_HANDLE, cuModuleUnload(m));
	fails(INVALID_HANDLE, cuFuncGetName(&name, f));
	fails(INVALID_HANDLE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
}

/* However many registers PTX declares, one block of the largest allowed size fits: programs divide by that number. */
static void many_registers(void **state)
{
	static const char wide[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				   ".visible .entry any()\n{\n.reg .b64 %rd<700>;\nret;\n}\n"
				   ".visible .entry bounded()\n.maxntid 384, 1, 1\n{\n.reg .b64 %rd<700>;\nret;\n}\n"
				   ".visible .entry warp()\n.maxntid 32, 1, 1\n{\n.reg .b64 %rd<700>;\nret;\n}\n";
	static const struct {
		const char *name;
		int threads, registers;
	} kernels[] = {{"any", 1024, 64}, {"bounded", 384, 168}, {"warp", 32, 255}};
	CUfunction f;
	CUmodule m;
	int v;

	(void)state;
	ok(cuModuleLoadData(&m, wide));
	for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
		ok(cuModuleGetFunction(&f, m, kernels[i].name));
		ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, f));
		assert_int_equal(v, kernels[i].registers);
		ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&v, f, kernels[i].threads, 0));
		assert_true(v >= 1);
	}
	ok(cuModuleUnload(m));
}

static void variables(void **state)
{
	CUdeviceptr p;
	size_t size;
	CUmodule m;
	int v = 0;

	(void)state;
	assert_int_equal(load_kernels(&m, "globals.ptx"), CUDA_SUCCESS);
	ok(cuModuleGetGlobal_v2(&p, &size, m, "counter"));
	assert_int_equal(size, 4);
	ok(cuMemcpyDtoH_v2(&v, p, 4));
	assert_int_equal(v, 5);
	fails(INVALID_VALUE, cuMemFree_v2(p));
	ok(cuModuleGetGlobal_v2(NULL, &size, m, "coefficients"));
	assert_int_equal(size, 16);
	fails(NOT_FOUND, cuModuleGetGlobal_v2(&p, &size, m, "nothing"));
	fails(INVALID_VALUE, cuModuleGetGlobal_v2(&p, &size, m, NULL));
	ok(cuModuleGetGlobal_v2(&p, &size, m, "counter"));
	ok(cuModuleUnload(m));
	fails(NOT_FOUND, cuMemGetAddressRange_v2(NULL, NULL, p));
}

static void libraries(void **state)
{
	char *text = kernel_text("globals.ptx", NULL);
	CUdeviceptr p, q;
	CUlibrary lib, of;
	CUkernel k;
	CUfunction f;
	CUmodule m, of_function;
	CUcontext other;
	const char *name;
	unsigned n;
	size_t size;
	int v;

	(void)state;
	ok(cuLibraryLoadData(&lib, text, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuLibraryGetKernelCount(&n, lib));
	assert_int_equal(n, 2);
	ok(cuLibraryGetKernel(&k, lib, "globals"));
	fails(NOT_FOUND, cuLibraryGetKernel(&k, lib, "nothing"));
	fails(INVALID_HANDLE, cuLibraryGetKernel(&k, (CUlibrary)7, "globals"));
	ok(cuKernelGetName(&name, k));
	assert_string_equal(name, "globals");
	ok(cuKernelGetLibrary(&of, k));
	assert_ptr_equal(of, lib);
	ok(cuLibraryGetModule(&m, lib));
	ok(cuKernelGetFunction(&f, k));
	ok(cuFuncGetModule(&of_function, f));
	assert_ptr_equal(m, of_function);
	ok(cuFuncGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, (CUfunction)k)); /* a kernel passes as a function */
	ok(cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, k, 0));
	fails(INVALID_DEVICE, cuKernelGetAttribute(&v, CU_FUNC_ATTRIBUTE_NUM_REGS, k, 4));
	ok(cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 70000, k, 0));
	ok(cuLibraryGetGlobal(&p, &size, lib, "counter"));
	fails(INVALID_HANDLE, cuModuleUnload(m)); /* it is the library's */
	/* Another context has variables of its own. */
	ok(cuCtxCreate_v2(&other, 0, 0));
	ok(cuLibraryGetGlobal(&q, &size, lib, "counter"));
	assert_true(p != q);
	ok(cuCtxDestroy_v2(other));
	ok(cuLibraryGetGlobal(&q, &size, lib, "counter"));
	assert_true(p == q);
	ok(cuLibraryUnload(lib));
	fails(INVALID_HANDLE, cuLibraryUnload(lib));
	fails(INVALID_HANDLE, cuKernelGetName(&name, k));
	fails(INVALID_HANDLE, cuFuncGetName(&name, f));
	free(text);
}

static void bad_images(void **state)
{
	static const char elf[64] = "\177ELF\2\1\1";
	static const char unknown[] = ".version 7.5\n.target sm_75\n.address_size 64\n"
				      ".visible .entry k()\n{\n\t.reg .b32 %r<3>;\n\tfrobnicate.u32 %r1, 5;\n\tret;\n}\n";
	uint64_t wrapper[3] = { 0x1466243b1ull, 0x1000, 0 };
	char log[200] = "";
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { log, (void *)sizeof(log) };
	CUmodule m;

	(void)state;
	fails(INVALID_VALUE, cuModuleLoadData(&m, NULL));
	fails(INVALID_VALUE, cuModuleLoadData(NULL, unknown));
	fails(INVALID_IMAGE, cuModuleLoadData(&m, ""));
	fails(INVALID_PTX, cuModuleLoadData(&m, "this is not PTX"));
	last_log[0] = 0;
	fails(NO_BINARY_FOR_GPU, cuModuleLoadData(&m, elf));
	assert_non_null(strstr(last_log, "machine code"));
	fails(INVALID_PTX, cuModuleLoadDataEx(&m, unknown, 2, options, values));
	assert_non_null(strstr(last_log, "frobnicate"));
	assert_non_null(strstr(log, "frobnicate"));
	fails(INVALID_VALUE, cuModuleLoadDataEx(&m, unknown, 2, NULL, NULL));
	/* From elsewhere, an image with pointers in it is refused and nothing behind its end is read. */
	vgpu_soft_set_image_limit(sizeof(wrapper));
	fails(INVALID_IMAGE, cuModuleLoadData(&m, wrapper));
	vgpu_soft_set_image_limit(0);
	fails(INVALID_IMAGE, cuModuleLoadData(&m, unknown));
	vgpu_soft_set_image_limit(3);
	fails(INVALID_IMAGE, cuModuleLoadData(&m, unknown));
	vgpu_soft_set_image_limit(60);
	fails(INVALID_PTX, cuModuleLoadData(&m, unknown));
}

/* Text that came with a length needs no NUL; loading a module many times leaks no memory. */
static void bounded_text(void **state)
{
	size_t len, before, after, total;
	char *text = kernel_text("globals.ptx", &len), *exact = malloc(len);
	CUmodule m;
	int i;

	(void)state;
	memcpy(exact, text, len);
	ok(cuMemGetInfo_v2(&before, &total));
	for (i = 0; i < 100; i++) {
		vgpu_soft_set_image_limit(len);
		ok(cuModuleLoadData(&m, exact));
		ok(cuModuleUnload(m));
	}
	ok(cuMemGetInfo_v2(&after, &total));
	assert_int_equal(before, after);
	free(exact);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions),
		cmocka_unit_test(many_registers),
		cmocka_unit_test(variables),
		cmocka_unit_test(libraries),
		cmocka_unit_test(bad_images),
		cmocka_unit_test(bounded_text),
	};

	return cmocka_run_group_tests(tests, begin, soft_test_end);
}
