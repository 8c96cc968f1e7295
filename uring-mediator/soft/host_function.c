/* SPDX-License-Identifier: MIT */
/*
 * Functions of the program as part of a stream. They run one at a time on a thread of their own, so that one that
 * takes its time holds up its stream only.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

struct function_op {
	struct soft_op op;
	struct function_op *next; /* in the queue of the thread */
	CUhostFn fn;
	CUstreamCallback callback;
	CUstream handle;
	void *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct function_op *first, *last;
static bool started;

/* Lives as long as the process. */
static void *caller(void *arg)
{
	struct function_op *f;

	for (;;) {
		pthread_mutex_lock(&lock);
		while (!first)
			pthread_cond_wait(&some, &lock);
		f = first;
		first = f->next;
		pthread_mutex_unlock(&lock);
		if (f->fn)
			f->fn(f->data);
		else
			f->callback(f->handle, vgpu_soft_fault(), f->data);
		soft_handed_done(&f->op);
	}
	return arg;
}

static CUresult start_caller(void)
{
	sigset_t all, old;
	pthread_t thread;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!started) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = pthread_create(&thread, NULL, caller, NULL);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (!rc)
			pthread_detach(thread);
		started = !rc;
	}
	pthread_mutex_unlock(&lock);
	return rc ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static void hand_over(struct soft_op *op)
{
	struct function_op *f = (struct function_op *)op;

	pthread_mutex_lock(&lock);
	f->next = NULL;
	if (first)
		last->next = f;
	else
		first = f;
	last = f;
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
}

static CUresult capture(struct soft_stream *s, CUhostFn fn, void *data)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_HOST };

	p.host.fn = fn;
	p.host.userData = data;
	return fn ? soft_capture(s, &p, NULL) : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

static CUresult queue(CUstream handle, CUhostFn fn, CUstreamCallback callback, void *data)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	struct function_op *f;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	rc = start_caller();
	if (rc)
		return rc;
	rc = soft_stream_of(ctx, handle, &s);
	if (rc)
		return rc;
	if (soft_captured(s)) {
		rc = capture(s, fn, data);
		soft_put(&s->obj);
		return rc;
	}
	f = calloc(1, sizeof(*f));
	if (f) {
		f->op.run = hand_over;
		f->op.handed = true;
		/* A callback is told of the error; a host function is not called after one. */
		f->op.unconditional = callback;
		f->fn = fn;
		f->callback = callback;
		f->handle = handle;
		f->data = data;
		soft_submit(s, &f->op);
	}
	soft_put(&s->obj);
	return f ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult soft_cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *data)
{
	return fn ? queue(stream, fn, NULL, data) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *data, unsigned int flags)
{
	return callback && !flags ? queue(stream, NULL, callback, data) : CUDA_ERROR_INVALID_VALUE;
}

void soft_fill_host_function(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuLaunchHostFunc);
	SOFT_SLOT(d, cuStreamAddCallback);
}
