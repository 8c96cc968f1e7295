/* SPDX-License-Identifier: MIT */
/* Graphs made by hand: nodes of each kind, their parameters, edges, clones, executables and how they are changed. */
#include "gpu_test.h"

#define N 256

/* out[i] = a[i] * factor, N threads. */
static const char scale_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".visible .entry scale(.param .u64 out, .param .u64 a, .param .u32 factor)\n"
	"{\n\t.reg .b32 %r<5>;\n\t.reg .b64 %d<6>;\n"
	"\tld.param.u64 %d1, [out];\n\tld.param.u64 %d2, [a];\n\tld.param.u32 %r1, [factor];\n"
	"\tmov.u32 %r2, %tid.x;\n\tmul.wide.u32 %d3, %r2, 4;\n\tadd.s64 %d4, %d2, %d3;\n\tadd.s64 %d5, %d1, %d3;\n"
	"\tld.global.u32 %r3, [%d4];\n\tmul.lo.u32 %r4, %r3, %r1;\n\tst.global.u32 [%d5], %r4;\n\tret;\n}\n";

struct fixture {
	CUmodule module;
	CUfunction scale;
	CUdeviceptr a, b;
	uint32_t *host;	/* pinned, N words */
	CUstream s;
};

static struct fixture fx;

static int setup(void **state)
{
	if (gpu_setup(state))
		return -1;
	ok(cuModuleLoadData(&fx.module, scale_ptx));
	ok(cuModuleGetFunction(&fx.scale, fx.module, "scale"));
	ok(cuMemAlloc(&fx.a, N * 4));
	ok(cuMemAlloc(&fx.b, N * 4));
	ok(cuMemAllocHost((void **)&fx.host, N * 4));
	ok(cuStreamCreate(&fx.s, CU_STREAM_NON_BLOCKING));
	return 0;
}

static int teardown(void **state)
{
	ok(cuStreamDestroy(fx.s));
	ok(cuMemFreeHost(fx.host));
	ok(cuMemFree(fx.a));
	ok(cuMemFree(fx.b));
	ok(cuModuleUnload(fx.module));
	return gpu_teardown(state);
}

struct scale {
	CUdeviceptr out, in;
	uint32_t factor;
	void *params[3];
	CUDA_KERNEL_NODE_PARAMS node;
};

static CUDA_KERNEL_NODE_PARAMS *scale(struct scale *k, CUdeviceptr out, CUdeviceptr in, uint32_t factor)
{
	*k = (struct scale){ .out = out, .in = in, .factor = factor };
	k->params[0] = &k->out;
	k->params[1] = &k->in;
	k->params[2] = &k->factor;
	k->node = (CUDA_KERNEL_NODE_PARAMS){ .func = fx.scale, .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
					     .blockDimX = N, .blockDimY = 1, .blockDimZ = 1,
					     .kernelParams = k->params };
	return &k->node;
}

static CUDA_MEMCPY3D to_host(void *dst, CUdeviceptr src)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = src,
				.dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = dst,
				.WidthInBytes = N * 4, .Height = 1, .Depth = 1 };
}

static CUDA_MEMCPY3D from_host(CUdeviceptr dst, const void *src)
{
	return (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = src,
				.dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = dst,
				.WidthInBytes = N * 4, .Height = 1, .Depth = 1 };
}

static CUDA_MEMSET_NODE_PARAMS words(CUdeviceptr dst, uint32_t value)
{
	return (CUDA_MEMSET_NODE_PARAMS){ .dst = dst, .value = value, .elementSize = 4, .width = N, .height = 1 };
}

static void run(CUgraphExec exec)
{
	ok(cuGraphLaunch(exec, fx.s));
	ok(cuStreamSynchronize(fx.s));
}

static void all_are(const uint32_t *p, uint32_t value)
{
	for (int i = 0; i < N; i++)
		assert_int_equal(p[i], value);
}

