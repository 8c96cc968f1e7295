/* SPDX-License-Identifier: MIT */
/*
 * One connected socket: a stub or a shim.  The conn belongs to its receive
 * operation: closing only shuts the socket down, and when the kernel reports
 * the end of the stream the owner of the role is told and the conn is freed.
 * So nothing that holds a conn loses it in the middle of what it does.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

#define HELLO_MS	10000
#define CONNS_SPARE	256u	/* connections that may exist beside those with sessions */

static void conn_close(struct conn *conn)
{
	conn->closing = true;
	shutdown(conn->fd, SHUT_RDWR);
}

void conn_send(struct conn *conn, const struct vgpu_msg *msg, const int *fds, unsigned int fd_count)
{
	struct vgpu_log_ids ids = { .pid = (uint32_t)conn->pid };
	int ret;

	if (conn->closing)
		return;
	ret = vgpu_msg_send(conn->fd, msg, fds, fd_count);
	if (!ret)
		return;
	vgpu_log(ret == -EPIPE ? VGPU_LOG_DEBUG : VGPU_LOG_WARNING, &ids,
		 "[CONNECTION] cannot send %s: %s; closing", vgpu_msg_name(msg->type), strerror(-ret));
	conn_close(conn);
}

void conn_refuse(struct conn *conn, enum vgpu_host_error error, const char *text)
{
	struct vgpu_msg_refused m = { .error = error };

	vgpu_msg_init(&m.h, VGPU_MSG_REFUSED, sizeof(m));
	snprintf(m.text, sizeof(m.text), "%s", text);
	conn_send(conn, &m.h, NULL, 0);
	conn_close(conn);
}

static struct vgpu_log_ids conn_ids(const struct conn *conn)
{
	struct vgpu_log_ids ids = { .pid = (uint32_t)conn->pid };

	if (conn->vm) {
		ids.has_vm = true;
		ids.vm_id = conn->vm->vm_id;
	}
	if (conn->session)
		ids.session = conn->session->id;
	return ids;
}

void conn_violation(struct conn *conn, const char *fmt, ...)
{
	struct supervisor *sup = conn->sup;
	struct vgpu_log_ids ids = conn_ids(conn);
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sup->violations++;
	vgpu_log_limited(&sup->violation_limit, sup->loop.now_ms, VGPU_LOG_WARNING, &ids,
			 "[REJECT] protocol violation, disconnecting: %s", text);
	if (conn->session)
		session_end(conn->session, VGPU_HOST_PROTOCOL, "%s", text);
	conn_close(conn);
}

static void conn_hello(struct conn *conn, struct vgpu_packet *packet)
{
	struct vgpu_msg_hello hello;

	memcpy(&hello, packet->bytes, sizeof(hello));
	timer_clear(&conn->hello);
	if (conn->role != CONN_NEW)
		conn_violation(conn, "a second HELLO");
	else if (vgpu_msg_check_text(hello.name, sizeof(hello.name)))
		conn_violation(conn, "the name in HELLO has no end");
	else if (hello.role == VGPU_ROLE_STUB && packet->fd_count == 1) {
		vm_hello(conn, &hello, packet->fds[0]);
		packet->fds[0] = -1;
	} else if ((hello.role == VGPU_ROLE_SHIM || hello.role == VGPU_ROLE_MONITOR) && !packet->fd_count)
		session_hello(conn, &hello);
	else
		conn_violation(conn, "HELLO of role %u with %u descriptors", hello.role,
			       packet->fd_count);
}

static void conn_packet(struct conn *conn, struct vgpu_packet *packet)
{
	char why[128];
	int ret = vgpu_msg_check(packet->bytes, packet->size, why, sizeof(why));

	if (ret == -EPROTONOSUPPORT) {
		conn_refuse(conn, VGPU_HOST_VERSION, why);
		conn_violation(conn, "%s", why);
	} else if (ret) {
		conn_violation(conn, "%s", why);
	} else if (packet->h.type == VGPU_MSG_HELLO) {
		conn_hello(conn, packet);
	} else if (packet->fd_count) {
		conn_violation(conn, "%s with descriptors", vgpu_msg_name(packet->h.type));
	} else if (conn->role == CONN_STUB) {
		vm_message(conn->vm, packet);
	} else {
		conn_violation(conn, "unexpected %s", vgpu_msg_name(packet->h.type));
	}
}

/* The kernel has let go of the socket: tell whom it served, then forget it. */
static void conn_gone(struct conn *conn)
{
	struct session *s = conn->session;

	timer_clear(&conn->hello);
	if (conn->vm)
		vm_gone(conn->vm);
	if (s) {
		s->conn = NULL;
		session_close(s, "the guest's process closed its connection");
	}
	list_del(&conn->link);
	conn->sup->conn_count--;
	close(conn->fd);
	vgpu_free(conn);
}

static void conn_received(struct io_op *op, int res, unsigned int flags, bool more)
{
	struct conn *conn = container_of(op, struct conn, op);
	struct vgpu_packet packet;
	int ret = loop_packet(&conn->sup->loop, res, flags, &packet);

	if (ret > 0 && !conn->closing)
		conn_packet(conn, &packet);
	else if (ret == -EPROTO && !conn->closing)
		conn_violation(conn, "a packet or its descriptors are too many to be a message");
	else if (ret <= 0 && ret != -ENOBUFS)
		conn_close(conn);
	vgpu_packet_close_fds(&packet);
	if (more)
		return;
	if (conn->closing)
		conn_gone(conn);
	else
		loop_receive(&conn->sup->loop, &conn->op, conn->fd);
}

static void hello_late(struct timer *timer)
{
	struct conn *conn = container_of(timer, struct conn, hello);

	conn_violation(conn, "no HELLO within %d s", HELLO_MS / 1000);
}

/* NULL, or why this peer may not connect. */
static const char *conn_objection(struct supervisor *sup, int fd, struct ucred *cred)
{
	socklen_t size = sizeof(*cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &size))
		return "its credentials cannot be read";
	if (!config_uid_allowed(&sup->config, cred->uid))
		return "its user is not among allow-uids";
	if (sup->conn_count >= sup->config.max_sessions + CONNS_SPARE)
		return "too many connections";
	return NULL;
}

void conn_new(struct supervisor *sup, int fd)
{
	struct ucred cred = { 0 };
	const char *objection = conn_objection(sup, fd, &cred);
	struct vgpu_log_ids ids = { .pid = (uint32_t)cred.pid };
	struct conn *conn = objection ? NULL : vgpu_zalloc(sizeof(*conn));

	if (!conn) {
		vgpu_log_limited(&sup->refuse_limit, sup->loop.now_ms, VGPU_LOG_WARNING, &ids,
				 "[REJECT] connection of uid %u refused: %s", cred.uid,
				 objection ? objection : "no memory");
		close(fd);
		return;
	}
	conn->sup = sup;
	conn->fd = fd;
	conn->pid = cred.pid;
	conn->uid = cred.uid;
	conn->op.done = conn_received;
	timer_init(&conn->hello, hello_late);
	list_add_before(&conn->link, &sup->conns);
	sup->conn_count++;
	timer_set(&sup->loop, &conn->hello, HELLO_MS);
	loop_receive(&sup->loop, &conn->op, fd);
	vgpu_log(VGPU_LOG_DEBUG, &ids, "[CONNECTION] New connection, uid %u", cred.uid);
}
