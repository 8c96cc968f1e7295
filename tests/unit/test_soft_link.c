/* SPDX-License-Identifier: MIT */
/*
 * Linking on the soft device: inputs of all kinds, what the logs say of wrong ones, the options of the JIT, and cubins of
 * its own that were damaged on the way.
 */
#include <ar.h>
#include <elf.h>
#include <stdio.h>

#include "soft/fatbin.h"
#include "soft_kernels.h"

#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"

/* Stores change(5) at p. */
static const char kernel[] =
	HEAD ".extern .func (.param .b32 r) change(.param .b32 a);\n"
	".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<3>; .reg .b64 %d<2>;\nld.param.u64 %d1, [p];\nmov.u32 %r1, 5;\n"
	"{ .param .b32 x; .param .b32 y;\nst.param.b32 [x], %r1;\ncall.uni (y), change, (x);\nld.param.b32 %r2, [y]; }\n"
	"st.global.u32 [%d1], %r2;\nret;\n}\n";
static const char change[] =
	HEAD ".visible .func (.param .b32 r) change(.param .b32 a)\n{\n.reg .b32 %r<3>;\nld.param.b32 %r1, [a];\n"
	"add.u32 %r2, %r1, 7;\nst.param.b32 [r], %r2;\nret;\n}\n";
static const char wrong[] = HEAD ".visible .entry k()\n{\n.reg .b32 %r<3>;\nfrobnicate.u32 %r1, 5;\nret;\n}\n";

static char error_log[512], info_log[512];
static void *values[6];

static CUlinkState new_link(void)
{
	static CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
					  CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_LOG_VERBOSE,
					  CU_JIT_WALL_TIME };
	CUlinkState link;

	values[0] = error_log;
	values[1] = (void *)sizeof(error_log);
	values[2] = info_log;
	values[3] = (void *)sizeof(info_log);
	values[4] = (void *)1;
	ok(cuLinkCreate_v2(6, options, values, &link));
	assert_string_equal(error_log, "");
	return link;
}

static CUresult add(CUlinkState link, CUjitInputType type, const void *data, size_t size, const char *name)
{
	return drv->cuLinkAddData_v2(link, type, (void *)(uintptr_t)data, size, name, 0, NULL, NULL);
}

static void add_kernel(CUlinkState link)
{
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, kernel, sizeof(kernel), "kernel"), CUDA_SUCCESS);
}

static void check_module(CUmodule m)
{
	uint32_t *out = pinned(4);
	void *params[] = { &out };
	CUfunction f;

	ok(cuModuleGetFunction(&f, m, "k"));
	ok(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
	ok(cuCtxSynchronize());
	assert_int_equal(*out, 12);
	ok(cuMemFreeHost(out));
}

/* Completes, loads from an image of that length, runs, destroys. */
static void finish(CUlinkState link)
{
	void *cubin;
	size_t size;
	CUmodule m;

	ok(cuLinkComplete(link, &cubin, &size));
	assert_string_equal(error_log, "");
	vgpu_soft_set_image_limit(size);
	ok(cuModuleLoadData(&m, cubin));
	ok(cuLinkDestroy(link));
	check_module(m);
	ok(cuModuleUnload(m));
}

static void texts(void **state)
{
	CUlinkState link = new_link();
	float ms;

	(void)state;
	add_kernel(link);
	/* The length may leave the NUL out. */
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, change, strlen(change), NULL), CUDA_SUCCESS);
	memcpy(&ms, &values[5], sizeof(ms));
	assert_true(ms > 0.0f);
	assert_non_null(strstr(info_log, "kernel; 1 PTX"));
	assert_int_equal((uintptr_t)values[3], strlen(info_log));
	assert_int_equal((uintptr_t)values[1], 0);
	finish(link);
}

/* A cubin of ours is an input like any other; it holds what went into it. */
static void cubins(void **state)
{
	CUlinkState part = new_link(), link;
	void *cubin;
	size_t size;

	(void)state;
	assert_int_equal(add(part, CU_JIT_INPUT_PTX, change, sizeof(change), NULL), CUDA_SUCCESS);
	ok(cuLinkComplete(part, &cubin, &size));
	link = new_link();
	assert_int_equal(add(link, CU_JIT_INPUT_CUBIN, cubin, size, NULL), CUDA_SUCCESS);
	ok(cuLinkDestroy(part));
	add_kernel(link);
	finish(link);
}

