/* SPDX-License-Identifier: MIT */
/* What the tests of the supervisor share. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define OPTIONS_MAX	24
#define SMALL		(64ull << 20)
#define CHANNELS	4

void nap_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- the mediator ---- */

static void __attribute__((noreturn)) become_mediator(const struct mediator *m, const char *mode, char **argv)
{
	int log = open(m->log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	/* A test that fails leaves nobody behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0 || setenv("FAKE_WORKER", mode, 1))
		_exit(99);
	execv(TEST_MEDIATOR, argv);
	_exit(99);
}

/* The control socket is made last. One that was killed may still accept for a moment. */
static bool listens(const struct mediator *m)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred c = { 0 };
	socklen_t size = sizeof(c);
	bool yes;

	memcpy(a.sun_path, m->control, strlen(m->control));
	yes = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)) &&
	      !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size) && c.pid == m->pid;
	close(fd);
	return yes;
}

/* Returns when it listens; what is left in the folder by one before it is not in its way. */
static void launch(struct mediator *m, const char *mode, va_list options)
{
	char *argv[OPTIONS_MAX] = {
		(char *)"vgpu-mediator", (char *)"--socket", m->socket, (char *)"--worker",
		(char *)TEST_WORKER, (char *)"--shm-size", (char *)"64M",
	};
	size_t n = 7;

	while (n < OPTIONS_MAX - 1 && (argv[n] = va_arg(options, char *)))
		n++;
	m->pid = fork();
	assert_true(m->pid >= 0);
	if (!m->pid)
		become_mediator(m, mode, argv);
	soon(listens(m));
}

