/* SPDX-License-Identifier: MIT */
/*
 * What calls cost while much is alive: each operation with 10 and with a million live allocations of device memory, of
 * pinned memory or events, and with 10 and 30,000 streams.  Compared with itself: nothing may cost more with the larger
 * number than what the processor's caches explain.  p50_ns is the figure to compare: on a machine without a core for
 * each of the two processes the mean is the scheduler's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "device.h"

#define BURST	1000	/* calls that fit the ring */
#define BLOCK	512	/* bytes of a live allocation */

/* What is alive, as many as the last argument says. */
static struct {
	CUdeviceptr *memory;
	void **pinned;
	CUevent *events;
	CUstream *streams;
	int64_t memory_count, pinned_count, event_count, stream_count;
} live;

/* What the operations work on; not among the counted. */
static struct {
	const struct device *device;
	CUdeviceptr memory;
	CUstream stream;
	CUevent event;
	char host[64];
} own;

static bool grow_memory(int64_t n)
{
	while (live.memory_count < n)
		if (cuMemAlloc_v2(&live.memory[live.memory_count], BLOCK))
			return false;
		else
			live.memory_count++;
	while (live.memory_count > n)
		if (cuMemFree_v2(live.memory[--live.memory_count]))
			return false;
	return true;
}

static bool grow_pinned(int64_t n)
{
	while (live.pinned_count < n)
		if (cuMemHostAlloc(&live.pinned[live.pinned_count], BLOCK, 0))
			return false;
		else
			live.pinned_count++;
	while (live.pinned_count > n)
		if (cuMemFreeHost(live.pinned[--live.pinned_count]))
			return false;
	return true;
}

static bool grow_events(int64_t n)
{
	while (live.event_count < n)
		if (cuEventCreate(&live.events[live.event_count], CU_EVENT_DISABLE_TIMING))
			return false;
		else
			live.event_count++;
	while (live.event_count > n)
		if (cuEventDestroy_v2(live.events[--live.event_count]))
			return false;
	return !cuCtxSynchronize();
}

static bool grow_streams(int64_t n)
{
	while (live.stream_count < n)
		if (cuStreamCreate(&live.streams[live.stream_count], CU_STREAM_DEFAULT))
			return false;
		else
			live.stream_count++;
	while (live.stream_count > n)
		if (cuStreamDestroy_v2(live.streams[--live.stream_count]))
			return false;
	return !cuCtxSynchronize();
}

static bool open_own(struct gbench *b)
{
	if (own.device)
		return true;
	own.device = device_open(b);
	return own.device && !cuMemAlloc_v2(&own.memory, 4096) && !cuStreamCreate(&own.stream, CU_STREAM_NON_BLOCKING) &&
	       !cuEventCreate(&own.event, CU_EVENT_DISABLE_TIMING);
}

/* ---- operations ---- */

static CUresult launch(void)
{
	return device_launch(own.device, own.device->ten, own.stream);
}

static CUresult launch_default(void)
{
	return device_launch(own.device, own.device->empty, NULL);
}

static CUresult copy_up(void)
{
	return cuMemcpyHtoDAsync_v2(own.memory, own.host, 8, own.stream);
}

static CUresult copy_down(void)
{
	return cuMemcpyDtoH_v2(own.host, own.memory, 8);
}

static CUresult allocate(void)
{
	CUdeviceptr p;

	return cuMemAlloc_v2(&p, 1 << 20) | cuMemFree_v2(p);
}

static CUresult allocate_small(void)
{
	CUdeviceptr p;

	return cuMemAlloc_v2(&p, BLOCK) | cuMemFree_v2(p);
}

static CUresult pin(void)
{
	void *p;

	return cuMemHostAlloc(&p, BLOCK, 0) | cuMemFreeHost(p);
}

/* Of a different allocation each time, where there are many. */
static CUresult look(void)
{
	static uint64_t random = 1;
	unsigned int type;
	CUdeviceptr p = own.memory;

	random = random * 6364136223846793005ull + 1442695040888963407ull;
	if (live.memory_count)
		p = live.memory[(random >> 33) % (uint64_t)live.memory_count];
	return cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 100);
}

