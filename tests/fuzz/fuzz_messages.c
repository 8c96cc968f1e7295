/* SPDX-License-Identifier: MIT */
/*
 * Hostile peers of the supervisor: an input is a series of packets that one
 * connection sends to a supervisor in this process, which has no workers.
 * Each packet: a byte of flags, a byte of length, the bytes.  Flags:
 *	0x0f	type, for a header that is right (0: the bytes are the whole packet)
 *	0x80	HELLO is right too: of a stub with descriptors, of a shim without
 *	0x30	number of descriptors; 0x40: sealed memory, else /dev/null
 * Afterwards the connection ends, and with it everything that it had.
 */
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor.h"

#define MEMORY	(64ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct supervisor sup;
static int memory, null;

static void start(void)
{
	char why[128];

	vgpu_log_init("fuzz", 0);
	assert(!worker_reserve());
	memory = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert(memory >= 0 && null >= 0 && !ftruncate(memory, MEMORY));
	assert(!fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	sessions_init(&sup);
	assert(!loop_init(&sup.loop, false, why, sizeof(why)));
	pool_init(&sup);
	sup.config.max_sessions = 8;
	sup.config.max_sessions_vm = 4;
	sup.config.start_timeout_ms = 60000;
	sup.config.shm_size = MEMORY;
	sup.config.shm_limit = MEMORY * 4;
}

static size_t make_hello(uint8_t flags, uint8_t *packet)
{
	bool stub = flags & 0x30;
	struct vgpu_msg_hello m = {
		.role = stub ? VGPU_ROLE_STUB : VGPU_ROLE_SHIM, .shm_size = stub ? MEMORY : 0,
		.channels = stub ? 4 : 0,
	};

	vgpu_msg_init(&m.h, VGPU_MSG_HELLO, sizeof(m));
	memcpy(packet, &m, sizeof(m));
	return sizeof(m);
}

/* Right in everything that a random input would hardly ever get right. */
static size_t make_packet(uint8_t flags, const uint8_t *bytes, size_t size, uint8_t *packet)
{
	struct vgpu_msg h;
	uint32_t length = vgpu_msg_length(flags & 0x0f);

	memset(packet, 0, VGPU_MSG_MAX_BYTES);
	if (flags & 0x80)
		return make_hello(flags, packet);
	if (!length) {
		memcpy(packet, bytes, size);
		return size;
	}
	vgpu_msg_init(&h, flags & 0x0f, length);
	memcpy(packet, &h, sizeof(h));
	if (size > length - sizeof(h))
		size = length - sizeof(h);
	memcpy(packet + sizeof(h), bytes, size);
	return length;
}

static void send_packet(int fd, uint8_t flags, const uint8_t *packet, size_t size)
{
	union {
		char buf[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)packet, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t n = flags >> 4 & 3;

	if (n) {
		int fd_sent = flags & 0x40 ? memory : null;

		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)) + i * sizeof(int), &fd_sent, sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		assert(!loop_turn(&sup.loop));
}

/* Everything that the supervisor sent may be thrown away. */
static void drain(int fd)
{
	struct vgpu_packet p;

	while (vgpu_msg_recv(fd, &p, MSG_DONTWAIT) > 0)
		vgpu_packet_close_fds(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t packet[VGPU_MSG_MAX_BYTES];
	int pair[2];

	if (!sup.loop.buffers)
		start();
	/* No worker is ever started but those that ask NVML, and they end at once: there is no such program. */
	sup.pool.backing_off = true;
	sup.pool.last_start_ms = sup.loop.now_ms;
	assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	conn_new(&sup, pair[0]);
	while (size >= 2 && sup.conn_count) {
		size_t length = data[1] < size - 2 ? data[1] : size - 2;

		send_packet(pair[1], data[0], packet, make_packet(data[0], data + 2, length, packet));
		drain(pair[1]);
		data += 2 + length;
		size -= 2 + length;
	}
	close(pair[1]);
	while (sup.conn_count || sup.session_count)
		assert(!loop_turn(&sup.loop));
	assert(!sup.session_count && list_empty(&sup.sessions) && list_empty(&sup.pool.waiting));
	return 0;
}
