/* SPDX-License-Identifier: MIT */
/*
 * Whole graphs: instantiating, launching, updating, destroying; graph memory; conditions. A launch is one command,
 * fire-and-forget like a kernel's. Owns nothing; any thread.
 */
#include "graph.h"

#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "capture.h"
#include "context.h"
#include "device.h"
#include "handle.h"
#include "stream.h"
#include "thread.h"

CUresult cuGraphDestroy(CUgraph graph)
{
	CUresult r = vgpu_remote_cuGraphDestroy(graph);

	if (!r)
		vgpu_view_drop_graph(vgpu_handle_to_wire(graph));
	return r;
}

/* Instantiation as asked for, by whichever call, and what is answered beside the result. */
struct instance {
	cuuint64_t flags;
	CUstream upload;
	CUgraphNode error_node;
	CUgraphInstantiateResult result;
	CUgraphExec name;	/* what device code launches it by, or NULL */
};

static CUresult send(uint64_t exec, uint64_t graph, uint64_t stream, struct instance *i, struct vgpu_graph_exec *e)
{
	const struct vgpu_ret_graph_instantiate *o;
	struct vgpu_args_graph_instantiate *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_graph_instantiate, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->graph = graph;
	a->exec = exec;
	a->flags = i->flags;
	a->stream = stream;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (c.ret_size == sizeof(*o)) {
		o = c.ret;
		i->error_node = o->error_node ? vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, o->error_node) : NULL;
		i->result = (CUgraphInstantiateResult)o->result;
		i->name = (CUgraphExec)(uintptr_t)o->name;
		*e = (struct vgpu_graph_exec){ .host_calls = o->host_calls, .open_memory = o->open_memory };
	} else if (!r) {
		r = vgpu_call_broken();
	}
	vgpu_call_end(&c);
	return r;
}

/* The application gets the name instead of our handle: it will hand it to kernels. */
static CUresult rename_exec(CUgraphExec *out, uint64_t exec, CUgraphExec name)
{
	CUresult r = vgpu_graph_name_add(name, exec);

	if (r)
		vgpu_remote_cuGraphExecDestroy(*out);
	*out = r ? NULL : name;
	return r;
}

static CUresult instantiate(CUgraphExec *out, CUgraph graph, struct instance *i)
{
	uint64_t graph_wire, exec, stream = 0;
	struct vgpu_graph_exec e;
	CUresult r;

	i->result = CUDA_GRAPH_INSTANTIATE_ERROR;
	r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);
	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &graph_wire);
	if (!r && i->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
		r = vgpu_handle_wire(VGPU_HANDLE_STREAM, i->upload, &stream);
	if (!r)
		r = vgpu_handle_new(VGPU_HANDLE_GRAPHEXEC, &exec);
	if (r)
		return r;
	r = send(exec, graph_wire, stream, i, &e);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_GRAPHEXEC, exec);
		return r;
	}
	*(struct vgpu_graph_exec *)vgpu_handle_object_wire(VGPU_HANDLE_GRAPHEXEC, exec) = e;
	*out = vgpu_handle_app(VGPU_HANDLE_GRAPHEXEC, exec);
	return i->name ? rename_exec(out, exec, i->name) : CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *graph_exec, CUgraph graph, unsigned long long flags)
{
	struct instance i = { .flags = flags };

	if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)	/* there is no stream to upload in */
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	return instantiate(graph_exec, graph, &i);
}

/* The first forms explain themselves in a text; the driver's later ones, which are used here, give a node only. */
CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t size)
{
	struct instance i = { .flags = 0 };
	CUresult r = instantiate(exec, graph, &i);

	if (error_node)
		*error_node = r ? i.error_node : NULL;
	if (log && size)
		log[0] = 0;
	return r;
}

CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t size)
{
	return cuGraphInstantiate_v2(exec, graph, error_node, log, size);
}

CUresult vgpu_on_cuGraphInstantiateWithParams(CUstream default_stream, CUgraphExec *exec, CUgraph graph,
					      CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
	struct instance i = { .flags = 0 };
	CUresult r;

	if (!params)
		return vgpu_ready() ? vgpu_ready() : CUDA_ERROR_INVALID_VALUE;
	i.flags = params->flags;
	i.upload = params->hUploadStream ? params->hUploadStream : default_stream;
	r = instantiate(exec, graph, &i);
	params->hErrNode_out = r ? i.error_node : NULL;
	params->result_out = r ? i.result : CUDA_GRAPH_INSTANTIATE_SUCCESS;
	return r;
}

