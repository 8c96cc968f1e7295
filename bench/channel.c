/* SPDX-License-Identifier: MIT */
/*
 * The shim's end of the ring with its lock, from one to eight threads, while a child process only takes.  Compared with
 * bench_ring, the same ring without the shim.
 */
#include "consumer.h"
#include "gbench.h"
#include "shim/call.h"
#include "shim/channel.h"

static struct consumer consumer;

static void doorbell(struct vgpu_transport *t)
{
	(void)t;
}

static bool alive(struct vgpu_transport *t)
{
	(void)t;
	return true;
}

static const struct vgpu_transport_ops ops = { .name = "bench", .doorbell = doorbell, .alive = alive };

/* A session that is open, as far as channel.c looks. */
static bool open_session(struct gbench *b)
{
	struct vgpu_session *s = &vgpu_session;

	if (!consumer_start(&consumer)) {
		gbench_fail(b, "no memory or no process");
		return false;
	}
	s->geometry = consumer.geometry;
	s->base = consumer.memory;
	s->channel = vgpu_shm_channel(consumer.memory, &consumer.geometry, 0);
	s->transport.ops = &ops;
	atomic_store(&s->channel->ctl.host_state, VGPU_HOST_READY);
	if (vgpu_channel_init(1, 0))
		return false;
	atomic_store(&s->state, VGPU_SESSION_OPEN);
	return true;
}

static CUresult submit(uint16_t op, uint32_t payload)
{
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, op, 0, payload, VGPU_CALL_FILLED);

	if (r)
		return r;
	memset(c.payload, 0, payload);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

static bool close_session(void)
{
	bool ok = !submit(CONSUMER_END, 0);

	atomic_store(&vgpu_session.state, VGPU_SESSION_COLD);
	return consumer_wait(&consumer) && ok;
}

static void submits(struct gbench *b)
{
	uint32_t payload = (uint32_t)gbench_argument(b) - sizeof(struct vgpu_cmd);
	CUresult r = CUDA_SUCCESS;

	if (!gbench_thread(b) && !open_session(b))
		return;
	while (gbench_next(b))
		r |= submit(1, payload);
	gbench_items(b, gbench_iterations(b));
	gbench_bytes(b, gbench_iterations(b) * gbench_argument(b));
	if (r)
		gbench_fail(b, "a command was refused");
	/* All threads have passed the last gbench_next() together. */
	if (!gbench_thread(b) && !close_session())
		gbench_fail(b, "the consumer saw a damaged ring");
}

int main(int argc, char **argv)
{
	static const int64_t sizes[] = { 64, 128, 4096, 65536 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int threads = 1; threads <= 8; threads *= 2)
			gbench_add_case("channel/submit", submits, &(struct gbench_case){
				.args = { { "bytes", sizes[i] } }, .threads = threads });
	return gbench_main(argc, argv);
}
