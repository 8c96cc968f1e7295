/* SPDX-License-Identifier: MIT */
/* What the supervisor tells a monitor of other sessions: those of its own VM, or without a VM of its own user. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#define OTHER_UID	65534
#define MONITOR_CHANNEL 3u

/* A channel of a VM, or of a process without one: what its guest does. */
struct guest {
	struct vgpu_channel *channel;
	struct vgpu_producer producer;
	int wake;
	uint64_t seq;
};

static void guest_open(struct guest *g, struct vgpu_channel *channel, int wake)
{
	*g = (struct guest){ .channel = channel, .wake = wake };
	vgpu_producer_init(&g->producer, &channel->ring, channel->ring_data, VGPU_RING_BYTES);
	soon(atomic_load(&channel->ctl.host_state) == VGPU_HOST_READY);
}

/* One command over a VM's wake socket. The fake worker uses 1 MiB from then on; a fake monitor asks for the census. */
static void guest_command(struct guest *g)
{
	struct vgpu_msg_wake wake = { .doorbells = 1, .serial = g->seq + 1 };
	struct vgpu_cmd *c = vgpu_producer_reserve(&g->producer, 64);

	assert_non_null(c);
	*c = (struct vgpu_cmd){ .size = 64, .op = 1, .seq = ++g->seq };
	vgpu_producer_publish(&g->producer, 64);
	vgpu_msg_init(&wake.h, VGPU_MSG_WAKE, sizeof(wake));
	assert_int_equal(vgpu_msg_send(g->wake, &wake.h, NULL, 0), 0);
	soon(atomic_load(&g->channel->ring.head) == g->seq * 64);
}

static void open_in_vm(struct stub *s, uint32_t channel, uint32_t pid, bool monitor, struct guest *g)
{
	struct vgpu_channel_ctl *ctl = stub_ctl(s, channel);
	struct vgpu_packet p;

	atomic_store(&ctl->host_state, VGPU_HOST_NONE);
	atomic_store(&ctl->generation, 1);
	ctl->guest_pid = pid;
	ctl->guest_flags = monitor ? VGPU_GUEST_MONITOR : 0;
	stub_channel(s, VGPU_MSG_CHANNEL_OPEN, channel, 1);
	stub_expect(s, VGPU_MSG_CHANNEL_OPENED, &p);
	assert_int_equal(p.fd_count, 1);
	guest_open(g, vgpu_shm_channel(s->base, &s->g, channel), p.fds[0]);
}

static void read_census(const struct vgpu_channel *channel, uint64_t seq, struct vgpu_ctl_census *census)
{
	const struct vgpu_reply_slot *r = &channel->replies[0];

	soon(atomic_load(&r->done) == seq);
	assert_int_equal(r->size, sizeof(*census));
	memcpy(census, r->data, sizeof(*census));
	assert_int_equal(census->left_out, 0);
}

static void census_of_vm(struct guest *monitor, struct vgpu_ctl_census *census)
{
	guest_command(monitor);
	read_census(monitor->channel, monitor->seq, census);
}

static const struct vgpu_census_entry *entry_of(const struct vgpu_ctl_census *census, uint32_t pid)
{
	for (uint32_t i = 0; i < census->count; i++)
		if (census->entries[i].guest_pid == pid)
			return &census->entries[i];
	return NULL;
}

