/* SPDX-License-Identifier: MIT */
/* PTX texts linked into a module: names that mean the same in all of them, names that do not, and what is refused. */
#include <errno.h>

#include "ptx_device.h"

#define HEAD ".version 9.0\n.target sm_75\n.address_size 64\n"
#define RETURNS(name) ".func (.param .b32 r) " name "(.param .b32 a)"
#define BODY(instruction) "\n{\n.reg .b32 %r<3>;\nld.param.b32 %r1, [a];\n" instruction "\nst.param.b32 [r], %r2;\nret;\n}\n"

/* Stores change(5) and the variable `total`, which it takes from elsewhere, at p. */
static const char kernel[] = HEAD ".extern " RETURNS("change") ";\n.extern .global .align 4 .u32 total[];\n"
	".global .u32 own = 7;\n"
	".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<4>; .reg .b64 %rd<4>;\nld.param.u64 %rd1, [p];\n"
	"{ .param .b32 x; .param .b32 y;\nmov.u32 %r1, 5;\nst.param.b32 [x], %r1;\n"
	"call.uni (y), change, (x);\nld.param.b32 %r2, [y]; }\nst.global.u32 [%rd1], %r2;\n"
	"mov.u64 %rd2, total;\nld.global.u32 %r3, [%rd2];\nst.global.u32 [%rd1+4], %r3;\n"
	"mov.u64 %rd2, own;\nld.global.u32 %r3, [%rd2];\nst.global.u32 [%rd1+8], %r3;\nret;\n}\n";

/* Another `own` of another size, and a helper that only this text knows. */
static const char change[] = HEAD ".global .align 8 .u64 own = 9;\n" RETURNS("helper") BODY("add.u32 %r2, %r1, 1;")
	".visible " RETURNS("change")
	"\n{\n.reg .b32 %r<3>;\nld.param.b32 %r1, [a];\n{ .param .b32 x; .param .b32 y;\nst.param.b32 [x], %r1;\n"
	"call.uni (y), helper, (x);\nld.param.b32 %r2, [y]; }\nst.param.b32 [r], %r2;\nret;\n}\n";
static const char total[] = HEAD ".visible .global .align 4 .u32 total[2] = {40, 41};\n" RETURNS("helper") BODY("mov.u32 %r2, 0;");

static int link_texts(const char *const *texts, size_t count, struct ptx_module **m, struct ptx_diag *diag)
{
	struct ptx_text list[8];

	for (size_t i = 0; i < count; i++)
		list[i] = (struct ptx_text){texts[i], strlen(texts[i])};
	return ptx_link(list, count, m, diag);
}

static void bind_globals(struct device *dev)
{
	size_t n = ptx_global_count(dev->module);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(ptx_bind_global(dev->module, i, (uint64_t)device_alloc(dev, ptx_global_at(dev->module, i)->size)), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ptx_write_initial(dev->module, i, dev->mem[i].at), 0);
}

static void run_linked(const char *const *texts, size_t count, uint32_t changed, uint32_t first_total)
{
	struct device dev = {0};
	struct ptx_diag diag;
	uint32_t *out;

	if (link_texts(texts, count, &dev.module, &diag))
		fail_msg("part %u, line %d: %s", diag.part, diag.line, diag.text);
	bind_globals(&dev);
	out = device_alloc(&dev, 12);
	assert_int_equal(device_launch(&dev, "k", 1, 1, 1, 1, 0, (const void *[]){&out}), 0);
	assert_int_equal(out[0], changed);
	assert_int_equal(out[1], first_total);
	assert_int_equal(out[2], 7);
	device_free(&dev);
}

/* In any order: an external may be named before or after its definition. */
static void externals(void **state)
{
	(void)state;
	run_linked((const char *[]){kernel, change, total}, 3, 6, 40);
	run_linked((const char *[]){total, change, kernel}, 3, 6, 40);
	run_linked((const char *[]){change, kernel, total}, 3, 6, 40);
}

/* Of .weak definitions the first counts, whichever text names it; their kernels are there once. */
static void weak(void **state)
{
	static const char one[] = HEAD ".weak " RETURNS("change") BODY("add.u32 %r2, %r1, 10;")
		".weak .global .align 4 .u32 total = 1;\n.weak .entry t()\n{\nret;\n}\n";
	static const char two[] = HEAD ".weak " RETURNS("change") BODY("add.u32 %r2, %r1, 20;")
		".weak .global .align 4 .u32 total = 2;\n.weak .entry t()\n{\ntrap;\n}\n";
	struct device dev = {0};

	(void)state;
	run_linked((const char *[]){one, kernel, two}, 3, 15, 1);
	run_linked((const char *[]){kernel, two, one}, 3, 25, 2);
	assert_int_equal(link_texts((const char *[]){one, two}, 2, &dev.module, NULL), 0);
	assert_int_equal(ptx_entry_count(dev.module), 1);
	bind_globals(&dev);
	assert_int_equal(device_launch(&dev, "t", 1, 1, 1, 1, 0, NULL), 0);
	device_free(&dev);
}

/* Dynamic shared memory is the same stretch for all, aligned as the strictest wants it. */
static void dynamic_shared(void **state)
{
	static const char a[] = HEAD ".extern .shared .align 4 .b8 s[];\n.visible .entry a()\n{\nret;\n}\n";
	static const char b[] = HEAD ".extern .shared .align 16 .b8 s[];\n.visible .entry b()\n{\nret;\n}\n";
	struct ptx_module *m;

	(void)state;
	assert_int_equal(link_texts((const char *[]){a, b}, 2, &m, NULL), 0);
	assert_int_equal(ptx_entry_count(m), 2);
	ptx_free(m);
}

static void refused(void **state)
{
	static const struct {
		const char *texts[3];
		size_t count;
		int err;
		unsigned part;
		const char *says;
	} cases[] = {
		{{kernel, total}, 2, -ENOTSUP, 0, "function 'change' is not defined"},
		{{kernel, change}, 2, -ENOTSUP, 0, "variable 'total' is not defined"},
		{{kernel, change, change}, 3, -EINVAL, 3, "'change' is defined twice"},
		{{total, total}, 2, -EINVAL, 2, "'total' is declared twice"},
		{{kernel, kernel}, 2, -EINVAL, 2, "'k' is defined twice"},
		{{total, HEAD ".func total() { ret; }"}, 2, -EINVAL, 2, "'total' is declared twice"},
		{{change, HEAD ".extern .func change();"}, 2, -EINVAL, 2, "'change' is declared with other parameters"},
		{{change, HEAD ".visible .func f() { frob.u32 x; }"}, 2, -ENOTSUP, 2, "frob.u32"},
		{{change, "hello"}, 2, -EINVAL, 2, ".version"},
		{{HEAD RETURNS("helper") ";\n.visible .entry e() { ret; }", change}, 2, 0, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ptx_diag diag;
		struct ptx_module *m;
		int err = link_texts(cases[i].texts, cases[i].count, &m, &diag);

		if (err != cases[i].err || (err && (diag.part != cases[i].part || !strstr(diag.text, cases[i].says))))
			fail_msg("case %zu: %d, part %u: '%s'; wanted %d, part %u: '%s'", i, err, diag.part, diag.text,
				 cases[i].err, cases[i].part, cases[i].says);
		ptx_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(externals), cmocka_unit_test(weak), cmocka_unit_test(dynamic_shared), cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
