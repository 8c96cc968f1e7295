/* SPDX-License-Identifier: MIT */
/* Code that one session has sent: which others are given it, how much is kept, and what is not. */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_worker.h"
#include "harness.h"

#define KIB 1024u

/* Have the session's worker keep or look for the image of this hash and size. Its result. */
static int image(struct party *p, enum fake_op op, uint64_t hash, uint64_t bytes, enum fake_flaw flaw)
{
	struct fake_image f = { .c = { .op = (uint16_t)op }, .hash = hash, .bytes = bytes, .flaw = flaw };

	return party_call(p, &f);
}

static bool finds(struct party *p, uint64_t hash, uint64_t bytes)
{
	const struct fake_found *o = (const void *)p->channel->replies[0].data;

	if (image(p, FAKE_FIND, hash, bytes, FAKE_SOUND)) {
		assert_int_equal(o->size, 0);	/* not even a descriptor */
		return false;
	}
	assert_int_equal(o->first, hash);
	assert_int_equal(o->size, bytes + 1);
	assert_true(o->fixed);
	return true;
}

/* The supervisor hears its worker in order: when this one finds it, everybody can. */
static void keeps(struct party *p, uint64_t hash, uint64_t bytes)
{
	image(p, FAKE_KEEP, hash, bytes, FAKE_SOUND);
	assert_true(finds(p, hash, bytes));
}

static void refuses(struct party *p, uint64_t hash, uint64_t bytes, enum fake_flaw flaw)
{
	image(p, FAKE_KEEP, hash, bytes, flaw);
	assert_false(finds(p, hash, bytes));
}

/* A number of all VMs' images together. */
static uint64_t images_number(const struct mediator *m, const char *key)
{
	int fd = control_connect(m);
	struct json_object *s = control_ask(fd, "{\"cmd\":\"status\"}\n"), *vms, *o, *v;
	uint64_t n = 0;

	assert_true(json_object_object_get_ex(s, "vms", &vms));
	for (size_t i = 0; i < json_object_array_length(vms); i++)
		if (json_object_object_get_ex(json_object_array_get_idx(vms, i), "images", &o) &&
		    json_object_object_get_ex(o, key, &v))
			n += json_object_get_uint64(v);
	json_object_put(s);
	close(fd);
	return n;
}

static void sessions_of_a_vm_find(void **state)
{
	struct vgpu_packet closed;
	struct mediator m;
	struct stub vm;
	struct party a, b;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&vm, &m);
	a = party_of_vm(&vm, 0);
	b = party_of_vm(&vm, 1);
	assert_false(finds(&b, 11, 64 * KIB));
	keeps(&a, 11, 64 * KIB);
	keeps(&a, 12, 4096);
	assert_true(finds(&b, 11, 64 * KIB));
	assert_true(finds(&b, 12, 4096));
	assert_false(finds(&b, 12, 4097));
	assert_false(finds(&b, 13, 4096));
	/* Twice is once: the first stays. */
	keeps(&b, 12, 4096);
	assert_int_equal(images_number(&m, "count"), 2);
	assert_int_equal(images_number(&m, "bytes"), 64 * KIB + 4096);
	/* It outlives who sent it. */
	close(a.wake);
	stub_channel(&vm, VGPU_MSG_CHANNEL_CLOSE, 0, 1);
	stub_expect(&vm, VGPU_MSG_CHANNEL_CLOSED, &closed);
	assert_true(finds(&b, 11, 64 * KIB));
	close(b.wake);
	stub_close(&vm);
	mediator_stop(&m);
}

