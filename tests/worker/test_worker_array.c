/* SPDX-License-Identifier: MIT */
/*
 * Arrays, textures and copies of boxes as a hostile guest describes them, against a driver that checks what reaches it:
 * no handle of nothing, no address outside, no account that is wrong afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

enum { DEVICE = 1, ARENA = 2, ARRAY = 3 };	/* sides on the wire */

static uint64_t array(uint32_t n, uint64_t width, uint64_t height, uint64_t depth)
{
	assert_int_equal(CALL(cuArray3DCreate_v2, .array = ID(ARRAY, n),
			      .desc = { .Width = width, .Height = height, .Depth = depth,
					.Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 }), 0);
	return ID(ARRAY, n);
}

static void test_limit(void **state)
{
	(void)state;
	s->memory_limit = 1 << 20;
	array(1, 256, 256, 2);
	assert_int_equal(s->memory_used, 512 << 10);
	assert_int_equal(CALL(cuArrayCreate_v2, .array = ID(ARRAY, 2),
			      .desc = { .Width = 512, .Height = 512, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 }),
			 CUDA_ERROR_OUT_OF_MEMORY);
	fake.result = CUDA_ERROR_INVALID_VALUE;	/* what the driver refuses costs nothing */
	assert_int_equal(CALL(cuArrayCreate_v2, .array = ID(ARRAY, 2),
			      .desc = { .Width = 4, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 }),
			 CUDA_ERROR_INVALID_VALUE);
	fake.result = CUDA_SUCCESS;
	assert_int_equal(s->memory_used, 512 << 10);
	assert_int_equal(CALL(cuArrayCreate_v2, .array = ID(ARRAY, 2),
			      .desc = { .Width = UINT64_MAX, .Height = UINT64_MAX, .Format = CU_AD_FORMAT_FLOAT,
					.NumChannels = 4 }), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuArrayDestroy, .array = ID(ARRAY, 1)), 0);
	assert_int_equal(s->memory_used, 0);
	assert_int_equal(CALL(cuArrayDestroy, .array = ID(ARRAY, 1)), CUDA_ERROR_INVALID_HANDLE);
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(CALL(cuMipmappedArrayCreate, .mipmap = ID(MIPMAP, 1), .levels = 3,
			      .desc = { .Width = 64, .Height = 64, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 }), 0);
	assert_int_equal(CALL(cuMipmappedArrayGetLevel, .array = ID(ARRAY, 1), .mipmap = ID(MIPMAP, 1), .level = 0), 0);
	assert_int_equal(CALL(cuMipmappedArrayGetLevel, .array = ID(ARRAY, 2), .mipmap = ID(MIPMAP, 2), .level = 0),
			 CUDA_ERROR_INVALID_HANDLE);
	/* A level goes with its mipmap only, and then its id means nothing. */
	assert_int_equal(CALL(cuArrayDestroy, .array = ID(ARRAY, 1)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuMipmappedArrayDestroy, .mipmap = ID(MIPMAP, 1)), 0);
	assert_int_equal(CALL(cuArrayDestroy, .array = ID(ARRAY, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(s->memory_used, 0);
}

static int copy(const struct vgpu_rec_copy_box *box)
{
	return CALL(memcpy_box, .box = *box);
}

static void test_boxes(void **state)
{
	uint64_t a = array(1, 64, 64, 4), d = alloc(64 << 10);
	const struct vgpu_rec_copy_box good = { .src = { .at = d, .pitch = 256, .slice = 256 * 64, .kind = DEVICE },
						.dst = { .at = a, .kind = ARRAY }, .width = 256, .height = 64, .depth = 4 };
	struct vgpu_rec_copy_box b = good;
	unsigned long calls;

	(void)state;
	assert_int_equal(copy(&b), 0);
	calls = fake.calls;
	b.src.slice = 256 * 65;		/* the last slice ends outside */
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_VALUE);
	b.src.slice = 256 * 64 - 1;	/* not whole rows */
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_VALUE);
	b.src.slice = UINT64_MAX / 2;
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_VALUE);
	b = good;
	b.dst.at = ID(ARRAY, 2);
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_HANDLE);
	b.dst.at = ID(MIPMAP, 1);
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_HANDLE);
	b = good;
	b.dst.y = UINT64_MAX - 8;	/* y + height is no number */
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_VALUE);
	b = good;
	b.dst.context = ID(CONTEXT, 77);
	assert_int_equal(copy(&b), CUDA_ERROR_INVALID_CONTEXT);
	b = good;
	b.depth = 0;
	assert_int_equal(copy(&b), 0);
	assert_int_equal(fake.calls, calls);	/* none of these reached the driver */
}

