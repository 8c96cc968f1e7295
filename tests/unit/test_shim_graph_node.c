/* SPDX-License-Identifier: MIT */
/* A node that is refused leaves nothing behind: no handles of bodies, no node with a part of its dependencies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "shim/context.h"
#include "shim/graph.h"
#include "shim/handle.h"
#include "shim_fake.h"

#define BODIES	3u

static _Atomic bool refuse;
static _Atomic uint64_t destroyed;
static uint64_t node_id;
static CUgraph graph;

static void answer(struct shim_fake *f, const struct vgpu_cmd *cmd)
{
	struct vgpu_ret_graph_add_node made = { .node = node_id };

	(void)f;
	switch (cmd->op) {
	case VGPU_OP_graph_add_node:
		shim_fake_reply(cmd, refuse ? CUDA_ERROR_INVALID_VALUE : 0, &made, sizeof(made));
		return;
	case VGPU_OP_graph_dependencies:
		shim_fake_reply(cmd, CUDA_ERROR_INVALID_VALUE, NULL, 0);
		return;
	case VGPU_OP_cuGraphDestroyNode:
		destroyed = ((const struct vgpu_args_cuGraphDestroyNode *)(cmd + 1))->node;
		break;
	default:
		break;
	}
	if (cmd->slot)
		shim_fake_reply(cmd, 0, NULL, 0);
}

static unsigned graphs(void)
{
	uint64_t wire = 0;
	unsigned n = 0;

	while ((wire = vgpu_handle_next(VGPU_HANDLE_GRAPH, wire)))
		n++;
	return n;
}

static CUgraphNodeParams conditional(void)
{
	return (CUgraphNodeParams){ .type = CU_GRAPH_NODE_TYPE_CONDITIONAL, .conditional.handle = 1,
				    .conditional.type = CU_GRAPH_COND_TYPE_SWITCH, .conditional.size = BODIES };
}

static void bodies_of_a_refused_node_have_no_handles(void **state)
{
	CUgraphNodeParams p = conditional();
	unsigned before = graphs();
	CUgraphNode node;

	(void)state;
	refuse = true;
	assert_int_equal(cuGraphAddNode(&node, graph, NULL, 0, &p), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(graphs(), before);
	p = conditional();
	p.conditional.ctx = (CUcontext)&p;	/* none */
	assert_int_not_equal(cuGraphAddNode(&node, graph, NULL, 0, &p), 0);
	assert_int_equal(graphs(), before);
	refuse = false;
	p = conditional();
	assert_int_equal(cuGraphAddNode(&node, graph, NULL, 0, &p), 0);
	assert_int_equal(graphs(), before + BODIES);
}

static void a_node_without_all_its_dependencies_goes(void **state)
{
	static CUgraphNode dependencies[VGPU_LINKS_MOST + 1];
	CUgraphNode node;
	size_t i;

	(void)state;
	for (i = 0; i <= VGPU_LINKS_MOST; i++)
		dependencies[i] = vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, node_id);
	assert_int_equal(cuGraphAddEmptyNode(&node, graph, dependencies, VGPU_LINKS_MOST), 0);
	assert_int_equal(destroyed, 0);
	assert_int_equal(cuGraphAddEmptyNode(&node, graph, dependencies, VGPU_LINKS_MOST + 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(destroyed, node_id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_of_a_refused_node_have_no_handles),
		cmocka_unit_test(a_node_without_all_its_dependencies_goes),
	};
	CUcontext ctx;
	int r;

	node_id = vgpu_handle_make(VGPU_HANDLE_GRAPHNODE, 1, 1);
	shim_fake.command = answer;
	r = shim_fake_start() || cuCtxCreate_v2(&ctx, 0, 0) || cuGraphCreate(&graph, 0) ? 1 :
		cmocka_run_group_tests(tests, NULL, NULL);
	shim_fake_stop();
	return r;
}
