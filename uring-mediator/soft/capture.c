/* SPDX-License-Identifier: MIT */
/*
 * Stream capture: operations of a captured stream become nodes of a graph. Each captured stream has a front, the nodes
 * that its next operation depends on; an event recorded there remembers the front, and a stream that waits for it
 * joins. Which calls a capture forbids to threads is not looked at here: the mediator captures in the relaxed mode and
 * keeps those rules itself.
 *
 * Nodes are remembered by handle, since the application may destroy them meanwhile. Under the lock of the graphs.
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

struct front {
	CUgraphNode *nodes;
	CUgraphEdgeData *edges; /* all plain */
	size_t count;
};

struct member {
	struct member *next;
	struct soft_stream *stream; /* not a reference; NULL when it is gone, and what it did is to be joined all the same */
	struct front front;
};

struct mark {
	struct mark *next;
	uint64_t event;
	struct front front;
};

struct soft_capture {
	struct soft_capture *next; /* of all */
	uint64_t id;
	CUgraph graph;
	bool own;                  /* the graph was made for it */
	bool invalid;
	struct soft_stream *origin;
	struct member *members;
	struct mark *marks;
};

static struct soft_capture *captures;
static uint64_t ids;
static atomic_uint live;

bool soft_captured(struct soft_stream *s)
{
	return atomic_load_explicit(&s->capture, memory_order_acquire);
}

/* ---- fronts ---- */

static void front_free(struct front *f)
{
	free(f->nodes);
	free(f->edges);
	*f = (struct front){ 0 };
}

/* Sets *to to the nodes of @add, behind those it has when @keep. */
static CUresult front_set(struct front *to, const CUgraphNode *add, size_t count, bool keep)
{
	size_t kept = keep ? to->count : 0, i, j;
	CUgraphNode *nodes = calloc(kept + count + 1, sizeof(CUgraphNode));
	CUgraphEdgeData *edges = calloc(kept + count + 1, sizeof(*edges));

	if (!nodes || !edges) {
		free(nodes);
		free(edges);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (kept)
		memcpy(nodes, to->nodes, kept * sizeof(CUgraphNode));
	for (i = 0; i < count; i++) {
		for (j = 0; j < kept && nodes[j] != add[i]; j++)
			;
		if (j == kept)
			nodes[kept++] = add[i];
	}
	front_free(to);
	*to = (struct front){ nodes, edges, kept };
	return CUDA_SUCCESS;
}

static struct member *member_of(struct soft_stream *s)
{
	struct soft_capture *c = atomic_load(&s->capture);
	struct member *m = c ? c->members : NULL;

	while (m && m->stream != s)
		m = m->next;
	return m;
}

static struct member *join(struct soft_capture *c, struct soft_stream *s)
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->stream = s;
	m->next = c->members;
	c->members = m;
	atomic_store(&s->capture, c);
	return m;
}

static void dissolve(struct soft_capture *c)
{
	struct soft_capture **p = &captures;
	struct member *m;
	struct mark *k;

	while ((m = c->members)) {
		c->members = m->next;
		if (m->stream)
			atomic_store(&m->stream->capture, NULL);
		front_free(&m->front);
		free(m);
	}
	while ((k = c->marks)) {
		c->marks = k->next;
		front_free(&k->front);
		free(k);
	}
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	atomic_fetch_sub(&live, 1);
	free(c);
}

/* ---- for the calls that make operations ---- */

static CUresult capture(struct soft_stream *s, const CUgraphNodeParams *p, struct soft_node **out)
{
	struct soft_capture *c = atomic_load(&s->capture);
	struct member *m = member_of(s);
	struct soft_graph *g = c ? soft_graph_get(c->graph) : NULL;
	struct soft_node **deps;
	CUgraphNode made;
	CUresult rc;
	size_t i, n = 0;

	if (!g || c->invalid)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	deps = calloc(m->front.count + 1, sizeof(struct soft_node *));
	if (!deps)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (i = 0; i < m->front.count; i++) {
		deps[n] = soft_node_get(m->front.nodes[i]);
		n += deps[n] != NULL;
	}
	rc = soft_node_add(g, deps, NULL, n, p, out);
	free(deps);
	made = rc ? NULL : (CUgraphNode)(uintptr_t)(*out)->obj.handle;
	if (!rc)
		rc = front_set(&m->front, &made, 1, false);
	c->invalid = c->invalid || rc;
	return rc;
}

CUresult soft_capture(struct soft_stream *s, const CUgraphNodeParams *p, struct soft_node **out)
{
	struct soft_node *n;
	CUresult rc;

	soft_graph_lock();
	rc = capture(s, p, out ? out : &n);
	soft_graph_unlock();
	return rc;
}

