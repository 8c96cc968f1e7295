/* SPDX-License-Identifier: MIT */
/*
 * Host functions of the guest in a stream.  When the stream comes to one, a thread of the driver puts its cookie into
 * the reverse ring (a command with operation host_call whose args are the cookie); the stream then waits until the
 * guest has set the fence word that says the function has returned.  Driver threads produce, under a lock; the guest
 * consumes.  A guest that does not consume holds up its own streams only.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

#define FLAG_GO_ON	1u

struct vgpu_callbacks {
	pthread_mutex_t lock;
	struct vgpu_producer producer;
	uint64_t seq;
	_Atomic bool ending;		/* the session ends: deliver nothing more */
};

struct call {
	struct vgpu_callbacks *callbacks;
	uint64_t cookie;
};

static void deliver(struct vgpu_callbacks *c, uint64_t cookie)
{
	const struct timespec nap = { .tv_nsec = 200000 };
	struct vgpu_cmd *cmd;

	while (!(cmd = vgpu_producer_reserve(&c->producer, VGPU_CMD_ALIGN))) {
		if (atomic_load(&c->ending))
			return;
		nanosleep(&nap, NULL);
	}
	*cmd = (struct vgpu_cmd){ .size = VGPU_CMD_ALIGN, .op = VGPU_OP_host_call, .args_size = sizeof(cookie),
				  .seq = ++c->seq };
	memcpy(cmd + 1, &cookie, sizeof(cookie));
	vgpu_producer_publish(&c->producer, VGPU_CMD_ALIGN);
}

/* Runs on a thread of the driver, which may not call the driver. */
static void arrived(void *data)
{
	struct call *call = data;
	struct vgpu_callbacks *c = call->callbacks;

	pthread_mutex_lock(&c->lock);
	deliver(c, call->cookie);
	pthread_mutex_unlock(&c->lock);
	free(call);
}

static struct vgpu_callbacks *callbacks_of(struct vgpu_session *s)
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

static CUresult enqueue(struct vgpu_session *s, CUstream stream, uint64_t cookie)
{
	struct vgpu_callbacks *c = callbacks_of(s);
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
	if (s->callbacks)
		atomic_store(&s->callbacks->ending, true);
}
