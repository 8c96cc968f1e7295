/* SPDX-License-Identifier: MIT */
/* Graphs and user objects of the driver that checks its caller: nodes are checked, and never run. One thread. */
#include "fake_parts.h"

#define BODIES_MOST 2u

static CUresult f_graph(CUgraph *out, unsigned int flags)
{
	(void)flags;
	if (!fake.result)
		*out = fake_make(VGPU_HANDLE_GRAPH, NULL);
	return fake.result;
}

static CUresult f_clone(CUgraph *out, CUgraph graph)
{
	fake_check(graph, VGPU_HANDLE_GRAPH);
	return f_graph(out, 0);
}

static CUresult f_graph_destroy(CUgraph graph)
{
	fake_destroy(fake_check(graph, VGPU_HANDLE_GRAPH));
	return fake.result;
}

static void check_side(CUmemorytype type, CUarray array, uint64_t at, uint64_t x, uint64_t y, uint64_t z,
		       uint64_t pitch, uint64_t height, const CUDA_MEMCPY3D *c)
{
	if (type == CU_MEMORYTYPE_ARRAY) {
		fake_check(array, VGPU_HANDLE_ARRAY);
		return;
	}
	if (!c->WidthInBytes || !c->Height || !c->Depth)
		return;
	pitch = pitch ? pitch : x + c->WidthInBytes;
	height = height ? height : y + c->Height;
	fake_check_any(at + (z * height + y) * pitch + x,
		       ((c->Depth - 1) * height + c->Height - 1) * pitch + c->WidthInBytes);
}

static void check_copy(const CUDA_MEMCPY3D *c)
{
	check_side(c->srcMemoryType, c->srcArray,
		   c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)(uintptr_t)c->srcHost : c->srcDevice,
		   c->srcXInBytes, c->srcY, c->srcZ, c->srcPitch, c->srcHeight, c);
	check_side(c->dstMemoryType, c->dstArray,
		   c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)(uintptr_t)c->dstHost : c->dstDevice,
		   c->dstXInBytes, c->dstY, c->dstZ, c->dstPitch, c->dstHeight, c);
}

static void check_kernel(const CUDA_KERNEL_NODE_PARAMS_v3 *k)
{
	fake_check_function(k->func ? k->func : (CUfunction)k->kern);
	fake_insist(!k->kernelParams && k->extra, "kernelParams");
	fake.params = k->extra[1];
	fake.param_bytes = *(size_t *)k->extra[3];
	fake_insist(fake.param_bytes >= fake.param_count * 8, "a parameter block that is too short");
	fake_check_source(fake.params, fake.param_bytes);
}

static void check_batch(const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b)
{
	for (unsigned int i = 0; i < b->count; i++)
		if (b->paramArray[i].operation == CU_STREAM_MEM_OP_WRITE_VALUE_32 ||
		    b->paramArray[i].operation == CU_STREAM_MEM_OP_WAIT_VALUE_32)
			fake_check_any(b->paramArray[i].writeValue.address, 4);
		else if (b->paramArray[i].operation == CU_STREAM_MEM_OP_WRITE_VALUE_64 ||
			 b->paramArray[i].operation == CU_STREAM_MEM_OP_WAIT_VALUE_64)
			fake_check_any(b->paramArray[i].writeValue.address, 8);
}

static void check_memset(const CUDA_MEMSET_NODE_PARAMS_v2 *m)
{
	if (m->width && m->height)
		fake_check_any(m->dst, (m->height > 1 ? m->pitch * (m->height - 1) : 0) + m->width * m->elementSize);
}

