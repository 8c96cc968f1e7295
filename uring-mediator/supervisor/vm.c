/* SPDX-License-Identifier: MIT */
/*
 * A VM: the connection of one stub, the memory that it shares, and the
 * sessions on its channels.  The "VM" of the unix transport has neither
 * connection nor memory of its own: every session there brings both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

#define NEEDED_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

static struct vgpu_log_ids vm_ids(const struct vm *vm)
{
	return (struct vgpu_log_ids){ .has_vm = true, .vm_id = vm->vm_id, .pid = (uint32_t)vm->pid };
}

/* NULL, or what is wrong with the memory that came with HELLO. */
static const char *memory_objection(const struct vgpu_msg_hello *hello, int memfd,
				    struct vgpu_shm_geometry *g)
{
	struct stat st;
	int seals;

	if (vgpu_shm_geometry(g, hello->shm_size, hello->channels))
		return "size or number of channels is out of range";
	if (fstat(memfd, &st) || !S_ISREG(st.st_mode))
		return "the descriptor is not memory";
	if ((uint64_t)st.st_size != hello->shm_size)
		return "the memory has another size than HELLO says";
	seals = fcntl(memfd, F_GET_SEALS);
	if (seals < 0 || (seals & NEEDED_SEALS) != NEEDED_SEALS)
		return "the memory is not sealed against shrinking and growing";
	return NULL;
}

static struct vm *vm_new(struct supervisor *sup, uint32_t vm_id, bool unix_transport, const char *name)
{
	struct vm *vm = vgpu_zalloc(sizeof(*vm));

	if (!vm)
		return NULL;
	vm->record = record_get(sup, vm_id, unix_transport, name);
	if (!vm->record) {
		vgpu_free(vm);
		return NULL;
	}
	vm->record->live++;
	vm->sup = sup;
	vm->vm_id = vm_id;
	vm->unix_transport = unix_transport;
	vm->memfd = -1;
	vm->limit = (struct vgpu_log_limit){ .burst = 10, .window_ms = 10000 };
	list_add_before(&vm->link, &sup->vms);
	return vm;
}

struct vm *vm_unix(struct supervisor *sup)
{
	if (!sup->unix_vm)
		sup->unix_vm = vm_new(sup, 0, true, "unix");
	return sup->unix_vm;
}

/* Whatever served this channel is gone: say so, unless the channel says it already. */
static void channel_declare_dead(const struct vm *vm, uint32_t i, const char *text)
{
	struct vgpu_channel_ctl *ctl = channel_map(vm->memfd, &vm->geometry, i);
	uint32_t state;

	if (!ctl)
		return;
	state = atomic_load(&ctl->host_state);
	if (state == VGPU_HOST_OFFER || state == VGPU_HOST_RETRY || state == VGPU_HOST_READY) {
		snprintf(ctl->host_text, sizeof(ctl->host_text), "%s", text);
		atomic_store(&ctl->host_error, VGPU_HOST_WORKER_DIED);
		atomic_store(&ctl->host_state, VGPU_HOST_DEAD);
	}
	channel_unmap(ctl);
}

static void vm_welcome(struct vm *vm)
{
	struct vgpu_msg_welcome m = { .shm_size = vm->geometry.total_size };
	struct vgpu_log_ids ids = vm_ids(vm);

	for (uint32_t i = 0; i < vm->geometry.channel_count; i++)
		channel_declare_dead(vm, i, "the connection between VM and mediator was lost");
	vgpu_msg_init(&m.h, VGPU_MSG_WELCOME, sizeof(m));
	conn_send(vm->conn, &m.h, NULL, 0);
	vgpu_log(VGPU_LOG_INFO, &ids,
		 "[CONNECTION] VM '%s' registered: %llu MiB shared, %s pages, %u channels, uid %u",
		 vm->record->name, (unsigned long long)(vm->geometry.total_size >> 20), vm->pages,
		 vm->geometry.channel_count, vm->conn->uid);
	if (vm->record->live > 1)
		vgpu_log(VGPU_LOG_WARNING, &ids,
			 "[CONNECTION] vm_id %u is in use by %u VMs; give each its own", vm->vm_id,
			 vm->record->live);
}

void vm_hello(struct conn *conn, const struct vgpu_msg_hello *hello, int memfd)
{
	struct vgpu_shm_geometry g;
	const char *objection = memory_objection(hello, memfd, &g);
	struct vm *vm = objection ? NULL :
			vm_new(conn->sup, hello->vm_id, false, hello->name);

	if (!vm) {
		close(memfd);
		conn_refuse(conn, objection ? VGPU_HOST_PROTOCOL : VGPU_HOST_QUOTA,
			    objection ? objection : "the mediator is out of memory");
		if (objection)
			conn_violation(conn, "HELLO of a stub: %s", objection);
		return;
	}
	vm->geometry = g;
	vm->memfd = memfd;
	vm->pages = pages_of(memfd);
	vm->pid = conn->pid;
	vm->conn = conn;
	conn->vm = vm;
	conn->role = CONN_STUB;
	vm_welcome(vm);
}

/* ---- messages of the stub ---- */

static void vm_note(struct vm *vm, const char *text, uint32_t channel)
{
	struct vgpu_log_ids ids = vm_ids(vm);

	vgpu_log_limited(&vm->limit, vm->sup->loop.now_ms, VGPU_LOG_NOTICE, &ids,
			 "[CONNECTION] channel %u: %s", channel, text);
}

