/* SPDX-License-Identifier: MIT */
/*
 * Graphs as a hostile guest builds them, against a driver that checks what reaches it: no node, graph or address that is
 * not the guest's, no list that is longer than its payload, and an account that is right after everything is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

#define GRAPH	ID(GRAPH, 1)
#define EXEC	ID(GRAPHEXEC, 1)
#define MIB	(1ull << 20)

/* A session with a graph. */
static int setup_graph(void **state)
{
	setup(state);
	assert_int_equal(CALL(cuGraphCreate, .graph = GRAPH), 0);
	return 0;
}

/* A payload: parameters, what they point to, links. */
struct node {
	CUgraphNodeParams p;
	uint8_t rest[8192];
};

static uint32_t fill(struct node *n, const CUgraphNodeParams *p, const void *tail, uint32_t bytes)
{
	memset(n, 0, sizeof(*n));
	n->p = *p;
	if (bytes)
		memcpy(n->rest, tail, bytes);
	return (uint32_t)sizeof(n->p) + bytes;
}

static int add_tail(uint64_t graph, const CUgraphNodeParams *p, const void *tail, uint32_t bytes)
{
	const struct vgpu_args_graph_add_node a = { .graph = graph, .tail = bytes };
	struct node n;
	uint32_t size = fill(&n, p, tail, bytes);

	return call(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size);
}

static int add(const CUgraphNodeParams *p)
{
	return add_tail(GRAPH, p, NULL, 0);
}

static int run_tail(const CUgraphNodeParams *p, const void *tail, uint32_t bytes)
{
	const struct vgpu_args_graph_add_node a = { .graph = GRAPH, .tail = bytes };
	struct node n;
	uint32_t size = fill(&n, p, tail, bytes);

	return run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size);
}

static const struct vgpu_ret_graph_add_node *added(void)
{
	return reply();
}

static uint64_t empty_node(void)
{
	assert_int_equal(add(&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_EMPTY }), 0);
	return added()->node;
}

static uint64_t alloc_node(uint64_t bytes)
{
	assert_int_equal(add(&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC, .alloc.bytesize = bytes }), 0);
	return added()->value;
}

static int free_node(uint64_t at)
{
	return add(&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_MEM_FREE, .free.dptr = at });
}

static void test_ids(void **state)
{
	uint64_t n = empty_node();

	(void)state;
	assert_int_equal(CALL(cuGraphNodeGetType, .node = n), 0);
	assert_int_equal(CALL(cuGraphNodeGetType, .node = n + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuGraphNodeGetType, .node = GRAPH), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuGraphNodeGetType, .node = 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuGraphDestroyNode, .node = n), 0);
	assert_int_equal(CALL(cuGraphDestroyNode, .node = n), CUDA_ERROR_INVALID_VALUE);
	n = empty_node();
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	assert_int_equal(CALL(cuGraphNodeGetType, .node = n), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), CUDA_ERROR_INVALID_VALUE);
}