CUresult cuGraphExecDestroy(CUgraphExec graph_exec)
{
	uint64_t exec = 0;
	CUresult r = vgpu_call_ready(0);

	if (!r && !vgpu_handle_live(VGPU_HANDLE_GRAPHEXEC, graph_exec))
		exec = vgpu_graph_name_find(graph_exec);
	if (!r)
		r = vgpu_remote_cuGraphExecDestroy(graph_exec);
	if (!r && exec)
		vgpu_graph_name_drop(graph_exec, exec);
	return r;
}

CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream)
{
	VGPU_STREAM_LENDS(stream);
	const struct vgpu_graph_exec *e = vgpu_handle_object(VGPU_HANDLE_GRAPHEXEC, graph);
	CUresult r = CUDA_SUCCESS;

	/* One with a name calls no functions and allocates nothing: the driver lets device code launch no such graph. */
	if (e && e->host_calls) {
		r = vgpu_call_ready(VGPU_CALL_CONTEXT);
		if (!r)
			r = vgpu_capture_never(stream);
		if (!r)
			r = vgpu_host_expect(e->host_calls);
	}
	if (!r)
		r = vgpu_remote_cuGraphLaunch(graph, stream);
	return !r && e && e->open_memory ? vgpu_call_verdict() : r;
}

static CUresult update(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
	const struct vgpu_ret_graph_exec_update *o;
	struct vgpu_args_graph_exec_update *a;
	uint64_t exec_wire, graph_wire;
	struct vgpu_call c;
	CUresult r;

	*info = (CUgraphExecUpdateResultInfo){ .result = CU_GRAPH_EXEC_UPDATE_ERROR };
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, exec, &exec_wire);
	if (!r)
		r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &graph_wire);
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_graph_exec_update, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->exec = exec_wire;
	a->graph = graph_wire;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (c.ret_size == sizeof(*o)) {
		o = c.ret;
		info->result = (CUgraphExecUpdateResult)o->result;
		info->errorNode = o->node ? vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, o->node) : NULL;
		info->errorFromNode = o->from ? vgpu_handle_app(VGPU_HANDLE_GRAPHNODE, o->from) : NULL;
	} else if (!r) {
		r = vgpu_call_broken();
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
	CUgraphExecUpdateResultInfo unwanted;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	return r ? r : update(exec, graph, info ? info : &unwanted);
}

CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode *error_node, CUgraphExecUpdateResult *result)
{
	CUgraphExecUpdateResultInfo info;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!result)
		return CUDA_ERROR_INVALID_VALUE;
	r = update(exec, graph, &info);
	*result = info.result;
	if (error_node)
		*error_node = info.errorNode;
	return r;
}

/* ---- graph memory ---- */

static CUresult memory_attribute(CUdevice device, CUgraphMem_attribute attr, uint64_t *value, bool set)
{
	const struct vgpu_ret_graph_mem_attribute *o;
	struct vgpu_args_graph_mem_attribute *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!value || (unsigned)attr > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
		return CUDA_ERROR_INVALID_VALUE;
	if (!vgpu_device_valid(device))
		return CUDA_ERROR_INVALID_DEVICE;
	r = vgpu_call_begin(&c, VGPU_OP_graph_mem_attribute, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->device = vgpu_device_real(device);
	a->attribute = attr;
	a->set = set;
	a->value = set ? *value : 0;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r && !set) {
		o = c.ret;
		*value = o->value;
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	return memory_attribute(device, attr, value, false);
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
	return memory_attribute(device, attr, value, true);
}

/* ---- conditions ---- */

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *handle, CUgraph graph, CUcontext ctx,
					unsigned int value, unsigned int flags)
{
	const struct vgpu_ret_graph_conditional *o;
	struct vgpu_args_graph_conditional *a;
	struct vgpu_context *context;
	struct vgpu_call c;
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_wire(VGPU_HANDLE_GRAPH, graph, &wire);
	if (!r)
		r = ctx ? vgpu_context_get(ctx, &context) : CUDA_ERROR_INVALID_CONTEXT;
	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_graph_conditional, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->graph = wire;
	a->context = context->wire;
	a->value = value;
	a->flags = flags;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		*handle = o->handle;
	}
	vgpu_call_end(&c);
	return r;
}
