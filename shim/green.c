/* SPDX-License-Identifier: MIT */
/*
 * Green contexts and the resources that they are made of. A green context is a context (context.h) with default and
 * other streams of its own, whose objects are its device's primary context's; its CUgreenCtx is a handle of its own, since
 * the application may not use one for the other. In a CUdevResource lies the number by which the worker knows it.
 * Any thread; the calls of one green context are the application's to order, as natively.
 */
#include "green.h"

#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "call.h"
#include "context.h"
#include "context_internal.h"
#include "device.h"
#include "handle.h"

#define ID_AT	4u	/* in the part of a CUdevResource that is the driver's: aligned */
#define ROOM	(VGPU_RET_PAYLOAD_MAX_dev_resource_split / (uint32_t)sizeof(struct vgpu_rec_dev_resource))

/* ---- resources ---- */

static void put_resource(CUdevResource *to, const struct vgpu_rec_dev_resource *from)
{
	memset(to, 0, sizeof(*to));
	to->type = (CUdevResourceType)from->type;
	memcpy(to->_internal_padding + ID_AT, &from->id, sizeof(from->id));
	to->sm.smCount = from->count;
	to->sm.minSmPartitionSize = from->minimum;
	to->sm.smCoscheduledAlignment = from->alignment;
}

static uint64_t resource_id(const CUdevResource *r)
{
	uint64_t id;

	memcpy(&id, r->_internal_padding + ID_AT, sizeof(id));
	return id;
}

static CUresult get_resource(uint64_t context, CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
	const struct vgpu_ret_dev_resource_get *o;
	struct vgpu_args_dev_resource_get *a;
	struct vgpu_call c;
	CUresult r;

	if (!resource)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_call_begin(&c, VGPU_OP_dev_resource_get, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->context = context;
	a->device = device;
	a->type = type;
	r = vgpu_call_answer(&c, sizeof(*o));
	if (!r) {
		o = c.ret;
		put_resource(resource, &o->resource);
	}
	vgpu_call_end(&c);
	return r;
}

CUresult cuDeviceGetDevResource(CUdevice device, CUdevResource *resource, CUdevResourceType type)
{
	CUresult r = vgpu_ready();

	if (r)
		return r;
	return vgpu_device_valid(device) ? get_resource(0, vgpu_device_real(device), resource, type) :
					   CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuCtxGetDevResource(CUcontext ctx, CUdevResource *resource, CUdevResourceType type)
{
	struct vgpu_context *o;
	CUresult r = vgpu_ready();

	if (!r)	/* the current one is to be named, too */
		r = ctx ? vgpu_context_get(ctx, &o) : CUDA_ERROR_INVALID_CONTEXT;
	if (r)
		return r;
	return o->alive ? get_resource(o->wire, 0, resource, type) : CUDA_ERROR_INVALID_CONTEXT;
}

/* The reply of a split: what there is room for of what was made. */
static CUresult take_groups(const struct vgpu_call *c, CUdevResource *result, unsigned int *count,
			    CUdevResource *remaining)
{
	const struct vgpu_ret_dev_resource_split *o = c->ret;
	const struct vgpu_rec_dev_resource *groups = (const void *)(o + 1);
	uint32_t i;

	if (c->ret_size < sizeof(*o))
		return vgpu_call_broken();
	if (result && (o->groups > *count || c->ret_size != sizeof(*o) + o->groups * sizeof(*groups)))
		return vgpu_call_broken();
	*count = o->groups;
	for (i = 0; result && i < o->groups; i++)
		put_resource(&result[i], &groups[i]);
	if (remaining)
		put_resource(remaining, &o->remaining);
	return CUDA_SUCCESS;
}

CUresult cuDevSmResourceSplitByCount(CUdevResource *result, unsigned int *nb_groups, const CUdevResource *input,
				     CUdevResource *remaining, unsigned int flags, unsigned int min_count)
{
	struct vgpu_args_dev_resource_split *a;
	struct vgpu_call c;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!nb_groups || !input)
		return CUDA_ERROR_INVALID_VALUE;
	if (input->type != CU_DEV_RESOURCE_TYPE_SM)
		return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	r = vgpu_call_begin(&c, VGPU_OP_dev_resource_split, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->input = resource_id(input);
	a->room = *nb_groups < ROOM ? *nb_groups : ROOM;
	a->query = !result;
	a->remaining = remaining != NULL;
	a->flags = flags;
	a->minimum = min_count;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (!r)
		r = take_groups(&c, result, nb_groups, remaining);
	vgpu_call_end(&c);
	return r;
}

static CUresult describe(uint64_t wire, const CUdevResource *resources, uint32_t count)
{
	struct vgpu_args_dev_resource_describe *a;
	struct vgpu_call c;
	uint64_t *ids;
	uint32_t i;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_dev_resource_describe, sizeof(*a), count * (uint32_t)sizeof(*ids),
			    VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->descriptor = wire;
	ids = c.payload;
	for (i = 0; i < count; i++)
		ids[i] = resource_id(&resources[i]);
	return vgpu_call_finish(&c);
}

CUresult cuDevResourceGenerateDesc(CUdevResourceDesc *desc, CUdevResource *resources, unsigned int nb_resources)
{
	uint64_t wire;
	CUresult r = vgpu_ready();
	unsigned int i;

	if (r)
		return r;
	if (!desc || !resources || !nb_resources ||
	    nb_resources > VGPU_PAYLOAD_MAX_dev_resource_describe / sizeof(uint64_t))
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < nb_resources; i++)
		if (resources[i].type != CU_DEV_RESOURCE_TYPE_SM)
			return CUDA_ERROR_INVALID_RESOURCE_TYPE;
	r = vgpu_handle_new(VGPU_HANDLE_RESOURCEDESC, &wire);
	if (r)
		return r;
	r = describe(wire, resources, nb_resources);
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_RESOURCEDESC, wire);
	else
		*desc = vgpu_handle_app(VGPU_HANDLE_RESOURCEDESC, wire);
	return r;
}

