/* SPDX-License-Identifier: MIT */
/*
 * The two listening sockets.  Made at start-up (where waiting is allowed),
 * then one multishot accept each.  Out of descriptors, a listener pauses:
 * the connections stay in the kernel's queue and are taken later.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor.h"

#define BACKLOG		512
#define RETRY_MS	100
#define CONTROL_MODE	0600

static int fill_address(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	memcpy(a->sun_path, path, strlen(path) + 1);
	return 0;
}

/* The kernel ends the ring of a process that was killed some ms after the process, and until then its socket accepts. */
static bool listener_is_dead(int fd)
{
	struct ucred c = { 0 };
	socklen_t size = sizeof(c);

	/* A process that is not to be seen from here has the number 0. */
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size) && c.pid > 0 && kill(c.pid, 0) && errno == ESRCH;
}

/* What connect() says of a socket's listener: 1 alive, 0 none, or -errno. */
static int judge_connection(int fd, int error)
{
	switch (error) {
	case 0:
		return !listener_is_dead(fd);
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	case EAGAIN:		/* its queue is full */
	case EPROTOTYPE:	/* it has another type */
		return 1;
	}
	return -error;
}

/* Does somebody listen there? 1, 0, or -errno if that is not known, or it is no socket at all. */
static int somebody_listens(const struct sockaddr_un *a, int type)
{
	struct stat st;
	int fd, ret;

	if (lstat(a->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = judge_connection(fd, connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? errno : 0);
	close(fd);
	return ret;
}

static void make_directory(const char *path)
{
	char dir[CONFIG_PATH];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = 0;
	mkdir(dir, 0755);	/* bind() reports what matters */
}

static int set_owner(const char *path, mode_t mode, const char *group)
{
	struct group *g;

	if (group[0]) {
		g = getgrnam(group);
		if (!g) {
			vgpu_log(VGPU_LOG_ERROR, NULL, "[SOCKET] there is no group '%s'", group);
			return -EINVAL;
		}
		if (chown(path, (uid_t)-1, g->gr_gid)) {
			int ret = -errno;

			vgpu_log(VGPU_LOG_ERROR, NULL, "[SOCKET] this user may not give a socket to group '%s'", group);
			return ret;
		}
	}
	return chmod(path, mode) ? -errno : 0;
}

static int bind_path(const char *path, int type, mode_t mode, const char *group)
{
	struct sockaddr_un a;
	mode_t mask;
	int fd, ret;

	ret = fill_address(&a, path);
	if (ret)
		return ret;
	make_directory(path);
	ret = somebody_listens(&a, type);
	if (ret)
		return ret < 0 ? ret : -EADDRINUSE;
	unlink(path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Nobody may connect before mode and group are what was asked for. */
	mask = umask(0777);
	ret = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
	umask(mask);
	if (ret)
		goto close_fd;
	ret = set_owner(path, mode, group);
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	if (!ret)
		return fd;
	unlink(path);
close_fd:
	close(fd);
	return ret;
}

static void listener_accepted(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct listener *l = container_of(op, struct listener, op);
	struct supervisor *sup = l->sup;

	(void)flags;
	if (res >= 0) {
		if (sup->stopping)
			close(res);
		else if (l->control)
			client_new(sup, res);
		else
			conn_new(sup, res);
	} else if (res != -ECANCELED) {
		vgpu_log_limited(&l->limit, sup->loop.now_ms, VGPU_LOG_WARNING, NULL,
				 "[SOCKET] accept on %s: %s, trying again", l->path, strerror(-res));
	}
	if (more || sup->stopping)
		return;
	if (res >= 0)
		loop_accept(&sup->loop, &l->op, l->fd);
	else
		timer_set(&sup->loop, &l->retry, RETRY_MS);
}

static void listener_retry(struct timer *timer)
{
	struct listener *l = container_of(timer, struct listener, retry);

	loop_accept(&l->sup->loop, &l->op, l->fd);
}

static const char *open_problem(int ret)
{
	switch (ret) {
	case -EADDRINUSE:
		return "another mediator listens there; stop it, or choose another path";
	case -ENOTSOCK:
		return "there is a file that is not a socket";
	case -ENAMETOOLONG:
		return "the path is too long for a socket";
	case -EACCES:
	case -EROFS:
		return "this user may not make a socket there; choose another path";
	case -ENOENT:
	case -ENOTDIR:
		return "there is no such folder, and only its last part would be made; make it, or choose another path";
	}
	return strerror(-ret);
}

int listener_open(struct listener *l, struct supervisor *sup, const char *path, bool control)
{
	const struct config *c = &sup->config;
	int fd;

	l->sup = sup;
	l->control = control;
	l->op.done = listener_accepted;
	l->limit = (struct vgpu_log_limit){ .burst = 1, .window_ms = 10000 };
	l->fd = -1;
	timer_init(&l->retry, listener_retry);
	fd = control ? bind_path(path, SOCK_STREAM, CONTROL_MODE, "") :
		       bind_path(path, SOCK_SEQPACKET, c->socket_mode, c->socket_group);
	if (fd < 0) {
		vgpu_log(VGPU_LOG_ERROR, NULL, "[SOCKET] cannot listen on %s: %s", path,
			 open_problem(fd));
		return fd;
	}
	l->fd = fd;
	snprintf(l->path, sizeof(l->path), "%s", path);
	loop_accept(&sup->loop, &l->op, fd);
	vgpu_log(VGPU_LOG_INFO, NULL, "[SOCKET] listening on %s%s", path,
		 control ? " for vgpuctl" : "");
	return 0;
}

void listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	unlink(l->path);
	timer_clear(&l->retry);
	if (l->op.armed)
		loop_cancel(&l->sup->loop, &l->op);
	close(l->fd);
	l->fd = -1;
}
