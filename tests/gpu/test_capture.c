/* SPDX-License-Identifier: MIT */
/* Stream capture: what becomes a node, streams that join, what a capture forbids, and its errors. */
#include <pthread.h>

#include "gpu_test.h"

#define BYTES 1024

struct fixture {
	CUdeviceptr a, b;
	uint8_t *host;	/* pinned */
	CUstream s, t;
	CUevent e, f;
};

static struct fixture fx;

static int setup(void **state)
{
	if (gpu_setup(state))
		return -1;
	ok(cuMemAlloc(&fx.a, BYTES));
	ok(cuMemAlloc(&fx.b, BYTES));
	ok(cuMemAllocHost((void **)&fx.host, BYTES));
	ok(cuStreamCreate(&fx.s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&fx.t, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&fx.e, CU_EVENT_DISABLE_TIMING));
	ok(cuEventCreate(&fx.f, CU_EVENT_DISABLE_TIMING));
	return 0;
}

static int teardown(void **state)
{
	ok(cuEventDestroy(fx.e));
	ok(cuEventDestroy(fx.f));
	ok(cuStreamDestroy(fx.s));
	ok(cuStreamDestroy(fx.t));
	ok(cuMemFreeHost(fx.host));
	ok(cuMemFree(fx.a));
	ok(cuMemFree(fx.b));
	return gpu_teardown(state);
}

static void all_are(const uint8_t *p, uint8_t value)
{
	for (int i = 0; i < BYTES; i++)
		assert_int_equal(p[i], value);
}

static CUstreamCaptureStatus status_of(CUstream s)
{
	CUstreamCaptureStatus status = (CUstreamCaptureStatus)77;

	ok(cuStreamIsCapturing(s, &status));
	return status;
}

static CUgraphExec finish(CUgraph *graph)
{
	CUgraphExec exec;

	ok(cuStreamEndCapture(fx.s, graph));
	ok(cuGraphInstantiate(&exec, *graph, 0));
	return exec;
}

static void end(CUgraphExec exec, CUgraph g)
{
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
}

static void CUDA_CB count(void *data)
{
	++*(volatile int *)data;
}

/* All three modes: nothing runs while it is captured, everything at each launch. */
static void replay(void **state)
{
	volatile int calls;

	(void)state;
	for (int mode = CU_STREAM_CAPTURE_MODE_GLOBAL; mode <= CU_STREAM_CAPTURE_MODE_RELAXED; mode++) {
		CUgraphExec exec;
		CUgraph g;
		size_t n = 0;

		calls = 0;
		memset(fx.host, 0x11, BYTES);
		assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_NONE);
		ok(cuStreamBeginCapture(fx.s, (CUstreamCaptureMode)mode));
		assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_ACTIVE);
		ok(cuMemsetD8Async(fx.a, 0x5a, BYTES, fx.s));
		ok(cuMemcpyDtoDAsync(fx.b, fx.a, BYTES, fx.s));
		ok(cuMemcpyDtoHAsync(fx.host, fx.b, BYTES, fx.s));
		ok(cuLaunchHostFunc(fx.s, count, (void *)&calls));
		exec = finish(&g);
		assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_NONE);
		ok(cuGraphGetNodes(g, NULL, &n));
		assert_int_equal(n, 4);
		ok(cuStreamSynchronize(fx.s));
		all_are(fx.host, 0x11);
		assert_int_equal(calls, 0);
		for (int i = 1; i <= 10; i++) {
			memset(fx.host, 0, BYTES);
			ok(cuGraphLaunch(exec, fx.s));
			ok(cuStreamSynchronize(fx.s));
			all_are(fx.host, 0x5a);
			assert_int_equal(calls, i);
		}
		end(exec, g);
	}
}

/* A captured fill is a node, whatever its address is: cuDNN captures fills of addresses that it makes up. */
static void fill_of_nothing(void **state)
{
	CUdeviceptr nothing = fx.a;
	CUgraph g;
	size_t n = 0;

	(void)state;
	ok(cuMemFree(fx.a));
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemsetD8Async(nothing, 1, BYTES, fx.s));
	ok(cuStreamEndCapture(fx.s, &g));
	ok(cuGraphGetNodes(g, NULL, &n));
	assert_int_equal(n, 1);
	ok(cuGraphDestroy(g));
	ok(cuMemAlloc(&fx.a, BYTES));
}

