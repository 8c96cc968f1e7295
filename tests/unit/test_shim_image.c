/* SPDX-License-Identifier: MIT */
/* Lengths of code images: PTX, ELF, fat binaries and their wrappers; nonsense and images cut short are refused. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shim/image.h"

static const char ptx[] = "//\n.version 8.0\n.target sm_80\n";

static void ptx_is_as_long_as_its_text(void **state)
{
	struct vgpu_image i;

	(void)state;
	assert_int_equal(vgpu_image_parse(ptx, UINT64_MAX, &i), 0);
	assert_int_equal(i.kind, VGPU_IMAGE_PTX);
	assert_int_equal(i.size, sizeof(ptx));
	assert_int_equal(vgpu_image_parse(ptx, sizeof(ptx), &i), 0);
	assert_int_equal(vgpu_image_parse(ptx, sizeof(ptx) - 1, &i), -22);
	assert_int_equal(vgpu_image_parse("garbage", UINT64_MAX, &i), -22);
	assert_int_equal(vgpu_image_parse("", UINT64_MAX, &i), -22);
}

static void fat_binaries_say_their_length(void **state)
{
	struct {
		uint32_t magic;
		uint16_t version, header;
		uint64_t payload;
		uint8_t data[48];
	} fat = { VGPU_FATBIN_MAGIC, 1, 16, 48, { 0 } };
	const void *const ahead[] = { &fat, NULL };
	struct {
		uint32_t magic, version;
		const void *data, *extra;
	} wrapper = { VGPU_FATBIN_WRAPPER_MAGIC, 1, &fat, ahead };
	struct vgpu_image i;

	(void)state;
	assert_int_equal(vgpu_image_parse(&fat, sizeof(fat), &i), 0);
	assert_int_equal(i.kind, VGPU_IMAGE_FATBIN);
	assert_int_equal(i.size, 64);
	assert_int_equal(vgpu_image_parse(&wrapper, UINT64_MAX, &i), 0);
	assert_ptr_equal(i.data, &fat);
	assert_int_equal(i.size, 64);
	assert_null(i.prelinked);
	wrapper.version = 2;
	assert_int_equal(vgpu_image_parse(&wrapper, UINT64_MAX, &i), 0);
	assert_ptr_equal(i.prelinked, ahead);
	wrapper.version = 3;
	assert_int_equal(vgpu_image_parse(&wrapper, UINT64_MAX, &i), -22);
	wrapper.version = 1;
	wrapper.data = NULL;
	assert_int_equal(vgpu_image_parse(&wrapper, UINT64_MAX, &i), -22);
	fat.payload = 49;
	assert_int_equal(vgpu_image_parse(&fat, sizeof(fat), &i), -22);
	fat.payload = UINT64_MAX - 4;
	assert_int_equal(vgpu_image_parse(&fat, UINT64_MAX, &i), -22);
	fat.payload = 8;
	fat.header = 8;
	assert_int_equal(vgpu_image_parse(&fat, sizeof(fat), &i), -22);
}

/* The parts of a wrapper become one image with a directory; a part that is no fat binary is refused. */
static void parts_are_joined(void **state)
{
	const struct fat {
		uint32_t magic;
		uint16_t version, header;
		uint64_t payload;
		uint8_t data[13];
	} __attribute__((packed)) linked = { VGPU_FATBIN_MAGIC, 1, 16, 0, { 0 } }, a = { VGPU_FATBIN_MAGIC, 1, 16, 13, "aaaaaaaaaaaa" },
	  b = { VGPU_FATBIN_MAGIC, 1, 16, 4, "bbb" };
	struct {
		uint32_t magic, version;
		const void *data, *extra;
	} inner = { VGPU_FATBIN_WRAPPER_MAGIC, 1, &b, NULL }, wrapper = { VGPU_FATBIN_WRAPPER_MAGIC, 2, &linked, NULL };
	const void *parts[] = { &a, &inner, NULL };
	const struct vgpu_image_directory *head;
	const struct vgpu_image_part *part;
	struct vgpu_image i, joined;

	(void)state;
	wrapper.extra = parts;
	assert_int_equal(vgpu_image_parse(&wrapper, UINT64_MAX, &i), 0);
	assert_true(vgpu_image_has_parts(&i));
	assert_int_equal(vgpu_image_join(&i, &joined), 0);
	assert_int_equal(joined.kind, VGPU_IMAGE_PARTS);
	head = joined.data;
	part = (const void *)(head + 1);
	assert_int_equal(head->count, 3);
	assert_int_equal(part[0].bytes, 16);
	assert_int_equal(part[1].bytes, 29);
	assert_int_equal(part[2].bytes, 20);
	assert_int_equal(joined.size, part[2].at + 20);
	assert_memory_equal((const uint8_t *)head + part[1].at, &a, 29);
	assert_memory_equal((const uint8_t *)head + part[2].at, &b, 20);
	free((void *)joined.data);
	parts[1] = ptx;
	assert_int_equal(vgpu_image_join(&i, &joined), -22);
	parts[0] = NULL;
	assert_false(vgpu_image_has_parts(&i));
}

