/* SPDX-License-Identifier: MIT */
/*
 * Conditional nodes. A handle names a value, which kernels set and a launch may reset; handles are never given back.
 * The bodies of a node are child graphs of a graph that is the inside of the node, so that they are copied, compared
 * and freed like others. Which of them runs is known when the stream comes there: a thread of its own for that time
 * launches them in a stream of its own.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

#define CONDITIONS 65536u
#define BODIES_MOST 4096u
#define MARK (0x636f6e64ull << 32) /* in handles */

static struct condition {
	_Atomic uint32_t value;
	uint32_t initial;
	bool assign; /* the initial value, when a launch begins */
	bool taken;  /* by a node; under the graphs' lock */
} conditions[CONDITIONS];
static _Atomic uint32_t count;

static struct condition *find(uint64_t handle)
{
	uint64_t i = handle ^ MARK;

	return i < atomic_load_explicit(&count, memory_order_acquire) ? &conditions[i] : NULL;
}

bool soft_condition_set(uint64_t handle, uint32_t value)
{
	struct condition *c = find(handle);

	if (c)
		atomic_store_explicit(&c->value, value, memory_order_release);
	return c;
}

static CUresult soft_cuGraphConditionalHandleCreate(CUgraphConditionalHandle *out, CUgraph graph, CUcontext ctx,
						    unsigned int value, unsigned int flags)
{
	struct soft_context *found;
	CUresult rc = soft_enter_context(ctx, &found);
	struct condition *c;
	uint32_t i;

	if (rc)
		return rc;
	if (!out || flags & ~(unsigned int)CU_GRAPH_COND_ASSIGN_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	soft_graph_lock();
	i = atomic_load(&count);
	if (!soft_graph_get(graph)) {
		rc = CUDA_ERROR_INVALID_VALUE;
	} else if (i == CONDITIONS) {
		rc = CUDA_ERROR_OUT_OF_MEMORY;
	} else {
		c = &conditions[i];
		c->initial = value;
		c->assign = flags & CU_GRAPH_COND_ASSIGN_DEFAULT;
		atomic_store_explicit(&count, i + 1, memory_order_release);
		*out = MARK | i;
	}
	soft_graph_unlock();
	return rc;
}

/* ---- nodes; the graphs' lock is held ---- */

static bool size_fits(const CUDA_CONDITIONAL_NODE_PARAMS *c)
{
	switch (c->type) {
	case CU_GRAPH_COND_TYPE_IF:
		return c->size == 1 || c->size == 2;
	case CU_GRAPH_COND_TYPE_WHILE:
		return c->size == 1;
	case CU_GRAPH_COND_TYPE_SWITCH:
		return c->size && c->size <= BODIES_MOST;
	default:
		return false;
	}
}

static bool add_body(struct soft_graph *inside)
{
	struct soft_node *n = soft_node_new(inside);

	if (!n)
		return false;
	n->p.type = CU_GRAPH_NODE_TYPE_GRAPH;
	n->child = soft_graph_new();
	if (n->child)
		n->child->owner = n;
	return n->child;
}

/* The array that the application gets belongs to the node. */
static CUresult list_bodies(struct soft_node *n)
{
	const struct soft_node *body;
	CUgraph *list = calloc(n->child->count, sizeof(CUgraph));
	size_t i = 0;

	if (!list)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (body = n->child->first; body; body = body->next)
		list[i++] = (CUgraph)(uintptr_t)body->child->obj.handle;
	n->tail = list;
	n->p.conditional.phGraph_out = list;
	return CUDA_SUCCESS;
}

CUresult soft_condition_node(struct soft_node *n)
{
	const CUDA_CONDITIONAL_NODE_PARAMS *p = &n->p.conditional;
	struct condition *c = find(p->handle);
	unsigned int i;
	CUresult rc;

	if (!c || c->taken || !size_fits(p))
		return CUDA_ERROR_INVALID_VALUE;
	n->child = soft_graph_new();
	if (!n->child)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n->child->owner = n;
	for (i = 0; i < p->size; i++)
		if (!add_body(n->child))
			return CUDA_ERROR_OUT_OF_MEMORY;
	rc = list_bodies(n);
	c->taken = !rc;
	return rc;
}

CUresult soft_condition_copy(struct soft_node *n, const struct soft_node *from)
{
	soft_node_drop_params(n);
	n->p = from->p;
	n->child = soft_graph_copy(from->child);
	if (!n->child)
		return CUDA_ERROR_OUT_OF_MEMORY;
	n->child->owner = n;
	return list_bodies(n);
}

/* ---- launches ---- */

bool soft_condition_inside(const struct soft_graph *g)
{
	const struct soft_node *n;

	for (n = g->first; n; n = n->next)
		if (n->p.type == CU_GRAPH_NODE_TYPE_CONDITIONAL || (n->child && soft_condition_inside(n->child)))
			return true;
	return false;
}

void soft_condition_reset(const struct soft_graph *g)
{
	const struct soft_node *n;
	struct condition *c;

	for (n = g->first; n; n = n->next) {
		c = n->p.type == CU_GRAPH_NODE_TYPE_CONDITIONAL ? find(n->p.conditional.handle) : NULL;
		if (c && c->assign)
			atomic_store_explicit(&c->value, c->initial, memory_order_release);
		if (n->child)
			soft_condition_reset(n->child);
	}
}

struct condition_op {
	struct soft_op op;
	const struct soft_node *node; /* of an executable that lives until the launch is over */
};

static struct soft_graph *body_at(const struct soft_node *n, uint32_t i)
{
	const struct soft_node *body = n->child->first;

	while (body && i--)
		body = body->next;
	return body ? body->child : NULL;
}

/* The body that is next, NULL: none. */
static struct soft_graph *choose(const struct soft_node *n)
{
	uint32_t value = atomic_load_explicit(&find(n->p.conditional.handle)->value, memory_order_acquire);

	switch (n->p.conditional.type) {
	case CU_GRAPH_COND_TYPE_IF:
		return body_at(n, !value);
	case CU_GRAPH_COND_TYPE_WHILE:
		return value ? body_at(n, 0) : NULL;
	default:
		return body_at(n, value);
	}
}

static CUresult run_bodies(const struct soft_node *n, const struct soft_context *ctx, CUstream stream)
{
	const struct vgpu_driver *d = vgpu_soft_driver();
	struct soft_graph *body = choose(n);
	CUresult rc = CUDA_SUCCESS;

	while (!rc && body && !atomic_load(&ctx->cancelled)) {
		rc = soft_graph_run(body, stream);
		if (!rc)
			rc = d->cuStreamSynchronize(stream);
		body = n->p.conditional.type == CU_GRAPH_COND_TYPE_WHILE ? choose(n) : NULL;
	}
	return rc;
}

static void *decide(void *arg)
{
	const struct vgpu_driver *d = vgpu_soft_driver();
	struct condition_op *op = arg;
	const struct soft_context *ctx = op->op.stream->obj.ctx;
	CUstream stream;
	CUresult rc = d->cuCtxSetCurrent(soft_context_handle(ctx));

	if (!rc)
		rc = d->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
	if (!rc) {
		rc = run_bodies(op->node, ctx, stream);
		d->cuStreamDestroy_v2(stream);
	}
	if (rc && atomic_load(&ctx->active)) {
		soft_poison(rc);
		soft_sched_kick();
	}
	soft_handed_done(&op->op);
	return NULL;
}

static void hand_over(struct soft_op *op)
{
	sigset_t all, old;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, NULL, decide, op);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc) {
		pthread_detach(thread);
		return;
	}
	soft_poison(CUDA_ERROR_OUT_OF_MEMORY);
	soft_handed_done(op);
}

CUresult soft_condition_run(const struct soft_node *n, CUstream handle)
{
	struct condition_op *op;
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	op = calloc(1, sizeof(*op));
	if (op) {
		op->op.run = hand_over;
		op->op.handed = true;
		op->node = n;
		soft_submit(s, &op->op);
	}
	soft_put(&s->obj);
	return op ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

void soft_fill_condition(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuGraphConditionalHandleCreate);
}
