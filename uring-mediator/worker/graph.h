/* SPDX-License-Identifier: MIT */
/*
 * Graphs of a session: ids for nodes, parameters of nodes from and to the wire, functions of the guest in graphs.
 * graph.c whole graphs, graph_capture.c capture, graph_node.c nodes, graph_params.c their parameters, graph_ids.c their
 * ids, graph_list.c lists of them, graph_host.c the guest's functions, graph_memory.c what mem alloc nodes cost. The
 * worker's only thread, except where it says otherwise.
 */
#ifndef VGPU_WORKER_GRAPH_H
#define VGPU_WORKER_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <gen/wire.h>
#include <vgpu/reverse.h>

#include "session.h"

/* ---- graph_ids.c ---- */

/* The id of a driver's node, made on first sight. graph: wire id of the graph that it is in, with which it dies. */
CUresult vgpu_node_id(struct vgpu_session *s, CUgraphNode node, uint64_t graph, uint64_t *id);
/* Wire id of the graph that a live node is in. */
uint64_t vgpu_node_graph(const struct vgpu_session *s, uint64_t node);
void vgpu_node_forget(struct vgpu_session *s, uint64_t node);
/* A graph is gone: its nodes and the graphs inside it have no ids any more. Its own id stays. */
void vgpu_graph_forget(struct vgpu_session *s, uint64_t graph);
/* The id of a graph that the driver made: the one it has, or `fresh`, which then belongs to `owner`. */
CUresult vgpu_graph_id(struct vgpu_session *s, CUgraph graph, uint64_t fresh, uint64_t owner, uint64_t *id);
/* The id that a graph of the driver's has, or 0. */
uint64_t vgpu_graph_known(struct vgpu_session *s, CUgraph graph);
/* The outermost graph around this one. */
uint64_t vgpu_graph_root(const struct vgpu_session *s, uint64_t graph);
void vgpu_nodes_release(struct vgpu_session *s);

/* ---- graph_list.c ---- */

/* Lists of nodes as the driver wants them; one piece of memory, begun by `from`. */
struct vgpu_links {
	CUgraphNode *from, *to;
	CUgraphEdgeData *data;
	size_t count;
};

/* The rest of a payload, from `at` on, as links; every node is looked up, `to` only if it is wanted. */
CUresult vgpu_links_take(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t at, bool to,
			 struct vgpu_links *l);
void vgpu_links_free(struct vgpu_links *l);

/* ---- graph_params.c ---- */

/* Parameters as the driver takes them, and what they point to. */
struct vgpu_node_params {
	CUgraphNodeParams p;
	const void *tail;	/* in the command */
	uint32_t tail_bytes;
	uint64_t charged;	/* bytes booked for a mem alloc node */
	size_t block_bytes;
	void *extra[5];
};

/* Take parameters from a payload: checked, ids become objects. What was charged is the caller's to give back. */
CUresult vgpu_node_params_take(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t *at, uint32_t tail,
			       struct vgpu_node_params *out);
/* The parameters of a node for the wire; *tail, from malloc(), may be NULL. */
CUresult vgpu_node_params_get(struct vgpu_session *s, CUgraphNode node, CUgraphNodeParams *p, void **tail,
			      uint32_t *tail_bytes);

/* ---- graph_host.c ---- */

/* What to give the driver as data of a node that calls fn(data) in the guest and waits for fence `word`. */
CUresult vgpu_host_record(struct vgpu_session *s, uint64_t fn, uint64_t data, uint64_t word, void **record);
/* What such a record was made of. */
void vgpu_host_record_read(const void *record, uint64_t *fn, uint64_t *data);
/* The driver's function for such a node; on a thread of the driver. */
void vgpu_host_run(void *record);
/* Calls of the guest that one launch of the graph makes. */
CUresult vgpu_host_count(struct vgpu_session *s, CUgraph graph, uint32_t *count);
/* A launch that was promised `count` calls has failed. */
void vgpu_host_lost(struct vgpu_session *s, uint32_t count);
/* The session ends, and its graphs are gone: so are the guest's references to user objects. */
void vgpu_user_objects_end(struct vgpu_session *s);

/* ---- graph_memory.c ---- */

/*
 * A mem alloc node is in the graph (its outermost one), its memory charged and entered; a mem free node is; a graph has
 * become part of another; a graph was instantiated. OUT_OF_MEMORY.
 */
CUresult vgpu_graph_memory_alloc(struct vgpu_session *s, CUgraph graph, uint64_t at, uint64_t bytes);
CUresult vgpu_graph_memory_free(struct vgpu_session *s, CUgraph graph, uint64_t at);
/* Does a launch of it allocate what it does not free, or free what it does not allocate? Then the next one may be an error. */
bool vgpu_graph_memory_open(const struct vgpu_session *s, CUgraphExec exec);
void vgpu_graph_memory_move(struct vgpu_session *s, CUgraph child, CUgraph into);
CUresult vgpu_graph_memory_instantiated(struct vgpu_session *s, CUgraph graph, CUgraphExec exec);
/* Charge and enter again what a launch allocates and was freed since. OUT_OF_MEMORY beyond the session's limit. */
CUresult vgpu_graph_memory_before_launch(struct vgpu_session *s, CUgraphExec exec);
void vgpu_graph_memory_launched(struct vgpu_session *s, CUgraphExec exec);
/* A CUgraph or CUgraphExec is gone. */
void vgpu_graph_memory_gone(struct vgpu_session *s, const void *holder);
void vgpu_graph_memory_end(struct vgpu_session *s);

/* ---- graph_capture.c ---- */

/* The graph that a stream captures to, or NULL. stream: wire id. */
CUgraph vgpu_capture_graph(struct vgpu_session *s, uint64_t stream);

/* ---- graph.c ---- */

/* Was this handle of a condition made by this session? INVALID_VALUE if not. */
CUresult vgpu_conditional_check(const struct vgpu_session *s, uint64_t handle);

/* ---- callback.c ---- */

struct vgpu_callbacks;

/* Those of the session, made on first use; NULL without memory. */
struct vgpu_callbacks *vgpu_callbacks_of(struct vgpu_session *s);
/*
 * Put a call into the reverse ring and, if it is to be answered, wait for that. Any thread. Fills in word and value.
 * Returns at once when the session ends.
 */
void vgpu_callback_post(struct vgpu_callbacks *c, struct vgpu_host_run *run);
/* Fence word that answers are written to: one for each session. INVALID_VALUE: another than before. */
CUresult vgpu_callback_word(struct vgpu_session *s, uint64_t word);

/* ---- value.c ---- */

CUresult vgpu_memory_operation_check(const struct vgpu_session *s, const CUstreamBatchMemOpParams *p);

#endif
