/* SPDX-License-Identifier: MIT */
/*
 * The heap: slabs of size classes (four to each doubling) up to half a chunk, whole chunks above. Everything below
 * runs with the heap's lock held for writing, except look-ups, which hold it for reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"

/* Address space for each byte of limit, so that fragments do not make an allocation fail that would fit. */
#define SPAN_FACTOR 4

static _Atomic uint64_t next_id = 1;

/* Bytes of a block of class @c: 512, 640, 768, 896, 1024, 1280, ... */
static uint64_t class_size(unsigned c)
{
	return (512ull << (c / 4)) * (4 + c % 4) / 4;
}

/* The first class that holds @size at an alignment of @grain; SOFT_HEAP_CLASSES when only whole chunks do. */
static unsigned class_of(uint64_t size, uint64_t grain)
{
	unsigned c = 0;

	if (size > SOFT_CHUNK / 2)
		return SOFT_HEAP_CLASSES;
	while (class_size(c) < size || class_size(c) % grain)
		c++;
	return class_size(c) <= SOFT_CHUNK / 2 ? c : SOFT_HEAP_CLASSES;
}

static uint64_t chunk_start(const struct soft_heap *h, const struct soft_chunk *c)
{
	return h->base + ((uint64_t)(c - h->chunks) << SOFT_CHUNK_SHIFT);
}

