/* SPDX-License-Identifier: MIT */
/* Events: the fence of the last record. A query is two loads. */
#ifndef VGPU_SHIM_EVENT_H
#define VGPU_SHIM_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "fence.h"

struct vgpu_context;

struct vgpu_event {
	uint64_t wire;
	struct vgpu_context *context;	/* its home */
	uint32_t flags;
	_Atomic uint32_t recorded;	/* event.c says where */
	_Atomic bool in_graph;		/* a graph records it: only the worker knows whether it is reached */
	_Atomic uint64_t capture;	/* number of the capture that it was last recorded in */
	_Atomic vgpu_fence fence;	/* of the last record */
};

/* Other processes may record it and wait for it, whatever this one did last. */
static inline bool vgpu_event_shared(const struct vgpu_event *e)
{
	return e->flags & CU_EVENT_INTERPROCESS;
}

/* The object of a new event, in the current context; returns what the application sees. */
CUevent vgpu_event_init(uint64_t wire, uint32_t flags);

#endif