static void test_payloads(void **state)
{
	const CUgraphNodeParams empty = { .type = CU_GRAPH_NODE_TYPE_EMPTY };
	struct vgpu_args_graph_add_node a = { .graph = GRAPH };
	struct node n;
	uint32_t size = fill(&n, &empty, NULL, 0);

	(void)state;
	assert_int_equal(run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size - 8), -EPROTO);
	assert_int_equal(run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, 0), -EPROTO);
	assert_int_equal(run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size + 8), -EPROTO);	/* a third of a link */
	a.tail = 8;
	assert_int_equal(run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size), -EPROTO);
	a.tail = UINT32_MAX;
	assert_int_equal(run(VGPU_OP_graph_add_node, &a, sizeof(a), &n, size), -EPROTO);
	assert_int_equal(add(&(CUgraphNodeParams){ .type = (CUgraphNodeType)99 }), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(add_tail(ID(GRAPH, 2), &empty, NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

static void test_edges(void **state)
{
	struct vgpu_rec_graph_link l[2] = { { .from = empty_node() }, { .from = empty_node() } };
	struct vgpu_args_graph_dependencies a = { .graph = GRAPH };
	unsigned long calls;

	(void)state;
	l[0].to = l[1].from;
	calls = fake.calls;
	assert_int_equal(call(VGPU_OP_graph_dependencies, &a, sizeof(a), l, sizeof(l[0])), 0);
	a.edges = 1;
	assert_int_equal(call(VGPU_OP_graph_dependencies, &a, sizeof(a), l, sizeof(l[0])), 0);
	assert_int_equal(fake.calls, calls + 2);
	/* The second link ends nowhere: nothing of the list reaches the driver. */
	assert_int_equal(call(VGPU_OP_graph_dependencies, &a, sizeof(a), l, sizeof(l)), CUDA_ERROR_INVALID_VALUE);
	l[0].from = EXEC;
	assert_int_equal(call(VGPU_OP_graph_dependencies, &a, sizeof(a), l, sizeof(l[0])), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(fake.calls, calls + 2);
	assert_int_equal(run(VGPU_OP_graph_dependencies, &a, sizeof(a), l, sizeof(l[0]) + 8), -EPROTO);
}

static void test_batches(void **state)
{
	uint64_t at = alloc(64);
	CUstreamBatchMemOpParams op[2] = { 0 };
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, .memOp.count = 2 };

	(void)state;
	op[0].operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
	op[0].writeValue.address = at;
	op[1].operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
	op[1].writeValue.address = at + 56;
	assert_int_equal(add_tail(GRAPH, &p, op, sizeof(op)), 0);
	op[1].writeValue.address = at + 57;
	assert_int_equal(add_tail(GRAPH, &p, op, sizeof(op)), CUDA_ERROR_INVALID_VALUE);
	op[1].writeValue.address = (uint64_t)(uintptr_t)s->channel->fences;
	assert_int_equal(add_tail(GRAPH, &p, op, sizeof(op)), CUDA_ERROR_INVALID_VALUE);
	op[1].operation = (CUstreamBatchMemOpType)77;
	assert_int_equal(add_tail(GRAPH, &p, op, sizeof(op)), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(run_tail(&p, op, sizeof(op[0])), -EPROTO);
	p.memOp.count = 257;
	assert_int_equal(run_tail(&p, op, sizeof(op)), -EPROTO);
	p.memOp.count = UINT32_MAX;
	assert_int_equal(run_tail(&p, op, sizeof(op)), -EPROTO);
}

static void test_copies(void **state)
{
	uint64_t d = alloc(4096);
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMCPY };
	CUDA_MEMCPY3D *c = &p.memcpy.copyParams;

	(void)state;
	*c = (CUDA_MEMCPY3D){ .srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = d, .srcPitch = 256, .srcHeight = 4,
			      .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = s->base + s->geo.arena_at,
			      .WidthInBytes = 256, .Height = 4, .Depth = 4 };
	assert_int_equal(add(&p), 0);
	c->srcY = 1;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
	c->srcY = 0;
	c->srcHeight = SIZE_MAX / 256;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
	c->srcHeight = 4;
	c->dstHost = &p;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
	c->dstMemoryType = CU_MEMORYTYPE_ARRAY;
	c->dstArray = (CUarray)(uintptr_t)&p;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_HANDLE);
	c->dstMemoryType = (CUmemorytype)9;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
}

static void test_memsets(void **state)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMSET,
				.memset = { .dst = alloc(4096), .elementSize = 4, .width = 256, .height = 2,
					    .pitch = 3072 } };

	(void)state;
	assert_int_equal(add(&p), 0);
	p.memset.pitch = 3073;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
	p.memset.pitch = 1023;	/* shorter than a row */
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
	p.memset.pitch = 3072;
	p.memset.elementSize = 3;
	assert_int_equal(add(&p), CUDA_ERROR_INVALID_VALUE);
}

static void load_kernel(void)
{
	struct vgpu_args_image_data d = { .image = 1, .bytes = 13 };
	struct vgpu_args_module_get_function f = { .module = ID(MODULE, 1), .function = ID(FUNCTION, 1), .name_size = 2 };
	const char name[8] = "k";

	assert_int_equal(CALL(image_open, .image = 1, .bytes = 13), 0);
	assert_int_equal(call(VGPU_OP_image_data, &d, sizeof(d), ".version 7.0\n\0\0", 13), 0);
	assert_int_equal(CALL(module_load, .module = ID(MODULE, 1), .image = 1, .kind = 1), 0);
	assert_int_equal(CALL(image_close, .image = 1), 0);
	assert_int_equal(call(VGPU_OP_module_get_function, &f, sizeof(f), name, sizeof(name)), 0);
}

