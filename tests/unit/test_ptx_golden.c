/* SPDX-License-Identifier: MIT */
/*
 * A thousand instructions, in all types and roundings, give bit for bit what a GPU gives. ptx_golden.txt holds for each
 * a hash of the results of 1024 random operands, recorded on an H100: "hash statement|sizes of d|a|b|c".
 *
 * usage: test_ptx_golden FILE                compares the interpreter with the file
 *        test_ptx_golden FILE --driver       prints the file anew from the GPU of this machine (libcuda.so.1)
 */
#include <dlfcn.h>

#include "ptx_device.h"

#define COUNT 512u
#define ROUNDS 2u

struct line {
	uint64_t hash;
	char text[1024];
	unsigned sizes[4];
};

static struct {
	int (*init)(unsigned), (*device)(int *, int), (*retain)(void **, int), (*set)(void *);
	int (*load)(void **, const void *), (*function)(void **, void *, const char *), (*unload)(void *);
	int (*alloc)(uint64_t *, size_t), (*in)(uint64_t, const void *, size_t), (*out)(void *, uint64_t, size_t);
	int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
	uint64_t operands, results;
} driver;

static uint64_t seed;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

/* Special values, small integers, floats and doubles of common size, any bits. */
static uint64_t operand(void)
{
	static const uint64_t special[] = {
		0, 1, 31, 32, 63, 64, 0x7fff, 0x8000, 0xffff, 0x3c003c00, 0x7c00fc00, 0x7e00, 0x7fffffff, 0x80000000,
		0xffffffff, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x807fffff, 0x00800000, 0x4f000000,
		0x7f7fffff, 0x3f000000, 0x40200000, 0x7fffffffffffffffull, 0x8000000000000000ull, 0xffffffffffffffffull,
		0x3ff0000000000000ull, 0x7ff0000000000000ull, 0xfff0000000000000ull, 0x7ff8000000000000ull,
		0x000fffffffffffffull, 0x43e0000000000000ull, 0x41e0000000000000ull, 0x3fe0000000000000ull,
	};
	uint64_t r = next(), bits = 0;
	int n = (int)(next() % 20000) - 10000;
	float f = (float)n / (float)(next() % 100 + 1);
	double d = (double)(int64_t)next();

	d /= (double)(1ull << next() % 63);
	switch (r % 5) {
	case 0:
		return special[r / 8 % (sizeof(special) / sizeof(special[0]))];
	case 1:
		return (uint64_t)(int64_t)(int8_t)(r >> 8);
	case 2:
		memcpy(&bits, &f, sizeof(f));
		return bits;
	case 3:
		memcpy(&bits, &d, sizeof(d));
		return bits;
	default:
		return next();
	}
}

static void write_text(const struct line *l, char *out, size_t room)
{
	const unsigned *s = l->sizes;

	snprintf(out, room,
		 ".version 8.0\n.target sm_90\n.address_size 64\n"
		 ".visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
		 ".reg .b64 %%i, %%o, %%t; .reg .b32 %%x; .reg .pred %%p, %%q;\n"
		 ".reg .b%u %%d; .reg .b%u %%a; .reg .b%u %%b; .reg .b%u %%c;\n"
		 "ld.param.u64 %%i, [in]; ld.param.u64 %%o, [out];\n"
		 "mov.u32 %%x, %%tid.x; mul.wide.u32 %%t, %%x, 24; add.u64 %%i, %%i, %%t;\n"
		 "mul.wide.u32 %%t, %%x, 8; add.u64 %%o, %%o, %%t;\n"
		 "mov.b%u %%d, 0; ld.b%u %%a, [%%i]; ld.b%u %%b, [%%i+8]; ld.b%u %%c, [%%i+16];\n"
		 "%s\nst.b%u [%%o], %%d;\nret;\n}\n",
		 s[0] * 8, s[1] * 8, s[2] * 8, s[3] * 8, s[0] * 8, s[1] * 8, s[2] * 8, s[3] * 8, l->text, s[0] * 8);
}

static void fill(uint64_t *in, uint64_t *out)
{
	for (size_t i = 0; i < COUNT * 3; i++)
		in[i] = operand();
	memset(out, 0, COUNT * sizeof(*out));
}

