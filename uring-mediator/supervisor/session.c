/* SPDX-License-Identifier: MIT */
/*
 * A session: one guest process and the worker that serves it.
 *
 *	WAITING --worker--> STARTING --ATTACHED--> RUNNING
 *	   ^------CONFLICT-----'  |                   |
 *	                          |                   +--guest closes--> CLOSING
 *	                          '---> ENDING <------+---------------------'
 *	                                  '--worker reaped--> freed
 *
 * Whatever ends it (guest, VM, operator, limit, the worker itself), the
 * worker is killed and reaped first; only then is the channel declared dead,
 * so that nobody writes to a channel that its next owner has cleared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"
#include "supervisor.h"

#define CLOSE_MS	500	/* for the last commands of a guest that has gone; on a crowded processor a worker needs more than 100 */
#define CLOSE_LOOK_MS	2
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define HUGE_PAGE	(2ull << 20)

/* ---- small helpers ---- */

void copy_name(char *to, const char *from, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = from[i] >= 0x20 && from[i] < 0x7f ? from[i] : '?';
	to[i] = 0;
}

struct vgpu_channel_ctl *channel_map(int memfd, const struct vgpu_shm_geometry *g, uint32_t channel)
{
	/* A whole channel, because memory of huge pages can be mapped in no smaller pieces. */
	void *p = mmap(NULL, VGPU_CHANNEL_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       memfd, (off_t)(g->channels_at + channel * VGPU_CHANNEL_STRIDE));

	return p == MAP_FAILED ? NULL : p;
}

void channel_unmap(struct vgpu_channel_ctl *ctl)
{
	munmap(ctl, VGPU_CHANNEL_STRIDE);
}

static int session_memfd(const struct session *s)
{
	return s->memfd >= 0 ? s->memfd : s->vm->memfd;
}

struct vgpu_channel_ctl *session_map(const struct session *s)
{
	return channel_map(session_memfd(s), &s->geometry, s->channel);
}

struct vgpu_log_ids session_ids(const struct session *s)
{
	return (struct vgpu_log_ids){
		.has_vm = true, .vm_id = s->vm->vm_id, .session = s->id, .pid = s->guest_pid,
	};
}

const char *session_state_name(const struct session *s)
{
	static const char *const names[] = {
		[SESSION_WAITING] = "waiting", [SESSION_STARTING] = "starting",
		[SESSION_RUNNING] = "running", [SESSION_CLOSING] = "closing",
		[SESSION_ENDING] = "ending",
	};

	return names[s->state];
}

void sessions_init(struct supervisor *sup)
{
	list_init(&sup->conns);
	list_init(&sup->vms);
	list_init(&sup->sessions);
	for (unsigned int i = 0; i < SESSION_BUCKETS; i++)
		list_init(&sup->sessions_by_id[i]);
	list_init(&sup->records);
	list_init(&sup->clients);
	list_init(&sup->image_stores);
}

static struct list *sessions_with(struct supervisor *sup, uint32_t id)
{
	return &sup->sessions_by_id[id % SESSION_BUCKETS];
}

struct session *session_find(struct supervisor *sup, uint32_t id)
{
	list_each(at, sessions_with(sup, id)) {
		struct session *s = container_of(at, struct session, by_id);

		if (s->id == id)
			return s;
	}
	return NULL;
}

static void channel_state(int memfd, const struct vgpu_shm_geometry *g, uint32_t channel,
			  enum vgpu_host_state state, enum vgpu_host_error error, const char *text)
{
	struct vgpu_channel_ctl *ctl = channel_map(memfd, g, channel);

	if (!ctl)
		return;
	snprintf(ctl->host_text, sizeof(ctl->host_text), "%s", text);
	atomic_store(&ctl->host_error, error);
	atomic_store(&ctl->host_state, state);
	channel_unmap(ctl);
}

/* ---- birth ---- */

/* NULL, or why there can be no further session. */
static const char *session_objection(struct supervisor *sup, const struct vm *vm, bool monitor)
{
	if (sup->session_count >= sup->config.max_sessions)
		return "the mediator serves as many sessions as max-sessions allows";
	/* Asking about devices takes none of a VM's sessions; its channels bound it. */
	if (!monitor && !vm->unix_transport &&
	    vm->session_count - vm->monitor_count >= config_vm_sessions(&sup->config, vm->vm_id))
		return "this VM has as many sessions as it may";
	return NULL;
}

