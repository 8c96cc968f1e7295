/* SPDX-License-Identifier: MIT */
/*
 * The pool: workers that are starting or ready, and the sessions that wait
 * for one.  Starting costs a process and a CUDA context, so it happens ahead
 * of need, a few at a time, and ever more rarely while it keeps failing.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor.h"

#define STARTING_MAX	4u	/* workers that start at once */
#define BACKOFF_MS	100u
#define BACKOFF_MAX_MS	30000u
#define RETRY_MS	1000u	/* a session that comes during a back-off makes a try this soon */

static void backoff_over(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, backoff);

	pool->backing_off = false;
	pool_fill(container_of(pool, struct supervisor, pool));
}

static void rest_over(struct timer *timer)
{
	pool_fill(container_of(container_of(timer, struct pool, rest), struct supervisor, pool));
}

void pool_init(struct supervisor *sup)
{
	struct pool *pool = &sup->pool;

	list_init(&pool->starting);
	list_init(&pool->ready);
	list_init(&pool->busy);
	list_init(&pool->waiting);
	timer_init(&pool->backoff, backoff_over);
	timer_init(&pool->rest, rest_over);
}

static uint32_t waiting_count(const struct pool *pool)
{
	uint32_t n = 0;

	list_each(at, &pool->waiting)
		if (++n >= STARTING_MAX)
			break;
	return n;
}

static void start_one(struct supervisor *sup)
{
	struct pool *pool = &sup->pool;
	char text[TEXT_BYTES];
	struct worker *w = worker_spawn(sup, false, text, sizeof(text));

	pool->last_start_ms = sup->loop.now_ms;
	if (!w) {
		pool_start_failed(sup, VGPU_HOST_WORKER_DIED, text);
		return;
	}
	list_add_before(&w->link, &pool->starting);
	pool->starting_count++;
}

/* Those whom nobody waited for in the end, or whom a reload made superfluous. */
static void trim(struct supervisor *sup)
{
	struct pool *pool = &sup->pool;

	while (pool->ready_count > sup->config.pool && list_empty(&pool->waiting))
		worker_kill(container_of(pool->ready.prev, struct worker, link));
}

static bool resting(const struct supervisor *sup)
{
	const struct pool *pool = &sup->pool;

	return pool->ready_count && list_empty(&pool->waiting) && sup->loop.now_ms < pool->rest_until_ms;
}

void pool_fill(struct supervisor *sup)
{
	struct pool *pool = &sup->pool;

	trim(sup);
	if (sup->stopping)
		return;
	if (resting(sup)) {
		timer_set(&sup->loop, &pool->rest, pool->rest_until_ms - sup->loop.now_ms);
		return;
	}
	monitor_fill(sup);

	/* Ready ones do not count for those who wait: they wait because none of these suits. */
	while (!pool->backing_off && pool->starting_count < STARTING_MAX &&
	       (pool->starting_count < waiting_count(pool) ||
		pool->starting_count + pool->ready_count < sup->config.pool + waiting_count(pool)))
		start_one(sup);
}

static void give(struct session *s, struct worker *w)
{
	struct pool *pool = &s->sup->pool;

	pool_forget(s);
	list_del(&w->link);
	list_add_before(&w->link, &pool->busy);
	pool->ready_count--;
	pool->rest_until_ms = s->sup->loop.now_ms + POOL_REST_MS;
	w->state = WORKER_SERVING;
	w->session = s;
	session_give_worker(s, w);
}

/* The longest waiting session that this worker suits gets it. */
static void offer(struct worker *w)
{
	list_each(at, &w->sup->pool.waiting) {
		struct session *s = container_of(at, struct session, wait);

		if (session_suits(s, w)) {
			give(s, w);
			break;
		}
	}
	pool_fill(w->sup);
}

void pool_request(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct pool *pool = &sup->pool;

	list_each(at, &pool->ready) {
		struct worker *w = container_of(at, struct worker, link);

		if (session_suits(s, w)) {
			give(s, w);
			pool_fill(sup);
			return;
		}
	}
	list_add_before(&s->wait, &pool->waiting);
	if (pool->backing_off && sup->loop.now_ms - pool->last_start_ms >= RETRY_MS) {
		timer_clear(&pool->backoff);
		pool->backing_off = false;
	}
	pool_fill(sup);
}

void pool_forget(struct session *s)
{
	list_del(&s->wait);
}

static void log_device(struct pool *pool, const struct config *c)
{
	vgpu_log(VGPU_LOG_NOTICE, NULL,
		 "[INIT] device ready: %s '%s', %u of them, driver %d (--device %s)",
		 pool->backend ? "cuda" : "soft", pool->device_name, pool->device_count,
		 pool->driver_version, c->device);
}

void pool_worker_ready(struct worker *w, const struct vgpu_ctl_ready *ready)
{
	struct supervisor *sup = w->sup;
	struct pool *pool = &sup->pool;
	bool news = !pool->device_known || pool->backend != ready->backend;

	pool->device_known = true;
	pool->backend = ready->backend;
	pool->device_count = ready->device_count;
	pool->driver_version = ready->driver_version;
	copy_name(pool->device_name, ready->device_name, sizeof(pool->device_name));
	if (news)
		log_device(pool, &sup->config);
	if (pool->failures)
		vgpu_log(VGPU_LOG_NOTICE, NULL, "[INIT] workers start again after %u failures",
			 pool->failures);
	pool->failures = 0;
	pool->starting_count--;
	pool_worker_free_again(w);
}

void pool_worker_free_again(struct worker *w)
{
	struct pool *pool = &w->sup->pool;

	list_del(&w->link);
	list_add_before(&w->link, &pool->ready);
	w->state = WORKER_READY;
	pool->ready_count++;
	offer(w);
}

void pool_start_failed(struct supervisor *sup, enum vgpu_host_error error, const char *text)
{
	struct pool *pool = &sup->pool;
	uint32_t shift = pool->failures < 16 ? pool->failures : 16;
	uint64_t delay = (uint64_t)BACKOFF_MS << shift;

	if (delay > BACKOFF_MAX_MS)
		delay = BACKOFF_MAX_MS;
	pool->failures++;
	pool->last_error = error;
	copy_name(pool->last_failure, text, sizeof(pool->last_failure));
	vgpu_log(VGPU_LOG_ERROR, NULL, "[ERROR] worker FAILED to start (%u in a row, next try in %llu ms): %s",
		 pool->failures, (unsigned long long)delay, pool->last_failure);
	pool->backing_off = true;
	timer_set(&sup->loop, &pool->backoff, delay);
	/* Waiting longer would not help them, the reason might. */
	while (!list_empty(&pool->waiting))
		session_end(container_of(pool->waiting.next, struct session, wait), error, "%s",
			    pool->last_failure);
}
