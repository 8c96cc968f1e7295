/* SPDX-License-Identifier: MIT */
/*
 * Texture and surface objects. Kernels get an object's value among their
 * parameters, where nobody can translate it; so the application holds the
 * driver's value, and a table here finds the id by which the worker knows the
 * object. What an object shows is answered from what it was made with.
 */
#include "texture.h"

#include <pthread.h>

#include <gen/cuda_api.h>
#include <gen/shim_hand.h>
#include <gen/wire.h>

#include "call.h"
#include "channel.h"
#include "context.h"
#include "handle.h"
#include "thread.h"

#define BUCKETS 256u

static struct {
	pthread_mutex_t lock;
	struct vgpu_texture *bucket[2][BUCKETS];	/* textures, surfaces */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct vgpu_texture **bucket_of(enum vgpu_handle_kind kind, uint64_t value)
{
	return &table.bucket[kind == VGPU_HANDLE_SURFOBJECT][(value ^ value >> 8 ^ value >> 32) % BUCKETS];
}

/* Where the link to the object is; to NULL, if there is none in the current context. Locked. */
static struct vgpu_texture **find(enum vgpu_handle_kind kind, uint64_t value)
{
	struct vgpu_texture **at = bucket_of(kind, value);

	while (*at && ((*at)->value != value || (*at)->context != vgpu_context_home()))
		at = &(*at)->next;
	return at;
}

/* A copy of the object, taken under the lock. */
static CUresult get(enum vgpu_handle_kind kind, uint64_t value, const void *out, struct vgpu_texture *copy)
{
	const struct vgpu_texture *t;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT);

