/* SPDX-License-Identifier: MIT */
/*
 * cuGraphDebugDotPrint: the graph as text for Graphviz, put together here from what can be asked, because the file is
 * one of the guest's. Child graphs become clusters. Owns nothing; any thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <gen/cuda_api.h>

#include "call.h"
#include "graph.h"
#include "handle.h"

#define DEPTH_MOST	16u

static const char *const type_names[] = {
	[CU_GRAPH_NODE_TYPE_KERNEL] = "KERNEL", [CU_GRAPH_NODE_TYPE_MEMCPY] = "MEMCPY",
	[CU_GRAPH_NODE_TYPE_MEMSET] = "MEMSET", [CU_GRAPH_NODE_TYPE_HOST] = "HOST",
	[CU_GRAPH_NODE_TYPE_GRAPH] = "GRAPH", [CU_GRAPH_NODE_TYPE_EMPTY] = "EMPTY",
	[CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "EVENT_WAIT", [CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "EVENT_RECORD",
	[CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL] = "EXT_SEMAS_SIGNAL",
	[CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT] = "EXT_SEMAS_WAIT", [CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "MEM_ALLOC",
	[CU_GRAPH_NODE_TYPE_MEM_FREE] = "MEM_FREE", [CU_GRAPH_NODE_TYPE_BATCH_MEM_OP] = "BATCH_MEM_OP",
	[CU_GRAPH_NODE_TYPE_CONDITIONAL] = "CONDITIONAL",
};

static bool wants(unsigned int flags, unsigned int what)
{
	return flags & (what | CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE);
}

static void print_kernel(FILE *f, const CUDA_KERNEL_NODE_PARAMS_v3 *k)
{
	const char *name = NULL;

	if ((k->func ? cuFuncGetName(&name, k->func) : cuKernelGetName(&name, k->kern)) || !name)
		name = "?";
	fprintf(f, "\\n%s\\n<<<(%u,%u,%u),(%u,%u,%u),%u>>>", name, k->gridDimX, k->gridDimY, k->gridDimZ, k->blockDimX,
		k->blockDimY, k->blockDimZ, k->sharedMemBytes);
}

static void print_params(FILE *f, CUgraphNode node, CUgraphNodeType type, unsigned int flags)
{
	CUDA_MEMCPY3D copy;
	CUgraphNodeParams p;

	if (type == CU_GRAPH_NODE_TYPE_MEMCPY && wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEMCPY_NODE_PARAMS)) {
		if (!cuGraphMemcpyNodeGetParams(node, &copy))
			fprintf(f, "\\n%zu x %zu x %zu", copy.WidthInBytes, copy.Height, copy.Depth);
		return;
	}
	if (vgpu_node_fetch(node, &p) || p.type != type)
		return;
	if (type == CU_GRAPH_NODE_TYPE_KERNEL)
		print_kernel(f, &p.kernel);
	else if (type == CU_GRAPH_NODE_TYPE_MEMSET && wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS))
		fprintf(f, "\\n0x%llx value %u, %zu x %zu of %u", (unsigned long long)p.memset.dst, p.memset.value,
			p.memset.width, p.memset.height, p.memset.elementSize);
	else if (type == CU_GRAPH_NODE_TYPE_HOST && wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_HOST_NODE_PARAMS))
		fprintf(f, "\\nfn 0x%" PRIxPTR " data %p", (uintptr_t)p.host.fn, p.host.userData);
	else if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC &&
		 wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_ALLOC_NODE_PARAMS))
		fprintf(f, "\\n0x%llx bytes %zu", (unsigned long long)p.alloc.dptr, p.alloc.bytesize);
	else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE && wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_MEM_FREE_NODE_PARAMS))
		fprintf(f, "\\n0x%llx", (unsigned long long)p.free.dptr);
}

static CUresult print_graph(FILE *f, CUgraph graph, unsigned int flags, unsigned int depth);

static CUresult print_node(FILE *f, CUgraphNode node, unsigned int flags, unsigned int depth)
{
	CUgraphNodeType type;
	CUgraph child;
	CUresult r = cuGraphNodeGetType(node, &type);

	if (r)
		return r;
	fprintf(f, "\"%p\" [shape=box label=\"%s", (void *)node,
		(unsigned)type < sizeof(type_names) / sizeof(*type_names) ? type_names[type] : "?");
	if (wants(flags, CU_GRAPH_DEBUG_DOT_FLAGS_HANDLES))
		fprintf(f, "\\n%p", (void *)node);
	print_params(f, node, type, flags);
	fprintf(f, "\"];\n");
	if (type != CU_GRAPH_NODE_TYPE_GRAPH || depth >= DEPTH_MOST)
		return CUDA_SUCCESS;
	r = cuGraphChildGraphNodeGetGraph(node, &child);
	if (r)
		return r;
	fprintf(f, "subgraph \"cluster_%p\" {\n", (void *)node);
	r = print_graph(f, child, flags, depth + 1);
	fprintf(f, "}\n");
	return r;
}

static CUresult print_graph(FILE *f, CUgraph graph, unsigned int flags, unsigned int depth)
{
	uint64_t wire = vgpu_handle_to_wire(graph);
	struct vgpu_links l;
	CUresult r;
	size_t i;

	r = vgpu_links_fetch(wire, VGPU_LIST_NODES, false, &l);
	for (i = 0; !r && i < l.count; i++)
		r = print_node(f, l.from[i], flags, depth);
	vgpu_links_free(&l);
	if (!r)
		r = vgpu_links_fetch(wire, VGPU_LIST_EDGES, true, &l);
	for (i = 0; !r && i < l.count; i++)
		fprintf(f, "\"%p\" -> \"%p\";\n", (void *)l.from[i], (void *)l.to[i]);
	vgpu_links_free(&l);
	return r;
}

CUresult cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags)
{
	uint64_t wire;
	CUresult r;
	FILE *f;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (r)
		return r;
	f = fopen(path, "w");
	if (!f)
		return CUDA_ERROR_OPERATING_SYSTEM;
	fprintf(f, "digraph \"graph_%p\" {\n", (void *)graph);
	r = print_graph(f, graph, flags, 0);
	fprintf(f, "}\n");
	return fclose(f) && !r ? CUDA_ERROR_OPERATING_SYSTEM : r;
}