static uint64_t interpret(const struct line *l)
{
	static struct device dev;
	uint64_t *in, *out, h = 0xcbf29ce484222325ull;
	char text[4096];

	write_text(l, text, sizeof(text));
	device_load_text(&dev, text);
	in = device_alloc(&dev, COUNT * 24);
	out = device_alloc(&dev, COUNT * 8);
	seed = hash(1, l->text, strlen(l->text)) | 1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		fill(in, out);
		assert_int_equal(device_launch(&dev, "k", 1, 1, COUNT, 1, 0, (const void *[]){&in, &out}), 0);
		h = hash(h, out, COUNT * 8);
	}
	device_free(&dev);
	return h;
}

/* Reads the file's lines; NULL at its end. */
static bool next_line(FILE *f, struct line *l)
{
	char buf[2048], *bar;
	unsigned long long h;

	if (!fgets(buf, sizeof(buf), f))
		return false;
	bar = strchr(buf, '\t');
	assert_non_null(bar);
	*bar = 0;
	assert_int_equal(sscanf(buf, "%llx %1023[^\n]", &h, l->text), 2);
	assert_int_equal(sscanf(bar + 1, "%u %u %u %u", &l->sizes[0], &l->sizes[1], &l->sizes[2], &l->sizes[3]), 4);
	l->hash = h;
	return true;
}

static const char *path;

static void test_golden(void **state)
{
	FILE *f = fopen(path, "r");
	struct line l;
	unsigned n = 0, wrong = 0;

	(void)state;
	assert_non_null(f);
	while (next_line(f, &l)) {
		n++;
		if (interpret(&l) != l.hash) {
			print_message("differs: %s\n", l.text);
			wrong++;
		}
	}
	fclose(f);
	assert_true(n > 900);
	assert_int_equal(wrong, 0);
}

static bool open_driver(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW), *context;
	static const struct {
		const char *name;
		void *where;
	} calls[] = {
		{"cuInit", &driver.init}, {"cuDeviceGet", &driver.device}, {"cuDevicePrimaryCtxRetain", &driver.retain},
		{"cuCtxSetCurrent", &driver.set}, {"cuModuleLoadData", &driver.load}, {"cuModuleUnload", &driver.unload},
		{"cuModuleGetFunction", &driver.function}, {"cuMemAlloc_v2", &driver.alloc},
		{"cuMemcpyHtoD_v2", &driver.in}, {"cuMemcpyDtoH_v2", &driver.out}, {"cuLaunchKernel", &driver.launch},
	};
	int device;

	for (size_t i = 0; lib && i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *p = dlsym(lib, calls[i].name);

		if (!p)
			return false;
		memcpy(calls[i].where, &p, sizeof(p));
	}
	return lib && !driver.init(0) && !driver.device(&device, 0) && !driver.retain(&context, device) &&
	       !driver.set(context) && !driver.alloc(&driver.operands, COUNT * 24) &&
	       !driver.alloc(&driver.results, COUNT * 8);
}

/* Prints the line with the GPU's hash; leaves out what the driver refuses. */
static bool record(const struct line *l)
{
	static uint64_t in[COUNT * 3], out[COUNT];
	void *module, *function, *args[] = {&driver.operands, &driver.results};
	uint64_t h = 0xcbf29ce484222325ull;
	char text[4096];

	write_text(l, text, sizeof(text));
	if (driver.load(&module, text)) {
		fprintf(stderr, "refused: %s\n", l->text);
		return true;
	}
	seed = hash(1, l->text, strlen(l->text)) | 1;
	if (driver.function(&function, module, "k"))
		return false;
	for (unsigned i = 0; i < ROUNDS; i++) {
		fill(in, out);
		if (driver.in(driver.operands, in, sizeof(in)) || driver.in(driver.results, out, sizeof(out)) ||
		    driver.launch(function, 1, 1, 1, COUNT, 1, 1, 0, NULL, args, NULL) ||
		    driver.out(out, driver.results, sizeof(out)))
			return false;
		h = hash(h, out, sizeof(out));
	}
	printf("%016llx %s\t%u %u %u %u\n", (unsigned long long)h, l->text, l->sizes[0], l->sizes[1], l->sizes[2],
	       l->sizes[3]);
	return !driver.unload(module);
}

static int record_all(void)
{
	FILE *f = fopen(path, "r");
	struct line l;
	bool ok = f && open_driver();

	while (ok && next_line(f, &l))
		ok = record(&l);
	if (!ok)
		fprintf(stderr, "no driver, or it failed\n");
	return !ok;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};

	if (argc < 2)
		return 2;
	path = argv[1];
	if (argc > 2 && !strcmp(argv[2], "--driver"))
		return record_all();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
