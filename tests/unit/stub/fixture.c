/* SPDX-License-Identifier: MIT */
/* The mediator that tests play, see fixture.h. Runs on the test's thread; the callbacks on the stub's. */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t fix_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void fix_nap(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

/* Run the condition until it holds. */
#define WAIT_FOR(condition)						\
	do {								\
		uint64_t wait_end = fix_now_ms() + FIX_WAIT_MS;		\
									\
		while (!(condition)) {					\
			if (fix_now_ms() > wait_end)			\
				fail_msg("gave up waiting for: %s", #condition); \
			fix_nap();					\
		}							\
	} while (0)

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- callbacks ---- */

static void on_log(void *opaque, enum vgpu_stub_level level, const char *line)
{
	struct fixture *f = opaque;
	bool stall;

	(void)level;
	pthread_mutex_lock(&f->lock);
	if (f->log_used + strlen(line) + 2 < sizeof(f->log))
		f->log_used += (size_t)snprintf(f->log + f->log_used, sizeof(f->log) - f->log_used,
						"%s\n", line);
	pthread_mutex_unlock(&f->lock);
	do {
		pthread_mutex_lock(&f->lock);
		stall = f->stall;
		pthread_mutex_unlock(&f->lock);
		if (stall)
			fix_nap();
	} while (stall);
}

static void on_trace(void *opaque, const char *line)
{
	struct fixture *f = opaque;

	(void)line;
	pthread_mutex_lock(&f->lock);
	f->traces++;
	pthread_mutex_unlock(&f->lock);
}

void fix_stall(struct fixture *f, bool on)
{
	pthread_mutex_lock(&f->lock);
	f->stall = on;
	pthread_mutex_unlock(&f->lock);
}

unsigned int fix_count_log(struct fixture *f, const char *part)
{
	unsigned int n = 0;
	const char *at;

	pthread_mutex_lock(&f->lock);
	for (at = f->log; (at = strstr(at, part)); at++)
		n++;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void fix_wait_log(struct fixture *f, const char *part)
{
	uint64_t end = fix_now_ms() + FIX_WAIT_MS;

	while (!fix_count_log(f, part)) {
		if (fix_now_ms() > end)
			fail_msg("no log line with '%s'; the log is:\n%s", part, f->log);
		fix_nap();
	}
}

/* ---- setup ---- */

int fix_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fds_before = count_fds();
	pthread_mutex_init(&f->lock, NULL);
	f->listen_fd = f->conn = -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/vgpu-test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/m.sock", f->dir);
	f->config = (struct vgpu_stub_config){
		.socket_path = f->path,
		.name = "testvm",
		.memory = FIX_MEMORY,
		.vm_id = 7,
		.channels = FIX_CHANNELS,
		.backoff_min_ms = 2,
		.backoff_max_ms = 20,
	};
	assert_int_equal(vgpu_shm_geometry(&f->geometry, FIX_MEMORY, FIX_CHANNELS), 0);
	*state = f;
	return 0;
}

void fix_create(struct fixture *f)
{
	struct vgpu_stub_ops ops = { .opaque = f, .log = on_log, .trace = on_trace };
	char err[256] = "";

	if (vgpu_stub_create(&f->stub, &f->config, &ops, err, sizeof(err)))
		fail_msg("vgpu_stub_create: %s", err);
	f->base = mmap(NULL, FIX_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vgpu_stub_memfd(f->stub), 0);
	assert_ptr_not_equal(f->base, MAP_FAILED);
}

void fix_destroy(struct fixture *f)
{
	vgpu_stub_destroy(f->stub);
	f->stub = NULL;
	if (f->base)
		munmap(f->base, FIX_MEMORY);
	f->base = NULL;
}

int fix_teardown(void **state)
{
	struct fixture *f = *state;
	int leaked;

	fix_destroy(f);
	fix_hangup(f);
	fix_unlisten(f);
	rmdir(f->dir);
	pthread_mutex_destroy(&f->lock);
	leaked = count_fds() - f->fds_before;
	free(f);
	if (leaked)
		print_error("%d descriptors leaked\n", leaked);
	return leaked;
}

/* ---- the mediator's side ---- */

void fix_listen(struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(f->listen_fd >= 0);
	assert_int_equal(bind(f->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listen_fd, 4), 0);
}

void fix_unlisten(struct fixture *f)
{
	if (f->listen_fd >= 0)
		close(f->listen_fd);
	f->listen_fd = -1;
	unlink(f->path);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

int fix_accept(struct fixture *f)
{
	fix_hangup(f);
	if (!readable(f->listen_fd, FIX_WAIT_MS))
		fail_msg("the stub does not connect");
	f->conn = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->conn >= 0);
	return f->conn;
}

void fix_hangup(struct fixture *f)
{
	if (f->conn >= 0)
		close(f->conn);
	f->conn = -1;
}

size_t fix_recv(int sock, void *buf, size_t size, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	if (!readable(sock, FIX_WAIT_MS))
		fail_msg("no message arrives");
	n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	assert_true(n >= 0);
	c = CMSG_FIRSTHDR(&h);
	if (fd) {
		*fd = -1;
		if (c)
			memcpy(fd, CMSG_DATA(c), sizeof(int));
	} else {
		assert_null(c);
	}
	return (size_t)n;
}

void fix_expect(int sock, uint16_t type, void *buf, size_t size)
{
	struct vgpu_msg *h = buf;
	char big[4096];
	size_t n = fix_recv(sock, big, sizeof(big), NULL);

	assert_int_equal(n, size);
	memcpy(buf, big, size);
	assert_int_equal(h->magic, VGPU_MSG_MAGIC);
	assert_int_equal(h->version, VGPU_PROTOCOL_VERSION);
	assert_int_equal(h->type, type);
	assert_int_equal(h->length, size);
}

bool fix_closed(int sock)
{
	char big[4096];
	ssize_t n;

	do {
		if (!readable(sock, FIX_WAIT_MS))
			return false;
		n = recv(sock, big, sizeof(big), 0);
	} while (n > 0);
	return true;
}

void fix_silent(int sock)
{
	assert_false(readable(sock, FIX_SILENT_MS));
}

void fix_send_raw(int sock, const void *buf, size_t size, const int *fds, unsigned int count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(250 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	assert_true(count <= 250);
	if (count) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	/* The stub may have hung up already: a test that minds sees it by what it receives. */
	if (sendmsg(sock, &h, MSG_NOSIGNAL) < 0)
		assert_true(errno == EPIPE || errno == ECONNRESET);
}

struct vgpu_msg fix_header(uint16_t type, size_t size)
{
	return (struct vgpu_msg){ .magic = VGPU_MSG_MAGIC, .type = type, .length = (uint32_t)size,
				  .version = VGPU_PROTOCOL_VERSION };
}

void fix_send_channel(struct fixture *f, uint16_t type, uint32_t channel, uint32_t generation, int fd)
{
	struct vgpu_msg_channel m = { .h = fix_header(type, sizeof(m)), .channel = channel,
				      .generation = generation, .session = 42 };

	fix_send_raw(f->conn, &m, sizeof(m), &fd, fd >= 0);
}

void fix_send_failed(struct fixture *f, uint32_t channel, uint32_t error, const char *text)
{
	struct vgpu_msg_refused m = { .h = fix_header(VGPU_MSG_CHANNEL_FAILED, sizeof(m)),
				      .channel = channel, .error = error };

	snprintf(m.text, sizeof(m.text), "%s", text);
	fix_send_raw(f->conn, &m, sizeof(m), NULL, 0);
}

void fix_welcome(struct fixture *f)
{
	struct vgpu_msg_welcome w = { .h = fix_header(VGPU_MSG_WELCOME, sizeof(w)),
				      .shm_size = FIX_MEMORY };
	struct vgpu_msg_hello hello;
	uint32_t epoch = fix_read(f, VGPU_REG_LINK_EPOCH);
	int fd;

	fix_accept(f);
	assert_int_equal(fix_recv(f->conn, &hello, sizeof(hello), &fd), sizeof(hello));
	assert_int_equal(hello.h.type, VGPU_MSG_HELLO);
	assert_true(fd >= 0);
	close(fd);
	fix_send_raw(f->conn, &w, sizeof(w), NULL, 0);
	WAIT_FOR(fix_read(f, VGPU_REG_LINK_EPOCH) == epoch + 1);
}

void fix_connected(struct fixture *f)
{
	fix_listen(f);
	fix_create(f);
	fix_welcome(f);
}

/* ---- the guest's side ---- */

uint32_t fix_read(struct fixture *f, uint32_t offset)
{
	return (uint32_t)vgpu_stub_mmio_read(f->stub, offset, 4);
}

uint64_t fix_read64(struct fixture *f, uint32_t offset)
{
	uint64_t low = fix_read(f, offset);

	return low | (uint64_t)fix_read(f, offset + 4) << 32;
}

void fix_write(struct fixture *f, uint32_t offset, uint32_t value)
{
	vgpu_stub_mmio_write(f->stub, offset, value, 4);
}

struct vgpu_channel_ctl *fix_ctl(struct fixture *f, uint32_t channel)
{
	return &vgpu_shm_channel(f->base, &f->geometry, channel)->ctl;
}

uint32_t fix_guest_open(struct fixture *f, uint32_t channel)
{
	struct vgpu_channel_ctl *ctl = fix_ctl(f, channel);
	uint32_t generation = atomic_load(&ctl->generation) + 1;

	atomic_store(&ctl->host_state, VGPU_HOST_NONE);
	atomic_store(&ctl->generation, generation);
	fix_write(f, VGPU_REG_CHANNEL_OPEN, channel);
	return generation;
}

void fix_wait_state(struct fixture *f, uint32_t channel, uint32_t state, uint32_t error)
{
	struct vgpu_channel_ctl *ctl = fix_ctl(f, channel);

	WAIT_FOR(atomic_load(&ctl->host_state) == state);
	assert_int_equal(atomic_load(&ctl->host_error), error);
	assert_true(ctl->host_text[0]);
}

void fix_wait_counter(struct fixture *f, uint32_t offset, uint64_t at_least)
{
	WAIT_FOR(fix_read64(f, offset) >= at_least);
}

/* As KVM does it: the eventfd counts. */
void fix_ring(struct fixture *f, uint32_t channel, uint64_t count)
{
	assert_int_equal(write(vgpu_stub_doorbell_fd(f->stub, channel), &count, sizeof(count)),
			 sizeof(count));
}

int fix_open(struct fixture *f, uint32_t channel)
{
	struct vgpu_msg_stats_request r = { .h = fix_header(VGPU_MSG_STATS_REQUEST, sizeof(r)) };
	struct vgpu_msg_stats stats;
	struct vgpu_msg_channel m;
	uint32_t generation = fix_guest_open(f, channel);
	int pair[2];

	fix_expect(f->conn, VGPU_MSG_CHANNEL_OPEN, &m, sizeof(m));
	assert_int_equal(m.channel, channel);
	assert_int_equal(m.generation, generation);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fix_send_channel(f, VGPU_MSG_CHANNEL_OPENED, channel, generation, pair[1]);
	close(pair[1]);
	/* Messages are handled in order. */
	fix_send_raw(f->conn, &r, sizeof(r), NULL, 0);
	fix_expect(f->conn, VGPU_MSG_STATS, &stats, sizeof(stats));
	assert_int_equal(stats.channel[channel].open, 1);
	return pair[0];
}
