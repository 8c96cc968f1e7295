/* SPDX-License-Identifier: MIT */
/* See shim_fake.h. */
#include "shim_fake.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include <gen/wire.h>

#include "shim/channel.h"
#include "shim/context.h"
#include "shim/device.h"
#include "shim/session.h"

struct shim_fake shim_fake = { .alive = true };

static void fake_doorbell(struct vgpu_transport *t)
{
	(void)t;
	atomic_fetch_add(&shim_fake.doorbells, 1);
}

static bool fake_alive(struct vgpu_transport *t)
{
	(void)t;
	return shim_fake.alive;
}

static const struct vgpu_transport_ops fake_ops = {
	.name = "fake",
	.doorbell = fake_doorbell,
	.alive = fake_alive,
};

void shim_fake_open(uint32_t batch, uint32_t batch_usec)
{
	struct vgpu_session *s = &vgpu_session;
	void *memory = mmap(NULL, VGPU_SHM_MIN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert(memory != MAP_FAILED);
	assert(!vgpu_shm_geometry(&s->geometry, VGPU_SHM_MIN_SIZE, 1));
	vgpu_shm_format(memory, &s->geometry, 0);
	s->transport.ops = &fake_ops;
	s->base = memory;
	s->channel = vgpu_shm_channel(memory, &s->geometry, 0);
	atomic_store(&s->channel->ctl.host_state, VGPU_HOST_READY);
	vgpu_consumer_init(&shim_fake.consumer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
	vgpu_consumer_announce(&shim_fake.consumer, VGPU_CONSUMER_POLLING);
	assert(!vgpu_channel_init(batch, batch_usec));
	atomic_store(&s->state, VGPU_SESSION_OPEN);
}

static void take(const struct vgpu_cmd *cmd)
{
	static const struct vgpu_ret_device_snapshot device = { .device_count = 1 };

	if (shim_fake.device && cmd->op == VGPU_OP_device_snapshot)
		shim_fake_reply(cmd, 0, &device, sizeof(device));
	else if (shim_fake.command)
		shim_fake.command(&shim_fake, cmd);
}

int shim_fake_drain(void)
{
	static _Alignas(64) uint8_t buffer[VGPU_CMD_MAX];
	int n, count = 0;

	while ((n = vgpu_consumer_take(&shim_fake.consumer, buffer)) > 0) {
		count++;
		shim_fake.taken++;
		take((const struct vgpu_cmd *)buffer);
	}
	return n < 0 ? -1 : count;
}

void shim_fake_reply(const struct vgpu_cmd *cmd, int result, const void *data, uint32_t size)
{
	struct vgpu_reply_slot *slot = &vgpu_session.channel->replies[cmd->slot - 1];

	slot->result = result;
	slot->size = size;
	if (size)
		memcpy(slot->data, data, size);
	atomic_store_explicit(&slot->done, cmd->seq, memory_order_release);
}

void *shim_fake_thread(void *unused)
{
	(void)unused;
	while (!atomic_load(&shim_fake.stop)) {
		if (!shim_fake_drain())
			sched_yield();
	}
	return NULL;
}

static pthread_t consumer;

int shim_fake_start(void)
{
	shim_fake.device = true;
	shim_fake_open(1, 50);
	if (pthread_create(&consumer, NULL, shim_fake_thread, NULL))
		return -1;
	return vgpu_device_init(NULL) || vgpu_context_init() ? -1 : 0;
}

void shim_fake_stop(void)
{
	atomic_store(&shim_fake.stop, true);
	pthread_join(consumer, NULL);
}
