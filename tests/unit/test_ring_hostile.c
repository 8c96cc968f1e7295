/* SPDX-License-Identifier: MIT */
/* A hostile peer can write any index and any header: each side notices or is unharmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vgpu/ring.h>

#define SIZE (256u << 10)

struct fixture {
	struct vgpu_ring_head head;
	_Alignas(64) uint8_t data[SIZE];
	_Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	struct vgpu_consumer c;
};

static struct fixture *fresh(uint64_t at)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	atomic_store(&f->head.head, at);
	atomic_store(&f->head.tail, at);
	vgpu_consumer_init(&f->c, &f->head, f->data, SIZE);
	return f;
}

static int take_header(uint64_t at, uint64_t published, struct vgpu_cmd cmd)
{
	struct fixture *f = fresh(at);
	int ret;

	memcpy(f->data + at % SIZE, &cmd, sizeof(cmd));
	atomic_store(&f->head.tail, at + published);
	ret = vgpu_consumer_take(&f->c, f->buf);
	free(f);
	return ret;
}

static void test_tail(void **state)
{
	const struct vgpu_cmd ok = { .size = 64, .op = 1 };
	const uint64_t bad[] = { 1, 63, 65, SIZE + 64, SIZE * 2, UINT64_MAX, (uint64_t)-64, 1ull << 63 };

	(void)state;
	assert_int_equal(take_header(0, 64, ok), 64);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(take_header(0, bad[i], ok), -1);
}

static void test_size(void **state)
{
	const uint32_t bad[] = { 0, 1, 63, 65, 127, 192, 0x80000000u, 0xffffffc0u, 0xffffffffu };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(take_header(0, 128, (struct vgpu_cmd){ .size = bad[i], .op = 1 }), -1);
	/* Crosses the end of the data, though as much was published. */
	assert_int_equal(take_header(SIZE - 64, 128, (struct vgpu_cmd){ .size = 128, .op = 1 }), -1);
	assert_int_equal(take_header(SIZE - 64, 128, (struct vgpu_cmd){ .size = 64, .op = 1 }), 64);
	/* Larger than the private copy. */
	assert_int_equal(take_header(0, SIZE, (struct vgpu_cmd){ .size = VGPU_CMD_MAX + 64, .op = 1 }), -1);
	assert_int_equal(take_header(0, SIZE, (struct vgpu_cmd){ .size = VGPU_CMD_MAX, .op = 1 }), VGPU_CMD_MAX);
}

/* Two lines with these parts in them. */
static int take_parts(uint8_t flags, uint32_t args, uint32_t payload)
{
	return take_header(0, 128, (struct vgpu_cmd){ .size = 128, .op = 1, .flags = flags, .args_size = args,
						      .payload_size = payload, .seq = 1 });
}

static void test_parts(void **state)
{
	const uint32_t room = 128 - (uint32_t)sizeof(struct vgpu_cmd);

	(void)state;
	assert_int_equal(take_parts(0, room, 0), 128);
	assert_int_equal(take_parts(0, room + 1, 0), -1);
	assert_int_equal(take_parts(0, room, 1), -1);
	assert_int_equal(take_parts(0, 0xffffffffu, 1), -1);
	assert_int_equal(take_parts(0, 8, 0xffffffffu), -1);
	assert_int_equal(take_parts(0, 0x80000000u, 0x80000000u), -1);
	assert_int_equal(take_parts(VGPU_CMD_STAMPED, 8, room - 16), 128);
	assert_int_equal(take_parts(VGPU_CMD_STAMPED, 8, room - 15), -1);
}

static void test_pad(void **state)
{
	(void)state;
	/* Right, with nothing behind it yet: nothing to take. */
	assert_int_equal(take_header(SIZE - 128, 128, (struct vgpu_cmd){ .size = 128, .op = VGPU_OP_PAD }), 0);
	/* A pad that does not end at the end would let the peer move the reader at will. */
	assert_int_equal(take_header(SIZE - 128, 128, (struct vgpu_cmd){ .size = 64, .op = VGPU_OP_PAD }), -1);
	assert_int_equal(take_header(0, 128, (struct vgpu_cmd){ .size = 64, .op = VGPU_OP_PAD }), -1);
}

/* Random headers and indices: whatever is taken lies in the buffer and its parts fit into it. */
static void test_random(void **state)
{
	struct fixture *f = fresh(0);
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)f->buf;

	(void)state;
	srand(2);
	for (int i = 0; i < 300000; i++) {
		uint32_t at = (uint32_t)(f->c.head % SIZE);
		struct vgpu_cmd c = { .size = (uint32_t)rand() % 8 ? 64u * ((uint32_t)rand() % 20) : (uint32_t)rand(),
				      .op = (uint16_t)(rand() % 4 ? 1 : VGPU_OP_PAD), .flags = (uint8_t)rand(),
				      .args_size = (uint32_t)rand() % 1024, .payload_size = (uint32_t)rand() % 1024 };
		int ret;

		memcpy(f->data + at, &c, SIZE - at < sizeof(c) ? SIZE - at : sizeof(c));
		atomic_store(&f->head.tail, f->c.head + (uint64_t)(rand() % 40) * (rand() % 50 ? 64 : 1));
		ret = vgpu_consumer_take(&f->c, f->buf);
		assert_true(f->c.head % VGPU_CMD_ALIGN == 0);
		if (ret <= 0)
			continue;
		assert_true((uint32_t)ret <= VGPU_CMD_MAX && cmd->size == (uint32_t)ret);
		assert_true(vgpu_cmd_bytes(cmd) + (cmd->flags & VGPU_CMD_STAMPED ? 8 : 0) <= (uint64_t)ret);
	}
	free(f);
}

/* A consumer that claims to have eaten what was never published does not make the producer overwrite. */
static void test_head(void **state)
{
	const uint64_t bad[] = { 64, 128, SIZE * 3ull, 1ull << 63 };
	struct fixture *f = fresh(0);
	struct vgpu_producer p;

	(void)state;
	vgpu_producer_init(&p, &f->head, f->data, SIZE);
	for (uint32_t n = 0; n < SIZE / 64; n++) {
		assert_non_null(vgpu_producer_reserve(&p, 64));
		vgpu_producer_publish(&p, 64);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		atomic_store(&f->head.head, SIZE + bad[i]);
		assert_null(vgpu_producer_reserve(&p, 64));
	}
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tail), cmocka_unit_test(test_size),   cmocka_unit_test(test_parts),
		cmocka_unit_test(test_pad),  cmocka_unit_test(test_random), cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
