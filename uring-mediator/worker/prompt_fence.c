/* SPDX-License-Identifier: MIT */
/* Fences behind short copies, see prompt_fence.h. The worker's only thread. */
#include "prompt_fence.h"

#include <gen/driver_table.h>
#include <vgpu/clock.h>

#include "capture_mode.h"
#include "session.h"

#define SHORT_BYTES	131072u		/* what a copy may have, for the fence to be a noticeable part of it */
#define STAY_NS		30000u
#define TRIAL_EVERY	256u		/* copies, the last of which take the other way, */
#define TRIAL_COPIES	8u		/* so many of them */
#define TRIAL_SETTLES	2u		/* the first ones show the price of the change between the two engines */
#define TIME_EVERY	16u		/* copies, for one whose fence by the device is timed */
#define GAIN_NS		500u		/* by so much the event must be the faster one: it takes our time */
#define SMOOTH		8		/* a new time counts as so much of a part */

static void learn(struct vgpu_prompt_fence *p, enum vgpu_fence_way way, uint64_t ns)
{
	const int64_t sample = ns < STAY_NS ? (int64_t)ns : STAY_NS, known = p->ns[way];

	p->ns[way] = (uint32_t)(known ? known + (sample - known) / SMOOTH : sample + 1);
}

/* How many copies of the present trial have been, this one counted; 0: there is no trial. */
static uint32_t trial(const struct vgpu_prompt_fence *p)
{
	const uint32_t at = p->copies % TRIAL_EVERY, from = TRIAL_EVERY - TRIAL_COPIES;

	return at >= from ? at - from + 1 : 0;
}

/* A trial takes the way that was not in use when it began, whatever it finds. */
static enum vgpu_fence_way choose(struct vgpu_prompt_fence *p)
{
	const uint32_t event = p->ns[VGPU_FENCE_BY_EVENT], device = p->ns[VGPU_FENCE_BY_DEVICE];

	if (!trial(p))
		p->present = event && event + GAIN_NS < device ? VGPU_FENCE_BY_EVENT : VGPU_FENCE_BY_DEVICE;
	return !trial(p) == (p->present == VGPU_FENCE_BY_EVENT) ? VGPU_FENCE_BY_EVENT : VGPU_FENCE_BY_DEVICE;
}

/* Is the time of this copy's fence to be learned from? */
static bool telling(const struct vgpu_prompt_fence *p, enum vgpu_fence_way way)
{
	if (trial(p))
		return trial(p) > TRIAL_SETTLES;
	return way == VGPU_FENCE_BY_EVENT || p->copies % TIME_EVERY == 0;
}

/* Have the event recorded. False: this fence must be the device's. */
static bool record(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream)
{
	const struct vgpu_driver *drv = s->drv;
	struct vgpu_prompt_fence *p = &s->prompt_fence;

	if (!drv->cuEventCreate || !drv->cuEventRecord || !drv->cuEventQuery || !s->context)
		return false;
	if (!p->event) {
		if (drv->cuEventCreate(&p->event, CU_EVENT_DISABLE_TIMING)) {
			p->event = NULL;
			return false;
		}
		p->context = s->context;
	}
	if (p->context != s->context)
		return false;
	vgpu_timeline_end(s, rq);
	return !drv->cuEventRecord(p->event, stream);
}

/* NOT_READY: it did not come while we could stay. */
static CUresult stay(struct vgpu_session *s, uint64_t from)
{
	const CUstreamCaptureMode mode = vgpu_capture_mode(s->drv, CU_STREAM_CAPTURE_MODE_RELAXED);
	CUresult r;

	do
		r = s->drv->cuEventQuery(s->prompt_fence.event);
	while (r == CUDA_ERROR_NOT_READY && vgpu_clock_ns() - from < STAY_NS && !vgpu_consumer_pending(&s->consumer));
	vgpu_capture_mode(s->drv, mode);
	return r;
}

/* The copy and its event are enqueued. */
static CUresult tell(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream, uint32_t index, uint64_t value)
{
	const uint64_t from = vgpu_clock_ns();
	const CUresult r = stay(s, from);
	const uint64_t ns = vgpu_clock_ns() - from;

	if (telling(&s->prompt_fence, VGPU_FENCE_BY_EVENT) && (!r || ns >= STAY_NS))
		learn(&s->prompt_fence, VGPU_FENCE_BY_EVENT, ns);
	if (r)	/* an error is that of work before, and the fence meets it, too */
		return vgpu_fence_write(s, rq, stream, index, value);
	atomic_store_explicit(&s->channel->fences[index], value, memory_order_release);
	vgpu_count(&s->stats->fences, 1);
	return CUDA_SUCCESS;
}

/* Watch a fence that the device writes. The guest can write there, too, and deceive none but itself. */
static void time_device(struct vgpu_session *s, uint32_t index, uint64_t value)
{
	const _Atomic uint64_t *word = &s->channel->fences[index];
	const uint64_t from = vgpu_clock_ns();
	uint64_t ns = 0;

	while ((int64_t)(atomic_load_explicit(word, memory_order_relaxed) - value) < 0 && ns < STAY_NS) {
		if (vgpu_consumer_pending(&s->consumer))
			return;
		ns = vgpu_clock_ns() - from;
	}
	learn(&s->prompt_fence, VGPU_FENCE_BY_DEVICE, ns);
}

CUresult vgpu_prompt_fence_write(struct vgpu_session *s, struct vgpu_request *rq, CUstream stream, uint32_t index,
				 uint64_t value, uint64_t bytes)
{
	struct vgpu_prompt_fence *p = &s->prompt_fence;
	CUresult r;

	if (!index || index >= VGPU_FENCES || bytes > SHORT_BYTES)
		return vgpu_fence_write(s, rq, stream, index, value);
	p->copies++;
	if (choose(p) == VGPU_FENCE_BY_EVENT && record(s, rq, stream))
		return tell(s, rq, stream, index, value);
	r = vgpu_fence_write(s, rq, stream, index, value);
	if (!r && telling(p, VGPU_FENCE_BY_DEVICE))
		time_device(s, index, value);
	return r;
}

void vgpu_prompt_fence_drop_context(struct vgpu_session *s, uint32_t context)
{
	if (s->prompt_fence.context == context)
		s->prompt_fence.event = NULL;
}

void vgpu_prompt_fence_free(struct vgpu_session *s)
{
	if (s->prompt_fence.event && s->drv->cuEventDestroy_v2)
		s->drv->cuEventDestroy_v2(s->prompt_fence.event);
	s->prompt_fence.event = NULL;
}
