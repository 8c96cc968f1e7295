/* SPDX-License-Identifier: MIT */
/*
 * Host functions in streams. The worker tells through the reverse ring that
 * a stream has come to one; a thread of ours calls it and then sets the
 * fence word that the stream waits for. Each stream has a word of its own for
 * this, since functions of different streams end in any order.
 *
 * Functions in graphs are the worker's to name: it sends function and data, and
 * waits for one word of the process (vgpu/reverse.h). How many such calls are to
 * come is counted here, from launches of graphs and from user objects, whose
 * destructors are called the same way.
 *
 * The thread starts with the first function. It sleeps while none is queued or
 * expected and otherwise waits as everybody does (wait.h). Inside a function CUDA calls are
 * CUDA_ERROR_NOT_PERMITTED, as natively.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>
#include <vgpu/reverse.h>

#include "call.h"
#include "channel.h"
#include "capture.h"
#include "context.h"
#include "graph.h"
#include "handle.h"
#include "log.h"
#include "mirror.h"
#include "session.h"
#include "stream.h"
#include "thread.h"
#include "wait.h"

struct record {
	struct record *next, *prev;
	uint64_t cookie;
	CUhostFn fn;			/* or */
	CUstreamCallback callback;
	CUstream stream;		/* for the callback */
	void *data;
	uint32_t word;
	uint64_t value;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool started;
	uint64_t cookies;
	struct record queued;		/* head of a ring: functions not called yet */
	int64_t expected;		/* calls that the worker will ask for by itself */
	uint32_t word;			/* for answers to those, 0: none yet */
	struct vgpu_consumer consumer;	/* the thread's */
} calls = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.queued = { .next = &calls.queued, .prev = &calls.queued },
};

static bool idle(void)
{
	return calls.queued.next == &calls.queued && calls.expected <= 0;
}

static void unlink_record(struct record *r)
{
	r->prev->next = r->next;
	r->next->prev = r->prev;
}

static struct record *take(uint64_t cookie)
{
	struct record *r;

	vgpu_lock(&calls.lock);
	for (r = calls.queued.next; r != &calls.queued && r->cookie != cookie; r = r->next)
		;
	if (r == &calls.queued)
		r = NULL;
	else
		unlink_record(r);
	vgpu_unlock(&calls.lock);
	return r;
}

static void expect(int64_t count)
{
	vgpu_lock(&calls.lock);
	calls.expected += count;
	vgpu_unlock(&calls.lock);
}

/* A function that the worker names. */
static void run_named(const struct vgpu_host_run *h)
{
	if (h->flags & VGPU_HOST_RUN_LOST) {
		expect(-(int64_t)h->data);
		return;
	}
	vgpu_mirror_pull();
	vgpu_thread.busy++;
	((CUhostFn)(uintptr_t)h->fn)((void *)(uintptr_t)h->data);
	vgpu_thread.busy--;
	vgpu_mirror_push();
	expect(-1);
	if (h->flags & VGPU_HOST_RUN_ANSWER && h->word < VGPU_FENCES)
		atomic_store_explicit(&vgpu_session.channel->fences[h->word], h->value, memory_order_release);
	else	/* a destructor: the user object is gone */
		vgpu_handle_drop(VGPU_HANDLE_USEROBJECT, h->value);
}

static void run(const struct vgpu_cmd *cmd)
{
	struct vgpu_host_run named;
	struct record *r;
	uint64_t cookie;

	if (cmd->op != VGPU_OP_host_call || cmd->args_size < sizeof(cookie))
		return;
	memcpy(&cookie, cmd + 1, sizeof(cookie));
	if (!cookie && cmd->args_size == sizeof(named)) {
		memcpy(&named, cmd + 1, sizeof(named));
		run_named(&named);
		return;
	}
	r = take(cookie);
	if (!r)
		return;
	vgpu_mirror_pull();
	vgpu_thread.busy++;
	if (r->fn)
		r->fn(r->data);
	else
		r->callback(r->stream, vgpu_error_sticky(), r->data);
	vgpu_thread.busy--;
	vgpu_mirror_push();
	atomic_store_explicit(&vgpu_session.channel->fences[r->word], r->value, memory_order_release);
	free(r);
}

static void forget_all(void)
{
	struct record *r;

	vgpu_lock(&calls.lock);
	while ((r = calls.queued.next) != &calls.queued) {
		unlink_record(r);
		free(r);
	}
	calls.expected = 0;
	vgpu_unlock(&calls.lock);
}

