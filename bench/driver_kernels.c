/* SPDX-License-Identifier: MIT */
/* The kernels of bench_driver, as PTX that every driver since 2014 takes. */
#include "driver.h"

#define P(n) ".param .u64 p" #n

const char bench_ptx[] =
	".version 6.0\n"
	".target sm_50\n"
	".address_size 64\n"
	".visible .entry empty(" P(0) ") { ret; }\n"
	".visible .entry ten(" P(0) "," P(1) "," P(2) "," P(3) "," P(4) "," P(5) "," P(6) "," P(7) "," P(8) "," P(9)
	") { ret; }\n"
	".visible .entry wide(.param .align 8 .b8 p[4096]) { ret; }\n"
	/* mix(buffer, count, rounds): x = x * 1664525 + 1013904223, `rounds` times, for each 32-bit element. */
	".visible .entry mix(.param .u64 buffer, .param .u32 count, .param .u32 rounds)\n"
	"{\n"
	"	.reg .pred %p<3>;\n"
	"	.reg .b32 %r<10>;\n"
	"	.reg .b64 %rd<5>;\n"
	"	ld.param.u64 %rd1, [buffer];\n"
	"	ld.param.u32 %r1, [count];\n"
	"	ld.param.u32 %r2, [rounds];\n"
	"	mov.u32 %r3, %ctaid.x;\n"
	"	mov.u32 %r4, %ntid.x;\n"
	"	mov.u32 %r5, %tid.x;\n"
	"	mad.lo.s32 %r6, %r3, %r4, %r5;\n"
	"	setp.ge.u32 %p1, %r6, %r1;\n"
	"	@%p1 bra DONE;\n"
	"	cvta.to.global.u64 %rd2, %rd1;\n"
	"	mul.wide.u32 %rd3, %r6, 4;\n"
	"	add.s64 %rd4, %rd2, %rd3;\n"
	"	ld.global.u32 %r7, [%rd4];\n"
	"	mov.u32 %r8, 0;\n"
	"ROUND:\n"
	"	setp.ge.u32 %p2, %r8, %r2;\n"
	"	@%p2 bra STORE;\n"
	"	mul.lo.s32 %r9, %r7, 1664525;\n"
	"	add.s32 %r7, %r9, 1013904223;\n"
	"	add.s32 %r8, %r8, 1;\n"
	"	bra ROUND;\n"
	"STORE:\n"
	"	st.global.u32 [%rd4], %r7;\n"
	"DONE:\n"
	"	ret;\n"
	"}\n";
