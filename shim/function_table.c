/* SPDX-License-Identifier: MIT */
/* Functions by name: chains in buckets, of which there are as many as functions. Takes no lock. */
#include "function_table.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "function.h"

#define SIZE_LEAST	16u

static struct vgpu_function **bucket(const struct vgpu_function_table *t, const char *name)
{
	return &t->buckets[XXH3_64bits(name, strlen(name)) & (t->size - 1)];
}

struct vgpu_function *vgpu_function_table_find(const struct vgpu_function_table *t, const char *name, uint64_t kernel)
{
	struct vgpu_function *f;

	if (!t->buckets)
		return NULL;
	for (f = *bucket(t, name); f; f = f->next)
		if ((!kernel || f->kernel == kernel) && !strcmp(f->name, name))
			return f;
	return NULL;
}

static void put(struct vgpu_function_table *t, struct vgpu_function *f)
{
	struct vgpu_function **head = bucket(t, f->name);

	f->next = *head;
	*head = f;
}

bool vgpu_function_table_reserve(struct vgpu_function_table *t)
{
	struct vgpu_function_table grown = { .size = t->size ? 2 * t->size : SIZE_LEAST, .count = t->count };
	struct vgpu_function *f, *next;
	uint32_t i;

	if (t->count < t->size)
		return true;
	grown.buckets = calloc(grown.size, sizeof(*grown.buckets));
	if (!grown.buckets)
		return t->buckets;	/* longer chains, then */
	for (i = 0; i < t->size; i++)
		for (f = t->buckets[i]; f; f = next) {
			next = f->next;
			put(&grown, f);
		}
	free(t->buckets);
	*t = grown;
	return true;
}

void vgpu_function_table_add(struct vgpu_function_table *t, struct vgpu_function *f)
{
	put(t, f);
	t->count++;
}

struct vgpu_function *vgpu_function_table_take(struct vgpu_function_table *t)
{
	struct vgpu_function *f;

	while (t->size) {
		f = t->buckets[t->size - 1];
		if (f) {
			t->buckets[t->size - 1] = f->next;
			t->count--;
			return f;
		}
		t->size--;
	}
	free(t->buckets);
	*t = (struct vgpu_function_table){ 0 };
	return NULL;
}
