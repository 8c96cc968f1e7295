/* SPDX-License-Identifier: MIT */
/*
 * What a worker does to a command besides calling the driver: take it out of the ring, check it, find its handles, call
 * and count.  The driver here does nothing, producer and worker are one thread, and the ring is filled while the clock
 * stands.  Compared with the driver's own time for a launch, 3.3 us on an H100 (bench_driver).
 */
#include <string.h>
#include <sys/mman.h>

#include <gen/driver_table.h>
#include <gen/wire.h>

#include "gbench.h"
#include "session.h"

#define BURST	100	/* of the largest commands: fits the ring */
#define FENCE	7

#define FUNCTION vgpu_handle_make(VGPU_HANDLE_FUNCTION, 1, 1)
#define STREAM	 vgpu_handle_make(VGPU_HANDLE_STREAM, 1, VGPU_STREAM_INDEX_FIRST)
#define EVENT	 vgpu_handle_make(VGPU_HANDLE_EVENT, 1, 1)

/* ---- a driver that does nothing ---- */

static CUresult null_launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
			    unsigned int by, unsigned int bz, unsigned int shared, CUstream s, void **params, void **extra)
{
	(void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)s, (void)params;
	__asm__ volatile("" : : "r"(extra) : "memory");
	return CUDA_SUCCESS;
}

static CUresult null_record(CUevent e, CUstream s)
{
	(void)e, (void)s;
	return CUDA_SUCCESS;
}

/* Done at once. */
static CUresult null_write(CUstream s, CUdeviceptr at, cuuint64_t value, unsigned int flags)
{
	(void)s, (void)flags;
	atomic_store_explicit((_Atomic uint64_t *)(uintptr_t)at, value, memory_order_release);
	return CUDA_SUCCESS;
}

static const struct vgpu_driver null_driver = {
	.cuLaunchKernel = null_launch, .cuEventRecord = null_record, .cuStreamWriteValue64_v2 = null_write,
};

/* ---- a session without a guest ---- */

static struct vgpu_session *session;
static struct vgpu_producer producer;
static uint64_t seq;

static bool open_session(void)
{
	static struct vgpu_device device = { .drv = &null_driver };
	static struct vgpu_worker_stats stats;
	struct vgpu_session *s = session;

	if (s)
		return true;
	s = vgpu_session_new(&device, &stats);
	if (!s || vgpu_shm_geometry(&s->geo, VGPU_SHM_MIN_SIZE, 1))
		return false;
	s->base = mmap(NULL, VGPU_SHM_MIN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->base == MAP_FAILED)
		return false;
	vgpu_shm_format(s->base, &s->geo, 0);
	s->channel = vgpu_shm_channel(s->base, &s->geo, 0);
	vgpu_consumer_init(&s->consumer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
	vgpu_producer_init(&producer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
	if (vgpu_session_bind(s, VGPU_HANDLE_FUNCTION, FUNCTION, s) || vgpu_session_bind(s, VGPU_HANDLE_STREAM, STREAM, s) ||
	    vgpu_session_bind(s, VGPU_HANDLE_EVENT, EVENT, s))
		return false;
	session = s;
	return true;
}

static bool put(uint16_t op, const void *args, uint32_t args_size, uint32_t payload)
{
	uint32_t size = (uint32_t)(sizeof(struct vgpu_cmd) + args_size + payload + VGPU_CMD_ALIGN - 1) & ~(VGPU_CMD_ALIGN - 1);
	struct vgpu_cmd *cmd = vgpu_producer_reserve(&producer, size);

	if (!cmd)
		return false;
	*cmd = (struct vgpu_cmd){ .size = size, .op = op, .args_size = args_size, .payload_size = payload, .seq = ++seq };
	if (args_size)
		memcpy(cmd + 1, args, args_size);
	memset((uint8_t *)(cmd + 1) + args_size, 1, payload);
	vgpu_producer_publish(&producer, size);
	return true;
}

/* ---- commands ---- */

static bool put_noop(uint32_t bytes)
{
	(void)bytes;
	return put(VGPU_OP_noop, NULL, 0, 0);
}

static bool put_launch(uint32_t bytes)
{
	const struct vgpu_args_launch a = { .function = FUNCTION, .stream = STREAM, .grid = { 1, 1, 1 },
					    .block = { 32, 1, 1 }, .param_bytes = bytes };

	return put(VGPU_OP_launch, &a, sizeof(a), bytes);
}

static bool put_record(uint32_t bytes)
{
	const struct vgpu_args_event_record a = { .event = EVENT, .stream = STREAM, .fence = FENCE, .value = seq + 1 };

	(void)bytes;
	return put(VGPU_OP_event_record, &a, sizeof(a), 0);
}

static const struct command {
	const char *name;
	bool (*put)(uint32_t bytes);
} commands[] = {
	{ "worker/noop", put_noop },
	{ "worker/event_record", put_record },
	{ "worker/launch", put_launch },
};

static bool execute(int count)
{
	bool ok = true;

	for (int i = 0; i < count && ok; i++)
		ok = vgpu_consumer_take(&session->consumer, session->command) > 0 && !vgpu_request_execute(session);
	return ok;
}

static void measure(struct gbench *b)
{
	const struct command *c = gbench_data(b);
	uint64_t start;
	bool ok = open_session();

	while (gbench_next_batch(b, BURST)) {
		gbench_pause(b);
		for (int i = 0; i < BURST && ok; i++)
			ok = c->put((uint32_t)gbench_argument(b));
		gbench_resume(b);
		start = gbench_clock();
		ok = ok && execute(BURST);
		gbench_sample(b, (gbench_clock() - start) / BURST);
		/* Gives the space back. */
		vgpu_consumer_release(&session->consumer);
	}
	if (!ok || atomic_load(&session->stats->errors))
		gbench_fail(b, "a command was refused");
	gbench_items(b, gbench_iterations(b));
}

int main(int argc, char **argv)
{
	static const int64_t sizes[] = { 8, 80, 4096 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		gbench_add_case("worker/launch", measure, &(struct gbench_case){ .args = { { "bytes", sizes[i] } },
										 .data = &commands[2] });
	for (size_t i = 0; i < 2; i++)
		gbench_add_case(commands[i].name, measure, &(struct gbench_case){ .args = { { "bytes", 0 } },
										  .data = &commands[i] });
	return gbench_main(argc, argv);
}