/* A function is queued: take what comes until none is. False when the session is over. */
static bool serve(void *buffer)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	int n;

	for (;;) {
		n = vgpu_consumer_take(&calls.consumer, buffer);
		if (n < 0) {
			vgpu_error("the ring for host functions holds nonsense: no host function is called any more");
			return false;
		}
		if (n > 0) {
			run(buffer);
			w = (struct vgpu_wait)VGPU_WAIT_INIT;
			vgpu_lock(&calls.lock);
			n = idle();
			vgpu_unlock(&calls.lock);
			if (n)
				return true;
			continue;
		}
		if (!vgpu_wait_step(&w))
			continue;
		if (vgpu_session_check())
			return false;
		if (vgpu_error_sticky()) {	/* no stream comes to its functions any more */
			forget_all();
			return true;
		}
	}
}

static void *server(void *buffer)
{
	do {
		pthread_mutex_lock(&calls.lock);
		while (idle())
			pthread_cond_wait(&calls.work, &calls.lock);
		pthread_mutex_unlock(&calls.lock);
	} while (serve(buffer));
	free(buffer);
	return NULL;
}

/* Under the lock. */
static CUresult start(void)
{
	struct vgpu_channel *ch = vgpu_session.channel;
	void *buffer = aligned_alloc(VGPU_CMD_ALIGN, VGPU_CMD_MAX);

	if (!buffer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	vgpu_consumer_init(&calls.consumer, &ch->reverse, ch->reverse_data, VGPU_REVERSE_BYTES);
	if (vgpu_thread_start(server, buffer)) {
		free(buffer);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	calls.started = true;
	return CUDA_SUCCESS;
}

static CUresult announce(struct record *rec)
{
	CUresult r = CUDA_SUCCESS;

	vgpu_lock(&calls.lock);
	if (!calls.started)
		r = start();
	if (!r) {
		rec->cookie = ++calls.cookies;
		rec->next = &calls.queued;
		rec->prev = calls.queued.prev;
		rec->prev->next = rec->next->prev = rec;
		pthread_cond_signal(&calls.work);
	}
	vgpu_unlock(&calls.lock);
	return r;
}

CUresult vgpu_host_expect(int64_t count)
{
	CUresult r = CUDA_SUCCESS;

	vgpu_lock(&calls.lock);
	if (!calls.started)
		r = start();
	if (!r) {
		calls.expected += count;
		pthread_cond_signal(&calls.work);
	}
	vgpu_unlock(&calls.lock);
	return r;
}

CUresult vgpu_host_word(uint64_t *word)
{
	uint64_t issued;

	vgpu_lock(&calls.lock);
	if (!calls.word)
		calls.word = vgpu_fence_word_get(&issued);
	*word = calls.word;
	vgpu_unlock(&calls.lock);
	return *word ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* The stream's word for host functions, made with its first one. */
static CUresult word_of(struct vgpu_stream *s)
{
	uint64_t issued;
	uint32_t word;

	vgpu_lock(&calls.lock);
	if (!s->call_word) {
		word = vgpu_fence_word_get(&issued);
		s->call_issued = issued;
		s->call_word = word;
	}
	vgpu_unlock(&calls.lock);
	return s->call_word ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult send(struct vgpu_stream *s, struct record *rec)
{
	struct vgpu_args_host_call *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_host_call, sizeof(*a), 0, VGPU_CALL_CONTEXT);

	if (r)
		return r;
	/* Numbered under the channel's lock, so that the stream comes to them in this order. */
	rec->word = s->call_word;
	rec->value = ++s->call_issued;
	a = c.args;
	a->stream = s->wire;
	a->cookie = rec->cookie;
	a->done_fence = rec->word;
	a->done_value = rec->value;
	vgpu_touch(s);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

/* In a capture: a node, which the worker calls by function and data whenever its graph runs. */
static CUresult capture(struct vgpu_stream *s, const struct record *wanted)
{
	struct vgpu_args_capture_host_call *a;
	struct vgpu_call c;
	uint64_t word;
	CUresult r;

	if (!wanted->fn)	/* as natively: callbacks are told of errors, which a graph has not */
		return vgpu_capture_invalidate(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	r = vgpu_host_word(&word);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_capture_host_call, sizeof(*a), 0, VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	a->fn = (uint64_t)(uintptr_t)wanted->fn;
	a->data = (uint64_t)(uintptr_t)wanted->data;
	a->word = (uint32_t)word;
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

static CUresult queue(CUstream stream, const struct record *wanted)
{
	struct vgpu_stream *s;
	struct record *rec;
	CUresult r;

	r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (s->capture != CU_STREAM_CAPTURE_STATUS_NONE)
		return capture(s, wanted);
	r = word_of(s);
	if (r)
		return r;
	rec = malloc(sizeof(*rec));
	if (!rec)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*rec = *wanted;
	r = announce(rec);
	if (r) {
		free(rec);
		return r;
	}
	r = send(s, rec);
	if (r)
		free(take(rec->cookie));
	return r;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *user_data)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	return queue(stream, &(struct record){ .fn = fn, .data = user_data });
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void *user_data, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!callback || flags)
		return CUDA_ERROR_INVALID_VALUE;
	return queue(stream, &(struct record){ .callback = callback, .stream = stream, .data = user_data });
}