static void *reserve(uint64_t base, uint64_t span)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p = MAP_FAILED;

	/* A hint that is taken when the place is free. Not MAP_FIXED_NOREPLACE, which ThreadSanitizer does not bear. */
	if (base)
		p = mmap((void *)base, span, PROT_NONE, flags, -1, 0);
	if ((uint64_t)p == base)
		return p;
	if (p != MAP_FAILED)
		munmap(p, span);
	p = mmap(NULL, span + SOFT_CHUNK, PROT_NONE, flags, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

int soft_heap_init(struct soft_heap *h, uint64_t base, uint64_t limit, uint64_t grain)
{
	uint64_t span = limit * SPAN_FACTOR;
	void *p = reserve(base, span);

	if (!p)
		return -ENOMEM;
	memset(h, 0, sizeof(*h));
	pthread_rwlock_init(&h->lock, NULL);
	h->base = ((uint64_t)p + SOFT_CHUNK - 1) & ~(SOFT_CHUNK - 1);
	h->span = span;
	h->limit = limit;
	h->grain = grain;
	h->count = (uint32_t)(span >> SOFT_CHUNK_SHIFT);
	h->chunks = calloc(h->count, sizeof(*h->chunks));
	if (!h->chunks) {
		munmap(p, span);
		return -ENOMEM;
	}
	return 0;
}

/* The first of @n free chunks in a row, at or after @from and before @to; -1 when there are none. */
static int64_t scan(const struct soft_heap *h, uint32_t from, uint32_t to, uint32_t n)
{
	uint32_t i, run = 0;

	for (i = from; i < to; i++) {
		run = h->chunks[i].kind == SOFT_CHUNK_FREE ? run + 1 : 0;
		if (run == n)
			return (int64_t)i - n + 1;
	}
	return -1;
}

static int map_chunks(struct soft_heap *h, struct soft_chunk *c, uint32_t n)
{
	uint64_t start = chunk_start(h, c), size = (uint64_t)n << SOFT_CHUNK_SHIFT;
	bool mapped = true;
	uint32_t i;

	for (i = 0; i < n; i++)
		mapped = mapped && c[i].mapped;
	if (mapped)
		return 0;
	if (mprotect((void *)start, size, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	/* Large blocks are written in bulk: fewer, larger page faults. Advice; may be refused. */
	if (n > 1)
		madvise((void *)start, size, MADV_HUGEPAGE);
	for (i = 0; i < n; i++)
		c[i].mapped = true;
	return 0;
}

static struct soft_chunk *take_chunks(struct soft_heap *h, uint32_t n)
{
	int64_t at = scan(h, h->hint, h->count, n);
	struct soft_chunk *c;
	uint32_t i;

	if (at < 0)
		at = scan(h, 0, h->count, n);
	if (at < 0 || map_chunks(h, &h->chunks[at], n) < 0)
		return NULL;
	c = &h->chunks[at];
	h->hint = (uint32_t)at + n;
	for (i = 0; i < n; i++) {
		c[i].kind = i ? SOFT_CHUNK_BODY : SOFT_CHUNK_HEAD;
		c[i].head = i ? (uint32_t)at : n;
		c[i].offset = 0;
	}
	return c;
}

/* Memory that others have mapped stays theirs: these chunks get new one. */
static void renew_chunks(struct soft_heap *h, struct soft_chunk *c, uint32_t n)
{
	close(c->shared - 1);
	c->shared = 0;
	mmap((void *)chunk_start(h, c), (uint64_t)n << SOFT_CHUNK_SHIFT, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void free_chunks(struct soft_heap *h, struct soft_chunk *c, uint32_t n)
{
	uint32_t i;

	if (c->shared)
		renew_chunks(h, c, n);
	else
		madvise((void *)chunk_start(h, c), (uint64_t)n << SOFT_CHUNK_SHIFT, MADV_DONTNEED);
	for (i = 0; i < n; i++)
		c[i].kind = SOFT_CHUNK_FREE;
	if (c - h->chunks < h->hint)
		h->hint = (uint32_t)(c - h->chunks);
}

static void list_slab(struct soft_heap *h, struct soft_chunk *c)
{
	uint32_t self = (uint32_t)(c - h->chunks) + 1, *first = &h->partial[c->class];

	c->prev = 0;
	c->next = *first;
	if (*first)
		h->chunks[*first - 1].prev = self;
	*first = self;
}

static void unlist_slab(struct soft_heap *h, struct soft_chunk *c)
{
	if (c->prev)
		h->chunks[c->prev - 1].next = c->next;
	else
		h->partial[c->class] = c->next;
	if (c->next)
		h->chunks[c->next - 1].prev = c->prev;
}

static uint32_t slab_slots(unsigned class)
{
	return (uint32_t)(SOFT_CHUNK / class_size(class));
}

static struct soft_chunk *new_slab(struct soft_heap *h, unsigned class)
{
	uint32_t i, n = slab_slots(class);
	struct soft_slot *slots = calloc(n, sizeof(*slots));
	struct soft_chunk *c = slots ? take_chunks(h, 1) : NULL;

	if (!c) {
		free(slots);
		return NULL;
	}
	for (i = 0; i < n; i++)
		slots[i].id = i + 1 < n ? i + 2 : 0;
	c->kind = SOFT_CHUNK_SLAB;
	c->class = (uint8_t)class;
	c->slots = slots;
	c->free_slots = n;
	c->first_free = 1;
	list_slab(h, c);
	return c;
}

static void fill(struct soft_slot *s, uint64_t size, uint32_t tag)
{
	s->size = size;
	s->tag = tag;
	s->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
}

static int alloc_small(struct soft_heap *h, unsigned class, uint64_t size, uint32_t tag, uint64_t *start)
{
	struct soft_chunk *c;
	uint32_t i;

	if (h->used + class_size(class) > h->limit)
		return -ENOMEM;
	c = h->partial[class] ? &h->chunks[h->partial[class] - 1] : new_slab(h, class);
	if (!c)
		return -ENOMEM;
	i = c->first_free - 1;
	c->first_free = (uint32_t)c->slots[i].id;
	if (--c->free_slots == 0)
		unlist_slab(h, c);
	fill(&c->slots[i], size, tag);
	h->used += class_size(class);
	*start = chunk_start(h, c) + i * class_size(class);
	return 0;
}

static int alloc_large(struct soft_heap *h, uint64_t size, uint32_t tag, uint64_t *start)
{
	uint64_t whole = (size + SOFT_CHUNK - 1) & ~(SOFT_CHUNK - 1);
	struct soft_chunk *c;

	if (whole < size || whole > h->limit - h->used)
		return -ENOMEM;
	c = take_chunks(h, (uint32_t)(whole >> SOFT_CHUNK_SHIFT));
	if (!c)
		return -ENOMEM;
	fill(&c->large, size, tag);
	h->used += whole;
	*start = chunk_start(h, c);
	return 0;
}

int soft_heap_alloc(struct soft_heap *h, uint64_t size, uint32_t tag, uint64_t *start)
{
	unsigned class = class_of(size, h->grain);
	int rc;

	pthread_rwlock_wrlock(&h->lock);
	if (class < SOFT_HEAP_CLASSES)
		rc = alloc_small(h, class, size, tag, start);
	else
		rc = alloc_large(h, size, tag, start);
	pthread_rwlock_unlock(&h->lock);
	return rc;
}

/* The slot in use around @addr; *start is where its block begins. */
static struct soft_slot *slot_at(struct soft_heap *h, uint64_t addr, uint64_t *start)
{
	struct soft_chunk *c;
	uint64_t size;
	uint32_t i;

	if (!soft_heap_owns(h, addr))
		return NULL;
	c = &h->chunks[(addr - h->base) >> SOFT_CHUNK_SHIFT];
	if (c->kind == SOFT_CHUNK_FREE)
		return NULL;
	if (c->kind == SOFT_CHUNK_SLAB) {
		size = class_size(c->class);
		i = (uint32_t)((addr - chunk_start(h, c)) / size);
		*start = chunk_start(h, c) + i * size;
		return i < slab_slots(c->class) && addr - *start < c->slots[i].size ? &c->slots[i] : NULL;
	}
	if (c->kind == SOFT_CHUNK_BODY)
		c = &h->chunks[c->head];
	*start = chunk_start(h, c) + c->offset;
	return addr - *start < c->large.size ? &c->large : NULL;
}

static void free_slot(struct soft_heap *h, struct soft_slot *s, uint64_t start)
{
	struct soft_chunk *c = &h->chunks[(start - h->base) >> SOFT_CHUNK_SHIFT];

	s->size = 0;
	if (c->kind == SOFT_CHUNK_HEAD) {
		h->used -= (uint64_t)c->head << SOFT_CHUNK_SHIFT;
		free_chunks(h, c, c->head);
		return;
	}
	h->used -= class_size(c->class);
	s->id = c->first_free;
	c->first_free = (uint32_t)(s - c->slots) + 1;
	if (++c->free_slots == 1)
		list_slab(h, c);
	/* The last slab of its class stays, for programs that allocate and free one block in turn. */
	if (c->free_slots == slab_slots(c->class) && (c->prev || c->next)) {
		unlist_slab(h, c);
		free(c->slots);
		c->slots = NULL;
		free_chunks(h, c, 1);
	}
}

int soft_heap_free(struct soft_heap *h, uint64_t start)
{
	struct soft_slot *s;
	uint64_t at;

	pthread_rwlock_wrlock(&h->lock);
	s = slot_at(h, start, &at);
	if (s && at == start)
		free_slot(h, s, start);
	pthread_rwlock_unlock(&h->lock);
	return s && at == start ? 0 : -EINVAL;
}

bool soft_heap_find(struct soft_heap *h, uint64_t addr, struct soft_block *out)
{
	struct soft_slot *s;

	pthread_rwlock_rdlock(&h->lock);
	s = slot_at(h, addr, &out->start);
	if (s) {
		out->size = s->size;
		out->id = s->id;
		out->tag = s->tag;
	}
	pthread_rwlock_unlock(&h->lock);
	return s;
}

int soft_heap_retag(struct soft_heap *h, uint64_t start, uint32_t from, uint32_t to)
{
	struct soft_slot *s;
	uint64_t at;
	int rc = -EINVAL;

	pthread_rwlock_wrlock(&h->lock);
	s = slot_at(h, start, &at);
	if (s && at == start && s->tag == from) {
		s->tag = to;
		rc = 0;
	}
	pthread_rwlock_unlock(&h->lock);
	return rc;
}

static void free_slab_tagged(struct soft_heap *h, struct soft_chunk *c, uint32_t mask, uint32_t tag)
{
	uint32_t i, n = slab_slots(c->class);

	for (i = 0; i < n && c->kind == SOFT_CHUNK_SLAB; i++)
		if (c->slots[i].size && (c->slots[i].tag & mask) == tag)
			free_slot(h, &c->slots[i], chunk_start(h, c) + i * class_size(c->class));
}

void soft_heap_free_tagged(struct soft_heap *h, uint32_t mask, uint32_t tag)
{
	uint32_t i;

	pthread_rwlock_wrlock(&h->lock);
	for (i = 0; i < h->count; i++) {
		struct soft_chunk *c = &h->chunks[i];

		if (c->kind == SOFT_CHUNK_SLAB)
			free_slab_tagged(h, c, mask, tag);
		else if (c->kind == SOFT_CHUNK_HEAD && (c->large.tag & mask) == tag)
			free_slot(h, &c->large, chunk_start(h, c));
	}
	pthread_rwlock_unlock(&h->lock);
}

uint64_t soft_heap_sum(struct soft_heap *h, uint32_t mask, uint32_t tag)
{
	const struct soft_chunk *c;
	uint64_t sum = 0;
	uint32_t i;

	pthread_rwlock_rdlock(&h->lock);
	for (c = h->chunks; c < h->chunks + h->count; c++) {
		if (c->kind == SOFT_CHUNK_HEAD && (c->large.tag & mask) == tag)
			sum += c->large.size;
		for (i = 0; c->kind == SOFT_CHUNK_SLAB && i < slab_slots(c->class); i++)
			if (c->slots[i].size && (c->slots[i].tag & mask) == tag)
				sum += c->slots[i].size;
	}
	pthread_rwlock_unlock(&h->lock);
	return sum;
}

/* Lock held. */
static int share_chunks(struct soft_heap *h, struct soft_chunk *c, int (*make)(uint64_t bytes, int ordinal), int ordinal)
{
	uint64_t start = chunk_start(h, c), bytes = (c->kind == SOFT_CHUNK_HEAD ? c->head : 1ull) << SOFT_CHUNK_SHIFT;
	uint64_t done = 0;
	int fd = make(bytes, ordinal);
	ssize_t n = 1;

	if (fd < 0)
		return fd;
	for (; done < bytes && n > 0; done += n > 0 ? (uint64_t)n : 0)
		n = pwrite(fd, (const void *)(start + done), bytes - done, (off_t)done);
	if (done < bytes ||
	    mmap((void *)start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	c->shared = fd + 1;
	return fd;
}

int soft_heap_share(struct soft_heap *h, uint64_t addr, int (*make)(uint64_t bytes, int ordinal), int ordinal,
		    uint64_t *offset)
{
	struct soft_chunk *c;
	uint64_t start;
	int fd = -EINVAL;

	pthread_rwlock_wrlock(&h->lock);
	if (slot_at(h, addr, &start)) {
		c = &h->chunks[(start - h->base) >> SOFT_CHUNK_SHIFT];
		fd = c->shared ? c->shared - 1 : share_chunks(h, c, make, ordinal);
		*offset = start - chunk_start(h, c);
	}
	pthread_rwlock_unlock(&h->lock);
	return fd;
}

/* Lock held. The chunks of @c become those of @fd from its start on. */
static int map_shared(struct soft_heap *h, struct soft_chunk *c, int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (own < 0)
		return -ENOMEM;
	if (mmap((void *)chunk_start(h, c), (uint64_t)c->head << SOFT_CHUNK_SHIFT, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, own, 0) == MAP_FAILED) {
		close(own);
		return -ENOMEM;
	}
	c->shared = own + 1;
	return 0;
}

int soft_heap_import(struct soft_heap *h, int fd, uint64_t offset, uint64_t size, uint32_t tag, uint64_t *start)
{
	uint64_t whole = (offset + size + SOFT_CHUNK - 1) & ~(SOFT_CHUNK - 1);
	struct soft_chunk *c = NULL;
	int rc = -ENOMEM;

	pthread_rwlock_wrlock(&h->lock);
	if (whole <= h->limit - h->used)
		c = take_chunks(h, (uint32_t)(whole >> SOFT_CHUNK_SHIFT));
	if (c)
		rc = map_shared(h, c, fd);
	if (!rc) {
		c->offset = (uint32_t)offset;
		fill(&c->large, size, tag);
		h->used += whole;
		*start = chunk_start(h, c) + offset;
	} else if (c) {
		free_chunks(h, c, c->head);
	}
	pthread_rwlock_unlock(&h->lock);
	return rc;
}

int soft_heap_charge(struct soft_heap *h, uint64_t bytes)
{
	int rc = -ENOMEM;

	pthread_rwlock_wrlock(&h->lock);
	if (bytes <= h->limit - h->used) {
		h->used += bytes;
		rc = 0;
	}
	pthread_rwlock_unlock(&h->lock);
	return rc;
}

void soft_heap_uncharge(struct soft_heap *h, uint64_t bytes)
{
	pthread_rwlock_wrlock(&h->lock);
	h->used -= bytes;
	pthread_rwlock_unlock(&h->lock);
}

uint64_t soft_heap_used(struct soft_heap *h)
{
	uint64_t used;

	pthread_rwlock_rdlock(&h->lock);
	used = h->used;
	pthread_rwlock_unlock(&h->lock);
	return used;
}