/* ---- life ---- */

static CUresult create_remote(const struct vgpu_context *ctx, uint64_t desc, unsigned int flags)
{
	struct vgpu_args_green_create *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_green_create, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->context = ctx->wire;
	a->primary = ctx->home->wire;
	a->descriptor = desc;
	a->device = vgpu_device_real(ctx->device);
	a->flags = flags;
	return vgpu_call_finish(&c);
}

static CUresult make_handles(uint64_t *context, uint64_t *green)
{
	CUresult r = vgpu_handle_new(VGPU_HANDLE_CONTEXT, context);

	if (r)
		return r;
	r = vgpu_handle_new(VGPU_HANDLE_GREENCTX, green);
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_CONTEXT, *context);
	return r;
}

/* Both handles of a new one, and its default stream. */
static CUresult make(struct vgpu_context *primary, struct vgpu_context **out)
{
	struct vgpu_context *ctx;
	struct vgpu_green *green;
	uint64_t wire, other;
	CUresult r = make_handles(&wire, &other);

	if (r)
		return r;
	ctx = vgpu_handle_object_wire(VGPU_HANDLE_CONTEXT, wire);
	ctx->wire = wire;
	r = vgpu_context_setup(ctx, primary->device, primary->flags);
	if (r) {
		vgpu_handle_drop(VGPU_HANDLE_GREENCTX, other);
		vgpu_handle_drop(VGPU_HANDLE_CONTEXT, wire);
		return r;
	}
	green = vgpu_handle_object_wire(VGPU_HANDLE_GREENCTX, other);
	green->wire = other;
	green->context = ctx;
	ctx->green = other;
	ctx->home = primary;
	*out = ctx;
	return CUDA_SUCCESS;
}

/* The guest's half of it ends here; no reference to the primary context is given back. */
static void unmake(struct vgpu_context *ctx)
{
	if (ctx->alive)
		atomic_fetch_sub(&ctx->home->greens, 1);
	vgpu_context_teardown(ctx);
	vgpu_handle_drop(VGPU_HANDLE_GREENCTX, ctx->green);
	vgpu_handle_drop(VGPU_HANDLE_CONTEXT, ctx->wire);
}

