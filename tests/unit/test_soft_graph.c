/* SPDX-License-Identifier: MIT */
/* The soft device's graphs: cycles, order, one launch behind the other, what lives how long, captures across streams. */
#include "soft_test.h"

#include <pthread.h>
#include <stdatomic.h>

static CUgraphNode empty(CUgraph g, const CUgraphNode *deps, size_t count)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_EMPTY };
	CUgraphNode n;

	ok(cuGraphAddNode_v2(&n, g, deps, NULL, count, &p));
	return n;
}

static void cycles(void **state)
{
	CUgraphNode a, b, c, last;
	CUgraph g;
	size_t n = 0;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	a = empty(g, NULL, 0);
	b = empty(g, &a, 1);
	c = empty(g, &b, 1);
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &c, &a, NULL, 1));
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &a, &a, NULL, 1));
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &a, &b, NULL, 1));
	ok(cuGraphAddDependencies_v2(g, &a, &c, NULL, 1));
	ok(cuGraphGetEdges_v2(g, NULL, NULL, NULL, &n));
	assert_int_equal(n, 3);
	ok(cuGraphDestroyNode(b));
	fails(INVALID_VALUE, cuGraphDestroyNode(b));
	ok(cuGraphGetEdges_v2(g, NULL, NULL, NULL, &n));
	assert_int_equal(n, 1);
	last = empty(g, NULL, 0);
	ok(cuGraphAddDependencies_v2(g, &last, &a, NULL, 1));
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &a, &last, NULL, 1));
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &last, &last, NULL, 1));
	ok(cuGraphDestroy(g));
	fails(INVALID_VALUE, cuGraphDestroy(g));
	fails(INVALID_VALUE, cuGraphDestroyNode(a));
}

/* On a stack that is not deep: a node that waits for CHAIN others, directly or not. */
#define CHAIN	8000
#define STACK	(128 << 10)

static void *chain_of_edges(void *ctx)
{
	static CUgraphNode n[CHAIN];
	CUgraphExec exec;
	CUgraph g;

	ok(cuCtxSetCurrent(ctx));
	ok(cuGraphCreate(&g, 0));
	for (int i = 0; i < CHAIN; i++)
		n[i] = empty(g, NULL, 0);
	for (int i = 0; i + 1 < CHAIN; i++)
		ok(cuGraphAddDependencies_v2(g, &n[i + 1], &n[i], NULL, 1));
	fails(INVALID_VALUE, cuGraphAddDependencies_v2(g, &n[0], &n[CHAIN - 1], NULL, 1));
	ok(cuGraphInstantiateWithFlags(&exec, g, 0));
	ok(cuGraphLaunch(exec, NULL));
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
	return ctx;
}

static void *chain_of_captures(void *ctx)
{
	size_t count = 0;
	CUdeviceptr p;
	CUstream s;
	CUgraph g;

	ok(cuCtxSetCurrent(ctx));
	ok(cuMemAlloc_v2(&p, 64));
	ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	ok(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < CHAIN; i++)
		ok(cuMemsetD8Async(p, 1, 64, s));
	ok(cuStreamEndCapture(s, &g));
	ok(cuGraphGetNodes(g, NULL, &count));
	assert_int_equal(count, CHAIN);
	ok(cuGraphDestroy(g));
	ok(cuStreamDestroy_v2(s));
	ok(cuMemFree_v2(p));
	return ctx;
}

static void long_chains(void **state)
{
	void *(*const tests[])(void *) = { chain_of_edges, chain_of_captures };
	pthread_attr_t small;
	pthread_t thread;
	CUcontext ctx;
	void *done;

	(void)state;
	ok(cuCtxGetCurrent(&ctx));
	assert_int_equal(pthread_attr_init(&small), 0);
	assert_int_equal(pthread_attr_setstacksize(&small, STACK), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread, &small, tests[i], ctx), 0);
		assert_int_equal(pthread_join(thread, &done), 0);
		assert_ptr_equal(done, ctx);
	}
	pthread_attr_destroy(&small);
}

static atomic_int steps;

struct step {
	int seen;
};

static void step(void *data)
{
	((struct step *)data)->seen = atomic_fetch_add(&steps, 1);
}

static CUgraphNode call(CUgraph g, const CUgraphNode *deps, size_t count, struct step *s)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_HOST };
	CUgraphNode n;

	p.host.fn = step;
	p.host.userData = s;
	ok(cuGraphAddNode_v2(&n, g, deps, NULL, count, &p));
	return n;
}