/* A fat binary with one PTX entry, as nvcc lays it out. */
static size_t make_fatbin(unsigned char *to, const char *text, uint32_t arch)
{
	uint32_t magic = FATBIN_MAGIC, header = 64;
	uint64_t padded = (strlen(text) + 8) / 8 * 8, payload = header + padded;

	memset(to, 0, 16 + payload);
	memcpy(to, &magic, 4);
	memcpy(to + 4, (uint16_t[]){ 1, 16 }, 4);
	memcpy(to + 8, &payload, 8);
	memcpy(to + 16, (uint16_t[]){ FATBIN_PTX, 0x101 }, 4);
	memcpy(to + 20, &header, 4);
	memcpy(to + 24, &padded, 8);
	memcpy(to + 16 + 28, &arch, 4);
	memcpy(to + 16 + header, text, strlen(text));
	return 16 + payload;
}

/* A host object with that fat binary in its section. */
static size_t make_object(unsigned char *to, const char *text)
{
	static const char names[] = "\0__nv_relfatbin\0.shstrtab";
	Elf64_Shdr section[3] = { 0 };
	Elf64_Ehdr h = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			 .e_type = ET_REL, .e_shoff = sizeof(h), .e_shentsize = sizeof(section[0]), .e_shnum = 3,
			 .e_shstrndx = 2 };
	size_t at = sizeof(h) + sizeof(section) + 32;
	size_t bytes = make_fatbin(to + at, text, 75);

	section[1] = (Elf64_Shdr){ .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = bytes };
	section[2] = (Elf64_Shdr){ .sh_name = 16, .sh_type = SHT_STRTAB, .sh_offset = sizeof(h) + sizeof(section),
				   .sh_size = sizeof(names) };
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), section, sizeof(section));
	memcpy(to + sizeof(h) + sizeof(section), names, sizeof(names));
	return at + bytes;
}

static size_t add_member(unsigned char *to, const unsigned char *data, size_t size)
{
	struct ar_hdr h;
	char digits[sizeof(h.ar_size) + 1];

	memset(&h, ' ', sizeof(h));
	snprintf(digits, sizeof(digits), "%-10zu", size);
	memcpy(h.ar_size, digits, sizeof(h.ar_size));
	memcpy(h.ar_fmag, ARFMAG, sizeof(h.ar_fmag));
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), data, size);
	to[sizeof(h) + size] = '\n';
	return sizeof(h) + size + (size & 1);
}

static void fat_binaries(void **state)
{
	unsigned char fat[2048];
	CUlinkState link = new_link();

	(void)state;
	add_kernel(link);
	assert_int_equal(add(link, CU_JIT_INPUT_FATBINARY, fat, make_fatbin(fat, change, 200), "newer"),
			 CUDA_ERROR_NO_BINARY_FOR_GPU);
	assert_non_null(strstr(error_log, "newer"));
	assert_non_null(strstr(error_log, "machine code"));
	ok(cuLinkDestroy(link));
	link = new_link();
	add_kernel(link);
	assert_int_equal(add(link, CU_JIT_INPUT_FATBINARY, fat, make_fatbin(fat, change, 75), NULL), CUDA_SUCCESS);
	finish(link);
}

/* Objects, and archives of which only what is understood is taken. */
static void objects(void **state)
{
	unsigned char object[4096], archive[8192] = ARMAG;
	size_t size = make_object(object, change), at = SARMAG;
	CUlinkState link = new_link();

	(void)state;
	add_kernel(link);
	assert_int_equal(add(link, CU_JIT_INPUT_OBJECT, object, size, NULL), CUDA_SUCCESS);
	finish(link);

	at += add_member(archive + at, (const unsigned char *)"symbols", 7);
	at += add_member(archive + at, object, size);
	size = make_object(object, wrong);
	at += add_member(archive + at, object, size);
	link = new_link();
	add_kernel(link);
	assert_int_equal(add(link, CU_JIT_INPUT_LIBRARY, archive, at, "archive"), CUDA_SUCCESS);
	finish(link);

	link = new_link();
	assert_int_equal(add(link, CU_JIT_INPUT_OBJECT, object, size, "bad.o"), CUDA_ERROR_INVALID_PTX);
	assert_non_null(strstr(error_log, "bad.o, line 7; error"));
	for (size_t n = 0; n < at; n++) {
		unsigned char *cut = malloc(n + 1);

		memcpy(cut, archive, n);
		add(link, CU_JIT_INPUT_LIBRARY, cut, n, NULL);
		free(cut);
	}
	ok(cuLinkDestroy(link));
}

