/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one code image.  Small ones, and those without a hash, are private memory; the others are a file in
 * memory, written piece by piece and then sealed, so that the supervisor can give it to other sessions of the VM
 * as it is, and one copy serves all of them.  Owned by its image; the worker's only thread.
 */
#ifndef VGPU_WORKER_CONTENT_H
#define VGPU_WORKER_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

struct vgpu_session;

struct vgpu_content {
	uint64_t bytes;
	uint64_t hash[2];	/* what the guest says it is; zeros: nothing */
	struct XXH3_state_s *hashing;	/* of a file that is being written: its first `hashed` bytes */
	uint64_t hashed;
	uint8_t *data;		/* bytes and a NUL behind them; of a file: NULL until it is sealed, then read-only */
	int fd;			/* -1: private memory */
	bool found;		/* another session had sent it */
};

/*
 * Make room for `bytes` bytes, or have them at once if the supervisor has what the hash names (c->found).  0 or -ENOMEM.
 */
int vgpu_content_open(struct vgpu_session *s, struct vgpu_content *c, uint64_t bytes, const uint64_t hash[2]);
/*
 * A piece that the caller knows to lie inside.  `stable`: nobody changes `from` meanwhile, so that it can be hashed while
 * it is in the cache.  0, -EPERM: sealed already, or -ENOMEM.
 */
int vgpu_content_write(struct vgpu_content *c, uint64_t at, const void *from, uint64_t bytes, bool stable);
/* All pieces are there: c->data can be read. 0 or -errno. */
int vgpu_content_seal(struct vgpu_content *c);
/* Sealed, and worth keeping: let the supervisor have it, if it is what its hash says. */
void vgpu_content_keep(struct vgpu_session *s, const struct vgpu_content *c);
void vgpu_content_close(struct vgpu_content *c);

#endif
