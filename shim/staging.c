/* SPDX-License-Identifier: MIT */
/*
 * The staging slots of this process, made as they are first needed. A mutex
 * guards who holds which; the holder alone touches memory and fence.
 */
#include "staging.h"

#include <pthread.h>
#include <stddef.h>

#include "crew.h"
#include "memory.h"
#include "session.h"
#include "thread.h"
#include "wait.h"

#define LARGE_ARENA	(256ull << 20)	/* bytes: what slots take of it is not missed */

static struct {
	pthread_mutex_t lock;
	struct vgpu_staging slot[VGPU_STAGING_SLOTS];
	uint64_t uses;		/* slots given out so far */
} staging = { .lock = PTHREAD_MUTEX_INITIALIZER };

uint64_t vgpu_staging_offset(const struct vgpu_staging *slot)
{
	return (uint64_t)(slot->memory - vgpu_session.base);
}

static bool large(void)
{
	return vgpu_crew_size() > 1 &&
	       (uint64_t)vgpu_arena.extent_count * vgpu_arena.extent_size >= LARGE_ARENA;
}

uint64_t vgpu_staging_bytes(void)
{
	return large() ? 2 * VGPU_STAGING_BYTES : VGPU_STAGING_BYTES;
}

/* Locked. */
static uint64_t missing(void)
{
	uint64_t slots = 0;
	uint32_t i;

	for (i = 0; i < VGPU_STAGING_SLOTS; i++)
		slots += !staging.slot[i].memory;
	return large() ? slots * vgpu_staging_bytes() : 0;
}

uint64_t vgpu_staging_missing(void)
{
	uint64_t bytes;

	vgpu_lock(&staging.lock);
	bytes = missing();
	vgpu_unlock(&staging.lock);
	return bytes;
}

/*
 * Memory for slot i. Who needs a second one copies much, and will want the others soon: the worker registers room for them
 * while this thread copies. Locked.
 */
static void *make(uint32_t i)
{
	void *memory = vgpu_arena_alloc(&vgpu_arena, vgpu_staging_bytes());
	uint64_t more = memory && i ? missing() : 0;

	/* The one being made counts as missing still. */
	if (more > vgpu_staging_bytes())
		vgpu_arena_prepare(&vgpu_arena, more - vgpu_staging_bytes());
	return memory;
}

/*
 * A slot that nobody holds. `done`: the first whose fence has arrived, so that few are in use and these stay in the
 * cache; else the one used longest ago. Locked.
 */
static struct vgpu_staging *pick(bool done)
{
	struct vgpu_staging *s, *best = NULL;
	uint32_t i;

	for (i = 0; i < VGPU_STAGING_SLOTS && !(best && done); i++) {
		s = &staging.slot[i];
		if (s->held || (done && !vgpu_fence_done(s->fence)))
			continue;
		if (!s->memory)
			s->memory = make(i);
		if (s->memory && (!best || s->used < best->used))
			best = s;
	}
	if (best) {
		best->held = 1;
		best->used = ++staging.uses;
	}
	return best;
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