/* Not even to one that claims the same number, as both do here; nor when the first is gone. */
static void another_vm_gets_nothing(void **state)
{
	struct stub vm, other;
	struct shim without;
	struct party a, b, c;
	struct mediator m;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&vm, &m);
	stub_open(&other, &m);
	shim_open(&without, &m);
	a = party_of_vm(&vm, 0);
	b = party_of_vm(&other, 0);
	c = party_of_shim(&without);
	keeps(&a, 11, 4096);
	keeps(&c, 12, 4096);
	assert_false(finds(&b, 11, 4096));
	assert_false(finds(&c, 11, 4096));
	assert_false(finds(&b, 12, 4096));
	assert_false(finds(&a, 12, 4096));
	close(a.wake);
	stub_close(&vm);
	soon(status_number(&m, "session_count") == 2);
	assert_int_equal(images_number(&m, "count"), 1);
	assert_false(finds(&b, 11, 4096));
	close(b.wake);
	stub_close(&other);
	shim_close(&without);
	mediator_stop(&m);
}

/* Open to every user. */
static void mediator_of_all(struct mediator *m, const char *store)
{
	mediator_start(m, "ok", "--image-store", store, NULL);
	assert_int_equal(chmod(m->dir, 0711), 0);
	assert_int_equal(chmod(m->socket, 0666), 0);
}

static void users_find_their_own(void **state)
{
	struct shim s[3];
	struct party a, b, c;
	struct mediator m;

	(void)state;
	if (geteuid())
		skip();	/* only root can be two users */
	mediator_of_all(&m, "1M");
	shim_open_as(&s[0], &m, VGPU_ROLE_SHIM, 65534);
	shim_open_as(&s[1], &m, VGPU_ROLE_SHIM, 65533);
	a = party_of_shim(&s[0]);
	b = party_of_shim(&s[1]);
	keeps(&a, 11, 600 * KIB);
	assert_false(finds(&b, 11, 600 * KIB));
	/* Full for one is not full for the other. */
	keeps(&b, 12, 600 * KIB);
	assert_true(finds(&a, 11, 600 * KIB));
	/* It stays for the next process of its user. */
	shim_close(&s[0]);
	soon(status_number(&m, "session_count") == 1);
	shim_open_as(&s[2], &m, VGPU_ROLE_SHIM, 65534);
	c = party_of_shim(&s[2]);
	assert_true(finds(&c, 11, 600 * KIB));
	/* What nobody uses is bounded over all users: the one who left first loses. */
	shim_close(&s[2]);
	soon(status_number(&m, "session_count") == 1);
	shim_close(&s[1]);
	soon(status_number(&m, "session_count") == 0);
	assert_int_equal(images_number(&m, "count"), 1);
	shim_open_as(&s[0], &m, VGPU_ROLE_SHIM, 65533);
	b = party_of_shim(&s[0]);
	assert_true(finds(&b, 12, 600 * KIB));
	shim_close(&s[0]);
	mediator_stop(&m);
}

/* A connected socket whose owner lives in a PID namespace of its own; *owner: to be killed. -1: not allowed here. */
static int connect_from_container(const struct mediator *m, pid_t *owner)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), own;
	socklen_t size = sizeof(a);

	assert_true(fd >= 0);
	memcpy(a.sun_path, m->socket, strlen(m->socket));
	own = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (own < 0 || unshare(CLONE_NEWPID)) {
		close(own);
		close(fd);
		return -1;
	}
	*owner = fork();
	if (!*owner) {
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
			_exit(1);
		pause();
	}
	/* The next child is born here again. */
	assert_int_equal(setns(own, CLONE_NEWPID), 0);
	close(own);
	assert_true(*owner > 0);
	soon(!getpeername(fd, (struct sockaddr *)&a, &size));
	return fd;
}