static void session_look_closing(struct session *s);

static void session_late(struct timer *timer)
{
	struct session *s = container_of(timer, struct session, deadline);
	const struct pool *pool = &s->sup->pool;

	if (s->state == SESSION_CLOSING)
		session_look_closing(s);
	else if (s->state == SESSION_WAITING)
		session_end(s, pool->failures ? pool->last_error : VGPU_HOST_QUOTA,
			    "no worker was ready within %u ms%s%s", s->sup->config.start_timeout_ms,
			    pool->failures ? ": " : "", pool->failures ? pool->last_failure : "");
	else
		session_end(s, VGPU_HOST_PROTOCOL, "guest and worker did not agree on addresses within %u ms",
			    s->sup->config.start_timeout_ms);
}

static struct session *session_new(struct vm *vm, bool monitor)
{
	struct supervisor *sup = vm->sup;
	struct session *s = vgpu_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->sup = sup;
	s->vm = vm;
	s->monitor = monitor;
	s->wake_socket = !vm->unix_transport;
	s->memfd = s->wake = s->peer_wake = -1;
	s->id = ++sup->next_session;
	s->started_ms = sup->loop.now_ms;
	s->memory_limit = config_vm_memory(&sup->config, vm->vm_id);
	s->error = VGPU_HOST_CLOSED;
	list_init(&s->wait);
	list_init(&s->shares);
	timer_init(&s->deadline, session_late);
	list_add_before(&s->link, &sup->sessions);
	list_add_before(&s->by_id, sessions_with(sup, s->id));
	sup->session_count++;
	sup->sessions_total++;
	vm->session_count++;
	vm->monitor_count += monitor;
	return s;
}

static void session_start(struct session *s)
{
	s->state = SESSION_WAITING;
	timer_set(&s->sup->loop, &s->deadline, s->sup->config.start_timeout_ms);
	if (s->monitor)
		monitor_request(s);
	else
		pool_request(s);
}

static void log_refused(struct supervisor *sup, const struct vgpu_log_ids *ids, const char *text)
{
	sup->sessions_refused++;
	vgpu_log_limited(&sup->refuse_limit, sup->loop.now_ms, VGPU_LOG_WARNING, ids,
			 "[REJECT] session refused: %s", text);
}

/* What the guest wrote into its channel: any answer will do. */
static bool wants_monitor(const struct vm *vm, uint32_t channel)
{
	struct vgpu_channel_ctl *ctl = channel_map(vm->memfd, &vm->geometry, channel);
	bool monitor;

	if (!ctl)
		return false;
	monitor = __atomic_load_n(&ctl->guest_flags, __ATOMIC_RELAXED) & VGPU_GUEST_MONITOR;
	channel_unmap(ctl);
	return monitor;
}

void session_open(struct vm *vm, uint32_t channel, uint32_t generation)
{
	struct vgpu_log_ids ids = { .has_vm = true, .vm_id = vm->vm_id };
	bool monitor = wants_monitor(vm, channel);
	const char *objection = session_objection(vm->sup, vm, monitor);
	struct session *s = objection ? NULL : session_new(vm, monitor);

	if (!s) {
		if (!objection)
			objection = "the mediator is out of memory";
		channel_state(vm->memfd, &vm->geometry, channel, VGPU_HOST_REFUSED, VGPU_HOST_QUOTA,
			      objection);
		vm_send_failed(vm, channel, VGPU_HOST_QUOTA, objection);
		log_refused(vm->sup, &ids, objection);
		return;
	}
	s->geometry = vm->geometry;
	s->pages = vm->pages;
	s->channel = channel;
	s->generation = generation;
	vm->channel[channel] = s;
	images_join(s);
	session_start(s);
}

/*
 * Format fresh memory of the session's size.  The first huge page is what is mapped: no less can be of memory that is
 * made of them, and all of it is mapped for a moment, so that the kernel sets it aside now and nobody gets SIGBUS later.
 */