/* memset -> kernel -> copy, launched and changed in every way. */
static void chain(void **state)
{
	CUgraphNode fill, mul, copy, nodes[4], from[4], to[4];
	CUDA_MEMSET_NODE_PARAMS m = words(fx.a, 3), m2;
	CUDA_MEMCPY3D c = to_host(fx.host, fx.b), c2;
	CUDA_KERNEL_NODE_PARAMS k2;
	struct scale k;
	CUgraphNodeType type;
	CUgraphExec exec;
	CUgraph g;
	size_t n = 4;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemsetNode(&fill, g, NULL, 0, &m, gpu_context()));
	ok(cuGraphAddKernelNode(&mul, g, &fill, 1, scale(&k, fx.b, fx.a, 5)));
	ok(cuGraphAddMemcpyNode(&copy, g, &mul, 1, &c, gpu_context()));
	ok(cuGraphGetNodes(g, NULL, &n));
	assert_int_equal(n, 3);
	n = 4;
	ok(cuGraphGetNodes(g, nodes, &n));
	assert_int_equal(n, 3);
	assert_null(nodes[3]);
	n = 4;
	ok(cuGraphGetRootNodes(g, nodes, &n));
	assert_int_equal(n, 1);
	assert_ptr_equal(nodes[0], fill);
	n = 4;
	ok(cuGraphGetEdges(g, from, to, NULL, &n));
	assert_int_equal(n, 2);
	n = 4;
	ok(cuGraphNodeGetDependencies(mul, nodes, NULL, &n));
	assert_int_equal(n, 1);
	assert_ptr_equal(nodes[0], fill);
	n = 4;
	ok(cuGraphNodeGetDependentNodes(mul, nodes, NULL, &n));
	assert_int_equal(n, 1);
	assert_ptr_equal(nodes[0], copy);
	ok(cuGraphNodeGetType(fill, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_MEMSET);
	ok(cuGraphNodeGetType(mul, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_KERNEL);
	ok(cuGraphKernelNodeGetParams(mul, &k2));
	assert_int_equal(k2.blockDimX, N);
	assert_int_equal(*(uint32_t *)k2.kernelParams[2], 5);
	assert_true(*(CUdeviceptr *)k2.kernelParams[0] == fx.b);
	ok(cuGraphMemsetNodeGetParams(fill, &m2));
	assert_int_equal(m2.value, 3);
	ok(cuGraphMemcpyNodeGetParams(copy, &c2));
	assert_int_equal(c2.WidthInBytes, N * 4);
	assert_ptr_equal(c2.dstHost, fx.host);

	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	all_are(fx.host, 15);
	/* The executable changes, the graph does not. */
	ok(cuGraphExecKernelNodeSetParams(exec, mul, scale(&k, fx.b, fx.a, 7)));
	run(exec);
	all_are(fx.host, 21);
	m.value = 4;
	ok(cuGraphExecMemsetNodeSetParams(exec, fill, &m, gpu_context()));
	run(exec);
	all_are(fx.host, 28);
	/* The graph changes, the executable does not, until it is brought up to date. */
	ok(cuGraphMemsetNodeSetParams(fill, &m));
	ok(cuGraphKernelNodeSetParams(mul, scale(&k, fx.b, fx.a, 2)));
	run(exec);
	all_are(fx.host, 28);
	ok(cuGraphExecUpdate(exec, g, &(CUgraphExecUpdateResultInfo){ .result = CU_GRAPH_EXEC_UPDATE_ERROR }));
	run(exec);
	all_are(fx.host, 8);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
}

static void edges(void **state)
{
	CUgraphNode a, b, c, nodes[3];
	CUgraphEdgeData data[3];
	CUgraph g, other;
	CUgraphNode foreign;
	size_t n;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphCreate(&other, 0));
	ok(cuGraphAddEmptyNode(&a, g, NULL, 0));
	ok(cuGraphAddEmptyNode(&b, g, &a, 1));
	ok(cuGraphAddEmptyNode(&c, g, NULL, 0));
	ok(cuGraphAddEmptyNode(&foreign, other, NULL, 0));
	ok(cuGraphAddDependencies(g, &b, &c, NULL, 1));
	n = 3;
	ok(cuGraphNodeGetDependencies(c, nodes, NULL, &n));
	assert_int_equal(n, 1);
	assert_ptr_equal(nodes[0], b);
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetDependencies(c, NULL, data, &n));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetDependentNodes(b, NULL, data, &n));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphGetEdges(g, NULL, NULL, data, &n));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddEmptyNode(&foreign, g, &foreign, 1));
	ok(cuGraphRemoveDependencies(g, &b, &c, NULL, 1));
	n = 3;
	ok(cuGraphNodeGetDependencies(c, NULL, NULL, &n));
	assert_int_equal(n, 0);
	ok(cuGraphDestroyNode(b));
	n = 0;
	ok(cuGraphGetNodes(g, NULL, &n));
	assert_int_equal(n, 2);
	ok(cuGraphDestroy(g));
	ok(cuGraphDestroy(other));
}

