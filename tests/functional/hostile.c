/* SPDX-License-Identifier: MIT */
/*
 * A guest that breaks the rules.  It speaks the unix transport by hand and
 * breaks one rule in each test; every time the mediator must end this session
 * (or this connection), and only it: `bystander`, a session opened at the start,
 * has to work to the end.  Needs a running mediator (VGPU_SOCKET_PATH).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <gen/wire.h>
#include <vgpu/handle.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>

#define PATIENCE_MS 10000
#define COMMANDS_LEAST 60	/* random ones, however slow sessions are */
#define COMMANDS_MOST 300	/* and this many where that takes less than */
#define COMMANDS_SECONDS 15

struct guest {
	int sock, shm_fd, bell;
	struct vgpu_shm_geometry geo;
	uint8_t *base;
	struct vgpu_channel *ch;
	struct vgpu_producer ring;
	uint64_t seq;
};

static struct guest bystander;

static void nap(void)
{
	struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
}

static int dial(void)
{
	const char *path = getenv("VGPU_SOCKET_PATH");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_non_null(path);
	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static struct vgpu_msg_hello hello(void)
{
	struct vgpu_msg_hello h = {
		.h = { VGPU_MSG_MAGIC, VGPU_MSG_HELLO, 0, sizeof(h), VGPU_PROTOCOL_VERSION },
		.role = VGPU_ROLE_SHIM,
		.pid = (uint32_t)getpid(),
		.name = "hostile",
	};

	return h;
}

/* 1 if the peer closed within the time, 0 if it still waits for us. */
static int closed_by_peer(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];

	for (;;) {
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			return 0;
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			return 1;
	}
}

static void welcome(struct guest *g)
{
	static uintptr_t next = 0x7e9000000000;
	struct vgpu_msg_welcome w;
	struct iovec iov = { &w, sizeof(w) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int fds[2];

	assert_int_equal(recvmsg(g->sock, &msg, MSG_CMSG_CLOEXEC), sizeof(w));
	assert_int_equal(w.h.type, VGPU_MSG_WELCOME);
	c = CMSG_FIRSTHDR(&msg);
	assert_non_null(c);
	assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(fds)));
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	g->shm_fd = fds[0];
	g->bell = fds[1];
	assert_int_equal(vgpu_shm_geometry(&g->geo, w.shm_size, 1), 0);
	/* Away from where the kernel puts things in the worker, too, so that its first offer suits. */
	g->base = mmap((void *)next, w.shm_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, g->shm_fd, 0);
	assert_ptr_equal(g->base, (void *)next);
	next += w.shm_size;
	g->ch = vgpu_shm_channel(g->base, &g->geo, 0);
}

static void ring_bell(struct guest *g)
{
	uint64_t one = 1;

	assert_int_equal(write(g->bell, &one, sizeof(one)), sizeof(one));
}

static uint32_t state_of(struct guest *g)
{
	return atomic_load(&g->ch->ctl.host_state);
}

static int wait_state(struct guest *g, uint32_t want)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (state_of(g) == want)
			return 1;
		nap();
	}
	print_error("host_state is %u, wanted %u (%s)\n", state_of(g), want,
		    g->ch->ctl.host_text);
	return 0;
}

