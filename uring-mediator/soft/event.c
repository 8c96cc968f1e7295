/* SPDX-License-Identifier: MIT */
/*
 * Events. An event points at its latest mark: a (stream, number) pair, complete when the stream reached the number,
 * with the time when that happened. Marks are counted, since an operation in a queue and the event both hold one. A
 * mutex in the event guards which mark it points at. Records of an event that other processes know are in event_shared.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "calls.h"
#include "context.h"
#include "event.h"
#include "graph.h"

struct mark {
	atomic_uint refs;
	struct soft_stream *stream; /* a reference */
	uint64_t seq;               /* known when the event points here */
	_Atomic uint64_t time;      /* ns; valid when complete */
};

struct soft_event {
	struct soft_object obj;
	unsigned flags;
	pthread_mutex_t lock;
	struct mark *mark; /* NULL: never recorded */
	struct soft_shared_event *shared; /* NULL: of this process only */
};

struct record_op {
	struct soft_op op;
	struct mark *mark;
};

static void put_mark(struct mark *m)
{
	if (m && atomic_fetch_sub(&m->refs, 1) == 1) {
		soft_put(&m->stream->obj);
		free(m);
	}
}

static struct mark *get_mark(struct soft_event *e)
{
	struct mark *m;

	pthread_mutex_lock(&e->lock);
	m = e->mark;
	if (m)
		atomic_fetch_add(&m->refs, 1);
	pthread_mutex_unlock(&e->lock);
	return m;
}

