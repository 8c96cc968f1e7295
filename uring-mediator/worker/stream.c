/* SPDX-License-Identifier: MIT */
/*
 * Streams, events and fences.  A fence is a 64-bit word of the channel that the device itself writes when a stream
 * comes to it; nothing of this process stands between the two.  Streams that nobody created (per-thread default
 * streams) are made here on first use, one for each guest thread and context.  The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

struct vgpu_thread_stream {
	uint32_t index;		/* of the wire id */
	uint32_t context;
	CUstream stream;
};

CUresult vgpu_stream_builtin(struct vgpu_session *s, uint64_t id, void **obj)
{
	uint32_t index = vgpu_handle_index(id);
	struct vgpu_thread_stream *t;
	CUresult r;

	*obj = NULL;	/* the legacy default stream */
	if (!id || id == vgpu_handle_make(VGPU_HANDLE_STREAM, 0, VGPU_STREAM_INDEX_LEGACY))
		return CUDA_SUCCESS;
	if (vgpu_handle_kind_of(id) != VGPU_HANDLE_STREAM || vgpu_handle_generation(id) || !index)
		return CUDA_ERROR_INVALID_HANDLE;
	for (uint32_t i = 0; i < s->thread_stream_count; i++) {
		t = &s->thread_streams[i];
		if (t->index == index && t->context == s->context) {
			*obj = t->stream;
			return CUDA_SUCCESS;
		}
	}
	t = realloc(s->thread_streams, (s->thread_stream_count + 1) * sizeof(*t));
	if (!t)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->thread_streams = t;
	t += s->thread_stream_count;
	*t = (struct vgpu_thread_stream){ index, s->context, NULL };
	r = s->drv->cuStreamCreate ? s->drv->cuStreamCreate(&t->stream, CU_STREAM_DEFAULT) : CUDA_ERROR_NOT_SUPPORTED;
	if (r)
		return r;
	s->thread_stream_count++;
	*obj = t->stream;
	return CUDA_SUCCESS;
}

void vgpu_stream_release(struct vgpu_session *s)
{
	for (uint32_t i = 0; i < s->thread_stream_count; i++)
		if (s->drv->cuStreamDestroy_v2)
			s->drv->cuStreamDestroy_v2(s->thread_streams[i].stream);
	s->thread_stream_count = 0;
}

void vgpu_stream_drop_context(struct vgpu_session *s, uint32_t context)
{
	for (uint32_t i = 0; i < s->thread_stream_count;) {
		if (s->thread_streams[i].context == context)
			s->thread_streams[i] = s->thread_streams[--s->thread_stream_count];
		else
			i++;
	}
}

CUresult vgpu_fence_fail(struct vgpu_session *s, struct vgpu_request *rq, uint32_t index, uint64_t value,
			 CUresult result)
{
	if (index >= VGPU_FENCES)
		return vgpu_session_broken(s, "fence word %u", index);
	rq->late_fence = index;
	rq->late_value = value;
	return result;
}

CUresult vgpu_fence_write(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream, uint32_t index,
			  uint64_t value)
{
	CUdeviceptr at;
	CUresult r;

	if (!index)
		return CUDA_SUCCESS;
	if (index >= VGPU_FENCES)
		return vgpu_session_broken(s, "fence word %u", index);
	if (!s->drv->cuStreamWriteValue64_v2)
		return vgpu_fence_fail(s, rq, index, value, CUDA_ERROR_NOT_SUPPORTED);
	vgpu_timeline_end(s, rq);
	at = (CUdeviceptr)(uintptr_t)&s->channel->fences[index];
	r = s->drv->cuStreamWriteValue64_v2(stream, at, value, CU_STREAM_WRITE_VALUE_DEFAULT);
	if (r)
		return vgpu_fence_fail(s, rq, index, value, r);
	vgpu_count(&s->stats->fences, 1);
	vgpu_watchdog_expect(&s->watchdog, index, value);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_fence(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_fence *a = rq->args;
	void *stream;
	CUresult r;

	if (!a->fence || a->fence >= VGPU_FENCES)
		return vgpu_session_broken(s, "fence word %u", a->fence);
	rq->stream = a->stream;
	if (!a->stream) {
		atomic_store_explicit(&s->channel->fences[a->fence], a->value, memory_order_release);
		vgpu_count(&s->stats->fences, 1);
		return CUDA_SUCCESS;
	}
	r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->value, r);
	return vgpu_fence_write(s, rq, stream, a->fence, a->value);
}