static void test_kernels(void **state)
{
	const uint64_t params[2] = { 1, 2 };
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_KERNEL,
				.kernel = { .func = (CUfunction)(uintptr_t)ID(FUNCTION, 1), .gridDimX = 1,
					    .gridDimY = 1, .gridDimZ = 1, .blockDimX = 1, .blockDimY = 1,
					    .blockDimZ = 1 } };
	const struct vgpu_ret_cuGraphKernelNodeGetAttribute *got;
	CUkernelNodeAttrValue v = { .priority = 1 };
	uint64_t node;

	(void)state;
	load_kernel();
	assert_int_equal(add_tail(GRAPH, &p, params, sizeof(params)), 0);
	node = added()->node;
	assert_memory_equal(fake.params, params, sizeof(params));
	assert_int_equal(add_tail(GRAPH, &p, params, 8), CUDA_ERROR_INVALID_VALUE);
	p.kernel.func = (CUfunction)(uintptr_t)ID(MODULE, 1);
	assert_int_equal(add_tail(GRAPH, &p, params, sizeof(params)), CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(CALL(cuGraphKernelNodeSetAttribute, .node = node, .attr = CU_LAUNCH_ATTRIBUTE_PRIORITY,
			      .value = v), 0);
	assert_int_equal(CALL(cuGraphKernelNodeGetAttribute, .node = node, .attr = CU_LAUNCH_ATTRIBUTE_PRIORITY), 0);
	assert_int_equal(CALL(cuGraphKernelNodeSetAttribute, .node = node,
			      .attr = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT, .value = v), CUDA_ERROR_NOT_SUPPORTED);
	/* What names a node to device code comes out of the driver and never goes in. */
	v.deviceUpdatableKernelNode.devNode = (CUgraphDeviceNode)0x1234;
	assert_int_equal(CALL(cuGraphKernelNodeSetAttribute, .node = node,
			      .attr = CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, .value = v), 0);
	assert_int_equal(CALL(cuGraphKernelNodeGetAttribute, .node = node,
			      .attr = CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE), 0);
	got = reply();
	assert_non_null(got->value.deviceUpdatableKernelNode.devNode);
	assert_int_equal(CALL(cuGraphKernelNodeSetAttribute, .node = node, .attr = 999, .value = v),
			 CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuGraphKernelNodeSetAttribute, .node = GRAPH, .attr = CU_LAUNCH_ATTRIBUTE_PRIORITY,
			      .value = v), CUDA_ERROR_INVALID_VALUE);
}

static void test_conditions(void **state)
{
	const uint64_t bodies[3] = { ID(GRAPH, 5), ID(GRAPH, 6), ID(GRAPH, 7) };
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL, .conditional = { .size = 2 } };

	(void)state;
	/* A handle that the session did not make. */
	assert_int_equal(add_tail(GRAPH, &p, bodies, 16), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(graph_conditional, .graph = GRAPH), 0);
	assert_int_equal(add_tail(GRAPH, &p, bodies, 16), 0);
	assert_int_equal(CALL(cuGraphDestroy, .graph = bodies[0]), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(run_tail(&p, bodies, 8), -EPROTO);
	p.conditional.size = 3;
	assert_int_equal(add_tail(GRAPH, &p, bodies, 24), CUDA_ERROR_INVALID_VALUE);	/* the driver's answer */
	p.conditional.size = 1u << 29;
	assert_int_equal(run_tail(&p, bodies, 0), -EPROTO);
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	assert_int_equal(add_tail(bodies[0], &(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_EMPTY }, NULL, 0),
			 CUDA_ERROR_INVALID_VALUE);
}

