/* SPDX-License-Identifier: MIT */
/*
 * Copies of pageable memory in graphs. Natively such a node reads or writes the application's memory when the graph
 * runs, and so it does here: the node is a child graph of a copy between the device and a piece of the arena, and a host
 * function that copies between that piece and the application's memory, before or behind it. To the application it is
 * a memcpy node still (graph_view.c knows).
 *
 * The piece lives as long as anything that may use it, graphs, clones and executables: a user object counts them.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>

#include "call.h"
#include "context.h"
#include "capture.h"
#include "graph.h"
#include "handle.h"
#include "memory.h"
#include "stream.h"

/* One side in the application's memory, as rows. */
struct rows {
	uint8_t *at;
	size_t pitch, slice;
};

struct staged {
	struct rows host, other;	/* other: of a copy between two pageable places */
	uint8_t *piece;			/* packed; NULL for such a copy */
	size_t width, height, depth;
};

enum direction { TO_DEVICE, FROM_DEVICE, BETWEEN };

static struct rows source(const CUDA_MEMCPY3D *c)
{
	struct rows r = { .pitch = c->srcPitch ? c->srcPitch : c->srcXInBytes + c->WidthInBytes };

	r.slice = r.pitch * (c->srcHeight ? c->srcHeight : c->srcY + c->Height);
	r.at = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uint8_t *)(uintptr_t)c->srcHost : (uint8_t *)c->srcDevice;
	r.at += c->srcZ * r.slice + c->srcY * r.pitch + c->srcXInBytes;
	return r;
}

static struct rows destination(const CUDA_MEMCPY3D *c)
{
	struct rows r = { .pitch = c->dstPitch ? c->dstPitch : c->dstXInBytes + c->WidthInBytes };

	r.slice = r.pitch * (c->dstHeight ? c->dstHeight : c->dstY + c->Height);
	r.at = c->dstMemoryType == CU_MEMORYTYPE_HOST ? c->dstHost : (uint8_t *)c->dstDevice;
	r.at += c->dstZ * r.slice + c->dstY * r.pitch + c->dstXInBytes;
	return r;
}

static bool host(CUmemorytype type, const void *at, CUdeviceptr device)
{
	if (type == CU_MEMORYTYPE_HOST)
		return vgpu_memory_place((uint64_t)(uintptr_t)at) == VGPU_PLACE_HOST;
	return type == CU_MEMORYTYPE_UNIFIED && vgpu_memory_place(device) == VGPU_PLACE_HOST;
}

static bool from_host(const CUDA_MEMCPY3D *c)
{
	return host(c->srcMemoryType, c->srcHost, c->srcDevice);
}

static bool to_host(const CUDA_MEMCPY3D *c)
{
	return host(c->dstMemoryType, c->dstHost, c->dstDevice);
}

bool vgpu_graph_copy_is_pageable(const CUDA_MEMCPY3D *c)
{
	return from_host(c) || to_host(c);
}

static enum direction direction_of(const CUDA_MEMCPY3D *c)
{
	if (from_host(c) && to_host(c))
		return BETWEEN;
	return from_host(c) ? TO_DEVICE : FROM_DEVICE;
}

/* ---- when the graph runs: in the thread that calls host functions ---- */

static void copy_rows(const struct rows *to, const struct rows *from, const struct staged *s)
{
	size_t y, z;

	for (z = 0; z < s->depth; z++)
		for (y = 0; y < s->height; y++)
			memmove(to->at + z * to->slice + y * to->pitch, from->at + z * from->slice + y * from->pitch,
				s->width);
}

static struct rows packed(const struct staged *s)
{
	return (struct rows){ s->piece, s->width, s->width * s->height };
}

static void gather(void *data)
{
	const struct staged *s = data;
	const struct rows piece = packed(s);

	copy_rows(&piece, &s->host, s);
}

