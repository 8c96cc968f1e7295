/* SPDX-License-Identifier: MIT */
/*
 * Sessions that only ask about devices (NVML).  Each has a worker program of its own that opens no device, a monitor.
 * One is kept ready: starting it costs a process and the start of the driver's NVML, and PyTorch asks NVML before it
 * makes its context.  What a monitor may know of its VM's processes it asks here.
 */
#include <string.h>

#include <vgpu/clock.h>

#include "supervisor.h"

static struct worker *monitor_spawn(struct supervisor *sup, char *text, size_t size)
{
	struct worker *w = worker_spawn(sup, true, text, size);

	if (w)
		list_add_before(&w->link, &sup->pool.busy);
	return w;
}

static void none_ready(const struct vgpu_log_ids *ids, const char *text)
{
	vgpu_log(VGPU_LOG_WARNING, ids, "[INIT] no monitor is kept ready for NVML: %s", text);
}

void monitor_fill(struct supervisor *sup)
{
	struct pool *pool = &sup->pool;
	char text[TEXT_BYTES];

	if (!sup->config.pool) {
		monitor_drop(sup);
		return;
	}
	if (pool->monitor || !pool->device_known || pool->monitor_failed)
		return;
	pool->monitor = monitor_spawn(sup, text, sizeof(text));
	pool->monitor_failed = !pool->monitor;
	if (!pool->monitor)
		none_ready(NULL, text);
}

void monitor_drop(struct supervisor *sup)
{
	if (sup->pool.monitor)
		worker_kill(sup->pool.monitor);
	sup->pool.monitor_failed = false;
}

void monitor_gone(struct worker *w)
{
	struct pool *pool = &w->sup->pool;

	if (pool->monitor != w)
		return;
	/* By itself: the next one is started for a session, which hears why if that fails, too. */
	pool->monitor = NULL;
	pool->monitor_failed = true;
}

static void serve(struct worker *w)
{
	w->state = WORKER_SERVING;
	session_give_worker(w->session, w);
}

void monitor_request(struct session *s)
{
	struct pool *pool = &s->sup->pool;
	struct worker *w = pool->monitor;
	char text[TEXT_BYTES];

	pool->monitor = NULL;
	pool->rest_until_ms = s->sup->loop.now_ms + POOL_REST_MS;
	if (!w)
		w = monitor_spawn(s->sup, text, sizeof(text));
	if (!w) {
		session_end(s, VGPU_HOST_WORKER_DIED, "%s", text);
		return;
	}
	/* Theirs from now: the end of either is the other's. */
	w->session = s;
	s->worker = w;
	if (w->state == WORKER_READY)
		serve(w);
	pool_fill(s->sup);
}

void monitor_ready(struct worker *w)
{
	w->sup->pool.monitor_failed = false;
	if (w->session)
		serve(w);
	else
		w->state = WORKER_READY;
}

void monitor_failed(struct worker *w, enum vgpu_host_error error, const char *text)
{
	struct vgpu_log_ids ids = { .pid = (uint32_t)w->pid };

	if (w->session)
		session_end(w->session, error, "%s", text);
	else
		none_ready(&ids, text);
}

/* May the session of a monitor know of this one? */
static bool visible(const struct session *monitor, const struct session *s)
{
	return s->vm == monitor->vm && !s->monitor && s->ran && s->worker &&
	       (!s->vm->unix_transport || s->uid == monitor->uid);
}

/* Its name for itself: in a container it has another one than here. */
static uint32_t own_pid(const struct session *s)
{
	struct vgpu_channel_ctl *ctl = session_map(s);
	uint32_t pid = s->guest_pid;

	if (!ctl)
		return pid;
	pid = __atomic_load_n(&ctl->guest_pid, __ATOMIC_RELAXED);
	channel_unmap(ctl);
	return pid;
}

static uint64_t busy_ns(const struct vgpu_worker_stats *stats)
{
	uint64_t since = atomic_load(&stats->busy_since), now = vgpu_clock_ns();

	return atomic_load(&stats->busy_ns) + (since && since < now ? now - since : 0);
}

void monitor_census(struct worker *w)
{
	struct vgpu_ctl_census m;

	memset(&m, 0, sizeof(m));
	vgpu_msg_init(&m.h, VGPU_CTL_CENSUS, sizeof(m));
	list_each(at, &w->sup->sessions) {
		const struct session *s = container_of(at, struct session, link);

		if (!visible(w->session, s))
			continue;
		if (m.count == VGPU_CENSUS_MOST) {
			m.left_out++;
			continue;
		}
		m.entries[m.count++] = (struct vgpu_census_entry){
			.guest_pid = own_pid(s), .worker_pid = (uint32_t)s->worker->pid,
			.memory_used = atomic_load(&s->worker->stats->memory_used),
			.busy_ns = busy_ns(s->worker->stats),
		};
	}
	if (vgpu_msg_send(w->control, &m.h, NULL, 0))
		worker_kill(w);		/* it does not read: nothing more will be of use to it */
}
