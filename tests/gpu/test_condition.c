/* SPDX-License-Identifier: MIT */
/*
 * Conditional nodes: bodies that run if, while, or as a value says. The value is a handle's default, or what a kernel
 * has set; for that a driver wants NVIDIA's device runtime library linked (VGPU_TEST_CUDADEVRT, or where a toolkit has
 * it), and without it that test is skipped.
 */
#include "gpu_test.h"

#define WORDS 16

static CUdeviceptr memory;
static CUstream s;

/* Takes 1 from *left, and says whether anything is left. */
static const char countdown_ptx[] =
	".version 7.0\n.target sm_50\n.address_size 64\n"
	".extern .func cudaGraphSetConditional(.param .b64 handle, .param .b32 value);\n"
	".visible .entry countdown(.param .u64 handle, .param .u64 left)\n"
	"{\n\t.reg .b32 %r<2>;\n\t.reg .b64 %d<3>;\n"
	"\tld.param.u64 %d1, [handle];\n\tld.param.u64 %d2, [left];\n"
	"\tld.global.u32 %r1, [%d2];\n\tsub.u32 %r1, %r1, 1;\n\tst.global.u32 [%d2], %r1;\n"
	"\t{\n\t.param .b64 a;\n\t.param .b32 b;\n\tst.param.b64 [a], %d1;\n\tst.param.b32 [b], %r1;\n"
	"\tcall cudaGraphSetConditional, (a, b);\n\t}\n\tret;\n}\n";

static int setup(void **state)
{
	if (gpu_setup(state))
		return -1;
	ok(cuMemAlloc(&memory, WORDS * 4));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	return 0;
}

static int teardown(void **state)
{
	ok(cuStreamDestroy(s));
	ok(cuMemFree(memory));
	return gpu_teardown(state);
}

static CUgraphConditionalHandle condition(CUgraph g, unsigned value)
{
	CUgraphConditionalHandle h = 0;

	ok(cuGraphConditionalHandleCreate(&h, g, gpu_context(), value, CU_GRAPH_COND_ASSIGN_DEFAULT));
	return h;
}

/* A node behind `behind` (NULL: the first); bodies gets its graphs. */
static CUgraphNode add(CUgraph g, CUgraphNode behind, CUgraphConditionalHandle h, CUgraphConditionalNodeType type,
		       CUgraph *bodies, unsigned count)
{
	CUgraphNodeParams p;
	CUgraphNode n;

	memset(&p, 0, sizeof(p));
	p.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
	p.conditional.handle = h;
	p.conditional.type = type;
	p.conditional.size = count;
	p.conditional.ctx = gpu_context();
	ok(cuGraphAddNode(&n, g, &behind, NULL, behind ? 1 : 0, &p));
	assert_non_null(p.conditional.phGraph_out);
	memcpy(bodies, p.conditional.phGraph_out, count * sizeof(CUgraph));
	return n;
}

/* Word `at` becomes `value`. */
static CUgraphNode add_store(CUgraph g, unsigned at, unsigned value)
{
	CUDA_MEMSET_NODE_PARAMS m = { .dst = memory + 4 * at, .value = value, .elementSize = 4, .width = 1, .height = 1 };
	CUgraphNode n;

	ok(cuGraphAddMemsetNode(&n, g, NULL, 0, &m, gpu_context()));
	return n;
}

static void clear(void)
{
	ok(cuMemsetD32(memory, 0, WORDS));
}

static uint32_t word(unsigned at)
{
	return gpu_word(memory + 4 * at);
}

static void run(CUgraph g)
{
	CUgraphExec exec;

	ok(cuGraphInstantiate(&exec, g, 0));
	ok(cuGraphLaunch(exec, s));
	ok(cuStreamSynchronize(s));
	ok(cuGraphExecDestroy(exec));
}

static void if_value(void **state)
{
	CUgraphNodeType type;
	CUgraph g, body;
	CUgraphNode n;

	(void)state;
	for (unsigned value = 0; value < 2; value++) {
		ok(cuGraphCreate(&g, 0));
		n = add(g, NULL, condition(g, value), CU_GRAPH_COND_TYPE_IF, &body, 1);
		ok(cuGraphNodeGetType(n, &type));
		assert_int_equal(type, CU_GRAPH_NODE_TYPE_CONDITIONAL);
		add_store(body, 0, 7);
		clear();
		run(g);
		assert_int_equal(word(0), value ? 7 : 0);
		ok(cuGraphDestroy(g));
	}
}

static void if_else(void **state)
{
	CUgraph g, bodies[2];

	(void)state;
	for (unsigned value = 0; value < 2; value++) {
		ok(cuGraphCreate(&g, 0));
		add(g, NULL, condition(g, value), CU_GRAPH_COND_TYPE_IF, bodies, 2);
		add_store(bodies[0], 0, 7);
		add_store(bodies[1], 1, 8);
		clear();
		run(g);
		assert_int_equal(word(0), value ? 7 : 0);
		assert_int_equal(word(1), value ? 0 : 8);
		ok(cuGraphDestroy(g));
	}
}