static void a_container_finds_its_own(void **state)
{
	struct shim s[2];
	struct party a, b;
	struct mediator m;
	pid_t owner = 0;
	int fd;

	(void)state;
	mediator_start(&m, "ok", NULL);
	fd = connect_from_container(&m, &owner);
	if (fd < 0) {
		mediator_stop(&m);
		skip();	/* only root can be a container */
	}
	shim_open(&s[0], &m);
	shim_open_on(&s[1], fd, VGPU_ROLE_SHIM);
	a = party_of_shim(&s[0]);
	b = party_of_shim(&s[1]);
	keeps(&a, 11, 4096);
	assert_false(finds(&b, 11, 4096));
	keeps(&b, 12, 4096);
	assert_false(finds(&a, 12, 4096));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	for (int i = 0; i < 2; i++)
		shim_close(&s[i]);
	mediator_stop(&m);
}

static void a_store_is_bounded(void **state)
{
	const struct fake_image many = { .c = { .op = FAKE_KEEP }, .hash = 100, .bytes = 64, .more = 1099 };
	struct mediator m;
	struct stub vm;
	struct party a;
	unsigned int fds;

	(void)state;
	mediator_start(&m, "ok", "--image-store", "1M", "--pool", "0", NULL);
	stub_open(&vm, &m);
	a = party_of_vm(&vm, 0);
	refuses(&a, 10, 1024 * KIB + 1, FAKE_SOUND);
	keeps(&a, 11, 400 * KIB);
	keeps(&a, 12, 400 * KIB);
	fds = count_fds(m.pid);
	/* The one wanted longest ago makes room. */
	assert_true(finds(&a, 11, 400 * KIB));
	keeps(&a, 13, 400 * KIB);
	assert_true(finds(&a, 11, 400 * KIB));
	assert_false(finds(&a, 12, 400 * KIB));
	assert_true(finds(&a, 13, 400 * KIB));
	assert_int_equal(images_number(&m, "bytes"), 800 * KIB);
	assert_int_equal(images_number(&m, "dropped"), 1);
	soon(count_fds(m.pid) <= fds);	/* what it is done with is closed in its own time */
	keeps(&a, 14, 1024 * KIB);
	assert_int_equal(images_number(&m, "count"), 1);
	/* Many small ones: their number is bounded, too. */
	party_call(&a, &many);
	assert_false(finds(&a, 1199, 64));
	assert_true(finds(&a, 100, 64));
	assert_int_equal(images_number(&m, "count"), 1024);
	close(a.wake);
	stub_close(&vm);
	mediator_stop(&m);
}

static void only_images_are_kept(void **state)
{
	struct mediator m;
	struct stub vm;
	struct party a;
	unsigned int fds;

	(void)state;
	mediator_start(&m, "ok", "--pool", "0", NULL);	/* no worker starts meanwhile */
	stub_open(&vm, &m);
	a = party_of_vm(&vm, 0);
	fds = count_fds(m.pid);
	refuses(&a, 11, 4096, FAKE_UNSEALED);
	refuses(&a, 11, 4096, FAKE_SHORT);
	refuses(&a, 11, 4096, FAKE_NO_FILE);
	soon(count_fds(m.pid) <= fds);	/* what it is done with is closed in its own time */
	keeps(&a, 11, 4096);
	close(a.wake);
	stub_close(&vm);
	mediator_stop(&m);
}

static void none_are_kept_if_so_configured(void **state)
{
	const struct fake_found *o;
	struct mediator m;
	struct stub vm;
	struct party a;

	(void)state;
	mediator_start(&m, "ok", "--image-store", "0", NULL);
	stub_open(&vm, &m);
	a = party_of_vm(&vm, 0);
	refuses(&a, 11, 4096, FAKE_SOUND);
	o = (const void *)a.channel->replies[0].data;
	assert_false(o->shared);
	close(a.wake);
	stub_close(&vm);
	mediator_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_of_a_vm_find),
		cmocka_unit_test(another_vm_gets_nothing),
		cmocka_unit_test(users_find_their_own),
		cmocka_unit_test(a_container_finds_its_own),
		cmocka_unit_test(a_store_is_bounded),
		cmocka_unit_test(only_images_are_kept),
		cmocka_unit_test(none_are_kept_if_so_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