static void release(struct soft_object *o)
{
	struct soft_event *e = (struct soft_event *)o;

	put_mark(e->mark);
	if (e->shared)
		soft_shared_put(e->shared);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_event(CUevent handle, struct soft_context **ctx, struct soft_event **e)
{
	CUresult rc = soft_enter(ctx);

	*e = soft_enter_object(&rc, (uint64_t)(uintptr_t)handle, SOFT_EVENT, true);
	return rc;
}

/* @shared is the event's from now on, also on failure. */
static CUresult make(struct soft_context *ctx, unsigned flags, struct soft_shared_event *shared, CUevent *out)
{
	struct soft_event *e = calloc(1, sizeof(*e));

	if (!e) {
		if (shared)
			soft_shared_put(shared);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	soft_object_init(&e->obj, SOFT_EVENT, ctx, release);
	pthread_mutex_init(&e->lock, NULL);
	e->flags = flags;
	e->shared = shared;
	if (soft_bind(&e->obj) < 0) {
		soft_put(&e->obj);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = (CUevent)(uintptr_t)e->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult soft_cuEventCreate(CUevent *out, unsigned int flags)
{
	struct soft_shared_event *shared = NULL;
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	if (!out || flags & ~(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS) ||
	    (flags & CU_EVENT_INTERPROCESS && !(flags & CU_EVENT_DISABLE_TIMING)))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_EVENT_INTERPROCESS) {
		shared = soft_shared_new();
		if (!shared)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return make(ctx, flags, shared, out);
}

int vgpu_soft_share_event(CUevent handle, int *fd)
{
	struct soft_event *e = soft_get((uint64_t)(uintptr_t)handle, SOFT_EVENT);

	if (!e)
		return -EINVAL;
	*fd = e->shared ? soft_shared_descriptor(e->shared) : -EINVAL;
	soft_put(&e->obj);
	return *fd < 0 ? *fd : 0;
}

CUresult vgpu_soft_open_event(int fd, CUevent *out)
{
	struct soft_shared_event *shared;
	struct soft_context *ctx;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	shared = soft_shared_open(fd);
	return shared ? make(ctx, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING, shared, out) :
			CUDA_ERROR_INVALID_HANDLE;
}

static CUresult soft_cuEventDestroy_v2(CUevent handle)
{
	struct soft_context *ctx;
	struct soft_object *o;
	CUresult rc = soft_enter(&ctx);

	if (rc)
		return rc;
	o = soft_take((uint64_t)(uintptr_t)handle, SOFT_EVENT);
	if (!o)
		return CUDA_ERROR_INVALID_HANDLE;
	soft_put(o);
	return CUDA_SUCCESS;
}

static void run_record(struct soft_op *op)
{
	atomic_store(&((struct record_op *)op)->mark->time, soft_now());
}

static void drop_record(struct soft_op *op)
{
	put_mark(((struct record_op *)op)->mark);
}

static struct record_op *new_record(struct soft_stream *s)
{
	struct record_op *r = calloc(1, sizeof(*r));
	struct mark *m = calloc(1, sizeof(*m));

	if (!r || !m) {
		free(r);
		free(m);
		return NULL;
	}
	atomic_init(&m->refs, 2);
	soft_ref(&s->obj);
	m->stream = s;
	r->mark = m;
	r->op.run = run_record;
	r->op.drop = drop_record;
	r->op.quick = true;
	return r;
}

/* Submits the record to its stream, and the event points at it. */
static void record_at(struct soft_event *e, struct record_op *r)
{
	struct mark *m = r->mark, *old;

	/* The lock keeps two records of one event from ending in another order than they were submitted. */
	pthread_mutex_lock(&e->lock);
	m->seq = soft_submit(m->stream, &r->op);
	old = e->mark;
	e->mark = m;
	pthread_mutex_unlock(&e->lock);
	put_mark(old);
	soft_capture_forget_event(e->obj.handle);
}

static CUresult record(struct soft_event *e, struct soft_stream *s)
{
	struct record_op *r;
	CUresult rc;

	if (e->shared) {
		rc = soft_shared_record(e->shared, s);
		if (!rc)
			soft_capture_forget_event(e->obj.handle);
		return rc;
	}
	r = new_record(s);
	if (!r)
		return CUDA_ERROR_OUT_OF_MEMORY;
	record_at(e, r);
	return CUDA_SUCCESS;
}

/* In a captured stream: where the capture is now, or, with the flag, a node. */
static CUresult record_captured(struct soft_event *e, struct soft_stream *s, unsigned int flags)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_EVENT_RECORD };

	if (!flags)
		return soft_capture_record(s, e->obj.handle);
	p.eventRecord.event = (CUevent)(uintptr_t)e->obj.handle;
	return soft_capture(s, &p, NULL);
}

static CUresult soft_cuEventRecordWithFlags(CUevent handle, CUstream stream, unsigned int flags)
{
	struct soft_context *ctx;
	struct soft_event *e;
	struct soft_stream *s;
	CUresult rc = enter_event(handle, &ctx, &e);

	if (rc)
		return rc;
	rc = flags & ~CU_EVENT_RECORD_EXTERNAL ? CUDA_ERROR_INVALID_VALUE : soft_stream_of(ctx, stream, &s);
	if (!rc) {
		if (s->obj.ctx->base != e->obj.ctx)
			rc = CUDA_ERROR_INVALID_HANDLE;
		else if (soft_captured(s))
			rc = record_captured(e, s, flags);
		else
			rc = flags ? CUDA_ERROR_INVALID_VALUE : record(e, s);
		soft_put(&s->obj);
	}
	soft_put(&e->obj);
	return rc;
}

static CUresult soft_cuEventRecord(CUevent event, CUstream stream)
{
	return soft_cuEventRecordWithFlags(event, stream, 0);
}

static CUresult soft_cuEventQuery(CUevent handle)
{
	struct soft_context *ctx;
	struct soft_event *e;
	struct mark *m;
	CUresult rc = enter_event(handle, &ctx, &e);

	if (rc)
		return rc;
	m = get_mark(e);
	if (e->shared ? !soft_shared_reached(e->shared) : m && !soft_reached(m->stream, m->seq))
		rc = CUDA_ERROR_NOT_READY;
	put_mark(m);
	soft_put(&e->obj);
	return rc;
}

static CUresult soft_cuEventSynchronize(CUevent handle)
{
	struct soft_context *ctx;
	struct soft_event *e;
	struct mark *m;
	CUresult rc = enter_event(handle, &ctx, &e);

	if (rc)
		return rc;
	m = get_mark(e);
	if (e->shared)
		rc = soft_shared_wait(e->shared);
	else if (m)
		rc = soft_wait(m->stream, m->seq);
	put_mark(m);
	soft_put(&e->obj);
	return rc;
}

static CUresult elapsed(float *ms, struct soft_event *start, struct soft_event *end)
{
	struct mark *a = get_mark(start), *b = get_mark(end);
	CUresult rc = CUDA_SUCCESS;

	if (!a || !b || (start->flags | end->flags) & CU_EVENT_DISABLE_TIMING || start->obj.ctx != end->obj.ctx)
		rc = CUDA_ERROR_INVALID_HANDLE;
	else if (!soft_reached(a->stream, a->seq) || !soft_reached(b->stream, b->seq))
		rc = CUDA_ERROR_NOT_READY;
	else
		*ms = (float)((double)(int64_t)(atomic_load(&b->time) - atomic_load(&a->time)) / 1e6);
	put_mark(a);
	put_mark(b);
	return rc;
}

static CUresult soft_cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
	struct soft_context *ctx;
	struct soft_event *a, *b;
	CUresult rc = enter_event(start, &ctx, &a);

	if (rc)
		return rc;
	b = soft_get((uint64_t)(uintptr_t)end, SOFT_EVENT);
	if (!b)
		rc = CUDA_ERROR_INVALID_HANDLE;
	else
		rc = ms ? elapsed(ms, a, b) : CUDA_ERROR_INVALID_VALUE;
	if (b)
		soft_put(&b->obj);
	soft_put(&a->obj);
	return rc;
}

static void run_nothing(struct soft_op *op)
{
	(void)op;
}

/* Makes the rest of @s wait for @m, unless it is complete. */
static CUresult wait_mark(struct soft_stream *s, struct mark *m)
{
	struct soft_op *op;

	if (!m || soft_reached(m->stream, m->seq))
		return CUDA_SUCCESS;
	op = calloc(1, sizeof(*op));
	if (!op)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_op_depend(op, m->stream, m->seq);
	op->run = run_nothing;
	op->quick = true;
	soft_submit(s, op);
	return CUDA_SUCCESS;
}

/* The same for the last record of an event. */
static CUresult wait_latest(struct soft_stream *s, struct soft_event *e)
{
	struct mark *m;
	CUresult rc;

	if (e->shared)
		return soft_shared_stream_wait(e->shared, s);
	m = get_mark(e);
	rc = wait_mark(s, m);
	put_mark(m);
	return rc;
}

static CUresult wait(struct soft_stream *s, struct soft_event *e, unsigned int flags)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_WAIT_EVENT };
	bool captured;
	CUresult rc;

	if (flags && soft_captured(s)) {
		p.eventWait.event = (CUevent)(uintptr_t)e->obj.handle;
		return soft_capture(s, &p, NULL);
	}
	rc = soft_capture_wait(s, e->obj.handle, &captured);
	if (rc || captured)
		return rc;
	return wait_latest(s, e);
}