/* Copies of pageable memory look at that memory when the graph runs. */
static void pageable(void **state)
{
	uint8_t *in = malloc(BYTES), *out = malloc(BYTES);
	CUgraphExec exec;
	CUgraph g;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemcpyHtoDAsync(fx.a, in, BYTES, fx.s));
	ok(cuMemcpyDtoDAsync(fx.b, fx.a, BYTES, fx.s));
	ok(cuMemcpyDtoHAsync(out, fx.b, BYTES, fx.s));
	exec = finish(&g);
	for (int i = 1; i < 6; i++) {
		memset(in, i, BYTES);
		memset(out, 0xff, BYTES);
		ok(cuGraphLaunch(exec, fx.s));
		ok(cuStreamSynchronize(fx.s));
		all_are(out, (uint8_t)i);
	}
	end(exec, g);
	free(in);
	free(out);
}

static void fork_and_join(void **state)
{
	const CUgraphNode *nodes;
	CUstreamCaptureStatus status;
	const CUgraphEdgeData *edges;
	cuuint64_t id = 0, id2 = 0;
	CUgraphExec exec;
	CUgraph g, seen;
	size_t n = 0;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuMemsetD8Async(fx.a, 1, BYTES, fx.s));
	ok(cuEventRecord(fx.e, fx.s));
	ok(cuStreamWaitEvent(fx.t, fx.e, 0));
	assert_int_equal(status_of(fx.t), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	ok(cuMemcpyDtoDAsync(fx.b, fx.a, BYTES, fx.t));
	ok(cuMemsetD8Async(fx.a, 2, BYTES / 2, fx.s));
	ok(cuEventRecord(fx.f, fx.t));
	ok(cuStreamWaitEvent(fx.s, fx.f, 0));
	ok(cuStreamGetCaptureInfo(fx.s, &status, &id, &seen, &nodes, &edges, &n));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	assert_int_equal(n, 2);
	ok(cuStreamGetCaptureInfo(fx.t, &status, &id2, NULL, NULL, NULL, NULL));
	assert_true(id == id2);
	ok(cuMemcpyDtoHAsync(fx.host, fx.b, BYTES, fx.s));
	exec = finish(&g);
	assert_ptr_equal(g, seen);
	assert_int_equal(status_of(fx.t), CU_STREAM_CAPTURE_STATUS_NONE);
	memset(fx.host, 0, BYTES);
	ok(cuGraphLaunch(exec, fx.t));
	ok(cuStreamSynchronize(fx.t));
	all_are(fx.host, 1);
	end(exec, g);
}

static void unjoined(void **state)
{
	CUgraph g = (CUgraph)8;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuMemsetD8Async(fx.a, 1, BYTES, fx.s));
	ok(cuEventRecord(fx.e, fx.s));
	ok(cuStreamWaitEvent(fx.t, fx.e, 0));
	ok(cuMemsetD8Async(fx.b, 1, BYTES, fx.t));
	expect(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(fx.s, &g));
	assert_null(g);
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_NONE);
	assert_int_equal(status_of(fx.t), CU_STREAM_CAPTURE_STATUS_NONE);
}

static void merged(void **state)
{
	CUgraph g;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuStreamBeginCapture(fx.t, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemsetD8Async(fx.a, 1, BYTES, fx.s));
	ok(cuEventRecord(fx.e, fx.s));
	expect(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(fx.t, fx.e, 0));
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.t, &g));
	assert_null(g);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
}

/* What may not be done with what is captured ends the capture. */
static void forbidden(void **state)
{
	CUgraph g = NULL;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(fx.s));
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuEventRecord(fx.e, fx.s));
	expect(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(fx.e));
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	ok(cuEventRecord(fx.e, fx.s));
	ok(cuEventSynchronize(fx.e));
	/* An event from outside may not be waited for. */
	ok(cuEventRecord(fx.f, fx.t));
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(fx.s, fx.f, 0));
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(fx.s, &g));
}

