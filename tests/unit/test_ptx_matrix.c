/* SPDX-License-Identifier: MIT */
/*
 * Matrices that a warp holds together: wmma by its results in memory, mma.sync and ldmatrix by PTX ISA's drawings of the
 * fragments.
 */
#include "ptx_device.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
#define START HEAD ".entry k(.param .u64 in, .param .u64 out)\n{\n.reg .b64 %rd<8>; .reg .b32 %r<40>;\n" \
	"ld.param.u64 %rd1, [in]; ld.param.u64 %rd2, [out]; mov.u32 %r0, %tid.x;\n"
#define END "ret;\n}\n"

enum { WARP = 32, SIDE = 16 };

/* Small whole numbers as f16: 0 to 15. */
static uint16_t half_of(unsigned v)
{
	unsigned e = 0;

	while (v >> e > 1)
		e++;
	return v ? (uint16_t)((15 + e) << 10 | ((v << (10 - e)) & 0x3ff)) : 0;
}

static void run(const char *text, const void *in, size_t in_size, void *out, size_t out_size)
{
	struct device dev;
	void *from, *to;

	device_load_text(&dev, text);
	from = device_alloc(&dev, in_size);
	to = device_alloc(&dev, out_size);
	memcpy(from, in, in_size);
	assert_int_equal(device_launch(&dev, "k", 1, 1, WARP, 1, 0, (const void *[]){&from, &to}), 0);
	memcpy(out, to, out_size);
	device_free(&dev);
}

static void fill(uint8_t *v, size_t n)
{
	while (n--)
		v[n] = random_u64() & 15;
}

/* a by rows with a stride of 24 elements, b by columns, the result by columns. */
static void wmma(void **state)
{
	static const char text[] = START
		"add.u64 %rd3, %rd1, 768;\nmov.b32 %r20, 0x3f800000;\n"
		"wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%rd1], 24;\n"
		"wmma.load.b.sync.aligned.col.m16n16k16.f16 {%r9, %r10, %r11, %r12, %r13, %r14, %r15, %r16}, [%rd3];\n"
		"wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%r21, %r22, %r23, %r24, %r25, %r26, %r27, %r28}, "
		"{%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, {%r9, %r10, %r11, %r12, %r13, %r14, %r15, %r16}, "
		"{%r20, %r20, %r20, %r20, %r20, %r20, %r20, %r20};\n"
		"wmma.store.d.sync.aligned.col.m16n16k16.global.f32 [%rd2], {%r21, %r22, %r23, %r24, %r25, %r26, %r27, %r28}, 16;\n"
		END;
	uint8_t a[SIDE][SIDE], b[SIDE][SIDE];
	uint16_t in[SIDE * 24 + SIDE * SIDE] = {0};
	float out[SIDE][SIDE];

	(void)state;
	fill(a[0], sizeof(a));
	fill(b[0], sizeof(b));
	for (int i = 0; i < SIDE; i++)
		for (int k = 0; k < SIDE; k++) {
			in[i * 24 + k] = half_of(a[i][k]);
			in[SIDE * 24 + i * SIDE + k] = half_of(b[k][i]);
		}
	run(text, in, sizeof(in), out, sizeof(out));
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			float sum = 1;

			for (int k = 0; k < SIDE; k++)
				sum += a[i][k] * b[k][j];
			assert_true(out[j][i] == sum);
		}
}

/* m16n8k16 of f16: lane l holds of a, b and c what the drawings give to group l / 4, place l % 4. */
static void mma(void **state)
{
	static const char text[] = START
		"mul.wide.u32 %rd3, %r0, 24; add.u64 %rd1, %rd1, %rd3; mul.wide.u32 %rd3, %r0, 16; add.u64 %rd2, %rd2, %rd3;\n"
		"ld.global.v2.b32 {%r1, %r2}, [%rd1]; ld.global.v2.b32 {%r3, %r4}, [%rd1+8];\n"
		"ld.global.v2.b32 {%r5, %r6}, [%rd1+16]; mov.b32 %r7, 0x40000000;\n"
		"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r11, %r12, %r13, %r14}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, "
		"{%r7, %r7, %r7, %r7};\n"
		"st.global.v4.b32 [%rd2], {%r11, %r12, %r13, %r14};\n" END;
	uint8_t a[SIDE][SIDE], b[SIDE][8];
	uint16_t in[WARP][12];
	float out[WARP][4];

	(void)state;
	fill(a[0], sizeof(a));
	fill(b[0], sizeof(b));
	for (int l = 0; l < WARP; l++)
		for (int i = 0; i < 8; i++) {
			in[l][i] = half_of(a[l / 4 + (i & 2 ? 8 : 0)][l % 4 * 2 + (i & 1) + (i & 4 ? 8 : 0)]);
			if (i < 4)
				in[l][8 + i] = half_of(b[l % 4 * 2 + (i & 1) + (i & 2 ? 8 : 0)][l / 4]);
		}
	run(text, in, sizeof(in), out, sizeof(out));
	for (int l = 0; l < WARP; l++)
		for (int i = 0; i < 4; i++) {
			float sum = 2;

			for (int k = 0; k < SIDE; k++)
				sum += a[l / 4 + (i & 2 ? 8 : 0)][k] * b[k][l % 4 * 2 + (i & 1)];
			assert_true(out[l][i] == sum);
		}
}