static void nulls(void **state)
{
	CUDA_MEMCPY3D c = to_host(fx.host, fx.a);
	struct scale k;
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphCreate(NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(NULL));
	ok(cuGraphCreate(&g, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddEmptyNode(NULL, g, NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddEmptyNode(&n, NULL, NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddKernelNode(&n, g, NULL, 0, NULL));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemcpyNode(&n, g, NULL, 0, NULL, gpu_context()));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddEmptyNode(&n, g, NULL, 1));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(NULL, g, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(&exec, NULL, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiate(&exec, g, CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD));	/* in which stream? */
	scale(&k, fx.b, fx.a, 1)->blockDimX = 0;
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddKernelNode(&n, g, NULL, 0, &k.node));
	scale(&k, fx.b, fx.a, 1)->func = NULL;
	expect(CUDA_ERROR_INVALID_HANDLE, cuGraphAddKernelNode(&n, g, NULL, 0, &k.node));
	ok(cuGraphAddMemcpyNode(&n, g, NULL, 0, &c, gpu_context()));
	c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphAddMemcpyNode(&n, g, NULL, 0, &c, gpu_context()));
	ok(cuGraphDestroy(g));
}

static void CUDA_CB count(void *data)
{
	++*(volatile int *)data;
}

/* A function before a copy of pinned memory: it changes what is read. Of pageable memory that is not certain. */
struct between {
	uint32_t *memory;
	uint32_t value;
};

static void CUDA_CB change(void *data)
{
	struct between *b = data;

	for (int i = 0; i < N; i++)
		b->memory[i] += b->value;
}

static void host_and_pageable(void **state)
{
	uint32_t *in = fx.host, *out = malloc(N * 4);
	struct between b = { in, 10 };
	CUDA_HOST_NODE_PARAMS h = { change, &b }, h2;
	CUDA_MEMCPY3D up = from_host(fx.a, in), down = to_host(out, fx.a), seen;
	CUgraphNode fn, first, second;
	CUgraphNodeType type;
	CUgraphExec exec;
	CUgraph g;
	size_t n = 0;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddHostNode(&fn, g, NULL, 0, &h));
	ok(cuGraphAddMemcpyNode(&first, g, &fn, 1, &up, gpu_context()));
	ok(cuGraphAddMemcpyNode(&second, g, &first, 1, &down, gpu_context()));
	ok(cuGraphGetNodes(g, NULL, &n));
	assert_int_equal(n, 3);
	ok(cuGraphNodeGetType(first, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_MEMCPY);
	ok(cuGraphMemcpyNodeGetParams(first, &seen));
	assert_ptr_equal(seen.srcHost, in);
	ok(cuGraphHostNodeGetParams(fn, &h2));
	assert_ptr_equal(h2.userData, &b);
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphDestroy(g));
	for (uint32_t round = 0; round < 5; round++) {
		for (int i = 0; i < N; i++)
			in[i] = round;
		memset(out, 0xee, N * 4);
		run(exec);
		all_are(out, round + 10);
	}
	ok(cuGraphExecDestroy(exec));
	free(out);
}

