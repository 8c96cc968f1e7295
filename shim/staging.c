/* SPDX-License-Identifier: MIT */
/*
 * The staging slots of this process, made as they are first needed. A mutex
 * guards who holds which; the holder alone touches memory and fence.
 */
#include "staging.h"

#include <pthread.h>
#include <stddef.h>

#include "memory.h"
#include "session.h"
#include "thread.h"
#include "wait.h"

static struct {
	pthread_mutex_t lock;
	struct vgpu_staging slot[VGPU_STAGING_SLOTS];
	uint32_t next;		/* where the search begins: the slot used longest ago */
} staging = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t vgpu_staging_offset(const struct vgpu_staging *slot)
{
	return (uint64_t)(slot->memory - vgpu_session.base);
}

/* The next slot that nobody holds. `done`: only one whose fence has arrived. Locked. */
static struct vgpu_staging *pick(bool done)
{
	struct vgpu_staging *s;
	uint32_t i;

	for (i = 0; i < VGPU_STAGING_SLOTS; i++) {
		s = &staging.slot[(staging.next + i) % VGPU_STAGING_SLOTS];
		if (s->held || (done && !vgpu_fence_done(s->fence)))
			continue;
		if (!s->memory)
			s->memory = vgpu_arena_alloc(&vgpu_arena, VGPU_STAGING_BYTES);
		if (!s->memory)
			continue;
		s->held = 1;
		staging.next = (staging.next + i + 1) % VGPU_STAGING_SLOTS;
		return s;
	}
	return NULL;
}

struct vgpu_staging *vgpu_staging_try(void)
{
	struct vgpu_staging *s;

	vgpu_lock(&staging.lock);
	s = pick(true);
	vgpu_unlock(&staging.lock);
	return s;
}

CUresult vgpu_staging_get(struct vgpu_staging **slot)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	struct vgpu_staging *s;
	CUresult r;
	uint32_t i;

	for (;;) {
		vgpu_lock(&staging.lock);
		s = pick(true);
		if (!s)
			s = pick(false);
		for (i = 0; !s && i < VGPU_STAGING_SLOTS && !staging.slot[i].memory; i++)
			;
		vgpu_unlock(&staging.lock);
		if (s)
			break;
		if (i == VGPU_STAGING_SLOTS)
			return CUDA_ERROR_OUT_OF_MEMORY;	/* the arena is full and there was never a slot */
		if (vgpu_wait_step(&w)) {
			r = vgpu_session_check();
			if (r)
				return r;
		}
	}
	r = vgpu_fence_wait(s->fence);
	if (r) {
		vgpu_staging_put(s);
		return r;
	}
	*slot = s;
	return CUDA_SUCCESS;
}

void vgpu_staging_put(struct vgpu_staging *slot)
{
	vgpu_lock(&staging.lock);
	slot->held = 0;
	vgpu_unlock(&staging.lock);
}
