/* SPDX-License-Identifier: MIT */
/* Packets: what is taken for one, and what becomes of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "message.h"

static const uint16_t known[] = {
	VGPU_MSG_HELLO, VGPU_MSG_WELCOME, VGPU_MSG_REFUSED, VGPU_MSG_CHANNEL_OPEN,
	VGPU_MSG_CHANNEL_OPENED, VGPU_MSG_CHANNEL_FAILED, VGPU_MSG_CHANNEL_CLOSE,
	VGPU_MSG_CHANNEL_CLOSED, VGPU_MSG_WAKE, VGPU_MSG_STATS_REQUEST, VGPU_MSG_STATS,
	VGPU_CTL_READY, VGPU_CTL_FAILED, VGPU_CTL_ATTACH, VGPU_CTL_ATTACHED, VGPU_CTL_CONFLICT,
	VGPU_CTL_ENDED, VGPU_CTL_DETACH,
};

static void every_type_has_one_length(void **state)
{
	struct vgpu_packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint32_t n = vgpu_msg_length(known[i]);

		assert_in_range(n, sizeof(struct vgpu_msg), VGPU_MSG_MAX_BYTES);
		vgpu_msg_init(&p.h, known[i], n);
		assert_int_equal(vgpu_msg_check(p.bytes, n, NULL, 0), 0);
		assert_int_equal(vgpu_msg_check(p.bytes, n - 1, NULL, 0), -EPROTO);
		assert_int_equal(vgpu_msg_check(p.bytes, n + 1, NULL, 0), -EPROTO);
		p.h.length++;
		assert_int_equal(vgpu_msg_check(p.bytes, n, NULL, 0), -EPROTO);
		assert_int_equal(vgpu_msg_check(p.bytes, n + 1, NULL, 0), -EPROTO);
	}
	assert_int_equal(vgpu_msg_length(0), 0);
	assert_int_equal(vgpu_msg_length(14), 0);
}

/* CALL and RESULT end with data, of which they say how much there is. */
static void data_has_a_limit(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t length, data;
	} calls[] = {
		{ VGPU_MSG_CALL, sizeof(struct vgpu_msg_call), VGPU_CALL_DATA_MAX },
		{ VGPU_MSG_RESULT, sizeof(struct vgpu_msg_result), VGPU_RESULT_DATA_MAX },
	};
	struct vgpu_msg_call m = { .channel = 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		uint32_t least = calls[i].length, most = least + calls[i].data;

		for (uint32_t n = least - 1; n <= most + 1; n += calls[i].data / 2 + 1) {
			vgpu_msg_init(&m.h, calls[i].type, n);
			assert_int_equal(vgpu_msg_check(&m, n, NULL, 0), n >= least && n <= most ? 0 : -EPROTO);
			assert_int_equal(vgpu_msg_check(&m, n + 1, NULL, 0), -EPROTO);
		}
		vgpu_msg_init(&m.h, calls[i].type, most);
		assert_int_equal(vgpu_msg_check(&m, most, NULL, 0), 0);
		vgpu_msg_init(&m.h, calls[i].type, most + 1);
		assert_int_equal(vgpu_msg_check(&m, most + 1, NULL, 0), -EPROTO);
	}
}

static void damage_is_named(void **state)
{
	struct vgpu_msg_hello h = { .role = VGPU_ROLE_SHIM };
	char why[128];

	(void)state;
	vgpu_msg_init(&h.h, VGPU_MSG_HELLO, sizeof(h));
	assert_int_equal(vgpu_msg_check(&h, 3, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "3 bytes"));
	h.h.magic = 0;
	assert_int_equal(vgpu_msg_check(&h, sizeof(h), why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "magic"));
	vgpu_msg_init(&h.h, VGPU_MSG_HELLO, sizeof(h));
	h.h.version = (VGPU_PROTOCOL_MAJOR + 1) << 16;
	assert_int_equal(vgpu_msg_check(&h, sizeof(h), why, sizeof(why)), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "3.0"));
	h.h.version = VGPU_PROTOCOL_VERSION + 1;	/* a newer minor is welcome */
	assert_int_equal(vgpu_msg_check(&h, sizeof(h), why, sizeof(why)), 0);
	h.h.type = 99;
	assert_int_equal(vgpu_msg_check(&h, sizeof(h), why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "99"));
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_travel(void **state)
{
	struct vgpu_msg_channel m = { .channel = 5 };
	struct vgpu_packet p;
	int s[2], before, fds[4] = { 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	before = descriptors();
	vgpu_msg_init(&m.h, VGPU_MSG_CHANNEL_OPENED, sizeof(m));
	assert_int_equal(vgpu_msg_send(s[0], &m.h, fds, 4), 0);
	assert_int_equal(vgpu_msg_recv(s[1], &p, 0), sizeof(m));
	assert_int_equal(p.fd_count, 4);
	assert_memory_equal(p.bytes, &m, sizeof(m));
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(fcntl(p.fds[i], F_GETFD), FD_CLOEXEC);
	vgpu_packet_close_fds(&p);
	assert_int_equal(descriptors(), before);
	assert_int_equal(vgpu_msg_send(s[0], &m.h, fds, 5), -EINVAL);
	close(s[0]);
	close(s[1]);
}

/* More of anything than a message has: refused, and nothing is left open. */
static void too_much_is_refused(void **state)
{
	static char big[VGPU_MSG_MAX_BYTES + 1];
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { big, 16 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	struct vgpu_packet p;
	int s[2], before;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	before = descriptors();
	assert_int_equal(send(s[0], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(vgpu_msg_recv(s[1], &p, 0), -EPROTO);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(8 * sizeof(int));	/* eight times descriptor 0 */
	assert_int_equal(sendmsg(s[0], &h, 0), 16);
	assert_int_equal(vgpu_msg_recv(s[1], &p, 0), -EPROTO);
	assert_int_equal(descriptors(), before);
	assert_int_equal(vgpu_msg_recv(s[1], &p, MSG_DONTWAIT), -EAGAIN);
	close(s[0]);
	assert_int_equal(vgpu_msg_recv(s[1], &p, 0), 0);
	assert_int_equal(vgpu_msg_send(s[1], (struct vgpu_msg *)&(struct vgpu_msg_channel){
			 .h = { .length = sizeof(struct vgpu_msg_channel) } }, NULL, 0), -EPIPE);
	close(s[1]);
}

static void a_full_socket_is_told(void **state)
{
	struct vgpu_msg_channel m = { .channel = 1 };
	int s[2], ret = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	vgpu_msg_init(&m.h, VGPU_MSG_CHANNEL_CLOSED, sizeof(m));
	for (int i = 0; i < 100000 && !ret; i++)
		ret = vgpu_msg_send(s[0], &m.h, NULL, 0);
	assert_int_equal(ret, -EAGAIN);
	close(s[0]);
	close(s[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_one_length),
		cmocka_unit_test(data_has_a_limit),
		cmocka_unit_test(damage_is_named),
		cmocka_unit_test(descriptors_travel),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(a_full_socket_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
