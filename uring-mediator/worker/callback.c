/* SPDX-License-Identifier: MIT */
/*
 * Host functions of the guest in a stream.  When the stream comes to one, a thread of the driver puts its cookie into
 * the reverse ring (a command with operation host_call whose args are the cookie); the stream then waits until the
 * guest has set the fence word that says the function has returned.  Driver threads produce, under a lock; the guest
 * consumes.  A guest that does not consume holds up its own streams only.
 *
 * A function in a graph is called at each launch, so there is no value that a stream could wait for: there the driver's
 * thread itself waits until the guest has answered (vgpu_callback_post).
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"
#include "session.h"

#define FLAG_GO_ON	1u
#define POLLS		200u		/* looks for an answer before the first nap */
#define NAP_MAX_NS	100000

struct vgpu_callbacks {
	pthread_mutex_t lock;
	struct vgpu_producer producer;
	uint64_t seq;
	uint32_t word;			/* fence word of answers, 0: none yet */
	uint64_t asked;			/* last value asked for on it */
	_Atomic uint64_t *answers;	/* the word */
	_Atomic bool ending;		/* the session ends: deliver nothing more */
	struct vgpu_host_records *records;	/* of the session that has ended */
	struct vgpu_callbacks *next;	/* of those that have ended */
};

struct call {
	struct vgpu_callbacks *callbacks;
	uint64_t cookie;
};

/* Lock held. */
static void deliver(struct vgpu_callbacks *c, const void *args, uint32_t size)
{
	uint32_t bytes = ((uint32_t)sizeof(struct vgpu_cmd) + size + VGPU_CMD_ALIGN - 1) & ~(VGPU_CMD_ALIGN - 1);
	const struct timespec nap = { .tv_nsec = 200000 };
	struct vgpu_cmd *cmd;

	do {
		if (atomic_load(&c->ending))
			return;		/* the ring may be gone */
		cmd = vgpu_producer_reserve(&c->producer, bytes);
		if (!cmd)
			nanosleep(&nap, NULL);
	} while (!cmd);
	*cmd = (struct vgpu_cmd){ .size = bytes, .op = VGPU_OP_host_call, .args_size = size, .seq = ++c->seq };
	memcpy(cmd + 1, args, size);
	vgpu_producer_publish(&c->producer, bytes);
}

/* Runs on a thread of the driver, which may not call the driver. */
static void arrived(void *data)
{
	struct call *call = data;
	struct vgpu_callbacks *c = call->callbacks;

	pthread_mutex_lock(&c->lock);
	deliver(c, &call->cookie, sizeof(call->cookie));
	pthread_mutex_unlock(&c->lock);
	free(call);
}

struct vgpu_callbacks *vgpu_callbacks_of(struct vgpu_session *s)
{
	struct vgpu_callbacks *c = s->callbacks;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	vgpu_producer_init(&c->producer, &s->channel->reverse, s->channel->reverse_data, VGPU_REVERSE_BYTES);
	c->producer.tail &= ~(uint64_t)(VGPU_CMD_ALIGN - 1);
	s->callbacks = c;
	return c;
}

CUresult vgpu_callback_word(struct vgpu_session *s, uint64_t word)
{
	struct vgpu_callbacks *c = vgpu_callbacks_of(s);

	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (!word || word >= VGPU_FENCES || (c->word && c->word != word))
		return CUDA_ERROR_INVALID_VALUE;
	if (c->word)
		return CUDA_SUCCESS;
	/* Values only grow, across the owners of a word: go on from what an earlier one left. */
	c->answers = &s->channel->fences[word];
	c->asked = atomic_load_explicit(c->answers, memory_order_acquire);
	c->word = (uint32_t)word;
	return CUDA_SUCCESS;
}

/* The guest answers in the order of the ring, so a later answer is an answer, too. */
static void await(struct vgpu_callbacks *c, uint64_t value)
{
	struct timespec nap = { .tv_nsec = 2000 };

	for (uint32_t i = 0; (int64_t)(atomic_load_explicit(c->answers, memory_order_acquire) - value) < 0; i++) {
		if (atomic_load(&c->ending))
			return;
		if (i < POLLS) {
			sched_yield();
			continue;
		}
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_MAX_NS)
			nap.tv_nsec += nap.tv_nsec / 8;
	}
}

void vgpu_callback_post(struct vgpu_callbacks *c, struct vgpu_host_run *run)
{
	pthread_mutex_lock(&c->lock);
	if (run->flags & VGPU_HOST_RUN_ANSWER) {
		run->word = c->word;
		run->value = ++c->asked;
	}
	deliver(c, run, sizeof(*run));
	pthread_mutex_unlock(&c->lock);
	if (run->flags & VGPU_HOST_RUN_ANSWER)
		await(c, run->value);
}

static CUresult enqueue(struct vgpu_session *s, CUstream stream, uint64_t cookie)
{
	struct vgpu_callbacks *c = vgpu_callbacks_of(s);
	struct call *call = c ? malloc(sizeof(*call)) : NULL;
	CUresult r;

	if (!call)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*call = (struct call){ c, cookie };
	r = s->drv->cuLaunchHostFunc(stream, arrived, call);
	if (r)
		free(call);
	return r;
}

CUresult vgpu_handle_host_call(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_host_call *a = rq->args;
	void *stream;
	CUresult r;

	if (a->flags & ~FLAG_GO_ON || a->done_fence >= VGPU_FENCES || (!a->flags && !a->done_fence))
		return vgpu_session_broken(s, "host_call with fence word %u", a->done_fence);
	if (!s->drv->cuLaunchHostFunc || (!a->flags && !s->drv->cuStreamWaitValue64_v2))
		return CUDA_ERROR_NOT_SUPPORTED;
	r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);
	if (!r)
		r = enqueue(s, stream, a->cookie);
	if (r || a->flags)
		return r;
	return s->drv->cuStreamWaitValue64_v2(stream, (CUdeviceptr)(uintptr_t)&s->channel->fences[a->done_fence],
					      a->done_value, CU_STREAM_WAIT_VALUE_GEQ);
}

void vgpu_callbacks_end(struct vgpu_session *s)
{
	/* Not freed: a thread of the driver may still come by. The process ends soon. */
	static struct vgpu_callbacks *ended;
	struct vgpu_callbacks *c = s->callbacks;

	if (!c)
		return;
	atomic_store(&c->ending, true);
	pthread_mutex_lock(&c->lock);	/* whoever is writing to the ring is done */
	pthread_mutex_unlock(&c->lock);
	c->records = s->host_records;
	c->next = ended;
	ended = c;
}
