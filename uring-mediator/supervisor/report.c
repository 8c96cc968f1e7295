/* SPDX-License-Identifier: MIT */
/*
 * The status document: everything that `vgpuctl status` and `verify` show.
 * docs/protocol.md describes its keys.
 */
#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

/*
 * Keys are literals and each comes once in its object: nothing is copied or
 * looked up, which with many sessions is most of the work.
 */
static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add_ex(o, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
}

static void add_number(struct json_object *o, const char *key, uint64_t n)
{
	add(o, key, json_object_new_uint64(n));
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	add(o, key, json_object_new_string(text));
}

static void add_flag(struct json_object *o, const char *key, bool flag)
{
	add(o, key, json_object_new_boolean(flag));
}

/*
 * The counters of a session are most of the document, and a tree of them only to be printed was most of its cost: they
 * are printed when the document is, from a copy.
 */
static const struct hop_key {
	const char *key;
	size_t at;
} hop_keys[] = {
#define HOP(key, member) { "\"" key "\":", offsetof(struct hops, member) }
	HOP("guest_commands", guest_commands),
	HOP("guest_doorbells", guest_doorbells),
	HOP("guest_replies", guest_replies),
	HOP("guest_fences", guest_fences),
	HOP("guest_fence_waits", guest_fence_waits),
	HOP("guest_ring_full", guest_ring_full),
	HOP("stub_doorbells", stub_doorbells),
	HOP("stub_wakes", stub_wakes),
	HOP("stub_wakes_failed", stub_wakes_failed),
	HOP("worker_wakes", wakes),
	HOP("worker_doorbells", doorbells),
	HOP("worker_commands", commands),
	HOP("worker_calls", calls),
	HOP("worker_replies", replies),
	HOP("worker_fences", fences),
	HOP("worker_errors", errors),
	HOP("worker_launches", launches),
	HOP("worker_sleeps", sleeps),
	HOP("worker_polls", polls),
	HOP("worker_wake_gaps", wake_gaps),
	HOP("bytes_h2d", bytes_h2d),
	HOP("bytes_d2h", bytes_d2h),
	HOP("image_bytes", image_bytes),
	HOP("image_bytes_spared", image_bytes_spared),
#undef HOP
};

#define HOP_KEYS (sizeof(hop_keys) / sizeof(hop_keys[0]))

static void print_number(struct printbuf *out, uint64_t n)
{
	char text[20], *at = text + sizeof(text);

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	printbuf_memappend(out, at, (int)(text + sizeof(text) - at));
}

/* For each thousand commands. */
static double rate(uint64_t n, uint64_t commands)
{
	return commands ? 1000.0 * (double)n / (double)commands : 0;
}

static int hops_print(struct json_object *o, struct printbuf *out, int level, int flags)
{
	const struct hops *h = json_object_get_userdata(o);

	(void)level;
	(void)flags;
	for (size_t i = 0; i < HOP_KEYS; i++) {
		printbuf_memappend(out, i ? "," : "{", 1);
		printbuf_memappend(out, hop_keys[i].key, (int)strlen(hop_keys[i].key));
		print_number(out, *(const uint64_t *)((const char *)h + hop_keys[i].at));
	}
	return sprintbuf(out, ",\"stub_known\":%s,\"doorbells_per_1000\":%.3f,\"messages_per_1000\":%.3f}",
			 h->stub_known ? "true" : "false", rate(h->guest_doorbells, h->commands),
			 rate(h->wakes, h->commands));
}

static struct json_object *hops_json(const struct hops *h)
{
	struct json_object *o = json_object_new_boolean(false);	/* replaced by what is printed */
	struct hops *copy = malloc(sizeof(*copy));

	if (!o || !copy) {
		free(copy);
		return o;
	}
	*copy = *h;
	json_object_set_serializer(o, hops_print, copy, json_object_free_userdata);
	return o;
}

static void add_batch(struct json_object *o, uint32_t batch, uint32_t usec)
{
	add_number(o, "batch", batch);
	add_number(o, "batch_usec", usec);
}