static int format_memory(struct session *s, int fd, bool huge)
{
	uint64_t size = s->geometry.total_size;
	void *p = mmap(NULL, huge ? size : HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	vgpu_shm_format(p, &s->geometry, 0);
	munmap(p, huge ? size : HUGE_PAGE);
	return 0;
}

/* Sealed memory of the session's size, of the kernel's huge pages or ordinary. Descriptor or -errno. */
static int make_file(struct session *s, bool huge)
{
	int fd = memfd_create("vgpu-session", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u));

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, (off_t)s->geometry.total_size) && !fcntl(fd, F_ADD_SEALS, SEALS) && !format_memory(s, fd, huge))
		return fd;
	close(fd);
	return -ENOMEM;
}

/* Make the shared memory of a session without a VM. Descriptor or -errno. */
static int make_memory(struct session *s, uint64_t size)
{
	enum config_pages pages = s->sup->config.huge_pages;
	struct vgpu_log_ids ids = session_ids(s);
	int fd = -ENOMEM;

	if (vgpu_shm_geometry(&s->geometry, size, 1))
		return -EINVAL;
	if (pages != CONFIG_PAGES_NEVER)
		fd = make_file(s, true);
	if (fd < 0 && pages == CONFIG_PAGES_ALWAYS)
		vgpu_log(VGPU_LOG_WARNING, &ids,
			 "[CONNECTION] no huge pages for %llu MiB of shared memory: raise vm.nr_hugepages, or set huge-pages = auto",
			 (unsigned long long)(size >> 20));
	else if (fd < 0)
		fd = make_file(s, false);
	if (fd < 0)
		return fd;
	s->pages = pages_of(fd);
	vgpu_log(VGPU_LOG_DEBUG, &ids, "[CONNECTION] %llu MiB of shared memory, %s pages", (unsigned long long)(size >> 20),
		 s->pages);
	return fd;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/*
 * What wakes the worker, unless it is there from an earlier worker of this session: a socket whose other end the stub or
 * the shim gets, or the eventfd that the shim rings.
 */
static int make_wake(struct session *s)
{
	int pair[2];

	if (s->wake >= 0)
		return 0;
	if (!s->wake_socket) {
		s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return s->wake < 0 ? -errno : 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	s->wake = pair[0];
	s->peer_wake = pair[1];
	return 0;
}

static void session_welcome(struct session *s)
{
	struct vgpu_msg_welcome m = { .shm_size = s->geometry.total_size, .session = s->id };
	int fds[2] = { s->memfd, s->wake_socket ? s->peer_wake : s->wake };

	vgpu_msg_init(&m.h, VGPU_MSG_WELCOME, sizeof(m));
	conn_send(s->conn, &m.h, fds, 2);
	close_fd(s->peer_wake);
	s->peer_wake = -1;
}

static const char *hello_objection(struct supervisor *sup, const struct vm *vm, uint64_t size, bool monitor)
{
	struct vgpu_shm_geometry g;

	if (!vm)
		return "the mediator is out of memory";
	if (vgpu_shm_geometry(&g, size, 1))
		return "the size of shared memory must be a power of two from 64M to 64G";
	if (size > sup->config.shm_limit)
		return "more shared memory than shm-limit allows";
	return session_objection(sup, vm, monitor);
}

static void hello_refused(struct conn *conn, const char *text)
{
	struct vgpu_log_ids ids = { .pid = (uint32_t)conn->pid };

	log_refused(conn->sup, &ids, text);
	conn_refuse(conn, VGPU_HOST_QUOTA, text);
}

void session_hello(struct conn *conn, const struct vgpu_msg_hello *hello)
{
	struct supervisor *sup = conn->sup;
	struct vm *vm = vm_unix(sup);
	uint64_t size = hello->shm_size ? hello->shm_size : sup->config.shm_size;
	bool monitor = hello->role == VGPU_ROLE_MONITOR;
	const char *objection = hello_objection(sup, vm, size, monitor);
	struct session *s = objection ? NULL : session_new(vm, monitor);

	if (!s) {
		hello_refused(conn, objection ? objection : "the mediator is out of memory");
		return;
	}
	conn->role = CONN_SHIM;
	conn->session = s;
	s->conn = conn;
	s->uid = conn->uid;
	s->guest_pid = (uint32_t)conn->pid;
	copy_name(s->name, hello->name, sizeof(s->name));
	s->memfd = make_memory(s, size);
	s->wake_socket = hello->flags & VGPU_HELLO_REGISTERS;
	if (s->memfd < 0 || make_wake(s)) {
		session_end(s, VGPU_HOST_QUOTA, "the mediator is out of memory or descriptors");
		return;
	}
	images_join(s);
	session_welcome(s);
	session_start(s);
}

/* ---- with a worker ---- */

bool session_suits(const struct session *s, const struct worker *w)
{
	for (uint32_t i = 0; i < s->tries; i++)
		if (s->tried[i] == w->serial)
			return false;
	return true;
}

static void send_opened(struct session *s)
{
	if (s->peer_wake < 0)
		return;
	vm_send_channel(s->vm, VGPU_MSG_CHANNEL_OPENED, s, &s->peer_wake);
	close(s->peer_wake);
	s->peer_wake = -1;
	s->opened = true;
}

void session_give_worker(struct session *s, struct worker *w)
{
	struct vgpu_ctl_attach m = {
		.shm_size = s->geometry.total_size, .memory_limit = s->memory_limit,
		.register_ahead = s->sup->config.register_ahead,
		.channels = s->geometry.channel_count, .channel = s->channel, .session = s->id,
		.vm_id = s->vm->vm_id, .trace = s->sup->traced > 0, .images = s->images != NULL,
		.wake_kind = s->wake_socket ? VGPU_WAKE_SOCKET : VGPU_WAKE_EVENTFD,
	};
	int ret = make_wake(s);

	s->worker = w;
	s->state = SESSION_STARTING;
	vgpu_msg_init(&m.h, VGPU_CTL_ATTACH, sizeof(m));
	if (!ret)
		ret = worker_attach(w, &m, session_memfd(s), s->wake);
	if (!ret) {
		send_opened(s);
		return;
	}
	/* It died in this moment, or this process is out of descriptors. */
	w->session = NULL;
	s->worker = NULL;
	worker_kill(w);
	if (ret == -EPIPE || ret == -ECONNRESET) {
		session_start(s);
	} else {
		session_end(s, VGPU_HOST_QUOTA, "no worker could be attached: %s", strerror(-ret));
	}
}

/* What the guest says about itself. */
static void read_guest(struct session *s)
{
	struct vgpu_channel_ctl *ctl = session_map(s);
	char name[sizeof(s->name)];

	if (!ctl)
		return;
	s->guest_batch = __atomic_load_n(&ctl->guest_batch, __ATOMIC_RELAXED);
	s->guest_batch_usec = __atomic_load_n(&ctl->guest_batch_usec, __ATOMIC_RELAXED);
	if (!s->vm->unix_transport) {
		s->guest_pid = __atomic_load_n(&ctl->guest_pid, __ATOMIC_RELAXED);
		memcpy(name, ctl->guest_name, sizeof(name));
		name[sizeof(name) - 1] = 0;
		copy_name(s->name, name, sizeof(s->name));
	}
	channel_unmap(ctl);
}

void session_attached(struct session *s)
{
	struct vgpu_log_ids ids;

	if (s->state != SESSION_STARTING)
		return;
	s->state = SESSION_RUNNING;
	s->ran = true;
	timer_clear(&s->deadline);
	close(s->wake);
	s->wake = -1;
	read_guest(s);
	ids = session_ids(s);
	vgpu_log(VGPU_LOG_INFO, &ids,
		 "[CONNECTION] session of '%s' runs: worker pid %d, channel %u, VGPU_BATCH %u, started in %llu ms",
		 s->name, (int)s->worker->pid, s->channel, s->guest_batch,
		 (unsigned long long)(s->sup->loop.now_ms - s->started_ms));
}

void session_conflict(struct session *s)
{
	struct vgpu_log_ids ids = session_ids(s);

	if (s->state != SESSION_STARTING)
		return;
	s->tried[s->tries++] = s->worker->serial;
	s->worker = NULL;
	vgpu_log(VGPU_LOG_NOTICE, &ids,
		 "[CONNECTION] the guest uses addresses of this worker's driver, trying another worker (%u of %u)",
		 s->tries, SESSION_TRIES);
	if (s->tries == SESSION_TRIES) {
		session_end(s, VGPU_HOST_ADDRESS, "%u workers had no address layout that suits the process",
			    s->tries);
		return;
	}
	channel_state(session_memfd(s), &s->geometry, s->channel, VGPU_HOST_RETRY, VGPU_HOST_OK, "");
	session_start(s);
}

/*
 * The worker says READY to the guest first and ATTACHED to us afterwards: a
 * quick guest may have come and gone in between.
 */
static void session_look_ready(struct session *s)
{
	/* The guest can write READY too, whether or not it has a worker. */
	struct vgpu_channel_ctl *ctl =
		s->state == SESSION_STARTING && s->worker ? session_map(s) : NULL;
	bool ready;

	if (!ctl)
		return;
	ready = atomic_load(&ctl->host_state) == VGPU_HOST_READY;
	channel_unmap(ctl);
	if (ready)
		session_attached(s);
}

/* ---- counting ---- */

/* Read, not mapped: with many sessions mapping and faulting is what a status costs. */
static void hops_of_guest(const struct session *s, struct hops *h)
{
	off_t at = (off_t)(s->geometry.channels_at + s->channel * VGPU_CHANNEL_STRIDE +
			   offsetof(struct vgpu_channel, ctl) + offsetof(struct vgpu_channel_ctl, counters));
	struct vgpu_guest_counters c;

	if (pread(session_memfd(s), &c, sizeof(c), at) != sizeof(c))
		return;
	h->guest_commands = atomic_load(&c.commands);
	h->guest_doorbells = atomic_load(&c.doorbells);
	h->guest_replies = atomic_load(&c.replies);
	h->guest_fences = atomic_load(&c.fences_seen);
	h->guest_fence_waits = atomic_load(&c.fence_waits);
	h->guest_ring_full = atomic_load(&c.ring_full);
}

static void hops_of_worker(const struct vgpu_worker_stats *w, struct hops *h)
{
	h->wakes = atomic_load(&w->wakes);
	h->doorbells = atomic_load(&w->doorbells);
	h->commands = atomic_load(&w->commands);
	h->calls = atomic_load(&w->calls);
	h->replies = atomic_load(&w->replies);
	h->fences = atomic_load(&w->fences);
	h->errors = atomic_load(&w->errors);
	h->launches = atomic_load(&w->launches);
	h->bytes_h2d = atomic_load(&w->bytes_h2d);
	h->bytes_d2h = atomic_load(&w->bytes_d2h);
	h->image_bytes = atomic_load(&w->image_bytes);
	h->image_bytes_spared = atomic_load(&w->image_bytes_spared);
	h->sleeps = atomic_load(&w->sleeps);
	h->polls = atomic_load(&w->polls);
	h->wake_gaps = atomic_load(&w->wake_gaps);
	h->memory_peak = atomic_load(&w->memory_peak);
}

void session_hops(const struct session *s, struct hops *h)
{
	const struct vgpu_channel_stats *c = &s->vm->stats.channel[s->channel];

	memset(h, 0, sizeof(*h));
	/* Host first: what the guest counts while we look can then only be ahead. */
	if (s->worker)
		hops_of_worker(s->worker->stats, h);
	if (!s->vm->unix_transport && s->channel < s->vm->stats.channels &&
	    c->generation == s->generation) {
		h->stub_known = true;
		h->stub_doorbells = c->doorbells;
		h->stub_wakes = c->wakes;
		h->stub_wakes_failed = c->wakes_failed;
	}
	if (s->ran)
		hops_of_guest(s, h);
}

/* ---- end ---- */

static void tell_peer(struct session *s)
{
	struct conn *conn = s->conn;

	if (conn) {
		conn->session = NULL;
		s->conn = NULL;
		conn_refuse(conn, s->error, s->text);
	} else if (s->opened) {
		vm_send_channel(s->vm, VGPU_MSG_CHANNEL_CLOSED, s, NULL);
	} else if (!s->vm->unix_transport) {
		vm_send_failed(s->vm, s->channel, s->error, s->text);
	}
}

static void log_end(const struct session *s)
{
	struct vgpu_log_ids ids = session_ids(s);
	uint64_t ms = s->sup->loop.now_ms - s->started_ms;
	const struct vgpu_worker_stats *w = s->worker ? s->worker->stats : NULL;

	if (!s->ran && s->error != VGPU_HOST_CLOSED) {
		log_refused(s->sup, &ids, s->text);
		return;
	}
	vgpu_log(s->error == VGPU_HOST_CLOSED ? VGPU_LOG_INFO : VGPU_LOG_WARNING, &ids,
		 "[CONNECTION] session of '%s' ended after %llu.%03llu s, %llu commands, %llu MiB at most: %s",
		 s->name, (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000),
		 (unsigned long long)(w ? atomic_load(&w->commands) : 0),
		 (unsigned long long)(w ? atomic_load(&w->memory_peak) >> 20 : 0), s->text);
}

/*
 * Say in the channel how the session ended. In a VM the worker may have said it already; then the
 * channel can be prepared for the next process by now, which must not read of this session's end.
 */
static void channel_ended(const struct session *s)
{
	struct vgpu_channel_ctl *ctl = channel_map(session_memfd(s), &s->geometry, s->channel);
	uint32_t state;
	bool said;

	if (!ctl)
		return;
	state = atomic_load(&ctl->host_state);
	said = atomic_load(&ctl->generation) != s->generation || state == VGPU_HOST_DEAD ||
	       state == VGPU_HOST_REFUSED;
	channel_unmap(ctl);
	if (s->vm->unix_transport || !said)
		channel_state(session_memfd(s), &s->geometry, s->channel,
			      s->ran ? VGPU_HOST_DEAD : VGPU_HOST_REFUSED, s->error, s->text);
}

/* Nothing serves the session any more: tell everybody, forget it. */
static void session_finish(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct vm *vm = s->vm;
	bool channel_owned = !vm->unix_transport;

	record_session(vm->record, s);
	trace_keep(s);
	if (session_memfd(s) >= 0)
		channel_ended(s);
	log_end(s);
	tell_peer(s);
	shares_end(s);
	images_leave(s);
	list_del(&s->link);
	list_del(&s->by_id);
	sup->session_count--;
	vm->session_count--;
	vm->monitor_count -= s->monitor;
	close_fd(s->memfd);
	close_fd(s->wake);
	close_fd(s->peer_wake);
	if (channel_owned) {
		vm_request_stats(vm);
		vm_channel_free(vm, s->channel);
	}
	vgpu_free(s);
	vm_free_if_unused(vm);
}

void session_end(struct session *s, enum vgpu_host_error error, const char *fmt, ...)
{
	va_list ap;

	if (s->state == SESSION_ENDING)
		return;
	session_look_ready(s);
	s->state = SESSION_ENDING;
	s->error = error;
	va_start(ap, fmt);
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	timer_clear(&s->deadline);
	pool_forget(s);
	if (s->worker)
		worker_kill(s->worker);
	else
		session_finish(s);
}

/* Has the guest published more than the worker has executed? What it says is not trusted: CLOSE_MS bounds it. */
static bool session_behind(const struct session *s)
{
	struct hops h;

	session_hops(s, &h);
	return h.commands < h.guest_commands;
}

static void session_look_closing(struct session *s)
{
	char text[TEXT_BYTES];

	if (session_behind(s) && s->sup->loop.now_ms < s->close_by_ms) {
		timer_set(&s->sup->loop, &s->deadline, CLOSE_LOOK_MS);
		return;
	}
	memcpy(text, s->text, sizeof(text));
	session_end(s, VGPU_HOST_CLOSED, "%s", text);
}

void session_close(struct session *s, const char *text)
{
	if (s->state == SESSION_CLOSING)
		return;
	session_look_ready(s);
	if (s->state != SESSION_RUNNING) {
		session_end(s, VGPU_HOST_CLOSED, "%s", text);
		return;
	}
	s->state = SESSION_CLOSING;
	snprintf(s->text, sizeof(s->text), "%s", text);
	s->close_by_ms = s->sup->loop.now_ms + CLOSE_MS;
	session_look_closing(s);
}

void session_worker_ended(struct session *s, enum vgpu_host_error error, const char *text)
{
	session_end(s, error, "%s", text);
}

void session_worker_exited(struct session *s, const char *how)
{
	session_end(s, VGPU_HOST_WORKER_DIED, "the worker %s at call %llu (operation %u)", how,
		    (unsigned long long)atomic_load(&s->worker->stats->last_seq),
		    atomic_load(&s->worker->stats->last_op));
	session_finish(s);
}
