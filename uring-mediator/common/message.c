/* SPDX-License-Identifier: MIT */
/* Packets on the mediator's sockets: build, check, send, receive. Stateless. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "message.h"

static const struct message_type {
	uint16_t type;
	uint32_t length;
	const char *name;
} types[] = {
	{ VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello), "HELLO" },
	{ VGPU_MSG_WELCOME, sizeof(struct vgpu_msg_welcome), "WELCOME" },
	{ VGPU_MSG_REFUSED, sizeof(struct vgpu_msg_refused), "REFUSED" },
	{ VGPU_MSG_CHANNEL_OPEN, sizeof(struct vgpu_msg_channel), "CHANNEL_OPEN" },
	{ VGPU_MSG_CHANNEL_OPENED, sizeof(struct vgpu_msg_channel), "CHANNEL_OPENED" },
	{ VGPU_MSG_CHANNEL_FAILED, sizeof(struct vgpu_msg_refused), "CHANNEL_FAILED" },
	{ VGPU_MSG_CHANNEL_CLOSE, sizeof(struct vgpu_msg_channel), "CHANNEL_CLOSE" },
	{ VGPU_MSG_CHANNEL_CLOSED, sizeof(struct vgpu_msg_channel), "CHANNEL_CLOSED" },
	{ VGPU_MSG_WAKE, sizeof(struct vgpu_msg_wake), "WAKE" },
	{ VGPU_MSG_STATS_REQUEST, sizeof(struct vgpu_msg_stats_request), "STATS_REQUEST" },
	{ VGPU_MSG_STATS, sizeof(struct vgpu_msg_stats), "STATS" },
	{ VGPU_MSG_CALL, sizeof(struct vgpu_msg_call), "CALL" },
	{ VGPU_MSG_RESULT, sizeof(struct vgpu_msg_result), "RESULT" },
	{ VGPU_CTL_READY, sizeof(struct vgpu_ctl_ready), "READY" },
	{ VGPU_CTL_FAILED, sizeof(struct vgpu_ctl_note), "FAILED" },
	{ VGPU_CTL_ATTACH, sizeof(struct vgpu_ctl_attach), "ATTACH" },
	{ VGPU_CTL_ATTACHED, sizeof(struct vgpu_ctl_note), "ATTACHED" },
	{ VGPU_CTL_CONFLICT, sizeof(struct vgpu_ctl_note), "CONFLICT" },
	{ VGPU_CTL_ENDED, sizeof(struct vgpu_ctl_note), "ENDED" },
	{ VGPU_CTL_DETACH, sizeof(struct vgpu_ctl_note), "DETACH" },
	{ VGPU_CTL_EXPORT, sizeof(struct vgpu_ctl_share), "EXPORT" },
	{ VGPU_CTL_IMPORT, sizeof(struct vgpu_ctl_share), "IMPORT" },
	{ VGPU_CTL_SHARED, sizeof(struct vgpu_ctl_share), "SHARED" },
	{ VGPU_CTL_WITHDRAW, sizeof(struct vgpu_ctl_share), "WITHDRAW" },
	{ VGPU_CTL_CENSUS_ASK, sizeof(struct vgpu_ctl_note), "CENSUS_ASK" },
	{ VGPU_CTL_CENSUS, sizeof(struct vgpu_ctl_census), "CENSUS" },
	{ VGPU_CTL_IMAGE_KEEP, sizeof(struct vgpu_ctl_image), "IMAGE_KEEP" },
	{ VGPU_CTL_IMAGE_FIND, sizeof(struct vgpu_ctl_image), "IMAGE_FIND" },
	{ VGPU_CTL_IMAGE, sizeof(struct vgpu_ctl_image), "IMAGE" },
};

#define TYPES (sizeof(types) / sizeof(types[0]))

_Static_assert(sizeof(struct vgpu_msg_stats) <= VGPU_MSG_MAX_BYTES, "the longest message fits");
_Static_assert(sizeof(struct vgpu_ctl_ready) <= VGPU_MSG_MAX_BYTES, "the longest message fits");
_Static_assert(sizeof(struct vgpu_ctl_census) <= VGPU_MSG_MAX_BYTES, "the longest message fits");

static const struct message_type *find(uint16_t type)
{
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

/* Bytes that may follow the struct of a type, at most. */
static uint32_t data_max(uint16_t type)
{
	return type == VGPU_MSG_CALL ? VGPU_CALL_DATA_MAX : type == VGPU_MSG_RESULT ? VGPU_RESULT_DATA_MAX : 0;
}

