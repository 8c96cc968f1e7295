/* SPDX-License-Identifier: MIT */
/*
 * A producer and a consumer at full speed, in two processes and in two threads (which is what ThreadSanitizer sees):
 * nothing is lost, torn or reordered, and with the sleep-and-doorbell handshake no wake-up is missed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vgpu/ring.h>

#define SIZE	 (64u << 10)
#define COMMANDS 300000u
#define SLEEPS	 20000u

struct shared {
	struct vgpu_ring_head head;
	_Alignas(64) uint8_t data[SIZE];
};

struct pair {
	struct shared *mem;
	int bell;
	uint32_t commands;
	bool sleeps;		/* consumer sleeps at once when there is nothing, instead of looking on */
};

static uint32_t size_of(uint64_t seq)
{
	return 64u * (1 + (uint32_t)(seq * 2654435761u >> 7) % 9);
}

/* 0, or the line that went wrong. */
static int consume(const struct pair *p)
{
	static _Thread_local _Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)buf;
	struct vgpu_consumer c;
	uint64_t count;

	vgpu_consumer_init(&c, &p->mem->head, p->mem->data, SIZE);
	vgpu_consumer_announce(&c, VGPU_CONSUMER_RUNNING);
	for (uint64_t seq = 1; seq <= p->commands;) {
		int size = vgpu_consumer_take(&c, buf);

		if (size < 0)
			return __LINE__;
		if (size) {
			if (cmd->seq != seq || (uint32_t)size != size_of(seq))
				return __LINE__;
			for (int i = sizeof(*cmd); i < size; i++)
				if (buf[i] != (uint8_t)seq)
					return __LINE__;
			seq++;
		} else if (!p->sleeps) {
			sched_yield();
		} else if (vgpu_consumer_may_sleep(&c)) {
			struct pollfd pfd = { .fd = p->bell, .events = POLLIN };

			/* Nobody rings without reason, and nobody who has a reason does not. */
			if (poll(&pfd, 1, 20000) != 1 || read(p->bell, &count, sizeof(count)) != sizeof(count))
				return __LINE__;
			vgpu_consumer_announce(&c, VGPU_CONSUMER_RUNNING);
		}
	}
	return 0;
}

static int produce(const struct pair *p)
{
	const uint64_t one = 1;
	struct vgpu_producer r;

	vgpu_producer_init(&r, &p->mem->head, p->mem->data, SIZE);
	for (uint64_t seq = 1; seq <= p->commands; seq++) {
		uint32_t size = size_of(seq);
		struct vgpu_cmd *cmd;

		while (!(cmd = vgpu_producer_reserve(&r, size)))
			sched_yield();
		*cmd = (struct vgpu_cmd){ .size = size, .op = 1, .seq = seq, .args_size = size - (uint32_t)sizeof(*cmd) };
		memset(cmd + 1, (int)(uint8_t)seq, size - sizeof(*cmd));
		vgpu_producer_publish(&r, size);
		if (vgpu_producer_must_ring(&r)) {
			vgpu_producer_rings(&r);
			if (write(p->bell, &one, sizeof(one)) != sizeof(one))
				return __LINE__;
		}
		if (p->sleeps && seq % 3 == 0)
			sched_yield();
	}
	return 0;
}

static struct pair make(uint32_t commands, bool sleeps)
{
	struct pair p = { .commands = commands, .sleeps = sleeps, .bell = eventfd(0, 0) };

	p.mem = mmap(NULL, sizeof(*p.mem), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(p.mem != MAP_FAILED && p.bell >= 0);
	return p;
}

static void drop(struct pair *p)
{
	close(p->bell);
	munmap(p->mem, sizeof(*p->mem));
}

static void processes(uint32_t commands, bool sleeps)
{
	struct pair p = make(commands, sleeps);
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(consume(&p) ? 1 : 0);
	assert_int_equal(produce(&p), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	drop(&p);
}

static void *consumer_thread(void *arg)
{
	return (void *)(intptr_t)consume(arg);
}

static void threads(uint32_t commands, bool sleeps)
{
	struct pair p = make(commands, sleeps);
	pthread_t t;
	void *line;

	assert_int_equal(pthread_create(&t, NULL, consumer_thread, &p), 0);
	assert_int_equal(produce(&p), 0);
	pthread_join(t, &line);
	assert_int_equal((intptr_t)line, 0);
	drop(&p);
}

static void test_processes(void **state)
{
	(void)state;
	processes(COMMANDS, false);
}

static void test_processes_that_sleep(void **state)
{
	(void)state;
	processes(SLEEPS, true);
}

static void test_threads(void **state)
{
	(void)state;
	threads(COMMANDS / 4, false);
}

static void test_threads_that_sleep(void **state)
{
	(void)state;
	threads(SLEEPS, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_processes_that_sleep),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_threads_that_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
