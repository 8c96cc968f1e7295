/* SPDX-License-Identifier: MIT */
/*
 * Traces: the workers write records into their stats pages while the `trace`
 * word there is 1; here they are switched on and off and read.  The pages of
 * the last few traced sessions are kept, so that short programs can be seen.
 */
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>

#include <vgpu/clock.h>

#include "supervisor.h"

#define RECORDS_ANSWER	1024u	/* at most, in one answer */
#define PATIENCE_NS	2000000000ull	/* with device times */

static void session_trace(const struct session *s, uint32_t on)
{
	struct vgpu_channel_ctl *ctl;

	if (!s->worker || s->state == SESSION_ENDING)
		return;
	atomic_store(&s->worker->stats->trace, on);
	ctl = session_map(s);
	if (!ctl)
		return;
	atomic_store(&ctl->trace, on);
	channel_unmap(ctl);
}

void trace_client(struct supervisor *sup, bool comes)
{
	bool was = sup->traced > 0;

	sup->traced += comes ? 1u : -1u;
	if (was == (sup->traced > 0))
		return;
	list_each(at, &sup->sessions)
		session_trace(container_of(at, struct session, link), sup->traced > 0);
}

void trace_keep(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct kept *k = &sup->kept[sup->kept_count % TRACE_KEPT];

	if (!s->worker || !atomic_load(&s->worker->stats->trace_tail))
		return;
	if (k->stats)
		munmap(k->stats, sizeof(*k->stats));
	k->session = s->id;
	k->vm_id = s->vm->vm_id;
	memcpy(k->name, s->name, sizeof(k->name));
	k->stats = s->worker->stats;
	s->worker->stats = NULL;
	sup->kept_count++;
}

void trace_exit(struct supervisor *sup)
{
	for (uint32_t i = 0; i < TRACE_KEPT; i++)
		if (sup->kept[i].stats)
			munmap(sup->kept[i].stats, sizeof(*sup->kept[i].stats));
}

static void add_number(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static struct json_object *entry(uint32_t session, uint32_t vm_id, const char *name)
{
	struct json_object *o = json_object_new_object();

	add_number(o, "session", session);
	add_number(o, "vm_id", vm_id);
	json_object_object_add(o, "name", json_object_new_string(name));
	return o;
}

static struct json_object *report_list(struct supervisor *sup)
{
	struct json_object *o = json_object_new_object();
	struct json_object *a = json_object_new_array();

	for (uint32_t i = 0; i < TRACE_KEPT; i++)
		if (sup->kept[i].stats)
			json_object_array_add(a, entry(sup->kept[i].session, sup->kept[i].vm_id,
						       sup->kept[i].name));
	list_each(at, &sup->sessions) {
		const struct session *s = container_of(at, struct session, link);

		if (s->worker)
			json_object_array_add(a, entry(s->id, s->vm->vm_id, s->name));
	}
	json_object_object_add(o, "sessions", a);
	return o;
}

/* Device times are written later than the rest: a copy may have caught only one of the two. */
static bool timed(const struct vgpu_trace_record *r)
{
	return r->flags & VGPU_TRACE_TIMED && r->device_begin && r->device_end;
}

static struct json_object *record_json(const struct vgpu_trace_record *r)
{
	struct json_object *o = json_object_new_object();

	add_number(o, "seq", r->seq);
	add_number(o, "op", r->op);
	add_number(o, "thread", r->thread);
	add_number(o, "guest", r->guest);
	add_number(o, "taken", r->taken);
	add_number(o, "done", r->done);
	add_number(o, "bytes", r->bytes);
	add_number(o, "stream", r->stream);
	json_object_object_add(o, "result", json_object_new_int(r->result));
	if (timed(r)) {
		add_number(o, "device_begin", r->device_begin);
		add_number(o, "device_end", r->device_end);
	}
	return o;
}

/* A record whose device times are to come is worth waiting for, though not for ever. */
static bool ripe(const struct vgpu_trace_record *r)
{
	return !(r->flags & VGPU_TRACE_TIMED) || timed(r) || vgpu_clock_ns() - r->done > PATIENCE_NS;
}

/* The oldest records may be overwritten while they are read: read the tail again after each. */
static void add_records(struct json_object *o, struct vgpu_worker_stats *w, uint64_t cursor, bool ended)
{
	struct json_object *a = json_object_new_array();
	uint64_t tail = atomic_load(&w->trace_tail), lost = 0, n = 0;

	if (cursor > tail)
		cursor = tail;
	for (; cursor < tail && n < RECORDS_ANSWER; cursor++) {
		struct vgpu_trace_record r = w->record[cursor % VGPU_TRACE_RECORDS];

		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&w->trace_tail) - cursor >= VGPU_TRACE_RECORDS) {
			uint64_t oldest = atomic_load(&w->trace_tail) - VGPU_TRACE_RECORDS + 1;

			lost += oldest - cursor;
			cursor = oldest - 1;
			tail = atomic_load(&w->trace_tail);
			continue;
		}
		if (!ended && !ripe(&r)) {
			tail = cursor;
			break;
		}
		json_object_array_add(a, record_json(&r));
		n++;
	}
	json_object_object_add(o, "records", a);
	add_number(o, "next", cursor);
	add_number(o, "more", cursor < tail);
	add_number(o, "lost", lost);
}

struct json_object *trace_report(struct supervisor *sup, uint32_t id, uint64_t cursor)
{
	const struct session *s;
	struct json_object *o;

	if (!id)
		return report_list(sup);
	for (uint32_t i = 0; i < TRACE_KEPT; i++) {
		const struct kept *k = &sup->kept[i];

		if (!k->stats || k->session != id)
			continue;
		o = entry(id, k->vm_id, k->name);
		json_object_object_add(o, "ended", json_object_new_boolean(1));
		add_records(o, k->stats, cursor, true);
		return o;
	}
	s = session_find(sup, id);
	if (!s || !s->worker)
		return NULL;
	o = entry(id, s->vm->vm_id, s->name);
	json_object_object_add(o, "ended", json_object_new_boolean(0));
	add_records(o, s->worker->stats, cursor, false);
	return o;
}
