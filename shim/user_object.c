/* SPDX-License-Identifier: MIT */
/*
 * User objects. The worker's driver counts the references; when the last is gone, the destructor is called here, by the
 * thread that calls host functions. Owns nothing; any thread.
 */
#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "graph.h"
#include "handle.h"

static CUresult create(uint64_t wire, void *ptr, CUhostFn destroy, unsigned int count, unsigned int flags)
{
	struct vgpu_args_user_object_create *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_user_object_create, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->object = wire;
	a->fn = (uint64_t)(uintptr_t)destroy;
	a->data = (uint64_t)(uintptr_t)ptr;
	a->references = count;
	a->flags = flags;
	return vgpu_call_finish(&c);
}

CUresult cuUserObjectCreate(CUuserObject *object, void *ptr, CUhostFn destroy, unsigned int count, unsigned int flags)
{
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(0);
	if (r)
		return r;
	if (!object || !destroy || !count || count > INT32_MAX || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_handle_new(VGPU_HANDLE_USEROBJECT, &wire);
	if (r)
		return r;
	/* One call for each object, sooner or later. */
	r = vgpu_host_expect(1);
	if (!r) {
		r = create(wire, ptr, destroy, count, flags);
		if (r)
			vgpu_host_expect(-1);
	}
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_USEROBJECT, wire);
	else
		*object = vgpu_handle_app(VGPU_HANDLE_USEROBJECT, wire);
	return r;
}