static void one_of_many(void **state)
{
	CUgraph g, bodies[4];

	(void)state;
	for (unsigned value = 0; value < 5; value++) {
		ok(cuGraphCreate(&g, 0));
		add(g, NULL, condition(g, value), CU_GRAPH_COND_TYPE_SWITCH, bodies, 4);
		for (unsigned i = 0; i < 4; i++)
			add_store(bodies[i], i, 1);
		clear();
		run(g);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(word(i), i == value);
		ok(cuGraphDestroy(g));
	}
}

/* Conditions inside bodies, and work before and behind the node. */
static void inside_each_other(void **state)
{
	CUgraph g, outer, inner, never;
	CUgraphNode n, last;
	CUDA_MEMSET_NODE_PARAMS m = { .dst = memory, .value = 5, .elementSize = 4, .width = 1, .height = 1 };

	(void)state;
	ok(cuGraphCreate(&g, 0));
	n = add(g, add_store(g, 0, 1), condition(g, 1), CU_GRAPH_COND_TYPE_IF, &outer, 1);
	ok(cuGraphAddMemsetNode(&last, g, &n, 1, &m, gpu_context()));
	add(outer, add_store(outer, 0, 2), condition(outer, 1), CU_GRAPH_COND_TYPE_IF, &inner, 1);
	add_store(inner, 1, 3);
	add(outer, NULL, condition(outer, 0), CU_GRAPH_COND_TYPE_IF, &never, 1);
	add_store(never, 2, 4);
	clear();
	run(g);
	assert_int_equal(word(0), 5);
	assert_int_equal(word(1), 3);
	assert_int_equal(word(2), 0);
	ok(cuGraphDestroy(g));
}

static void refused(void **state)
{
	CUgraphConditionalHandle h;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphConditionalHandleCreate(NULL, g, gpu_context(), 0, 0));
	expect(CUDA_ERROR_INVALID_VALUE, cuGraphConditionalHandleCreate(&h, NULL, gpu_context(), 0, 0));
	expect(CUDA_ERROR_INVALID_CONTEXT, cuGraphConditionalHandleCreate(&h, g, NULL, 0, 0));
	ok(cuGraphDestroy(g));
}

/* NULL if there is no device runtime library where one is needed. */
static CUmodule countdown_module(void)
{
	const char *library = getenv("VGPU_TEST_CUDADEVRT");
	CUmodule module = NULL;
	CUlinkState link;
	size_t bytes;
	void *image;

	if (!library)
		library = "/usr/local/cuda/lib64/libcudadevrt.a";
	if (!cuModuleLoadData(&module, countdown_ptx))
		return module;
	ok(cuLinkCreate(0, NULL, NULL, &link));
	ok(cuLinkAddData(link, CU_JIT_INPUT_PTX, (void *)countdown_ptx, sizeof(countdown_ptx), "countdown", 0, NULL, NULL));
	if (!cuLinkAddFile(link, CU_JIT_INPUT_LIBRARY, library, 0, NULL, NULL)) {
		ok(cuLinkComplete(link, &image, &bytes));
		ok(cuModuleLoadData(&module, image));
	}
	ok(cuLinkDestroy(link));
	return module;
}

/* A kernel in the body says how often; each launch begins with the default again. */
static void while_kernel_says(void **state)
{
	CUmodule module = countdown_module();
	CUDA_KERNEL_NODE_PARAMS k = { .gridDimX = 1, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1,
				      .blockDimZ = 1 };
	CUdeviceptr left = memory;
	CUgraphConditionalHandle h;
	void *params[] = { &h, &left };
	CUgraphExec exec;
	CUgraph g, body;
	CUgraphNode n;

	(void)state;
	if (!module) {
		print_message("skipped: there is no libcudadevrt.a\n");
		skip();
	}
	ok(cuModuleGetFunction(&k.func, module, "countdown"));
	ok(cuGraphCreate(&g, 0));
	h = condition(g, 1);
	add(g, NULL, h, CU_GRAPH_COND_TYPE_WHILE, &body, 1);
	k.kernelParams = params;
	ok(cuGraphAddKernelNode(&n, body, NULL, 0, &k));
	ok(cuGraphInstantiate(&exec, g, 0));
	for (unsigned times = 1; times < 100; times += 49) {
		ok(cuMemsetD32(memory, times, 1));
		ok(cuGraphLaunch(exec, s));
		ok(cuStreamSynchronize(s));
		assert_int_equal(word(0), 0);
	}
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	ok(cuModuleUnload(module));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(if_value),
		cmocka_unit_test(if_else),
		cmocka_unit_test(one_of_many),
		cmocka_unit_test(inside_each_other),
		cmocka_unit_test(refused),
		cmocka_unit_test(while_kernel_says),
	};

	gpu_need_device();
	return cmocka_run_group_tests_name("conditional nodes", tests, setup, teardown);
}