static void test_broken_boxes(void **state)
{
	struct vgpu_args_memcpy_box a = { .box = { .src = { .at = s->geo.total_size - 4, .pitch = 16, .kind = ARENA },
						   .dst = { .at = array(1, 64, 64, 0), .kind = ARRAY },
						   .width = 16, .height = 1, .depth = 1 } };

	(void)state;
	assert_int_equal(run(VGPU_OP_memcpy_box, &a, sizeof(a), NULL, 0), -EPROTO);
	a.box.src.kind = 4;
	assert_int_equal(run(VGPU_OP_memcpy_box, &a, sizeof(a), NULL, 0), -EPROTO);
	a.box.src = (struct vgpu_rec_copy_side){ .at = s->geo.arena_at, .pitch = 16, .x = 1, .kind = ARENA };
	assert_int_equal(run(VGPU_OP_memcpy_box, &a, sizeof(a), NULL, 0), -EPROTO);
}

static int texture(uint32_t n, struct vgpu_rec_resource resource)
{
	return CALL(texture_create, .id = ID(TEXOBJECT, n), .resource = resource);
}

static void test_textures(void **state)
{
	uint64_t a = array(1, 64, 64, 0), d = alloc(4096);
	struct vgpu_args_texture_destroy wrong = { .id = a };

	(void)state;
	assert_int_equal(texture(1, (struct vgpu_rec_resource){ .at = a }), 0);
	assert_int_equal(texture(2, (struct vgpu_rec_resource){ .at = ID(ARRAY, 9) }), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(texture(2, (struct vgpu_rec_resource){ .at = a, .type = 1 }), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(texture(2, (struct vgpu_rec_resource){ .at = d, .type = 2, .width = 4096 }), 0);
	assert_int_equal(texture(3, (struct vgpu_rec_resource){ .at = d, .type = 2, .width = 4097 }), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(texture(3, (struct vgpu_rec_resource){ .at = d, .type = 3, .width = 64, .height = 16,
								 .pitch = 256, .format = 32, .channels = 1 }), 0);
	assert_int_equal(texture(4, (struct vgpu_rec_resource){ .at = d, .type = 3, .width = 64, .height = 17,
								 .pitch = 256, .format = 32, .channels = 1 }),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(texture(4, (struct vgpu_rec_resource){ .at = d, .type = 3, .width = 1, .height = UINT64_MAX,
								 .pitch = UINT64_MAX }), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(texture(4, (struct vgpu_rec_resource){ .at = a, .type = 4 }), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(surface_create, .id = ID(SURFOBJECT, 1), .resource = { .at = a }), 0);
	assert_int_equal(CALL(texture_destroy, .id = ID(TEXOBJECT, 1)), 0);
	assert_int_equal(CALL(texture_destroy, .id = ID(TEXOBJECT, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(run(VGPU_OP_texture_destroy, &wrong, sizeof(wrong), NULL, 0), -EPROTO);
}

static int address_2d(uint64_t at, uint64_t height, uint64_t pitch)
{
	return CALL(cuTexRefSetAddress2D_v3, .texref = ID(TEXREF, 1), .address = at, .pitch = pitch,
		    .desc = { .Width = 1, .Height = height, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 });
}

static void test_references(void **state)
{
	uint64_t d = alloc(4096);

	(void)state;
	assert_int_equal(CALL(cuTexRefSetFlags, .texref = ID(TEXREF, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuTexRefCreate, .texref = ID(TEXREF, 1)), 0);
	assert_int_equal(CALL(cuTexRefSetAddress_v2, .texref = ID(TEXREF, 1), .address = d, .bytes = 4096), 0);
	assert_int_equal(CALL(cuTexRefSetAddress_v2, .texref = ID(TEXREF, 1), .address = d, .bytes = 4097),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuTexRefSetAddress_v2, .texref = ID(TEXREF, 1), .address = d, .bytes = UINT64_MAX),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuTexRefSetAddress_v2, .texref = ID(TEXREF, 1)), 0);
	assert_int_equal(address_2d(d, 16, 256), 0);
	assert_int_equal(address_2d(d, 17, 256), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(address_2d(d, 1ull << 60, 256), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuTexRefSetArray, .texref = ID(TEXREF, 1), .array = ID(ARRAY, 7), .flags = 1),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(texref_border, .texref = ID(TEXREF, 2)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(texref_get_border, .texref = ID(TEXREF, 2)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuTexRefDestroy, .texref = ID(TEXREF, 1)), 0);
	assert_int_equal(CALL(cuTexRefDestroy, .texref = ID(TEXREF, 1)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuTexRefCreate, .texref = ID(TEXREF, 2)), 0);	/* the session's end destroys it */
}

/* One with a name is its module's. */
static void test_named_reference(void **state)
{
	const struct vgpu_args_cuModuleGetTexRef named = { .texref = ID(TEXREF, 1), .module = ID(MODULE, 1), .name_size = 2 };

	(void)state;
	send_image(1, ".version 7.0\n", 13);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 1), .image = 1, .kind = 1), 0);
	assert_int_equal(call(VGPU_OP_cuModuleGetTexRef, &named, sizeof(named), "t", 2), 0);
	assert_int_equal(CALL(cuTexRefDestroy, .texref = ID(TEXREF, 1)), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(module_unload, .module = ID(MODULE, 1)), 0);
	assert_int_equal(CALL(cuTexRefSetFlags, .texref = ID(TEXREF, 1)), CUDA_ERROR_INVALID_HANDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boxes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_boxes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_textures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_reference, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