/* Streams that were forked and joined again may go while the capture goes on. */
static void gone_while_capturing(void **state)
{
	CUstream streams[2];
	CUgraphExec exec;
	CUevent e;
	CUgraph g;

	(void)state;
	memset(fx.host, 0, BYTES);
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuEventRecord(fx.e, fx.s));
	for (int i = 0; i < 2; i++) {
		ok(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
		ok(cuStreamWaitEvent(streams[i], fx.e, 0));
		ok(cuMemsetD8Async(i ? fx.b : fx.a, (unsigned char)(7 + i), BYTES, streams[i]));
	}
	for (int i = 0; i < 2; i++) {
		ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
		ok(cuEventRecord(e, streams[i]));
		ok(cuStreamWaitEvent(fx.s, e, 0));
		ok(cuEventDestroy(e));
		ok(cuStreamDestroy(streams[i]));
		assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	}
	ok(cuMemcpyDtoHAsync(fx.host, fx.b, BYTES, fx.s));
	exec = finish(&g);
	ok(cuGraphLaunch(exec, fx.s));
	ok(cuStreamSynchronize(fx.s));
	all_are(fx.host, 8);
	end(exec, g);
}

/* The default stream would wait for a captured blocking stream. */
static void legacy(void **state)
{
	CUstreamCaptureStatus status;
	CUstream blocking;
	CUgraph g;

	(void)state;
	ok(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	ok(cuStreamBeginCapture(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuStreamIsCapturing(NULL, &status));
	assert_int_equal(status_of(blocking), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	expect(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD8Async(fx.a, 0, BYTES, NULL));
	assert_int_equal(status_of(blocking), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &g));
	ok(cuMemsetD8Async(fx.a, 0, BYTES, NULL));
	ok(cuStreamDestroy(blocking));
}

struct other_thread {
	CUstreamCaptureMode mode;	/* of that thread */
	int ends;
	CUresult alloc, end;
};

static void *in_other_thread(void *data)
{
	struct other_thread *o = data;
	CUdeviceptr p;
	CUgraph g;

	cuCtxSetCurrent(gpu_context());
	cuThreadExchangeStreamCaptureMode(&o->mode);
	o->alloc = cuMemAlloc(&p, 64);
	if (!o->alloc)
		cuMemFree(p);
	if (o->ends)
		o->end = cuStreamEndCapture(fx.s, &g);
	return NULL;
}

static struct other_thread elsewhere(CUstreamCaptureMode mode, int ends)
{
	struct other_thread o = { .mode = mode, .ends = ends };
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, in_other_thread, &o), 0);
	pthread_join(t, NULL);
	return o;
}

static void modes(void **state)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	struct other_thread o;
	CUdeviceptr p;
	CUgraph g;

	(void)state;
	/* Global: other threads may not allocate, unless they have said that they know. */
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	assert_int_equal(elsewhere(CU_STREAM_CAPTURE_MODE_RELAXED, 0).alloc, CUDA_SUCCESS);
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	assert_int_equal(elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL, 0).alloc, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	/* A thread that may not end it does, but gets no graph. */
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	o = elsewhere(CU_STREAM_CAPTURE_MODE_RELAXED, 1);
	assert_int_equal(o.end, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_NONE);
	expect(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(fx.s, &g));
	/* Thread local: others may, this one may not. */
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	assert_int_equal(elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL, 0).alloc, CUDA_SUCCESS);
	ok(cuThreadExchangeStreamCaptureMode(&mode));
	assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
	ok(cuMemAlloc(&p, 64));
	ok(cuThreadExchangeStreamCaptureMode(&mode));
	assert_int_equal(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
	expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc(&p, 64));
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	/* Relaxed: anything goes, and any thread may end it. */
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemAlloc(&p, 64));
	o = elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL, 1);
	assert_int_equal(o.alloc, CUDA_SUCCESS);
	assert_int_equal(o.end, CUDA_SUCCESS);
}