static struct json_object *session_json(const struct session *s)
{
	struct json_object *o = json_object_new_object();
	const struct vgpu_worker_stats *w = s->worker ? s->worker->stats : NULL;
	struct hops hops;

	session_hops(s, &hops);
	add_number(o, "session", s->id);
	add_number(o, "channel", s->channel);
	add_text(o, "state", session_state_name(s));
	add_text(o, "name", s->name);
	add_number(o, "pid", s->guest_pid);
	add_batch(o, s->guest_batch, s->guest_batch_usec);
	add_number(o, "worker_pid", s->worker ? (uint64_t)s->worker->pid : 0);
	add_number(o, "uptime_ms", s->sup->loop.now_ms - s->started_ms);
	add_number(o, "memory_used", w ? atomic_load(&w->memory_used) : 0);
	add_number(o, "memory_peak", hops.memory_peak);
	add_number(o, "memory_limit", s->memory_limit);
	add_text(o, "pages", s->pages ? s->pages : "");
	add_number(o, "pinned", w ? atomic_load(&w->arena_registered) : 0);
	add_number(o, "pinned_ahead", w ? atomic_load(&w->arena_ahead) : 0);
	add_number(o, "pinned_late", w ? atomic_load(&w->arena_late) : 0);
	add_number(o, "consumer", w ? atomic_load(&w->state) : 0);
	add_number(o, "last_seq", w ? atomic_load(&w->last_seq) : 0);
	add_number(o, "last_op", w ? atomic_load(&w->last_op) : 0);
	add_flag(o, "ran", s->ran);
	add_flag(o, "monitor", s->monitor);
	add(o, "hops", hops_json(&hops));
	return o;
}

static struct json_object *ended_json(const struct ended *e)
{
	struct json_object *o = json_object_new_object();

	add_number(o, "session", e->session);
	add_number(o, "channel", e->channel);
	add_text(o, "state", "ended");
	add_text(o, "name", e->name);
	add_number(o, "pid", e->pid);
	add_batch(o, e->batch, e->batch_usec);
	add_number(o, "uptime_ms", e->ms);
	add_number(o, "memory_peak", e->hops.memory_peak);
	add_number(o, "error", e->error);
	add_text(o, "text", e->text);
	add_number(o, "last_seq", e->last_seq);
	add_number(o, "last_op", e->last_op);
	add(o, "hops", hops_json(&e->hops));
	return o;
}

static struct json_object *record_ended_json(const struct record *r)
{
	struct json_object *a = json_object_new_array();
	uint64_t n = r->ended_count < RECORD_ENDED ? r->ended_count : RECORD_ENDED;

	for (uint64_t i = r->ended_count - n; i < r->ended_count; i++)
		json_object_array_add(a, ended_json(&r->ended[i % RECORD_ENDED]));
	return a;
}

static void vm_begin(struct record *r)
{
	r->shown = json_object_new_object();
	r->shown_sessions = json_object_new_array();
	r->shown_memory = 0;
	add_number(r->shown, "vm_id", r->vm_id);
	add_text(r->shown, "transport", r->unix_transport ? "unix" : "pci");
	add_text(r->shown, "name", r->name);
}

