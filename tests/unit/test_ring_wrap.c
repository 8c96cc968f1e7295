/* SPDX-License-Identifier: MIT */
/* The ring keeps order and content across its end, and says when it is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vgpu/ring.h>

#define SIZE 4096u

struct fixture {
	struct vgpu_ring_head head;
	_Alignas(64) uint8_t data[SIZE];
	_Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	struct vgpu_producer p;
	struct vgpu_consumer c;
};

static struct fixture *fresh(uint64_t start)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

	assert_non_null(f);
	memset(f, 0, sizeof(*f));
	atomic_store(&f->head.tail, start);
	atomic_store(&f->head.head, start);
	vgpu_producer_init(&f->p, &f->head, f->data, SIZE);
	vgpu_consumer_init(&f->c, &f->head, f->data, SIZE);
	return f;
}

static bool put(struct fixture *f, uint32_t size, uint64_t seq)
{
	struct vgpu_cmd *cmd = vgpu_producer_reserve(&f->p, size);

	if (!cmd)
		return false;
	*cmd = (struct vgpu_cmd){ .size = size, .op = 1, .args_size = size - (uint32_t)sizeof(*cmd), .seq = seq };
	memset(cmd + 1, (int)(seq & 0xff), size - sizeof(*cmd));
	vgpu_producer_publish(&f->p, size);
	return true;
}

static void expect(struct fixture *f, uint32_t size, uint64_t seq)
{
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)f->buf;

	assert_int_equal(vgpu_consumer_take(&f->c, f->buf), (int)size);
	assert_int_equal(cmd->seq, seq);
	for (uint32_t i = sizeof(*cmd); i < size; i++)
		assert_int_equal(f->buf[i], seq & 0xff);
}

/* Every alignment of head against the end, with sizes that need the padding and sizes that do not. */
static void test_wrap(void **state)
{
	struct fixture *f = fresh(0);
	uint32_t size[8];
	uint64_t seq = 0;

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		int n = rand() % 8;

		for (int i = 0; i < n; i++)
			size[i] = 64 * (1 + (uint32_t)rand() % 4);
		for (int i = 0; i < n; i++)
			assert_true(put(f, size[i], seq + (uint64_t)i));
		for (int i = 0; i < n; i++)
			expect(f, size[i], seq++);
		assert_int_equal(vgpu_consumer_take(&f->c, f->buf), 0);
		assert_false(vgpu_consumer_pending(&f->c));
	}
	free(f);
}

/* Space comes back by sixteenths of the ring, and whatever is left when the consumer found nothing more. */
static void test_full(void **state)
{
	const uint64_t all = SIZE / 64, part = all / 16;
	struct fixture *f = fresh(0);
	uint64_t next = 0;

	(void)state;
	for (uint64_t i = 0; i < all; i++)
		assert_true(put(f, 64, i));
	assert_false(put(f, 64, 0));
	while (next < part - 1)
		expect(f, 64, next++);
	assert_false(put(f, 64, 0));
	expect(f, 64, next++);
	assert_false(put(f, (uint32_t)(64 * (part + 1)), 0));
	for (uint64_t i = 0; i < part; i++)
		assert_true(put(f, 64, all + i));
	assert_false(put(f, 64, 0));
	while (next < all + part)
		expect(f, 64, next++);
	assert_int_equal(vgpu_consumer_take(&f->c, f->buf), 0);
	for (uint64_t i = 0; i < all; i++)
		assert_true(put(f, 64, i));
	free(f);
}

/* A command that would need the padding and the start, but only one of them is free. */
static void test_full_at_the_end(void **state)
{
	struct fixture *f = fresh(0);

	(void)state;
	assert_true(put(f, SIZE / 2, 1));
	assert_true(put(f, SIZE / 2 - 64, 2));
	expect(f, SIZE / 2, 1);
	assert_false(put(f, SIZE / 2 + 64, 3));
	assert_true(put(f, SIZE / 2, 3));
	assert_false(put(f, 64, 4));
	expect(f, SIZE / 2 - 64, 2);
	expect(f, SIZE / 2, 3);
	free(f);
}

/* Free-running indices may pass any power of two, the highest, too. */
static void test_index_overflow(void **state)
{
	struct fixture *f = fresh(UINT64_MAX - 64 * 5 + 1);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		assert_true(put(f, 192, i));
		expect(f, 192, i);
	}
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_at_the_end),
		cmocka_unit_test(test_index_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
