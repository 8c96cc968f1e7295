/* SPDX-License-Identifier: MIT */
/*
 * Graphs in the guest: lists of nodes and parameters of nodes on their way to the worker and back. Graphs themselves
 * are the worker's; a node's handle holds an id that the worker chose, and is checked there.
 */
#ifndef VGPU_SHIM_GRAPH_H
#define VGPU_SHIM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/operands.h>

struct vgpu_stream;

/* Object behind a CUgraphExec. */
struct vgpu_graph_exec {
	uint32_t host_calls;	/* functions of the application that one launch calls */
	bool open_memory;	/* whether it can be launched depends on what became of the last launch's memory */
};

/* ---- graph_list.c ---- */

#define VGPU_LINKS_MOST	4000u	/* that one command takes */

/* Three arrays from malloc(), each of count elements. */
struct vgpu_links {
	CUgraphNode *from, *to;
	CUgraphEdgeData *data;
	size_t count;
};

/* All of a list. edges: data other than zero is expected. */
CUresult vgpu_links_fetch(uint64_t object, uint32_t what, bool edges, struct vgpu_links *l);
void vgpu_links_free(struct vgpu_links *l);
/* Lists of the application for one command: INVALID_VALUE for NULL, for what is no node, for more than one command takes. */
CUresult vgpu_links_check(const CUgraphNode *from, const CUgraphNode *to, size_t count);
uint32_t vgpu_links_bytes(size_t count);
/* into a payload; `to` and `data` may be NULL */
void vgpu_links_write(void *payload, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *data,
		      size_t count);

/* ---- graph_params.c ---- */

struct vgpu_node_wire {
	CUgraphNodeParams p;	/* ids for handles */
	const void *tail;
	uint32_t tail_bytes;
	void *owned;		/* what vgpu_node_wire_free() frees */
	bool made;		/* the worker has a node of it: the ids of its bodies stay */
	uint64_t word;
};

/* The application's parameters, checked, for the wire. *out is the caller's to free if this succeeds. */
CUresult vgpu_node_encode(const CUgraphNodeParams *in, struct vgpu_node_wire *out);
void vgpu_node_wire_free(struct vgpu_node_wire *w);
/* Parameters of a node, what they point to included: that lives as long as the node. */
CUresult vgpu_node_fetch(CUgraphNode node, CUgraphNodeParams *p);

/* ---- graph_node.c ---- */

CUresult vgpu_node_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
		       size_t count, CUgraphNodeParams *params);
/* exec NULL: in the graph itself. */
CUresult vgpu_node_set(CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams *params);

/* ---- graph_view.c: what of nodes the application was given pointers to ---- */

/* Memory of `bytes` bytes that belongs to the node (of graph, both wire ids); the same again for the same size. */
void *vgpu_view_room(uint64_t node, uint64_t graph, size_t bytes);
/* Note, or find, the copy that a node stands for; see graph_copy.c. */
CUresult vgpu_view_set_copy(uint64_t node, uint64_t graph, const CUDA_MEMCPY3D *c);
bool vgpu_view_copy(uint64_t node, CUDA_MEMCPY3D *c);
void vgpu_view_drop_node(uint64_t node);
void vgpu_view_drop_graph(uint64_t graph);

/* ---- graph_copy.c: copies of memory that the worker cannot see ---- */

bool vgpu_graph_copy_is_pageable(const CUDA_MEMCPY3D *c);
CUresult vgpu_graph_copy_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
			     const CUgraphEdgeData *edges, size_t count, const CUDA_MEMCPY3D *c, CUcontext ctx);
CUresult vgpu_graph_copy_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *c, CUcontext ctx);
/* A copy in a captured stream. */
CUresult vgpu_graph_copy_capture(struct vgpu_stream *s, const CUDA_MEMCPY3D *c);

/* ---- graph_name.c: executables that device code launches, by the driver's own handle ---- */

/* The name stands for this wire id from here on. OUT_OF_MEMORY. */
CUresult vgpu_graph_name_add(CUgraphExec name, uint64_t exec);
/* The wire id, 0: nobody has that name. The id may be dead. */
uint64_t vgpu_graph_name_find(const void *name);
/* The graph is gone; nothing if the name stands for another by now. */
void vgpu_graph_name_drop(CUgraphExec name, uint64_t exec);

/* ---- host_call.c ---- */

/* The word that says that functions in graphs have returned; the thread that calls them runs. */
CUresult vgpu_host_word(uint64_t *word);
/* The worker will ask for `count` more calls (or, below 0, fewer) than it was said to. */
CUresult vgpu_host_expect(int64_t count);

#endif