/* A clone and a child graph are copies: what happens to the original does not reach them. */
static void copies(void **state)
{
	CUDA_MEMSET_NODE_PARAMS m = words(fx.a, 1);
	CUDA_MEMCPY3D c = to_host(fx.host, fx.a);
	CUgraphNode fill, copy, child, twin;
	CUgraph g, clone, inner;
	CUgraphExec exec;
	size_t n = 0;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemsetNode(&fill, g, NULL, 0, &m, gpu_context()));
	ok(cuGraphClone(&clone, g));
	ok(cuGraphNodeFindInClone(&twin, fill, clone));
	assert_ptr_not_equal(twin, fill);
	m.value = 2;
	ok(cuGraphMemsetNodeSetParams(fill, &m));
	ok(cuGraphAddChildGraphNode(&child, clone, &twin, 1, g));
	ok(cuGraphDestroy(g));
	ok(cuGraphChildGraphNodeGetGraph(child, &inner));
	ok(cuGraphGetNodes(inner, NULL, &n));
	assert_int_equal(n, 1);
	ok(cuGraphAddMemcpyNode(&copy, clone, &child, 1, &c, gpu_context()));
	ok(cuGraphInstantiate(&exec, clone, 0));
	run(exec);
	all_are(fx.host, 2);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(clone));
}

static void switches(void **state)
{
	CUDA_MEMSET_NODE_PARAMS one = words(fx.a, 1), two = words(fx.a, 2);
	CUDA_MEMCPY3D c = to_host(fx.host, fx.a);
	CUgraphExecUpdateResultInfo info = { .result = CU_GRAPH_EXEC_UPDATE_SUCCESS };
	CUgraphNode first, second, copy, extra;
	unsigned enabled = 0;
	CUgraphExec exec;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemsetNode(&first, g, NULL, 0, &one, gpu_context()));
	ok(cuGraphAddMemsetNode(&second, g, &first, 1, &two, gpu_context()));
	ok(cuGraphAddMemcpyNode(&copy, g, &second, 1, &c, gpu_context()));
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphNodeGetEnabled(exec, second, &enabled));
	assert_int_equal(enabled, 1);
	ok(cuGraphNodeSetEnabled(exec, second, 0));
	run(exec);
	all_are(fx.host, 1);
	ok(cuGraphNodeSetEnabled(exec, second, 1));
	run(exec);
	all_are(fx.host, 2);
	ok(cuGraphAddEmptyNode(&extra, g, &copy, 1));
	expect(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate(exec, g, &info));
	assert_int_equal(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
}

static void events(void **state)
{
	CUgraphNode record, wait;
	CUgraphExec exec;
	CUevent e, other, got;
	CUgraph g;

	(void)state;
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	ok(cuEventCreate(&other, CU_EVENT_DISABLE_TIMING));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEventWaitNode(&wait, g, NULL, 0, other));
	ok(cuGraphAddEventRecordNode(&record, g, &wait, 1, e));
	ok(cuGraphEventRecordNodeGetEvent(record, &got));
	assert_ptr_equal(got, e);
	ok(cuGraphEventWaitNodeGetEvent(wait, &got));
	assert_ptr_equal(got, other);
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphLaunch(exec, fx.s));
	ok(cuEventSynchronize(e));
	ok(cuEventQuery(e));
	ok(cuStreamSynchronize(fx.s));
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	ok(cuEventDestroy(e));
	ok(cuEventDestroy(other));
}

static void memory(void **state)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 } },
		.bytesize = N * 4,
	};
	CUgraphNode alloc, fill, copy, drop;
	CUDA_MEMSET_NODE_PARAMS m;
	CUgraphExec exec;
	CUdeviceptr freed;
	CUDA_MEMCPY3D c;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemAllocNode(&alloc, g, NULL, 0, &a));
	assert_true(a.dptr != 0);
	m = words(a.dptr, 6);
	c = to_host(fx.host, a.dptr);
	ok(cuGraphAddMemsetNode(&fill, g, &alloc, 1, &m, gpu_context()));
	ok(cuGraphAddMemcpyNode(&copy, g, &fill, 1, &c, gpu_context()));
	ok(cuGraphAddMemFreeNode(&drop, g, &copy, 1, a.dptr));
	ok(cuGraphMemFreeNodeGetParams(drop, &freed));
	assert_true(freed == a.dptr);
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	all_are(fx.host, 6);
	memset(fx.host, 0, N * 4);
	run(exec);
	all_are(fx.host, 6);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	ok(cuDeviceGraphMemTrim(gpu_device()));
}

/*
 * What a graph allocates and does not free is the program's to free, after each launch and before the next one, unless the
 * launch frees it.
 */
