/* SPDX-License-Identifier: MIT */
/*
 * The reader of fat binaries. Every field is copied out of the image once, then checked, then used.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "fatbin.h"

#define HEADER_SIZE 16
#define ENTRY_SIZE 64      /* the least that an entry's header has */
#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u

static uint16_t get16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

int fatbin_open(struct fatbin *f, const void *image, size_t limit)
{
	const unsigned char *p = image;
	uint64_t header, payload;

	if (limit < HEADER_SIZE || get32(p) != FATBIN_MAGIC)
		return -EINVAL;
	header = get16(p + 6);
	payload = get64(p + 8);
	if (header < HEADER_SIZE || header > limit || payload > limit - header)
		return -EINVAL;
	f->next = p + header;
	f->end = f->next + payload;
	return 0;
}

int fatbin_next(struct fatbin *f, struct fatbin_entry *e)
{
	const unsigned char *p = f->next;
	size_t left = (size_t)(f->end - p);
	uint64_t header, padded, packed, flags;

	if (!left)
		return 0;
	if (left < ENTRY_SIZE)
		return -EINVAL;
	header = get32(p + 4);
	padded = get64(p + 8);
	packed = get32(p + 16);
	flags = get64(p + 40);
	if (header < ENTRY_SIZE || header > left || padded > left - header || packed > padded)
		return -EINVAL;
	e->kind = get16(p);
	e->arch = get32(p + 28);
	e->packing = flags & FLAG_ZSTD ? FATBIN_ZSTD : flags & FLAG_LZ4 ? FATBIN_LZ4 : FATBIN_PLAIN;
	e->data = p + header;
	e->size = e->packing == FATBIN_PLAIN || !packed ? padded : packed;
	e->raw_size = e->packing == FATBIN_PLAIN ? e->size : get64(p + 56);
	f->next = p + header + padded;
	return 1;
}

int fatbin_best_ptx(const void *image, size_t limit, unsigned below, struct fatbin_entry *best)
{
	struct fatbin_entry e;
	struct fatbin f;
	int rc, found = 0;

	rc = fatbin_open(&f, image, limit);
	while (!rc && (rc = fatbin_next(&f, &e)) > 0) {
		rc = 0;
		if (e.kind == FATBIN_PTX && e.arch < below && (!found || e.arch > best->arch)) {
			*best = e;
			found = 1;
		}
	}
	return rc < 0 ? rc : found;
}

static int unpack(const struct fatbin_entry *e, char *out)
{
	size_t n;

	switch (e->packing) {
	case FATBIN_LZ4:
		if (e->size > LZ4_MAX_INPUT_SIZE)
			return -EINVAL;
		n = (size_t)LZ4_decompress_safe((const char *)e->data, out, (int)e->size, (int)e->raw_size);
		return n == e->raw_size ? 0 : -EINVAL;
	case FATBIN_ZSTD:
		/* The frame may be padded; take what the frame itself says. */
		n = ZSTD_findFrameCompressedSize(e->data, e->size);
		if (ZSTD_isError(n))
			return -EINVAL;
		n = ZSTD_decompress(out, e->raw_size, e->data, n);
		return n == e->raw_size ? 0 : -EINVAL;
	default:
		memcpy(out, e->data, e->size);
		return 0;
	}
}

int fatbin_unpack(const struct fatbin_entry *e, char **out, size_t *len)
{
	char *text;
	int rc;

	if (e->raw_size > FATBIN_MAX_TEXT)
		return -E2BIG;
	text = malloc(e->raw_size + 1);
	if (!text)
		return -ENOMEM;
	rc = unpack(e, text);
	if (rc < 0) {
		free(text);
		return rc;
	}
	text[e->raw_size] = 0;
	*out = text;
	*len = e->raw_size;
	return 0;
}
