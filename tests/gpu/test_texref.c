/* SPDX-License-Identifier: MIT */
/* Texture references: what is set is told again; one with a name in a module is what its kernel reads. */
#include "gpu_test.h"

static const char sampling_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n.visible .global .texref image;\n"
	".visible .entry k(.param .u64 p)\n{\n\t.reg .b32 %r<4>;\n\t.reg .b64 %d<4>;\n\t.reg .f32 %f<8>;\n"
	"\tld.param.u64 %d1, [p];\n\tcvta.to.global.u64 %d2, %d1;\n\tmov.u32 %r1, %tid.x;\n"
	"\ttex.1d.v4.f32.s32 {%f1, %f2, %f3, %f4}, [image, {%r1}];\n\tmul.wide.u32 %d3, %r1, 4;\n"
	"\tadd.s64 %d3, %d2, %d3;\n\tst.global.f32 [%d3], %f1;\n\tret;\n}\n";

static void sampling(void **state)
{
	CUtexref t;
	CUaddress_mode address;
	CUfilter_mode filter;
	CUarray_format format;
	unsigned flags;
	int channels;

	(void)state;
	ok(cuTexRefCreate(&t));
	ok(cuTexRefSetFormat(t, CU_AD_FORMAT_FLOAT, 2));
	ok(cuTexRefGetFormat(&format, &channels, t));
	assert_int_equal(format, CU_AD_FORMAT_FLOAT);
	assert_int_equal(channels, 2);
	ok(cuTexRefSetAddressMode(t, 1, CU_TR_ADDRESS_MODE_CLAMP));
	ok(cuTexRefGetAddressMode(&address, t, 1));
	assert_int_equal(address, CU_TR_ADDRESS_MODE_CLAMP);
	ok(cuTexRefSetFilterMode(t, CU_TR_FILTER_MODE_LINEAR));
	ok(cuTexRefGetFilterMode(&filter, t));
	assert_int_equal(filter, CU_TR_FILTER_MODE_LINEAR);
	ok(cuTexRefSetFlags(t, CU_TRSF_NORMALIZED_COORDINATES));
	ok(cuTexRefGetFlags(&flags, t));
	assert_int_equal(flags, CU_TRSF_NORMALIZED_COORDINATES);
	ok(cuTexRefDestroy(t));
}

static void levels(void **state)
{
	float bias, least, most, color[4] = { 0.25f, 0.5f, 0.75f, 1.0f }, got[4];
	CUfilter_mode filter;
	CUtexref t;
	int n;

	(void)state;
	ok(cuTexRefCreate(&t));
	ok(cuTexRefSetMaxAnisotropy(t, 4));
	ok(cuTexRefGetMaxAnisotropy(&n, t));
	assert_int_equal(n, 4);
	ok(cuTexRefSetMipmapFilterMode(t, CU_TR_FILTER_MODE_LINEAR));
	ok(cuTexRefGetMipmapFilterMode(&filter, t));
	assert_int_equal(filter, CU_TR_FILTER_MODE_LINEAR);
	ok(cuTexRefSetMipmapLevelBias(t, 0.5f));
	ok(cuTexRefGetMipmapLevelBias(&bias, t));
	assert_true(bias == 0.5f);
	ok(cuTexRefSetMipmapLevelClamp(t, 1.0f, 3.0f));
	ok(cuTexRefGetMipmapLevelClamp(&least, &most, t));
	assert_true(least == 1.0f && most == 3.0f);
	ok(cuTexRefSetBorderColor(t, color));
	ok(cuTexRefGetBorderColor(got, t));
	assert_memory_equal(color, got, sizeof(color));
	ok(cuTexRefDestroy(t));
}

/* Memory, then an array, then memory again. */
static void resources(void **state)
{
	const CUDA_ARRAY_DESCRIPTOR desc = { .Width = 32, .Height = 8, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUdeviceptr p, q;
	CUarray array, got;
	size_t offset = 1;
	CUtexref t;

	(void)state;
	ok(cuTexRefCreate(&t));
	ok(cuMemAlloc(&p, 4096));
	ok(cuArrayCreate(&array, &desc));
	ok(cuTexRefSetFormat(t, CU_AD_FORMAT_FLOAT, 1));
	ok(cuTexRefSetAddress(&offset, t, p, 1024));
	assert_int_equal(offset, 0);
	ok(cuTexRefGetAddress(&q, t));
	assert_int_equal(p, q);
	ok(cuTexRefSetArray(t, array, CU_TRSA_OVERRIDE_FORMAT));
	ok(cuTexRefGetArray(&got, t));
	assert_ptr_equal(array, got);
	ok(cuTexRefSetAddress2D(t, &desc, p, 512));
	ok(cuTexRefGetAddress(&q, t));
	assert_int_equal(p, q);
	ok(cuTexRefDestroy(t));
	ok(cuArrayDestroy(array));
	ok(cuMemFree(p));
}

static void names(void **state)
{
	CUmodule m = gpu_module("vector_add.ptx");
	CUtexref t;

	(void)state;
	expect(CUDA_ERROR_NOT_FOUND, cuModuleGetTexRef(&t, m, "no_such_reference"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleGetTexRef(NULL, m, "no_such_reference"));
	expect(CUDA_ERROR_INVALID_VALUE, cuModuleGetTexRef(&t, m, NULL));
	ok(cuModuleUnload(m));
}

/* Skipped where PTX with texture references cannot be loaded. */
static void in_a_module(void **state)
{
	float in[32], out[32];
	CUdeviceptr p, q;
	void *params[] = { &q };
	CUtexref t, again;
	CUfunction f;
	CUmodule m;

	(void)state;
	if (cuModuleLoadData(&m, sampling_ptx))
		skip();
	ok(cuModuleGetFunction(&f, m, "k"));
	ok(cuModuleGetTexRef(&t, m, "image"));
	ok(cuModuleGetTexRef(&again, m, "image"));
	assert_ptr_equal(t, again);
	ok(cuMemAlloc(&p, sizeof(in)));
	ok(cuMemAlloc(&q, sizeof(out)));
	for (int i = 0; i < 32; i++)
		in[i] = (float)(i * i);
	ok(cuMemcpyHtoD(p, in, sizeof(in)));
	ok(cuTexRefSetFormat(t, CU_AD_FORMAT_FLOAT, 1));
	ok(cuTexRefSetAddress(NULL, t, p, sizeof(in)));
	ok(cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
	ok(cuMemcpyDtoH(out, q, sizeof(out)));
	assert_memory_equal(in, out, sizeof(in));
	ok(cuModuleUnload(m));
	ok(cuMemFree(p));
	ok(cuMemFree(q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sampling), cmocka_unit_test(levels), cmocka_unit_test(resources),
		cmocka_unit_test(names),    cmocka_unit_test(in_a_module),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("texref", tests, gpu_setup, gpu_teardown);
}