uint32_t vgpu_msg_length(uint16_t type)
{
	const struct message_type *t = find(type);

	return t ? t->length : 0;
}

const char *vgpu_msg_name(uint16_t type)
{
	const struct message_type *t = find(type);

	return t ? t->name : "unknown";
}

void vgpu_msg_init(struct vgpu_msg *h, uint16_t type, uint32_t length)
{
	h->magic = VGPU_MSG_MAGIC;
	h->type = type;
	h->reserved = 0;
	h->length = length;
	h->version = VGPU_PROTOCOL_VERSION;
}

int vgpu_msg_check(const void *packet, size_t size, char *why, size_t why_size)
{
	const struct message_type *t;
	struct vgpu_msg h;
	char scrap[1];

	if (!why) {
		why = scrap;
		why_size = sizeof(scrap);
	}
	if (size < sizeof(h)) {
		snprintf(why, why_size, "packet of %zu bytes is too short for a header", size);
		return -EPROTO;
	}
	memcpy(&h, packet, sizeof(h));
	if (h.magic != VGPU_MSG_MAGIC) {
		snprintf(why, why_size, "wrong magic 0x%08x", h.magic);
		return -EPROTO;
	}
	if (h.version >> 16 != VGPU_PROTOCOL_MAJOR) {
		snprintf(why, why_size, "peer speaks protocol %u.%u, this side %u.%u",
			 h.version >> 16, h.version & 0xffff, VGPU_PROTOCOL_MAJOR,
			 VGPU_PROTOCOL_MINOR);
		return -EPROTONOSUPPORT;
	}
	t = find(h.type);
	if (!t) {
		snprintf(why, why_size, "unknown message type %u", h.type);
		return -EPROTO;
	}
	if (h.length != size || h.length < t->length || h.length - t->length > data_max(h.type)) {
		snprintf(why, why_size, "%s of %zu bytes says %u, must be %u%s", t->name, size, h.length, t->length,
			 data_max(h.type) ? " and its data" : "");
		return -EPROTO;
	}
	return 0;
}

int vgpu_msg_check_text(const char *text, size_t size)
{
	return memchr(text, 0, size) ? 0 : -EPROTO;
}

int vgpu_msg_send(int sock, const struct vgpu_msg *msg, const int *fds, unsigned int fd_count)
{
	union {
		char buf[CMSG_SPACE(VGPU_MSG_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = msg->length };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd_count > VGPU_MSG_MAX_FDS)
		return -EINVAL;
	if (fd_count) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	do
		n = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

unsigned int vgpu_msg_take_fds(struct msghdr *msg, int *fds, unsigned int max)
{
	unsigned int kept = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < max)
				fds[kept++] = fd;
			else
				close(fd);
		}
	}
	return kept;
}

void vgpu_packet_close_fds(struct vgpu_packet *packet)
{
	for (unsigned int i = 0; i < packet->fd_count; i++)
		if (packet->fds[i] >= 0)
			close(packet->fds[i]);
	packet->fd_count = 0;
}

int vgpu_msg_recv(int sock, struct vgpu_packet *packet, int flags)
{
	union {
		char buf[CMSG_SPACE(VGPU_MSG_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = packet->bytes, .iov_len = sizeof(packet->bytes) };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	packet->size = 0;
	packet->fd_count = 0;
	do
		n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	packet->fd_count = vgpu_msg_take_fds(&m, packet->fds, VGPU_MSG_MAX_FDS);
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		vgpu_packet_close_fds(packet);
		return -EPROTO;
	}
	if (!n)
		vgpu_packet_close_fds(packet);
	packet->size = (size_t)n;
	return (int)n;
}
