/* SPDX-License-Identifier: MIT */
/*
 * Handles of the application. A handle holds the wire id with its index moved
 * up by four bits, so that it looks like an aligned pointer with an address that no
 * mapping can have; it is only ever looked up. Each live handle has an object
 * of its kind, zeroed at first use and kept for the next owner of the index
 * (type-stable memory: a stale handle in another thread finds a dead object,
 * never freed memory).
 */
#ifndef VGPU_SHIM_HANDLE_H
#define VGPU_SHIM_HANDLE_H

#include <stdatomic.h>

#include "call.h"

#define VGPU_HANDLE_INDEX_MAX	(VGPU_HANDLE_PAGE * VGPU_HANDLE_PAGES)	/* fits 28 bits */

/* A look-up needs no lock, as pages never move: load the page, load the slot, compare. */
struct vgpu_handle_slot {
	_Atomic uintptr_t app;		/* the application's handle, 0: nobody has one. Slot 0 is never used */
	void *object;			/* NULL for kinds without one */
	uint32_t generation;		/* of the last handle */
	uint32_t next_free;
};

extern struct vgpu_handle_slot *_Atomic vgpu_handle_pages[VGPU_HANDLE_KINDS][VGPU_HANDLE_PAGES];

/* Bytes of the object of a kind; set once before the first handle of that kind is made. */
void vgpu_handle_object_size(enum vgpu_handle_kind kind, size_t size);
/* Next live wire id of a kind after `after` (0: the first), 0 at the end. */
uint64_t vgpu_handle_next(enum vgpu_handle_kind kind, uint64_t after);

static inline uint64_t vgpu_handle_to_wire(const void *app)
{
	uint64_t v = (uint64_t)(uintptr_t)app;

	return (v & 0xffffffff00000000ull) | (v & 0xffffffffull) >> 4;
}

static inline void *vgpu_handle_from_wire(uint64_t wire)
{
	return (void *)(uintptr_t)((wire & 0xffffffff00000000ull) | (wire & 0x0fffffffull) << 4);
}

/* The slot of a live application handle, or NULL. */
static inline const struct vgpu_handle_slot *vgpu_handle_slot(enum vgpu_handle_kind kind, const void *app)
{
	uint32_t index = (uint32_t)(uintptr_t)app >> 4;
	const struct vgpu_handle_slot *page;

	if (index >= VGPU_HANDLE_INDEX_MAX)
		return NULL;
	page = atomic_load_explicit(&vgpu_handle_pages[kind][index / VGPU_HANDLE_PAGE], memory_order_acquire);
	if (!page)
		return NULL;
	page += index % VGPU_HANDLE_PAGE;
	return atomic_load_explicit(&page->app, memory_order_acquire) == (uintptr_t)app ? page : NULL;
}

/* The object behind a live application handle, or NULL. */
static inline void *vgpu_handle_object(enum vgpu_handle_kind kind, const void *app)
{
	const struct vgpu_handle_slot *slot = vgpu_handle_slot(kind, app);

	return slot ? slot->object : NULL;
}

/* The object of a live wire id, or NULL. */
static inline void *vgpu_handle_object_wire(enum vgpu_handle_kind kind, uint64_t wire)
{
	return vgpu_handle_index(wire) < VGPU_HANDLE_INDEX_MAX ?
		       vgpu_handle_object(kind, vgpu_handle_from_wire(wire)) : NULL;
}

/* Whether the application's handle is live; for kinds without objects too. */
static inline bool vgpu_handle_live(enum vgpu_handle_kind kind, const void *app)
{
	return app && vgpu_handle_slot(kind, app);
}

#endif
