/* SPDX-License-Identifier: MIT */
/* The session with the monitor, see link.h: commands into its ring, answers out of one reply slot. */
#include "nvml/link.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gen/wire.h>

#include "config.h"
#include "log.h"
#include "nvml/call.h"
#include "session.h"
#include "wait.h"

#define SLOT 1u		/* the one that is used */

static struct {
	pthread_mutex_t lock;
	struct vgpu_producer producer;
	uint64_t seq;
	bool prepared;		/* environment read, fork handler in place */
} channel = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* With the lock held. The memory goes too: whoever comes later gets another session. */
static void forget(void)
{
	struct vgpu_session *s = &vgpu_session;

	if (atomic_load(&s->state) == VGPU_SESSION_COLD)
		return;
	vgpu_session_close();
	atomic_store(&s->state, VGPU_SESSION_COLD);
}

/* The child of a fork shares the parent's ring and must not touch it. */
static void fork_child(void)
{
	struct vgpu_session *s = &vgpu_session;

	pthread_mutex_init(&channel.lock, NULL);
	if (atomic_load(&s->state) == VGPU_SESSION_COLD)
		return;
	s->transport.ops->forked(&s->transport);
	munmap(s->base, s->geometry.total_size);
	atomic_store(&s->state, VGPU_SESSION_COLD);
}

static nvmlReturn_t open_locked(void)
{
	struct vgpu_session *s = &vgpu_session;
	CUresult r;

	if (atomic_load(&s->state) == VGPU_SESSION_OPEN)
		return NVML_SUCCESS;
	forget();
	if (!channel.prepared) {
		vgpu_config_read();
		vgpu_config.monitor = true;
		vgpu_config.batch = VGPU_BATCH_DEFAULT;
		if (pthread_atfork(NULL, NULL, fork_child))
			return NVML_ERROR_MEMORY;
		channel.prepared = true;
	}
	r = vgpu_session_open();
	if (r)
		return r == CUDA_ERROR_OUT_OF_MEMORY ? NVML_ERROR_MEMORY : NVML_ERROR_DRIVER_NOT_LOADED;
	vgpu_producer_init(&channel.producer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
	channel.seq = 0;
	atomic_store(&s->state, VGPU_SESSION_OPEN);
	return NVML_SUCCESS;
}

nvmlReturn_t nvml_link_open(void)
{
	nvmlReturn_t r;

	pthread_mutex_lock(&channel.lock);
	r = open_locked();
	pthread_mutex_unlock(&channel.lock);
	return r;
}

void nvml_link_close(void)
{
	pthread_mutex_lock(&channel.lock);
	forget();
	pthread_mutex_unlock(&channel.lock);
}

/* One command at a time: the ring has room, or the monitor has written nonsense into it. */
static bool send(const struct nvml_call *c, uint32_t device)
{
	struct vgpu_session *s = &vgpu_session;
	uint32_t size = (uint32_t)(sizeof(struct vgpu_cmd) + sizeof(struct vgpu_args_nvml_call) + c->asked_size +
				   VGPU_CMD_ALIGN - 1) & ~(VGPU_CMD_ALIGN - 1u);
	struct vgpu_cmd *cmd = vgpu_producer_reserve(&channel.producer, size);
	struct vgpu_args_nvml_call *args;

	if (!cmd)
		return false;
	*cmd = (struct vgpu_cmd){
		.size = size, .op = VGPU_OP_nvml_call, .slot = SLOT, .args_size = sizeof(*args),
		.payload_size = c->asked_size, .seq = ++channel.seq, .thread = (uint32_t)syscall(SYS_gettid),
	};
	args = (struct vgpu_args_nvml_call *)(cmd + 1);
	*args = (struct vgpu_args_nvml_call){ .function = c->function, .device = device, .nulls = c->nulls };
	memcpy(args + 1, c->asked, c->asked_size);
	vgpu_producer_publish(&channel.producer, size);
	atomic_store_explicit(&s->channel->ctl.counters.commands, channel.seq, memory_order_relaxed);
	if (vgpu_producer_must_ring(&channel.producer)) {
		atomic_fetch_add_explicit(&s->channel->ctl.counters.doorbells, 1, memory_order_relaxed);
		s->transport.ops->doorbell(&s->transport);
	}
	return true;
}

/* The monitor's answer in the reply slot, or NULL when the session is over. */
static const struct vgpu_reply_slot *await(void)
{
	struct vgpu_reply_slot *slot = &vgpu_session.channel->replies[SLOT - 1];
	struct vgpu_wait w = VGPU_WAIT_INIT;

	while (atomic_load_explicit(&slot->done, memory_order_acquire) != channel.seq)
		if (vgpu_wait_step(&w) && vgpu_session_check())
			return NULL;
	atomic_fetch_add_explicit(&vgpu_session.channel->ctl.counters.replies, 1, memory_order_relaxed);
	return slot;
}

nvmlReturn_t nvml_link_ask(const struct nvml_call *c, uint32_t device, void *answer, uint32_t *answer_size)
{
	const struct vgpu_reply_slot *slot;
	struct vgpu_ret_nvml_call ret;
	nvmlReturn_t r;
	uint32_t size;

	*answer_size = 0;
	pthread_mutex_lock(&channel.lock);
	r = open_locked();
	slot = !r && send(c, device) ? await() : NULL;
	size = slot ? slot->size : 0;
	if (size >= sizeof(ret) && size - sizeof(ret) <= NVML_ANSWER_MAX && !slot->result) {
		memcpy(&ret, slot->data, sizeof(ret));
		*answer_size = size - (uint32_t)sizeof(ret);
		memcpy(answer, slot->data + sizeof(ret), *answer_size);
		r = (nvmlReturn_t)ret.result;
	} else if (!r) {
		r = NVML_ERROR_UNKNOWN;
	}
	pthread_mutex_unlock(&channel.lock);
	return r;
}

/* In a VM nobody sees this process go: say so. */
__attribute__((destructor)) static void at_exit(void)
{
	struct vgpu_session *s = &vgpu_session;

	if (atomic_load(&s->state) == VGPU_SESSION_OPEN && s->transport.ops->exit)
		s->transport.ops->exit(&s->transport);
}
