/* SPDX-License-Identifier: MIT */
/* Malformed and unknown PTX is refused with the right error, on the right line, naming the culprit. */
#include <errno.h>

#include "ptx_device.h"

#define HEAD ".version 9.0\n.target sm_75\n.address_size 64\n"
/* the body begins on line 8 */
#define BODY(text) HEAD ".visible .entry k(\n.param .u64 p\n)\n{\n" text "\nret;\n}\n"
#define REGS ".reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<4>; .reg .pred %p<2>; .reg .b16 %h<2>;\n"

static const struct {
	const char *text;
	int err, line;
	const char *says;
} cases[] = {
	{"", -EINVAL, 1, ".version"},
	{"hello", -EINVAL, 1, ".version"},
	{".version 9.0\n.address_size 64\n", -EINVAL, 3, ".target"},
	{".version x\n", -EINVAL, 1, "version"},
	{".version 9.0\n.target sm_75\n.address_size 32\n", -ENOTSUP, 3, "address_size"},
	{HEAD ".frobnicate x;\n", -ENOTSUP, 4, ".frobnicate"},
	{HEAD ".global .b32 x\n.global .b32 y;", -EINVAL, 5, ".global"},
	{HEAD ".global .b32 x;\n.global .b32 x;", -EINVAL, 5, "'x' is declared twice"},
	{HEAD ".global .b32 x[2] = {1, 2, 3};", -EINVAL, 4, "more initial values"},
	{HEAD ".global .b64 x = nothing;", -EINVAL, 4, "nothing"},
	{HEAD ".global .align 3 .b64 x;", -EINVAL, 4, ".align"},
	{HEAD ".global .attribute(.odd) .b64 x;", -ENOTSUP, 4, ".attribute(.odd)"},
	{HEAD ".const .attribute(.managed) .b64 x;", -EINVAL, 4, ".global"},
	{HEAD ".global .attribute .b64 x;", -EINVAL, 4, "'('"},
	{HEAD ".global .b8 x[18446744073709551615][16];", -EINVAL, 4, "array size"},
	{HEAD ".extern .global .b8 x[4];", -ENOTSUP, 4, "'x' is not defined"},
	{HEAD ".tex .u64 t;", -ENOTSUP, 4, ".tex"},
	{HEAD ".entry k()\n", -EINVAL, 5, "end of the text"},
	{HEAD ".entry k();\n", -EINVAL, 4, "has no body"},
	{BODY("frob.u32 x;"), -ENOTSUP, 8, "'frob.u32'"},
	{BODY(REGS "\nwgmma.fence.sync.aligned;"), -ENOTSUP, 10, "wgmma.fence"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%rd1];"), -EINVAL, 9, "wrong number of coordinates: 'tex.2d"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%r1, {%f0,%f1}];"), -ENOTSUP, 9, "64-bit register"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%rd1, %rd2, {%f0,%f1}];"), -ENOTSUP, 9, "sampler"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%rd1, [%rd2, {%f0,%f1}]];"), -EINVAL, 9, "inside an address"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2}, [%rd1, {%f0,%f1}];"), -ENOTSUP, 9, "four results"},
	{BODY(REGS "tex.2d.v4.f32.f32 {%f0,%f1,%f2,%rd1}, [%rd1, {%f0,%f1}];"), -EINVAL, 9, "size"},
	{BODY(REGS "tex.2dms.v4.f32.s32 {%f0,%f1,%f2,%f3}, [%rd1, {%f0,%f1,%f2,%f2}];"), -ENOTSUP, 9, "'tex.2dms.v4.f32.s32'"},
	{BODY(REGS "tex.grad.2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%rd1, {%f0,%f1}], {%f0,%f1}, {%f2,%f3};"), -ENOTSUP, 9,
	 "'tex.grad.2d"},
	{BODY(REGS "txq.channel_order.b32 %r1, [%rd1];"), -ENOTSUP, 9, "'txq.channel_order.b32'"},
	{BODY(REGS "suld.b.2d.b32.trap {%r1,%r2}, [%rd1, {%r0,%r1}];"), -EINVAL, 9, "wrong number of values"},
	{BODY(REGS "suld.b.2d.v4.b64.trap {%rd0,%rd1,%rd2,%rd3}, [%rd1, {%r0,%r1}];"), -EINVAL, 9, "16 bytes"},
	{BODY(REGS "sured.b.add.2d.u32.trap [%rd1, {%r0,%r1}], %r2;"), -ENOTSUP, 9, "'sured.b.add.2d.u32.trap'"},
	{BODY(REGS "ld.global.u32 %r1, [%rd1, {%r2}];"), -EINVAL, 9, "address"},
	{BODY(REGS "add.u32.frob %r1, %r2, %r3;"), -ENOTSUP, 9, "add.u32.frob"},
	{BODY(REGS "add.u32 %r1, %r2;"), -EINVAL, 9, "wrong number of operands: 'add.u32'"},
	{BODY(REGS "add.u32 %r1, %r2, %rd1;"), -EINVAL, 9, "size"},
	{BODY(REGS "add.u64 %r1, %rd2, %rd1;"), -EINVAL, 9, "size"},
	{BODY(REGS "add.u32 %r1, %r2, %r9;"), -EINVAL, 9, "'%r9' is not declared"},
	{BODY(REGS "add.u32 %r1, %r2, %r01;"), -EINVAL, 9, "'%r01' is not declared"},
	{BODY(REGS "add.f32 %f1, %f2, 1;"), -EINVAL, 9, "integer constant"},
	{BODY(REGS "add.u32 %r1, %r2, 0f3F800000;"), -EINVAL, 9, "float constant"},
	{BODY(REGS "add.u32 %r1, %r2 %r3;"), -EINVAL, 9, "','"},
	{BODY(REGS "add.u32 %r1, %r2, 99999999999999999999;"), -EINVAL, 9, "99999999999999999999"},
	{BODY(REGS "add.u32 5, %r2, %r3;"), -EINVAL, 9, "result"},
	{BODY(REGS "@%r1 add.u32 %r1, %r2, %r3;"), -EINVAL, 9, "predicate"},
	{BODY(REGS "\n\nbra nowhere;"), -EINVAL, 11, "'nowhere' is not defined"},
	{BODY(REGS "{ L: }\nbra L;"), -EINVAL, 10, "'L' is not defined"},
	{BODY(REGS "L: L: ret;"), -EINVAL, 9, "'L' is declared twice"},
	{BODY(REGS "call f;"), -EINVAL, 9, "'f' is not declared"},
	{BODY(REGS "ld.param.u64 %rd1, [p+1];"), -EINVAL, 9, "misaligned"},
	{BODY(REGS "ld.param.u64 %rd1, [p+8];"), -EINVAL, 9, "beyond"},
	{BODY(REGS "ld.param.u64 %rd1, [p+-8];"), -EINVAL, 9, "beyond"},
	{BODY(REGS "st.param.u64 [p], %rd1;"), -EINVAL, 9, "read-only"},
	{BODY(REGS "ld.global.u64 %r1, [%rd1];"), -EINVAL, 9, "result"},
	{BODY(REGS "ld.global.v2.u32 %r1, [%rd1];"), -EINVAL, 9, "vector"},
	{BODY(REGS "ld.global.v2.u32 {%r1,%r2,%r3}, [%rd1];"), -EINVAL, 9, "vector"},
	{BODY(REGS "ld.global.u32 %r1, [%f1];"), -EINVAL, 9, "address"},
	{BODY(REGS "cvt.s32.f32 %r1, %f1;"), -EINVAL, 9, "rounding"},
	{BODY(REGS "cvt.rn.u32.u64 %r1, %rd1;"), -EINVAL, 9, "rounding"},
	{BODY(REGS "cvt.f32.f64 %f1, %rd1;"), -EINVAL, 9, "rounding"},
	{BODY(REGS "fma.f32 %f1, %f1, %f1, %f1;"), -EINVAL, 9, "rounding"},
	{BODY(REGS "mul.u32 %r1, %r1, %r1;"), -EINVAL, 9, ".lo"},
	{BODY(REGS "setp.lo.s32 %p1, %r1, %r1;"), -ENOTSUP, 9, "comparison"},
	{BODY(REGS "mov.u32 %r1, \"text;"), -EINVAL, 9, "operand"},
	{BODY(REGS "add.u32 %r1, {{%r1}}, %r1;"), -EINVAL, 9, "list inside a list"},
	{BODY(REGS "{ { {"), -EINVAL, 12, "end of the text"},
	{BODY(".reg .b32 %r<99999999>;"), -EINVAL, 8, "registers"},
	{BODY(".reg .b128 %r;"), -ENOTSUP, 8, ".b128"},
	{BODY(".local .b8 x[1000000];"), -ENOTSUP, 8, "local memory"},
	{BODY(".shared .b8 x[10000000];"), -ENOTSUP, 8, "shared memory"},
	{HEAD ".extern .func strlen(.param .b64 n);\n.entry k()\n{\n.param .b64 a;\ncall strlen, (a);\nret;\n}", -ENOTSUP, 4,
	 "'strlen' is not defined"},
	{HEAD ".func f(.param .b32 x) { ret; }\n.func f(.param .b64 x);\n", -EINVAL, 5, "other parameters"},
	{HEAD ".func f(.param .b32 x) { ret; }\n.entry k()\n{\n.param .b64 a;\ncall f, (a);\nret;\n}", -EINVAL, 8, "size"},
	{HEAD ".entry k() .reqntid 2000 { ret; }", -EINVAL, 4, "1024"},
};