/* Connect and shake hands up to, but without, the answer to the first offer. */
static void connect_guest(struct guest *g)
{
	struct vgpu_msg_hello h = hello();

	memset(g, 0, sizeof(*g));
	g->sock = dial();
	assert_int_equal(send(g->sock, &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
	welcome(g);
	g->ch->ctl.guest_version = VGPU_PROTOCOL_VERSION;
	g->ch->ctl.guest_pid = (uint32_t)getpid();
	assert_true(wait_state(g, VGPU_HOST_OFFER));
	/* The epoch is stored last: an answer to an older one is no answer. */
	while (!atomic_load(&g->ch->ctl.offer_epoch))
		nap();
}

static void answer(struct guest *g, uint32_t what, uint64_t base)
{
	struct vgpu_channel_ctl *ctl = &g->ch->ctl;

	ctl->arena_base = base;
	atomic_store(&ctl->guest_answer, what);
	atomic_store(&ctl->answer_epoch, atomic_load(&ctl->offer_epoch));
	ring_bell(g);
}

static void open_guest(struct guest *g)
{
	connect_guest(g);
	/* The worker maps the memory where we have it; if it cannot, it offers again. */
	answer(g, VGPU_ANSWER_ACCEPT, (uintptr_t)g->base);
	assert_true(wait_state(g, VGPU_HOST_READY));
	vgpu_producer_init(&g->ring, &g->ch->ring, g->ch->ring_data, VGPU_RING_BYTES);
}

static void close_guest(struct guest *g)
{
	munmap(g->base, g->geo.total_size);
	close(g->shm_fd);
	close(g->bell);
	close(g->sock);
}

/* A well-formed NOOP that wants a reply in slot 0; fields may be spoilt before publish. */
static struct vgpu_cmd *noop(struct guest *g)
{
	struct vgpu_cmd *c = vgpu_producer_reserve(&g->ring, 64);

	if (!c)
		abort();	/* the tests never fill the ring; told to the compiler, too */
	memset(c, 0, 64);
	c->size = 64;
	c->op = VGPU_OP_noop;
	c->slot = 1;
	c->args_size = 0;
	c->seq = ++g->seq;
	return c;
}

static void publish(struct guest *g)
{
	vgpu_producer_publish(&g->ring, 64);
	ring_bell(g);
}

static int replied(struct guest *g)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (atomic_load(&g->ch->replies[0].done) == g->seq)
			return 1;
		nap();
	}
	return 0;
}

static void bystander_works(void)
{
	noop(&bystander);
	publish(&bystander);
	assert_true(replied(&bystander));
	assert_int_equal(bystander.ch->replies[0].result, 0);
}

static int setup(void **state)
{
	(void)state;
	open_guest(&bystander);
	bystander_works();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bystander_works();
	close_guest(&bystander);
	return 0;
}

/* ---- socket messages ---- */

static void spoilt_hello(void (*spoil)(struct vgpu_msg_hello *), size_t size)
{
	struct vgpu_msg_hello h = hello();
	int fd = dial();

	spoil(&h);
	assert_int_equal(send(fd, &h, size, MSG_NOSIGNAL), (ssize_t)size);
	assert_true(closed_by_peer(fd));
	close(fd);
	bystander_works();
}

static void bad_magic(struct vgpu_msg_hello *h)
{
	h->h.magic ^= 1;
}

static void bad_major(struct vgpu_msg_hello *h)
{
	h->h.version += 1u << 16;
}

static void bad_type(struct vgpu_msg_hello *h)
{
	h->h.type = 999;
}

static void bad_length(struct vgpu_msg_hello *h)
{
	h->h.length = 0xffffffffu;
}

static void bad_role(struct vgpu_msg_hello *h)
{
	h->role = 42;
}

static void bad_size(struct vgpu_msg_hello *h)
{
	h->shm_size = 12345;
}

static void stub_without_memfd(struct vgpu_msg_hello *h)
{
	h->role = VGPU_ROLE_STUB;
	h->shm_size = 1u << 30;
	h->channels = 8;
}

static void nothing(struct vgpu_msg_hello *h)
{
	(void)h;
}

static void socket_messages(void **state)
{
	(void)state;
	spoilt_hello(bad_magic, sizeof(struct vgpu_msg_hello));
	spoilt_hello(bad_major, sizeof(struct vgpu_msg_hello));
	spoilt_hello(bad_type, sizeof(struct vgpu_msg_hello));
	spoilt_hello(bad_length, sizeof(struct vgpu_msg_hello));
	spoilt_hello(bad_role, sizeof(struct vgpu_msg_hello));
	spoilt_hello(bad_size, sizeof(struct vgpu_msg_hello));
	spoilt_hello(stub_without_memfd, sizeof(struct vgpu_msg_hello));
	spoilt_hello(nothing, sizeof(struct vgpu_msg_hello) - 1);
	spoilt_hello(nothing, 3);
}

