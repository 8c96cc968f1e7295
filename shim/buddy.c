/* SPDX-License-Identifier: MIT */
/* The buddy allocator, see buddy.h. Under its owner's lock. */
#include "buddy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define WORD	64u

/* The free runs of one order: a bit for each, and a bit for each word of these that is not 0. */
struct level {
	uint64_t *bits, *words;
	uint32_t word_count;	/* of `words` */
	uint32_t free;		/* bits that are set */
};

struct vgpu_buddy {
	uint32_t orders;
	uint32_t some;		/* bit o: a run of order o is free */
	uint8_t *taken;		/* for each block: order + 1 of the run that starts there and is out; 0: none */
	struct level levels[];
};

static uint32_t words_for(uint32_t bits)
{
	return (bits + WORD - 1) / WORD;
}

static void set(struct vgpu_buddy *b, uint32_t order, uint32_t i)
{
	struct level *l = &b->levels[order];

	l->bits[i / WORD] |= 1ull << i % WORD;
	l->words[i / WORD / WORD] |= 1ull << i / WORD % WORD;
	if (!l->free++)
		b->some |= 1u << order;
}

static void clear(struct vgpu_buddy *b, uint32_t order, uint32_t i)
{
	struct level *l = &b->levels[order];

	l->bits[i / WORD] &= ~(1ull << i % WORD);
	if (!l->bits[i / WORD])
		l->words[i / WORD / WORD] &= ~(1ull << i / WORD % WORD);
	if (!--l->free)
		b->some &= ~(1u << order);
}

static bool is_free(const struct vgpu_buddy *b, uint32_t order, uint32_t i)
{
	return b->levels[order].bits[i / WORD] >> i % WORD & 1;
}

/* The first free run of an order that has one. */
static uint32_t first(const struct level *l)
{
	uint32_t w = 0, i;

	while (!l->words[w])
		w++;
	i = w * WORD + (uint32_t)__builtin_ctzll(l->words[w]);
	return i * WORD + (uint32_t)__builtin_ctzll(l->bits[i]);
}

struct vgpu_buddy *vgpu_buddy_new(uint32_t orders)
{
	size_t head = sizeof(struct vgpu_buddy) + (orders + 1) * sizeof(struct level), words = 0;
	struct vgpu_buddy *b;
	uint64_t *at;
	uint32_t o;

	if (orders > VGPU_BUDDY_ORDERS_MAX)
		return NULL;
	for (o = 0; o <= orders; o++)
		words += words_for(1u << (orders - o)) + words_for(words_for(1u << (orders - o)));
	b = calloc(1, head + words * sizeof(*at) + (1u << orders));
	if (!b)
		return NULL;
	b->orders = orders;
	at = (uint64_t *)&b->levels[orders + 1];
	for (o = 0; o <= orders; o++) {
		b->levels[o].bits = at;
		at += words_for(1u << (orders - o));
		b->levels[o].words = at;
		at += words_for(words_for(1u << (orders - o)));
	}
	b->taken = (uint8_t *)at;
	set(b, orders, 0);
	return b;
}

void vgpu_buddy_delete(struct vgpu_buddy *b)
{
	free(b);
}

int64_t vgpu_buddy_take(struct vgpu_buddy *b, uint32_t order)
{
	uint32_t fits = order <= b->orders ? b->some >> order << order : 0, have, i;

	if (!fits)
		return -1;
	have = (uint32_t)__builtin_ctz(fits);
	i = first(&b->levels[have]);
	clear(b, have, i);
	for (; have > order; have--) {
		i *= 2;
		set(b, have - 1, i + 1);
	}
	b->taken[i << order] = (uint8_t)(order + 1);
	return (int64_t)i << order;
}

int vgpu_buddy_give(struct vgpu_buddy *b, uint32_t block)
{
	uint32_t order, o, i;

	if (block >= 1u << b->orders || !b->taken[block])
		return -EINVAL;
	order = b->taken[block] - 1u;
	b->taken[block] = 0;
	i = block >> order;
	for (o = order; o < b->orders && is_free(b, o, i ^ 1); o++) {
		clear(b, o, i ^ 1);
		i /= 2;
	}
	set(b, o, i);
	return (int)order;
}

uint32_t vgpu_buddy_largest(const struct vgpu_buddy *b)
{
	return b->some ? 32 - (uint32_t)__builtin_clz(b->some) : 0;
}
