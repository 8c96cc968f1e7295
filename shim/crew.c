/* SPDX-License-Identifier: MIT */
/*
 * The helpers. `turn` is held by the call that has them, so a second call,
 * or a signal handler, does its work alone; `lock` guards the seats of the job
 * that helpers may still take, for a few instructions at a time.
 */
#include "crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <vgpu/cores.h>

#include "config.h"
#include "thread.h"
#include "wait.h"

#define SIZE_MOST	6u	/* more threads than this find the memory busy */

static struct {
	pthread_mutex_t turn;
	uint32_t started;		/* helpers made; under turn */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint32_t seats;			/* helpers that may still join the job; under lock, with all that follows */
	void (*work)(void *job);
	void *job;
	struct vgpu_context *context;
	_Atomic uint32_t inside;	/* helpers at work */
} crew = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
};

uint32_t vgpu_crew_size(void)
{
	static _Atomic uint32_t size;
	uint32_t n = atomic_load_explicit(&size, memory_order_relaxed);

	if (n)
		return n;
	n = vgpu_config.copy_threads;
	if (!n) {
		n = vgpu_cores();
		n = n < 3 ? 1 : n - 1 < SIZE_MOST ? n - 1 : SIZE_MOST;
	}
	atomic_store_explicit(&size, n, memory_order_relaxed);
	return n;
}

static void *helper(void *unused)
{
	void (*work)(void *job);
	void *job;

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&crew.lock);
		while (!crew.seats)
			pthread_cond_wait(&crew.wake, &crew.lock);
		crew.seats--;
		work = crew.work;
		job = crew.job;
		vgpu_thread.current = crew.context;
		atomic_fetch_add_explicit(&crew.inside, 1, memory_order_relaxed);
		pthread_mutex_unlock(&crew.lock);
		work(job);
		vgpu_thread.current = NULL;
		atomic_fetch_sub_explicit(&crew.inside, 1, memory_order_release);
	}
	return NULL;
}

static void offer(void (*work)(void *job), void *job, uint32_t seats)
{
	uint32_t i;

	pthread_mutex_lock(&crew.lock);
	crew.work = work;
	crew.job = job;
	crew.context = vgpu_thread.current;
	crew.seats = seats;
	pthread_mutex_unlock(&crew.lock);
	for (i = 0; i < seats; i++)
		pthread_cond_signal(&crew.wake);
}

void vgpu_crew_run(void (*work)(void *job), void *job, uint32_t more)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;

	if (more > vgpu_crew_size() - 1)
		more = vgpu_crew_size() - 1;
	if (!more || pthread_mutex_trylock(&crew.turn)) {
		work(job);
		return;
	}
	while (crew.started < more && !vgpu_thread_start(helper, NULL))
		crew.started++;
	offer(work, job, more < crew.started ? more : crew.started);
	work(job);
	/* Who has not come by now finds no seat. */
	pthread_mutex_lock(&crew.lock);
	crew.seats = 0;
	pthread_mutex_unlock(&crew.lock);
	while (atomic_load_explicit(&crew.inside, memory_order_acquire))
		vgpu_wait_step(&w);
	pthread_mutex_unlock(&crew.turn);
}