static CUresult record(void)
{
	return cuEventRecord(own.event, own.stream);
}

static CUresult query(void)
{
	return cuEventQuery(own.event);
}

static CUresult create_event(void)
{
	CUevent e;

	return cuEventCreate(&e, CU_EVENT_DISABLE_TIMING) | cuEventDestroy_v2(e);
}

static CUresult create_stream(void)
{
	CUstream s;

	return cuStreamCreate(&s, CU_STREAM_NON_BLOCKING) | cuStreamDestroy_v2(s);
}

static const struct operation {
	const char *name;
	CUresult (*call)(void);
	int burst;	/* calls between two looks at the clock; if more than one, it stands while they are executed */
} operations[] = {
	{ "launch", launch, BURST },
	{ "launch_default_stream", launch_default, BURST },
	{ "memcpy_h2d_8", copy_up, BURST },
	{ "memcpy_d2h_8", copy_down, 1 },
	{ "mem_alloc_free_1M", allocate, 1 },
	{ "mem_alloc_free_512", allocate_small, 1 },
	{ "host_alloc_free_512", pin, 1 },
	{ "pointer_attribute", look, 100 },
	{ "event_record", record, BURST },
	{ "event_query", query, BURST },
	{ "event_create_destroy", create_event, BURST / 2 },
	{ "stream_create_destroy", create_stream, BURST / 4 },
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* What there is more and more of. */
static const struct kind {
	const char *name;
	bool (*grow)(int64_t n);
	int64_t most;
} kinds[] = {
	{ "allocations", grow_memory, 1000000 },
	{ "pinned", grow_pinned, 1000000 },
	{ "events", grow_events, 1000000 },
	{ "streams", grow_streams, 30000 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* n of that kind and none of the others. */
static bool populate(const struct kind *kind, int64_t n)
{
	for (size_t i = 0; i < KINDS; i++)
		if (&kinds[i] != kind && !kinds[i].grow(0))
			return false;
	return kind->grow(n);
}

struct measurement {
	const struct kind *kind;
	const struct operation *operation;
};

static void measure(struct gbench *b)
{
	const struct measurement *m = gbench_data(b);
	int burst = m->operation->burst;
	uint64_t start;
	CUresult r = CUDA_SUCCESS;

	if (!open_own(b) || !populate(m->kind, gbench_argument(b))) {
		gbench_fail(b, "no device, or not so much of it");
		return;
	}
	while (gbench_next_batch(b, burst)) {
		start = gbench_clock();
		for (int i = 0; i < burst; i++)
			r |= m->operation->call();
		gbench_sample(b, (gbench_clock() - start) / (uint64_t)burst);
		if (m->operation->burst == 1)
			continue;
		gbench_pause(b);
		r |= cuCtxSynchronize();
		gbench_resume(b);
	}
	if (r)
		gbench_fail(b, "a call failed");
}

static bool take_memory(void)
{
	live.memory = calloc((size_t)kinds[0].most, sizeof(*live.memory));
	live.pinned = calloc((size_t)kinds[1].most, sizeof(*live.pinned));
	live.events = calloc((size_t)kinds[2].most, sizeof(*live.events));
	live.streams = calloc((size_t)kinds[3].most, sizeof(*live.streams));
	return live.memory && live.pinned && live.events && live.streams;
}

static void add(const struct measurement *m, int64_t n)
{
	char name[64];

	snprintf(name, sizeof(name), "growth/%s", m->operation->name);
	gbench_add_case(name, measure, &(struct gbench_case){ .args = { { m->kind->name, n } }, .data = m });
}

int main(int argc, char **argv)
{
	static struct measurement all[KINDS][OPERATIONS];

	if (!take_memory())
		return 1;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < 2 * OPERATIONS; i++) {
			struct measurement *m = &all[k][i % OPERATIONS];

			*m = (struct measurement){ &kinds[k], &operations[i % OPERATIONS] };
			add(m, i < OPERATIONS ? 10 : kinds[k].most);
		}
	return gbench_main(argc, argv);
}
