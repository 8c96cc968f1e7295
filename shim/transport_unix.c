/* SPDX-License-Identifier: MIT */
/*
 * Without a VM: the mediator's own socket. The connection is the session: the
 * mediator sees this process die when the kernel closes it. HELLO goes out,
 * WELCOME brings the memfd and the doorbell's eventfd, channel 0 is ours. In
 * register mode it brings a socket to the worker instead, for one CALL and one
 * RESULT after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vgpu/ring.h>
#include <vgpu/socket.h>

#include "config.h"
#include "log.h"
#include "transport.h"
#include "wait.h"

#define HANDSHAKE_MS	15000

static int fail(struct vgpu_transport *t, int error, const char *what)
{
	snprintf(t->text, sizeof(t->text), "%s: %s", what, strerror(error));
	return -error;
}

/* What to do about a mediator's socket that did not take us. */
static const char *advice(int error)
{
	switch (error) {
	case EACCES:
		return "this user may not open it, see --socket-mode and --socket-group of vgpu-mediator";
	case EPROTOTYPE:
		return "this is a socket of another kind, set VGPU_SOCKET_PATH to that of vgpu-mediator --socket";
	}
	return "start vgpu-mediator, or set VGPU_SOCKET_PATH";
}

static int connect_socket(struct vgpu_transport *t, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int e;

	if (length >= sizeof(address.sun_path)) {
		snprintf(t->text, sizeof(t->text), "the path in VGPU_SOCKET_PATH is longer than %zu bytes",
			 sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, length);
	t->link_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->link_fd < 0)
		return fail(t, errno, "socket");
	if (!connect(t->link_fd, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	e = errno;
	snprintf(t->text, sizeof(t->text), "no vGPU device in this machine and no mediator at %s (%s): %s", path,
		 strerror(e), advice(e));
	return e == ENOENT || e == ECONNREFUSED ? -ENODEV : -e;
}

static int send_hello(struct vgpu_transport *t, const struct vgpu_config *config)
{
	struct vgpu_msg_hello hello = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_HELLO, 0, sizeof(hello), VGPU_PROTOCOL_VERSION },
		.role = config->monitor ? VGPU_ROLE_MONITOR : VGPU_ROLE_SHIM,
		.shm_size = config->monitor ? VGPU_SHM_MIN_SIZE : config->shm_size,
		.flags = config->batch == VGPU_BATCH_REGISTERS ? VGPU_HELLO_REGISTERS : 0,
		.pid = (uint32_t)getpid(),
	};

	prctl(PR_GET_NAME, hello.name);		/* writes at most 16 bytes */
	if (send(t->link_fd, &hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello))
		return fail(t, errno, "sending HELLO to the mediator");
	return 0;
}