static void check_params(const CUgraphNodeParams *p)
{
	if (p->type == CU_GRAPH_NODE_TYPE_KERNEL)
		check_kernel(&p->kernel);
	else if (p->type == CU_GRAPH_NODE_TYPE_MEMCPY)
		check_copy(&p->memcpy.copyParams);
	else if (p->type == CU_GRAPH_NODE_TYPE_MEMSET)
		check_memset(&p->memset);
	else if (p->type == CU_GRAPH_NODE_TYPE_HOST)
		fake_insist(p->host.fn && p->host.userData, "a host node of nothing");
	else if (p->type == CU_GRAPH_NODE_TYPE_GRAPH)
		fake_check(p->graph.graph, VGPU_HANDLE_GRAPH);
	else if (p->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
		fake_check(p->eventWait.event, VGPU_HANDLE_EVENT);
	else if (p->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
		fake_check(p->eventRecord.event, VGPU_HANDLE_EVENT);
	else if (p->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		fake_check_any(p->free.dptr, 1);
	else if (p->type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP)
		check_batch(&p->memOp);
}

static void check_nodes(const CUgraphNode *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fake_check(nodes[i], VGPU_HANDLE_GRAPHNODE);
}

/* What the driver makes beside the node. */
static CUresult make_inside(struct fake_object *graph, CUgraphNodeParams *p)
{
	static CUgraph bodies[BODIES_MOST];

	if (p->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		return fake_alloc(&p->alloc.dptr, p->alloc.bytesize);
	if (p->type != CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return CUDA_SUCCESS;
	if (p->conditional.size > BODIES_MOST)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < p->conditional.size; i++)
		bodies[i] = fake_make(VGPU_HANDLE_GRAPH, graph);
	p->conditional.phGraph_out = bodies;
	return CUDA_SUCCESS;
}

static CUresult f_add(CUgraphNode *out, CUgraph graph, const CUgraphNode *from, const CUgraphEdgeData *data,
		      size_t count, CUgraphNodeParams *p)
{
	struct fake_object *g = fake_check(graph, VGPU_HANDLE_GRAPH), *n;
	CUresult r = fake.result;

	(void)data;
	fake.calls++;
	check_nodes(from, count);
	check_params(p);
	if (!r)
		r = make_inside(g, p);
	if (r)
		return r;
	n = fake_make(VGPU_HANDLE_GRAPHNODE, g);
	n->type = p->type;
	if (p->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
		n->at = p->alloc.dptr;
		n->bytes = p->alloc.bytesize;
	}
	*out = (CUgraphNode)n;
	return CUDA_SUCCESS;
}

static CUresult f_set(CUgraphNode node, CUgraphNodeParams *p)
{
	fake.calls++;
	fake_check(node, VGPU_HANDLE_GRAPHNODE);
	check_params(p);
	return fake.result;
}

static CUresult f_set_exec(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *p)
{
	fake_check(exec, VGPU_HANDLE_GRAPHEXEC);
	return f_set(node, p);
}

static CUresult f_type(CUgraphNode node, CUgraphNodeType *type)
{
	*type = (CUgraphNodeType)fake_check(node, VGPU_HANDLE_GRAPHNODE)->type;
	return fake.result;
}

static CUresult f_destroy_node(CUgraphNode node)
{
	fake_destroy(fake_check(node, VGPU_HANDLE_GRAPHNODE));
	return fake.result;
}

static CUresult f_edges(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *data,
			size_t count)
{
	(void)data;
	fake.calls++;
	fake_check(graph, VGPU_HANDLE_GRAPH);
	check_nodes(from, count);
	check_nodes(to, count);
	return fake.result;
}

static CUresult f_plain_edges(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return f_edges(graph, from, to, NULL, count);
}

static CUresult f_set_attribute(CUgraphNode node, CUkernelNodeAttrID attr, const CUkernelNodeAttrValue *value)
{
	fake_check(node, VGPU_HANDLE_GRAPHNODE);
	fake.calls++;
	fake_insist(value, "no value");
	fake_insist(attr != CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE ||
			    !value->deviceUpdatableKernelNode.devNode, "a node's name of the guest's");
	return fake.result;
}

static CUresult f_get_attribute(CUgraphNode node, CUkernelNodeAttrID attr, CUkernelNodeAttrValue *value)
{
	CUresult r = f_set_attribute(node, attr, value);

	if (attr == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		value->deviceUpdatableKernelNode.devNode = (CUgraphDeviceNode)node;
	return r;
}

static CUresult f_instantiate(CUgraphExec *out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
	struct fake_object *e;

	fake_check(graph, VGPU_HANDLE_GRAPH);
	fake_check_stream(p->hUploadStream);
	if (fake.result)
		return fake.result;
	e = fake_make(VGPU_HANDLE_GRAPHEXEC, NULL);
	e->made_of = (struct fake_object *)graph;
	*out = (CUgraphExec)e;
	return CUDA_SUCCESS;
}

static CUresult f_exec_destroy(CUgraphExec exec)
{
	fake_destroy(fake_check(exec, VGPU_HANDLE_GRAPHEXEC));
	return fake.result;
}

static CUresult f_exec_update(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
	(void)info;
	fake_check(exec, VGPU_HANDLE_GRAPHEXEC);
	fake_check(graph, VGPU_HANDLE_GRAPH);
	return fake.result;
}

/* What the graph allocates is there again. */
static CUresult f_graph_launch(CUgraphExec exec, CUstream s)
{
	const struct fake_object *graph = fake_check(exec, VGPU_HANDLE_GRAPHEXEC)->made_of;

	fake_check_stream(s);
	fake.calls++;
	for (const struct fake_object *o = fake_objects; o && !fake.result; o = o->next)
		if (o->kind == VGPU_HANDLE_GRAPHNODE && o->owner == graph && o->bytes)
			fake_memory_restore(o->at, o->bytes);
	return fake.result;
}

static CUresult f_capture_info(CUstream s, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
			       const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count)
{
	(void)id, (void)nodes, (void)edges, (void)count;
	fake_check_stream(s);
	*status = fake.captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	*graph = fake.captured;
	return fake.result;
}

static CUresult f_end_capture(CUstream s, CUgraph *graph)
{
	fake_check_stream(s);
	if (!fake.captured)
		return CUDA_ERROR_ILLEGAL_STATE;
	*graph = fake.captured;
	fake.captured = NULL;
	return fake.result;
}

static CUresult f_user_create(CUuserObject *out, void *ptr, CUhostFn destroy, unsigned int count, unsigned int flags)
{
	struct fake_object *o;

	(void)flags;
	if (!count || fake.result)
		return fake.result ? fake.result : CUDA_ERROR_INVALID_VALUE;
	o = fake_make(VGPU_HANDLE_USEROBJECT, NULL);
	o->references = count;
	o->gone = destroy;
	o->data = ptr;
	*out = (CUuserObject)o;
	return CUDA_SUCCESS;
}

static CUresult f_user_retain(CUuserObject object, unsigned int count)
{
	fake_check(object, VGPU_HANDLE_USEROBJECT)->references += count;
	return CUDA_SUCCESS;
}

static CUresult f_user_release(CUuserObject object, unsigned int count)
{
	struct fake_object *o = fake_check(object, VGPU_HANDLE_USEROBJECT);

	if (count > o->references)
		return CUDA_ERROR_INVALID_VALUE;
	o->references -= count;
	return CUDA_SUCCESS;
}

void fake_user_objects_run(void)
{
	struct fake_object *o = fake_objects;

	while (o) {
		if (o->kind == VGPU_HANDLE_USEROBJECT && !o->references) {
			o->gone(o->data);
			fake_destroy(o);
			o = fake_objects;	/* the list has changed: start again */
		} else {
			o = o->next;
		}
	}
}

void fake_fill_graphs(struct vgpu_driver *t)
{
	t->cuGraphCreate = f_graph;
	t->cuGraphClone = f_clone;
	t->cuGraphDestroy = f_graph_destroy;
	t->cuGraphAddNode_v2 = f_add;
	t->cuGraphNodeSetParams = f_set;
	t->cuGraphExecNodeSetParams = f_set_exec;
	t->cuGraphNodeGetType = f_type;
	t->cuGraphDestroyNode = f_destroy_node;
	t->cuGraphAddDependencies = f_plain_edges;
	t->cuGraphAddDependencies_v2 = f_edges;
	t->cuGraphRemoveDependencies = f_plain_edges;
	t->cuGraphRemoveDependencies_v2 = f_edges;
	t->cuGraphKernelNodeSetAttribute = f_set_attribute;
	t->cuGraphKernelNodeGetAttribute = f_get_attribute;
	t->cuGraphInstantiateWithParams = f_instantiate;
	t->cuGraphExecDestroy = f_exec_destroy;
	t->cuGraphExecUpdate_v2 = f_exec_update;
	t->cuGraphLaunch = f_graph_launch;
	t->cuStreamGetCaptureInfo_v3 = f_capture_info;
	t->cuStreamEndCapture = f_end_capture;
	t->cuUserObjectCreate = f_user_create;
	t->cuUserObjectRetain = f_user_retain;
	t->cuUserObjectRelease = f_user_release;
	t->cuGraphRetainUserObject = NULL;	/* would have to know which graph has which */
	t->cuGraphReleaseUserObject = NULL;
	t->cuGraphChildGraphNodeGetGraph = NULL;	/* children are not copied */
	t->cuGraphNodeFindInClone = NULL;		/* nor are clones' nodes */
}
