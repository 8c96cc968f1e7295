/* SPDX-License-Identifier: MIT */
/*
 * One table for each kind of handle, grown in pages that never move, so that
 * a lookup needs no lock: load the page, load the entry, compare. Making and
 * dropping take the table's mutex.
 */
#include "handle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "thread.h"

#define INDEX_MAX	(VGPU_HANDLE_PAGE * VGPU_HANDLE_PAGES)	/* fits 28 bits */
#define LIVE		(1u << 24)

struct entry {
	_Atomic uint32_t state;		/* generation, plus LIVE */
	uint32_t next_free;
	void *object;			/* NULL for kinds without one */
};

struct table {
	pthread_mutex_t lock;
	size_t object_size;
	_Atomic uint32_t used;		/* indices below it have been given out at least once */
	uint32_t free_head, free_tail;	/* FIFO, so that generations last; 0: empty */
	struct entry *_Atomic pages[VGPU_HANDLE_PAGES];
};

static struct table tables[VGPU_HANDLE_KINDS] = {
	[0 ... VGPU_HANDLE_STREAM - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = 1 },
	[VGPU_HANDLE_STREAM] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = VGPU_STREAM_INDEX_FIRST },
	[VGPU_HANDLE_STREAM + 1 ... VGPU_HANDLE_KINDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = 1 },
};

static _Atomic uint32_t page_count;	/* of all tables */

void vgpu_handle_object_size(enum vgpu_handle_kind kind, size_t size)
{
	tables[kind].object_size = size;
}

static struct entry *find(const struct table *t, uint32_t index)
{
	struct entry *page;

	if (index >= INDEX_MAX)
		return NULL;
	page = atomic_load_explicit(&t->pages[index / VGPU_HANDLE_PAGE], memory_order_acquire);
	return page ? &page[index % VGPU_HANDLE_PAGE] : NULL;
}

static struct entry *live(enum vgpu_handle_kind kind, uint64_t wire)
{
	struct entry *e;

	if (vgpu_handle_kind_of(wire) != kind)
		return NULL;
	e = find(&tables[kind], vgpu_handle_index(wire));
	if (!e || atomic_load_explicit(&e->state, memory_order_acquire) != (vgpu_handle_generation(wire) | LIVE))
		return NULL;
	return e;
}

/* Beyond the budget the worker would refuse the handle. Locked. */
static struct entry *add_page(struct table *t, uint32_t at)
{
	struct entry *page = NULL;

	if (atomic_fetch_add(&page_count, 1) < VGPU_HANDLE_BUDGET)
		page = calloc(VGPU_HANDLE_PAGE, sizeof(*page));
	if (!page)
		atomic_fetch_sub(&page_count, 1);
	else
		atomic_store_explicit(&t->pages[at], page, memory_order_release);
	return page;
}

/* An entry whose index was never used; NULL without memory or when there are too many. Locked. */
static struct entry *fresh(struct table *t, uint32_t *index)
{
	uint32_t i = t->used;

	if (i >= INDEX_MAX || (!find(t, i) && !add_page(t, i / VGPU_HANDLE_PAGE)))
		return NULL;
	t->used++;
	*index = i;
	return find(t, i);
}

static struct entry *reuse(struct table *t, uint32_t *index)
{
	struct entry *e;

	if (!t->free_head)
		return NULL;
	*index = t->free_head;
	e = find(t, *index);
	t->free_head = e->next_free;
	if (!t->free_head)
		t->free_tail = 0;
	return e;
}

CUresult vgpu_handle_new(enum vgpu_handle_kind kind, uint64_t *wire)
{
	struct table *t = &tables[kind];
	CUresult r = CUDA_ERROR_OUT_OF_MEMORY;
	uint32_t index, generation;
	struct entry *e;

	vgpu_lock(&t->lock);
	e = reuse(t, &index);
	if (!e)
		e = fresh(t, &index);
	if (!e)
		goto out;
	if (t->object_size) {
		if (e->object)
			memset(e->object, 0, t->object_size);
		else
			e->object = calloc(1, t->object_size);
		if (!e->object)
			goto out;
	}
	generation = (atomic_load_explicit(&e->state, memory_order_relaxed) + 1) & 0xffffffu;
	*wire = vgpu_handle_make(kind, generation, index);
	atomic_store_explicit(&e->state, generation | LIVE, memory_order_release);
	r = CUDA_SUCCESS;
out:
	vgpu_unlock(&t->lock);
	return r;
}

void vgpu_handle_drop(enum vgpu_handle_kind kind, uint64_t wire)
{
	struct table *t = &tables[kind];
	struct entry *e, *last;

	vgpu_lock(&t->lock);
	e = live(kind, wire);
	if (e) {
		atomic_store_explicit(&e->state, vgpu_handle_generation(wire), memory_order_release);
		e->next_free = 0;
		last = t->free_tail ? find(t, t->free_tail) : NULL;
		if (last)
			last->next_free = vgpu_handle_index(wire);
		else
			t->free_head = vgpu_handle_index(wire);
		t->free_tail = vgpu_handle_index(wire);
	}
	vgpu_unlock(&t->lock);
}

void *vgpu_handle_object_wire(enum vgpu_handle_kind kind, uint64_t wire)
{
	struct entry *e = live(kind, wire);

	return e ? e->object : NULL;
}

void *vgpu_handle_object(enum vgpu_handle_kind kind, const void *app)
{
	if ((uintptr_t)app & 15)
		return NULL;
	return vgpu_handle_object_wire(kind, vgpu_handle_to_wire(app));
}

uint64_t vgpu_handle_next(enum vgpu_handle_kind kind, uint64_t after)
{
	const struct table *t = &tables[kind];
	uint32_t i = after ? vgpu_handle_index(after) + 1 : 1;
	struct entry *e;
	uint32_t state;

	for (; i < t->used; i++) {
		e = find(t, i);
		if (!e)
			continue;
		state = atomic_load_explicit(&e->state, memory_order_acquire);
		if (state & LIVE)
			return vgpu_handle_make(kind, state & 0xffffffu, i);
	}
	return 0;
}

void *vgpu_handle_app(enum vgpu_handle_kind kind, uint64_t wire)
{
	(void)kind;
	return vgpu_handle_from_wire(wire);
}

bool vgpu_handle_live(enum vgpu_handle_kind kind, const void *app)
{
	return !((uintptr_t)app & 15) && live(kind, vgpu_handle_to_wire(app));
}