static CUresult soft_cuStreamWaitEvent(CUstream stream, CUevent handle, unsigned int flags)
{
	struct soft_context *ctx;
	struct soft_event *e;
	struct soft_stream *s;
	CUresult rc = enter_event(handle, &ctx, &e);

	if (rc)
		return rc;
	rc = flags & ~CU_EVENT_WAIT_EXTERNAL ? CUDA_ERROR_INVALID_VALUE : soft_stream_of(ctx, stream, &s);
	if (!rc) {
		rc = wait(s, e, flags);
		soft_put(&s->obj);
	}
	soft_put(&e->obj);
	return rc;
}

/* What the calls below begin with; takes a reference. */
static CUresult enter_context_event(CUcontext handle, CUevent event, struct soft_context **ctx, struct soft_event **e)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	*ctx = soft_context_get(handle);
	if (!*ctx)
		return CUDA_ERROR_INVALID_CONTEXT;
	*e = soft_get((uint64_t)(uintptr_t)event, SOFT_EVENT);
	return *e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* A stream of its own waits for all others, and is gone when the event is recorded again. */
static CUresult record_context(struct soft_event *e, struct soft_context *ctx)
{
	struct soft_stream *s = soft_stream_hidden(ctx);
	struct record_op *r = s ? new_record(s) : NULL;
	CUresult rc = r ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	if (r && soft_context_note(&r->op, ctx) < 0)
		soft_poison(CUDA_ERROR_OUT_OF_MEMORY);
	if (r)
		record_at(e, r);
	if (r && e->shared)	/* behind the mark, which waits for all others */
		rc = soft_shared_record(e->shared, s);
	if (s)
		soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuCtxRecordEvent(CUcontext handle, CUevent event)
{
	struct soft_context *ctx;
	struct soft_event *e;
	CUresult rc = enter_context_event(handle, event, &ctx, &e);

	if (rc)
		return rc;
	rc = ctx->base == e->obj.ctx ? record_context(e, ctx) : CUDA_ERROR_INVALID_HANDLE;
	soft_put(&e->obj);
	return rc;
}

static CUresult soft_cuCtxWaitEvent(CUcontext handle, CUevent event)
{
	struct soft_context *ctx;
	struct soft_event *e;
	CUresult rc = enter_context_event(handle, event, &ctx, &e);

	if (rc)
		return rc;
	rc = wait_latest(&ctx->gate, e);
	soft_put(&e->obj);
	return rc;
}

void soft_fill_event(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuEventCreate);
	SOFT_SLOT(d, cuEventDestroy_v2);
	SOFT_SLOT(d, cuEventRecord);
	SOFT_SLOT(d, cuEventRecordWithFlags);
	SOFT_SLOT(d, cuEventQuery);
	SOFT_SLOT(d, cuEventSynchronize);
	SOFT_SLOT(d, cuEventElapsedTime);
	d->cuEventElapsedTime_v2 = soft_cuEventElapsedTime;
	SOFT_SLOT(d, cuStreamWaitEvent);
	SOFT_SLOT(d, cuCtxRecordEvent);
	SOFT_SLOT(d, cuCtxWaitEvent);
}
