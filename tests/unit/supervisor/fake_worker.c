/* SPDX-License-Identifier: MIT */
/*
 * A worker without a device, for tests of the supervisor.  FAKE_WORKER says
 * how it behaves:
 *	ok		serves; a command is executed by being counted
 *	fail		reports FAILED
 *	crash		exits before READY
 *	hang		never gets READY
 *	silent		takes a session and never answers
 *	conflict	refuses every session for its addresses
 *	conflict-once	refuses if the file FAKE_WORKER_FILE does not exist, and makes it
 *	die		is killed by SIGKILL at the first command
 *	ended		ends its session at the first command
 *	garbage		sends a damaged message when it gets a session
 * In each of them it shares memory or code when a command asks for it, see fake_worker.h.
 * Started as a monitor it asks for the census at each command, and puts the answer into reply slot 0.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control.h"
#include "fake_worker.h"
#include "message.h"

static struct vgpu_worker_stats *stats;
static const char *mode;
static bool monitor;
static uint32_t images;			/* as ATTACH says */

static void send_note(uint16_t type, uint32_t error, const char *text)
{
	struct vgpu_ctl_note m = { .error = error };

	vgpu_msg_init(&m.h, type, sizeof(m));
	snprintf(m.text, sizeof(m.text), "%s", text);
	if (vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &m.h, NULL, 0))
		exit(1);
}

static void send_ready(void)
{
	struct vgpu_ctl_ready m = { .device_count = 1, .driver_version = 13000 };

	vgpu_msg_init(&m.h, VGPU_CTL_READY, sizeof(m));
	snprintf(m.device_name, sizeof(m.device_name), "fake device");
	if (vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &m.h, NULL, 0))
		exit(1);
}

static int conflicts(void)
{
	const char *file = getenv("FAKE_WORKER_FILE");
	int fd;

	if (!strcmp(mode, "conflict"))
		return 1;
	if (strcmp(mode, "conflict-once") || !file)
		return 0;
	fd = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void first_command(void)
{
	if (!strcmp(mode, "die"))
		raise(SIGKILL);
	if (!strcmp(mode, "ended")) {
		send_note(VGPU_CTL_ENDED, VGPU_HOST_PROTOCOL, "command 1 makes no sense");
		exit(0);
	}
}

static void share_ask(uint16_t type, struct vgpu_ctl_share *m, int fd, struct vgpu_packet *answer)
{
	vgpu_msg_init(&m->h, type, sizeof(*m));
	if (vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &m->h, &fd, fd >= 0) ||
	    vgpu_msg_recv(VGPU_WORKER_CONTROL_FD, answer, 0) <= 0 || answer->h.type != VGPU_CTL_SHARED)
		exit(1);
}

static void share_export(const struct fake_share *f, struct fake_imported *o)
{
	struct vgpu_ctl_share m = { .kind = f->kind, .data = FAKE_SECRET };
	int fd = memfd_create("shared", MFD_CLOEXEC);
	struct vgpu_packet p;

	memcpy(m.token, f->token, sizeof(m.token));
	if (fd < 0 || pwrite(fd, f->token, sizeof(f->token), 0) != sizeof(f->token))
		exit(1);
	share_ask(VGPU_CTL_EXPORT, &m, fd, &p);
	memcpy(&o->share, p.bytes, sizeof(o->share));
	close(fd);
}

static void share_import(const struct fake_share *f, struct fake_imported *o)
{
	struct vgpu_ctl_share m = { .kind = f->kind };
	struct vgpu_packet p;

	memcpy(m.token, f->token, sizeof(m.token));
	share_ask(VGPU_CTL_IMPORT, &m, -1, &p);
	memcpy(&o->share, p.bytes, sizeof(o->share));
	if (p.fd_count && pread(p.fds[0], o->file, sizeof(o->file), 0) != sizeof(o->file))
		exit(1);
	vgpu_packet_close_fds(&p);
}

static void share_withdraw(const struct fake_share *f, struct fake_imported *o)
{
	o->share = (struct vgpu_ctl_share){ .kind = f->kind, .found = 1 };
	memcpy(o->share.token, f->token, sizeof(f->token));
	vgpu_msg_init(&o->share.h, VGPU_CTL_WITHDRAW, sizeof(o->share));
	if (vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &o->share.h, NULL, 0))
		exit(1);
}

static void share(struct vgpu_reply_slot *reply, const struct fake_share *f)
{
	struct fake_imported *o = (struct fake_imported *)reply->data;

	memset(o, 0, sizeof(*o));
	if (f->c.op == FAKE_EXPORT)
		share_export(f, o);
	else if (f->c.op == FAKE_IMPORT)
		share_import(f, o);
	else
		share_withdraw(f, o);
	reply->result = !o->share.found;
	atomic_store(&reply->done, f->c.seq);
}

static void tell_census(struct vgpu_channel *ch, uint64_t seq)
{
	struct vgpu_reply_slot *r = &ch->replies[0];
	struct vgpu_packet p;

	send_note(VGPU_CTL_CENSUS_ASK, 0, "");
	if (vgpu_msg_recv(VGPU_WORKER_CONTROL_FD, &p, 0) <= 0 || p.h.type != VGPU_CTL_CENSUS)
		exit(1);
	memcpy(r->data, p.bytes, p.size);
	r->size = p.size;
	atomic_store(&r->done, seq);
}

