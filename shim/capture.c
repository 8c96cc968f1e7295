/* SPDX-License-Identifier: MIT */
/*
 * Captures. To the driver all threads of the guest are one, so it captures in the relaxed mode only, and the rules of
 * the modes are kept here. A stream takes part from cuStreamBeginCapture, or from when it waits for an event recorded
 * in a capture, until cuStreamEndCapture.
 */
#include "capture.h"

#include <pthread.h>
#include <stdlib.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "graph.h"
#include "handle.h"
#include "stream.h"
#include "thread.h"

struct vgpu_capture {
	struct vgpu_capture *next;		/* of all */
	uint64_t serial;
	struct vgpu_stream *origin;
	struct vgpu_stream *members;		/* the origin too */
	const void *thread;			/* who began: &vgpu_thread */
	CUstreamCaptureMode mode;
	struct vgpu_capture_state told;		/* what cuStreamGetCaptureInfo pointed the application to */
};

static struct {
	pthread_mutex_t lock;
	struct vgpu_capture *all;
	uint64_t serials;
} captures = { .lock = PTHREAD_MUTEX_INITIALIZER };

_Atomic uint32_t vgpu_captures;

/* ---- members, under the lock ---- */

static void set_status(struct vgpu_capture *c, CUstreamCaptureStatus status)
{
	struct vgpu_stream *s;

	for (s = c->members; s; s = s->capture_next)
		atomic_store_explicit(&s->capture, status, memory_order_release);
}

static void enter(struct vgpu_capture *c, struct vgpu_stream *s)
{
	s->captured = c;
	s->capture_next = c->members;
	c->members = s;
	if (!(s->flags & CU_STREAM_NON_BLOCKING))
		s->context->capturing++;
	atomic_store_explicit(&s->capture, CU_STREAM_CAPTURE_STATUS_ACTIVE, memory_order_release);
}

static void leave(struct vgpu_stream *s)
{
	s->captured = NULL;
	if (!(s->flags & CU_STREAM_NON_BLOCKING))
		s->context->capturing--;
	atomic_store_explicit(&s->capture, CU_STREAM_CAPTURE_STATUS_NONE, memory_order_release);
}

static void dissolve(struct vgpu_capture *c)
{
	struct vgpu_capture **p = &captures.all;
	struct vgpu_stream *s, *next;

	for (s = c->members; s; s = next) {
		next = s->capture_next;
		leave(s);
	}
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	vgpu_captures--;
	vgpu_capture_state_free(&c->told);
	free(c);
}

/* ---- what is forbidden ---- */

