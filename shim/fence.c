/* SPDX-License-Identifier: MIT */
/*
 * Who uses which fence word, and waiting for one. The table of words is under
 * a mutex; waiting takes no lock.
 */
#include "fence.h"

#include <pthread.h>

#include "channel.h"
#include "thread.h"
#include "wait.h"

/* Words wait in a queue until the last value of their former stream has arrived. */
static struct {
	pthread_mutex_t lock;
	uint32_t fresh;				/* words below it have been used */
	uint32_t head, tail;			/* of the queue, free-running */
	uint16_t queue[VGPU_FENCES];
	uint64_t issued[VGPU_FENCES];
} words = { .lock = PTHREAD_MUTEX_INITIALIZER, .fresh = 1 };

uint32_t vgpu_fence_word_get(uint64_t *issued)
{
	uint32_t n, tries, word = 0;

	vgpu_lock(&words.lock);
	tries = words.tail - words.head;
	while (!word && tries--) {
		n = words.queue[words.head++ % VGPU_FENCES];
		if (vgpu_fence_seen(n) >= words.issued[n])
			word = n;
		else
			words.queue[words.tail++ % VGPU_FENCES] = (uint16_t)n;
		if (!word && words.fresh < VGPU_FENCES)
			break;		/* fresh ones are cheaper than a long search */
	}
	if (!word && words.fresh < VGPU_FENCES)
		word = words.fresh++;
	*issued = words.issued[word];
	vgpu_unlock(&words.lock);
	return word;
}

void vgpu_fence_word_put(uint32_t word, uint64_t issued)
{
	vgpu_lock(&words.lock);
	words.issued[word] = issued;
	words.queue[words.tail++ % VGPU_FENCES] = (uint16_t)word;
	vgpu_unlock(&words.lock);
}

CUresult vgpu_fence_wait(vgpu_fence f)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	CUresult r;

	if (vgpu_fence_done(f))
		return CUDA_SUCCESS;
	vgpu_channel_flush();
	atomic_fetch_add_explicit(&vgpu_counters()->fence_waits, 1, memory_order_relaxed);
	while (!vgpu_fence_done(f)) {
		r = vgpu_error_sticky();
		if (r)
			return r;
		if (!vgpu_wait_step(&w))
			continue;
		r = vgpu_session_check();
		if (r)
			return r;
	}
	atomic_fetch_add_explicit(&vgpu_counters()->fences_seen, 1, memory_order_relaxed);
	return CUDA_SUCCESS;
}