/* What other streams are asked, or allocated, beside a capture of this thread: the same rule for all of it. */
static void unsafe(void **state)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location.type = CU_MEM_LOCATION_TYPE_DEVICE };
	CUstreamCaptureMode modes[] = { CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL };
	CUmemoryPool pool;
	CUdeviceptr p;
	void *host;
	CUgraph g;

	(void)state;
	ok(cuEventRecord(fx.e, fx.t));
	ok(cuStreamSynchronize(fx.t));
	for (int mode = 0; mode < 2; mode++)
		for (int what = 0; what < 7; what++) {
			CUresult r = CUDA_SUCCESS;

			ok(cuStreamBeginCapture(fx.s, modes[mode]));
			switch (what) {
			case 0: r = cuStreamQuery(fx.t); break;
			case 1: r = cuStreamSynchronize(fx.t); break;
			case 2: r = cuEventSynchronize(fx.e); break;
			case 3: r = cuMemAllocHost(&host, BYTES); break;
			case 4: r = cuMemAllocManaged(&p, BYTES, CU_MEM_ATTACH_GLOBAL); break;
			case 5: r = cuMemAllocAsync(&p, BYTES, fx.t); break;
			case 6: r = cuMemPoolCreate(&pool, &props); break;
			}
			expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, r);
			expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
		}
	/* Copies that wait are none of it, in streams that the captured one has nothing to do with. */
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuMemcpyDtoH(fx.host, fx.a, BYTES));
	ok(cuMemsetD8(fx.a, 0, BYTES));
	ok(cuStreamEndCapture(fx.s, &g));
	ok(cuGraphDestroy(g));
}

/* Things that may neither be made, set, asked nor given back beside such a capture. */
struct beside {
	CUmemoryPool pool;
	CUarray array;
	CUmipmappedArray mipmap;
	CUlibrary library;
	void *pinned;
};

static CUresult do_beside(const struct beside *b, int what)
{
	CUmemAccessDesc access = { .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu_device() },
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 16, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	CUDA_RESOURCE_DESC resource = { .resType = CU_RESOURCE_TYPE_ARRAY, .res.array.hArray = b->array };
	CUDA_TEXTURE_DESC texture = { .flags = CU_TRSF_NORMALIZED_COORDINATES };
	CUmipmappedArray mipmap;
	CUmemAccess_flags flags;
	CUtexObject object;
	cuuint64_t value = 0;
	unsigned on = 1;

	switch (what) {
	case 0: return cuMemFreeHost(b->pinned);
	case 1: return cuArrayDestroy(b->array);
	case 2: return cuMipmappedArrayCreate(&mipmap, &desc, 1);
	case 3: return cuMipmappedArrayDestroy(b->mipmap);
	case 4: return cuTexObjectCreate(&object, &resource, &texture, NULL);
	case 5: return cuMemPoolTrimTo(b->pool, 0);
	case 6: return cuMemPoolSetAttribute(b->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value);
	case 7: return cuMemPoolGetAttribute(b->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value);
	case 8: return cuMemPoolSetAccess(b->pool, &access, 1);
	case 9: return cuMemPoolGetAccess(&flags, b->pool, &access.location);
	case 10: return cuMemPoolDestroy(b->pool);
	case 11: return cuDeviceSetMemPool(gpu_device(), b->pool);
	case 12: return cuLibraryUnload(b->library);
	case 13: return cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_NONE);
	default: return cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, fx.a);
	}
}

/* Each ends the capture and does nothing else. */
static void unsafe_objects(void **state)
{
	CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				 .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu_device() } };
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = 16, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 };
	char *ptx = gpu_ptx("texture.ptx");
	struct beside b;
	CUgraph g;

	(void)state;
	ok(cuMemPoolCreate(&b.pool, &props));
	ok(cuArray3DCreate(&b.array, &desc));
	ok(cuMipmappedArrayCreate(&b.mipmap, &desc, 1));
	ok(cuLibraryLoadData(&b.library, ptx, NULL, NULL, 0, NULL, NULL, 0));
	ok(cuMemAllocHost(&b.pinned, BYTES));
	for (int what = 0; what <= 14; what++) {
		ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
		expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, do_beside(&b, what));
		expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	}
	ok(cuMemFreeHost(b.pinned));
	ok(cuLibraryUnload(b.library));
	ok(cuMipmappedArrayDestroy(b.mipmap));
	ok(cuArrayDestroy(b.array));
	ok(cuMemPoolDestroy(b.pool));
	free(ptx);
}

