/* SPDX-License-Identifier: MIT */
/* A session with bare hands, see link.h. One thread. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <vgpu/socket.h>

#include "link.h"

/* Of the first session of the process; others follow behind it, and need room for a thousand. */
#ifdef __SANITIZE_THREAD__
#define BASE	 0x7e9000000000ull	/* ThreadSanitizer has the rest for itself */
#else
#define BASE	 0x6a0000000000ull
#endif
#define BASES	 4096
#define PATIENCE 100000

static void nap(void)
{
	const struct timespec t = { .tv_nsec = 100000 };

	nanosleep(&t, NULL);
}

static int dial(bool registers, uint64_t shm_size)
{
	struct vgpu_msg_hello h = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_HELLO, 0, sizeof(h), VGPU_PROTOCOL_VERSION },
		.role = VGPU_ROLE_SHIM, .flags = registers ? VGPU_HELLO_REGISTERS : 0, .pid = (uint32_t)getpid(), .shm_size = shm_size,
		.name = "bench",
	};
	const char *path = getenv("VGPU_SOCKET_PATH");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || send(fd, &h, sizeof(h), MSG_NOSIGNAL) != sizeof(h))
		return -1;
	return fd;
}

/* WELCOME brings the shared memory and the doorbell. */
static bool welcome(struct link *l)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct vgpu_msg_welcome w;
	struct iovec iov = { &w, sizeof(w) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int fds[2];

	if (recvmsg(l->sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(w) || w.h.type != VGPU_MSG_WELCOME)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_len != CMSG_LEN(sizeof(fds)))
		return false;
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	l->memfd = fds[0];
	l->bell = fds[1];
	return !vgpu_shm_geometry(&l->geo, w.shm_size, 1);
}

/* The first of our places that is free. */
static uint8_t *map_memory(const struct link *l)
{
	for (uint64_t i = 0; i < BASES; i++) {
		void *at = (void *)(BASE + i * l->geo.total_size);

		if (mmap(at, l->geo.total_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, l->memfd,
			 0) == at)
			return at;
	}
	return NULL;
}

static bool shake_hands(struct link *l)
{
	struct vgpu_channel_ctl *ctl = &l->channel->ctl;
	uint32_t epoch = 0;

	for (int i = 0; i < PATIENCE && !(epoch = atomic_load(&ctl->offer_epoch)); i++)
		nap();
	ctl->arena_base = (uintptr_t)l->base;
	atomic_store(&ctl->guest_answer, VGPU_ANSWER_ACCEPT);
	atomic_store(&ctl->answer_epoch, epoch);
	for (int i = 0; i < PATIENCE && atomic_load(&ctl->host_state) == VGPU_HOST_OFFER; i++)
		nap();
	return atomic_load(&ctl->host_state) == VGPU_HOST_READY;
}

const char *link_open_sized(struct link *l, bool registers, uint64_t shm_size)
{
	memset(l, 0, sizeof(*l));
	l->sock = dial(registers, shm_size);
	if (l->sock < 0)
		return "no mediator at VGPU_SOCKET_PATH";
	if (!welcome(l))
		return "the mediator did not welcome us";
	l->base = map_memory(l);
	if (!l->base)
		return "no addresses for the shared memory";
	l->channel = vgpu_shm_channel(l->base, &l->geo, 0);
	l->channel->ctl.guest_version = VGPU_PROTOCOL_VERSION;
	l->channel->ctl.guest_batch = !registers;
	if (!shake_hands(l))
		return "the worker did not take the session";
	vgpu_producer_init(&l->ring, &l->channel->ring, l->channel->ring_data, VGPU_RING_BYTES);
	return NULL;
}

const char *link_open(struct link *l, bool registers)
{
	return link_open_sized(l, registers, 0);
}

void link_close(struct link *l)
{
	munmap(l->base, l->geo.total_size);
	close(l->memfd);
	close(l->bell);
	close(l->sock);
}

void link_publish(struct link *l, uint32_t size)
{
	const uint64_t one = 1;

	vgpu_producer_publish(&l->ring, size);
	if (!vgpu_producer_must_ring(&l->ring))
		return;
	vgpu_producer_rings(&l->ring);
	l->doorbells++;
	if (write(l->bell, &one, sizeof(one)) != sizeof(one))
		abort();
}

void link_send(struct link *l, uint16_t op, uint16_t slot, const uint64_t *words, uint32_t count)
{
	struct vgpu_cmd *cmd;

	while (!(cmd = vgpu_producer_reserve(&l->ring, VGPU_CMD_ALIGN))) {
		l->full++;
		sched_yield();
	}
	*cmd = (struct vgpu_cmd){ .size = VGPU_CMD_ALIGN, .op = op, .slot = slot, .args_size = count * 8,
				  .seq = ++l->seq };
	for (uint32_t i = 0; i < count; i++)
		memcpy((uint8_t *)(cmd + 1) + i * 8, &words[i], 8);
	link_publish(l, VGPU_CMD_ALIGN);
}

int link_wait(struct link *l)
{
	struct vgpu_reply_slot *slot = &l->channel->replies[0];

	for (uint64_t i = 1; atomic_load_explicit(&slot->done, memory_order_acquire) != l->seq; i++) {
		if (i % 64 == 0)
			sched_yield();
		if (i % 65536 == 0 && atomic_load(&l->channel->ctl.host_state) != VGPU_HOST_READY)
			return -1;
	}
	return slot->result;
}

bool link_send_call(struct link *l, struct vgpu_msg_call *m, const void *data, uint32_t size)
{
	struct iovec iov[2] = { { m, sizeof(*m) }, { (void *)(uintptr_t)data, size } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	m->h = (struct vgpu_msg){ VGPU_MSG_MAGIC, VGPU_MSG_CALL, 0, (uint32_t)sizeof(*m) + size, VGPU_PROTOCOL_VERSION };
	m->request = (uint32_t)++l->doorbells;
	m->serial = l->doorbells;
	return sendmsg(l->bell, &msg, MSG_NOSIGNAL) == (ssize_t)(sizeof(*m) + size);
}

int link_result(struct link *l)
{
	struct vgpu_msg_result m;
	ssize_t n = recv(l->bell, &m, sizeof(m), 0);

	return n == sizeof(m) && m.h.type == VGPU_MSG_RESULT ? (int)m.result.status : -1;
}

int link_call(struct link *l, uint16_t op, uint16_t slot, const uint64_t *words, uint32_t count)
{
	struct {
		struct vgpu_cmd cmd;
		uint64_t words[3];
	} data = { .cmd = { .op = op, .slot = slot, .args_size = count * 8, .seq = ++l->seq } };
	uint32_t size = (uint32_t)sizeof(data.cmd) + count * 8;
	struct vgpu_msg_call m = {
		.call = { .magic = VGPU_V1_MAGIC, .call_id = VGPU_V1_COMMAND, .seq = (uint32_t)l->seq, .data_len = size },
	};

	for (uint32_t i = 0; i < count && i < 3; i++)
		data.words[i] = words[i];
	return link_send_call(l, &m, &data, size) ? link_result(l) : -1;
}