static void random_messages(void **state)
{
	uint8_t buf[2048];

	(void)state;
	srand(1);
	for (int i = 0; i < 50; i++) {
		int fd = dial();
		size_t n = 1 + (size_t)rand() % sizeof(buf);

		for (size_t k = 0; k < n; k++)
			buf[k] = (uint8_t)rand();
		assert_int_equal(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
		assert_true(closed_by_peer(fd));
		close(fd);
	}
	bystander_works();
}

/* ---- handshake ---- */

static void wild_arena_base(void **state)
{
	static const uint64_t wild[] = { 1, 0xffffffffffffe000ull, 0x7fffffffffff0000ull, 4097 };

	(void)state;
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		struct guest g;

		connect_guest(&g);
		answer(&g, VGPU_ANSWER_ACCEPT, wild[i]);
		/* Offered again or ended, but never ready. */
		for (int k = 0; k < 200 && state_of(&g) != VGPU_HOST_DEAD; k++) {
			assert_int_not_equal(state_of(&g), VGPU_HOST_READY);
			nap();
		}
		close_guest(&g);
	}
	bystander_works();
}

/* ---- commands ---- */

static void spoilt_command(void (*spoil)(struct guest *, struct vgpu_cmd *))
{
	struct guest g;

	open_guest(&g);
	spoil(&g, noop(&g));
	publish(&g);
	assert_true(wait_state(&g, VGPU_HOST_DEAD));
	assert_int_equal(atomic_load(&g.ch->ctl.host_error), VGPU_HOST_PROTOCOL);
	assert_true(g.ch->ctl.host_text[0] != 0);
	close_guest(&g);
	bystander_works();
}

static void size_zero(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->size = 0;
}

static void size_odd(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->size = 65;
}

static void size_beyond_tail(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->size = 4096;
}

static void args_too_large(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->args_size = 1u << 20;
}

static void sizes_that_wrap(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->args_size = 0xfffffff0u;
	c->payload_size = 0x20;
}

static void unknown_op(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->op = 0xfff0;
}

static void op_zero(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->op = 0;
}

static void slot_out_of_range(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->slot = VGPU_REPLY_SLOTS + 1;
}

static void wrong_args_size(struct guest *g, struct vgpu_cmd *c)
{
	(void)g;
	c->args_size += 4;
}

static void tail_jumps(struct guest *g, struct vgpu_cmd *c)
{
	(void)c;
	g->ring.tail += 10 * (uint64_t)VGPU_RING_BYTES;
}

static void tail_goes_back(struct guest *g, struct vgpu_cmd *c)
{
	(void)c;
	g->ring.tail -= 128;
}

static void commands(void **state)
{
	(void)state;
	spoilt_command(size_zero);
	spoilt_command(size_odd);
	spoilt_command(size_beyond_tail);
	spoilt_command(args_too_large);
	spoilt_command(sizes_that_wrap);
	spoilt_command(unknown_op);
	spoilt_command(op_zero);
	spoilt_command(slot_out_of_range);
	spoilt_command(wrong_args_size);
	spoilt_command(tail_jumps);
	spoilt_command(tail_goes_back);
}

/*
 * Random bytes behind a valid header: an error in the reply, or the end of this session. Most of them cost a session, and
 * a GPU's driver starts workers one after the other, 0.15 s each.
 */
static void random_commands(void **state)
{
	time_t end = time(NULL) + COMMANDS_SECONDS;
	struct guest g;

	(void)state;
	srand(2);
	open_guest(&g);
	for (int i = 0; i < COMMANDS_MOST && (i < COMMANDS_LEAST || time(NULL) < end); i++) {
		struct vgpu_cmd *c = noop(&g);
		uint8_t *body = (uint8_t *)(c + 1);

		c->op = (uint16_t)(rand() % 0x900);
		c->args_size = (uint32_t)(rand() % 25);
		for (size_t k = 0; k < 64 - sizeof(*c); k++)
			body[k] = (uint8_t)rand();
		publish(&g);
		for (int k = 0; k < PATIENCE_MS; k++) {
			if (state_of(&g) != VGPU_HOST_READY ||
			    atomic_load(&g.ch->replies[0].done) == g.seq)
				break;
			nap();
		}
		if (state_of(&g) == VGPU_HOST_READY)
			continue;
		close_guest(&g);
		open_guest(&g);
	}
	close_guest(&g);
	bystander_works();
}

