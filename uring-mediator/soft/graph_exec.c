/* SPDX-License-Identifier: MIT */
/*
 * Executable graphs. Launching one puts the operations of its nodes into the stream, in an order that honours their
 * dependencies, by the calls of this very driver. A launch begins when the one before it is done. What an executable
 * holds lives until the last launch is done: its last operation has a reference.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"
#include "memory.h"

struct soft_exec {
	struct soft_object obj; /* SOFT_EXEC */
	pthread_mutex_t lock;
	struct soft_graph *graph; /* a private copy: nobody has its handle */
	uint64_t flags;
	struct soft_stream *stream; /* of the last launch, a reference */
	uint64_t seq;
};

struct end_op {
	struct soft_op op;
	struct soft_exec *exec; /* a reference */
};

static void release(struct soft_object *o)
{
	struct soft_exec *e = (struct soft_exec *)o;

	soft_graph_free(e->graph);
	if (e->stream)
		soft_put(&e->stream->obj);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static CUresult instantiate(CUgraphExec *out, CUgraph handle, uint64_t flags)
{
	struct soft_exec *e;
	struct soft_graph *g;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) {
		soft_log(VGPU_SOFT_WARNING, "graphs: launches from the device are not supported");
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	if (!out || flags & ~15ull)
		return CUDA_ERROR_INVALID_VALUE;
	e = calloc(1, sizeof(*e));
	if (!e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_graph_lock();
	g = soft_graph_get(handle);
	e->graph = g ? soft_graph_copy(g) : NULL;
	soft_graph_unlock();
	if (!e->graph) {
		free(e);
		return g ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
	}
	e->flags = flags;
	pthread_mutex_init(&e->lock, NULL);
	soft_object_init(&e->obj, SOFT_EXEC, NULL, release);
	if (soft_bind(&e->obj) < 0) {
		soft_put(&e->obj);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = (CUgraphExec)(uintptr_t)e->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult soft_cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph, unsigned long long flags)
{
	return instantiate(out, graph, flags);
}

static CUresult soft_cuGraphInstantiateWithParams(CUgraphExec *out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
	CUresult rc = p ? instantiate(out, graph, p->flags) : CUDA_ERROR_INVALID_VALUE;

	if (p) {
		p->hErrNode_out = NULL;
		p->result_out = rc ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
	}
	return rc;
}

static CUresult enter(CUgraphExec handle, struct soft_exec **e)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	*e = soft_get((uint64_t)(uintptr_t)handle, SOFT_EXEC);
	return *e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuGraphExecDestroy(CUgraphExec handle)
{
	struct soft_object *o;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	o = soft_take((uint64_t)(uintptr_t)handle, SOFT_EXEC);
	if (!o)
		return CUDA_ERROR_INVALID_VALUE;
	soft_put(o);
	return CUDA_SUCCESS;
}

static CUresult soft_cuGraphExecGetFlags(CUgraphExec handle, cuuint64_t *flags)
{
	struct soft_exec *e;
	CUresult rc = flags ? enter(handle, &e) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	*flags = e->flags;
	soft_put(&e->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuGraphUpload(CUgraphExec handle, CUstream stream)
{
	struct soft_exec *e;
	CUresult rc = enter(handle, &e);

	(void)stream; /* there is nothing that would have to be somewhere else */
	if (!rc)
		soft_put(&e->obj);
	return rc;
}

/* ---- launching ---- */

static CUresult run_memset(const CUDA_MEMSET_NODE_PARAMS_v2 *m, CUstream s)
{
	const struct vgpu_driver *d = vgpu_soft_driver();
	size_t pitch = m->height > 1 ? m->pitch : m->width * m->elementSize;

	if (m->elementSize == 1)
		return d->cuMemsetD2D8Async(m->dst, pitch, (unsigned char)m->value, m->width, m->height, s);
	if (m->elementSize == 2)
		return d->cuMemsetD2D16Async(m->dst, pitch, (unsigned short)m->value, m->width, m->height, s);
	return d->cuMemsetD2D32Async(m->dst, pitch, m->value, m->width, m->height, s);
}

static CUresult run_kernel(const struct soft_node *n, CUstream s)
{
	const CUDA_KERNEL_NODE_PARAMS_v3 *k = &n->p.kernel;
	CUfunction f = k->func ? k->func : (CUfunction)(uintptr_t)k->kern;

	return vgpu_soft_driver()->cuLaunchKernel(f, k->gridDimX, k->gridDimY, k->gridDimZ, k->blockDimX, k->blockDimY,
						  k->blockDimZ, k->sharedMemBytes, s, n->args, NULL);
}

static CUresult run_node(const struct soft_node *n, CUstream s)
{
	const struct vgpu_driver *d = vgpu_soft_driver();

	switch (n->p.type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return run_kernel(n, s);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return d->cuMemcpy3DAsync_v2(&n->p.memcpy.copyParams, s);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return run_memset(&n->p.memset, s);
	case CU_GRAPH_NODE_TYPE_HOST:
		return d->cuLaunchHostFunc(s, n->p.host.fn, n->p.host.userData);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return soft_graph_run(n->child, s);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return d->cuStreamWaitEvent(s, n->p.eventWait.event, 0);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return d->cuEventRecord(n->p.eventRecord.event, s);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return d->cuStreamBatchMemOp_v2(s, n->p.memOp.count, n->p.memOp.paramArray, 0);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return soft_condition_run(n, s);
	default:	/* an empty node; memory is there as long as the graph is */
		return CUDA_SUCCESS;
	}
}

CUresult soft_graph_run(struct soft_graph *g, CUstream s)
{
	struct soft_node **order = calloc(g->count + 1, sizeof(struct soft_node *));
	CUresult rc = CUDA_SUCCESS;
	size_t i;

	if (!order)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_graph_order(g, order);
	for (i = 0; i < g->count && !rc; i++)
		if (!order[i]->disabled)
			rc = run_node(order[i], s);
	free(order);
	return rc;
}

static bool frees(const struct soft_graph *g, CUdeviceptr start)
{
	for (const struct soft_node *n = g->first; n; n = n->next)
		if (n->p.type == CU_GRAPH_NODE_TYPE_MEM_FREE && n->p.free.dptr == start)
			return true;
	return false;
}

/*
 * What a launch allocates and leaves, or frees of another graph. `change`: note it; else only say whether it can be: what
 * an earlier launch left must have been freed, unless the executable frees it on launch.
 */
static CUresult settle_memory(const struct soft_exec *e, bool change)
{
	const bool replace = e->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
	struct soft_region r;

	for (const struct soft_node *n = e->graph->first; n; n = n->next) {
		const bool alloc = n->memory && !frees(e->graph, n->memory->start);

		if (!alloc && n->p.type != CU_GRAPH_NODE_TYPE_MEM_FREE)
			continue;
		if (!soft_memory_find(alloc ? n->memory->start : n->p.free.dptr, &r) || !(r.tag & SOFT_TAG_GRAPH))
			continue;
		if (alloc && !change && !replace && !(r.tag & SOFT_TAG_IDLE))
			return CUDA_ERROR_INVALID_VALUE;
		if (change)
			soft_heap_retag(&soft_devices[r.device].heap, r.start, r.tag,
					alloc ? r.tag & ~SOFT_TAG_IDLE : r.tag | SOFT_TAG_IDLE);
	}
	return CUDA_SUCCESS;
}

static void run_nothing(struct soft_op *op)
{
	(void)op;
}

static void drop_end(struct soft_op *op)
{
	soft_put(&((struct end_op *)op)->exec->obj);
}

/* What is launched now comes behind the launch before, in whichever stream that was. */
static CUresult await_last(struct soft_exec *e, struct soft_stream *s)
{
	struct soft_op *op;

	if (!e->stream || e->stream == s || soft_reached(e->stream, e->seq))
		return CUDA_SUCCESS;
	op = calloc(1, sizeof(*op));
	if (!op || soft_op_depend(op, e->stream, e->seq) < 0) {
		free(op);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	op->run = run_nothing;
	op->quick = true;
	soft_submit(s, op);
	return CUDA_SUCCESS;
}

static void note_end(struct soft_exec *e, struct soft_stream *s, struct end_op *end)
{
	soft_ref(&e->obj);
	end->exec = e;
	end->op.run = run_nothing;
	end->op.drop = drop_end;
	end->op.quick = true;
	soft_ref(&s->obj);
	if (e->stream)
		soft_put(&e->stream->obj);
	e->stream = s;
	e->seq = soft_submit(s, &end->op);
}

struct begin_op {
	struct soft_op op;
	const struct soft_graph *graph;
};

static void run_begin(struct soft_op *op)
{
	soft_condition_reset(((struct begin_op *)op)->graph);
}

/* The first operation of a launch, if conditions are to be reset. */
static CUresult begin(const struct soft_exec *e, struct soft_stream *s)
{
	struct begin_op *op;

	if (!soft_condition_inside(e->graph))
		return CUDA_SUCCESS;
	op = calloc(1, sizeof(*op));
	if (!op)
		return CUDA_ERROR_OUT_OF_MEMORY;
	op->graph = e->graph;
	op->op.run = run_begin;
	op->op.quick = true;
	soft_submit(s, &op->op);
	return CUDA_SUCCESS;
}

static CUresult launch(struct soft_exec *e, struct soft_stream *s, CUstream handle)
{
	struct end_op *end = calloc(1, sizeof(*end));
	CUresult rc = end ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	if (rc)
		return rc;
	pthread_mutex_lock(&e->lock);
	rc = settle_memory(e, false);
	if (rc) {
		pthread_mutex_unlock(&e->lock);
		free(end);
		return rc;
	}
	rc = await_last(e, s);
	if (!rc)
		rc = begin(e, s);
	if (!rc)
		rc = soft_graph_run(e->graph, handle);
	if (!rc)
		settle_memory(e, true);
	note_end(e, s, end);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static CUresult soft_cuGraphLaunch(CUgraphExec handle, CUstream stream)
{
	struct soft_context *ctx;
	struct soft_stream *s;
	struct soft_exec *e;
	CUresult rc = soft_enter(&ctx);

	if (!rc)
		rc = enter(handle, &e);
	if (rc)
		return rc;
	rc = soft_stream_of(ctx, stream, &s);
	if (!rc) {
		rc = soft_captured(s) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : launch(e, s, stream);
		soft_put(&s->obj);
	}
	soft_put(&e->obj);
	return rc;
}

/* ---- changing ---- */

/* Before it is changed: bodies of conditional nodes are read while a launch runs. Its lock is held, that of graphs not. */
static void settle(struct soft_exec *e)
{
	if (e->stream && soft_condition_inside(e->graph))
		soft_wait(e->stream, e->seq);
}

/* The executable's twin of a node; both locks are held when this succeeds. */
static CUresult enter_node(CUgraphExec exec, CUgraphNode handle, struct soft_exec **e, struct soft_node **n)
{
	CUresult rc = enter(exec, e);

	if (rc)
		return rc;
	pthread_mutex_lock(&(*e)->lock);
	settle(*e);
	soft_graph_lock();
	*n = soft_node_get(handle) ? soft_graph_twin((*e)->graph, (uint64_t)(uintptr_t)handle) : NULL;
	if (*n)
		return CUDA_SUCCESS;
	soft_graph_unlock();
	pthread_mutex_unlock(&(*e)->lock);
	soft_put(&(*e)->obj);
	return CUDA_ERROR_INVALID_VALUE;
}

static void leave_node(struct soft_exec *e)
{
	soft_graph_unlock();
	pthread_mutex_unlock(&e->lock);
	soft_put(&e->obj);
}

static uint32_t position(const struct soft_graph *g, const struct soft_node *node)
{
	const struct soft_node *n;
	uint32_t i = 0;

	for (n = g->first; n != node; n = n->next)
		i++;
	return i;
}

static bool same_place(const struct soft_node *a, const struct soft_node *b)
{
	uint32_t i, j;

	if (a->num_deps != b->num_deps)
		return false;
	for (i = 0; i < a->num_deps; i++) {
		for (j = 0; j < b->num_deps; j++)
			if (position(a->graph, a->deps[i]) == position(b->graph, b->deps[j]))
				break;
		if (j == b->num_deps)
			return false;
	}
	return true;
}

/* Whether the graphs differ in no more than parameters: nodes are paired in the order in which they were added. */
static CUgraphExecUpdateResult compare(const struct soft_graph *g, const struct soft_graph *with,
				       const struct soft_node **error)
{
	const struct soft_node *a, *b;
	CUgraphExecUpdateResult r = CU_GRAPH_EXEC_UPDATE_SUCCESS;

	if (g->count != with->count)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (a = g->first, b = with->first; a && !r; a = a->next, b = b->next) {
		*error = b;
		if (a->p.type != b->p.type)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if (!same_place(a, b))
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		if (a->memory)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
		if (a->child)
			r = compare(a->child, b->child, error);
	}
	return r;
}

/* What is inside a node may be exchanged for what differs in parameters only. */
static bool same_inside(const struct soft_node *n, const CUgraphNodeParams *p)
{
	const struct soft_graph *g = soft_graph_get(p->graph.graph);
	const struct soft_node *error;

	return g && compare(n->child, g, &error) == CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

static CUresult soft_cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode handle, CUgraphNodeParams *p)
{
	struct soft_exec *e;
	struct soft_node *n;
	CUresult rc = p ? enter_node(exec, handle, &e, &n) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	if (n->p.type != p->type || n->memory || p->type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
	    p->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc && n->child && !same_inside(n, p))
		rc = CUDA_ERROR_INVALID_VALUE;
	if (!rc && n->child && e->stream)	/* the old inside may be at work */
		soft_wait(e->stream, e->seq);
	if (!rc)
		rc = soft_node_set(n, p);
	leave_node(e);
	return rc;
}

static bool can_disable(const struct soft_node *n)
{
	return n->p.type == CU_GRAPH_NODE_TYPE_KERNEL || n->p.type == CU_GRAPH_NODE_TYPE_MEMCPY ||
	       n->p.type == CU_GRAPH_NODE_TYPE_MEMSET;
}

static CUresult soft_cuGraphNodeSetEnabled(CUgraphExec exec, CUgraphNode handle, unsigned int enabled)
{
	struct soft_exec *e;
	struct soft_node *n;
	CUresult rc = enter_node(exec, handle, &e, &n);

	if (rc)
		return rc;
	if (can_disable(n))
		n->disabled = !enabled;
	else
		rc = CUDA_ERROR_INVALID_VALUE;
	leave_node(e);
	return rc;
}

static CUresult soft_cuGraphNodeGetEnabled(CUgraphExec exec, CUgraphNode handle, unsigned int *enabled)
{
	struct soft_exec *e;
	struct soft_node *n;
	CUresult rc = enabled ? enter_node(exec, handle, &e, &n) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	if (can_disable(n))
		*enabled = !n->disabled;
	else
		rc = CUDA_ERROR_INVALID_VALUE;
	leave_node(e);
	return rc;
}

/* Takes over parameters and user objects; those that the graph had go to *old. */
static CUresult assign(struct soft_graph *g, const struct soft_graph *from, struct soft_user_ref **old)
{
	struct soft_node *n, *f = from->first;
	struct soft_user_ref **last = &g->users;
	CUresult rc = CUDA_SUCCESS;

	for (n = g->first; n && !rc; n = n->next, f = f->next)
		rc = n->child ? assign(n->child, f->child, old) : soft_node_assign(n, f);
	if (rc)
		return rc;
	while (*last)
		last = &(*last)->next;
	*last = *old;
	*old = g->users;
	g->users = NULL;
	return soft_users_copy(g, from);
}

struct retire_op {
	struct soft_op op;
	struct soft_user_ref *users;
};

static void drop_retired(struct soft_op *op)
{
	soft_users_free(&((struct retire_op *)op)->users);
}

/* Gives up user objects when the launches that may use them are done. */
static void retire(struct soft_exec *e, struct soft_user_ref *users)
{
	struct retire_op *op = users && e->stream ? calloc(1, sizeof(*op)) : NULL;

	if (!op) {	/* never launched, or no memory to do it later */
		if (users && e->stream)
			soft_wait(e->stream, e->seq);
		soft_users_free(&users);
		return;
	}
	op->users = users;
	op->op.run = run_nothing;
	op->op.drop = drop_retired;
	soft_submit(e->stream, &op->op);
}

static CUresult soft_cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph handle, CUgraphExecUpdateResultInfo *info)
{
	const struct soft_node *error = NULL;
	struct soft_user_ref *old = NULL;
	struct soft_graph *g;
	struct soft_exec *e;
	CUresult rc = info ? enter(exec, &e) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	*info = (CUgraphExecUpdateResultInfo){ .result = CU_GRAPH_EXEC_UPDATE_ERROR };
	pthread_mutex_lock(&e->lock);
	settle(e);
	soft_graph_lock();
	g = soft_graph_get(handle);
	rc = CUDA_ERROR_INVALID_VALUE;
	if (g) {
		info->result = compare(e->graph, g, &error);
		rc = info->result ? CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE : assign(e->graph, g, &old);
		retire(e, old);
		if (info->result && error)
			info->errorNode = (CUgraphNode)(uintptr_t)error->obj.handle;
	}
	soft_graph_unlock();
	pthread_mutex_unlock(&e->lock);
	soft_put(&e->obj);
	return rc;
}

void soft_fill_graph_exec(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuGraphInstantiateWithFlags);
	SOFT_SLOT(d, cuGraphInstantiateWithParams);
	SOFT_SLOT(d, cuGraphExecDestroy);
	SOFT_SLOT(d, cuGraphExecGetFlags);
	SOFT_SLOT(d, cuGraphUpload);
	SOFT_SLOT(d, cuGraphLaunch);
	SOFT_SLOT(d, cuGraphExecNodeSetParams);
	SOFT_SLOT(d, cuGraphNodeSetEnabled);
	SOFT_SLOT(d, cuGraphNodeGetEnabled);
	SOFT_SLOT(d, cuGraphExecUpdate_v2);
}
