/* SPDX-License-Identifier: MIT */
/* Tokens of shared memory: for whom the supervisor exchanges them, and for whom it does not. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_worker.h"
#include "harness.h"

/* Have the session's worker share under, or ask for, the token that consists of this letter. Its result. */
static int share(struct party *p, enum fake_op op, char letter, enum vgpu_share_kind kind)
{
	struct fake_share f = { .c = { .op = op }, .kind = kind };

	memset(f.token, letter, sizeof(f.token));
	return party_call(p, &f);
}

static void shares(struct party *p, char letter, enum vgpu_share_kind kind)
{
	assert_int_equal(share(p, FAKE_EXPORT, letter, kind), 0);
}

/* The worker got what the other one gave, and a descriptor of the same file. */
static void receives(struct party *p, char letter, enum vgpu_share_kind kind)
{
	const struct fake_imported *o = (const void *)p->channel->replies[0].data;
	uint8_t token[VGPU_TOKEN_BYTES];

	memset(token, letter, sizeof(token));
	assert_int_equal(share(p, FAKE_IMPORT, letter, kind), 0);
	assert_string_equal((const char *)o->share.data, FAKE_SECRET);
	assert_memory_equal(o->file, token, sizeof(token));
}

/* The worker got an answer that tells nothing. */
static void is_refused(struct party *p, char letter, enum vgpu_share_kind kind)
{
	static const struct fake_imported nothing;
	const struct fake_imported *o = (const void *)p->channel->replies[0].data;

	assert_int_equal(share(p, FAKE_IMPORT, letter, kind), 1);
	assert_memory_equal(o->share.data, nothing.share.data, sizeof(nothing.share.data));
	assert_memory_equal(o->file, nothing.file, sizeof(nothing.file));
}

/* It was taken back; that message is not answered, and may be on its way. */
static void withdrawn(struct party *p, char letter, enum vgpu_share_kind kind)
{
	soon(share(p, FAKE_IMPORT, letter, kind) == 1);
	is_refused(p, letter, kind);
}

static void sessions_of_a_vm_share(void **state)
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
	shares(&a, 'a', VGPU_SHARE_MEMORY);
	shares(&a, 'b', VGPU_SHARE_PHYSICAL);
	receives(&b, 'a', VGPU_SHARE_MEMORY);
	receives(&b, 'b', VGPU_SHARE_PHYSICAL);
	receives(&b, 'a', VGPU_SHARE_MEMORY);
	is_refused(&b, 'a', VGPU_SHARE_PHYSICAL);
	is_refused(&b, 'c', VGPU_SHARE_MEMORY);
	/* Only its owner can take a token back. */
	assert_int_equal(share(&b, FAKE_WITHDRAW, 'a', VGPU_SHARE_MEMORY), 0);
	receives(&b, 'a', VGPU_SHARE_MEMORY);
	assert_int_equal(share(&a, FAKE_WITHDRAW, 'b', VGPU_SHARE_PHYSICAL), 0);
	withdrawn(&b, 'b', VGPU_SHARE_PHYSICAL);
	/* What a session shared is forgotten with it. */
	close(a.wake);
	stub_channel(&vm, VGPU_MSG_CHANNEL_CLOSE, 0, 1);
	stub_expect(&vm, VGPU_MSG_CHANNEL_CLOSED, &closed);
	is_refused(&b, 'a', VGPU_SHARE_MEMORY);
	close(b.wake);
	stub_close(&vm);
	mediator_stop(&m);
}

/* Not even to one that claims the same number, as both do here. */
static void another_vm_gets_nothing(void **state)
{
	struct mediator m;
	struct stub vm, other;
	struct shim unix_session;
	struct party a, b, c, d;

	(void)state;
	mediator_start(&m, "ok", NULL);
	stub_open(&vm, &m);
	stub_open(&other, &m);
	shim_open(&unix_session, &m);
	a = party_of_vm(&vm, 0);
	b = party_of_vm(&other, 0);
	c = party_of_shim(&unix_session);
	d = party_of_vm(&vm, 1);
	shares(&a, 'a', VGPU_SHARE_MEMORY);
	shares(&c, 'c', VGPU_SHARE_MEMORY);
	is_refused(&b, 'a', VGPU_SHARE_MEMORY);
	is_refused(&c, 'a', VGPU_SHARE_MEMORY);
	is_refused(&b, 'c', VGPU_SHARE_MEMORY);
	receives(&d, 'a', VGPU_SHARE_MEMORY);
	close(a.wake);
	close(b.wake);
	close(d.wake);
	shim_close(&unix_session);
	stub_close(&other);
	stub_close(&vm);
	mediator_stop(&m);
}

static void another_user_gets_nothing(void **state)
{
	struct mediator m;
	struct shim s[3];
	struct party a, b, c;

	(void)state;
	if (geteuid())
		skip();	/* only root can be two users */
	mediator_start(&m, "ok", NULL);
	assert_int_equal(chmod(m.dir, 0711), 0);
	assert_int_equal(chmod(m.socket, 0666), 0);
	shim_open_as(&s[0], &m, VGPU_ROLE_SHIM, 65534);
	shim_open_as(&s[1], &m, VGPU_ROLE_SHIM, 65533);
	shim_open_as(&s[2], &m, VGPU_ROLE_SHIM, 65534);
	a = party_of_shim(&s[0]);
	b = party_of_shim(&s[1]);
	c = party_of_shim(&s[2]);
	shares(&a, 'a', VGPU_SHARE_MEMORY);
	is_refused(&b, 'a', VGPU_SHARE_MEMORY);
	receives(&c, 'a', VGPU_SHARE_MEMORY);
	for (int i = 0; i < 3; i++)
		shim_close(&s[i]);
	mediator_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_of_a_vm_share),
		cmocka_unit_test(another_vm_gets_nothing),
		cmocka_unit_test(another_user_gets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