/* Send one command with these arguments; its result, and the answer's first bytes in *data. */
static int32_t result_of(struct guest *g, uint16_t op, const void *args, uint32_t size, void *data, size_t data_size)
{
	struct vgpu_cmd *c = noop(g);

	c->op = op;
	c->args_size = size;
	memcpy(c + 1, args, size);
	publish(g);
	assert_true(replied(g));
	if (data)
		memcpy(data, g->ch->replies[0].data, data_size);
	return g->ch->replies[0].result;
}

#define RESULT(g, op, ...) \
	result_of((g), VGPU_OP_##op, &(struct vgpu_args_##op){ __VA_ARGS__ }, sizeof(struct vgpu_args_##op), NULL, 0)

/* Addresses, handles and tokens that are another session's, that were freed already, or that nobody gave out. */
static void things_of_others(void **state)
{
	const uint64_t event = vgpu_handle_make(VGPU_HANDLE_EVENT, 1, 1000);
	const uint64_t memory = vgpu_handle_make(VGPU_HANDLE_MEMGENERIC, 1, 1000);
	struct vgpu_args_ipc_open_memory open = { .flags = 1 };
	struct vgpu_args_memory_import import = { .handle = memory };
	struct guest g;
	uint64_t p = 0;

	(void)state;
	open_guest(&g);
	assert_int_equal(result_of(&bystander, VGPU_OP_cuMemAlloc_v2, &(struct vgpu_args_cuMemAlloc_v2){ 4096 }, 8, &p, 8), 0);
	assert_int_equal(RESULT(&g, cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, ipc_get_memory, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, ipc_close_memory, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, cuMemUnmap, p, 2u << 20), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, cuMemRelease, memory), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, memory_export, memory), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&g, event_destroy, event), CUDA_ERROR_INVALID_HANDLE);
	/* A token that nobody made, and one that was made for something else. */
	assert_int_equal(result_of(&g, VGPU_OP_ipc_open_memory, &open, sizeof(open), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(result_of(&bystander, VGPU_OP_ipc_get_memory, &(struct vgpu_args_ipc_get_memory){ p }, 8, import.token,
				   sizeof(import.token)), 0);
	assert_int_equal(result_of(&g, VGPU_OP_memory_import, &import, sizeof(import), NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(RESULT(&bystander, cuMemFree_v2, p), 0);
	assert_int_equal(RESULT(&bystander, cuMemFree_v2, p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(RESULT(&bystander, cuMemFree_v2, p + 512), CUDA_ERROR_INVALID_VALUE);
	close_guest(&g);
	bystander_works();
}

/* The shared memory turned to noise while the worker reads it. */
static void noise(void **state)
{
	struct guest g;

	(void)state;
	srand(3);
	for (int round = 0; round < 10; round++) {
		open_guest(&g);
		for (int i = 0; i < 20000; i++)
			g.ch->ring_data[rand() % VGPU_RING_BYTES] = (uint8_t)rand();
		atomic_store(&g.ch->ring.tail, (uint64_t)rand() & ~63ull);
		ring_bell(&g);
		atomic_store(&g.ch->ring.head, (uint64_t)rand());
		memset(g.base, 0xff, 4096);
		for (int i = 0; i < 300 && state_of(&g) == VGPU_HOST_READY; i++)
			nap();
		close_guest(&g);
	}
	bystander_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket_messages),
		cmocka_unit_test(random_messages),
		cmocka_unit_test(wild_arena_base),
		cmocka_unit_test(commands),
		cmocka_unit_test(random_commands),
		cmocka_unit_test(things_of_others),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests_name("hostile", tests, setup, teardown);
}