static void test_diagnostics(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ptx_module *m = NULL;
		struct ptx_diag diag;
		int err = ptx_parse(cases[i].text, strlen(cases[i].text), &m, &diag);

		if (err != cases[i].err || diag.line != cases[i].line || !strstr(diag.text, cases[i].says))
			fail_msg("case %zu: %d, line %d: '%s'; wanted %d, line %d: '%s', in\n%s", i, err, diag.line,
				 diag.text, cases[i].err, cases[i].line, cases[i].says, cases[i].text);
		assert_null(m);
	}
}

/* Deep nesting and long lists end in an error, not in a crash. */
static void test_limits(void **state)
{
	static char text[200000];
	struct ptx_module *m;
	struct ptx_diag diag;
	size_t n = (size_t)snprintf(text, sizeof(text), HEAD ".entry k() {");

	(void)state;
	memset(text + n, '{', 100000);
	assert_int_equal(ptx_parse(text, n + 100000, &m, &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "nested"));
	n = (size_t)snprintf(text, sizeof(text), HEAD ".global .b8 x[2] = ");
	memset(text + n, '{', 100000);
	assert_int_equal(ptx_parse(text, n + 100000, &m, &diag), -EINVAL);
	n = (size_t)snprintf(text, sizeof(text), HEAD ".entry k() { .reg .pred p; setp.eq.u32 p");
	for (size_t i = 0; i < 50000; i++) {
		text[n++] = '|';
		text[n++] = 'p';
	}
	assert_int_equal(ptx_parse(text, n, &m, &diag), -EINVAL);
}

/* Every prefix of a real module, and every module with one byte changed, is parsed or refused. */
static void test_damaged(void **state)
{
	static const char *const names[] = {"recursion", "printf", "globals", "reduce"};
	static char text[65536];

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		char path[4096];
		struct ptx_module *m;
		FILE *f;
		size_t len;

		snprintf(path, sizeof(path), "%s/%s.ptx", KERNELS, names[k]);
		f = fopen(path, "r");
		assert_non_null(f);
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
		for (size_t i = 0; i < len; i += 7)
			if (!ptx_parse(text, i, &m, NULL))
				ptx_free(m);
		for (size_t i = 0; i < 2000; i++) {
			size_t at = random_u64() % len;
			char old = text[at];

			text[at] = (char)random_u64();
			if (!ptx_parse(text, len, &m, NULL))
				ptx_free(m);
			text[at] = old;
		}
		assert_int_equal(ptx_parse(text, len, &m, NULL), 0);
		ptx_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diagnostics), cmocka_unit_test(test_limits), cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
