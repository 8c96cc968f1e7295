/* SPDX-License-Identifier: MIT */
/* A recording is taken only whole and consistent: cut anywhere, with any byte changed, or with lengths that lie, it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gen/wire.h>
#include <vgpu/shm.h>

#include "bench/recording.h"

struct tape {
	_Alignas(8) uint8_t data[4096];
	size_t used;
	struct vgpu_record_end end;
};

static void begin(struct tape *t)
{
	struct vgpu_record_file file = {
		.magic = VGPU_RECORD_MAGIC, .version = VGPU_RECORD_VERSION, .protocol = VGPU_PROTOCOL_VERSION,
		.shm_size = VGPU_SHM_MIN_SIZE, .arena_base = 0x600000000000, .data = VGPU_RECORD_INLINE, .name = "test",
	};

	memset(t, 0, sizeof(*t));
	memcpy(t->data, &file, sizeof(file));
	t->used = sizeof(file);
}

/* Where its body lies. */
static void *put(struct tape *t, uint16_t type, const void *body, uint32_t bytes)
{
	struct vgpu_record r = { .size = (uint32_t)sizeof(r) + bytes, .type = type, .time = t->end.records };
	uint8_t *at = t->data + t->used;

	memcpy(at, &r, sizeof(r));
	memcpy(at + sizeof(r), body, bytes);
	t->used += vgpu_record_stride(r.size);
	t->end.records++;
	t->end.commands += type == VGPU_RECORD_COMMAND;
	return at + sizeof(r);
}

static struct vgpu_cmd *put_command(struct tape *t, uint16_t op, uint16_t slot)
{
	struct vgpu_cmd cmd = { .size = 64, .op = op, .slot = slot, .args_size = 8, .seq = t->end.commands + 1 };
	uint8_t body[sizeof(cmd) + 8] = { 0 };

	memcpy(body, &cmd, sizeof(cmd));
	return put(t, VGPU_RECORD_COMMAND, body, sizeof(body));
}

static struct vgpu_record_reply *put_reply(struct tape *t, uint64_t seq, uint32_t slot)
{
	struct vgpu_record_reply r = { .seq = seq, .slot = slot };

	return put(t, VGPU_RECORD_REPLY, &r, sizeof(r));
}

static struct vgpu_record_wait *put_wait(struct tape *t)
{
	struct vgpu_record_wait w = { .fence = 1, .value = 1 };

	return put(t, VGPU_RECORD_WAIT, &w, sizeof(w));
}

static struct vgpu_record_place *put_place(struct tape *t)
{
	struct {
		struct vgpu_record_place place;
		uint8_t bytes[16];
	} body = { .place = { 4096, 16 } };

	return put(t, VGPU_RECORD_DATA, &body, sizeof(body));
}

static void finish(struct tape *t)
{
	struct vgpu_record_end end = t->end;

	end.hash = vgpu_record_hash(VGPU_RECORD_HASH_INIT, t->data, t->used);
	put(t, VGPU_RECORD_END, &end, sizeof(end));
}

static void expect(const struct tape *t, int wanted)
{
	struct recording r;
	int got = recording_check(&r, t->data, t->used);

	if (got != wanted)
		fail_msg("wanted %d, got %d: %s", wanted, got, r.why);
	assert_true(wanted == 0 || r.why[0]);
}

static void a_typical_one(struct tape *t)
{
	begin(t);
	put_command(t, VGPU_OP_ping, 1);
	put_reply(t, 1, 1);
	put_command(t, VGPU_OP_cuProfilerStart, 0);
	put_place(t);
	put_command(t, VGPU_OP_noop, 0);
	put_wait(t);
	put_command(t, VGPU_OP_cuProfilerStop, 0);
	finish(t);
}

static void test_whole(void **state)
{
	struct recording r;
	struct tape t;

	(void)state;
	a_typical_one(&t);
	expect(&t, 0);
	assert_int_equal(recording_check(&r, t.data, t.used), 0);
	assert_int_equal(r.commands, 4);
	assert_int_equal(r.waits, 1);
	assert_int_equal(r.replies, 1);
	/* The marks: third and last record. */
	assert_int_equal(r.from_time, 2);
	assert_int_equal(r.to_time, 6);
}

static void test_without_marks(void **state)
{
	struct recording r;
	struct tape t;

	(void)state;
	begin(&t);
	put_command(&t, VGPU_OP_cuProfilerStop, 0);
	put_wait(&t);
	finish(&t);
	assert_int_equal(recording_check(&r, t.data, t.used), 0);
	assert_int_equal(r.from, sizeof(r.file));
	assert_int_equal(r.to_time, 1);
}

static void test_cut(void **state)
{
	struct tape t;
	size_t whole;

	(void)state;
	a_typical_one(&t);
	whole = t.used;
	for (t.used = 0; t.used < whole; t.used++)
		expect(&t, -1);
}

static void test_any_byte(void **state)
{
	struct tape t;
	size_t i, end_time;

	(void)state;
	a_typical_one(&t);
	/* Nobody needs to know when it ended. */
	end_time = t.used - sizeof(struct vgpu_record_end) - sizeof(uint64_t);
	for (i = 0; i < t.used; i++) {
		if (i >= end_time && i < end_time + sizeof(uint64_t))
			continue;
		t.data[i] ^= 0x10;
		expect(&t, -1);
		t.data[i] ^= 0x10;
	}
	expect(&t, 0);
}

/* The sum is right, the contents are not. */
static void test_lies(void **state)
{
	struct tape t;
	int i;

	(void)state;
	for (i = 0; i < 12; i++) {
		begin(&t);
		switch (i) {
		case 0: put_command(&t, VGPU_OP_noop, 0)->seq = 2; break;
		case 1: put_command(&t, VGPU_OP_noop, VGPU_REPLY_SLOTS + 1); break;
		case 2: put_command(&t, VGPU_OP_noop, 0)->payload_size = 8; break;
		case 3: put_command(&t, VGPU_OP_noop, 0)->args_size = UINT32_MAX; break;
		case 4: put_command(&t, VGPU_OP_noop, 0)->size = 65; break;
		case 5: put_command(&t, VGPU_OP_PAD, 0); break;
		case 6: put_reply(&t, 1, 1); break;
		case 7: put_command(&t, VGPU_OP_ping, 1); put_reply(&t, 1, 2); break;
		case 8: put_wait(&t)->fence = VGPU_FENCES; break;
		case 9: put_place(&t)->offset = UINT64_MAX; break;
		case 10: put_place(&t)->bytes = 17; break;
		case 11: put(&t, 99, "", 0); break;
		}
		finish(&t);
		expect(&t, -1);
	}
	for (i = 0; i < 2; i++) {
		begin(&t);
		put_command(&t, VGPU_OP_noop, 0);
		t.end.commands += (uint64_t)i;
		finish(&t);
		expect(&t, -i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_without_marks), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_any_byte), cmocka_unit_test(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
