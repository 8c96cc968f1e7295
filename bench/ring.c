/* SPDX-License-Identifier: MIT */
/*
 * The command ring by itself, between this process and a child that only takes: what a command costs its producer, and how
 * many go through in a second.  Compared with nothing but the next layer, bench_path.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vgpu/ring.h>

#include "gbench.h"

#define SIZE (1u << 20)

struct shared {
	struct vgpu_ring_head head;
	_Alignas(64) uint8_t data[SIZE];
};

static void consume(struct shared *m)
{
	static _Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)buf;
	struct vgpu_consumer c;

	vgpu_consumer_init(&c, &m->head, m->data, SIZE);
	vgpu_consumer_announce(&c, VGPU_CONSUMER_RUNNING);
	for (;;) {
		int size = vgpu_consumer_take(&c, buf);

		if (size < 0 || (size && cmd->op == 2))
			_exit(size < 0);
		if (!size)
			sched_yield();
	}
}

static bool put(struct vgpu_producer *p, uint32_t size, uint16_t op)
{
	struct vgpu_cmd *cmd = vgpu_producer_reserve(p, size);

	if (!cmd)
		return false;
	*cmd = (struct vgpu_cmd){ .size = size, .op = op };
	vgpu_producer_publish(p, size);
	return vgpu_producer_must_ring(p) || true;
}

static void put_waiting(struct vgpu_producer *p, uint32_t size, uint16_t op)
{
	while (!put(p, size, op))
		sched_yield();
}

/* Commands of as many bytes as the argument says, as fast as they go through. */
static void throughput(struct gbench *b)
{
	uint32_t size = (uint32_t)gbench_argument(b);
	struct shared *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vgpu_producer p;
	int status = -1;
	pid_t pid = m == MAP_FAILED ? -1 : fork();

	if (!pid)
		consume(m);
	if (pid < 0) {
		gbench_fail(b, "no memory or no process");
		return;
	}
	vgpu_producer_init(&p, &m->head, m->data, SIZE);
	while (gbench_next(b))
		put_waiting(&p, size, 1);
	put_waiting(&p, 64, 2);
	waitpid(pid, &status, 0);
	if (status)
		gbench_fail(b, "the consumer saw a damaged ring");
	gbench_items(b, gbench_iterations(b));
	munmap(m, sizeof(*m));
}

/* What it costs to write one command of 64 bytes into a ring with room. */
static void producer_cost(struct gbench *b)
{
	static struct shared m;
	struct vgpu_producer p;

	memset(&m.head, 0, sizeof(m.head));
	vgpu_producer_init(&p, &m.head, m.data, SIZE);
	atomic_store(&m.head.consumer_state, VGPU_CONSUMER_RUNNING);
	while (gbench_next(b)) {
		put(&p, 64, 1);
		atomic_store_explicit(&m.head.head, p.tail, memory_order_relaxed);
	}
	gbench_items(b, gbench_iterations(b));
}

int main(int argc, char **argv)
{
	gbench_add("ring/producer_cost", producer_cost, 64);
	gbench_add("ring/throughput", throughput, 64);
	gbench_add("ring/throughput", throughput, 128);
	gbench_add("ring/throughput", throughput, 4096);
	return gbench_main(argc, argv);
}
