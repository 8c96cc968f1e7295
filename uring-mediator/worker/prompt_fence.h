/* SPDX-License-Identifier: MIT */
/*
 * Fences behind short copies that somebody waits for.  The device writes a fence on its compute side.  While several processes
 * use it, it has to change contexts for that, and a copy of 8 bytes, which needs no such change, ends after 19 us instead
 * of 8 (H100, four processes).  Then this process had better see the copy's end itself, by an event, and write the fence.
 * Alone on the device the event is the slower one, and nobody tells how many there are, so both ways are timed.
 *
 * The worker stays with the copy for at most 30 us, and not when another command is there: no other fence can come
 * between, and what takes longer gets a fence of the device's. The worker's only thread.
 */
#ifndef VGPU_WORKER_PROMPT_FENCE_H
#define VGPU_WORKER_PROMPT_FENCE_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_session;
struct vgpu_request;

enum vgpu_fence_way { VGPU_FENCE_BY_DEVICE, VGPU_FENCE_BY_EVENT, VGPU_FENCE_WAYS };

struct vgpu_prompt_fence {
	CUevent event;		/* NULL until it is first used */
	uint32_t context;	/* low half of the wire id of the one that owns it */
	uint32_t copies;
	enum vgpu_fence_way present;	/* but for trials */
	uint32_t ns[VGPU_FENCE_WAYS];	/* from the end of the enqueuing to the fence, smoothed; 0: not known */
};

/* As vgpu_fence_write(), behind a copy of so many bytes. */
CUresult vgpu_prompt_fence_write(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream, uint32_t index,
				 uint64_t value, uint64_t bytes);

/* The context is gone. */
void vgpu_prompt_fence_drop_context(struct vgpu_session *s, uint32_t context);

/* The session ends, its contexts are still there. */
void vgpu_prompt_fence_free(struct vgpu_session *s);

#endif
