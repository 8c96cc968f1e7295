/* SPDX-License-Identifier: MIT */
/*
 * Graphs. A graph owns its nodes; a node keeps the parameters of one operation, by handle, and which nodes it depends
 * on. An executable is a private copy of a graph, with its nodes in an order that honours all dependencies: launching
 * it makes the operations one after the other in the stream, through the same calls that the application would use.
 *
 * One mutex (soft_graph_lock) guards the structure of all graphs and captures; operations run without it.
 */
#ifndef VGPU_SOFT_GRAPH_H
#define VGPU_SOFT_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"
#include "scheduler.h"
#include "vgpu/cuda_types.h"

struct soft_graph;
struct soft_user;

/* Memory of a mem alloc node, shared by its copies. */
struct soft_graph_memory {
	atomic_uint refs;
	CUdeviceptr start;
	uint64_t size;
};

struct soft_node {
	struct soft_object obj;         /* SOFT_NODE */
	struct soft_graph *graph;
	struct soft_node *next;         /* in the order in which they were added */
	uint64_t twin;                  /* handle of the node that it is a copy of */
	CUgraphNodeParams p;            /* what it points to is in `tail` */
	void *tail;
	size_t tail_size;
	void **args;                    /* kernel: pointers into tail */
	struct soft_graph *child;
	struct soft_graph_memory *memory;
	struct soft_node **deps;
	CUgraphEdgeData *edges;         /* beside deps */
	uint32_t num_deps;
	uint32_t mark;                  /* scratch of a walk, as is the next */
	struct soft_node *back;
	bool disabled;                  /* in an executable */
};

struct soft_user_ref {
	struct soft_user_ref *next;
	struct soft_user *user;
	uint32_t count;
};

struct soft_graph {
	struct soft_object obj;         /* SOFT_GRAPH */
	struct soft_node *first, *last;
	size_t count;
	struct soft_node *owner;        /* the node that this is the inside of */
	uint64_t twin;                  /* handle of the graph that it is a copy of */
	struct soft_user_ref *users;
};

void soft_graph_lock(void);
void soft_graph_unlock(void);

/* ---- graph.c; all with the lock held ---- */

struct soft_graph *soft_graph_new(void);
/* The graph behind a handle, NULL if there is none. The lock keeps it alive. */
struct soft_graph *soft_graph_get(CUgraph handle);
struct soft_node *soft_node_get(CUgraphNode handle);
/* A deep copy, with handles, or NULL without memory. */
struct soft_graph *soft_graph_copy(struct soft_graph *g);
/* Frees a graph with all that it owns. Its own handle is the caller's to take away. */
void soft_graph_free(struct soft_graph *g);
/* Appends an empty node, not yet with parameters; NULL without memory. */
struct soft_node *soft_node_new(struct soft_graph *g);
void soft_node_free(struct soft_node *n);
/* INVALID_VALUE for nodes of other graphs and doubles. That no cycle comes of it is the caller's business. */
CUresult soft_node_depend(struct soft_node *n, struct soft_node *on, const CUgraphEdgeData *edge);
/* Marks the node and all that it depends on; what is marked is taken to be done. */
void soft_node_mark_before(struct soft_node *n);
void soft_graph_unmark(struct soft_graph *g);
/* All nodes so that each comes behind those it depends on. `order` has room for count. */
void soft_graph_order(struct soft_graph *g, struct soft_node **order);
/* The node in `g`, or in graphs inside, that is a copy of the one with that handle. */
struct soft_node *soft_graph_twin(struct soft_graph *g, uint64_t handle);

/* ---- graph_node.c; lock held ---- */

/* Replaces the parameters; the old ones stay when this fails. */
CUresult soft_node_set(struct soft_node *n, const CUgraphNodeParams *p);
/* Copies the parameters of `from`, of the same type. */
CUresult soft_node_assign(struct soft_node *n, const struct soft_node *from);
/* A node with parameters and dependencies (of its graph). */
CUresult soft_node_add(struct soft_graph *g, struct soft_node **deps, const CUgraphEdgeData *edges, size_t num_deps,
		       const CUgraphNodeParams *p, struct soft_node **out);
void soft_node_drop_params(struct soft_node *n);

/* ---- graph_exec.c ---- */

/* Puts the operations of a graph of an executable into the stream. */
CUresult soft_graph_run(struct soft_graph *g, CUstream s);

/* ---- condition.c ---- */

/* Lock held: makes the bodies of a conditional node from its parameters; or copies of those of another. */
CUresult soft_condition_node(struct soft_node *n);
CUresult soft_condition_copy(struct soft_node *n, const struct soft_node *from);
/* Whether there are conditional nodes, in graphs inside too: what an executable holds is read while it runs, then. */
bool soft_condition_inside(const struct soft_graph *g);
/* A launch begins: values that have a default get it. */
void soft_condition_reset(const struct soft_graph *g);
CUresult soft_condition_run(const struct soft_node *n, CUstream s);
/* By a kernel. False: there is no such handle. */
bool soft_condition_set(uint64_t handle, uint32_t value);

/* ---- capture.c ---- */

/* Whether operations of the stream become nodes. */
bool soft_captured(struct soft_stream *s);
/* Makes a node of an operation: it depends on what the stream's last one left, and the next depends on it. */
CUresult soft_capture(struct soft_stream *s, const CUgraphNodeParams *p, struct soft_node **out);
/* An event is recorded in, or waited for by, a captured stream; *mine says whether a capture was concerned. */
CUresult soft_capture_record(struct soft_stream *s, uint64_t event);
CUresult soft_capture_wait(struct soft_stream *s, uint64_t event, bool *mine);
void soft_capture_forget_event(uint64_t event);
void soft_capture_forget_stream(struct soft_stream *s);

/* ---- user_object.c ---- */

CUresult soft_users_copy(struct soft_graph *to, const struct soft_graph *from);
/* Drops the references of a list and the list. */
void soft_users_free(struct soft_user_ref **list);

/* ---- launch.c ---- */

/*
 * Takes a kernel's parameters: block of *size bytes and pointers to each, from malloc(). The shape is checked too.
 * Gives the plain function that the handle, which may be a kernel's, means in the current context.
 */
CUresult soft_launch_take(const CUDA_KERNEL_NODE_PARAMS_v3 *k, void **block, size_t *size, void ***args);

#endif
