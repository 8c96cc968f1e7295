/* SPDX-License-Identifier: MIT */
/* Nodes whose parameters change, in graphs and in executables; copies of boxes and arrays; batches; attributes. */
#include "gpu_test.h"

#define W 64	/* bytes of a row */
#define H 8
#define D 4
#define N 256

static CUstream s;
static CUdeviceptr device;	/* 64 KiB */
static uint8_t *pinned;		/* as much */

static int setup(void **state)
{
	if (gpu_setup(state))
		return -1;
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuMemAlloc(&device, 64 << 10));
	ok(cuMemAllocHost((void **)&pinned, 64 << 10));
	return 0;
}

static int teardown(void **state)
{
	ok(cuMemFreeHost(pinned));
	ok(cuMemFree(device));
	ok(cuStreamDestroy(s));
	return gpu_teardown(state);
}

static void run(CUgraphExec exec)
{
	ok(cuGraphLaunch(exec, s));
	ok(cuStreamSynchronize(s));
}

/* Instantiate, launch once, and give up. */
static void run_graph(CUgraph g)
{
	CUgraphExec exec;

	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
}

static void batches(void **state)
{
	CUstreamBatchMemOpParams op[2] = { 0 };
	CUDA_BATCH_MEM_OP_NODE_PARAMS b = { .ctx = gpu_context(), .count = 2, .paramArray = op }, got = { 0 };
	CUgraphNodeType type;
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	op[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = device;
	op[0].writeValue.value = 5;
	op[1] = op[0];
	op[1].writeValue.address = device + 4;
	op[1].writeValue.value = 6;
	ok(cuMemsetD8(device, 0, 8));
	ok(cuCtxSynchronize());	/* the graph runs in a stream that does not wait for that one */
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddBatchMemOpNode(&n, g, NULL, 0, &b));
	ok(cuGraphNodeGetType(n, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
	ok(cuGraphBatchMemOpNodeGetParams(n, &got));
	assert_int_equal(got.count, 2);
	assert_int_equal(got.paramArray[1].writeValue.value, 6);
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	assert_int_equal(gpu_word(device), 5);
	assert_int_equal(gpu_word(device + 4), 6);
	op[1].writeValue.value = 7;
	ok(cuGraphExecBatchMemOpNodeSetParams(exec, n, &b));
	run(exec);
	assert_int_equal(gpu_word(device + 4), 7);
	ok(cuGraphBatchMemOpNodeGetParams(n, &got));	/* the graph is as it was */
	assert_int_equal(got.paramArray[1].writeValue.value, 6);
	ok(cuGraphExecDestroy(exec));
	op[0].writeValue.value = 8;
	ok(cuGraphBatchMemOpNodeSetParams(n, &b));
	run_graph(g);
	assert_int_equal(gpu_word(device), 8);
}

static void CUDA_CB add_to(void *data)
{
	++*(volatile int *)data;
}

static void hosts(void **state)
{
	volatile int first = 0, second = 0;
	CUDA_HOST_NODE_PARAMS h = { add_to, (void *)&first };
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddHostNode(&n, g, NULL, 0, &h));
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	h.userData = (void *)&second;
	ok(cuGraphExecHostNodeSetParams(exec, n, &h));
	run(exec);
	run(exec);
	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphHostNodeSetParams(n, &h));
	run_graph(g);
	assert_int_equal(first, 1);
	assert_int_equal(second, 3);
}

/* An event that was never recorded counts as complete; which one a launch records can be told by its time. */
static void events(void **state)
{
	CUevent before, e, other;
	CUgraphNode record, wait;
	CUgraphExec exec;
	CUgraph g;
	float ms;

	(void)state;
	ok(cuEventCreate(&before, 0));
	ok(cuEventCreate(&e, 0));
	ok(cuEventCreate(&other, 0));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEventWaitNode(&wait, g, NULL, 0, before));
	ok(cuGraphAddEventRecordNode(&record, g, &wait, 1, e));
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphExecEventRecordNodeSetEvent(exec, record, other));
	ok(cuGraphExecEventWaitNodeSetEvent(exec, wait, e));
	ok(cuEventRecord(before, s));
	run(exec);
	expect(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, before, e));
	ok(cuEventElapsedTime(&ms, before, other));
	assert_true(ms >= 0);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphEventRecordNodeSetEvent(record, other));
	ok(cuGraphDestroy(g));
	ok(cuEventDestroy(before));
	ok(cuEventDestroy(e));
	ok(cuEventDestroy(other));
}

