/* SPDX-License-Identifier: MIT */
/* A child process that takes commands, see consumer.h. */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "consumer.h"

static _Noreturn void consume(const struct consumer *m)
{
	static _Alignas(64) uint8_t buf[VGPU_CMD_MAX];
	struct vgpu_cmd *cmd = (struct vgpu_cmd *)buf;
	struct vgpu_consumer c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vgpu_consumer_init(&c, m->ring, m->data, VGPU_RING_BYTES);
	vgpu_consumer_announce(&c, VGPU_CONSUMER_RUNNING);
	for (;;) {
		int size = vgpu_consumer_take(&c, buf);

		if (size < 0 || (size && cmd->op == CONSUMER_END))
			_exit(size < 0);
		if (!size)
			sched_yield();
	}
}

bool consumer_start(struct consumer *c)
{
	struct vgpu_channel *channel;

	c->memory = mmap(NULL, VGPU_SHM_MIN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->memory == MAP_FAILED)
		return false;
	if (vgpu_shm_geometry(&c->geometry, VGPU_SHM_MIN_SIZE, 1))
		return false;
	vgpu_shm_format(c->memory, &c->geometry, 0);
	channel = vgpu_shm_channel(c->memory, &c->geometry, 0);
	c->ring = &channel->ring;
	c->data = channel->ring_data;
	c->pid = fork();
	if (!c->pid)
		consume(c);
	return c->pid > 0;
}

bool consumer_wait(struct consumer *c)
{
	int status = -1;

	waitpid(c->pid, &status, 0);
	munmap(c->memory, VGPU_SHM_MIN_SIZE);
	return !status;
}
