/* SPDX-License-Identifier: MIT */
/*
 * What an application passes to another process of this VM instead of a handle of the driver: a token of the host, which
 * the host honours for this VM only. As CUipcMemHandle, CUipcEventHandle or CUmemPoolPtrExportData it is the 64 bytes; as a
 * file descriptor it is a small sealed file of this machine's memory with the same content. Stateless, any thread.
 */
#ifndef VGPU_SHIM_PASSPORT_H
#define VGPU_SHIM_PASSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/handle.h>

enum vgpu_passport_kind {	/* other processes may run another version: append, never renumber */
	VGPU_PASSPORT_ALLOCATION = 1,
	VGPU_PASSPORT_PHYSICAL = 2,
	VGPU_PASSPORT_EVENT = 3,
	VGPU_PASSPORT_POOL = 4,
	VGPU_PASSPORT_POINTER = 5,
};

struct vgpu_passport {
	char magic[8];
	uint32_t kind;
	uint32_t reserved;
	uint8_t token[16];
	uint8_t zero[32];
};

/* Ask for a token of `subject`, an address or a wire id. `op`: a wire with this argument that returns a token. */
CUresult vgpu_passport_issue(struct vgpu_passport *p, enum vgpu_passport_kind kind, uint16_t op, uint64_t subject,
			     unsigned flags);
/* The same into a new file: its descriptor. */
CUresult vgpu_passport_issue_file(int *fd, enum vgpu_passport_kind kind, uint16_t op, uint64_t subject);

/* Copy 64 bytes that claim to be a passport of this kind. False: they are not. */
bool vgpu_passport_read(struct vgpu_passport *p, enum vgpu_passport_kind kind, const void *bytes);
/* The same from the file of a descriptor. INVALID_VALUE: it is none; UNKNOWN, as natively: no file is open as that. */
CUresult vgpu_passport_read_file(struct vgpu_passport *p, enum vgpu_passport_kind kind, const void *descriptor);

/* A new handle of what the passport names. `op`: a wire whose arguments are the handle's id and the token. */
CUresult vgpu_passport_redeem(const struct vgpu_passport *p, uint16_t op, enum vgpu_handle_kind kind, unsigned flags,
			      uint64_t *wire);

#endif
