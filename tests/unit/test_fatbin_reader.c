/* SPDX-License-Identifier: MIT */
/*
 * Fat binaries assembled here, in every packing, good and damaged; and one that nvcc made.
 */
#include <errno.h>

#include <lz4.h>
#include <zstd.h>

#include "soft/fatbin.h"
#include "soft_kernels.h"

#define LZ4_FLAG 0x2000u
#define ZSTD_FLAG 0x8000u

struct builder {
	unsigned char *data;
	size_t size;
};

static void put(struct builder *b, size_t at, const void *value, size_t n)
{
	if (at + n > b->size) {
		b->data = realloc(b->data, at + n);
		memset(b->data + b->size, 0, at + n - b->size);
		b->size = at + n;
	}
	memcpy(b->data + at, value, n);
}

static void put16(struct builder *b, size_t at, uint16_t v)
{
	put(b, at, &v, 2);
}

static void put32(struct builder *b, size_t at, uint32_t v)
{
	put(b, at, &v, 4);
}

static void put64(struct builder *b, size_t at, uint64_t v)
{
	put(b, at, &v, 8);
}

static struct builder new_fatbin(void)
{
	struct builder b = { 0 };

	put32(&b, 0, FATBIN_MAGIC);
	put16(&b, 4, 1);
	put16(&b, 6, 16);
	put64(&b, 8, 0);
	return b;
}

/* Appends an entry as nvcc lays them out. */
static void add(struct builder *b, uint16_t kind, uint32_t arch, uint64_t flags, const void *text, size_t len)
{
	size_t at = b->size, header = kind == FATBIN_PTX ? 80 : 64, packed = len, room = ZSTD_compressBound(len) + 4096;
	char *out = calloc(1, room);

	if (flags & LZ4_FLAG)
		packed = (size_t)LZ4_compress_default(text, out, (int)len, (int)room);
	else if (flags & ZSTD_FLAG)
		packed = ZSTD_compress(out, room, text, len, 5);
	else
		memcpy(out, text, len);
	put16(b, at, kind);
	put16(b, at + 2, 0x101);
	put32(b, at + 4, (uint32_t)header);
	put64(b, at + 8, (packed + 7) / 8 * 8);
	put32(b, at + 16, flags ? (uint32_t)packed : 0);
	put32(b, at + 28, arch);
	put64(b, at + 40, flags);
	put64(b, at + 56, flags ? len : 0);
	put(b, at + header, out, (packed + 7) / 8 * 8);
	put64(b, 8, b->size - 16);
	free(out);
}

static const uint64_t packings[] = { 0, LZ4_FLAG, ZSTD_FLAG };

static void every_packing(void **state)
{
	size_t len, n;
	char *text = kernel_text("matmul.ptx", &len), *out;
	struct fatbin_entry e;
	struct fatbin f;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct builder b = new_fatbin();

		add(&b, FATBIN_ELF, 75, packings[i], "machine code", 12);
		add(&b, FATBIN_PTX, 80, packings[i], text, len);
		assert_int_equal(fatbin_open(&f, b.data, b.size), 0);
		assert_int_equal(fatbin_next(&f, &e), 1);
		assert_true(e.kind == FATBIN_ELF && e.arch == 75);
		assert_int_equal(fatbin_next(&f, &e), 1);
		assert_true(e.kind == FATBIN_PTX && e.arch == 80);
		assert_int_equal(e.packing, i);
		assert_int_equal(fatbin_unpack(&e, &out, &n), 0);
		assert_true(n >= len && strlen(out) == len);
		assert_memory_equal(out, text, len);
		free(out);
		assert_int_equal(fatbin_next(&f, &e), 0);
		free(b.data);
	}
	free(text);
}