static void channel_open(struct vm *vm, uint32_t i, uint32_t generation)
{
	struct session *s = vm->channel[i];

	if (!s) {
		session_open(vm, i, generation);
		return;
	}
	if (s->state < SESSION_CLOSING && s->generation == generation) {
		vm_note(vm, "opened twice, the second time is ignored", i);
		return;
	}
	/* The previous owner died without a word: its successor waits for the end of the session. */
	vm->reopen[i] = true;
	vm->reopen_generation[i] = generation;
	session_end(s, VGPU_HOST_CLOSED, "the channel was opened by another process");
}

static void channel_close(struct vm *vm, uint32_t i)
{
	struct session *s = vm->channel[i];

	vm->reopen[i] = false;
	if (s)
		session_close(s, "closed by the guest");
	else
		channel_declare_dead(vm, i, "nothing served this channel any more");
}

bool vm_stats_due(const struct vm *vm)
{
	return vm->conn && vm->stats_answered != vm->stats_cookie;
}

/* One VM less is to answer. */
static void stats_settled(struct supervisor *sup)
{
	if (!--sup->stats_due)
		clients_stats(sup);
}

static void vm_stats(struct vm *vm, const struct vgpu_packet *packet)
{
	bool was_due = vm_stats_due(vm);
	struct vgpu_msg_stats m;

	memcpy(&m, packet->bytes, sizeof(m));
	if (m.channels > vm->geometry.channel_count) {
		conn_violation(vm->conn, "STATS of %u channels, the VM has %u", m.channels,
			       vm->geometry.channel_count);
		return;
	}
	vm->stats = m;
	if (m.cookie > vm->stats_answered && m.cookie <= vm->stats_cookie)
		vm->stats_answered = m.cookie;
	record_stats(vm->record, &m);
	if (was_due && !vm_stats_due(vm))
		stats_settled(vm->sup);
}

void vm_message(struct vm *vm, const struct vgpu_packet *packet)
{
	struct vgpu_msg_channel m;

	if (packet->h.type == VGPU_MSG_STATS) {
		vm_stats(vm, packet);
		return;
	}
	if (packet->h.type != VGPU_MSG_CHANNEL_OPEN && packet->h.type != VGPU_MSG_CHANNEL_CLOSE) {
		conn_violation(vm->conn, "unexpected %s", vgpu_msg_name(packet->h.type));
		return;
	}
	memcpy(&m, packet->bytes, sizeof(m));
	if (m.channel >= vm->geometry.channel_count)
		conn_violation(vm->conn, "%s of channel %u, the VM has %u",
			       vgpu_msg_name(m.h.type), m.channel, vm->geometry.channel_count);
	else if (m.h.type == VGPU_MSG_CHANNEL_OPEN)
		channel_open(vm, m.channel, m.generation);
	else
		channel_close(vm, m.channel);
}

/* ---- messages to the stub ---- */

void vm_request_stats(struct vm *vm)
{
	struct vgpu_msg_stats_request m = { .cookie = vm->stats_cookie + 1 };

	if (!vm->conn)
		return;
	/* One question at a time is enough: a stub that is silent gets no more of them. */
	if (vm->stats_cookie > vm->stats_answered + 16)
		return;
	if (!vm_stats_due(vm))
		vm->sup->stats_due++;
	vm->stats_cookie++;
	vgpu_msg_init(&m.h, VGPU_MSG_STATS_REQUEST, sizeof(m));
	conn_send(vm->conn, &m.h, NULL, 0);
}

void vm_send_channel(struct vm *vm, uint16_t type, const struct session *s, const int *fd)
{
	struct vgpu_msg_channel m = {
		.channel = s->channel, .generation = s->generation, .session = s->id,
	};

	if (!vm->conn)
		return;
	vgpu_msg_init(&m.h, type, sizeof(m));
	conn_send(vm->conn, &m.h, fd, fd ? 1 : 0);
}

void vm_send_failed(struct vm *vm, uint32_t channel, enum vgpu_host_error error, const char *text)
{
	struct vgpu_msg_refused m = { .channel = channel, .error = error };

	if (!vm->conn)
		return;
	vgpu_msg_init(&m.h, VGPU_MSG_CHANNEL_FAILED, sizeof(m));
	snprintf(m.text, sizeof(m.text), "%s", text);
	conn_send(vm->conn, &m.h, NULL, 0);
}

/* ---- end ---- */

void vm_channel_free(struct vm *vm, uint32_t channel)
{
	vm->channel[channel] = NULL;
	if (!vm->reopen[channel] || !vm->conn || vm->sup->stopping)
		return;
	vm->reopen[channel] = false;
	session_open(vm, channel, vm->reopen_generation[channel]);
}

void vm_free_if_unused(struct vm *vm)
{
	if (vm->unix_transport || vm->conn || vm->session_count)
		return;
	images_end(vm);
	vm->record->live--;
	list_del(&vm->link);
	close(vm->memfd);
	vgpu_free(vm);
}

void vm_gone(struct vm *vm)
{
	struct vgpu_log_ids ids = vm_ids(vm);
	bool due = vm_stats_due(vm);

	vm->conn = NULL;
	if (due)
		stats_settled(vm->sup);
	vgpu_log(VGPU_LOG_INFO, &ids, "[CONNECTION] VM '%s' is gone, %u sessions end",
		 vm->record->name, vm->session_count);
	vm->session_count++;	/* keeps *vm while its sessions end */
	for (uint32_t i = 0; i < vm->geometry.channel_count; i++)
		if (vm->channel[i])
			session_end(vm->channel[i], VGPU_HOST_CLOSED, "the VM is gone");
	vm->session_count--;
	vm_free_if_unused(vm);
}
