/* SPDX-License-Identifier: MIT */
/* Instructions on textures and surfaces that nvcc seldom writes, and what they do where they must not go. */
#include <errno.h>
#include <math.h>

#include "ptx_device.h"

#define HEAD ".version 9.0\n.target sm_75\n.address_size 64\n"
#define KERNEL(text) HEAD \
	".visible .entry k(.param .u64 t, .param .u64 out, .param .f32 x, .param .u32 i)\n{\n" \
	".reg .b64 %t, %o; .reg .f32 %x, %f<4>; .reg .b32 %i, %r<4>; .reg .b16 %h<4>;\n" \
	"ld.param.u64 %t, [t]; ld.param.u64 %o, [out]; ld.param.f32 %x, [x]; ld.param.u32 %i, [i];\n" text "ret;\n}\n"
#define HANDLE 0x1234u

enum { W = 8, H = 4, LAYERS = 3 };

static struct ptx_texture object;
static bool is_surface;

static bool find(void *ctx, uint64_t handle, bool surface, struct ptx_texture *out)
{
	(void)ctx;
	*out = object;
	return handle == HANDLE && surface == is_surface;
}

/* Runs the kernel on the object; 32 bytes of results. */
static int run(const char *text, struct device *dev, void *out, float x, int i)
{
	struct ptx_launch l = {.grid = {1, 1, 1}, .block = {1, 1, 1}, .textures = {find, NULL}};
	uint64_t handle = HANDLE;
	void *memory;
	int err;

	device_load_text(dev, text);
	memory = device_alloc(dev, 32);
	err = device_launch_full(dev, &l, "k", (const void *[]){&handle, &memory, &x, &i});
	memcpy(out, memory, 32);
	return err;
}

static void make(void *data, unsigned bits, enum ptx_channel channel, bool surface)
{
	unsigned pitch = W * bits / 8;

	is_surface = surface;
	object = (struct ptx_texture){
		.levels = 1, .channels = 1, .bits = (uint8_t)bits, .channel = channel, .as_float = true,
		.level = {{data, W, H, LAYERS, pitch, pitch * H}},
		.address = {PTX_ADDRESS_CLAMP, PTX_ADDRESS_CLAMP, PTX_ADDRESS_CLAMP},
	};
}

#define CUBE(shape, at) KERNEL( 	"mov.f32 %f0, 0f00000000; mov.f32 %f1, 0f40000000; mov.f32 %f2, 0fc0000000; mov.f32 %f3, 0f3f800000;\n" 	"tex." shape ".v4.u32.f32 {%r0,%r1,%r2,%r3}, [%t, " at "]; st.global.u32 [%o], %r0;\n")

/* Faces of 2 x 2 elements: the middle of each, which is its last element; corners; the second cube. */
static void test_cube(void **state)
{
	static const struct {
		const char *text;
		uint32_t want;
	} cases[] = {
		{CUBE("cube", "{%f1, %f0, %f0, %f0}"), 3}, {CUBE("cube", "{%f2, %f0, %f0, %f0}"), 7},
		{CUBE("cube", "{%f0, %f1, %f0, %f0}"), 11}, {CUBE("cube", "{%f0, %f2, %f0, %f0}"), 15},
		{CUBE("cube", "{%f0, %f0, %f1, %f0}"), 19}, {CUBE("cube", "{%f0, %f0, %f2, %f0}"), 23},
		{CUBE("cube", "{%f1, %f3, %f3, %f0}"), 0}, {CUBE("cube", "{%f2, %f3, %f3, %f0}"), 5},
		{CUBE("cube", "{%f3, %f1, %f3, %f0}"), 11}, {CUBE("cube", "{%f3, %f2, %f3, %f0}"), 13},
		{CUBE("cube", "{%f3, %f3, %f1, %f0}"), 17}, {CUBE("cube", "{%f3, %f3, %f2, %f0}"), 20},
		{CUBE("acube", "{%i, %f0, %f0, %f2}"), 47},
	};
	static uint32_t data[48];
	struct device dev;
	uint32_t out[8];

	(void)state;
	for (uint32_t i = 0; i < 48; i++)
		data[i] = i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(data, 32, PTX_CHANNEL_UNSIGNED, false);
		object.level[0] = (struct ptx_level){(unsigned char *)data, 2, 2, 12, 8, 16};
		object.cube = object.normalized = true;
		object.layered = cases[i].want > 23;
		object.as_float = false;
		assert_int_equal(run(cases[i].text, &dev, out, 0, 1), 0);
		assert_int_equal(out[0], cases[i].want);
		device_free(&dev);
	}
	object.layered = object.cube = false;
	assert_int_equal(run(cases[0].text, &dev, out, 0, 1), -EFAULT);
	device_free(&dev);
}

