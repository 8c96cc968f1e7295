/* SPDX-License-Identifier: MIT */
/*
 * What calls cost their caller through libcuda.so.1 (the shim's with LD_LIBRARY_PATH set to it, else the native one):
 * a launch with ten parameters, recording and asking events, synchronising an idle stream.  Commands are sent in bursts
 * that fit the ring, and the clock stands while they are executed.
 */
#include <stdlib.h>

#include <gen/cuda_api.h>

#include "gbench.h"

#define BURST		1000
#define PARAMETERS	10

static const char ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry ten(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 d, .param .u32 e,\n"
	"	.param .u64 f, .param .u64 g, .param .u32 h, .param .u32 i, .param .u64 j)\n"
	"{\n	ret;\n}\n";

static CUfunction function;
static CUstream stream;
static CUevent event;

static bool prepare(struct gbench *b)
{
	static CUcontext ctx;
	CUmodule module;

	if (ctx)
		return true;
	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx) ||
	    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) ||
	    cuModuleLoadData(&module, ptx) || cuModuleGetFunction(&function, module, "ten")) {
		gbench_fail(b, "no device");
		return false;
	}
	return true;
}

static CUresult launch_one(void)
{
	unsigned long long values[PARAMETERS] = { 0 };
	void *params[PARAMETERS];

	for (int i = 0; i < PARAMETERS; i++)
		params[i] = &values[i];
	return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

static void caller(struct gbench *b, CUresult (*call)(void))
{
	CUresult r = CUDA_SUCCESS;

	if (!prepare(b))
		return;
	while (gbench_next_batch(b, BURST)) {
		for (int i = 0; i < BURST; i++)
			r |= call();
		gbench_pause(b);
		r |= cuStreamSynchronize(stream);
		gbench_resume(b);
	}
	if (r)
		gbench_fail(b, "a call failed");
}

static void launch(struct gbench *b)
{
	caller(b, launch_one);
}

static CUresult record_one(void)
{
	return cuEventRecord(event, stream);
}

static void record(struct gbench *b)
{
	caller(b, record_one);
}

static CUresult query_one(void)
{
	return cuEventQuery(event);
}

static void query(struct gbench *b)
{
	caller(b, query_one);
}

static CUresult idle_one(void)
{
	return cuStreamSynchronize(stream);
}

static void idle(struct gbench *b)
{
	caller(b, idle_one);
}

static void launch_and_wait(struct gbench *b)
{
	CUresult r = CUDA_SUCCESS;

	if (!prepare(b))
		return;
	while (gbench_next(b))
		r |= launch_one() | cuStreamSynchronize(stream);
	if (r)
		gbench_fail(b, "a call failed");
}

static void allocate(struct gbench *b)
{
	CUdeviceptr p;

	if (!prepare(b))
		return;
	while (gbench_next(b))
		if (cuMemAlloc_v2(&p, 1 << 20) || cuMemFree_v2(p))
			gbench_fail(b, "no memory");
}

static void pin(struct gbench *b)
{
	void *p;

	if (!prepare(b))
		return;
	while (gbench_next(b))
		if (cuMemHostAlloc(&p, (size_t)gbench_argument(b), 0) || cuMemFreeHost(p))
			gbench_fail(b, "no memory");
}

static void fetch(struct gbench *b)
{
	static char host[64 << 10];
	CUdeviceptr p;

	if (!prepare(b) || cuMemAlloc_v2(&p, sizeof(host)))
		return;
	while (gbench_next(b))
		if (cuMemcpyDtoH_v2(host, p, (size_t)gbench_argument(b)))
			gbench_fail(b, "the copy failed");
	cuMemFree_v2(p);
}

int main(int argc, char **argv)
{
	gbench_add("launch/caller", launch, 0);
	gbench_add("launch/event_record", record, 0);
	gbench_add("launch/event_query", query, 0);
	gbench_add("launch/idle_stream_synchronize", idle, 0);
	gbench_add("launch/launch_and_synchronize", launch_and_wait, 0);
	gbench_add("launch/alloc_free_1M", allocate, 0);
	gbench_add("launch/host_alloc_free", pin, 4096);
	gbench_add("launch/host_alloc_free", pin, 16 << 20);
	gbench_add("launch/d2h_sync", fetch, 8);
	gbench_add("launch/d2h_sync", fetch, 64 << 10);
	return gbench_main(argc, argv);
}
