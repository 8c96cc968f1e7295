/* SPDX-License-Identifier: MIT */
/*
 * What belongs to one thread of the application: whether it is inside the
 * shim, its current context and context stack, its default streams. Lives in
 * the static TLS block: a few words, reached without a call.
 */
#ifndef VGPU_SHIM_THREAD_H
#define VGPU_SHIM_THREAD_H

#include <pthread.h>
#include <stdint.h>

struct vgpu_context;
struct vgpu_stream;
struct vgpu_thread_streams;

struct vgpu_thread {
	uint32_t busy;			/* locks held: a signal handler that sees it must not call */
	uint32_t id;			/* kernel thread id, 0 until asked */
	struct vgpu_context *current;	/* top of the stack, NULL: none */
	struct vgpu_context **stack;	/* below the top */
	uint32_t depth, room;
	struct vgpu_thread_streams *streams;	/* stream.c */
	struct vgpu_stream *touched[2];	/* streams that the command being made will use */
	int32_t capture_mode;
};

extern __thread struct vgpu_thread vgpu_thread __attribute__((tls_model("initial-exec")));

/* A detached thread that takes no signal; `argument` is its own from then on. 0 or -errno, and there is none. */
int vgpu_thread_start(void *(*run)(void *), void *argument);

/*
 * This thread's next command uses the stream. Kept here until that command is
 * published, because only then, under the channel's lock, may the stream be called dirty: earlier, another
 * thread's fence could slip in between and be taken for one that covers it.
 */
static inline void vgpu_touch(struct vgpu_stream *s)
{
	if (vgpu_thread.touched[0] == s)
		return;
	vgpu_thread.touched[1] = vgpu_thread.touched[0];
	vgpu_thread.touched[0] = s;
}

/* The shim's own locks: never taken by a signal handler on top of this thread's work. */
static inline void vgpu_lock(pthread_mutex_t *m)
{
	vgpu_thread.busy++;
	__asm__ volatile("" ::: "memory");
	pthread_mutex_lock(m);
}

static inline void vgpu_unlock(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
	__asm__ volatile("" ::: "memory");
	vgpu_thread.busy--;
}

#endif
