/* SPDX-License-Identifier: MIT */
/* Tensor maps: opaque values that the driver makes. Those that are made from nothing have generated calls. */
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"

CUresult cuTensorMapReplaceAddress(CUtensorMap *tensor_map, void *global_address)
{
	const unsigned flags = VGPU_CALL_REPLY | VGPU_CALL_CONTEXT;
	const struct vgpu_ret_tensor_map_replace *o;
	struct vgpu_args_tensor_map_replace *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_ready(flags);
	if (r)
		return r;
	if (!tensor_map)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_call_begin(&c, VGPU_OP_tensor_map_replace, sizeof(*a), 0, flags);
	if (r)
		return r;
	a = c.args;
	memcpy(a->map, tensor_map, sizeof(a->map));
	a->address = (uintptr_t)global_address;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		memcpy(tensor_map, o->map, sizeof(o->map));
	}
	vgpu_call_end(&c);
	return r;
}