/* A key may be there from another VM with the same id: the last one is shown. */
static void set(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static void vm_connected(const struct vm *vm)
{
	struct json_object *o = vm->record->shown;

	if (vm->unix_transport || !vm->conn)
		return;
	json_object_object_add(o, "connected", json_object_new_boolean(true));
	set(o, "pid", (uint64_t)vm->pid);
	set(o, "shm_size", vm->geometry.total_size);
	set(o, "channels", vm->geometry.channel_count);
	set(o, "stub_reconnects", vm->stats.reconnects);
	set(o, "stub_mmio_reads", vm->stats.mmio_reads);
	set(o, "stub_mmio_writes", vm->stats.mmio_writes);
	json_object_object_add(o, "stub_answers", json_object_new_boolean(!vm_stats_due(vm)));
}

static void vm_images(const struct vm *vm)
{
	struct json_object *o = json_object_new_object();
	struct images_count c;

	images_counted(vm, &c);
	add_number(o, "count", c.images);
	add_number(o, "bytes", c.bytes);
	add_number(o, "limit", vm->sup->config.image_store);
	add_number(o, "found", c.found);
	add_number(o, "missed", c.missed);
	add_number(o, "dropped", c.dropped);
	json_object_object_add(vm->record->shown, "images", o);
}

static void vm_session(const struct session *s)
{
	struct record *r = s->vm->record;

	json_object_array_add(r->shown_sessions, session_json(s));
	if (s->worker)
		r->shown_memory += atomic_load(&s->worker->stats->memory_used);
}

static struct json_object *vm_end(struct record *r)
{
	struct json_object *o = r->shown;

	if (!json_object_object_get_ex(o, "connected", NULL))
		add_flag(o, "connected", false);
	add_number(o, "memory_used", r->shown_memory);
	add(o, "sessions", r->shown_sessions);
	add_number(o, "ended_count", r->ended_count);
	add(o, "ended_total", hops_json(&r->total));
	add(o, "ended", record_ended_json(r));
	r->shown = r->shown_sessions = NULL;
	return o;
}

/* One pass over each list, whatever their lengths. */
static struct json_object *vms_json(struct supervisor *sup)
{
	struct json_object *vms = json_object_new_array();

	list_each(at, &sup->records)
		vm_begin(container_of(at, struct record, link));
	list_each(at, &sup->vms) {
		vm_connected(container_of(at, struct vm, link));
		vm_images(container_of(at, struct vm, link));
	}
	list_each(at, &sup->sessions)
		vm_session(container_of(at, struct session, link));
	list_each(at, &sup->records)
		json_object_array_add(vms, vm_end(container_of(at, struct record, link)));
	return vms;
}

static struct json_object *device_json(const struct pool *pool, const struct config *c)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "asked", c->device);
	add_flag(o, "known", pool->device_known);
	add_text(o, "backend", !pool->device_known ? "unknown" : pool->backend ? "cuda" : "soft");
	add_text(o, "name", pool->device_name);
	add_number(o, "count", pool->device_count);
	add_number(o, "driver", (uint64_t)pool->driver_version);
	return o;
}

/*
 * Memory of this host that a worker occupies, bytes, shared pages too; 0: not known. statm is open to everybody, what
 * would tell shared from own is not: a worker is not dumpable.
 */
static uint64_t worker_resident(pid_t pid)
{
	unsigned long long pages = 0;
	char path[48];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct json_object *pool_json(const struct pool *pool, const struct config *c)
{
	struct json_object *o = json_object_new_object();
	pid_t one = list_empty(&pool->ready) ? 0 : container_of(pool->ready.next, struct worker, link)->pid;

	add_number(o, "worker_resident", one ? worker_resident(one) : 0);
	add_number(o, "target", c->pool);
	add_number(o, "ready", pool->ready_count);
	add_number(o, "starting", pool->starting_count);
	add_number(o, "failures", pool->failures);
	add_text(o, "last_failure", pool->failures ? pool->last_failure : "");
	return o;
}

struct json_object *report_status(struct supervisor *sup)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "version", VGPU_VERSION);
	add_number(o, "protocol_major", VGPU_PROTOCOL_MAJOR);
	add_number(o, "protocol_minor", VGPU_PROTOCOL_MINOR);
	add_number(o, "pid", (uint64_t)getpid());
	add_number(o, "uptime_ms", sup->loop.now_ms - sup->started_ms);
	add_text(o, "socket", sup->config.socket);
	add(o, "device", device_json(&sup->pool, &sup->config));
	add(o, "pool", pool_json(&sup->pool, &sup->config));
	add_number(o, "connections", sup->conn_count);
	add_number(o, "session_count", sup->session_count);
	add_number(o, "max_sessions", sup->config.max_sessions);
	add_number(o, "sessions_total", sup->sessions_total);
	add_number(o, "sessions_refused", sup->sessions_refused);
	add_number(o, "violations", sup->violations);
	add_number(o, "heap_bytes", vgpu_alloc_in_use());
	add(o, "vms", vms_json(sup));
	return o;
}
