/* SPDX-License-Identifier: MIT */
/* What of a fat binary travels: what one of the host's devices could run, and all of it when there is a doubt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shim/image_choose.h"

#define PTX	1
#define CUBIN	2
#define OTHER	8

struct head {
	uint32_t magic;
	uint16_t version, size;
	uint64_t payload;
};

struct entry {
	uint16_t kind, version;
	uint32_t size;
	uint64_t payload;
	uint32_t reserved[3];
	uint32_t arch;
	uint8_t more[32];
	uint8_t code[24];
};

/* A fat binary of up to eight entries; each holds a code of its own. */
struct fat {
	struct head h;
	struct entry e[8];
};

static struct vgpu_image image_of(const struct fat *f)
{
	struct vgpu_image i;

	assert_int_equal(vgpu_image_parse(f, sizeof(*f), &i), 0);
	return i;
}

static void put(struct fat *f, uint16_t kind, uint32_t arch)
{
	uint32_t n = (uint32_t)(f->h.payload / sizeof(f->e[0]));

	f->h.magic = VGPU_FATBIN_MAGIC;
	f->h.version = 1;
	f->h.size = sizeof(f->h);
	f->h.payload += sizeof(f->e[0]);
	f->e[n] = (struct entry){ .kind = kind, .version = 0x101, .size = offsetof(struct entry, code),
				  .payload = sizeof(f->e[n].code), .arch = arch };
	memset(f->e[n].code, (int)('a' + n), sizeof(f->e[n].code));
}

/* What arrives: the pieces put together, which make a fat binary of these entries. */
static void arrives(const struct fat *f, const uint32_t *archs, uint32_t count, const char *entries)
{
	struct vgpu_image image = image_of(f), sent;
	struct vgpu_image_choice c;
	struct fat got;
	uint64_t at = 0;

	vgpu_image_choose(&image, archs, count, &c);
	assert_true(c.bytes <= sizeof(got));
	for (uint32_t i = 0; i < c.count; i++) {
		memcpy((uint8_t *)&got + at, c.pieces[i].data, c.pieces[i].bytes);
		at += c.pieces[i].bytes;
	}
	assert_int_equal(at, c.bytes);
	assert_int_equal(vgpu_image_parse(&got, at, &sent), 0);
	assert_int_equal(sent.size, sizeof(got.h) + strlen(entries) * sizeof(got.e[0]));
	for (size_t i = 0; entries[i]; i++)
		assert_memory_equal(&got.e[i], &f->e[entries[i] - 'a'], sizeof(got.e[0]));
	vgpu_image_choice_free(&c);
}

#define ARRIVES(fat, entries, ...) \
	arrives(fat, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4, entries)

static void each_device_has_its_own(void **state)
{
	struct fat f = { 0 };

	(void)state;
	put(&f, CUBIN, 75);
	put(&f, CUBIN, 80);
	put(&f, CUBIN, 86);
	put(&f, CUBIN, 90);
	put(&f, PTX, 80);
	put(&f, PTX, 120);
	put(&f, OTHER, 50);
	put(&f, CUBIN, 120);
	ARRIVES(&f, "deg", 90);
	ARRIVES(&f, "bceg", 80);
	ARRIVES(&f, "bceg", 89);
	ARRIVES(&f, "ag", 75);
	ARRIVES(&f, "adeg", 90, 75);
	/* Numbers of these have changed between releases: none of them is left out. */
	ARRIVES(&f, "efgh", 120);
	ARRIVES(&f, "egh", 103);
}

static void all_arrives_when_there_is_a_doubt(void **state)
{
	struct vgpu_image_choice c;
	struct vgpu_image image;
	struct fat f = { 0 };

	(void)state;
	put(&f, CUBIN, 75);
	put(&f, CUBIN, 80);
	put(&f, OTHER, 0);
	/* Nothing runs there: the driver is to say so. */
	ARRIVES(&f, "abc", 90);
	arrives(&f, NULL, 0, "abc");
	/* Everything does. */
	ARRIVES(&f, "abc", 75, 80);
	/* Entries that do not fill it, and headers of another form. */
	f.e[2].payload--;
	ARRIVES(&f, "abc", 80);
	f.e[2].payload = UINT64_MAX - 8;
	ARRIVES(&f, "abc", 80);
	f.e[2].payload = sizeof(f.e[2].code);
	f.e[1].size = 8;
	ARRIVES(&f, "abc", 80);
	f.e[1].size = UINT32_MAX;
	ARRIVES(&f, "abc", 80);
	f.e[1].size = offsetof(struct entry, code);
	ARRIVES(&f, "bc", 80);
	/* What is no fat binary, or several. */
	image = image_of(&f);
	image.kind = VGPU_IMAGE_PARTS;
	vgpu_image_choose(&image, (const uint32_t[]){ 80 }, 1, &c);
	assert_int_equal(c.count, 1);
	assert_ptr_equal(c.pieces[0].data, &f);
	assert_int_equal(c.pieces[0].bytes, image.size);
	vgpu_image_choice_free(&c);
}

/* More pieces than one allocation holds: every other of many entries. */
static void many_pieces(void **state)
{
	enum { MANY = 100 };
	struct many {
		struct head h;
		struct entry e[MANY];
	} *f = calloc(1, sizeof(*f));
	struct vgpu_image_choice c;
	struct vgpu_image image;

	(void)state;
	assert_non_null(f);
	f->h = (struct head){ VGPU_FATBIN_MAGIC, 1, sizeof(f->h), sizeof(f->e) };
	for (uint32_t i = 0; i < MANY; i++)
		f->e[i] = (struct entry){ .kind = CUBIN, .size = offsetof(struct entry, code),
					  .payload = sizeof(f->e[i].code), .arch = i % 2 ? 80 : 90 };
	assert_int_equal(vgpu_image_parse(f, sizeof(*f), &image), 0);
	vgpu_image_choose(&image, (const uint32_t[]){ 80 }, 1, &c);
	assert_int_equal(c.count, 1 + MANY / 2);
	for (uint32_t i = 1; i < c.count; i++)
		assert_ptr_equal(c.pieces[i].data, &f->e[2 * i - 1]);
	vgpu_image_choice_free(&c);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_device_has_its_own),
		cmocka_unit_test(all_arrives_when_there_is_a_doubt),
		cmocka_unit_test(many_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