struct cubin {
	Elf64_Ehdr h;
	uint8_t text[100];
	Elf64_Shdr s[3];
	Elf64_Phdr p[2];
};

static void make(struct cubin *c)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->h.e_ident, ELFMAG, SELFMAG);
	c->h.e_ident[EI_CLASS] = ELFCLASS64;
	c->h.e_shoff = offsetof(struct cubin, s);
	c->h.e_shnum = 3;
	c->h.e_shentsize = sizeof(Elf64_Shdr);
	c->h.e_phoff = offsetof(struct cubin, p);
	c->h.e_phnum = 2;
	c->s[1].sh_type = SHT_PROGBITS;
	c->s[1].sh_offset = offsetof(struct cubin, text);
	c->s[1].sh_size = sizeof(c->text);
	c->s[2].sh_type = SHT_NOBITS;
	c->s[2].sh_offset = offsetof(struct cubin, text);
	c->s[2].sh_size = 1 << 20;
}

static void elf_ends_with_its_last_part(void **state)
{
	struct vgpu_image i;
	struct cubin c;

	(void)state;
	make(&c);
	assert_int_equal(vgpu_image_parse(&c, sizeof(c), &i), 0);
	assert_int_equal(i.kind, VGPU_IMAGE_ELF);
	assert_int_equal(i.size, sizeof(c));
	c.h.e_phnum = 0;
	assert_int_equal(vgpu_image_parse(&c, sizeof(c), &i), 0);
	assert_int_equal(i.size, offsetof(struct cubin, p));
	c.s[1].sh_size = 1000;
	assert_int_equal(vgpu_image_parse(&c, sizeof(c), &i), -22);
	assert_int_equal(vgpu_image_parse(&c, UINT64_MAX, &i), 0);
	assert_int_equal(i.size, offsetof(struct cubin, text) + 1000);
	make(&c);
	c.h.e_shoff = UINT64_MAX - 8;
	assert_int_equal(vgpu_image_parse(&c, sizeof(c), &i), -22);
	make(&c);
	c.h.e_shentsize = 8;
	assert_int_equal(vgpu_image_parse(&c, sizeof(c), &i), -22);
}

static void every_shortened_image_is_refused(void **state)
{
	struct vgpu_image i;
	struct cubin c;
	uint64_t n;

	(void)state;
	make(&c);
	for (n = 0; n < sizeof(c); n++)
		assert_int_equal(vgpu_image_parse(&c, n, &i), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ptx_is_as_long_as_its_text),
		cmocka_unit_test(fat_binaries_say_their_length),
		cmocka_unit_test(parts_are_joined),
		cmocka_unit_test(elf_ends_with_its_last_part),
		cmocka_unit_test(every_shortened_image_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