	if (r)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	vgpu_lock(&table.lock);
	t = *find(kind, value);
	if (t)
		*copy = *t;
	vgpu_unlock(&table.lock);
	return t ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A handle that is none is an argument that is wrong. */
static CUresult wire_array(enum vgpu_handle_kind kind, const void *app, uint64_t *wire)
{
	return vgpu_handle_wire(kind, app, wire) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult wire_resource(const CUDA_RESOURCE_DESC *d, struct vgpu_rec_resource *w)
{
	*w = (struct vgpu_rec_resource){ .type = d->resType, .flags = d->flags };
	switch ((int)d->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		return wire_array(VGPU_HANDLE_ARRAY, d->res.array.hArray, &w->at);
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		return wire_array(VGPU_HANDLE_MIPMAP, d->res.mipmap.hMipmappedArray, &w->at);
	case CU_RESOURCE_TYPE_LINEAR:
		w->at = d->res.linear.devPtr;
		w->format = d->res.linear.format;
		w->channels = d->res.linear.numChannels;
		w->width = d->res.linear.sizeInBytes;
		return CUDA_SUCCESS;
	case CU_RESOURCE_TYPE_PITCH2D:
		w->at = d->res.pitch2D.devPtr;
		w->format = d->res.pitch2D.format;
		w->channels = d->res.pitch2D.numChannels;
		w->width = d->res.pitch2D.width;
		w->height = d->res.pitch2D.height;
		w->pitch = d->res.pitch2D.pitchInBytes;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void wire_sampler(const CUDA_TEXTURE_DESC *d, struct vgpu_rec_sampler *w)
{
	int i;

	for (i = 0; i < 3; i++)
		w->address[i] = d->addressMode[i];
	w->filter = d->filterMode;
	w->flags = d->flags;
	w->anisotropy = d->maxAnisotropy;
	w->level_filter = d->mipmapFilterMode;
	w->level_bias = d->mipmapLevelBias;
	w->level_min = d->minMipmapLevelClamp;
	w->level_max = d->maxMipmapLevelClamp;
	for (i = 0; i < 4; i++)
		w->border[i] = d->borderColor[i];
}

static void wire_view(const CUDA_RESOURCE_VIEW_DESC *d, struct vgpu_rec_resource_view *w)
{
	*w = (struct vgpu_rec_resource_view){
		.width = d->width, .height = d->height, .depth = d->depth, .format = d->format,
		.first_level = d->firstMipmapLevel, .last_level = d->lastMipmapLevel,
		.first_layer = d->firstLayer, .last_layer = d->lastLayer,
	};
}

/* Enter an object that the worker has made. */
static void keep(enum vgpu_handle_kind kind, struct vgpu_texture *t)
{
	struct vgpu_texture **at;

	vgpu_lock(&table.lock);
	at = bucket_of(kind, t->value);
	t->next = *at;
	*at = t;
	vgpu_unlock(&table.lock);
}

/* Send a finished command of either kind and read the value; both replies hold nothing else. */
static CUresult ask(struct vgpu_call *c, uint64_t *value)
{
	const struct vgpu_ret_texture_create *o;
	CUresult r;

	r = vgpu_call_answer(c, sizeof(*o));
	if (!r) {
		o = c->ret;
		*value = o->object;
	}
	vgpu_call_end(c);
	return r;
}

_Static_assert(sizeof(struct vgpu_ret_texture_create) == sizeof(struct vgpu_ret_surface_create), "one reply");

static CUresult send_texture(const struct vgpu_texture *t, const struct vgpu_rec_resource *resource, uint64_t *value)
{
	struct vgpu_args_texture_create *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_texture_create, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c.args;
	a->id = t->wire;
	a->resource = *resource;
	wire_sampler(&t->sampler, &a->sampler);
	a->has_view = t->has_view;
	if (t->has_view)
		wire_view(&t->view, &a->view);
	return ask(&c, value);
}

static CUresult send_surface(const struct vgpu_texture *t, const struct vgpu_rec_resource *resource, uint64_t *value)
{
	struct vgpu_args_surface_create *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_surface_create, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c.args;
	a->id = t->wire;
	a->resource = *resource;
	return ask(&c, value);
}

static CUresult create(enum vgpu_handle_kind kind, const struct vgpu_texture *what, unsigned long long *value)
{
	struct vgpu_rec_resource resource;
	struct vgpu_texture *t;
	uint64_t id = 0, made = 0;
	CUresult r = wire_resource(&what->resource, &resource);

	if (!r)
		r = vgpu_handle_new(kind, &id);
	if (r)
		return r;
	t = vgpu_handle_object_wire(kind, id);
	*t = *what;
	t->wire = id;
	t->context = vgpu_context_home();
	r = kind == VGPU_HANDLE_TEXOBJECT ? send_texture(t, &resource, &made) : send_surface(t, &resource, &made);
	if (r) {
		vgpu_handle_drop(kind, id);
		return r;
	}
	t->value = made;
	keep(kind, t);
	*value = made;
	return CUDA_SUCCESS;
}

CUresult cuTexObjectCreate(CUtexObject *object, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *desc,
			   const CUDA_RESOURCE_VIEW_DESC *view)
{
	struct vgpu_texture t = { .has_view = view };
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!object || !resource || !desc)
		return CUDA_ERROR_INVALID_VALUE;
	t.resource = *resource;
	t.sampler = *desc;
	if (view)
		t.view = *view;
	return create(VGPU_HANDLE_TEXOBJECT, &t, object);
}

CUresult cuSurfObjectCreate(CUsurfObject *object, const CUDA_RESOURCE_DESC *resource)
{
	struct vgpu_texture t = { .has_view = false };
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	if (!object || !resource)
		return CUDA_ERROR_INVALID_VALUE;
	t.resource = *resource;
	return create(VGPU_HANDLE_SURFOBJECT, &t, object);
}

static CUresult send_destroy(uint64_t id)
{
	struct vgpu_args_texture_destroy *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_texture_destroy, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c.args;
	a->id = id;
	return vgpu_call_finish(&c);
}

/* Out of the table first, so that of two threads that destroy one object only one does. */
static CUresult destroy(enum vgpu_handle_kind kind, uint64_t value)
{
	struct vgpu_texture *t, **at;
	CUresult r = vgpu_call_ready(VGPU_CALL_CONTEXT | VGPU_CALL_UNSAFE);

	if (r)
		return r;
	vgpu_lock(&table.lock);
	at = find(kind, value);
	t = *at;
	if (t)
		*at = t->next;
	vgpu_unlock(&table.lock);
	if (!t)
		return CUDA_SUCCESS;	/* as natively, where any number will do */
	r = send_destroy(t->wire);
	if (r)
		keep(kind, t);
	else
		vgpu_handle_drop(kind, t->wire);
	return r;
}

CUresult cuTexObjectDestroy(CUtexObject object)
{
	return destroy(VGPU_HANDLE_TEXOBJECT, object);
}

CUresult cuSurfObjectDestroy(CUsurfObject object)
{
	return destroy(VGPU_HANDLE_SURFOBJECT, object);
}

CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUtexObject object)
{
	struct vgpu_texture t;
	CUresult r = get(VGPU_HANDLE_TEXOBJECT, object, resource, &t);

	if (!r)
		*resource = t.resource;
	return r;
}

CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *desc, CUtexObject object)
{
	struct vgpu_texture t;
	CUresult r = get(VGPU_HANDLE_TEXOBJECT, object, desc, &t);

	if (!r)
		*desc = t.sampler;
	return r;
}

CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *view, CUtexObject object)
{
	struct vgpu_texture t;
	CUresult r = get(VGPU_HANDLE_TEXOBJECT, object, view, &t);

	if (!r && t.has_view)
		*view = t.view;
	return r;
}

CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUsurfObject object)
{
	struct vgpu_texture t;
	CUresult r = get(VGPU_HANDLE_SURFOBJECT, object, resource, &t);

	if (!r)
		*resource = t.resource;
	return r;
}

void vgpu_textures_drop(const struct vgpu_context *ctx)
{
	struct vgpu_texture **at, *t;
	unsigned i;

	vgpu_lock(&table.lock);
	for (i = 0; i < 2 * BUCKETS; i++) {
		at = &table.bucket[i / BUCKETS][i % BUCKETS];
		while ((t = *at)) {
			if (t->context != ctx) {
				at = &t->next;
				continue;
			}
			*at = t->next;
			vgpu_handle_drop(vgpu_handle_kind_of(t->wire), t->wire);
		}
	}
	vgpu_unlock(&table.lock);
}
