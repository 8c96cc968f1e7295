/* SPDX-License-Identifier: MIT */
/* Device times for traces, see timeline.h. The worker's only thread. */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <vgpu/clock.h>

#include "capture_mode.h"
#include "session.h"

#define SPANS		1024u
#define COLLECT_EVERY	32u		/* commands */
#define UNREADY_MOST	16u		/* looks at work that is not done, in one collection */
#define BASE_NS		5000000000ull	/* age at which the clocks are tied together anew */
#define RETRY_NS	100000000ull
#define TIE_TRIES	4u
#define TIE_GOOD_NS	30000u
#define TIE_MOST_NS	2000000u

/* Times of the driver are single precision milliseconds since an event: exact enough for some seconds. */
struct base {
	CUevent event;
	uint64_t ns;		/* when it came; 0: not tied */
	uint32_t users;		/* spans that count from it */
};

struct span {
	CUevent begin, end;	/* NULL until first used */
	CUstream stream;
	uint64_t record;
	uint8_t base;
	bool ended;
};

struct vgpu_timeline {
	uint32_t context;	/* low half of the wire id of the context that owns the events */
	CUstream empty;		/* nobody puts work there */
	struct base bases[2];
	uint8_t current;	/* base of new spans */
	uint64_t retry_ns;	/* tie no clocks before that */
	uint32_t begun;
	struct span spans[SPANS];
	uint16_t unused[SPANS];
	uint32_t unused_count;
	uint16_t waiting[SPANS];	/* oldest first */
	uint32_t waiting_count;
};

static bool capturing(const struct vgpu_driver *drv, CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (!drv->cuStreamIsCapturing)
		return false;
	return drv->cuStreamIsCapturing(stream, &status) || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Milliseconds from one event that has come to another. */
static CUresult elapsed(const struct vgpu_driver *drv, CUevent from, CUevent to, float *ms)
{
	if (drv->cuEventElapsedTime_v2)
		return drv->cuEventElapsedTime_v2(ms, from, to);
	return drv->cuEventElapsedTime ? drv->cuEventElapsedTime(ms, from, to) : CUDA_ERROR_NOT_SUPPORTED;
}

/* ---- two clocks ---- */

/* The width in ns of what is known of the moment when the event came; 0: it did not come. */
static uint64_t tie_once(const struct vgpu_driver *drv, const struct vgpu_timeline *t, struct base *b)
{
	uint64_t before = vgpu_clock_ns(), after = before;
	CUresult r = drv->cuEventRecord(b->event, t->empty);

	b->ns = 0;
	if (r)
		return 0;
	do {
		r = drv->cuEventQuery(b->event);
		after = vgpu_clock_ns();
	} while (r == CUDA_ERROR_NOT_READY && after - before < TIE_MOST_NS);
	if (r)
		return 0;
	b->ns = before + (after - before) / 2;
	return after - before ? after - before : 1;
}

static bool tie(const struct vgpu_driver *drv, struct vgpu_timeline *t, struct base *b)
{
	if (!b->event && drv->cuEventCreate(&b->event, CU_EVENT_DEFAULT))
		return false;
	for (unsigned int i = 0; i < TIE_TRIES; i++) {
		uint64_t width = tie_once(drv, t, b);

		if (!width || width <= TIE_GOOD_NS)
			break;
	}
	return b->ns;
}

/* A base for new spans; false: there is none now. */
static bool choose_base(const struct vgpu_driver *drv, struct vgpu_timeline *t)
{
	struct base *b = &t->bases[t->current], *other = &t->bases[!t->current];
	uint64_t now = vgpu_clock_ns();

	if (b->ns && (now - b->ns < BASE_NS || other->users || now < t->retry_ns))
		return true;
	if (now < t->retry_ns)
		return false;
	if (!b->ns && !b->users)
		other = b;
	if (!tie(drv, t, other)) {
		t->retry_ns = now + RETRY_NS;
		return b->ns;
	}
	t->current = (uint8_t)(other - t->bases);
	return true;
}

/* ---- spans ---- */

static struct vgpu_timeline *make(struct vgpu_session *s)
{
	const struct vgpu_driver *drv = s->drv;
	struct vgpu_timeline *t;

	if (!drv->cuEventCreate || !drv->cuEventRecord || !drv->cuEventQuery || !drv->cuStreamCreate)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t || drv->cuStreamCreate(&t->empty, CU_STREAM_NON_BLOCKING)) {
		free(t);
		return NULL;
	}
	t->context = s->context;
	for (uint32_t i = 0; i < SPANS; i++)
		t->unused[t->unused_count++] = (uint16_t)(SPANS - 1 - i);
	return t;
}

static void put_back(struct vgpu_timeline *t, uint16_t i)
{
	t->unused[t->unused_count++] = i;
}

static bool have_events(const struct vgpu_driver *drv, struct span *p)
{
	if (!p->begin && drv->cuEventCreate(&p->begin, CU_EVENT_DEFAULT))
		return false;
	return p->end || !drv->cuEventCreate(&p->end, CU_EVENT_DEFAULT);
}

static void begin(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream)
{
	struct vgpu_timeline *t = s->timeline;
	struct span *p;
	uint16_t i;

	if (capturing(s->drv, stream) || !choose_base(s->drv, t) || !t->unused_count)
		return;
	i = t->unused[--t->unused_count];
	p = &t->spans[i];
	if (!have_events(s->drv, p) || s->drv->cuEventRecord(p->begin, stream)) {
		put_back(t, i);
		return;
	}
	p->stream = stream;
	p->base = t->current;
	p->ended = false;
	rq->span = i + 1;
}