/* Four matrices of 8 rows, row after row in shared memory; as they are and transposed. */
static void ldmatrix(void **state)
{
	static const char text[] = HEAD
		".entry k(.param .u64 in, .param .u64 out)\n{\n.reg .b64 %rd<8>; .reg .b32 %r<40>;\n"
		".shared .align 16 .b8 m[512];\n"
		"ld.param.u64 %rd1, [in]; ld.param.u64 %rd2, [out]; mov.u32 %r0, %tid.x; shl.b32 %r1, %r0, 4; mov.u32 %r2, m;\n"
		"add.u32 %r2, %r2, %r1; mul.wide.u32 %rd3, %r0, 16; add.u64 %rd1, %rd1, %rd3; add.u64 %rd2, %rd2, %rd3;\n"
		"ld.global.v4.b32 {%r11, %r12, %r13, %r14}, [%rd1]; st.shared.v4.b32 [%r2], {%r11, %r12, %r13, %r14};\n"
		"bar.sync 0; add.u64 %rd2, %rd2, %rd3;\n"
		"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r21, %r22, %r23, %r24}, [%r2];\n"
		"st.global.v4.b32 [%rd2], {%r21, %r22, %r23, %r24};\n"
		"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r21, %r22, %r23, %r24}, [%r2];\n"
		"st.global.v4.b32 [%rd2+16], {%r21, %r22, %r23, %r24};\n" END;
	uint16_t in[4][8][8], out[WARP][2][4][2];

	(void)state;
	for (int i = 0; i < 256; i++)
		in[i / 64][i / 8 % 8][i % 8] = (uint16_t)(i * 257);
	run(text, in, sizeof(in), out, sizeof(out));
	for (int l = 0; l < WARP; l++)
		for (int i = 0; i < 8; i++) {
			assert_int_equal(out[l][0][i / 2][i % 2], in[i / 2][l / 4][l % 4 * 2 + i % 2]);
			assert_int_equal(out[l][1][i / 2][i % 2], in[i / 2][l % 4 * 2 + i % 2][l / 4]);
		}
}

/* Whole numbers of 32 bits wrap, or stop at the ends with .satfinite. */
static void saturation(void **state)
{
	static const char text[] = START
		"mov.b32 %r1, 0x01010101; mov.b32 %r2, 0x7fffffff; mul.wide.u32 %rd3, %r0, 8; add.u64 %rd2, %rd2, %rd3;\n"
		"mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%r11, %r12}, {%r1}, {%r1}, {%r2, %r2};\n"
		"mma.sync.aligned.m8n8k16.row.col.satfinite.s32.s8.s8.s32 {%r12, %r13}, {%r1}, {%r1}, {%r2, %r2};\n"
		"st.global.v2.b32 [%rd2], {%r11, %r12};\n" END;
	int32_t out[WARP][2], nothing = 0;

	(void)state;
	run(text, &nothing, sizeof(nothing), out, sizeof(out));
	for (int l = 0; l < WARP; l++) {
		assert_int_equal(out[l][0], INT32_MIN + 15);
		assert_int_equal(out[l][1], INT32_MAX);
	}
}

#define refused(statement) refused_text(START statement "\n" END)

static void refused_text(const char *text)
{
	struct ptx_module *m;
	struct ptx_diag diag;

	assert_true(ptx_parse(text, strlen(text), &m, &diag) < 0);
}

static void what_does_not_fit(void **state)
{
	(void)state;
	refused("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r1, %r2}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, "
		"{%r7, %r7, %r7, %r7};");
	refused("mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32 {%r1, %r2, %r3, %r4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, "
		"{%r7, %r7, %r7, %r7};");
	refused("mma.sync.aligned.m7n8k16.row.col.f32.f16.f16.f32 {%r1}, {%r1}, {%r1}, {%r1};");
	refused("wmma.load.d.sync.aligned.row.m16n16k16.f16 {%r1, %r2, %r3, %r4}, [%rd1];");
	refused("wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r1, %r2, %r3}, [%rd1];");
	refused("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1}, [%r2];");
	refused("wmma.load.a.sync.aligned.row.m16n16k16.f16 %r1, [%rd1];");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wmma),
		cmocka_unit_test(mma),
		cmocka_unit_test(ldmatrix),
		cmocka_unit_test(saturation),
		cmocka_unit_test(what_does_not_fit),
	};

	return cmocka_run_group_tests_name("ptx matrices", tests, NULL, NULL);
}
