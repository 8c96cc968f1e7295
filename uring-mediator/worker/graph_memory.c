/* SPDX-License-Identifier: MIT */
/*
 * Memory of mem alloc nodes.  Its addresses are reserved from the moment that the node is there until the last graph and
 * executable that holds it is gone, and so long it is charged.  A launch allocates it: what no node of the same graph
 * frees lives on, after graph and executable too, until the guest or another graph frees it.
 *
 * One note for each node and holder (graph or executable); the worker's only thread.
 */
#include <stdlib.h>

#include <gen/driver_table.h>

#include "graph.h"

struct vgpu_graph_memory {
	struct vgpu_graph_memory *next;
	const void *holder;	/* the driver's CUgraph, outermost, or CUgraphExec */
	uint64_t at, bytes;	/* bytes 0: a node that frees memory of another graph */
	bool freed;		/* by a node of the same graph */
	bool live;		/* launched, and not freed by the same graph */
};

static CUresult note(struct vgpu_session *s, const struct vgpu_graph_memory *m)
{
	struct vgpu_graph_memory *n = malloc(sizeof(*n));

	if (!n)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*n = *m;
	n->next = s->graph_memory;
	s->graph_memory = n;
	return CUDA_SUCCESS;
}

CUresult vgpu_graph_memory_alloc(struct vgpu_session *s, CUgraph graph, uint64_t at, uint64_t bytes)
{
	return note(s, &(struct vgpu_graph_memory){ .holder = graph, .at = at, .bytes = bytes });
}

CUresult vgpu_graph_memory_free(struct vgpu_session *s, CUgraph graph, uint64_t at)
{
	bool own = false;

	for (struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next)
		if (m->holder == graph && m->at == at && m->bytes)
			own = m->freed = true;
	return own ? CUDA_SUCCESS : note(s, &(struct vgpu_graph_memory){ .holder = graph, .at = at });
}

void vgpu_graph_memory_move(struct vgpu_session *s, CUgraph child, CUgraph into)
{
	for (struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next)
		if (m->holder == child)
			m->holder = into;
}

CUresult vgpu_graph_memory_instantiated(struct vgpu_session *s, CUgraph graph, CUgraphExec exec)
{
	struct vgpu_graph_memory copy;
	CUresult r = CUDA_SUCCESS;

	/* New notes come before the first one that is looked at. */
	for (const struct vgpu_graph_memory *m = s->graph_memory; m && !r; m = m->next) {
		if (m->holder != graph)
			continue;
		copy = *m;
		copy.holder = exec;
		r = note(s, &copy);
	}
	return r;
}

bool vgpu_graph_memory_open(const struct vgpu_session *s, CUgraphExec exec)
{
	for (const struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next)
		if (m->holder == exec && (!m->bytes || !m->freed))
			return true;
	return false;
}

/* Is memory from a pool noted as starting there? */
static bool present(const struct vgpu_session *s, uint64_t at)
{
	const struct vgpu_mem_range *r = vgpu_ranges_find(&s->ranges, at);

	return r && r->start == at && r->kind == VGPU_RANGE_POOL;
}

static void forget(struct vgpu_session *s, uint64_t at)
{
	if (present(s, at))
		vgpu_memory_release(s, vgpu_ranges_remove(&s->ranges, at));
}

CUresult vgpu_graph_memory_before_launch(struct vgpu_session *s, CUgraphExec exec)
{
	CUresult r = CUDA_SUCCESS;

	for (const struct vgpu_graph_memory *m = s->graph_memory; m && !r; m = m->next) {
		if (m->holder != exec || !m->bytes || present(s, m->at))
			continue;
		r = vgpu_memory_charge(s, m->bytes);
		if (r)
			break;
		r = vgpu_memory_enter(s, m->at, m->bytes, VGPU_RANGE_POOL);
		if (r)
			vgpu_memory_release(s, m->bytes);
	}
	return r;
}

static void set_live(struct vgpu_session *s, uint64_t at)
{
	for (struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next)
		if (m->at == at && m->bytes)
			m->live = true;
}

void vgpu_graph_memory_launched(struct vgpu_session *s, CUgraphExec exec)
{
	for (const struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next) {
		if (m->holder != exec)
			continue;
		if (!m->bytes)
			forget(s, m->at);
		else if (!m->freed && !m->live)
			set_live(s, m->at);
	}
}

static bool held(const struct vgpu_session *s, uint64_t at)
{
	for (const struct vgpu_graph_memory *m = s->graph_memory; m; m = m->next)
		if (m->at == at && m->bytes)
			return true;
	return false;
}

void vgpu_graph_memory_gone(struct vgpu_session *s, const void *holder)
{
	struct vgpu_graph_memory **link = &s->graph_memory, *m, *gone = NULL;

	while ((m = *link)) {
		if (m->holder != holder) {
			link = &m->next;
			continue;
		}
		*link = m->next;
		m->next = gone;
		gone = m;
	}
	while ((m = gone)) {
		gone = m->next;
		if (m->bytes && !m->live && !held(s, m->at))
			forget(s, m->at);
		free(m);
	}
}

void vgpu_graph_memory_end(struct vgpu_session *s)
{
	struct vgpu_graph_memory *m;

	while ((m = s->graph_memory)) {
		s->graph_memory = m->next;
		free(m);
	}
}