void mediator_start(struct mediator *m, const char *mode, ...)
{
	va_list ap;

	snprintf(m->dir, sizeof(m->dir), "/tmp/vgpu-test-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	snprintf(m->socket, sizeof(m->socket), "%s/m.sock", m->dir);
	snprintf(m->control, sizeof(m->control), "%s/control.sock", m->dir);
	snprintf(m->log, sizeof(m->log), "%s/log", m->dir);
	va_start(ap, mode);
	launch(m, mode, ap);
	va_end(ap);
}

void mediator_restart(struct mediator *m, const char *mode, ...)
{
	va_list ap;

	va_start(ap, mode);
	launch(m, mode, ap);
	va_end(ap);
}

void mediator_kill(const struct mediator *m)
{
	int status;

	assert_int_equal(kill(m->pid, SIGKILL), 0);
	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
}

void mediator_clear(const struct mediator *m)
{
	unlink(m->socket);
	unlink(m->control);
	unlink(m->log);
	assert_int_equal(rmdir(m->dir), 0);
}

static bool ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

void mediator_stop(struct mediator *m)
{
	int status = -1, tries = PATIENCE_MS / 10;

	assert_int_equal(kill(m->pid, SIGTERM), 0);
	while (!ended(m->pid, &status) && tries--)
		nap_ms(10);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_not_equal(access(m->socket, F_OK), 0);
	assert_int_not_equal(access(m->control, F_OK), 0);
	mediator_clear(m);
}

unsigned int mediator_logged(const struct mediator *m, const char *text)
{
	char line[4096];
	unsigned int n = 0;
	FILE *f = fopen(m->log, "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

unsigned int count_fds(pid_t pid)
{
	char path[64];
	unsigned int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- sockets ---- */

static int connect_to(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, strlen(path));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

int peer_connect(const struct mediator *m)
{
	return connect_to(m->socket, SOCK_SEQPACKET);
}

int control_connect(const struct mediator *m)
{
	return connect_to(m->control, SOCK_STREAM);
}

struct json_object *control_ask(int fd, const char *line)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o = NULL;
	char chunk[4096];

	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	while (!o) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		assert_true(n > 0);
		o = json_tokener_parse_ex(t, chunk, (int)n);
	}
	json_tokener_free(t);
	return o;
}

uint64_t status_number(const struct mediator *m, const char *key)
{
	int fd = control_connect(m);
	struct json_object *s = control_ask(fd, "{\"cmd\":\"status\"}\n"), *o = s, *v;
	const char *dot = strchr(key, '.');
	char first[32];
	uint64_t n;

	if (dot) {
		snprintf(first, sizeof(first), "%.*s", (int)(dot - key), key);
		assert_true(json_object_object_get_ex(s, first, &o));
		key = dot + 1;
	}
	assert_true(json_object_object_get_ex(o, key, &v));
	n = json_object_get_uint64(v);
	json_object_put(s);
	close(fd);
	return n;
}

int peer_receive(int fd, struct vgpu_packet *p)
{
	struct pollfd f = { .fd = fd, .events = POLLIN };
	int n;

	assert_int_equal(poll(&f, 1, PATIENCE_MS), 1);
	n = vgpu_msg_recv(fd, p, 0);
	return n == -ECONNRESET ? 0 : n;
}

void hello_send(int fd, uint32_t role, uint64_t size, uint32_t channels, int memfd)
{
	struct vgpu_msg_hello h = {
		.role = role, .shm_size = size, .channels = channels, .pid = (uint32_t)getpid(),
		.vm_id = role == VGPU_ROLE_STUB ? 7 : 0,
	};

	vgpu_msg_init(&h.h, VGPU_MSG_HELLO, sizeof(h));
	snprintf(h.name, sizeof(h.name), "tester");
	assert_int_equal(vgpu_msg_send(fd, &h.h, &memfd, memfd >= 0), 0);
}

/* ---- a shim ---- */

void shim_open_on(struct shim *s, int fd, uint32_t role)
{
	struct vgpu_packet p;
	struct vgpu_msg_welcome w;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	hello_send(s->fd, role, 0, 0, -1);
	assert_int_equal(peer_receive(s->fd, &p), sizeof(w));
	assert_int_equal(p.h.type, VGPU_MSG_WELCOME);
	assert_int_equal(p.fd_count, 2);
	memcpy(&w, p.bytes, sizeof(w));
	s->memfd = p.fds[0];
	s->wake = p.fds[1];
	s->session = w.session;
	assert_int_equal(vgpu_shm_geometry(&s->g, w.shm_size, 1), 0);
	s->base = mmap(NULL, w.shm_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	assert_ptr_not_equal(s->base, MAP_FAILED);
	s->channel = vgpu_shm_channel(s->base, &s->g, 0);
	vgpu_producer_init(&s->producer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
}

void shim_open_role(struct shim *s, const struct mediator *m, uint32_t role)
{
	shim_open_on(s, peer_connect(m), role);
}

void shim_open_as(struct shim *s, const struct mediator *m, uint32_t role, uid_t uid)
{
	uid_t own = geteuid();

	assert_int_equal(seteuid(uid), 0);
	shim_open_role(s, m, role);
	assert_int_equal(seteuid(own), 0);
}

void shim_open(struct shim *s, const struct mediator *m)
{
	shim_open_role(s, m, VGPU_ROLE_SHIM);
}

void shim_start(struct shim *s, const struct mediator *m)
{
	shim_open(s, m);
	soon(atomic_load(&s->channel->ctl.host_state) == VGPU_HOST_READY);
}

void shim_command(struct shim *s)
{
	uint64_t one = 1;
	struct vgpu_cmd *c = vgpu_producer_reserve(&s->producer, 64);

	if (!c) {
		fail_msg("the ring is full");
		return;
	}
	*c = (struct vgpu_cmd){ .size = 64, .op = 1, .seq = ++s->seq };
	vgpu_producer_publish(&s->producer, 64);
	atomic_fetch_add(&s->channel->ctl.counters.commands, 1);
	atomic_fetch_add(&s->channel->ctl.counters.doorbells, 1);
	assert_int_equal(write(s->wake, &one, sizeof(one)), sizeof(one));
}

void shim_close(struct shim *s)
{
	munmap(s->base, s->g.total_size);
	close(s->memfd);
	close(s->wake);
	close(s->fd);
}

/* ---- a stub ---- */

int make_memory(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

void stub_open(struct stub *s, const struct mediator *m)
{
	struct vgpu_packet p;

	s->fd = peer_connect(m);
	s->memfd = make_memory(SMALL, F_SEAL_SHRINK | F_SEAL_GROW);
	assert_int_equal(vgpu_shm_geometry(&s->g, SMALL, CHANNELS), 0);
	s->base = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	assert_ptr_not_equal(s->base, MAP_FAILED);
	vgpu_shm_format(s->base, &s->g, 7);
	hello_send(s->fd, VGPU_ROLE_STUB, SMALL, CHANNELS, s->memfd);
	stub_expect(s, VGPU_MSG_WELCOME, &p);
}

struct vgpu_channel_ctl *stub_ctl(struct stub *s, uint32_t channel)
{
	return &vgpu_shm_channel(s->base, &s->g, channel)->ctl;
}

void stub_channel(struct stub *s, uint16_t type, uint32_t channel, uint32_t generation)
{
	struct vgpu_msg_channel m = { .channel = channel, .generation = generation };

	vgpu_msg_init(&m.h, type, sizeof(m));
	assert_int_equal(vgpu_msg_send(s->fd, &m.h, NULL, 0), 0);
}

static void answer_stats(struct stub *s, const struct vgpu_packet *p)
{
	struct vgpu_msg_stats_request r;
	struct vgpu_msg_stats m = { .channels = CHANNELS, .reconnects = 1 };

	memcpy(&r, p->bytes, sizeof(r));
	vgpu_msg_init(&m.h, VGPU_MSG_STATS, sizeof(m));
	m.cookie = r.cookie;
	m.channel[0] = (struct vgpu_channel_stats){ .doorbells = 5, .wakes = 2, .generation = 1, .open = 1 };
	assert_int_equal(vgpu_msg_send(s->fd, &m.h, NULL, 0), 0);
}

void stub_expect(struct stub *s, uint16_t type, struct vgpu_packet *p)
{
	for (;;) {
		assert_true(peer_receive(s->fd, p) > 0);
		if (p->h.type != VGPU_MSG_STATS_REQUEST || type == VGPU_MSG_STATS_REQUEST)
			break;
		answer_stats(s, p);
	}
	assert_int_equal(p->h.type, type);
}

void stub_guest_prepares(struct stub *s, uint32_t channel, uint32_t generation)
{
	atomic_store(&stub_ctl(s, channel)->host_state, VGPU_HOST_NONE);
	atomic_store(&stub_ctl(s, channel)->generation, generation);
}

void stub_open_channel(struct stub *s, uint32_t channel, uint32_t generation, int *wake)
{
	struct vgpu_packet p;

	stub_guest_prepares(s, channel, generation);
	stub_channel(s, VGPU_MSG_CHANNEL_OPEN, channel, generation);
	stub_expect(s, VGPU_MSG_CHANNEL_OPENED, &p);
	assert_int_equal(p.fd_count, 1);
	assert_int_equal(((struct vgpu_msg_channel *)p.bytes)->channel, channel);
	assert_int_equal(((struct vgpu_msg_channel *)p.bytes)->generation, generation);
	assert_int_not_equal(((struct vgpu_msg_channel *)p.bytes)->session, 0);
	*wake = p.fds[0];
	soon(atomic_load(&stub_ctl(s, channel)->host_state) == VGPU_HOST_READY);
}

void stub_close(struct stub *s)
{
	munmap(s->base, s->g.total_size);
	close(s->memfd);
	close(s->fd);
}

/* ---- either of them ---- */

struct party party_of_shim(const struct shim *s)
{
	struct party p = { .channel = s->channel, .ring = s->producer, .wake = s->wake };

	soon(atomic_load(&s->channel->ctl.host_state) == VGPU_HOST_READY);
	return p;
}

struct party party_of_vm(struct stub *s, uint32_t channel)
{
	struct party p = { .channel = vgpu_shm_channel(s->base, &s->g, channel), .socket = true };

	stub_open_channel(s, channel, 1, &p.wake);
	vgpu_producer_init(&p.ring, &p.channel->ring, p.channel->ring_data, VGPU_RING_BYTES);
	return p;
}

static void ring(const struct party *p)
{
	struct vgpu_msg_wake w = { .doorbells = 1, .serial = p->seq };
	const uint64_t one = 1;

	vgpu_msg_init(&w.h, VGPU_MSG_WAKE, sizeof(w));
	if (p->socket)
		assert_int_equal(vgpu_msg_send(p->wake, &w.h, NULL, 0), 0);
	else
		assert_int_equal(write(p->wake, &one, sizeof(one)), sizeof(one));
}

int party_call(struct party *p, const void *command)
{
	struct vgpu_cmd *c = vgpu_producer_reserve(&p->ring, VGPU_CMD_ALIGN);

	if (!c) {
		fail_msg("the ring is full");
		return -1;
	}
	memcpy(c, command, VGPU_CMD_ALIGN);
	c->size = VGPU_CMD_ALIGN;
	c->slot = 1;
	c->seq = ++p->seq;
	vgpu_producer_publish(&p->ring, VGPU_CMD_ALIGN);
	ring(p);
	soon(atomic_load(&p->channel->replies[0].done) == p->seq);
	return p->channel->replies[0].result;
}
