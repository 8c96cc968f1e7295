/* SPDX-License-Identifier: MIT */
/*
 * Whole graphs: instantiating, updating, launching, destroying. A launch is one call of the driver, whatever the graph
 * holds. The worker's only thread.
 */
#include <stdlib.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "graph.h"

#define CONDITIONALS_MOST 65536u

CUresult vgpu_handle_cuGraphDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphDestroy *a = rq->args;
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, a->graph);
	const void *graph;
	CUresult r;

	if (!e || e->owner)	/* what is inside another, or still being captured, is not the guest's to destroy */
		return CUDA_ERROR_INVALID_VALUE;
	graph = e->obj;
	r = vgpu_default_cuGraphDestroy(s, rq);
	if (r)
		return r;
	vgpu_graph_forget(s, a->graph);
	vgpu_graph_memory_gone(s, graph);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_cuGraphExecDestroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphExecDestroy *a = rq->args;
	void *exec = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHEXEC, a->graph_exec, &exec);

	if (!r)
		r = vgpu_default_cuGraphExecDestroy(s, rq);
	if (!r)
		vgpu_graph_memory_gone(s, exec);
	return r;
}

static CUresult instantiate(const struct vgpu_driver *d, CUgraphExec *exec, CUgraph graph,
			    CUDA_GRAPH_INSTANTIATE_PARAMS *p)
{
	if (d->cuGraphInstantiateWithParams)
		return d->cuGraphInstantiateWithParams(exec, graph, p);
	if (d->cuGraphInstantiateWithFlags && !(p->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD))
		return d->cuGraphInstantiateWithFlags(exec, graph, p->flags);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_graph_instantiate(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_instantiate *a = rq->args;
	struct vgpu_ret_graph_instantiate *o = rq->ret;
	CUDA_GRAPH_INSTANTIATE_PARAMS p = { .flags = a->flags };
	CUgraphExec exec = NULL;
	void *graph, *stream;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);
	if (r)
		return r;
	p.hUploadStream = stream;
	r = vgpu_host_count(s, graph, &o->host_calls);
	if (!r)
		r = instantiate(s->drv, &exec, graph, &p);
	rq->ret_size = sizeof(*o);
	o->result = p.result_out;
	if (r) {
		/* Which node is no more than a hint: without memory for its id there is none. */
		vgpu_node_id(s, p.hErrNode_out, a->graph, &o->error_node);
		return r;
	}
	r = vgpu_session_bind(s, VGPU_HANDLE_GRAPHEXEC, a->exec, exec);
	if (!r)
		r = vgpu_graph_memory_instantiated(s, graph, exec);
	if (r)
		return r;
	vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPHEXEC, a->exec)->aux = o->host_calls;
	o->open_memory = vgpu_graph_memory_open(s, exec);
	if (a->flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
		o->name = (uint64_t)(uintptr_t)exec;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_graph_exec_update(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_exec_update *a = rq->args;
	struct vgpu_ret_graph_exec_update *o = rq->ret;
	CUgraphExecUpdateResultInfo info = { 0 };
	void *exec, *graph;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHEXEC, a->exec, &exec);

	if (!s->drv->cuGraphExecUpdate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);
	if (r)
		return r;
	r = s->drv->cuGraphExecUpdate_v2(exec, graph, &info);
	o->result = info.result;
	if (r) {
		vgpu_node_id(s, info.errorNode, a->graph, &o->node);
		vgpu_node_id(s, info.errorFromNode, a->graph, &o->from);
	}
	rq->ret_size = sizeof(*o);
	return r;
}

/* The guest waits for functions that this launch was to call. */
static void failed(struct vgpu_session *s, uint64_t exec, CUstream stream)
{
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPHEXEC, exec);
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (e && e->aux && s->drv->cuStreamIsCapturing && !s->drv->cuStreamIsCapturing(stream, &status) &&
	    status == CU_STREAM_CAPTURE_STATUS_NONE)
		vgpu_host_lost(s, (uint32_t)e->aux);
}

CUresult vgpu_handle_cuGraphLaunch(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_cuGraphLaunch *a = rq->args;
	void *stream = NULL, *exec = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_STREAM, a->stream, &stream);

	if (!r)
		r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPHEXEC, a->graph, &exec);
	if (!r)
		r = vgpu_graph_memory_before_launch(s, exec);
	if (!r)
		r = vgpu_default_cuGraphLaunch(s, rq);
	if (r) {
		failed(s, a->graph, stream);
		return r;
	}
	vgpu_graph_memory_launched(s, exec);
	vgpu_timeout_launched(s, stream);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_graph_mem_attribute(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_mem_attribute *a = rq->args;
	struct vgpu_ret_graph_mem_attribute *o = rq->ret;
	CUresult (*call)(CUdevice, CUgraphMem_attribute, void *) =
		a->set ? s->drv->cuDeviceSetGraphMemAttribute : s->drv->cuDeviceGetGraphMemAttribute;

	o->value = a->value;
	rq->ret_size = sizeof(*o);
	return call ? call(a->device, (CUgraphMem_attribute)a->attribute, &o->value) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_conditional_check(const struct vgpu_session *s, uint64_t handle)
{
	for (uint32_t i = 0; i < s->conditional_count; i++)
		if (s->conditionals[i] == handle)
			return CUDA_SUCCESS;
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult note_conditional(struct vgpu_session *s, uint64_t handle)
{
	uint64_t *more;

	if (s->conditional_count == CONDITIONALS_MOST)
		return CUDA_ERROR_OUT_OF_MEMORY;
	more = realloc(s->conditionals, (s->conditional_count + 1) * sizeof(*more));
	if (!more)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->conditionals = more;
	more[s->conditional_count++] = handle;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_graph_conditional(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_graph_conditional *a = rq->args;
	struct vgpu_ret_graph_conditional *o = rq->ret;
	CUgraphConditionalHandle handle = 0;
	void *graph, *context = NULL;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_GRAPH, a->graph, &graph);

	if (!s->drv->cuGraphConditionalHandleCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!r && a->context)
		r = vgpu_session_lookup(s, VGPU_HANDLE_CONTEXT, a->context, &context);
	if (!r)
		r = s->drv->cuGraphConditionalHandleCreate(&handle, graph, context, a->value, a->flags);
	if (!r)
		r = note_conditional(s, handle);
	o->handle = handle;
	rq->ret_size = sizeof(*o);
	return r;
}