static void a_monitor_sees_its_own_vm(void **state)
{
	struct vgpu_ctl_census census;
	struct guest one, two, other, ours, theirs;
	struct stub a, b;
	struct mediator m;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&a, &m);
	stub_open(&b, &m);	/* even of the same number: it is another VM */
	open_in_vm(&a, MONITOR_CHANNEL, 100, true, &ours);
	open_in_vm(&b, MONITOR_CHANNEL, 100, true, &theirs);
	census_of_vm(&ours, &census);
	assert_int_equal(census.count, 0);	/* monitors are not among them */
	open_in_vm(&a, 0, 11, false, &one);
	open_in_vm(&a, 1, 12, false, &two);
	open_in_vm(&b, 0, 21, false, &other);
	guest_command(&one);
	guest_command(&other);
	census_of_vm(&ours, &census);
	assert_int_equal(census.count, 2);
	assert_non_null(entry_of(&census, 11));
	assert_non_null(entry_of(&census, 12));
	assert_int_equal(entry_of(&census, 11)->memory_used, 1 << 20);
	assert_int_equal(entry_of(&census, 12)->memory_used, 0);
	assert_int_not_equal(entry_of(&census, 11)->worker_pid, entry_of(&census, 12)->worker_pid);
	census_of_vm(&theirs, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 21));
	stub_channel(&a, VGPU_MSG_CHANNEL_CLOSE, 0, 1);
	soon(status_number(&m, "session_count") == 4);
	census_of_vm(&ours, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 12));
	stub_close(&a);
	stub_close(&b);
	soon(status_number(&m, "session_count") == 0);
	mediator_stop(&m);
	close(one.wake);
	close(two.wake);
	close(other.wake);
	close(ours.wake);
	close(theirs.wake);
}

/* A process of that user, which says that this is its number. */
static void open_process(uid_t uid, struct shim *s, const struct mediator *m, uint32_t role, uint32_t pid)
{
	shim_open_as(s, m, role, uid);
	soon(atomic_load(&s->channel->ctl.host_state) == VGPU_HOST_READY);
	s->channel->ctl.guest_pid = pid;
}

static void census_of_user(struct shim *monitor, struct vgpu_ctl_census *census)
{
	shim_command(monitor);
	read_census(monitor->channel, monitor->seq, census);
}

static void a_monitor_sees_its_own_user(void **state)
{
	struct shim mine, theirs, my_monitor, their_monitor;
	struct vgpu_ctl_census census;
	struct mediator m;
	uid_t own = getuid();
	char uids[32];

	(void)state;
	if (own)
		skip();		/* cannot become another user */
	snprintf(uids, sizeof(uids), "%u,%u", own, OTHER_UID);
	mediator_start(&m, "ok", "--allow-uids", uids, NULL);
	assert_int_equal(chmod(m.dir, 0755), 0);
	assert_int_equal(chmod(m.socket, 0666), 0);
	open_process(own, &mine, &m, VGPU_ROLE_SHIM, 31);
	open_process(OTHER_UID, &theirs, &m, VGPU_ROLE_SHIM, 32);
	open_process(own, &my_monitor, &m, VGPU_ROLE_MONITOR, 33);
	open_process(OTHER_UID, &their_monitor, &m, VGPU_ROLE_MONITOR, 34);
	census_of_user(&my_monitor, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 31));
	census_of_user(&their_monitor, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 32));
	shim_close(&mine);
	soon(status_number(&m, "session_count") == 3);
	census_of_user(&my_monitor, &census);
	assert_int_equal(census.count, 0);
	shim_close(&theirs);
	shim_close(&my_monitor);
	shim_close(&their_monitor);
	soon(status_number(&m, "session_count") == 0);
	mediator_stop(&m);
}

/* A VM's process neither is seen by processes of the host, nor sees them. */
static void vms_and_users_are_apart(void **state)
{
	struct vgpu_ctl_census census;
	struct shim process, on_host;
	struct guest guest, in_vm;
	struct mediator m;
	struct stub s;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&s, &m);
	open_in_vm(&s, 0, 41, false, &guest);
	open_in_vm(&s, MONITOR_CHANNEL, 42, true, &in_vm);
	open_process(geteuid(), &process, &m, VGPU_ROLE_SHIM, 43);
	open_process(geteuid(), &on_host, &m, VGPU_ROLE_MONITOR, 44);
	census_of_vm(&in_vm, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 41));
	census_of_user(&on_host, &census);
	assert_int_equal(census.count, 1);
	assert_non_null(entry_of(&census, 43));
	shim_close(&process);
	shim_close(&on_host);
	stub_close(&s);
	soon(status_number(&m, "session_count") == 0);
	mediator_stop(&m);
	close(guest.wake);
	close(in_vm.wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_monitor_sees_its_own_vm),
		cmocka_unit_test(a_monitor_sees_its_own_user),
		cmocka_unit_test(vms_and_users_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