static void test_setting(void **state)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_MEMSET,
				.memset = { .dst = alloc(64), .elementSize = 1, .width = 64, .height = 1 } };
	struct vgpu_args_graph_set_node a = { 0 };
	struct node n;
	uint32_t size = fill(&n, &p, NULL, 0);

	(void)state;
	assert_int_equal(add(&p), 0);
	a.node = added()->node;
	assert_int_equal(call(VGPU_OP_graph_set_node, &a, sizeof(a), &n, size), 0);
	a.exec = EXEC;
	assert_int_equal(call(VGPU_OP_graph_set_node, &a, sizeof(a), &n, size), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	assert_int_equal(call(VGPU_OP_graph_set_node, &a, sizeof(a), &n, size), 0);
	n.p.memset.width = 65;
	assert_int_equal(call(VGPU_OP_graph_set_node, &a, sizeof(a), &n, size), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(run(VGPU_OP_graph_set_node, &a, sizeof(a), &n, size - 8), -EPROTO);
}

/* Never launched: charged until the graph and what was made of it are gone. */
static void test_reserved(void **state)
{
	uint64_t at;

	(void)state;
	s->memory_limit = 4 * MIB;
	at = alloc_node(3 * MIB);
	assert_int_equal(s->memory_used, 3 * MIB);
	assert_int_equal(add(&(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_MEM_ALLOC, .alloc.bytesize = 2 * MIB }),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	assert_int_equal(s->memory_used, 3 * MIB);
	assert_int_equal(CALL(cuGraphExecDestroy, .graph_exec = EXEC), 0);
	assert_int_equal(s->memory_used, 0);
	assert_int_equal(CALL(cuMemFree_v2, .dptr = at), CUDA_ERROR_INVALID_VALUE);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(CALL(cuGraphCreate, .graph = GRAPH), 0);
		alloc_node(3 * MIB);
		assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	}
	assert_int_equal(s->memory_used, 0);
}

/* Launched and freed by the graph itself: as if it had not been launched. */
static void test_freed_inside(void **state)
{
	(void)state;
	assert_int_equal(free_node(alloc_node(MIB)), 0);
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	assert_int_equal(CALL(cuGraphLaunch, .graph = EXEC), 0);
	assert_int_equal(CALL(cuGraphExecDestroy, .graph_exec = EXEC), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	assert_int_equal(s->memory_used, 0);
}

/* Launched and not freed: the memory outlives the graph, until the guest frees it. */
static void test_live(void **state)
{
	uint64_t at = alloc_node(MIB);

	(void)state;
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	assert_int_equal(CALL(cuGraphLaunch, .graph = EXEC), 0);
	assert_int_equal(CALL(cuMemFree_v2, .dptr = at), 0);
	assert_int_equal(s->memory_used, 0);
	s->memory_limit = MIB - 1;
	assert_int_equal(CALL(cuGraphLaunch, .graph = EXEC), CUDA_ERROR_OUT_OF_MEMORY);
	s->memory_limit = 0;
	assert_int_equal(CALL(cuGraphLaunch, .graph = EXEC), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(cuGraphExecDestroy, .graph_exec = EXEC), 0);
	assert_int_equal(CALL(cuGraphDestroy, .graph = GRAPH), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(cuMemFree_v2, .dptr = at), 0);
	assert_int_equal(s->memory_used, 0);
}

/* Another graph frees it, when that is launched. */
static void test_freed_by_another(void **state)
{
	uint64_t at = alloc_node(MIB);

	(void)state;
	assert_int_equal(CALL(cuGraphCreate, .graph = ID(GRAPH, 2)), 0);
	assert_int_equal(add_tail(ID(GRAPH, 2), &(CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_MEM_FREE,
								     .free.dptr = at }, NULL, 0), 0);
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	assert_int_equal(CALL(graph_instantiate, .graph = ID(GRAPH, 2), .exec = ID(GRAPHEXEC, 2)), 0);
	assert_int_equal(CALL(cuGraphLaunch, .graph = EXEC), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(cuGraphLaunch, .graph = ID(GRAPHEXEC, 2)), 0);
	assert_int_equal(s->memory_used, 0);
}

static void test_captured(void **state)
{
	uint64_t stream = ID(STREAM, VGPU_STREAM_INDEX_FIRST), at;

	(void)state;
	assert_int_equal(CALL(stream_create, .stream = stream), 0);
	assert_int_equal(s->drv->cuGraphCreate(&fake.captured, 0), 0);
	assert_int_equal(CALL(cuMemAllocAsync, .bytesize = MIB, .stream = stream), 0);
	at = ((const struct vgpu_ret_cuMemAllocAsync *)reply())->dptr;
	assert_int_equal(CALL(cuMemFreeAsync, .dptr = at, .stream = stream), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(stream_end_capture, .stream = stream, .graph = ID(GRAPH, 2)), 0);
	assert_int_equal(s->memory_used, MIB);
	assert_int_equal(CALL(cuGraphDestroy, .graph = ID(GRAPH, 2)), 0);
	assert_int_equal(s->memory_used, 0);
}

/* The driver's handle is said for a graph that kernels launch, and for no other; it is no id. */
static void test_names(void **state)
{
	const struct vgpu_ret_graph_instantiate *o;

	(void)state;
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = EXEC), 0);
	o = reply();
	assert_int_equal(o->name, 0);
	assert_int_equal(CALL(graph_instantiate, .graph = GRAPH, .exec = ID(GRAPHEXEC, 2),
			      .flags = CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH), 0);
	o = reply();
	assert_int_not_equal(o->name, 0);
	assert_int_not_equal(CALL(cuGraphExecDestroy, .graph_exec = o->name), 0);
	assert_int_equal(CALL(cuGraphExecDestroy, .graph_exec = ID(GRAPHEXEC, 2)), 0);
}

static void test_user_objects(void **state)
{
	(void)state;
	assert_int_equal(CALL(user_object_create, .object = ID(USEROBJECT, 1), .references = 2), 0);
	assert_int_equal(CALL(cuUserObjectRetain, .object = ID(USEROBJECT, 1), .count = 3), 0);
	assert_int_equal(CALL(cuUserObjectRelease, .object = ID(USEROBJECT, 1), .count = 6), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(CALL(cuUserObjectRelease, .object = ID(USEROBJECT, 1), .count = 1), 0);
	assert_int_equal(CALL(cuUserObjectRetain, .object = GRAPH, .count = 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(fake.live, 2);	/* what is left goes with the session */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ids, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_payloads, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_edges, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_batches, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_copies, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_memsets, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_kernels, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_conditions, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_setting, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_reserved, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_freed_inside, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_live, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_freed_by_another, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_captured, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup_graph, teardown),
		cmocka_unit_test_setup_teardown(test_user_objects, setup_graph, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