/* One message with up to two descriptors. Bytes received or -errno. */
static ssize_t receive(struct vgpu_transport *t, void *buffer, size_t size, int fds[2])
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { buffer, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct pollfd poller = { t->link_fd, POLLIN, 0 };
	struct cmsghdr *c;
	ssize_t n;
	int r;

	do {
		r = poll(&poller, 1, HANDSHAKE_MS);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	n = recvmsg(t->link_fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < 2 * sizeof(int) ?
						  c->cmsg_len - CMSG_LEN(0) : 2 * sizeof(int));
	return n;
}

static int refused(struct vgpu_transport *t, const struct vgpu_msg_refused *m)
{
	if (m->error == VGPU_HOST_VERSION)
		snprintf(t->text, sizeof(t->text),
			 "protocol mismatch: this shim speaks %u.%u, the mediator %u.%u; install the shim and the mediator of one release",
			 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR, m->h.version >> 16, m->h.version & 0xffff);
	else
		snprintf(t->text, sizeof(t->text), "the mediator refused this process: %.159s", m->text);
	return -ECONNREFUSED;
}

static int take_welcome(struct vgpu_transport *t, const struct vgpu_msg_welcome *m)
{
	struct stat st;

	if (t->memory_fd < 0 || t->wake_fd < 0) {
		snprintf(t->text, sizeof(t->text), "the mediator's WELCOME came without its two descriptors");
		return -EPROTO;
	}
	if (fstat(t->memory_fd, &st) || (uint64_t)st.st_size != m->shm_size ||
	    vgpu_shm_geometry(&t->geometry, m->shm_size, 1)) {
		snprintf(t->text, sizeof(t->text), "the mediator's shared memory has a size of %llu bytes, which is not usable",
			 (unsigned long long)m->shm_size);
		return -EPROTO;
	}
	t->session = m->session;
	t->channel = 0;
	snprintf(t->mapping, sizeof(t->mapping), "memfd, write-back");
	return 0;
}

static int await_welcome(struct vgpu_transport *t)
{
	union {
		struct vgpu_msg h;
		struct vgpu_msg_welcome welcome;
		struct vgpu_msg_refused refused;
	} m;
	int fds[2] = { -1, -1 };
	ssize_t n;

	memset(&m, 0, sizeof(m));
	n = receive(t, &m, sizeof(m), fds);
	t->memory_fd = fds[0];
	t->wake_fd = fds[1];
	if (n == -ETIMEDOUT) {
		snprintf(t->text, sizeof(t->text), "the mediator did not answer within %d s: see vgpuctl status",
			 HANDSHAKE_MS / 1000);
		return -ETIMEDOUT;
	}
	if (n <= 0) {
		snprintf(t->text, sizeof(t->text), "the mediator closed the connection: its log says why");
		return n ? (int)n : -ECONNRESET;
	}
	if ((size_t)n < sizeof(m.h) || m.h.magic != VGPU_MSG_MAGIC || m.h.length != (uint32_t)n) {
		snprintf(t->text, sizeof(t->text), "what listens on the socket is not a vgpu mediator");
		return -EPROTO;
	}
	if (m.h.type == VGPU_MSG_REFUSED && (size_t)n == sizeof(m.refused))
		return refused(t, &m.refused);
	if (m.h.version >> 16 != VGPU_PROTOCOL_MAJOR) {
		m.refused.error = VGPU_HOST_VERSION;
		return refused(t, &m.refused);
	}
	if (m.h.type != VGPU_MSG_WELCOME || (size_t)n != sizeof(m.welcome)) {
		snprintf(t->text, sizeof(t->text), "the mediator answered with message type %u instead of WELCOME", m.h.type);
		return -EPROTO;
	}
	return take_welcome(t, &m.welcome);
}

/* Register mode was asked for; a mediator that does not know it sent an eventfd. */
static int check_wake_socket(struct vgpu_transport *t)
{
	int type = 0;
	socklen_t size = sizeof(type);

	if (!getsockopt(t->wake_fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_SEQPACKET)
		return 0;
	snprintf(t->text, sizeof(t->text), "this mediator does not know VGPU_BATCH=0 (register mode): install the shim and the mediator of one release");
	return -EPROTO;
}

static void unix_close(struct vgpu_transport *t)
{
	int *fds[] = { &t->link_fd, &t->wake_fd, &t->memory_fd };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int unix_open(struct vgpu_transport *t, const struct vgpu_config *config)
{
	int r;

	r = connect_socket(t, config->socket_path);
	if (!r)
		r = send_hello(t, config);
	if (!r)
		r = await_welcome(t);
	if (!r && config->batch == VGPU_BATCH_REGISTERS)
		r = check_wake_socket(t);
	if (r)
		unix_close(t);
	return r;
}

/* WELCOME already asked for a worker. */
static int unix_start(struct vgpu_transport *t)
{
	(void)t;
	return 0;
}

static void unix_doorbell(struct vgpu_transport *t)
{
	uint64_t one = 1;

	/* EAGAIN means the counter is full: the consumer has been rung already. */
	if (write(t->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		vgpu_debug("doorbell: %s", strerror(errno));
}

static int send_call(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size)
{
	struct vgpu_msg_call m = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_CALL, 0, sizeof(m) + size, VGPU_PROTOCOL_VERSION },
		.request = (uint32_t)t->calls, .serial = t->calls,
		.call = { .magic = VGPU_V1_MAGIC, .call_id = VGPU_V1_COMMAND, .seq = (uint32_t)cmd->seq, .data_len = size },
	};
	struct iovec iov[2] = { { &m, sizeof(m) }, { (void *)(uintptr_t)cmd, size } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	while (sendmsg(t->wake_fd, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Wait for the socket as long as `until` allows. 0 or -errno. */
static int await_result(struct vgpu_transport *t, uint64_t until)
{
	struct pollfd p = { t->wake_fd, POLLIN, 0 };
	uint64_t now = vgpu_clock_ns();
	int r = poll(&p, 1, until > now ? (int)((until - now) / 1000000) + 1 : 0);

	if (r > 0 || (r < 0 && errno == EINTR))
		return 0;
	return r ? -errno : -ETIMEDOUT;
}

static int receive_result(struct vgpu_transport *t, struct vgpu_transport_result *result)
{
	struct vgpu_msg_result m;
	struct iovec iov[2] = { { &m, sizeof(m) }, { result->data, sizeof(result->data) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = recvmsg(t->wake_fd, &msg, 0);

	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	if ((size_t)n < sizeof(m) || m.h.magic != VGPU_MSG_MAGIC || m.h.type != VGPU_MSG_RESULT ||
	    m.request != (uint32_t)t->calls || m.result.data_len != (size_t)n - sizeof(m))
		return -EPROTO;
	result->status = (int32_t)m.result.status;
	result->size = m.result.data_len;
	return 0;
}

static int unix_call(struct vgpu_transport *t, const struct vgpu_cmd *cmd, uint32_t size, uint64_t until,
		     struct vgpu_transport_result *result)
{
	int r;

	t->calls++;
	r = send_call(t, cmd, size);
	while (!r) {
		r = until ? await_result(t, until) : 0;
		if (r)
			break;
		r = receive_result(t, result);
		if (r != -EINTR)
			return r;
		r = 0;
	}
	return r;
}

static bool unix_alive(struct vgpu_transport *t)
{
	char byte;
	ssize_t n = recv(t->link_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

const struct vgpu_transport_ops vgpu_transport_unix = {
	.name = "unix",
	.open = unix_open,
	.start = unix_start,
	.doorbell = unix_doorbell,
	.call = unix_call,
	.alive = unix_alive,
	.close = unix_close,
	.forked = unix_close,
};