static void execute(struct vgpu_channel *ch, struct vgpu_consumer *c)
{
	static _Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	const struct vgpu_cmd *cmd = (const void *)buf;

	while (vgpu_consumer_take(c, buf) > 0) {
		first_command();
		if (cmd->op == FAKE_EXPORT || cmd->op == FAKE_IMPORT || cmd->op == FAKE_WITHDRAW)
			share(&ch->replies[0], (const struct fake_share *)buf);
		if (cmd->op == FAKE_KEEP || cmd->op == FAKE_FIND)
			fake_image(&ch->replies[0], (const struct fake_image *)buf, images);
		if (monitor)
			tell_census(ch, cmd->seq);
		atomic_store(&stats->last_seq, cmd->seq);
		atomic_store(&stats->last_op, cmd->op);
		atomic_store(&stats->memory_used, 1 << 20);
		atomic_store(&stats->memory_peak, 1 << 20);
		if (atomic_load(&stats->trace)) {
			uint64_t i = atomic_load(&stats->trace_tail);

			stats->record[i % VGPU_TRACE_RECORDS] = (struct vgpu_trace_record){
				.seq = cmd->seq, .op = cmd->op, .guest = 1000, .taken = 2000, .done = 3000,
			};
			atomic_store(&stats->trace_tail, i + 1);
		}
		atomic_fetch_add(&stats->commands, 1);
	}
}

static void woken(int wake, uint32_t kind)
{
	struct vgpu_packet p;
	uint64_t n;

	if (kind == VGPU_WAKE_EVENTFD) {
		if (read(wake, &n, sizeof(n)) == (ssize_t)sizeof(n)) {
			atomic_fetch_add(&stats->wakes, 1);
			atomic_fetch_add(&stats->doorbells, n);
		}
		return;
	}
	if (vgpu_msg_recv(wake, &p, MSG_DONTWAIT) == (int)sizeof(struct vgpu_msg_wake)) {
		struct vgpu_msg_wake *w = (struct vgpu_msg_wake *)p.bytes;

		atomic_fetch_add(&stats->wakes, 1);
		atomic_fetch_add(&stats->doorbells, w->doorbells);
	}
}

static void serve(const struct vgpu_ctl_attach *a, int memfd, int wake)
{
	struct vgpu_shm_geometry g;
	struct vgpu_channel *ch;
	struct vgpu_consumer c;
	void *base = mmap(NULL, a->shm_size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	struct pollfd p[2] = { { .fd = VGPU_WORKER_CONTROL_FD, .events = POLLIN },
			       { .fd = wake, .events = POLLIN } };

	if (base == MAP_FAILED || vgpu_shm_geometry(&g, a->shm_size, a->channels))
		exit(1);
	ch = vgpu_shm_channel(base, &g, a->channel);
	ch->ctl.session = a->session;
	atomic_store(&ch->ctl.host_state, VGPU_HOST_READY);
	vgpu_consumer_init(&c, &ch->ring, ch->ring_data, VGPU_RING_BYTES);
	send_note(VGPU_CTL_ATTACHED, 0, "");
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			exit(0);
		if (p[1].revents & POLLHUP)
			p[1].fd = -1;
		woken(wake, a->wake_kind);
		execute(ch, &c);
	}
}

static void attach(const struct vgpu_packet *p)
{
	struct vgpu_ctl_attach a;

	memcpy(&a, p->bytes, sizeof(a));
	if (p->fd_count != 2)
		exit(1);
	atomic_store(&stats->trace, a.trace);
	images = a.images;
	if (!strcmp(mode, "silent"))
		return;
	if (!strcmp(mode, "garbage")) {
		if (write(VGPU_WORKER_CONTROL_FD, "nonsense", 8) != 8)
			exit(1);
		return;
	}
	if (conflicts()) {
		close(p->fds[0]);
		close(p->fds[1]);
		send_note(VGPU_CTL_CONFLICT, VGPU_HOST_ADDRESS, "in use");
		return;
	}
	serve(&a, p->fds[0], p->fds[1]);
}

int main(int argc, char **argv)
{
	struct vgpu_packet p;
	int death = 0;

	for (int i = 1; i < argc; i++)
		monitor |= !strcmp(argv[i], "--monitor");
	mode = getenv("FAKE_WORKER");
	if (!mode)
		mode = "ok";
	prctl(PR_GET_PDEATHSIG, &death);
	if (!strcmp(mode, "crash") || death != SIGKILL)
		return 3;
	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED, VGPU_WORKER_STATS_FD, 0);
	if (stats == MAP_FAILED)
		return 4;
	if (!strcmp(mode, "fail")) {
		send_note(VGPU_CTL_FAILED, VGPU_HOST_NO_DEVICE, "no device: the fake has none");
		return 1;
	}
	if (strcmp(mode, "hang"))
		send_ready();
	while (vgpu_msg_recv(VGPU_WORKER_CONTROL_FD, &p, 0) > 0)
		if (p.h.type == VGPU_CTL_ATTACH)
			attach(&p);
	return 0;
}
