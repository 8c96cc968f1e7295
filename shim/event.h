/* SPDX-License-Identifier: MIT */
/* Events: the fence of the last record. A query is two loads. */
#ifndef VGPU_SHIM_EVENT_H
#define VGPU_SHIM_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "fence.h"

struct vgpu_context;

struct vgpu_event {
	uint64_t wire;
	struct vgpu_context *context;
	uint32_t flags;
	_Atomic uint32_t recorded;	/* 0 never, 1 in a stream, 2 in a capture */
	_Atomic vgpu_fence fence;	/* of the last record */
};

#endif
