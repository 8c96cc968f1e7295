/* SPDX-License-Identifier: MIT */
/*
 * Objects that an application holds by handle, and the table of handles. A handle is a number (kind, generation,
 * index), never a pointer, so that a stale or invented one is refused instead of followed. Objects are counted: the
 * table holds one reference, every soft_get() another. Any thread.
 */
#ifndef VGPU_SOFT_HANDLE_H
#define VGPU_SOFT_HANDLE_H

#include <stdatomic.h>
#include <stdint.h>

enum soft_kind {
	SOFT_STREAM = 1 << 0,
	SOFT_EVENT = 1 << 1,
	SOFT_MODULE = 1 << 2,
	SOFT_LIBRARY = 1 << 3,
	SOFT_FUNCTION = 1 << 4,
	SOFT_KERNEL = 1 << 5,
	SOFT_POOL = 1 << 6,
	SOFT_PHYSICAL = 1 << 7,
	SOFT_ARRAY = 1 << 8,
	SOFT_MIPMAP = 1 << 9,
	SOFT_TEXTURE = 1 << 10,
	SOFT_SURFACE = 1 << 11,
	SOFT_GRAPH = 1 << 12,
	SOFT_NODE = 1 << 13,
	SOFT_EXEC = 1 << 14,
	SOFT_USER = 1 << 15,
	SOFT_LINK = 1 << 16,
	SOFT_TEXREF = 1 << 17,
};

struct soft_context;

struct soft_object {
	atomic_uint refs;
	enum soft_kind kind;
	uint64_t handle;                       /* 0 until bound */
	struct soft_context *ctx;              /* dies with this context; NULL: with the process */
	void (*release)(struct soft_object *); /* the last reference is gone */
};

/* Sets up @o with one reference, that of the creator. */
void soft_object_init(struct soft_object *o, enum soft_kind kind, struct soft_context *ctx,
		      void (*release)(struct soft_object *));
void soft_ref(struct soft_object *o);
void soft_put(struct soft_object *o);

/* Gives @o a handle and hands the creator's reference to the table. 0 or -ENOMEM (then the reference stays). */
int soft_bind(struct soft_object *o);
/* The object behind @handle if it is of one of @kinds, with a reference for the caller; else NULL. */
void *soft_get(uint64_t handle, unsigned kinds);
/* As soft_get, and the handle is invalid from now on; the caller gets the table's reference. */
void *soft_take(uint64_t handle, unsigned kinds);
/* Takes out the next object of @ctx, in slots from *@at on, which is 0 at first; NULL when none is left. */
void *soft_take_next(struct soft_context *ctx, uint32_t *at);

#endif
