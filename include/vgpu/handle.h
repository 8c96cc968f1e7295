/* SPDX-License-Identifier: MIT */
/*
 * Handles on the wire. A handle is a 64-bit id that the guest chose: kind in the top 8 bits, generation in the next
 * 24, index in the low 32. The guest encodes it, the worker only looks it up in its own table of that kind, so a
 * wrong id is CUDA_ERROR_INVALID_HANDLE (or the kind's own code) and never an address. 0 is "no object".
 */
#ifndef VGPU_HANDLE_H
#define VGPU_HANDLE_H

#include <stdint.h>

#include "vgpu/cuda_result.h"

/* Numbers are wire facts: append, never renumber. */
enum vgpu_handle_kind {
	VGPU_HANDLE_NONE = 0,
	VGPU_HANDLE_CONTEXT = 1,
	VGPU_HANDLE_MODULE = 2,
	VGPU_HANDLE_FUNCTION = 3,
	VGPU_HANDLE_LIBRARY = 4,
	VGPU_HANDLE_KERNEL = 5,
	VGPU_HANDLE_STREAM = 6,
	VGPU_HANDLE_EVENT = 7,
	VGPU_HANDLE_MEMPOOL = 8,
	VGPU_HANDLE_MEMGENERIC = 9,
	VGPU_HANDLE_GRAPH = 10,
	VGPU_HANDLE_GRAPHNODE = 11,
	VGPU_HANDLE_GRAPHEXEC = 12,
	VGPU_HANDLE_ARRAY = 13,
	VGPU_HANDLE_MIPMAP = 14,
	VGPU_HANDLE_TEXOBJECT = 15,
	VGPU_HANDLE_SURFOBJECT = 16,
	VGPU_HANDLE_LINKSTATE = 17,
	VGPU_HANDLE_USEROBJECT = 18,
	VGPU_HANDLE_GREENCTX = 19,	/* only in the guest: its context travels as VGPU_HANDLE_CONTEXT */
	VGPU_HANDLE_RESOURCEDESC = 20,
	VGPU_HANDLE_TEXREF = 21,
	VGPU_HANDLE_KINDS = 22
};

/*
 * Tables on both sides are made of pages. Both count those of all kinds together, so that a guest that stays within them
 * is never refused by its worker, and a hostile one cannot fill the host.
 */
#define VGPU_HANDLE_PAGE	1024u		/* indices */
#define VGPU_HANDLE_PAGES	4096u		/* of one kind: indices below 2^22 */
#define VGPU_HANDLE_BUDGET	4096u		/* of all kinds together: four million handles, 160 MiB in the worker */

/* Streams that exist without being created: index of the id, generation 0. */
#define VGPU_STREAM_INDEX_LEGACY 1u
/* Other indices below this one are each guest thread's default stream; created ones start here. */
#define VGPU_STREAM_INDEX_FIRST 4096u

static inline uint64_t vgpu_handle_make(enum vgpu_handle_kind kind, uint32_t generation, uint32_t index)
{
	return (uint64_t)kind << 56 | (uint64_t)(generation & 0xffffffu) << 32 | index;
}

static inline enum vgpu_handle_kind vgpu_handle_kind_of(uint64_t id)
{
	unsigned kind = (unsigned)(id >> 56);

	return kind < VGPU_HANDLE_KINDS ? (enum vgpu_handle_kind)kind : VGPU_HANDLE_NONE;
}

static inline uint32_t vgpu_handle_generation(uint64_t id)
{
	return (uint32_t)(id >> 32) & 0xffffffu;
}

static inline uint32_t vgpu_handle_index(uint64_t id)
{
	return (uint32_t)id;
}

/* What the native driver answers to NULL, or to a handle of this kind that is not live (seen with driver 580). */
static inline CUresult vgpu_handle_error(enum vgpu_handle_kind kind)
{
	switch (kind) {
	case VGPU_HANDLE_CONTEXT:
	case VGPU_HANDLE_GREENCTX:
		return CUDA_ERROR_INVALID_CONTEXT;
	case VGPU_HANDLE_MEMPOOL:
	case VGPU_HANDLE_MEMGENERIC:
	case VGPU_HANDLE_GRAPH:
	case VGPU_HANDLE_GRAPHNODE:
	case VGPU_HANDLE_GRAPHEXEC:
	case VGPU_HANDLE_USEROBJECT:
	case VGPU_HANDLE_RESOURCEDESC:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_HANDLE;
	}
}

#endif /* VGPU_HANDLE_H */
