/* SPDX-License-Identifier: MIT */
/*
 * The reader of ELF files, see elf_file.h. nvcc's fat binaries lie in sections of their own, several of them one behind
 * the other if objects were joined; the names were read off the output of nvcc 12 and 13. Every header is copied out of
 * the image once, then checked, then used.
 */
#include <ar.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "elf_file.h"
#include "fatbin.h"

#define FATBIN_ALIGN 8

static bool inside(uint64_t at, uint64_t size, size_t limit)
{
	return at <= limit && size <= limit - at;
}

static Elf64_Shdr header_at(const unsigned char *image, const Elf64_Ehdr *h, unsigned i)
{
	Elf64_Shdr s;

	memcpy(&s, image + h->e_shoff + (uint64_t)i * sizeof(s), sizeof(s));
	return s;
}

/* The section's name in the table of names @t; "" if there is no such name. */
static const char *name_of(const unsigned char *image, size_t limit, const Elf64_Shdr *t, uint32_t at)
{
	const char *name = (const char *)image + t->sh_offset + at;

	if (t->sh_type != SHT_STRTAB || !inside(t->sh_offset, t->sh_size, limit) || at >= t->sh_size ||
	    !memchr(name, 0, t->sh_size - at))
		return "";
	return name;
}

int elf_each_section(const void *image, size_t limit, int (*each)(void *ctx, const struct elf_section *s), void *ctx)
{
	const unsigned char *base = image;
	Elf64_Shdr names = { 0 }, s;
	struct elf_section section;
	Elf64_Ehdr h;
	int rc = 0;

	if (limit < sizeof(h))
		return -EINVAL;
	memcpy(&h, image, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (h.e_shnum && h.e_shentsize != sizeof(s)) || !inside(h.e_shoff, (uint64_t)h.e_shnum * sizeof(s), limit))
		return -EINVAL;
	if (h.e_shstrndx < h.e_shnum)
		names = header_at(base, &h, h.e_shstrndx);
	for (unsigned i = 0; i < h.e_shnum && !rc; i++) {
		s = header_at(base, &h, i);
		if (s.sh_type == SHT_NULL || s.sh_type == SHT_NOBITS)
			continue;
		if (!inside(s.sh_offset, s.sh_size, limit))
			return -EINVAL;
		section = (struct elf_section){ s.sh_type, name_of(base, limit, &names, s.sh_name),
						base + s.sh_offset, s.sh_size };
		rc = each(ctx, &section);
	}
	return rc;
}

struct fatbin_search {
	int (*each)(void *ctx, const void *fatbin, size_t limit);
	void *ctx;
};

static int search_section(void *ctx, const struct elf_section *s)
{
	const struct fatbin_search *search = ctx;
	struct fatbin f;
	size_t at, size;
	int rc = 0;

	if (strcmp(s->name, "__nv_relfatbin") && strcmp(s->name, ".nv_fatbin"))
		return 0;
	for (at = 0; !rc && at < s->size && !fatbin_open(&f, s->data + at, s->size - at); at += size) {
		size = (size_t)(f.end - (s->data + at));
		rc = search->each(search->ctx, s->data + at, size);
		size = (size + FATBIN_ALIGN - 1) & ~(size_t)(FATBIN_ALIGN - 1);
	}
	return rc;
}

/* A decimal number, filled up with blanks. */
static bool decimal(const char *text, size_t len, size_t *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		*value = *value * 10 + (size_t)(text[i] - '0');
	return i > 0;
}

static int search_archive(const unsigned char *image, size_t limit, struct fatbin_search *search)
{
	struct ar_hdr h;
	size_t at, size;
	int rc = 0;

	for (at = SARMAG; !rc && inside(at, sizeof(h), limit); at += size + (size & 1)) {
		memcpy(&h, image + at, sizeof(h));
		at += sizeof(h);
		if (memcmp(h.ar_fmag, ARFMAG, sizeof(h.ar_fmag)) || !decimal(h.ar_size, sizeof(h.ar_size), &size) ||
		    !inside(at, size, limit))
			return -EINVAL;
		/* Tables of symbols and of long names are members, too. */
		if (size >= SELFMAG && !memcmp(image + at, ELFMAG, SELFMAG))
			rc = elf_each_section(image + at, size, search_section, search);
	}
	return rc;
}

int elf_each_fatbin(const void *image, size_t limit, int (*each)(void *ctx, const void *fatbin, size_t limit), void *ctx)
{
	struct fatbin_search search = { each, ctx };

	if (limit >= SARMAG && !memcmp(image, ARMAG, SARMAG))
		return search_archive(image, limit, &search);
	return elf_each_section(image, limit, search_section, &search);
}
