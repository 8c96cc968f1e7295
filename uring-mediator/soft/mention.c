/* SPDX-License-Identifier: MIT */
/* Looking for a text in code images, through their packing. Memory that may be hostile; no state, any thread. */
#include <stdlib.h>
#include <string.h>

#include "fatbin.h"
#include "soft.h"

#define UNPACKED_MOST (32u << 20)	/* bytes, of one image: more would make loading slow */

static bool contains(const void *data, size_t size, const char *text)
{
	return memmem(data, size, text, strlen(text));
}

static bool entry_contains(const struct fatbin_entry *e, const char *text)
{
	char *out;
	size_t len;
	bool found;

	if (e->packing == FATBIN_PLAIN)
		return contains(e->data, e->size, text);
	if (fatbin_unpack(e, &out, &len))
		return false;
	found = contains(out, len, text);
	free(out);
	return found;
}

bool vgpu_soft_image_mentions(const void *image, size_t bytes, const char *text)
{
	struct fatbin_entry e;
	size_t looked = 0;
	struct fatbin f;

	if (fatbin_open(&f, image, bytes))
		return contains(image, bytes < UNPACKED_MOST ? bytes : UNPACKED_MOST, text);
	while (fatbin_next(&f, &e) == 1) {
		if (e.raw_size > UNPACKED_MOST - looked)
			return false;
		looked += e.raw_size;
		if (entry_contains(&e, text))
			return true;
	}
	return false;
}
