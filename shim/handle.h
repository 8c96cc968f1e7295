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

#include "call.h"

/* Bytes of the object of a kind; set once before the first handle of that kind is made. */
void vgpu_handle_object_size(enum vgpu_handle_kind kind, size_t size);
/* The object behind a live application handle, or NULL. Lock-free. */
void *vgpu_handle_object(enum vgpu_handle_kind kind, const void *app);
/* The object of a live wire id, or NULL. */
void *vgpu_handle_object_wire(enum vgpu_handle_kind kind, uint64_t wire);
/* Whether the application's handle is live; for kinds without objects too. */
bool vgpu_handle_live(enum vgpu_handle_kind kind, const void *app);
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

#endif
