/* SPDX-License-Identifier: MIT */
/*
 * Green contexts, and the resources of a device that they are made of. A context entry's owner is the primary context
 * whose objects it uses, its aux the driver's CUgreenCtx. What the driver says of a resource is kept here and never
 * taken from a guest: a CUdevResource has parts that only the driver understands, and trusts. The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "session.h"

#define RESOURCES	4096u		/* the last ones that a guest was told; older numbers mean nothing */
#define FIRST_ROOM	16u
#define GROUPS_MOST	(VGPU_RET_PAYLOAD_MAX_dev_resource_split / (uint32_t)sizeof(struct vgpu_rec_dev_resource))
#define DESCRIBED_MOST	(VGPU_PAYLOAD_MAX_dev_resource_describe / (uint32_t)sizeof(uint64_t))

struct resource {
	uint64_t id;		/* 0: none here */
	uint32_t context;	/* index of the context that it is, or was, a part of; 0: of the device */
	CUdevResource value;
};

/* A resource is in the slot that its number says, modulo RESOURCES. */
struct vgpu_resources {
	struct resource *slots;
	uint32_t room;
	uint64_t given;		/* the last number */
};

/* ---- resources ---- */

void vgpu_resources_drop(struct vgpu_session *s, uint32_t context)
{
	for (uint32_t i = 0; s->resources && i < s->resources->room; i++)
		if (s->resources->slots[i].context == context)
			s->resources->slots[i].id = 0;
}

void vgpu_resources_release(struct vgpu_session *s)
{
	if (s->resources)
		free(s->resources->slots);
	free(s->resources);
	s->resources = NULL;
}

static struct resource *find(struct vgpu_session *s, uint64_t id)
{
	struct vgpu_resources *t = s->resources;

	if (!t || !id || id > t->given || t->slots[(id - 1) % RESOURCES].id != id)
		return NULL;
	return &t->slots[(id - 1) % RESOURCES];
}

/* The one that is the same in every byte, so that asking again and again takes no room. */
static struct resource *find_same(struct vgpu_resources *t, const CUdevResource *value, uint32_t context)
{
	for (uint32_t i = 0; i < t->room && i < t->given; i++)
		if (t->slots[i].id && t->slots[i].context == context && !memcmp(&t->slots[i].value, value, sizeof(*value)))
			return &t->slots[i];
	return NULL;
}

static struct resource *add(struct vgpu_resources *t, const CUdevResource *value, uint32_t context)
{
	uint32_t at = (uint32_t)(t->given % RESOURCES), room = t->room ? 2 * t->room : FIRST_ROOM;
	struct resource *slots;

	if (at >= t->room) {
		slots = realloc(t->slots, room * sizeof(*slots));
		if (!slots)
			return NULL;
		memset(slots + t->room, 0, (room - t->room) * sizeof(*slots));
		t->slots = slots;
		t->room = room;
	}
	t->slots[at] = (struct resource){ ++t->given, context, *value };
	return &t->slots[at];
}

/* What the guest is told of a resource. */
static CUresult tell(struct vgpu_session *s, const CUdevResource *value, uint32_t context,
		     struct vgpu_rec_dev_resource *out)
{
	struct resource *r;

	if (value->type == CU_DEV_RESOURCE_TYPE_INVALID)
		return CUDA_SUCCESS;
	if (!s->resources)
		s->resources = calloc(1, sizeof(*s->resources));
	if (!s->resources)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = find_same(s->resources, value, context);
	if (!r)
		r = add(s->resources, value, context);
	if (!r)
		return CUDA_ERROR_OUT_OF_MEMORY;
	out->id = r->id;
	out->type = value->type;
	out->count = value->sm.smCount;
	out->minimum = value->sm.minSmPartitionSize;
	out->alignment = value->sm.smCoscheduledAlignment;
	return CUDA_SUCCESS;
}

static CUresult ask(const struct vgpu_session *s, const struct vgpu_args_dev_resource_get *a, CUdevResource *value)
{
	const struct vgpu_driver *drv = s->drv;
	CUdevResourceType type = (CUdevResourceType)a->type;
	const struct vgpu_handle_entry *e;

	if (!a->context)
		return drv->cuDeviceGetDevResource ? drv->cuDeviceGetDevResource(a->device, value, type) :
						     CUDA_ERROR_NOT_SUPPORTED;
	e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	if (!e)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!e->aux)
		return drv->cuCtxGetDevResource ? drv->cuCtxGetDevResource(e->obj, value, type) :
						  CUDA_ERROR_NOT_SUPPORTED;
	return drv->cuGreenCtxGetDevResource ?
		       drv->cuGreenCtxGetDevResource((CUgreenCtx)(uintptr_t)e->aux, value, type) :
		       CUDA_ERROR_NOT_SUPPORTED;
}

CUresult vgpu_handle_dev_resource_get(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_dev_resource_get *a = rq->args;
	struct vgpu_ret_dev_resource_get *o = rq->ret;
	CUdevResource value;
	CUresult r;

	memset(&value, 0, sizeof(value));
	r = ask(s, a, &value);
	rq->ret_size = sizeof(*o);
	return r ? r : tell(s, &value, vgpu_handle_index(a->context), &o->resource);
}

