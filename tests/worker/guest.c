/* SPDX-License-Identifier: MIT */
/* A supervisor and a guest in one, see guest.h. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "message.h"

#define SHM_SIZE	(256ull << 20)
#define CHANNELS	4u
#define CHANNEL		1u
#define BASE		0x7ea000000000ull

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "guest: %s failed: %s\n", what, strerror(errno));
	exit(1);
}

void guest_nap(void)
{
	const struct timespec t = { .tv_nsec = 100000 };

	nanosleep(&t, NULL);
}

static void become_worker(int control, int stats)
{
	const char *path = getenv("VGPU_WORKER"), *device = getenv("VGPU_TEST_DEVICE");
	const char *level = getenv("VGPU_TEST_LOG");

	check(path, "VGPU_WORKER");
	/* Above 4 first, so that neither overwrites the other. */
	control = fcntl(control, F_DUPFD, 10);
	stats = fcntl(stats, F_DUPFD, 10);
	dup2(control, VGPU_WORKER_CONTROL_FD);
	dup2(stats, VGPU_WORKER_STATS_FD);
	execl(path, path, "--device", device ? device : "soft", "--devices", "all", "--log-level",
	      level ? level : "error", (char *)NULL);
	_exit(127);
}

static bool receive(struct guest *g, struct vgpu_packet *packet)
{
	struct pollfd p = { .fd = g->control, .events = POLLIN };

	return poll(&p, 1, 30000) == 1 && vgpu_msg_recv(g->control, packet, 0) > 0;
}

void guest_spawn(struct guest *g)
{
	int pair[2], stats = memfd_create("stats", MFD_CLOEXEC);
	struct vgpu_packet packet;

	memset(g, 0, sizeof(*g));
	check(stats >= 0 && !ftruncate(stats, sizeof(*g->stats)), "stats");
	g->stats = mmap(NULL, sizeof(*g->stats), PROT_READ | PROT_WRITE, MAP_SHARED, stats, 0);
	check(g->stats != MAP_FAILED, "stats");
	check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
	g->worker = fork();
	check(g->worker >= 0, "fork");
	if (!g->worker)
		become_worker(pair[1], stats);
	close(pair[1]);
	close(stats);
	g->control = pair[0];
	check(receive(g, &packet) && packet.h.type == VGPU_CTL_READY, "READY");
	memcpy(&g->ready, packet.bytes, sizeof(g->ready));
}