static void wrong_inputs(void **state)
{
	static const char elf[64] = "\177ELF\2\1\1";
	CUlinkState link = new_link();
	void *cubin;

	(void)state;
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, wrong, sizeof(wrong), "my.ptx"), CUDA_ERROR_INVALID_PTX);
	assert_non_null(strstr(error_log, "my.ptx, line 7; error"));
	assert_non_null(strstr(error_log, "frobnicate"));
	assert_int_equal((uintptr_t)values[1], strlen(error_log));
	assert_int_equal(add(link, CU_JIT_INPUT_CUBIN, elf, sizeof(elf), "a.cubin"), CUDA_ERROR_NO_BINARY_FOR_GPU);
	assert_non_null(strstr(error_log, "a.cubin; error: machine code"));
	assert_int_equal(add(link, CU_JIT_INPUT_NVVM, "BC", 2, "a.ltoir"), CUDA_ERROR_INVALID_IMAGE);
	assert_non_null(strstr(error_log, "a.ltoir"));
	assert_int_equal(add(link, CU_JIT_INPUT_OBJECT, "text", 4, "a.o"), CUDA_ERROR_INVALID_IMAGE);
	assert_int_equal(add(link, CU_JIT_NUM_INPUT_TYPES, "text", 4, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, NULL, 4, NULL), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, "x", 0, NULL), CUDA_ERROR_INVALID_VALUE);
	/* None of them counts. */
	fails(INVALID_VALUE, cuLinkComplete(link, &cubin, NULL));
	ok(cuLinkDestroy(link));
	fails(INVALID_HANDLE, cuLinkDestroy(link));
	fails(INVALID_HANDLE, cuLinkComplete(link, &cubin, NULL));
}

/* What is missing, and what is there twice, shows at the end; the latter with the name of its input. */
static void wrong_links(void **state)
{
	CUlinkState link = new_link();
	void *cubin;

	(void)state;
	add_kernel(link);
	fails(INVALID_PTX, cuLinkComplete(link, &cubin, NULL));
	assert_non_null(strstr(error_log, "change"));
	ok(cuLinkDestroy(link));
	link = new_link();
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, change, sizeof(change), "first"), CUDA_SUCCESS);
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, change, sizeof(change), "second"), CUDA_SUCCESS);
	fails(INVALID_PTX, cuLinkComplete(link, &cubin, NULL));
	assert_non_null(strstr(error_log, "second, line "));
	ok(cuLinkDestroy(link));
}

static void options(void **state)
{
	CUjit_option unknown = CU_JIT_NUM_OPTIONS, log[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	char text[16] = "###############";
	void *value = NULL, *cut[] = { text, (void *)8 };
	CUlinkState link;
	CUlibrary lib;
	CUmodule m;

	(void)state;
	fails(INVALID_VALUE, cuLinkCreate_v2(1, &unknown, &value, &link));
	fails(INVALID_VALUE, cuLinkCreate_v2(1, NULL, NULL, &link));
	fails(INVALID_VALUE, cuLinkCreate_v2(0, NULL, NULL, NULL));
	fails(INVALID_VALUE, cuModuleLoadDataEx(&m, change, 1, &unknown, &value));
	fails(INVALID_PTX, cuModuleLoadDataEx(&m, wrong, 2, log, cut));
	assert_int_equal(text[7], 0);
	assert_int_equal(text[8], '#');
	assert_int_equal((uintptr_t)cut[1], 7);
	cut[0] = error_log;
	cut[1] = (void *)sizeof(error_log);
	fails(INVALID_PTX, cuLibraryLoadData(&lib, wrong, log, cut, 2, NULL, NULL, 0));
	assert_non_null(strstr(error_log, "line 7"));
}

/* A cubin that comes back changed is refused, or loaded: nothing outside of it is read. */
static void damaged(void **state)
{
	CUlinkState link = new_link();
	unsigned char *copy;
	uint32_t random = 1;
	void *cubin;
	size_t size;
	CUmodule m;

	(void)state;
	add_kernel(link);
	assert_int_equal(add(link, CU_JIT_INPUT_PTX, change, sizeof(change), NULL), CUDA_SUCCESS);
	ok(cuLinkComplete(link, &cubin, &size));
	for (size_t n = 4; n < size - 16; n++) {
		copy = malloc(n);
		memcpy(copy, cubin, n);
		vgpu_soft_set_image_limit(n);
		assert_int_not_equal(drv->cuModuleLoadData(&m, copy), CUDA_SUCCESS);
		free(copy);
	}
	for (int i = 0; i < 2000; i++) {
		copy = malloc(size);
		memcpy(copy, cubin, size);
		random = random * 1664525u + 1013904223u;
		copy[random % (i % 2 ? size : 64 + 3 * 64)] ^= (unsigned char)(1u << (random >> 24) % 8);
		vgpu_soft_set_image_limit(size);
		if (!drv->cuModuleLoadData(&m, copy))
			ok(cuModuleUnload(m));
		free(copy);
	}
	ok(cuLinkDestroy(link));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),	cmocka_unit_test(cubins),	cmocka_unit_test(fat_binaries),
		cmocka_unit_test(objects),	cmocka_unit_test(wrong_inputs),	cmocka_unit_test(wrong_links),
		cmocka_unit_test(options),	cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, soft_test_begin, soft_test_end);
}