/* Edges made against the order in which the nodes were added. */
static void order(void **state)
{
	struct step s[4] = { { -1 }, { -1 }, { -1 }, { -1 } };
	CUgraphNode n[4];
	CUgraphExec exec;
	CUgraph g;
	int i;

	(void)state;
	atomic_store(&steps, 0);
	ok(cuGraphCreate(&g, 0));
	for (i = 0; i < 4; i++)
		n[i] = call(g, NULL, 0, &s[i]);
	for (i = 0; i < 3; i++)
		ok(cuGraphAddDependencies_v2(g, &n[i + 1], &n[i], NULL, 1));
	ok(cuGraphInstantiateWithFlags(&exec, g, 0));
	ok(cuGraphLaunch(exec, NULL));
	ok(cuStreamSynchronize(NULL));
	for (i = 0; i < 4; i++)
		assert_int_equal(s[i].seen, 3 - i);
	ok(cuGraphExecDestroy(exec));
	ok(cuGraphDestroy(g));
}

/* Two launches of one executable do not overlap, in whatever streams; what it refers to lives until they are done. */
static void launches(void **state)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP };
	CUstreamBatchMemOpParams wait = { .operation = CU_STREAM_MEM_OP_WAIT_VALUE_32 };
	volatile uint32_t *gate = pinned(64);
	struct step s = { -1 }, gone = { -1 };
	CUuserObject object;
	CUstream a, b;
	CUgraphNode n;
	CUgraphExec exec;
	CUgraph g;

	(void)state;
	atomic_store(&steps, 0);
	wait.waitValue.address = dptr(gate);
	wait.waitValue.value = 1;
	wait.waitValue.flags = CU_STREAM_WAIT_VALUE_GEQ;
	p.memOp.count = 1;
	p.memOp.paramArray = &wait;
	ok(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	ok(cuGraphCreate(&g, 0));
	ok(cuGraphAddNode_v2(&n, g, NULL, NULL, 0, &p));
	call(g, &n, 1, &s);
	ok(cuUserObjectCreate(&object, &gone, step, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
	ok(cuGraphRetainUserObject(g, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
	ok(cuGraphInstantiateWithFlags(&exec, g, 0));
	ok(cuGraphDestroy(g));
	ok(cuGraphLaunch(exec, a));
	ok(cuGraphLaunch(exec, b));
	ok(cuGraphExecDestroy(exec));
	fails(NOT_READY, cuStreamQuery(b));
	assert_int_equal(gone.seen, -1);
	*gate = 1;
	ok(cuStreamSynchronize(a));
	ok(cuStreamSynchronize(b));
	assert_int_equal(s.seen, 1);
	while (*(volatile int *)&gone.seen < 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(gone.seen, 2);
	fails(INVALID_VALUE, cuUserObjectRetain(object, 1));
	ok(cuStreamDestroy_v2(a));
	ok(cuStreamDestroy_v2(b));
	ok(cuMemFreeHost((void *)gate));
}

/* A captured stream that goes away takes its capture along; other streams of it are free again. */
static void stream_goes(void **state)
{
	CUstreamCaptureStatus status;
	CUdeviceptr p;
	CUstream a, b;
	CUevent e;
	CUgraph g;

	(void)state;
	ok(cuMemAlloc_v2(&p, 64));
	ok(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
	ok(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
	ok(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	ok(cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
	fails(ILLEGAL_STATE, cuStreamBeginCapture_v2(a, CU_STREAM_CAPTURE_MODE_RELAXED));
	ok(cuMemsetD8Async(p, 1, 64, a));
	ok(cuEventRecord(e, a));
	ok(cuStreamWaitEvent(b, e, 0));
	fails(STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(b, &g));
	ok(cuStreamDestroy_v2(a));
	ok(cuStreamIsCapturing(b, &status));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_NONE);
	ok(cuMemsetD8Async(p, 1, 64, b));
	ok(cuStreamSynchronize(b));
	ok(cuStreamDestroy_v2(b));
	ok(cuEventDestroy_v2(e));
	ok(cuMemFree_v2(p));
}

static void refused(void **state)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_CONDITIONAL };
	CUgraphExec exec;
	CUgraphNode n;
	CUgraph g;

	(void)state;
	ok(cuGraphCreate(&g, 0));
	fails(INVALID_VALUE, cuGraphAddNode_v2(&n, g, NULL, NULL, 0, &p));	/* there is no such condition */
	fails(NOT_SUPPORTED, cuGraphInstantiateWithFlags(&exec, g, CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH));
	fails(INVALID_VALUE, cuGraphInstantiateWithFlags(&exec, NULL, 0));
	ok(cuGraphDestroy(g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cycles),
		cmocka_unit_test(long_chains),
		cmocka_unit_test(order),
		cmocka_unit_test(launches),
		cmocka_unit_test(stream_goes),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("soft graphs", tests, soft_test_begin, soft_test_end);
}