static void make_memory(struct guest *g)
{
	g->memfd = memfd_create("vm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	check(g->memfd >= 0 && !ftruncate(g->memfd, SHM_SIZE), "memfd");
	check(!fcntl(g->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "seal");
	check(!vgpu_shm_geometry(&g->geo, SHM_SIZE, CHANNELS), "geometry");
	g->base = mmap((void *)BASE, SHM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, g->memfd, 0);
	check(g->base == (void *)BASE, "mmap");
	vgpu_shm_format(g->base, &g->geo, 7);
	g->channel = vgpu_shm_channel(g->base, &g->geo, CHANNEL);
	g->channel->ctl.guest_version = VGPU_PROTOCOL_VERSION;
	vgpu_producer_init(&g->ring, &g->channel->ring, g->channel->ring_data, VGPU_RING_BYTES);
}

static void answer_offer(struct guest *g)
{
	struct vgpu_channel_ctl *ctl = &g->channel->ctl;
	uint32_t epoch;

	for (int i = 0; i < 100000 && !(epoch = atomic_load(&ctl->offer_epoch)); i++)
		guest_nap();
	check(epoch, "offer");
	ctl->arena_base = BASE;
	atomic_store(&ctl->guest_answer, VGPU_ANSWER_ACCEPT);
	atomic_store(&ctl->answer_epoch, epoch);
	for (int i = 0; i < 100000 && atomic_load(&ctl->host_state) == VGPU_HOST_OFFER; i++)
		guest_nap();
	check(atomic_load(&ctl->host_state) == VGPU_HOST_READY, ctl->host_text);
}

void guest_attach(struct guest *g, uint64_t limit)
{
	struct vgpu_ctl_attach a = {
		.shm_size = SHM_SIZE, .memory_limit = limit, .channels = CHANNELS, .channel = CHANNEL, .session = 1,
		.vm_id = 7, .wake_kind = VGPU_WAKE_EVENTFD,
	};
	int fds[2];

	make_memory(g);
	g->wake = eventfd(0, EFD_CLOEXEC);
	fds[0] = g->memfd;
	fds[1] = g->wake;
	vgpu_msg_init(&a.h, VGPU_CTL_ATTACH, sizeof(a));
	check(!vgpu_msg_send(g->control, &a.h, fds, 2), "ATTACH");
	answer_offer(g);
}

bool guest_note(struct guest *g, struct vgpu_ctl_note *note)
{
	struct vgpu_packet packet;

	if (!receive(g, &packet) || packet.size != sizeof(*note))
		return false;
	memcpy(note, packet.bytes, sizeof(*note));
	return true;
}

int guest_finish(struct guest *g)
{
	struct vgpu_ctl_note detach = { .error = 0 };
	int status = -1;

	vgpu_msg_init(&detach.h, VGPU_CTL_DETACH, sizeof(detach));
	vgpu_msg_send(g->control, &detach.h, NULL, 0);
	waitpid(g->worker, &status, 0);
	close(g->control);
	munmap(g->stats, sizeof(*g->stats));
	if (g->base) {
		munmap(g->base, SHM_SIZE);
		close(g->memfd);
		close(g->wake);
	}
	return status;
}

struct guest_command guest_begin(struct guest *g, uint16_t op, uint32_t args, uint32_t payload, uint16_t slot)
{
	uint32_t size = ((uint32_t)sizeof(struct vgpu_cmd) + args + payload + VGPU_CMD_ALIGN - 1) & ~(VGPU_CMD_ALIGN - 1);
	struct guest_command c;

	while (!(c.cmd = vgpu_producer_reserve(&g->ring, size)))
		guest_nap();
	*c.cmd = (struct vgpu_cmd){ .size = size, .op = op, .slot = slot, .args_size = args, .payload_size = payload,
				    .seq = ++g->seq, .context = g->context };
	c.args = c.cmd + 1;
	c.payload = (uint8_t *)c.args + args;
	return c;
}

void guest_end(struct guest *g, struct guest_command c)
{
	const uint64_t one = 1;

	vgpu_producer_publish(&g->ring, c.cmd->size);
	if (!vgpu_producer_must_ring(&g->ring))
		return;
	vgpu_producer_rings(&g->ring);
	g->doorbells++;
	check(write(g->wake, &one, sizeof(one)) == sizeof(one), "doorbell");
}

int guest_wait(struct guest *g, const void **ret)
{
	struct vgpu_reply_slot *slot = &g->channel->replies[0];

	for (uint64_t i = 0; atomic_load_explicit(&slot->done, memory_order_acquire) != g->seq; i++) {
		if (i > 1000)
			guest_nap();
		check(i < 300000, "reply");
	}
	if (ret)
		*ret = slot->data;
	return slot->result;
}

static void send_command(struct guest *g, uint16_t op, const void *args, uint32_t args_size, const void *payload,
			 uint32_t payload_size, uint16_t slot)
{
	struct guest_command c = guest_begin(g, op, args_size, payload_size, slot);

	if (args_size)
		memcpy(c.args, args, args_size);
	if (payload_size)
		memcpy(c.payload, payload, payload_size);
	guest_end(g, c);
}

int guest_call(struct guest *g, uint16_t op, const void *args, uint32_t args_size, const void *payload,
	       uint32_t payload_size, const void **ret)
{
	send_command(g, op, args, args_size, payload, payload_size, 1);
	return guest_wait(g, ret);
}

void guest_send(struct guest *g, uint16_t op, const void *args, uint32_t args_size, const void *payload,
		uint32_t payload_size)
{
	send_command(g, op, args, args_size, payload, payload_size, 0);
}

bool guest_fence(struct guest *g, uint32_t index, uint64_t value, unsigned int ms)
{
	for (unsigned int i = 0; i < ms * 10; i++) {
		if ((int64_t)(atomic_load(&g->channel->fences[index]) - value) >= 0)
			return true;
		guest_nap();
	}
	return false;
}