static void test_queries(void **state)
{
	static const char text[] = KERNEL(
		"txq.width.b32 %r0, [%t]; txq.height.b32 %r1, [%t]; txq.depth.b32 %r2, [%t]; txq.array_size.b32 %r3, [%t];\n"
		"st.global.v4.u32 [%o], {%r0,%r1,%r2,%r3};\n"
		"txq.num_mipmap_levels.b32 %r0, [%t]; txq.normalized_coords.b32 %r1, [%t];\n"
		"st.global.v2.u32 [%o+16], {%r0,%r1};\n");
	static const char surface[] = KERNEL("suq.width.b32 %r0, [%t]; st.global.u32 [%o], %r0;\n");
	static uint8_t data[W * H * LAYERS];
	struct device dev;
	uint32_t out[8];

	(void)state;
	make(data, 8, PTX_CHANNEL_UNSIGNED, false);
	object.layered = true;
	assert_int_equal(run(text, &dev, out, 0, 0), 0);
	assert_memory_equal(out, ((uint32_t[]){W, H, 1, LAYERS, 1, 0}), 24);
	device_free(&dev);
	make(data, 8, PTX_CHANNEL_UNSIGNED, true);
	assert_int_equal(run(surface, &dev, out, 0, 0), 0);
	assert_int_equal(out[0], W);
	device_free(&dev);
}

/* Each float, NaN and infinities too, finds an element; the layer is clamped. */
static void test_wild_coordinates(void **state)
{
	static const char text[] = KERNEL(
		"tex.a2d.v4.f32.f32 {%f0,%f1,%f2,%f3}, [%t, {%i, %x, %x, %x}]; st.global.f32 [%o], %f0;\n");
	static float data[W * H * LAYERS];
	struct device dev;
	float out[8];

	(void)state;
	for (int i = 0; i < W * H * LAYERS; i++)
		data[i] = (float)(i + 1);
	for (int n = 0; n < 400; n++) {
		uint32_t bits = (uint32_t)random_bits();
		float x;

		memcpy(&x, &bits, sizeof(x));
		make(data, 32, PTX_CHANNEL_FLOAT, false);
		object.layered = true;
		object.normalized = n & 1;
		object.filter = n & 2;
		object.address[0] = object.address[1] = (enum ptx_address_mode)(n >> 2 & 3);
		assert_int_equal(run(text, &dev, out, x, (int)random_bits()), 0);
		assert_true(out[0] >= 0 && out[0] <= W * H * LAYERS);
		device_free(&dev);
	}
}

static void test_formatted_store(void **state)
{
	static const char text[] = KERNEL("mov.b32 %r0, %x; sust.p.1d.b32.clamp [%t, {%i}], {%r0};\n");
	static uint16_t halves[W * H * LAYERS];
	static int8_t bytes[W * H * LAYERS];
	struct device dev;
	uint32_t out[8];
	float minus;

	(void)state;
	make(halves, 16, PTX_CHANNEL_FLOAT, true);
	assert_int_equal(run(text, &dev, out, -2.0f, 3), 0);
	assert_int_equal(halves[3], 0xc000);
	device_free(&dev);
	assert_int_equal(run(text, &dev, out, 1.0f, 99), 0);
	assert_int_equal(halves[W - 1], 0x3c00);
	device_free(&dev);
	make(bytes, 8, PTX_CHANNEL_SIGNED, true);
	memcpy(&minus, &(int32_t){-5}, 4);
	assert_int_equal(run(text, &dev, out, minus, 2), 0);
	assert_int_equal(bytes[2], -5);
	device_free(&dev);
}

static void test_faults(void **state)
{
	static const char outside[] = KERNEL("suld.b.2d.b32.trap %r0, [%t, {%i, %r1}];\n");
	static const char unaligned[] = KERNEL("suld.b.1d.b32.zero %r0, [%t, {%i}];\n");
	static const char other[] = KERNEL("txq.width.b32 %r0, [%t];\n");
	static const char shape[] = KERNEL("suld.b.a1d.b32.zero %r0, [%t, {%i, %r1}];\n");
	static uint32_t data[W * H * LAYERS];
	struct device dev;
	uint32_t out[8];

	(void)state;
	make(data, 32, PTX_CHANNEL_UNSIGNED, true);
	assert_int_equal(run(outside, &dev, out, 0, W * 4), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_TRAP);
	device_free(&dev);
	assert_int_equal(run(outside, &dev, out, 0, -4), -EFAULT);
	device_free(&dev);
	assert_int_equal(run(unaligned, &dev, out, 0, 2), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_MISALIGNED);
	device_free(&dev);
	assert_int_equal(run(shape, &dev, out, 0, 0), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_INSTRUCTION);
	device_free(&dev);
	assert_int_equal(run(other, &dev, out, 0, 0), -EFAULT);	/* a surface is no texture */
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_ADDRESS);
	device_free(&dev);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cube), cmocka_unit_test(test_queries),
		cmocka_unit_test(test_wild_coordinates),
		cmocka_unit_test(test_formatted_store),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
