/* SPDX-License-Identifier: MIT */
/* CUDA_VISIBLE_DEVICES, MD2 and the integrity answer, cuGetProcAddress: functions without state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <gen/cuda_api.h>

#include "shim/device.h"
#include "shim/integrity.h"

static const uint8_t uuids[3][16] = { { 0x11, 0x22 }, { 0x11, 0x33 }, { 0x44 } };

static void visible(const char *text, int count, int a, int b)
{
	int chosen[3] = { -1, -1, -1 };

	assert_int_equal(vgpu_visible_devices(text, 3, uuids, chosen), count);
	if (count > 0)
		assert_int_equal(chosen[0], a);
	if (count > 1)
		assert_int_equal(chosen[1], b);
}

static void visible_devices(void **state)
{
	(void)state;
	visible(NULL, 3, 0, 1);
	visible("", 0, 0, 0);
	visible("2,0", 2, 2, 0);
	visible(" 1 , 2", 2, 1, 2);
	visible("0,9,1", 1, 0, 0);
	visible("-1", 0, 0, 0);
	visible("1,1", 0, 0, 0);
	visible("GPU-44", 1, 2, 0);
	visible("GPU-11", 0, 0, 0);
	visible("GPU-1133,0", 2, 1, 0);
	visible("99999999999999", 0, 0, 0);
}

static void md2_of(const char *text, const char *hex)
{
	static const char digits[] = "0123456789abcdef";
	char got[33] = "";
	uint8_t out[16];
	int i;

	vgpu_md2((const uint8_t *)text, strlen(text), out);
	for (i = 0; i < 16; i++) {
		got[2 * i] = digits[out[i] >> 4];
		got[2 * i + 1] = digits[out[i] & 15];
	}
	assert_string_equal(got, hex);
}

/* The test suite of RFC 1319. */
static void md2(void **state)
{
	(void)state;
	md2_of("", "8350e5a3e24c153df2275c9f80692773");
	md2_of("a", "32ec01ec4a6dac72c0ab96fb34c0b5d1");
	md2_of("abc", "da853b0d3f88d99b30283a69e6ded6bb");
	md2_of("message digest", "ab4f496bfb2a530b219ff33031fe06b0");
	md2_of("abcdefghijklmnopqrstuvwxyz", "4e8ddff3650292ab5a4108c3aa47940b");
}

static void integrity_binds_what_it_should(void **state)
{
	struct vgpu_integrity in = { .driver_version = 13000, .pid = 1 };
	struct vgpu_integrity_device d = { .pci_bus = 1 };
	uint8_t a[16], b[16];

	(void)state;
	vgpu_integrity_answer(&in, &d, 1, 13000, 5, a);
	in.pid = 2;
	vgpu_integrity_answer(&in, &d, 1, 13000, 6, b);
	assert_memory_equal(a, b, 16);
	vgpu_integrity_answer(&in, &d, 1, 13002, 5, a);
	in.pid = 1;
	vgpu_integrity_answer(&in, &d, 1, 13002, 5, b);
	assert_memory_not_equal(a, b, 16);
	d.pci_bus = 2;
	vgpu_integrity_answer(&in, &d, 1, 13002, 5, a);
	assert_memory_not_equal(a, b, 16);
}

static void look(const char *name, int version, cuuint64_t flags, void *expected, int status)
{
	CUdriverProcAddressQueryResult got = 77;
	void *fn = (void *)1;

	assert_int_equal(cuGetProcAddress_v2(name, &fn, version, flags, &got), 0);
	assert_ptr_equal(fn, expected);
	assert_int_equal(got, status);
}

static void proc_addresses(void **state)
{
	void *fn = (void *)1;

	(void)state;
	look("cuInit", 12000, 0, cuInit, 0);
	look("", 0, 0, NULL, 1);
	look("cuMemAlloc_v2", 13000, 0, NULL, 1);
	look("cuMemAlloc", 2000, 0, cuMemAlloc, 0);
	look("cuMemAlloc", 3020, 0, cuMemAlloc_v2, 0);
	look("cuCtxGetDevice", 12000, 0, cuCtxGetDevice, 0);
	look("cuCtxGetDevice", 13000, 0, cuCtxGetDevice_v2, 0);
	look("cuGetProcAddress", 11030, 0, cuGetProcAddress, 0);
	look("cuGetProcAddress", 12000, 0, cuGetProcAddress_v2, 0);
	look("cuLibraryLoadData", 11000, 0, NULL, 2);
	look("cuLaunchKernel", 13000, 2, cuLaunchKernel_ptsz, 0);
	look("cuLaunchKernel", 13000, 1, cuLaunchKernel, 0);
	look("cuMemAlloc", 13000, 2, cuMemAlloc_v2, 0);
	assert_int_equal(cuGetProcAddress_v2("cuInit", &fn, 12000, 9, NULL), 1);
	assert_int_equal(cuGetProcAddress_v2(NULL, &fn, 12000, 0, NULL), 1);
	fn = (void *)1;
	assert_int_equal(cuGetProcAddress("cuNothing", &fn, 12000, 0), 500);
	assert_ptr_equal(fn, (void *)1);
	assert_int_equal(cuGetProcAddress("cuInit", &fn, 12000, 0), 0);
}

static void tables_have_their_size(void **state)
{
	static const CUuuid cudart = { { 0x6b, (char)0xd5, (char)0xfb, 0x6c, 0x5b, (char)0xf4, (char)0xe7, 0x4a, (char)0x89,
					 (char)0x87, (char)0xd9, 0x39, 0x12, (char)0xfd, (char)0x9d, (char)0xf9 } };
	static const CUuuid none = { { 1 } };
	const void *table = NULL;

	(void)state;
	assert_int_equal(cuGetExportTable(&table, &cudart), 0);
	assert_int_equal(*(const size_t *)table, 80);
	assert_int_equal(cuGetExportTable(&table, &none), 1);
	assert_null(table);
}

static void nothing_works_before_init(void **state)
{
	CUcontext ctx;
	int n;

	(void)state;
	assert_int_equal(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
	assert_int_equal(cuCtxGetCurrent(&ctx), CUDA_ERROR_NOT_INITIALIZED);
	assert_int_equal(cuMemFree_v2(0), CUDA_ERROR_NOT_INITIALIZED);
	assert_int_equal(cuDriverGetVersion(&n), 0);
	assert_true(n >= 12000);
	assert_int_equal(cuDriverGetVersion(NULL), CUDA_ERROR_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visible_devices),
		cmocka_unit_test(md2),
		cmocka_unit_test(integrity_binds_what_it_should),
		cmocka_unit_test(proc_addresses),
		cmocka_unit_test(tables_have_their_size),
		cmocka_unit_test(nothing_works_before_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