/* A capture may go on in a graph that is there, and its front may be moved. */
static void to_graph(void **state)
{
	CUgraphNode first, extra;
	const CUgraphNode *nodes;
	CUstreamCaptureStatus status;
	CUgraphExec exec;
	CUgraph g, same;
	size_t n;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEmptyNode(&first, g, NULL, 0));
	ok(cuStreamBeginCaptureToGraph(fx.s, g, &first, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemsetD8Async(fx.a, 9, BYTES, fx.s));
	ok(cuStreamGetCaptureInfo(fx.s, &status, NULL, &same, &nodes, NULL, &n));
	assert_ptr_equal(same, g);
	assert_int_equal(n, 1);
	ok(cuGraphAddEmptyNode(&extra, g, nodes, 1));
	ok(cuStreamUpdateCaptureDependencies(fx.s, &extra, NULL, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	ok(cuMemcpyDtoHAsync(fx.host, fx.a, BYTES, fx.s));
	ok(cuStreamEndCapture(fx.s, &same));
	assert_ptr_equal(same, g);
	ok(cuGraphGetNodes(g, NULL, &n));
	assert_int_equal(n, 4);
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphLaunch(exec, fx.s));
	ok(cuStreamSynchronize(fx.s));
	all_are(fx.host, 9);
	end(exec, g);
}

/* Memory in stream order; and no graph is launched inside a capture. */
static void nested(void **state)
{
	CUgraphExec inner;
	CUgraph g, h;
	CUdeviceptr p;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	ok(cuMemAllocAsync(&p, BYTES, fx.s));
	ok(cuMemsetD8Async(p, 4, BYTES, fx.s));
	ok(cuMemcpyDtoDAsync(fx.a, p, BYTES, fx.s));
	ok(cuMemFreeAsync(p, fx.s));
	inner = finish(&g);
	ok(cuGraphLaunch(inner, fx.s));
	ok(cuMemcpyDtoHAsync(fx.host, fx.a, BYTES, fx.s));
	ok(cuStreamSynchronize(fx.s));
	all_are(fx.host, 4);
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuGraphLaunch(inner, fx.s));
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &h));
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	expect(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuGraphUpload(inner, fx.s));
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &h));
	end(inner, g);
}

static void ended_by(CUresult r)
{
	CUgraph g;

	assert_int_equal(r, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	expect(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(fx.s, &g));
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
}

/* Some questions about a captured stream end its capture, others do not; nor does memory that it may not free. */
static void asked(void **state)
{
	unsigned long long id;
	unsigned int flags;
	CUdevice device;
	CUcontext ctx;
	int priority;
	CUgraph g;

	(void)state;
	ok(cuStreamBeginCapture(fx.s, CU_STREAM_CAPTURE_MODE_RELAXED));
	ended_by(cuStreamGetFlags(fx.s, &flags));
	ended_by(cuStreamGetId(fx.s, &id));
	ended_by(cuStreamGetDevice(fx.s, &device));
	ok(cuStreamGetPriority(fx.s, &priority));
	ok(cuStreamGetCtx(fx.s, &ctx));
	expect(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(fx.a, fx.s));
	assert_int_equal(status_of(fx.s), CU_STREAM_CAPTURE_STATUS_ACTIVE);
	ok(cuStreamEndCapture(fx.s, &g));
	ok(cuGraphDestroy(g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay),
		cmocka_unit_test(fill_of_nothing),
		cmocka_unit_test(pageable),
		cmocka_unit_test(fork_and_join),
		cmocka_unit_test(unjoined),
		cmocka_unit_test(gone_while_capturing),
		cmocka_unit_test(merged),
		cmocka_unit_test(forbidden),
		cmocka_unit_test(legacy),
		cmocka_unit_test(modes),
		cmocka_unit_test(unsafe),
		cmocka_unit_test(unsafe_objects),
		cmocka_unit_test(to_graph),
		cmocka_unit_test(nested),
		cmocka_unit_test(asked),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("capture", tests, setup, teardown);
}