static void scatter(void *data)
{
	const struct staged *s = data;
	const struct rows piece = packed(s);

	copy_rows(&s->host, &piece, s);
}

static void copy_between(void *data)
{
	const struct staged *s = data;

	copy_rows(&s->host, &s->other, s);
}

static void release(void *data)
{
	struct staged *s = data;

	if (s->piece)
		vgpu_arena_free(&vgpu_arena, s->piece);
	free(s);
}

/* ---- when the node is made ---- */

static CUresult make(const CUDA_MEMCPY3D *c, struct staged **out)
{
	enum direction d = direction_of(c);
	size_t bytes;
	struct staged *s;

	if (!c->WidthInBytes || !c->Height || !c->Depth || (from_host(c) && !source(c).at) ||
	    (to_host(c) && !destination(c).at) ||
	    __builtin_mul_overflow(c->WidthInBytes, c->Height, &bytes) ||
	    __builtin_mul_overflow(bytes, c->Depth, &bytes))
		return CUDA_ERROR_INVALID_VALUE;
	s = calloc(1, sizeof(*s));
	if (!s)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->width = c->WidthInBytes;
	s->height = c->Height;
	s->depth = c->Depth;
	s->host = d == TO_DEVICE ? source(c) : destination(c);
	s->other = source(c);
	if (d != BETWEEN)
		s->piece = vgpu_arena_alloc(&vgpu_arena, bytes);
	if (d != BETWEEN && !s->piece) {
		free(s);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = s;
	return CUDA_SUCCESS;
}

/* The part of the copy that the worker does. */
static CUDA_MEMCPY3D device_part(const CUDA_MEMCPY3D *c, const struct staged *s)
{
	CUDA_MEMCPY3D d = *c;

	if (direction_of(c) == TO_DEVICE) {
		d.srcMemoryType = CU_MEMORYTYPE_HOST;
		d.srcHost = s->piece;
		d.srcXInBytes = d.srcY = d.srcZ = 0;
		d.srcPitch = s->width;
		d.srcHeight = s->height;
	} else {
		d.dstMemoryType = CU_MEMORYTYPE_HOST;
		d.dstHost = s->piece;
		d.dstXInBytes = d.dstY = d.dstZ = 0;
		d.dstPitch = s->width;
		d.dstHeight = s->height;
	}
	return d;
}

/* The nodes of the child graph, one behind the other. */
static CUresult add_parts(CUgraph child, const CUDA_MEMCPY3D *c, CUcontext ctx, struct staged *s)
{
	enum direction d = direction_of(c);
	CUDA_HOST_NODE_PARAMS fn = { d == TO_DEVICE ? gather : d == FROM_DEVICE ? scatter : copy_between, s };
	CUgraphNode first = NULL, second;
	CUDA_MEMCPY3D part;
	CUresult r;

	if (d == BETWEEN)
		return cuGraphAddHostNode(&first, child, NULL, 0, &fn);
	part = device_part(c, s);
	if (d == TO_DEVICE) {
		r = cuGraphAddHostNode(&first, child, NULL, 0, &fn);
		return r ? r : cuGraphAddMemcpyNode(&second, child, &first, 1, &part, ctx);
	}
	r = cuGraphAddMemcpyNode(&first, child, NULL, 0, &part, ctx);
	return r ? r : cuGraphAddHostNode(&second, child, &first, 1, &fn);
}

/* Hand the copy's memory to a graph: it goes when nothing refers to it any more. */
static CUresult entrust(CUgraph graph, struct staged *s)
{
	CUuserObject object;
	CUresult r;

	r = cuUserObjectCreate(&object, s, release, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
	if (r) {
		release(s);
		return r;
	}
	r = cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE);
	if (r)
		cuUserObjectRelease(object, 1);
	return r;
}

/* A graph that does the copy. */
static CUresult build(CUgraph *child, const CUDA_MEMCPY3D *c, CUcontext ctx)
{
	struct staged *s;
	CUresult r;

	r = make(c, &s);
	if (r)
		return r;
	r = cuGraphCreate(child, 0);
	if (r) {
		release(s);
		return r;
	}
	r = entrust(*child, s);
	if (!r)
		r = add_parts(*child, c, ctx, s);
	if (r)
		cuGraphDestroy(*child);
	return r;
}

CUresult vgpu_graph_copy_add(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
			     const CUgraphEdgeData *edges, size_t count, const CUDA_MEMCPY3D *c, CUcontext ctx)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_GRAPH };
	CUresult r;

	r = build(&p.graph.graph, c, ctx);
	if (r)
		return r;
	r = vgpu_node_add(node, graph, dependencies, edges, count, &p);
	cuGraphDestroy(p.graph.graph);
	return r ? r : vgpu_view_set_copy(vgpu_handle_to_wire(*node), vgpu_handle_to_wire(graph), c);
}