/* Whatever the cut or the lie, the reader says so; the sanitizers say if it read outside. */
static void damaged(void **state)
{
	size_t len, n, cut;
	char *text = kernel_text("saxpy.ptx", &len), *out;
	struct fatbin_entry e;
	struct fatbin f;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct builder b = new_fatbin();

		add(&b, FATBIN_PTX, 75, packings[i], text, len);
		for (cut = 0; cut < b.size; cut++) {
			unsigned char *part = malloc(cut + 1);

			memcpy(part, b.data, cut);
			assert_int_equal(fatbin_open(&f, part, cut), -EINVAL);
			if (cut > 16) {
				put64(&(struct builder){ part, cut }, 8, cut - 16);
				assert_int_equal(fatbin_open(&f, part, cut), 0);
				assert_int_equal(fatbin_next(&f, &e), -EINVAL);
			}
			free(part);
		}
		put64(&b, 16 + 56, len + 1); /* longer than it unpacks to */
		assert_int_equal(fatbin_open(&f, b.data, b.size), 0);
		assert_int_equal(fatbin_next(&f, &e), 1);
		if (i) {
			assert_int_equal(fatbin_unpack(&e, &out, &n), -EINVAL);
			put64(&b, 16 + 56, 16);
			fatbin_open(&f, b.data, b.size);
			fatbin_next(&f, &e);
			assert_int_equal(fatbin_unpack(&e, &out, &n), -EINVAL);
			put64(&b, 16 + 56, 1ull << 40);
			fatbin_open(&f, b.data, b.size);
			fatbin_next(&f, &e);
			assert_int_equal(fatbin_unpack(&e, &out, &n), -E2BIG);
		}
		put32(&b, 16 + 4, 8); /* a header that is too small */
		fatbin_open(&f, b.data, b.size);
		assert_int_equal(fatbin_next(&f, &e), -EINVAL);
		put32(&b, 16 + 4, 80);
		put64(&b, 16 + 8, UINT64_MAX - 8); /* an end that wraps */
		fatbin_open(&f, b.data, b.size);
		assert_int_equal(fatbin_next(&f, &e), -EINVAL);
		free(b.data);
	}
	free(text);
}

static const char *kernel_names[] = { "k75", "k80", "k90", "k100" };

/* Text with one empty kernel, whose name tells which entry was taken. */
static size_t tiny(char *text, size_t room, unsigned arch, const char *body)
{
	return (size_t)snprintf(text, room, ".version 8.6\n.target sm_%u\n.address_size 64\n.visible .entry k%u()\n{\n"
				"\t.reg .b32 %%r<3>;\n\t%s\n\tret;\n}\n", arch, arch, body);
}

static const char *taken(CUmodule m)
{
	CUfunction f;
	unsigned i;

	for (i = 0; i < 4; i++)
		if (!drv->cuModuleGetFunction(&f, m, kernel_names[i]))
			return kernel_names[i];
	return "none";
}

static void best_entry_is_taken(void **state)
{
	static const struct { unsigned arch; const char *body; } have[] = {
		{ 75, "" }, { 100, "" }, { 80, "" }, { 90, "frobnicate.u32 %r1, %r2;" } };
	struct builder b = new_fatbin(), wrapper = { 0 };
	char text[512];
	CUmodule m;
	unsigned i;

	(void)state;
	add(&b, FATBIN_ELF, 90, 0, "code", 4);
	vgpu_soft_set_image_limit(b.size);
	fails(NO_BINARY_FOR_GPU, cuModuleLoadData(&m, b.data));
	add(&b, FATBIN_PTX, 100, 0, text, tiny(text, sizeof(text), 100, ""));
	vgpu_soft_set_image_limit(b.size);
	fails(NO_BINARY_FOR_GPU, cuModuleLoadData(&m, b.data));
	for (i = 0; i < 4; i++)
		add(&b, FATBIN_PTX, have[i].arch, packings[i % 3], text,
		    tiny(text, sizeof(text), have[i].arch, have[i].body));
	/* 100 is too new for the device, 90 holds what the interpreter lacks. */
	ok(cuModuleLoadFatBinary(&m, b.data));
	assert_string_equal(taken(m), "k80");
	ok(cuModuleUnload(m));
	put32(&wrapper, 0, FATBIN_WRAPPER_MAGIC);
	put32(&wrapper, 4, 1);
	put64(&wrapper, 8, (uint64_t)(uintptr_t)b.data);
	put64(&wrapper, 16, 0);
	ok(cuModuleLoadData(&m, wrapper.data));
	assert_string_equal(taken(m), "k80");
	ok(cuModuleUnload(m));
	put64(&b, 16 + 8, 1ull << 50);
	vgpu_soft_set_image_limit(b.size);
	fails(INVALID_IMAGE, cuModuleLoadData(&m, b.data));
	free(wrapper.data);
	free(b.data);
}

/* Made by nvcc from vector_add.cu: tests/data/fatbin/generate.sh. */
static void made_by_nvcc(void **state)
{
	static const char *const names[] = { "none", "lz4", "zstd" };
	CUfunction f;
	CUmodule m;
	char path[64], *image;
	size_t len;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "../data/fatbin/vector_add.%s.fatbin", names[i]);
		image = kernel_text(path, &len);
		assert_non_null(image);
		vgpu_soft_set_image_limit(len);
		ok(cuModuleLoadData(&m, image));
		ok(cuModuleGetFunction(&f, m, "vector_add"));
		ok(cuModuleUnload(m));
		free(image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packing),
		cmocka_unit_test(damaged),
		cmocka_unit_test(best_entry_is_taken),
		cmocka_unit_test(made_by_nvcc),
	};

	return cmocka_run_group_tests(tests, soft_test_begin, soft_test_end);
}
