/* SPDX-License-Identifier: MIT */
/*
 * The worker's handle tables: for each kind, wire id -> object of the driver.  The guest chooses the ids, so an index
 * is only a place in a two-level table of bounded size, and an entry answers only to the exact id that was bound
 * (kind, generation, index).  One thread.  The tables own no object: whoever binds destroys, vgpu_handles_each() helps.
 */
#ifndef VGPU_WORKER_HANDLES_H
#define VGPU_WORKER_HANDLES_H

#include <stdint.h>

#include <vgpu/handle.h>

struct vgpu_handle_entry {
	uint64_t id;		/* 0: free */
	void *obj;
	uint64_t owner;		/* wire id of the module or library that it dies with, 0: nobody */
	uint64_t aux;		/* the kind's own */
	uint32_t context;	/* index of the context that it was made in, 0: none */
	uint32_t reserved;
};

struct vgpu_handles {
	struct vgpu_handle_entry *pages[VGPU_HANDLE_KINDS][VGPU_HANDLE_PAGES];
	uint32_t live[VGPU_HANDLE_KINDS];
	uint32_t page_count;
};

/* 0; -EINVAL: id is not of this kind or out of range; -EEXIST: index taken; -ENOMEM. May allocate a page. */
int vgpu_handles_bind(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id, void *obj);

/* The entry of exactly this id, or NULL. Valid until the next bind. */
struct vgpu_handle_entry *vgpu_handles_find(const struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id);

/* The entry at an index whatever its generation, or NULL. */
struct vgpu_handle_entry *vgpu_handles_at(const struct vgpu_handles *h, enum vgpu_handle_kind kind, uint32_t index);

void vgpu_handles_unbind(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id);

/* Calls fn for each live entry of a kind; fn may unbind that entry. */
void vgpu_handles_each(struct vgpu_handles *h, enum vgpu_handle_kind kind,
		       void (*fn)(void *ctx, const struct vgpu_handle_entry *entry), void *ctx);

/* Unbind all entries of a kind with that owner. */
void vgpu_handles_disown(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t owner);

void vgpu_handles_free(struct vgpu_handles *h);

#endif