CUresult cuGreenCtxCreate(CUgreenCtx *ctx, CUdevResourceDesc desc, CUdevice dev, unsigned int flags)
{
	struct vgpu_context *o;
	CUcontext primary;
	uint64_t wire;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	if (!ctx || vgpu_handle_wire(VGPU_HANDLE_RESOURCEDESC, desc, &wire))
		return CUDA_ERROR_INVALID_VALUE;
	r = cuDevicePrimaryCtxRetain(&primary, dev);
	if (r)
		return r;
	r = make(vgpu_context_primary(dev), &o);
	if (!r) {
		r = create_remote(o, wire, flags);
		if (r)
			unmake(o);
	}
	if (r) {
		cuDevicePrimaryCtxRelease_v2(dev);
		return r;
	}
	o->alive = true;
	atomic_fetch_add(&o->home->greens, 1);
	*ctx = vgpu_handle_app(VGPU_HANDLE_GREENCTX, o->green);
	return CUDA_SUCCESS;
}

/* The context of a CUgreenCtx. */
static CUresult get(CUgreenCtx app, struct vgpu_context **ctx)
{
	const struct vgpu_green *green;
	CUresult r = vgpu_ready();

	if (r)
		return r;
	green = app ? vgpu_handle_object(VGPU_HANDLE_GREENCTX, app) : NULL;
	*ctx = green ? green->context : NULL;
	return green ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuGreenCtxDestroy(CUgreenCtx ctx)
{
	struct vgpu_args_green_destroy *a;
	struct vgpu_context *o;
	struct vgpu_call c;
	CUdevice dev;
	CUresult r = get(ctx, &o);

	if (!r)
		r = vgpu_call_begin(&c, VGPU_OP_green_destroy, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->context = o->wire;
	r = vgpu_call_finish(&c);
	if (r)
		return r;
	dev = o->device;
	unmake(o);
	return cuDevicePrimaryCtxRelease_v2(dev);
}

void vgpu_greens_drop(struct vgpu_context *primary)
{
	struct vgpu_context *ctx;

	while ((ctx = vgpu_context_green(primary, NULL)))
		unmake(ctx);
}

/* ---- use ---- */

CUresult cuCtxFromGreenCtx(CUcontext *ctx, CUgreenCtx green)
{
	struct vgpu_context *o;
	CUresult r = get(green, &o);

	if (r)
		return r;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = vgpu_context_app(o);
	return CUDA_SUCCESS;
}

CUresult cuGreenCtxGetDevResource(CUgreenCtx ctx, CUdevResource *resource, CUdevResourceType type)
{
	struct vgpu_context *o;
	CUresult r = get(ctx, &o);

	return r ? r : get_resource(o->wire, 0, resource, type);
}

CUresult cuGreenCtxGetId(CUgreenCtx ctx, unsigned long long *id)
{
	struct vgpu_context *o = vgpu_context_current();
	CUresult r = ctx ? get(ctx, &o) : vgpu_ready();

	if (r)
		return r;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	if (!o || !o->green)
		return CUDA_ERROR_INVALID_CONTEXT;
	*id = o->id;
	return CUDA_SUCCESS;
}

CUresult cuGreenCtxRecordEvent(CUgreenCtx ctx, CUevent event)
{
	struct vgpu_context *o;
	CUresult r = get(ctx, &o);

	return r ? r : cuCtxRecordEvent(vgpu_context_app(o), event);
}

CUresult cuGreenCtxWaitEvent(CUgreenCtx ctx, CUevent event)
{
	struct vgpu_context *o;
	CUresult r = get(ctx, &o);

	return r ? r : cuCtxWaitEvent(vgpu_context_app(o), event);
}

CUresult cuGreenCtxStreamCreate(CUstream *stream, CUgreenCtx ctx, unsigned int flags, int priority)
{
	struct vgpu_context *o;
	CUresult r = get(ctx, &o);

	if (r)
		return r;
	if (!stream || flags != CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	return vgpu_stream_create(stream, o, flags, priority);
}
