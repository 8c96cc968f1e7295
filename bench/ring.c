/* SPDX-License-Identifier: MIT */
/*
 * The command ring by itself, between this process and a child that only takes: what a command costs its producer, and how
 * many commands and bytes go through in a second.  Compared with the next layers: bench_channel, the same ring behind the
 * shim's lock, and bench_path, with a worker behind it.
 */
#include "consumer.h"
#include "gbench.h"

#define LEAST	64
#define MOST	(64 << 10)

static bool put(struct vgpu_producer *p, uint32_t size, uint16_t op)
{
	struct vgpu_cmd *cmd = vgpu_producer_reserve(p, size);

	if (!cmd)
		return false;
	/* All of it is written, as a call with that many bytes would. */
	memset(cmd, 0, size);
	*cmd = (struct vgpu_cmd){ .size = size, .op = op };
	vgpu_producer_publish(p, size);
	return vgpu_producer_must_ring(p) || true;
}

static void put_waiting(struct vgpu_producer *p, uint32_t size, uint16_t op)
{
	while (!put(p, size, op))
		sched_yield();
}

static void report(struct gbench *b)
{
	gbench_items(b, gbench_iterations(b));
	gbench_bytes(b, gbench_iterations(b) * gbench_argument(b));
}

/* Commands of as many bytes as the argument says, as fast as they go through. */
static void throughput(struct gbench *b)
{
	uint32_t size = (uint32_t)gbench_argument(b);
	struct consumer c;
	struct vgpu_producer p;

	if (!consumer_start(&c)) {
		gbench_fail(b, "no memory or no process");
		return;
	}
	vgpu_producer_init(&p, c.ring, c.data, VGPU_RING_BYTES);
	while (gbench_next(b))
		put_waiting(&p, size, 1);
	put_waiting(&p, 64, CONSUMER_END);
	if (!consumer_wait(&c))
		gbench_fail(b, "the consumer saw a damaged ring");
	report(b);
}

/* What it costs to write one command into a ring with room, while nobody takes. */
static void producer_cost(struct gbench *b)
{
	static struct vgpu_ring_head head;
	static _Alignas(64) uint8_t data[VGPU_RING_BYTES];
	struct vgpu_producer p;

	memset(&head, 0, sizeof(head));
	vgpu_producer_init(&p, &head, data, VGPU_RING_BYTES);
	atomic_store(&head.consumer_state, VGPU_CONSUMER_RUNNING);
	while (gbench_next(b)) {
		put(&p, (uint32_t)gbench_argument(b), 1);
		atomic_store_explicit(&head.head, p.tail, memory_order_relaxed);
	}
	report(b);
}

int main(int argc, char **argv)
{
	for (int64_t bytes = LEAST; bytes <= MOST; bytes *= 4) {
		struct gbench_case c = { .args = { { "bytes", bytes } } };

		gbench_add_case("ring/producer_cost", producer_cost, &c);
		gbench_add_case("ring/throughput", throughput, &c);
	}
	return gbench_main(argc, argv);
}
