/* SPDX-License-Identifier: MIT */
/*
 * vgpu-mediator: start, signals, reload, end.  One thread; after start-up it
 * waits nowhere but in loop_turn().
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#ifdef VGPU_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "alloc.h"
#include "supervisor.h"

#define END_MS	5000	/* for killed workers to be reaped */

static struct supervisor supervisor;

static struct {
	int argc;
	char **argv;
	int fd;
	struct io_op op;
	struct signalfd_siginfo info;
} main_signals;

static struct timer end_timer;

static void notify(const char *state)
{
#ifdef VGPU_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* ---- signals ---- */

static void reload(struct supervisor *sup)
{
	static struct config next;
	char error[512], names[256];

	notify("RELOADING=1");
	if (config_load(&next, main_signals.argc, main_signals.argv, error, sizeof(error)) != CONFIG_RUN) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "[CONFIG] not reloaded, the old settings hold: %s", error);
	} else {
		config_reload(&sup->config, &next, names, sizeof(names));
		vgpu_log_set_level(sup->config.log_level);
		vgpu_log(VGPU_LOG_NOTICE, NULL, "[CONFIG] reloaded%s%s",
			 names[0] ? "; a restart is needed for: " : "", names);
		pool_fill(sup);
	}
	notify("READY=1");
}

static bool workers_left(const struct pool *pool)
{
	return !list_empty(&pool->starting) || !list_empty(&pool->ready) || !list_empty(&pool->busy);
}

static void kill_all(struct list *workers)
{
	list_each_safe(at, workers)
		worker_kill(container_of(at, struct worker, link));
}

static void end_late(struct timer *timer)
{
	(void)timer;
	vgpu_log(VGPU_LOG_ERROR, NULL, "[ERROR] workers do not die, leaving them to the kernel");
	supervisor.loop.stop = true;
}

static void begin_end(struct supervisor *sup)
{
	if (sup->stopping)
		return;
	sup->stopping = true;
	notify("STOPPING=1");
	vgpu_log(VGPU_LOG_NOTICE, NULL, "[INIT] ending, %u sessions", sup->session_count);
	listener_close(&sup->data);
	listener_close(&sup->control);
	timer_clear(&sup->pool.backoff);
	timer_clear(&sup->pool.rest);
	monitor_drop(sup);
	list_each_safe(at, &sup->sessions)
		session_end(container_of(at, struct session, link), VGPU_HOST_CLOSED,
			    "the mediator ends");
	kill_all(&sup->pool.starting);
	kill_all(&sup->pool.ready);
	timer_init(&end_timer, end_late);
	timer_set(&sup->loop, &end_timer, END_MS);
}

static void signal_received(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct supervisor *sup = &supervisor;

	(void)flags;
	(void)more;
	if (res == (int)sizeof(main_signals.info)) {
		if (main_signals.info.ssi_signo == SIGHUP)
			reload(sup);
		else if (main_signals.info.ssi_signo != SIGPIPE)
			begin_end(sup);
	}
	loop_read(&sup->loop, op, main_signals.fd, &main_signals.info, sizeof(main_signals.info));
}

static int watch_signals(struct supervisor *sup)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);	/* a reader of stderr that goes away must not end the service */
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	main_signals.fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (main_signals.fd < 0)
		return -errno;
	main_signals.op.done = signal_received;
	loop_read(&sup->loop, &main_signals.op, main_signals.fd, &main_signals.info,
		  sizeof(main_signals.info));
	return 0;
}

/* ---- start and end ---- */

/*
 * Descriptors: of a session its connection, its memory and its worker's socket
 * and pidfd; of a ready worker the last two; and some for everything else.
 */
static void raise_limits(const struct config *c)
{
	uint64_t needed = 4ull * c->max_sessions + 2ull * c->pool + 64;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_max < needed)
		vgpu_log(VGPU_LOG_ERROR, NULL,
			 "[INIT] max-sessions %u needs %llu descriptors, this process may have %llu: raise the limit "
			 "(LimitNOFILE= of the service, ulimit -Hn) or lower max-sessions",
			 c->max_sessions, (unsigned long long)needed, (unsigned long long)r.rlim_max);
}

static int start(struct supervisor *sup)
{
	char why[160];
	int ret;

	sessions_init(sup);
	sup->data.fd = sup->control.fd = -1;
	sup->violation_limit = sup->refuse_limit =
		(struct vgpu_log_limit){ .burst = 20, .window_ms = 10000 };
	if (access(sup->config.worker, X_OK)) {
		ret = -errno;
		vgpu_log(VGPU_LOG_ERROR, NULL, "[INIT] cannot execute workers, %s: %s", sup->config.worker, strerror(-ret));
		return ret;
	}
	ret = worker_reserve();
	if (ret) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "[INIT] no descriptors for workers: %s", strerror(-ret));
		return ret;
	}
	ret = loop_init(&sup->loop, sup->config.sqpoll, why, sizeof(why));
	if (ret) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "[INIT] %s", why);
		return ret;
	}
	sup->started_ms = sup->loop.now_ms;
	pool_init(sup);
	ret = watch_signals(sup);
	if (!ret)
		ret = listener_open(&sup->data, sup, sup->config.socket, false);
	if (!ret)
		ret = listener_open(&sup->control, sup, sup->config.control, true);
	if (ret)
		return ret;
	vgpu_log(VGPU_LOG_NOTICE, NULL,
		 "[INIT] vgpu-mediator %s is alive: protocol %u.%u, --device %s, pool of %u, worker %s",
		 VGPU_VERSION, VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR, sup->config.device,
		 sup->config.pool, sup->config.worker);
	pool_fill(sup);
	return 0;
}

static int run(struct supervisor *sup)
{
	int ret = 0;

	notify("READY=1");
	while (!ret && !sup->loop.stop && !(sup->stopping && !workers_left(&sup->pool)))
		ret = loop_turn(&sup->loop);
	if (ret)
		vgpu_log(VGPU_LOG_ERROR, NULL, "[ERROR] io_uring: %s", strerror(-ret));
	return ret;
}

static void free_list(struct list *l, size_t link_offset)
{
	list_each_safe(at, l)
		vgpu_free((char *)at - link_offset);
}

/* The ring is gone, so the kernel holds nothing of this any more. */
static void free_all(struct supervisor *sup)
{
	clients_exit(sup);
	trace_exit(sup);
	free_list(&sup->conns, offsetof(struct conn, link));
	free_list(&sup->vms, offsetof(struct vm, link));
	free_list(&sup->records, offsetof(struct record, link));
}

int main(int argc, char **argv)
{
	struct supervisor *sup = &supervisor;
	char error[512];
	int ret;

	vgpu_log_init("supervisor", VGPU_LOG_INFO);
	switch (config_load(&sup->config, argc, argv, error, sizeof(error))) {
	case CONFIG_SHOWN:
		return EXIT_SUCCESS;
	case CONFIG_BAD:
		fprintf(stderr, "vgpu-mediator: %s\n", error);
		return 2;
	case CONFIG_RUN:
		break;
	}
	main_signals.argc = argc;
	main_signals.argv = argv;
	vgpu_log_set_level(sup->config.log_level);
	raise_limits(&sup->config);
	ret = start(sup);
	if (!ret)
		ret = run(sup);
	listener_close(&sup->data);
	listener_close(&sup->control);
	if (sup->loop.buffers)
		loop_exit(&sup->loop);
	free_all(sup);
	if (!ret)
		vgpu_log(VGPU_LOG_NOTICE, NULL, "[INIT] ended");
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