static void forget_event(uint64_t event)
{
	struct soft_capture *c;
	struct mark **p, *k;

	for (c = captures; c; c = c->next)
		for (p = &c->marks; (k = *p);) {
			if (k->event != event) {
				p = &k->next;
				continue;
			}
			*p = k->next;
			front_free(&k->front);
			free(k);
		}
}

void soft_capture_forget_event(uint64_t event)
{
	if (!atomic_load(&live))
		return;
	soft_graph_lock();
	forget_event(event);
	soft_graph_unlock();
}

void soft_capture_forget_stream(struct soft_stream *s)
{
	struct soft_capture *c;
	struct member *m;

	if (!soft_captured(s))
		return;
	soft_graph_lock();
	c = atomic_load(&s->capture);
	m = member_of(s);
	if (c && c->origin == s)
		dissolve(c);
	else if (m)
		m->stream = NULL;
	soft_graph_unlock();
}

CUresult soft_capture_record(struct soft_stream *s, uint64_t event)
{
	struct mark *k = calloc(1, sizeof(*k));
	struct member *m;
	CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

	soft_graph_lock();
	m = member_of(s);
	forget_event(event);
	if (k && m) {
		k->event = event;
		rc = front_set(&k->front, m->front.nodes, m->front.count, false);
	}
	if (rc || !m) {
		free(k);
	} else {
		k->next = atomic_load(&s->capture)->marks;
		atomic_load(&s->capture)->marks = k;
	}
	soft_graph_unlock();
	return rc;
}

static struct mark *find_mark(uint64_t event, struct soft_capture **c)
{
	struct mark *k;

	for (*c = captures; *c; *c = (*c)->next)
		for (k = (*c)->marks; k; k = k->next)
			if (k->event == event)
				return k;
	return NULL;
}

CUresult soft_capture_wait(struct soft_stream *s, uint64_t event, bool *mine)
{
	struct soft_capture *c, *own;
	struct member *m;
	struct mark *k;
	CUresult rc = CUDA_SUCCESS;

	*mine = atomic_load(&live);
	if (!*mine)
		return CUDA_SUCCESS;
	soft_graph_lock();
	own = atomic_load(&s->capture);
	k = find_mark(event, &c);
	*mine = k || own;
	if (k && own && own != c) {
		own->invalid = c->invalid = true;
		rc = CUDA_ERROR_STREAM_CAPTURE_MERGE;
	} else if (k) {
		m = own ? member_of(s) : join(c, s);
		rc = m ? front_set(&m->front, k->front.nodes, k->front.count, true) : CUDA_ERROR_OUT_OF_MEMORY;
	} else if (own) {
		own->invalid = true;
		rc = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
	}
	soft_graph_unlock();
	return rc;
}

/* ---- calls ---- */

static CUresult begin(struct soft_stream *s, CUgraph graph, const CUgraphNode *nodes, size_t count)
{
	struct soft_graph *g = graph ? soft_graph_get(graph) : soft_graph_new();
	struct soft_capture *c = g ? calloc(1, sizeof(*c)) : NULL;
	struct member *m;
	CUresult rc;

	if (!g)
		return graph ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
	m = c ? join(c, s) : NULL;
	rc = m ? front_set(&m->front, nodes, count, false) : CUDA_ERROR_OUT_OF_MEMORY;
	if (rc) {
		atomic_store(&s->capture, NULL);
		free(m);
		free(c);
		if (!graph)
			soft_graph_free(g);
		return rc;
	}
	c->id = ++ids;
	c->graph = (CUgraph)(uintptr_t)g->obj.handle;
	c->own = !graph;
	c->origin = s;
	c->next = captures;
	captures = c;
	atomic_fetch_add(&live, 1);
	return CUDA_SUCCESS;
}

static CUresult begin_call(CUstream handle, CUgraph graph, const CUgraphNode *nodes, size_t count,
			   CUstreamCaptureMode mode)
{
	struct soft_stream *s;
	CUresult rc = soft_enter_stream(handle, &s);

	if (rc)
		return rc;
	soft_graph_lock();
	if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED || (count && !nodes))
		rc = CUDA_ERROR_INVALID_VALUE;
	else if (s->legacy)
		rc = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	else if (soft_captured(s))
		rc = CUDA_ERROR_ILLEGAL_STATE;
	else
		rc = begin(s, graph, nodes, count);
	soft_graph_unlock();
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	return begin_call(stream, NULL, NULL, 0, mode);
}

static CUresult soft_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode *nodes,
						 const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode)
{
	(void)edges; /* an edge without data waits for all of a node, which is never less than asked for */
	return graph ? begin_call(stream, graph, nodes, count, mode) : CUDA_ERROR_INVALID_VALUE;
}