void vgpu_timeline_begin(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream)
{
	CUstreamCaptureMode mode;

	if (!rq->traced || rq->span || s->sticky || !s->context)
		return;
	mode = vgpu_capture_mode(s->drv, CU_STREAM_CAPTURE_MODE_RELAXED);
	if (!s->timeline)
		s->timeline = make(s);
	if (s->timeline && s->timeline->context == s->context) {
		if (s->timeline->begun++ % COLLECT_EVERY == 0 || !s->timeline->unused_count)
			vgpu_timeline_collect(s);
		begin(s, rq, stream);
	}
	vgpu_capture_mode(s->drv, mode);
}

void vgpu_timeline_end(struct vgpu_session *s, struct vgpu_request *rq)
{
	struct span *p;

	if (!rq->span)
		return;
	p = &s->timeline->spans[rq->span - 1];
	if (!p->ended)
		p->ended = !s->drv->cuEventRecord(p->end, p->stream);
}

bool vgpu_timeline_keep(struct vgpu_session *s, const struct vgpu_request *rq, uint64_t record, CUresult result)
{
	struct vgpu_timeline *t = s->timeline;
	struct span *p;

	if (!rq->span)
		return false;
	p = &t->spans[rq->span - 1];
	if (result || !p->ended) {
		put_back(t, (uint16_t)(rq->span - 1));
		return false;
	}
	p->record = record;
	t->bases[p->base].users++;
	t->waiting[t->waiting_count++] = (uint16_t)(rq->span - 1);
	return true;
}

/* ---- what has come ---- */

/* Into the record, if it still is that command's. Readers know the times when they see the end. */
static void write_times(struct vgpu_worker_stats *st, const struct span *p, uint64_t from, uint64_t to)
{
	struct vgpu_trace_record *r = &st->record[p->record % VGPU_TRACE_RECORDS];

	if (atomic_load_explicit(&st->trace_tail, memory_order_relaxed) - p->record > VGPU_TRACE_RECORDS)
		return;
	if (!to) {
		__atomic_store_n(&r->flags, r->flags & ~VGPU_TRACE_TIMED, __ATOMIC_RELEASE);
		return;
	}
	r->device_begin = from;
	__atomic_store_n(&r->device_end, to, __ATOMIC_RELEASE);
}

static uint64_t moment(const struct base *b, float ms)
{
	return b->ns + (uint64_t)(int64_t)((double)ms * 1e6);
}

/* True: nothing more to wait for, the times are written or will never come. */
static bool settle(struct vgpu_session *s, const struct span *p)
{
	const struct base *b = &s->timeline->bases[p->base];
	CUresult r = s->drv->cuEventQuery(p->end);
	float from = 0, to = 0;

	if (r == CUDA_ERROR_NOT_READY)
		return false;
	if (!r)
		r = elapsed(s->drv, b->event, p->begin, &from);
	if (!r)
		r = elapsed(s->drv, b->event, p->end, &to);
	write_times(s->stats, p, r ? 0 : moment(b, from), r ? 0 : moment(b, to));
	return true;
}

static void collect(struct vgpu_session *s)
{
	struct vgpu_timeline *t = s->timeline;
	uint32_t kept = 0, unready = 0;

	for (uint32_t i = 0; i < t->waiting_count; i++) {
		uint16_t n = t->waiting[i];

		if (unready < UNREADY_MOST && settle(s, &t->spans[n])) {
			t->bases[t->spans[n].base].users--;
			put_back(t, n);
			continue;
		}
		unready++;
		t->waiting[kept++] = n;
	}
	t->waiting_count = kept;
}

bool vgpu_timeline_outstanding(const struct vgpu_session *s)
{
	return s->timeline && s->timeline->waiting_count && !s->sticky;
}

void vgpu_timeline_collect(struct vgpu_session *s)
{
	CUstreamCaptureMode mode;

	if (!vgpu_timeline_outstanding(s))
		return;
	mode = vgpu_capture_mode(s->drv, CU_STREAM_CAPTURE_MODE_RELAXED);
	collect(s);
	vgpu_capture_mode(s->drv, mode);
}

/* ---- the end ---- */

/* Records whose times will never come say so. */
static void forget(struct vgpu_session *s)
{
	struct vgpu_timeline *t = s->timeline;

	for (uint32_t i = 0; i < t->waiting_count; i++)
		write_times(s->stats, &t->spans[t->waiting[i]], 0, 0);
	s->timeline = NULL;
	free(t);
}

void vgpu_timeline_drop_context(struct vgpu_session *s, uint32_t context)
{
	if (s->timeline && s->timeline->context == context)
		forget(s);
}

static void destroy(const struct vgpu_driver *drv, CUevent event)
{
	if (event && drv->cuEventDestroy_v2)
		drv->cuEventDestroy_v2(event);
}

void vgpu_timeline_free(struct vgpu_session *s)
{
	struct vgpu_timeline *t = s->timeline;

	if (!t)
		return;
	vgpu_timeline_collect(s);
	for (uint32_t i = 0; i < SPANS && !s->sticky; i++) {
		destroy(s->drv, t->spans[i].begin);
		destroy(s->drv, t->spans[i].end);
	}
	for (unsigned int i = 0; i < 2 && !s->sticky; i++)
		destroy(s->drv, t->bases[i].event);
	if (!s->sticky && s->drv->cuStreamDestroy_v2)
		s->drv->cuStreamDestroy_v2(t->empty);
	forget(s);
}
