/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target of the device core: a guest that writes any register and
 * scribbles over its control blocks, and a mediator and workers that say
 * anything.  The input is a list of steps.  After each input no descriptor
 * may be left; the sanitizers watch the rest.  The stub runs on this thread
 * (no thread of its own), so that an input always means the same.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHANNELS	3u
#define MAX_STEPS	200

static char dir[] = "/tmp/vgpu-fuzz.XXXXXX";
static char path[64];
static int listener;

struct input {
	const uint8_t *at;
	size_t left;
};

struct world {
	struct vgpu_stub *stub;
	int conn;		/* the mediator's end, -1 */
	int worker[CHANNELS];	/* the workers' ends, -1 */
};

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t v = 0;
	size_t n = bytes < in->left ? bytes : in->left;

	memcpy(&v, in->at, n);
	in->at += n;
	in->left -= n;
	return v;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		abort();
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void replace_fd(int *fd, int by)
{
	if (*fd >= 0)
		close(*fd);
	*fd = by;
}

static void pump(struct world *w)
{
	int i, fd;

	for (i = 0; i < 3; i++)
		if (stub_loop_once(w->stub, false))
			abort();
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		replace_fd(&w->conn, fd);
}

static void send_with(int sock, const void *bytes, size_t size, int fd, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	size_t i;

	if (count) {
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	/* The stub may have hung up, or its queue may be full: also worth trying. */
	if (sock >= 0 && sendmsg(sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void step_raw(struct world *w, struct input *in)
{
	uint8_t bytes[600];
	size_t size = take(in, 2) % sizeof(bytes), i;
	size_t fds = take(in, 1) % 7;

	for (i = 0; i < size; i++)
		bytes[i] = (uint8_t)take(in, 1);
	send_with(w->conn, bytes, size, listener, fds);
}

/* A message with a right header, in the mediator's direction. */
static void step_message(struct world *w, struct input *in)
{
	static const uint16_t lengths[] = {
		[VGPU_MSG_WELCOME] = sizeof(struct vgpu_msg_welcome),
		[VGPU_MSG_REFUSED] = sizeof(struct vgpu_msg_refused),
		[VGPU_MSG_CHANNEL_OPENED] = sizeof(struct vgpu_msg_channel),
		[VGPU_MSG_CHANNEL_FAILED] = sizeof(struct vgpu_msg_refused),
		[VGPU_MSG_CHANNEL_CLOSED] = sizeof(struct vgpu_msg_channel),
		[VGPU_MSG_STATS_REQUEST] = sizeof(struct vgpu_msg_stats_request),
	};
	union {
		struct vgpu_msg h;
		uint32_t words[64];
	} m = { 0 };
	uint16_t type = (uint16_t)(take(in, 1) % (sizeof(lengths) / sizeof(lengths[0])));
	uint32_t channel = (uint32_t)(take(in, 1) % (CHANNELS + 1));
	int pair[2] = { -1, -1 };

	m.h = (struct vgpu_msg){ VGPU_MSG_MAGIC, type, 0, lengths[type], VGPU_PROTOCOL_VERSION };
	m.words[4] = channel;
	m.words[5] = (uint32_t)(take(in, 1) % 4);
	memset(&m.words[6], (int)take(in, 1), 160);
	if (type == VGPU_MSG_CHANNEL_OPENED && channel < CHANNELS &&
	    !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		replace_fd(&w->worker[channel], pair[0]);
	send_with(w->conn, &m, lengths[type], pair[1], pair[1] >= 0);
	if (pair[1] >= 0)
		close(pair[1]);
}

/* A worker's RESULT, right or nearly so. */
static void send_result(struct world *w, struct input *in, uint32_t channel)
{
	static const uint16_t sizes[] = { 0, 1, 8, VGPU_V1_INLINE, VGPU_V1_INLINE + 1, VGPU_RESULT_DATA_MAX,
					  VGPU_RESULT_DATA_MAX + 1, 5000 };
	static struct {
		struct vgpu_msg_result m;
		uint8_t data[8192];
	} r;
	uint32_t size = sizes[take(in, 1) % 8];
	uint8_t spoil = (uint8_t)take(in, 1);

	memset(&r.m, 0, sizeof(r.m));
	r.m.h = (struct vgpu_msg){ VGPU_MSG_MAGIC, VGPU_MSG_RESULT, 0, (uint32_t)sizeof(r.m) + size,
				   VGPU_PROTOCOL_VERSION };
	r.m.channel = channel + (spoil % 16 == 1);
	r.m.request = w->stub->window.request.id - (spoil % 16 == 2);
	r.m.result.status = spoil % 16 == 3;
	r.m.result.num_results = spoil % 16 == 4 ? spoil : 1;
	r.m.result.data_len = size + (spoil % 16 == 5);
	send_with(w->worker[channel], &r, sizeof(r.m) + size, listener, spoil % 16 == 6);
}

static void step_worker(struct world *w, struct input *in)
{
	uint32_t i = (uint32_t)(take(in, 1) % CHANNELS);
	char bytes[64];

	if (w->worker[i] < 0)
		return;
	switch (take(in, 1) % 5) {
	case 3:
	case 4:
		send_result(w, in, i);
		break;
	case 0:
		replace_fd(&w->worker[i], -1);
		break;
	case 1:
		send_with(w->worker[i], "x", 1, -1, 0);
		break;
	case 2:
		while (recv(w->worker[i], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		break;
	}
}

static void step_guest_memory(struct world *w, struct input *in)
{
	struct stub_channel *chan = &w->stub->channels[take(in, 1) % CHANNELS];
	struct vgpu_channel_ctl *ctl = stub_memory_ctl(w->stub, chan);

	atomic_store(&ctl->host_state, (uint32_t)take(in, 1) % 8);
	atomic_store(&ctl->generation, (uint32_t)take(in, 1) % 4);
	memset(w->stub->base, (int)take(in, 1), 256);
}

/* A call through the registers of version 1, as a guest would make it; some with nonsense. */
static void step_call(struct world *w, struct input *in)
{
	static const uint32_t lengths[] = { 0, 64, VGPU_V1_INLINE, VGPU_V1_INLINE + 1, VGPU_CALL_DATA_MAX,
					    VGPU_CALL_DATA_MAX + 1, UINT32_MAX, 40 };
	uint32_t channel = (uint32_t)(take(in, 1) % (CHANNELS + 1));
	uint8_t spoil = (uint8_t)take(in, 1);
	uint32_t words[] = { spoil % 8 == 7 ? spoil : VGPU_V1_COMMAND, spoil, spoil % 16 == 8 ? UINT32_MAX : 2,
			     lengths[take(in, 1) % 8] };
	uint32_t generation = channel < CHANNELS ? w->stub->channels[channel].generation : 0;
	uint32_t i;

	for (i = 0; i < 4; i++)
		vgpu_stub_mmio_write(w->stub, VGPU_REG_WINDOW + VGPU_V1_OP + 4 * i, words[i], 4);
	vgpu_stub_mmio_write(w->stub, VGPU_REG_WINDOW + VGPU_V1_ARG, channel, 4);
	vgpu_stub_mmio_write(w->stub, VGPU_REG_WINDOW + VGPU_V1_ARG + 4, generation + (spoil % 16 == 9), 4);
	vgpu_stub_mmio_write(w->stub, VGPU_REG_WINDOW + VGPU_V1_DOORBELL, 1, 4);
	if (spoil % 4 == 2)	/* replaced before it is seen */
		vgpu_stub_mmio_write(w->stub, VGPU_REG_WINDOW + VGPU_V1_DOORBELL, 1, 4);
}

static void step_register(struct world *w, struct input *in)
{
	static const uint16_t known[] = { VGPU_REG_CHANNEL_OPEN, VGPU_REG_CHANNEL_CLOSE,
					  VGPU_REG_DOORBELL, VGPU_REG_DOORBELL + 4 };
	uint8_t how = (uint8_t)take(in, 1);

	if (how < 160)
		vgpu_stub_mmio_write(w->stub, known[how % 4], take(in, 1) % (CHANNELS + 1), 4);
	else if (how < 200)
		vgpu_stub_mmio_write(w->stub, take(in, 8), take(in, 8), (unsigned int)take(in, 1));
	else
		vgpu_stub_mmio_read(w->stub, take(in, 2), (unsigned int)take(in, 1) % 9);
}

/* Most inputs begin behind the handshake; the others may find the way there. */
static void begin(struct world *w, struct input *in)
{
	struct vgpu_msg_welcome m = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_WELCOME, 0, sizeof(m), VGPU_PROTOCOL_VERSION },
	};

	pump(w);
	if (!(take(in, 1) % 4))
		return;
	send_with(w->conn, &m, sizeof(m), -1, 0);
	pump(w);
}

static void step(struct world *w, struct input *in)
{
	uint64_t bells;

	switch (take(in, 1) % 11) {
	case 9:
	case 10:
		step_call(w, in);
		break;
	case 0:
		step_raw(w, in);
		break;
	case 1:
	case 2:
		step_message(w, in);
		break;
	case 3:
		step_worker(w, in);
		break;
	case 4:
		step_guest_memory(w, in);
		break;
	case 5:
	case 6:
		step_register(w, in);
		break;
	case 7:
		bells = take(in, 1) + 1;
		if (write(vgpu_stub_doorbell_fd(w->stub, (uint32_t)(take(in, 1) % CHANNELS)), &bells,
			  sizeof(bells)) < 0)
			abort();
		break;
	case 8:
		if (take(in, 1) % 4)
			replace_fd(&w->conn, -1);
		else
			vgpu_stub_reset(w->stub);
		break;
	}
	pump(w);
}

static void clean_up(void)
{
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)argc;
	(void)argv;
	if (!mkdtemp(dir) || atexit(clean_up))
		abort();
	snprintf(path, sizeof(path), "%s/m", dir);
	memcpy(a.sun_path, path, sizeof(path));
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 64))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgpu_stub_config config = { .socket_path = path, .memory = VGPU_SHM_MIN_SIZE,
					   .channels = CHANNELS, .backoff_min_ms = 1,
					   .backoff_max_ms = 1 };
	struct world w = { .conn = -1, .worker = { -1, -1, -1 } };
	struct input in = { data, size };
	int before = count_fds(), i;
	char err[256];

	if (vgpu_stub_create_idle(&w.stub, &config, NULL, err, sizeof(err)) ||
	    stub_loop_init(w.stub))
		abort();
	begin(&w, &in);
	for (i = 0; in.left && i < MAX_STEPS; i++)
		step(&w, &in);
	stub_loop_fini(w.stub);
	vgpu_stub_destroy(w.stub);
	replace_fd(&w.conn, -1);
	while ((w.conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(w.conn);
	for (i = 0; i < (int)CHANNELS; i++)
		replace_fd(&w.worker[i], -1);
	if (count_fds() != before) {
		fprintf(stderr, "descriptors leak: %d before, %d after\n", before, count_fds());
		abort();
	}
	return 0;
}
