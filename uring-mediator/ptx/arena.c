/* SPDX-License-Identifier: MIT */
/*
 * Memory of one module: chunks freed together by ptx_free(). One parsing thread allocates. A limit on the total keeps
 * hostile text from using up the worker.
 */
#include <stdlib.h>
#include <string.h>

#include "module.h"

#define CHUNK (64u << 10)

struct arena_chunk {
	struct arena_chunk *next;
	_Alignas(16) unsigned char data[];
};

static bool add_chunk(struct arena *a, size_t size)
{
	struct arena_chunk *c;

	if (size > PTX_ARENA_LIMIT || a->total > PTX_ARENA_LIMIT - size)
		return false;
	c = calloc(1, sizeof(*c) + size);
	if (!c)
		return false;
	c->next = a->chunks;
	a->chunks = c;
	a->total += size;
	return true;
}

/* Zeroed memory, aligned to 16, or NULL. */
void *arena_alloc(struct arena *a, size_t size)
{
	unsigned char *p;

	if (size > PTX_ARENA_LIMIT)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	if (size > a->room - a->used) {
		size_t want = size > CHUNK ? size : CHUNK;

		if (!add_chunk(a, want))
			return NULL;
		a->room = want;
		a->used = 0;
	}
	p = a->chunks->data + a->used;
	a->used += size;
	return p;
}

char *arena_name(struct arena *a, const char *text, size_t len)
{
	char *s = arena_alloc(a, len + 1);

	if (s)
		memcpy(s, text, len);
	return s;
}

void arena_free(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
}