static void memory_outlives(void **state)
{
	CUDA_MEM_ALLOC_NODE_PARAMS a = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 } },
		.bytesize = N * 4,
	};
	CUgraphNode alloc, fill;
	CUDA_MEMSET_NODE_PARAMS m;
	CUgraphExec exec;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddMemAllocNode(&alloc, g, NULL, 0, &a));
	m = words(a.dptr, 8);
	ok(cuGraphAddMemsetNode(&fill, g, &alloc, 1, &m, gpu_context()));
	ok(cuGraphInstantiate(&exec, g, 0));
	for (int i = 0; i < 3; i++) {
		memset(fx.host, 0, N * 4);
		ok(cuGraphLaunch(exec, fx.s));
		expect(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, fx.s));
		ok(cuMemcpyDtoHAsync(fx.host, a.dptr, N * 4, fx.s));
		ok(cuStreamSynchronize(fx.s));
		all_are(fx.host, 8);
		if (i % 2)
			ok(cuMemFree(a.dptr));
		else
			ok(cuMemFreeAsync(a.dptr, fx.s));
	}
	ok(cuStreamSynchronize(fx.s));
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphInstantiate(&exec, g, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
	run(exec);
	run(exec);
	ok(cuMemFreeAsync(a.dptr, fx.s));
	ok(cuStreamSynchronize(fx.s));
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	ok(cuDeviceGraphMemTrim(gpu_device()));
}

static void user_objects(void **state)
{
	volatile int destroyed = 0;
	CUuserObject object;
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	expect(CUDA_ERROR_INVALID_VALUE, cuUserObjectCreate(&object, NULL, count, 1, 0));
	ok(cuUserObjectCreate(&object, (void *)&destroyed, count, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEmptyNode(&n, g, NULL, 0));
	ok(cuGraphRetainUserObject(g, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphDestroy(g));
	run(exec);
	assert_int_equal(destroyed, 0);
	ok(cuGraphExecDestroy(exec));
	for (int i = 0; i < 5000 && !destroyed; i++)
		gpu_nap();
	assert_int_equal(destroyed, 1);
}

/* The text itself is the driver's choice; there is some. */
static void dot(void **state)
{
	char path[] = "/tmp/vgpu-graph-XXXXXX", first[8] = "";
	CUgraphNode a, b;
	CUgraph g;
	FILE *f;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddEmptyNode(&a, g, NULL, 0));
	ok(cuGraphAddEmptyNode(&b, g, &a, 1));
	ok(cuGraphDebugDotPrint(g, path, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE));
	f = fdopen(fd, "r");
	assert_non_null(f);
	assert_int_equal(fread(first, 1, 7, f), 7);
	assert_string_equal(first, "digraph");
	fclose(f);
	remove(path);
	ok(cuGraphDestroy(g));
}

/* Far more nodes than one answer holds. */
static void many(void **state)
{
	enum { MANY = 1500 };
	CUgraphNode *nodes = calloc(MANY + 1, sizeof(*nodes)), last = NULL;
	CUgraphExec exec;
	size_t n = MANY;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	for (int i = 0; i < MANY; i++)
		ok(cuGraphAddEmptyNode(&nodes[i], g, i ? &nodes[i / 2] : NULL, i != 0));
	ok(cuGraphAddEmptyNode(&last, g, nodes, MANY));
	n = MANY + 1;
	ok(cuGraphGetNodes(g, nodes, &n));
	assert_int_equal(n, MANY + 1);
	ok(cuGraphNodeGetDependencies(last, NULL, NULL, &n));
	assert_int_equal(n, MANY);
	ok(cuGraphInstantiate(&exec, g, 0));
	run(exec);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	free(nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain),
		cmocka_unit_test(edges),
		cmocka_unit_test(nulls),
		cmocka_unit_test(host_and_pageable),
		cmocka_unit_test(copies),
		cmocka_unit_test(switches),
		cmocka_unit_test(events),
		cmocka_unit_test(memory),
		cmocka_unit_test(memory_outlives),
		cmocka_unit_test(user_objects),
		cmocka_unit_test(dot),
		cmocka_unit_test(many),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("graph", tests, setup, teardown);
}
