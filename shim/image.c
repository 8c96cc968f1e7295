/* SPDX-License-Identifier: MIT */
/*
 * Formats and lengths of code images. Reads the caller's memory only, keeps
 * nothing; any thread.
 */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

struct wrapper {
	uint32_t magic;
	uint32_t version;
	const void *data;
	const void *extra;	/* version 2: the prelinked array; version 1: a file name or NULL */
};

struct fatbin {
	uint32_t magic;
	uint16_t version;
	uint16_t header_size;
	uint64_t payload_size;
};

_Static_assert(sizeof(struct wrapper) == 24, "format");
_Static_assert(sizeof(struct fatbin) == 16, "format");

static int fatbin_size(const void *data, uint64_t limit, uint64_t *size)
{
	struct fatbin f;

	if (limit < sizeof(f))
		return -EINVAL;
	memcpy(&f, data, sizeof(f));
	if (f.header_size < sizeof(f) || f.payload_size > UINT64_MAX - f.header_size)
		return -EINVAL;
	*size = f.header_size + f.payload_size;
	return *size <= limit ? 0 : -EINVAL;
}

/* The end of a table or section, as far as the file goes. */
static int stretch(uint64_t at, uint64_t bytes, uint64_t limit, uint64_t *end)
{
	if (at > limit || bytes > limit - at)
		return -EINVAL;
	if (at + bytes > *end)
		*end = at + bytes;
	return 0;
}

static int elf_size(const void *data, uint64_t limit, uint64_t *size)
{
	const uint8_t *base = data;
	Elf64_Ehdr h;
	Elf64_Shdr s;
	uint32_t i;
	int r;

	if (limit < sizeof(h))
		return -EINVAL;
	memcpy(&h, data, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || (h.e_shnum && h.e_shentsize != sizeof(s)))
		return -EINVAL;
	*size = sizeof(h);
	r = stretch(h.e_shoff, (uint64_t)h.e_shnum * sizeof(s), limit, size);
	if (!r)
		r = stretch(h.e_phoff, (uint64_t)h.e_phnum * sizeof(Elf64_Phdr), limit, size);
	for (i = 0; !r && i < h.e_shnum; i++) {
		memcpy(&s, base + h.e_shoff + i * sizeof(s), sizeof(s));
		if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL)
			r = stretch(s.sh_offset, s.sh_size, limit, size);
	}
	return r;
}

/* PTX is text: what it begins with is a directive, a comment or blank. */
static int ptx_size(const char *text, uint64_t limit, uint64_t *size)
{
	const char *end;
	uint64_t n;

	if (!limit || !*text || !strchr(" \t\r\n./", *text))
		return -EINVAL;
	if (limit == UINT64_MAX) {
		n = strlen(text);
	} else {
		end = memchr(text, '\0', limit);
		if (!end)
			return -EINVAL;
		n = (uint64_t)(end - text);
	}
	*size = n + 1;
	return 0;
}

static int measure(const void *data, uint64_t limit, struct vgpu_image *image)
{
	uint32_t magic = 0;

	image->data = data;
	if (limit < 4)
		return -EINVAL;
	/* Text shorter than four bytes is no image; reading one byte first keeps inside it. */
	if (*(const char *)data == '\0')
		return -EINVAL;
	memcpy(&magic, data, sizeof(magic));
	if (magic == VGPU_FATBIN_MAGIC) {
		image->kind = VGPU_IMAGE_FATBIN;
		return fatbin_size(data, limit, &image->size);
	}
	if (!memcmp(&magic, ELFMAG, SELFMAG)) {
		image->kind = VGPU_IMAGE_ELF;
		return elf_size(data, limit, &image->size);
	}
	image->kind = VGPU_IMAGE_PTX;
	return ptx_size(data, limit, &image->size);
}

int vgpu_image_parse(const void *data, uint64_t limit, struct vgpu_image *image)
{
	struct wrapper w;

	memset(image, 0, sizeof(*image));
	if (limit >= sizeof(w) && !memcmp(data, &(uint32_t){ VGPU_FATBIN_WRAPPER_MAGIC }, 4)) {
		memcpy(&w, data, sizeof(w));
		if (w.version != 1 && w.version != 2)
			return -EINVAL;
		if (!w.data)
			return -EINVAL;
		if (w.version == 2)
			image->prelinked = w.extra;
		data = w.data;
		limit = UINT64_MAX;
	}
	return measure(data, limit, image);
}
