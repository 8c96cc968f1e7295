/* SPDX-License-Identifier: MIT */
/*
 * A worker process as the supervisor sees it: control socket, pidfd, stats
 * page.  It is freed when the process has been reaped and the last message
 * on its socket has been read, in whichever order these come.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

extern char **environ;

/* ---- the new process ---- */

static int make_stats(struct vgpu_worker_stats **stats)
{
	int fd = memfd_create("vgpu-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	if (fd < 0)
		return -errno;
	/* Sealed, so that a worker in hostile hands cannot make the mapping fault. */
	if (ftruncate(fd, sizeof(**stats)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	p = mmap(NULL, sizeof(**stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	*stats = p;
	return fd;
fail:
	close(fd);
	return -ENOMEM;
}

/*
 * A child that is born with a table of descriptors of its own gets a copy of
 * ours, thousands with as many sessions, only to close them again.  Ours is
 * born with the parent's and takes a copy of its first few: the worker's two
 * must be among them, in places that are kept for that.
 */
#define SPAWN_CONTROL_FD	10	/* above those that they become */
#define SPAWN_STATS_FD		11
#define SPAWN_STACK		16384

static int spawn_null = -1;	/* what lies in the places between two births */

static int fill_places(int control, int stats)
{
	if (dup3(control, SPAWN_CONTROL_FD, O_CLOEXEC) < 0 || dup3(stats, SPAWN_STATS_FD, O_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int worker_reserve(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	spawn_null = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_STATS_FD + 1);
	if (fd >= 0)
		close(fd);
	return spawn_null < 0 ? -errno : fill_places(spawn_null, spawn_null);
}

struct birth {
	const char *path;
	char *const *argv;
	pid_t parent;
};

/* Between clone and exec, in the parent's memory: system calls only. */
static int __attribute__((no_sanitize_address)) become_worker(void *arg)
{
	const struct birth *b = arg;
	sigset_t none;

	if (syscall(SYS_close_range, SPAWN_STATS_FD + 1, ~0u, CLOSE_RANGE_UNSHARE))
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == b->parent && dup2(SPAWN_CONTROL_FD, VGPU_WORKER_CONTROL_FD) >= 0 &&
	    dup2(SPAWN_STATS_FD, VGPU_WORKER_STATS_FD) >= 0) {
		syscall(SYS_close_range, VGPU_WORKER_STATS_FD + 1, ~0u, 0);
		execve(b->path, b->argv, environ);
	}
	_exit(127);
}

/* A monitor speaks of the devices that workers found. */
static const char *worker_device(const struct supervisor *sup, bool monitor)
{
	if (!monitor || !sup->pool.device_known)
		return sup->config.device;
	return sup->pool.backend ? "cuda" : "soft";
}

static pid_t spawn(const struct supervisor *sup, bool monitor, int control, int stats)
{
	const struct config *c = &sup->config;
	static _Alignas(16) uint8_t stack[SPAWN_STACK];
	char soft_devices[16], kernel_timeout[16];
	char *argv[] = {
		(char *)"vgpu-worker", (char *)"--device", (char *)(uintptr_t)worker_device(sup, monitor),
		(char *)"--devices", (char *)(uintptr_t)c->devices, (char *)"--log-level",
		(char *)(uintptr_t)vgpu_log_level_name(vgpu_log_get_level()), (char *)"--soft-devices",
		soft_devices, (char *)"--kernel-timeout", kernel_timeout, monitor ? (char *)"--monitor" : NULL, NULL,
	};
	struct birth b = { .path = c->worker, .argv = argv, .parent = getpid() };
	pid_t pid;
	int ret;

	snprintf(soft_devices, sizeof(soft_devices), "%u", c->soft_devices);
	snprintf(kernel_timeout, sizeof(kernel_timeout), "%u", c->kernel_timeout_ms);
	ret = fill_places(control, stats);
	if (ret)
		return ret;
	pid = clone(become_worker, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &b);
	if (pid < 0)
		pid = -errno;
	/* A copy of the worker's socket left here would hide its end. */
	fill_places(spawn_null, spawn_null);
	return pid;
}

/* ---- its end ---- */

static void worker_how(const struct worker *w, char *how, size_t size)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		snprintf(how, size, "vanished");
	else if (info.si_code != CLD_EXITED)
		snprintf(how, size, "was killed by signal %d (%s)", info.si_status,
			 strsignal(info.si_status));
	else if (info.si_status == 127)
		snprintf(how, size, "could not be executed or exited with status 127");
	else
		snprintf(how, size, "exited with status %d", info.si_status);
}

/*
 * A driver keeps the events that processes share in files of this name (seen with driver 580), and takes them away when
 * its process ends by itself, which workers often do not.
 */
static void unlink_event_files(pid_t pid)
{
	char path[64];
	unsigned int n = 0;

	do
		snprintf(path, sizeof(path), "/dev/shm/cuda.shm.%x.%x.%u", (unsigned int)getuid(), (unsigned int)pid, ++n);
	while (!unlink(path));
}

static void worker_finish(struct worker *w)
{
	struct supervisor *sup = w->sup;
	struct session *s = w->session;
	char how[96], text[TEXT_BYTES];

	worker_how(w, how, sizeof(how));
	unlink_event_files(w->pid);
	timer_clear(&w->deadline);
	list_del(&w->link);
	if (s) {
		session_worker_exited(s, how);
	} else if (w->lost && !sup->stopping) {
		snprintf(text, sizeof(text), "a worker %s before it served anybody", how);
		pool_start_failed(sup, VGPU_HOST_WORKER_DIED, text);
	}
	if (w->stats)
		munmap(w->stats, sizeof(*w->stats));
	close(w->control);
	close(w->pidfd);
	vgpu_free(w);
	pool_fill(sup);
}

static void worker_maybe_finish(struct worker *w)
{
	if (w->exited && !w->receive.armed)
		worker_finish(w);
}

static void worker_exit(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct worker *w = container_of(op, struct worker, exit);

	(void)res;
	(void)flags;
	(void)more;
	w->exited = true;
	/* Descendants may still hold the other end: do not wait for them. */
	shutdown(w->control, SHUT_RDWR);
	worker_maybe_finish(w);
}

void worker_kill(struct worker *w)
{
	if (w->state == WORKER_DYING)
		return;
	if (w->monitor)
		monitor_gone(w);
	else if (w->state == WORKER_STARTING)
		w->sup->pool.starting_count--;
	else if (w->state == WORKER_READY)
		w->sup->pool.ready_count--;
	w->state = WORKER_DYING;
	list_del(&w->link);	/* nobody may be given this one */
	list_add_before(&w->link, &w->sup->pool.busy);
	syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

/* ---- its messages ---- */

static void worker_ready(struct worker *w, const struct vgpu_packet *packet)
{
	struct vgpu_ctl_ready m;

	memcpy(&m, packet->bytes, sizeof(m));
	if (w->state != WORKER_STARTING)
		return;
	m.device_name[sizeof(m.device_name) - 1] = 0;
	timer_clear(&w->deadline);
	if (w->monitor)
		monitor_ready(w);
	else
		pool_worker_ready(w, &m);
}

static void worker_failed(struct worker *w, const struct vgpu_ctl_note *m)
{
	struct supervisor *sup = w->sup;

	if (w->state != WORKER_STARTING)
		return;
	worker_kill(w);
	if (w->monitor)
		monitor_failed(w, m->error, m->text);
	else
		pool_start_failed(sup, m->error, m->text);
}

static void worker_note(struct worker *w, const struct vgpu_packet *packet)
{
	struct vgpu_ctl_note m;
	struct session *s = w->session;

	memcpy(&m, packet->bytes, sizeof(m));
	m.text[sizeof(m.text) - 1] = 0;
	if (m.h.type == VGPU_CTL_FAILED)
		worker_failed(w, &m);
	if (!s)
		return;
	if (m.h.type == VGPU_CTL_ATTACHED) {
		session_attached(s);
	} else if (m.h.type == VGPU_CTL_ENDED) {
		session_worker_ended(s, m.error, m.text);
	} else if (m.h.type == VGPU_CTL_CENSUS_ASK && w->monitor) {
		monitor_census(w);
	} else if (m.h.type == VGPU_CTL_CONFLICT && w->monitor) {
		session_worker_ended(s, VGPU_HOST_ADDRESS, m.text);
	} else if (m.h.type == VGPU_CTL_CONFLICT && s->state == SESSION_STARTING) {
		w->session = NULL;
		session_conflict(s);
		pool_worker_free_again(w);
	}
}

static void worker_packet(struct worker *w, struct vgpu_packet *packet)
{
	struct vgpu_log_ids ids = { .pid = (uint32_t)w->pid };
	char why[128];

	if (vgpu_msg_check(packet->bytes, packet->size, why, sizeof(why))) {
		vgpu_log(VGPU_LOG_ERROR, &ids, "[ERROR] worker sent nonsense, killing it: %s", why);
		worker_kill(w);
	} else if (packet->h.type == VGPU_CTL_READY) {
		worker_ready(w, packet);
	} else if (packet->h.type == VGPU_CTL_EXPORT || packet->h.type == VGPU_CTL_IMPORT ||
		   packet->h.type == VGPU_CTL_WITHDRAW) {
		if (w->session && w->session->worker == w)
			share_message(w->session, packet);
	} else if (packet->h.type == VGPU_CTL_IMAGE_FIND || packet->h.type == VGPU_CTL_IMAGE_KEEP) {
		if (w->session && w->session->worker == w)
			images_message(w->session, packet);
	} else if (packet->h.length == sizeof(struct vgpu_ctl_note)) {
		worker_note(w, packet);
	}
}

static void worker_received(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct worker *w = container_of(op, struct worker, receive);
	struct vgpu_packet packet;
	int ret = loop_packet(&w->sup->loop, res, flags, &packet);

	if (ret > 0)
		worker_packet(w, &packet);
	vgpu_packet_close_fds(&packet);
	if (more)
		return;
	if (ret > 0 || ret == -ENOBUFS) {
		loop_receive(&w->sup->loop, &w->receive, w->control);
		return;
	}
	/* End of its socket: it is exiting, or shall. Its session hears of it when it is reaped. */
	w->lost = !w->monitor && (w->state == WORKER_STARTING || w->state == WORKER_READY);
	worker_kill(w);
	worker_maybe_finish(w);
}

/* ---- birth ---- */

static void worker_late(struct timer *timer)
{
	struct worker *w = container_of(timer, struct worker, deadline);
	struct supervisor *sup = w->sup;
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text), "a %s was not ready within %u ms", w->monitor ? "monitor" : "worker",
		 sup->config.start_timeout_ms);
	worker_kill(w);
	if (w->monitor)
		monitor_failed(w, VGPU_HOST_WORKER_DIED, text);
	else
		pool_start_failed(sup, VGPU_HOST_WORKER_DIED, text);
}

static void worker_watch(struct worker *w)
{
	struct supervisor *sup = w->sup;

	w->receive.done = worker_received;
	w->exit.done = worker_exit;
	timer_init(&w->deadline, worker_late);
	timer_set(&sup->loop, &w->deadline, sup->config.start_timeout_ms);
	loop_receive(&sup->loop, &w->receive, w->control);
	loop_poll(&sup->loop, &w->exit, w->pidfd);
}

struct worker *worker_spawn(struct supervisor *sup, bool monitor, char *text, size_t text_size)
{
	struct worker *w = vgpu_zalloc(sizeof(*w));
	int pair[2] = { -1, -1 }, stats = -1;

	if (!w)
		goto fail;
	stats = make_stats(&w->stats);
	if (stats < 0)
		goto fail;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		goto fail;
	w->pid = spawn(sup, monitor, pair[1], stats);
	if (w->pid < 0) {
		errno = -w->pid;
		goto fail;
	}
	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (w->pidfd < 0) {
		/* Without it nobody would notice its end. */
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
		goto fail;
	}
	close(pair[1]);
	close(stats);
	w->sup = sup;
	w->control = pair[0];
	w->monitor = monitor;
	w->serial = ++sup->pool.serial;
	worker_watch(w);
	return w;
fail:
	snprintf(text, text_size, "cannot start %s: %s", sup->config.worker, strerror(errno));
	if (w && w->stats)
		munmap(w->stats, sizeof(*w->stats));
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	if (stats >= 0)
		close(stats);
	vgpu_free(w);
	return NULL;
}

int worker_attach(struct worker *w, const struct vgpu_ctl_attach *attach, int memfd, int wake)
{
	int fds[2] = { memfd, wake };

	return vgpu_msg_send(w->control, &attach->h, fds, 2);
}
