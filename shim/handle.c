/* SPDX-License-Identifier: MIT */
/*
 * One table for each kind of handle, grown in pages that never move. Look-ups are in
 * the header; making and dropping take the table's mutex.
 */
#include "handle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "thread.h"

struct table {
	pthread_mutex_t lock;
	size_t object_size;
	_Atomic uint32_t used;		/* indices below it have been given out at least once */
	uint32_t free_head, free_tail;	/* FIFO, so that generations last; 0: empty */
};

static struct table tables[VGPU_HANDLE_KINDS] = {
	[0 ... VGPU_HANDLE_STREAM - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = 1 },
	[VGPU_HANDLE_STREAM] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = VGPU_STREAM_INDEX_FIRST },
	[VGPU_HANDLE_STREAM + 1 ... VGPU_HANDLE_KINDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER, .used = 1 },
};

struct vgpu_handle_slot *_Atomic vgpu_handle_pages[VGPU_HANDLE_KINDS][VGPU_HANDLE_PAGES];

static _Atomic uint32_t page_count;	/* of all tables */

void vgpu_handle_object_size(enum vgpu_handle_kind kind, size_t size)
{
	tables[kind].object_size = size;
}

static enum vgpu_handle_kind kind_of(const struct table *t)
{
	return (enum vgpu_handle_kind)(t - tables);
}

static struct vgpu_handle_slot *find(const struct table *t, uint32_t index)
{
	struct vgpu_handle_slot *page;

	if (index >= VGPU_HANDLE_INDEX_MAX)
		return NULL;
	page = atomic_load_explicit(&vgpu_handle_pages[kind_of(t)][index / VGPU_HANDLE_PAGE], memory_order_acquire);
	return page ? &page[index % VGPU_HANDLE_PAGE] : NULL;
}

/* Beyond the budget the worker would refuse the handle. Locked. */
static struct vgpu_handle_slot *add_page(struct table *t, uint32_t at)
{
	struct vgpu_handle_slot *page = NULL;

	if (atomic_fetch_add(&page_count, 1) < VGPU_HANDLE_BUDGET)
		page = calloc(VGPU_HANDLE_PAGE, sizeof(*page));
	if (!page)
		atomic_fetch_sub(&page_count, 1);
	else
		atomic_store_explicit(&vgpu_handle_pages[kind_of(t)][at], page, memory_order_release);
	return page;
}

/* An entry whose index was never used; NULL without memory or when there are too many. Locked. */
static struct vgpu_handle_slot *fresh(struct table *t, uint32_t *index)
{
	uint32_t i = t->used;

	if (i >= VGPU_HANDLE_INDEX_MAX || (!find(t, i) && !add_page(t, i / VGPU_HANDLE_PAGE)))
		return NULL;
	t->used++;
	*index = i;
	return find(t, i);
}

static struct vgpu_handle_slot *reuse(struct table *t, uint32_t *index)
{
	struct vgpu_handle_slot *e;

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
	uint32_t index;
	struct vgpu_handle_slot *e;

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
	e->generation = (e->generation + 1) & 0xffffffu;
	*wire = vgpu_handle_make(kind, e->generation, index);
	atomic_store_explicit(&e->app, (uintptr_t)vgpu_handle_from_wire(*wire), memory_order_release);
	r = CUDA_SUCCESS;
out:
	vgpu_unlock(&t->lock);
	return r;
}

void vgpu_handle_drop(enum vgpu_handle_kind kind, uint64_t wire)
{
	struct table *t = &tables[kind];
	struct vgpu_handle_slot *e, *last;

	vgpu_lock(&t->lock);
	e = find(t, vgpu_handle_index(wire));
	if (e && atomic_load_explicit(&e->app, memory_order_relaxed) == (uintptr_t)vgpu_handle_from_wire(wire)) {
		atomic_store_explicit(&e->app, 0, memory_order_release);
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

uint64_t vgpu_handle_next(enum vgpu_handle_kind kind, uint64_t after)
{
	const struct table *t = &tables[kind];
	uint32_t i = after ? vgpu_handle_index(after) + 1 : 1;
	const struct vgpu_handle_slot *e;
	uintptr_t app;

	for (; i < t->used; i++) {
		e = find(t, i);
		app = e ? atomic_load_explicit(&e->app, memory_order_acquire) : 0;
		if (app)
			return vgpu_handle_to_wire((const void *)app);
	}
	return 0;
}

void *vgpu_handle_app(enum vgpu_handle_kind kind, uint64_t wire)
{
	(void)kind;
	return vgpu_handle_from_wire(wire);
}