/* Whether all that other streams did comes before what the origin did last. */
static bool joined(struct soft_capture *c, struct soft_graph *g)
{
	const struct member *m, *origin = member_of(c->origin);
	struct soft_node *n;
	size_t i;

	soft_graph_unmark(g);
	for (i = 0; i < origin->front.count; i++) {
		n = soft_node_get(origin->front.nodes[i]);
		if (n)
			soft_node_mark_before(n);
	}
	for (m = c->members; m; m = m->next)
		for (i = 0; i < m->front.count; i++) {
			n = soft_node_get(m->front.nodes[i]);
			if (n && !n->mark)
				return false;
		}
	return true;
}

static CUresult end(struct soft_stream *s, CUgraph *out)
{
	struct soft_capture *c = atomic_load(&s->capture);
	struct soft_graph *g = c ? soft_graph_get(c->graph) : NULL;
	CUresult rc = CUDA_SUCCESS;

	if (!c)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (c->origin != s) {
		c->invalid = true;
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	}
	if (!g || c->invalid)
		rc = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (!joined(c, g))
		rc = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	*out = rc ? NULL : c->graph;
	if (rc && g && c->own)
		soft_graph_free(g);
	dissolve(c);
	return rc;
}

static CUresult soft_cuStreamEndCapture(CUstream handle, CUgraph *graph)
{
	struct soft_stream *s;
	CUresult rc = graph ? soft_enter_stream(handle, &s) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	rc = end(s, graph);
	soft_graph_unlock();
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
					       CUgraph *graph, const CUgraphNode **nodes, const CUgraphEdgeData **edges,
					       size_t *count)
{
	const struct soft_capture *c;
	const struct member *m;
	struct soft_stream *s;
	CUresult rc = status ? soft_enter_stream(handle, &s) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	c = atomic_load(&s->capture);
	m = member_of(s);
	*status = !c ? CU_STREAM_CAPTURE_STATUS_NONE : c->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED :
								    CU_STREAM_CAPTURE_STATUS_ACTIVE;
	if (*status == CU_STREAM_CAPTURE_STATUS_ACTIVE) {
		if (id)
			*id = c->id;
		if (graph)
			*graph = c->graph;
		if (nodes)
			*nodes = m->front.nodes;
		if (edges)
			*edges = m->front.edges;
		if (count)
			*count = m->front.count;
	}
	soft_graph_unlock();
	soft_put(&s->obj);
	return CUDA_SUCCESS;
}

static CUresult soft_cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id,
					       CUgraph *graph, const CUgraphNode **nodes, size_t *count)
{
	return soft_cuStreamGetCaptureInfo_v3(stream, status, id, graph, nodes, NULL, count);
}

static CUresult soft_cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	return soft_cuStreamGetCaptureInfo_v3(stream, status, id, NULL, NULL, NULL, NULL);
}

static CUresult soft_cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
	return soft_cuStreamGetCaptureInfo_v3(stream, status, NULL, NULL, NULL, NULL, NULL);
}

static CUresult update(struct soft_stream *s, const CUgraphNode *nodes, size_t count, unsigned int flags)
{
	struct member *m = member_of(s);
	size_t i;

	if (!m)
		return CUDA_ERROR_ILLEGAL_STATE;
	for (i = 0; i < count; i++)
		if (!nodes || !soft_node_get(nodes[i]))
			return CUDA_ERROR_INVALID_VALUE;
	return front_set(&m->front, nodes, count, flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES);
}

static CUresult soft_cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *nodes, size_t count,
						       unsigned int flags)
{
	struct soft_stream *s;
	CUresult rc = flags <= CU_STREAM_SET_CAPTURE_DEPENDENCIES ? soft_enter_stream(handle, &s) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	soft_graph_lock();
	rc = update(s, nodes, count, flags);
	soft_graph_unlock();
	soft_put(&s->obj);
	return rc;
}

static CUresult soft_cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *nodes,
							  const CUgraphEdgeData *edges, size_t count, unsigned int flags)
{
	(void)edges;
	return soft_cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}

static CUresult soft_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	static _Thread_local CUstreamCaptureMode current;
	CUstreamCaptureMode old = current;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	current = *mode;
	*mode = old;
	return CUDA_SUCCESS;
}

void soft_fill_capture(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuStreamBeginCapture_v2);
	SOFT_SLOT(d, cuStreamBeginCaptureToGraph);
	SOFT_SLOT(d, cuStreamEndCapture);
	SOFT_SLOT(d, cuStreamIsCapturing);
	SOFT_SLOT(d, cuStreamGetCaptureInfo);
	SOFT_SLOT(d, cuStreamGetCaptureInfo_v2);
	SOFT_SLOT(d, cuStreamGetCaptureInfo_v3);
	SOFT_SLOT(d, cuStreamUpdateCaptureDependencies);
	SOFT_SLOT(d, cuStreamUpdateCaptureDependencies_v2);
	SOFT_SLOT(d, cuThreadExchangeStreamCaptureMode);
}