CUresult vgpu_handle_stream_query(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_query *a = rq->args;
	void *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (r)
		return r;
	return s->drv->cuStreamQuery ? s->drv->cuStreamQuery(stream) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_stream_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_create *a = rq->args;
	CUstream stream = NULL;
	CUresult r;

	if (vgpu_handle_index(a->stream) < VGPU_STREAM_INDEX_FIRST)
		return vgpu_session_broken(s, "stream_create with a reserved index");
	if (!s->drv->cuStreamCreateWithPriority)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuStreamCreateWithPriority(&stream, a->flags, a->priority);
	return r ? r : vgpu_session_bind(s, VGPU_HANDLE_STREAM, a->stream, stream);
}

CUresult vgpu_handle_stream_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_destroy *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_STREAM, a->stream);
	CUresult r;

	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	vgpu_timeout_drop_stream(s, e->obj);
	r = s->drv->cuStreamDestroy_v2 ? s->drv->cuStreamDestroy_v2(e->obj) : CUDA_ERROR_NOT_SUPPORTED;
	vgpu_session_unbind(s, VGPU_HANDLE_STREAM, a->stream);
	return r;
}

CUresult vgpu_handle_stream_wait(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_stream_wait *a = rq->args;
	void *stream, *event;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, a->event, &event);
	if (r)
		return r;
	return s->drv->cuStreamWaitEvent ? s->drv->cuStreamWaitEvent(stream, event, a->flags) :
					   CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_event_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_event_create *a = rq->args;
	CUevent event = NULL;
	CUresult r;

	if (!s->drv->cuEventCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Nobody blocks on it here: how to wait is the guest's business. */
	r = s->drv->cuEventCreate(&event, a->flags & ~(uint32_t)CU_EVENT_BLOCKING_SYNC);
	return r ? r : vgpu_session_bind(s, VGPU_HANDLE_EVENT, a->event, event);
}

CUresult vgpu_handle_event_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_event_destroy *a = rq->args;
	struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_EVENT, a->event);
	CUresult r;

	if (!e)
		return CUDA_ERROR_INVALID_HANDLE;
	r = s->drv->cuEventDestroy_v2 ? s->drv->cuEventDestroy_v2(e->obj) : CUDA_ERROR_NOT_SUPPORTED;
	if (e->aux)
		vgpu_share_withdraw(s, VGPU_SHARE_EVENT, a->event);
	vgpu_session_unbind(s, VGPU_HANDLE_EVENT, a->event);
	return r;
}

static CUresult record(const struct vgpu_driver *drv, CUevent event, CUstream stream, uint32_t flags)
{
	if (flags)
		return drv->cuEventRecordWithFlags ? drv->cuEventRecordWithFlags(event, stream, flags) :
						     CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuEventRecord ? drv->cuEventRecord(event, stream) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_event_record(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_event_record *a = rq->args;
	void *stream = NULL, *event = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	rq->stream = a->stream;
	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, a->event, &event);
	if (!r)
		r = record(s->drv, event, stream, a->flags);
	if (r)
		return vgpu_fence_fail(s, rq, a->fence, a->value, r);
	return vgpu_fence_write(s, rq, stream, a->fence, a->value);
}

CUresult vgpu_handle_elapsed_time(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_elapsed_time *a = rq->args;
	struct vgpu_ret_elapsed_time *o = rq->ret;
	void *start, *end;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, a->start, &start);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_EVENT, a->end, &end);
	if (r)
		return r;
	rq->ret_size = sizeof(*o);
	if (s->drv->cuEventElapsedTime_v2)
		return s->drv->cuEventElapsedTime_v2(&o->milliseconds, start, end);
	return s->drv->cuEventElapsedTime ? s->drv->cuEventElapsedTime(&o->milliseconds, start, end) :
					    CUDA_ERROR_NOT_SUPPORTED;
}
