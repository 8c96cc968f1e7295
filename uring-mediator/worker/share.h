/* SPDX-License-Identifier: MIT */
/*
 * What the files share_*.c have in common: tokens in exchange for what only workers may see, and the list of what this
 * session shares.  The worker's only thread.
 */
#ifndef VGPU_WORKER_SHARE_H
#define VGPU_WORKER_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"
#include "session.h"

/* One thing that is shared: exported by this session, or memory of cuIpcOpenMemHandle imported into it. */
struct vgpu_shared {
	struct vgpu_shared *next;
	uint8_t token[VGPU_TOKEN_BYTES];
	enum vgpu_share_kind kind;
	uint64_t key;			/* of memory and pointers the address, else the wire id */
	uint64_t size;			/* imported: bytes */
	uint32_t opens;			/* imported: cuIpcOpenMemHandle less cuIpcCloseMemHandle; 0: exported */
	uint64_t window, window_size;	/* imported, soft device: the addresses it took */
};

struct vgpu_shared *vgpu_share_find(const struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key);
/* Is there a token for it already? Copied to *token. */
bool vgpu_share_known(const struct vgpu_session *s, enum vgpu_share_kind kind, uint64_t key, uint8_t *token);
struct vgpu_shared *vgpu_share_find_token(const struct vgpu_session *s, const uint8_t *token);
struct vgpu_shared *vgpu_share_note(struct vgpu_session *s, const uint8_t *token, enum vgpu_share_kind kind, uint64_t key);
void vgpu_share_forget(struct vgpu_session *s, struct vgpu_shared *p);

/*
 * Have the supervisor keep what *m describes (kind, offset, size, data), with a descriptor or -1, which is taken, and note
 * it under `key`. 0 and its token, or an error and nothing has happened.
 */
CUresult vgpu_share_export(struct vgpu_session *s, struct vgpu_ctl_share *m, uint64_t key, int fd, uint8_t *token);

/*
 * What a token names, of the given kind; *fd is the caller's to close, -1: none came. INVALID_HANDLE: it names nothing
 * that this session may have.
 */
CUresult vgpu_share_import(struct vgpu_session *s, const uint8_t *token, enum vgpu_share_kind kind,
			   struct vgpu_ctl_share *m, int *fd);

#endif
