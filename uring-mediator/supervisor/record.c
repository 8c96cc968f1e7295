/* SPDX-License-Identifier: MIT */
/*
 * What remains of sessions and VMs that are gone, so that `vgpuctl verify`
 * after a short program still shows where its calls went.  Bounded: the
 * records of VMs that left longest ago go first.
 */
#include <string.h>

#include "alloc.h"
#include "supervisor.h"

#define RECORDS_MAX	64u

static void hops_add(struct hops *to, const struct hops *from)
{
	to->guest_commands += from->guest_commands;
	to->guest_doorbells += from->guest_doorbells;
	to->guest_replies += from->guest_replies;
	to->guest_fences += from->guest_fences;
	to->guest_fence_waits += from->guest_fence_waits;
	to->guest_ring_full += from->guest_ring_full;
	to->stub_known |= from->stub_known;
	to->stub_doorbells += from->stub_doorbells;
	to->stub_wakes += from->stub_wakes;
	to->stub_wakes_failed += from->stub_wakes_failed;
	to->wakes += from->wakes;
	to->doorbells += from->doorbells;
	to->commands += from->commands;
	to->calls += from->calls;
	to->replies += from->replies;
	to->fences += from->fences;
	to->errors += from->errors;
	to->launches += from->launches;
	to->bytes_h2d += from->bytes_h2d;
	to->bytes_d2h += from->bytes_d2h;
	to->image_bytes += from->image_bytes;
	to->image_bytes_spared += from->image_bytes_spared;
	to->sleeps += from->sleeps;
	to->polls += from->polls;
	to->wake_gaps += from->wake_gaps;
	if (from->memory_peak > to->memory_peak)
		to->memory_peak = from->memory_peak;
}

static void forget_oldest(struct supervisor *sup)
{
	list_each(at, &sup->records) {
		struct record *r = container_of(at, struct record, link);

		if (r->live)
			continue;
		list_del(&r->link);
		sup->record_count--;
		vgpu_free(r);
		return;
	}
}

static struct record *record_find(struct supervisor *sup, uint32_t vm_id, bool unix_transport)
{
	list_each(at, &sup->records) {
		struct record *r = container_of(at, struct record, link);

		if (r->vm_id == vm_id && r->unix_transport == unix_transport)
			return r;
	}
	return NULL;
}

struct record *record_get(struct supervisor *sup, uint32_t vm_id, bool unix_transport, const char *name)
{
	struct record *r = record_find(sup, vm_id, unix_transport);

	if (r) {
		list_del(&r->link);
	} else {
		r = vgpu_zalloc(sizeof(*r));
		if (!r)
			return NULL;
		r->vm_id = vm_id;
		r->unix_transport = unix_transport;
		if (++sup->record_count > RECORDS_MAX)
			forget_oldest(sup);
	}
	copy_name(r->name, name, sizeof(r->name));
	list_add_before(&r->link, &sup->records);
	return r;
}

void record_session(struct record *r, const struct session *s)
{
	struct ended *e = &r->ended[r->ended_count++ % RECORD_ENDED];

	memset(e, 0, sizeof(*e));
	e->session = s->id;
	e->channel = s->channel;
	e->generation = s->generation;
	e->pid = s->guest_pid;
	e->batch = s->guest_batch;
	e->batch_usec = s->guest_batch_usec;
	memcpy(e->name, s->name, sizeof(e->name));
	e->error = s->error;
	memcpy(e->text, s->text, sizeof(e->text));
	e->ms = s->sup->loop.now_ms - s->started_ms;
	if (s->worker) {
		e->last_seq = atomic_load(&s->worker->stats->last_seq);
		e->last_op = atomic_load(&s->worker->stats->last_op);
	}
	session_hops(s, &e->hops);
	hops_add(&r->total, &e->hops);
}

void record_stats(struct record *r, const struct vgpu_msg_stats *stats)
{
	uint64_t n = r->ended_count < RECORD_ENDED ? r->ended_count : RECORD_ENDED;

	for (uint64_t i = 0; i < n; i++) {
		struct ended *e = &r->ended[i];
		const struct vgpu_channel_stats *c = &stats->channel[e->channel];

		if (r->unix_transport || e->channel >= stats->channels || c->generation != e->generation)
			continue;
		r->total.stub_doorbells += c->doorbells - e->hops.stub_doorbells;
		r->total.stub_wakes += c->wakes - e->hops.stub_wakes;
		r->total.stub_wakes_failed += c->wakes_failed - e->hops.stub_wakes_failed;
		r->total.stub_known = e->hops.stub_known = true;
		e->hops.stub_doorbells = c->doorbells;
		e->hops.stub_wakes = c->wakes;
		e->hops.stub_wakes_failed = c->wakes_failed;
	}
}