static CUgraph filling(uint32_t value, CUgraphNode *n)
{
	CUDA_MEMSET_NODE_PARAMS m = { .dst = device, .value = value, .elementSize = 4, .width = 1, .height = 1 };
	CUgraph g;

	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemsetNode(n, g, NULL, 0, &m, gpu_context()));
	return g;
}

static void children(void **state)
{
	CUgraphNode child, n, extra;
	CUgraph one = filling(1, &n), two = filling(2, &n), g;
	CUgraphExec exec;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddChildGraphNode(&child, g, NULL, 0, one));
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	assert_int_equal(gpu_word(device), 1);
	ok(cuGraphExecChildGraphNodeSetParams(exec, child, two));
	run(exec);
	assert_int_equal(gpu_word(device), 2);
	ok(cuGraphAddEmptyNode(&extra, two, &n, 1));	/* of another shape now */
	assert_int_not_equal(cuGraphExecChildGraphNodeSetParams(exec, child, two), CUDA_SUCCESS);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(one));
	ok(cuGraphDestroy(two));
	ok(cuGraphDestroy(g));
}

static CUDA_MEMCPY3D flat(CUdeviceptr dst, const void *src, size_t bytes)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = src,
				.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = dst,
				.WidthInBytes = bytes, .Height = 1, .Depth = 1 };
}

static void pageable(void **state)
{
	uint32_t *a = calloc(1, N), *b = calloc(1, N);
	CUDA_MEMCPY3D c = flat(device, a, N);
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	memset(a, 1, N);
	memset(b, 2, N);
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemcpyNode(&n, g, NULL, 0, &c, gpu_context()));
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	assert_int_equal(gpu_word(device), 0x01010101);
	c.srcHost = b;
	ok(cuGraphExecMemcpyNodeSetParams(exec, n, &c, gpu_context()));
	run(exec);
	assert_int_equal(gpu_word(device + N - 4), 0x02020202);
	ok(cuGraphExecDestroy(exec));
	memset(b, 3, N);
	ok(cuGraphMemcpyNodeSetParams(n, &c));
	ok(cuGraphMemcpyNodeGetParams(n, &c));
	assert_ptr_equal(c.srcHost, b);
	run_graph(g);
	assert_int_equal(gpu_word(device + N - 4), 0x03030303);
	free(a);
	free(b);
}

/* A box out of the middle of one volume into the middle of another, of other pitches. */
static void boxes(void **state)
{
	const uint32_t pitch = 2 * W, height = 2 * H;
	CUDA_MEMCPY3D c = {
		.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = pinned, .srcPitch = W + 16, .srcHeight = H + 1,
		.srcXInBytes = 4, .srcY = 1, .srcZ = 1,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = device, .dstPitch = pitch, .dstHeight = height,
		.dstXInBytes = 8, .dstY = 2, .dstZ = 3,
		.WidthInBytes = W, .Height = H, .Depth = D,
	};
	static uint8_t seen[64 << 10];
	uint32_t wrong = 0, from, to;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	for (uint32_t i = 0; i < 64 << 10; i++)
		pinned[i] = (uint8_t)(i * 7 + i / 256);
	ok(cuMemsetD8(device, 0xee, 64 << 10));
	ok(cuCtxSynchronize());	/* the graph runs in a stream that does not wait for that one */
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemcpyNode(&n, g, NULL, 0, &c, gpu_context()));
	run_graph(g);
	ok(cuMemcpyDtoH(seen, device, sizeof(seen)));
	for (uint32_t z = 0; z < D; z++)
		for (uint32_t y = 0; y < H; y++)
			for (uint32_t x = 0; x < W; x++) {
				from = ((z + 1) * (H + 1) + y + 1) * (W + 16) + x + 4;
				to = ((z + 3) * height + y + 2) * pitch + x + 8;
				wrong += seen[to] != pinned[from];
			}
	assert_int_equal(wrong, 0);
	assert_int_equal(seen[(3 * height + 2) * pitch + 7], 0xee);
	assert_int_equal(seen[(3 * height + 2) * pitch + 8 + W], 0xee);
}