/* The child graph's nodes, changed one by one. */
static CUresult set_parts(CUgraph child, const CUDA_MEMCPY3D *c, const struct staged *s)
{
	enum direction d = direction_of(c);
	CUDA_HOST_NODE_PARAMS fn = { d == TO_DEVICE ? gather : d == FROM_DEVICE ? scatter : copy_between,
				     (void *)(uintptr_t)s };
	CUDA_MEMCPY3D part = device_part(c, s);
	CUgraphNode nodes[2] = { NULL, NULL };
	CUgraphNodeType type;
	size_t count = 2, i;
	CUresult r;

	r = cuGraphGetNodes(child, nodes, &count);
	for (i = 0; i < count && !r; i++) {
		r = cuGraphNodeGetType(nodes[i], &type);
		if (!r)
			r = type == CU_GRAPH_NODE_TYPE_HOST ? cuGraphHostNodeSetParams(nodes[i], &fn) :
							      cuGraphMemcpyNodeSetParams(nodes[i], &part);
	}
	return r;
}

/* In the graph itself. What is instantiated already keeps the piece that it had. */
static CUresult set_own(CUgraphNode node, const CUDA_MEMCPY3D *c)
{
	struct staged *s;
	CUgraph child;
	CUresult r;

	r = cuGraphChildGraphNodeGetGraph(node, &child);
	if (!r)
		r = make(c, &s);
	if (!r)
		r = entrust(child, s);
	if (!r)
		r = set_parts(child, c, s);
	return r ? r : vgpu_view_set_copy(vgpu_handle_to_wire(node), 0, c);
}

CUresult vgpu_graph_copy_set(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *c, CUcontext ctx)
{
	CUgraphNodeParams p = { .type = CU_GRAPH_NODE_TYPE_GRAPH };
	CUDA_MEMCPY3D old;
	CUresult r;

	if (!vgpu_view_copy(vgpu_handle_to_wire(node), &old) || !vgpu_graph_copy_is_pageable(c) ||
	    direction_of(c) != direction_of(&old))
		return vgpu_unsupported("a memcpy node that changes between pageable and other memory");
	if (!exec)
		return set_own(node, c);
	r = build(&p.graph.graph, c, ctx);
	if (r)
		return r;
	r = vgpu_node_set(exec, node, &p);
	cuGraphDestroy(p.graph.graph);
	return r;
}

CUresult vgpu_graph_copy_capture(struct vgpu_stream *s, const CUDA_MEMCPY3D *c)
{
	struct vgpu_capture_state state;
	CUgraphNode node;
	CUresult r;

	r = vgpu_capture_ask(s, true, true, &state);
	if (!r && state.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		r = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!r)
		r = vgpu_graph_copy_add(&node, state.graph, state.nodes, state.edges, state.count, c,
					vgpu_context_app(s->context->home));
	if (!r)
		r = cuStreamUpdateCaptureDependencies(vgpu_stream_app(s), &node, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES);
	vgpu_capture_state_free(&state);
	return r;
}
