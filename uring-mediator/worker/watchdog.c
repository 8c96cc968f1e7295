/* SPDX-License-Identifier: MIT */
/* The watchdog, see watchdog.h. The worker's only thread. */
#include <gen/driver_table.h>

#include "capture_mode.h"
#include "session.h"

void vgpu_watchdog_expect(struct vgpu_watchdog *w, uint32_t index, uint64_t value)
{
	if (!w->expected[index])
		w->waiting[w->count++] = (uint16_t)index;
	w->expected[index] = value;
}

bool vgpu_watchdog_outstanding(struct vgpu_session *s)
{
	struct vgpu_watchdog *w = &s->watchdog;

	for (uint32_t i = 0; i < w->count;) {
		uint32_t word = w->waiting[i];
		uint64_t seen = atomic_load_explicit(&s->channel->fences[word], memory_order_relaxed);

		if ((int64_t)(seen - w->expected[word]) >= 0) {
			w->expected[word] = 0;
			w->waiting[i] = w->waiting[--w->count];
		} else {
			i++;
		}
	}
	return w->count;
}

/* A query is forbidden while some stream of this thread captures, unless the thread says that it knows. */
static CUresult ask(struct vgpu_session *s)
{
	CUstreamCaptureMode mode = vgpu_capture_mode(s->drv, CU_STREAM_CAPTURE_MODE_RELAXED);
	CUresult r = s->drv->cuStreamQuery(s->device->probe);

	vgpu_capture_mode(s->drv, mode);
	return r;
}

void vgpu_watchdog_run(struct vgpu_session *s, uint64_t now_ns)
{
	if (s->sticky || now_ns - s->watchdog.asked_ns < VGPU_WATCHDOG_MS * 1000000ull)
		return;
	s->watchdog.asked_ns = now_ns;
	if (s->device->probe && vgpu_watchdog_outstanding(s))
		vgpu_session_note(s, ask(s));
}