static void arrays(void **state)
{
	const CUDA_ARRAY_DESCRIPTOR d = { .Width = W / 4, .Height = H, .Format = CU_AD_FORMAT_UNSIGNED_INT32,
					  .NumChannels = 1 };
	CUDA_MEMCPY3D up = { .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = pinned, .srcPitch = W,
			     .dstMemoryType = CU_MEMORYTYPE_ARRAY, .WidthInBytes = W, .Height = H, .Depth = 1 };
	CUDA_MEMCPY3D down = { .srcMemoryType = CU_MEMORYTYPE_ARRAY, .dstMemoryType = CU_MEMORYTYPE_HOST,
			       .dstHost = pinned + 4096, .dstPitch = W, .WidthInBytes = W, .Height = H, .Depth = 1 };
	CUgraphNode first, second;
	CUarray a;
	CUgraph g;

	(void)state;
	for (uint32_t i = 0; i < W * H; i++)
		pinned[i] = (uint8_t)(i * 3);
	memset(pinned + 4096, 0, W * H);
	ok(cuArrayCreate(&a, &d));
	up.dstArray = down.srcArray = a;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemcpyNode(&first, g, NULL, 0, &up, gpu_context()));
	ok(cuGraphAddMemcpyNode(&second, g, &first, 1, &down, gpu_context()));
	ok(cuGraphMemcpyNodeGetParams(first, &up));
	assert_ptr_equal(up.dstArray, a);
	run_graph(g);
	assert_memory_equal(pinned + 4096, pinned, W * H);
	ok(cuArrayDestroy(a));
}

static const char nop_ptx[] = ".version 7.0\n.target sm_50\n.address_size 64\n.visible .entry nop()\n{\n\tret;\n}\n";

/* Not on a driver without them, such as that of the soft device. */
static void attributes(void **state)
{
	CUkernelNodeAttrValue v = { .cooperative = 1 }, got = { 0 };
	CUDA_KERNEL_NODE_PARAMS k = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1,
				      .blockDimZ = 1 };
	CUgraphNode a, b;
	CUmodule module;
	CUgraph g;
	CUresult r;

	(void)state;
	ok(cuModuleLoadData(&module, nop_ptx));
	ok(cuModuleGetFunction(&k.func, module, "nop"));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddKernelNode(&a, g, NULL, 0, &k));
	ok(cuGraphAddKernelNode(&b, g, &a, 1, &k));
	r = cuGraphKernelNodeSetAttribute(a, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &v);
	if (r != CUDA_ERROR_NOT_SUPPORTED) {
		ok(r);
		ok(cuGraphKernelNodeGetAttribute(a, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &got));
		assert_int_equal(got.cooperative, 1);
		ok(cuGraphKernelNodeCopyAttributes(b, a));
		got.cooperative = 0;
		ok(cuGraphKernelNodeGetAttribute(b, CU_LAUNCH_ATTRIBUTE_COOPERATIVE, &got));
		assert_int_equal(got.cooperative, 1);
	}
	run_graph(g);
	ok(cuModuleUnload(module));
	if (r == CUDA_ERROR_NOT_SUPPORTED)
		skip();
}

/* The first form of the call, which explains itself. */
CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t size);

static void log_of_a_cycle(void **state)
{
	CUgraphNode a, b, error = NULL;
	char log[64];
	CUgraphExec exec;
	CUgraph g;

	(void)state;
	memset(log, 'x', sizeof(log));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEmptyNode(&a, g, NULL, 0));
	ok(cuGraphAddEmptyNode(&b, g, &a, 1));
	if (!cuGraphAddDependencies(g, &b, &a, NULL, 1)) {
		assert_int_not_equal(cuGraphInstantiate_v2(&exec, g, &error, log, sizeof(log)), CUDA_SUCCESS);
		assert_non_null(memchr(log, 0, sizeof(log)));
	}
	ok(cuGraphDestroy(g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches),
		cmocka_unit_test(hosts),
		cmocka_unit_test(events),
		cmocka_unit_test(children),
		cmocka_unit_test(pageable),
		cmocka_unit_test(boxes),
		cmocka_unit_test(arrays),
		cmocka_unit_test(attributes),
		cmocka_unit_test(log_of_a_cycle),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("graph_params", tests, setup, teardown);
}