CUresult vgpu_capture_invalidate(struct vgpu_stream *s, CUresult r)
{
	vgpu_lock(&captures.lock);
	if (s->captured)
		set_status(s->captured, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	vgpu_unlock(&captures.lock);
	return r;
}

static struct vgpu_capture *find(uint64_t serial)
{
	struct vgpu_capture *c;

	for (c = captures.all; c && c->serial != serial; c = c->next)
		;
	return c;
}

CUresult vgpu_capture_invalidate_serial(uint64_t serial, CUresult r)
{
	struct vgpu_capture *c;

	vgpu_lock(&captures.lock);
	c = find(serial);
	if (c)
		set_status(c, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	vgpu_unlock(&captures.lock);
	return r;
}

static bool blocks(const struct vgpu_capture *c, const struct vgpu_context *ctx, bool legacy)
{
	const struct vgpu_stream *s;

	for (s = c->members; s; s = s->capture_next)
		if (s->context == ctx && !(legacy && s->flags & CU_STREAM_NON_BLOCKING))
			return true;
	return false;
}

static bool invalidate_of(const struct vgpu_context *ctx, bool legacy)
{
	struct vgpu_capture *c;
	bool found = false;

	vgpu_lock(&captures.lock);
	for (c = captures.all; c; c = c->next) {
		if (!blocks(c, ctx, legacy))
			continue;
		set_status(c, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		found = true;
	}
	vgpu_unlock(&captures.lock);
	return found;
}

CUresult vgpu_capture_invalidate_all(struct vgpu_context *ctx, CUresult r)
{
	return vgpu_captures && invalidate_of(ctx, false) ? r : CUDA_SUCCESS;
}

CUresult vgpu_capture_use(struct vgpu_stream *s)
{
	if (atomic_load_explicit(&s->capture, memory_order_acquire) == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (s != &s->context->legacy || !s->context->capturing)
		return CUDA_SUCCESS;
	return invalidate_of(s->context, true) ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT : CUDA_SUCCESS;
}

CUresult vgpu_capture_end_unsafe(void)
{
	CUstreamCaptureMode mine = (CUstreamCaptureMode)vgpu_thread.capture_mode;
	CUresult r = CUDA_SUCCESS;
	struct vgpu_capture *c;

	if (mine == CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_SUCCESS;
	vgpu_lock(&captures.lock);
	for (c = captures.all; c; c = c->next) {
		if (c->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
			continue;
		if (c->thread != &vgpu_thread && (c->mode != CU_STREAM_CAPTURE_MODE_GLOBAL ||
						  mine != CU_STREAM_CAPTURE_MODE_GLOBAL))
			continue;
		set_status(c, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		r = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	vgpu_unlock(&captures.lock);
	return r;
}

CUresult vgpu_capture_never(CUstream stream)
{
	struct vgpu_stream *s;
	CUresult r;

	if (!vgpu_captures)
		return CUDA_SUCCESS;
	r = vgpu_stream_get(stream, &s);
	if (r || s->capture == CU_STREAM_CAPTURE_STATUS_NONE)
		return r;
	return vgpu_capture_invalidate(s, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	CUstreamCaptureMode wanted;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	wanted = *mode;
	*mode = (CUstreamCaptureMode)vgpu_thread.capture_mode;
	vgpu_thread.capture_mode = wanted;
	return CUDA_SUCCESS;
}

/* ---- who takes part ---- */

uint64_t vgpu_capture_serial(struct vgpu_stream *s)
{
	uint64_t serial;

	vgpu_lock(&captures.lock);
	serial = s->captured ? s->captured->serial : 0;
	vgpu_unlock(&captures.lock);
	return serial;
}

CUresult vgpu_capture_join(struct vgpu_stream *s, uint64_t serial)
{
	CUresult r = CUDA_SUCCESS;
	struct vgpu_capture *c;
	vgpu_fence f;

	if (s == &s->context->legacy)
		return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	/* What was queued before is no part of the capture, and after this no fence can be put behind it. */
	if (!s->captured)
		r = vgpu_stream_fence_own(s, &f);
	if (r)
		return r;
	vgpu_lock(&captures.lock);
	c = find(serial);
	if (!c) {
		r = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
		if (s->captured)
			set_status(s->captured, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
	} else if (c->origin->capture == CU_STREAM_CAPTURE_STATUS_INVALIDATED) {
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	} else if (!s->captured) {
		enter(c, s);
	} else if (s->captured != c) {
		set_status(s->captured, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		set_status(c, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		r = CUDA_ERROR_STREAM_CAPTURE_MERGE;
	}
	vgpu_unlock(&captures.lock);
	return r;
}

void vgpu_capture_leave(struct vgpu_stream *s)
{
	struct vgpu_capture *c;
	struct vgpu_stream **p;

	vgpu_lock(&captures.lock);
	c = s->captured;
	if (c && c->origin == s) {
		dissolve(c);
	} else if (c) {
		/* As natively, the capture goes on; whether what it did was joined shows at its end. */
		for (p = &c->members; *p != s; p = &(*p)->capture_next)
			;
		*p = s->capture_next;
		leave(s);
	}
	vgpu_unlock(&captures.lock);
}

/* ---- begin and end ---- */

/* Everything up to the command that begins a capture; *c is the capture to be. */
static CUresult prepare(CUstream stream, CUstreamCaptureMode mode, struct vgpu_stream **s, struct vgpu_capture **c)
{
	vgpu_fence f;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_find(stream, s);
	if (r)
		return r;
	if (*s == &(*s)->context->legacy) {
		r = vgpu_capture_use(*s);
		return r ? r : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	}
	if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	if ((*s)->captured)
		return CUDA_ERROR_ILLEGAL_STATE;
	r = vgpu_stream_fence_own(*s, &f);
	*c = r ? NULL : calloc(1, sizeof(**c));
	if (!r && !*c)
		r = CUDA_ERROR_OUT_OF_MEMORY;
	if (r)
		return r;
	(*c)->origin = *s;
	(*c)->thread = &vgpu_thread;
	(*c)->mode = mode;
	return CUDA_SUCCESS;
}

/* The worker has begun, or not. */
static CUresult begun(struct vgpu_stream *s, struct vgpu_capture *c, CUresult r)
{
	if (r) {
		free(c);
		return r;
	}
	vgpu_lock(&captures.lock);
	c->serial = ++captures.serials;
	c->next = captures.all;
	captures.all = c;
	vgpu_captures++;
	enter(c, s);
	vgpu_unlock(&captures.lock);
	return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_capture *c;
	struct vgpu_stream *s;
	CUresult r = prepare(stream, mode, &s, &c);

	return r ? r : begun(s, c, vgpu_remote_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode *dependencies,
				     const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_args_capture_to_graph *a;
	struct vgpu_capture *capture;
	struct vgpu_stream *s;
	uint64_t wire;
	struct vgpu_call c;
	CUresult r = prepare(stream, mode, &s, &capture);

	if (r)
		return r;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (!r)
		r = vgpu_links_check(dependencies, NULL, count);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_capture_to_graph, sizeof(*a), vgpu_links_bytes(count),
				    VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return begun(s, capture, r);
	a = c.args;
	a->stream = s->wire;
	a->graph = wire;
	a->edges = edges != NULL;
	vgpu_links_write(c.payload, dependencies, NULL, edges, count);
	return begun(s, capture, vgpu_call_finish(&c));
}

static CUresult end(struct vgpu_stream *s, bool discard, CUgraph *graph)
{
	const struct vgpu_ret_stream_end_capture *o;
	struct vgpu_args_stream_end_capture *a;
	uint64_t fresh, wire = 0;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_handle_new(VGPU_HANDLE_GRAPH, &fresh);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_stream_end_capture, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_GRAPH, fresh);
		return r;
	}
	a = c.args;
	a->stream = s->wire;
	a->graph = fresh;
	a->discard = discard;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r && !discard && c.ret_size != sizeof(*o))
		r = vgpu_call_broken();
	if (!r && !discard) {
		o = c.ret;
		wire = o->graph;
		*graph = vgpu_handle_app(VGPU_HANDLE_GRAPH, wire);
	}
	vgpu_call_end(&c);
	if (wire != fresh)
		vgpu_handle_drop(VGPU_HANDLE_GRAPH, fresh);
	return r;
}

/* May this thread end the capture of this stream? WRONG_THREAD: as natively it ends, and there is no graph. */
static CUresult check_end(const struct vgpu_stream *s, bool *invalid)
{
	const struct vgpu_capture *c = s->captured;

	if (!c)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (c->origin != s)
		return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && c->thread != &vgpu_thread)
		return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	*invalid = s->capture == CU_STREAM_CAPTURE_STATUS_INVALIDATED;
	return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
	VGPU_STREAM_LENDS(stream);
	bool invalid = false;
	struct vgpu_stream *s;
	CUresult r, may;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_find(stream, &s);
	if (r)
		return r;
	vgpu_lock(&captures.lock);
	may = check_end(s, &invalid);
	vgpu_unlock(&captures.lock);
	if (may == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)
		return vgpu_capture_invalidate(s, may);
	if (may && may != CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD)
		return may;
	if (graph)
		*graph = NULL;
	r = end(s, may || invalid || !graph, graph);
	vgpu_capture_leave(s);
	if (may)
		return may;
	return invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : r;
}

/* ---- questions ---- */

static CUresult ask_worker(struct vgpu_stream *s, uint64_t fresh, uint64_t *wire, struct vgpu_capture_state *state)
{
	const struct vgpu_ret_capture_info *o;
	struct vgpu_args_capture_info *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_capture_info, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	a->graph = fresh;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		state->id = o->id;
		state->status = (CUstreamCaptureStatus)o->status;
		*wire = o->graph;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult vgpu_capture_ask(struct vgpu_stream *s, bool graph, bool nodes, struct vgpu_capture_state *state)
{
	uint64_t fresh = 0, wire = 0;
	struct vgpu_links l = { 0 };
	CUresult r = CUDA_SUCCESS;

	*state = (struct vgpu_capture_state){ .status = (CUstreamCaptureStatus)s->capture };
	if (state->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	if (graph || nodes)
		r = vgpu_handle_new(VGPU_HANDLE_GRAPH, &fresh);
	if (!r)
		r = ask_worker(s, fresh, &wire, state);
	if (fresh && wire != fresh)
		vgpu_handle_drop(VGPU_HANDLE_GRAPH, fresh);
	if (r)
		return r;
	if (state->status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		return vgpu_capture_invalidate(s, CUDA_SUCCESS);
	if (wire)
		state->graph = vgpu_handle_app(VGPU_HANDLE_GRAPH, wire);
	if (nodes)
		r = vgpu_links_fetch(s->wire, VGPU_LIST_CAPTURE, true, &l);
	state->nodes = l.from;
	state->edges = l.data;
	state->count = l.count;
	free(l.to);
	return r;
}

void vgpu_capture_state_free(struct vgpu_capture_state *state)
{
	free(state->nodes);
	free(state->edges);
	*state = (struct vgpu_capture_state){ 0 };
}

/* The stream that is asked about. `out` must not be NULL. */
static CUresult look(CUstream stream, const void *out, struct vgpu_stream **s)
{
	CUresult r = out ? vgpu_call_ready(VGPU_CALL_CONTEXT) : CUDA_ERROR_INVALID_VALUE;

	if (!r)
		r = vgpu_stream_find(stream, s);
	if (!r && *s == &(*s)->context->legacy && (*s)->context->capturing)
		r = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
	return r;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *capture_status)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_capture_state state;
	struct vgpu_stream *s;
	CUresult r = look(stream, capture_status, &s);

	if (!r)
		r = vgpu_capture_ask(s, false, false, &state);
	if (!r)
		*capture_status = state.status;
	return r;
}

/* The application keeps pointers to the lists until it next does something to the stream. */
static CUresult keep(struct vgpu_stream *s, struct vgpu_capture_state *state, const CUgraphNode **nodes,
		     const CUgraphEdgeData **edges, size_t *count)
{
	struct vgpu_capture *c;

	vgpu_lock(&captures.lock);
	c = s->captured;
	if (c) {
		vgpu_capture_state_free(&c->told);
		c->told = *state;
		if (nodes)
			*nodes = state->nodes;
		if (edges)
			*edges = state->edges;
		if (count)
			*count = state->count;
	} else {
		vgpu_capture_state_free(state);
	}
	vgpu_unlock(&captures.lock);
	return c ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
}

static bool plain(const struct vgpu_capture_state *state)
{
	size_t i;

	for (i = 0; i < state->count; i++)
		if (state->edges[i].from_port || state->edges[i].to_port || state->edges[i].type)
			return false;
	return true;
}

static CUresult info(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
		     const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_capture_state state;
	struct vgpu_stream *s;
	CUresult r = look(stream, status, &s);

	if (!r)
		r = vgpu_capture_ask(s, graph, nodes || edges || count, &state);
	if (r)
		return r;
	*status = state.status;
	if (state.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return CUDA_SUCCESS;
	if (id)
		*id = state.id;
	if (graph)
		*graph = state.graph;
	if (nodes && !edges && !plain(&state))
		r = CUDA_ERROR_LOSSY_QUERY;
	if (!r && (nodes || edges || count))
		return keep(s, &state, nodes, edges, count);
	vgpu_capture_state_free(&state);
	return r;
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out)
{
	return info(stream, capture_status_out, id_out, NULL, NULL, NULL, NULL);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out,
				   CUgraph *graph_out, const CUgraphNode **dependencies_out, size_t *num_dependencies_out)
{
	return info(stream, capture_status_out, id_out, graph_out, dependencies_out, NULL, num_dependencies_out);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *capture_status_out, cuuint64_t *id_out,
				   CUgraph *graph_out, const CUgraphNode **dependencies_out,
				   const CUgraphEdgeData **edge_data_out, size_t *num_dependencies_out)
{
	return info(stream, capture_status_out, id_out, graph_out, dependencies_out, edge_data_out,
		    num_dependencies_out);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *dependencies, const CUgraphEdgeData *edges,
					      size_t count, unsigned int flags)
{
	VGPU_STREAM_LENDS(stream);
	struct vgpu_args_capture_update *a;
	struct vgpu_stream *s;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (!r)
		r = vgpu_stream_get(stream, &s);
	if (r)
		return r;
	if (!s->captured)
		return CUDA_ERROR_ILLEGAL_STATE;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_links_check(dependencies, NULL, count);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_capture_update, sizeof(*a), vgpu_links_bytes(count),
				    VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->stream = s->wire;
	a->flags = flags;
	a->edges = edges != NULL;
	vgpu_links_write(c.payload, dependencies, NULL, edges, count);
	return vgpu_call_finish(&c);
}

CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode *dependencies, size_t count, unsigned int flags)
{
	return cuStreamUpdateCaptureDependencies_v2(stream, dependencies, NULL, count, flags);
}