CUresult vgpu_handle_dev_resource_split(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_dev_resource_split *a = rq->args;
	struct vgpu_ret_dev_resource_split *o = rq->ret;
	struct vgpu_rec_dev_resource *told = (void *)(o + 1);
	const struct resource *found = find(s, a->input);
	unsigned int count = a->room < GROUPS_MOST ? a->room : GROUPS_MOST, room = count;
	CUdevResource groups[GROUPS_MOST], remaining;
	struct resource input;
	CUresult r;

	if (!found)
		return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
	if (!s->drv->cuDevSmResourceSplitByCount)
		return CUDA_ERROR_NOT_SUPPORTED;
	input = *found;
	memset(groups, 0, sizeof(groups));
	memset(&remaining, 0, sizeof(remaining));
	r = s->drv->cuDevSmResourceSplitByCount(a->query ? NULL : groups, &count, &input.value,
						a->remaining ? &remaining : NULL, a->flags, a->minimum);
	if (!r)
		r = tell(s, &remaining, input.context, &o->remaining);
	o->groups = count;
	rq->ret_size = sizeof(*o);
	for (uint32_t i = 0; !r && !a->query && i < count && i < room; i++) {
		memset(&told[i], 0, sizeof(told[i]));
		r = tell(s, &groups[i], input.context, &told[i]);
		rq->ret_size += sizeof(told[i]);
	}
	return r;
}

CUresult vgpu_handle_dev_resource_describe(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_dev_resource_describe *a = rq->args;
	const uint64_t *ids = rq->payload;
	uint32_t count = rq->payload_size / sizeof(*ids), context = 0;
	CUdevResource values[DESCRIBED_MOST];
	CUdevResourceDesc desc = NULL;
	const struct resource *found;
	CUresult r;

	if (rq->payload_size % sizeof(*ids))
		return VGPU_BROKEN;
	if (!s->drv->cuDevResourceGenerateDesc)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (uint32_t i = 0; i < count; i++) {
		found = find(s, ids[i]);
		if (!found)
			return CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION;
		values[i] = found->value;
		context = found->context;
	}
	r = s->drv->cuDevResourceGenerateDesc(&desc, values, count);
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_RESOURCEDESC, a->descriptor, desc);
	if (!r)
		vgpu_handles_find(&s->handles, VGPU_HANDLE_RESOURCEDESC, a->descriptor)->context = context;
	return r;
}

/* ---- green contexts ---- */

/* Is `primary` the primary context of that device? Memory of a green context is charged to it. */
static bool is_primary(const struct vgpu_session *s, uint64_t primary, CUdevice device)
{
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, primary);
	CUcontext ctx = NULL;

	if (!e || !s->drv->cuDevicePrimaryCtxRetain || s->drv->cuDevicePrimaryCtxRetain(&ctx, device))
		return false;
	if (s->drv->cuDevicePrimaryCtxRelease_v2)
		s->drv->cuDevicePrimaryCtxRelease_v2(device);
	return ctx == e->obj;
}

static CUresult create(const struct vgpu_driver *drv, const struct vgpu_args_green_create *a, CUdevResourceDesc desc,
		       CUgreenCtx *green, CUcontext *ctx)
{
	CUresult r;

	if (!drv->cuGreenCtxCreate || !drv->cuCtxFromGreenCtx || !drv->cuGreenCtxDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = drv->cuGreenCtxCreate(green, desc, a->device, a->flags);
	if (r)
		return r;
	r = drv->cuCtxFromGreenCtx(ctx, *green);
	if (r)
		drv->cuGreenCtxDestroy(*green);
	return r;
}

CUresult vgpu_handle_green_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_green_create *a = rq->args;
	struct vgpu_handle_entry *e;
	CUgreenCtx green = NULL;
	CUcontext ctx = NULL;
	void *desc;
	CUresult r = vgpu_session_lookup(s, VGPU_HANDLE_RESOURCEDESC, a->descriptor, &desc);

	if (!r && !is_primary(s, a->primary, a->device))
		r = CUDA_ERROR_INVALID_CONTEXT;
	if (!r)
		r = create(s->drv, a, desc, &green, &ctx);
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_CONTEXT, a->context, ctx);
	if (r)
		return r;
	e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	e->owner = a->primary;
	e->aux = (uint64_t)(uintptr_t)green;
	return CUDA_SUCCESS;
}

/* Whatever is current now, no command was made for it. */
static CUresult leave(struct vgpu_session *s)
{
	s->context = 0;
	return s->drv->cuCtxSetCurrent(s->device->primary);
}

CUresult vgpu_handle_green_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_green_destroy *a = rq->args;
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_CONTEXT, a->context);
	CUresult r;

	if (!e || !e->aux)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = leave(s);
	if (!r)
		r = s->drv->cuGreenCtxDestroy((CUgreenCtx)(uintptr_t)e->aux);
	if (r)
		return r;
	vgpu_session_drop_context(s, vgpu_handle_index(a->context));
	vgpu_session_unbind(s, VGPU_HANDLE_CONTEXT, a->context);
	return CUDA_SUCCESS;
}

struct drop {
	struct vgpu_session *s;
	uint64_t primary;
};

static void drop_one(void *ctx, const struct vgpu_handle_entry *e)
{
	const struct drop *d = ctx;
	uint64_t id = e->id;

	if (e->owner != d->primary)
		return;
	vgpu_session_drop_context(d->s, vgpu_handle_index(id));
	vgpu_session_unbind(d->s, VGPU_HANDLE_CONTEXT, id);
}

void vgpu_green_drop(struct vgpu_session *s, uint64_t primary)
{
	struct drop d = { s, primary };

	vgpu_handles_each(&s->handles, VGPU_HANDLE_CONTEXT, drop_one, &d);
}
