/* SPDX-License-Identifier: MIT */
/*
 * Links: a driver's link state with its options, logs and the image that came out, from link_create to link_destroy or
 * the end of the session. What was added is charged as images are, since a driver keeps it. The worker's only thread.
 */
#include <stdlib.h>
#include <string.h>

#include <gen/driver_table.h>
#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "image.h"
#include "jit.h"
#include "log.h"
#include "session.h"

#define NAME_MOST	4096u

struct vgpu_link {
	CUlinkState state;
	struct vgpu_jit *jit;	/* the driver writes into it until the state is destroyed */
	const void *image;	/* the driver's */
	uint64_t bytes;		/* of it */
	uint64_t charged;
};

static struct vgpu_link *find(struct vgpu_session *s, uint64_t id)
{
	void *link = NULL;

	return vgpu_session_lookup(s, VGPU_HANDLE_LINKSTATE, id, &link) ? NULL : link;
}

static void link_free(struct vgpu_session *s, struct vgpu_link *l)
{
	if (l->state && s->drv->cuLinkDestroy && !s->sticky)
		s->drv->cuLinkDestroy(l->state);
	vgpu_image_uncharge(s, l->charged);
	vgpu_jit_free(l->jit);
	free(l);
}

static void free_one(void *ctx, const struct vgpu_handle_entry *e)
{
	struct vgpu_session *s = ctx;

	link_free(s, e->obj);
	vgpu_handles_unbind(&s->handles, VGPU_HANDLE_LINKSTATE, e->id);
}

void vgpu_links_release(struct vgpu_session *s)
{
	vgpu_handles_each(&s->handles, VGPU_HANDLE_LINKSTATE, free_one, s);
}

static CUresult create(struct vgpu_session *s, struct vgpu_request *rq, struct vgpu_link *l)
{
	const struct vgpu_args_link_create *a = rq->args;
	uint32_t at = 0;
	CUresult r = vgpu_jit_take(s, rq, &a->jit, &at, true, &l->jit);

	if (!r)
		r = vgpu_image_charge(s, a->jit.info_log_bytes + (uint64_t)a->jit.error_log_bytes);
	if (r)
		return r;
	l->charged = a->jit.info_log_bytes + (uint64_t)a->jit.error_log_bytes;
	return s->drv->cuLinkCreate_v2(l->jit->count, l->jit->option, l->jit->value, &l->state);
}

CUresult vgpu_handle_link_create(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_link_create *a = rq->args;
	struct vgpu_link *l;
	CUresult r;

	if (!s->drv->cuLinkCreate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	l = calloc(1, sizeof(*l));
	if (!l)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = create(s, rq, l);
	if (!r)
		r = vgpu_session_bind(s, VGPU_HANDLE_LINKSTATE, a->link, l);
	if (r)
		link_free(s, l);
	return r;
}

static void log_failure(const char *what, CUresult r, const struct vgpu_link *l)
{
	const char *error = vgpu_jit_error(l->jit);

	vgpu_log(VGPU_LOG_NOTICE, NULL, "%s refused, CUDA error %d%s%.200s", what, r, error[0] ? ": " : "", error);
}

/* The input's own options and its name, which may be NULL; the caller frees *options. */
static CUresult take_extras(struct vgpu_session *s, const struct vgpu_request *rq, struct vgpu_jit **options,
			    const char **name)
{
	const struct vgpu_args_link_add *a = rq->args;
	uint32_t at = 0;
	CUresult r = vgpu_jit_take(s, rq, &a->jit, &at, false, options);

	*name = a->name_bytes ? vgpu_take_string(rq, &at, a->name_bytes, NAME_MOST) : NULL;
	if (!r && a->name_bytes && !*name)
		return vgpu_session_broken(s, "name of an input");
	return r;
}

static CUresult add(struct vgpu_session *s, const struct vgpu_request *rq, struct vgpu_link *l,
		    const struct vgpu_jit *options, const char *name)
{
	const struct vgpu_args_link_add *a = rq->args;
	const void *data;
	uint64_t bytes;
	CUresult r = vgpu_image_input(s, a->image, (CUjitInputType)a->type, &data, &bytes);

	if (!r)
		r = vgpu_image_charge(s, bytes);
	if (r)
		return r;
	l->charged += bytes;
	/* The driver reads what it is given. */
	return s->drv->cuLinkAddData_v2(l->state, (CUjitInputType)a->type, (void *)(uintptr_t)data, bytes, name,
					options->count, (CUjit_option *)(uintptr_t)options->option,
					(void **)(uintptr_t)options->value);
}

CUresult vgpu_handle_link_add(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_link_add *a = rq->args;
	struct vgpu_ret_link_add *o = rq->ret;
	struct vgpu_link *l = find(s, a->link);
	struct vgpu_jit *options = NULL;
	const char *name;
	CUresult r;

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!s->drv->cuLinkAddData_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = take_extras(s, rq, &options, &name);
	if (!r)
		r = add(s, rq, l, options, name);
	vgpu_jit_free(options);
	if (r == VGPU_BROKEN)
		return r;
	if (r)
		log_failure("input of a link", r, l);
	vgpu_jit_reply(l->jit, &o->jit, rq, sizeof(*o));
	return r;
}

CUresult vgpu_handle_link_complete(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_link_complete *a = rq->args;
	struct vgpu_ret_link_complete *o = rq->ret;
	struct vgpu_link *l = find(s, a->link);
	void *image = NULL;
	size_t bytes = 0;
	CUresult r;

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!s->drv->cuLinkComplete)
		return CUDA_ERROR_NOT_SUPPORTED;
	r = s->drv->cuLinkComplete(l->state, &image, &bytes);
	if (r) {
		log_failure("link", r, l);
	} else {
		l->image = image;
		l->bytes = bytes;
		o->bytes = bytes;
	}
	vgpu_jit_reply(l->jit, &o->jit, rq, sizeof(*o));
	return r;
}

CUresult vgpu_handle_link_image(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_link_image *a = rq->args;
	struct vgpu_ret_link_image *o = rq->ret;
	const struct vgpu_link *l = find(s, a->link);

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	if (a->at >= l->bytes)
		return CUDA_ERROR_INVALID_VALUE;
	o->bytes = l->bytes - a->at < VGPU_RET_PAYLOAD_MAX_link_image ? (uint32_t)(l->bytes - a->at) :
									VGPU_RET_PAYLOAD_MAX_link_image;
	memcpy(o + 1, (const uint8_t *)l->image + a->at, o->bytes);
	rq->bytes = o->bytes;
	rq->ret_size = (uint32_t)sizeof(*o) + o->bytes;
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_link_destroy(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_link_destroy *a = rq->args;
	struct vgpu_link *l = find(s, a->link);

	if (!l)
		return CUDA_ERROR_INVALID_HANDLE;
	vgpu_session_unbind(s, VGPU_HANDLE_LINKSTATE, a->link);
	link_free(s, l);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_jit_log(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_jit_log *a = rq->args;
	struct vgpu_ret_jit_log *o = rq->ret;
	const struct vgpu_link *l = find(s, a->owner);
	const struct vgpu_jit *j = l ? l->jit : vgpu_image_jit(s, a->owner);

	if (!j)
		return CUDA_ERROR_INVALID_HANDLE;
	o->bytes = vgpu_jit_read(j, a->at, o + 1, VGPU_RET_PAYLOAD_MAX_jit_log);
	rq->ret_size = (uint32_t)sizeof(*o) + o->bytes;
	return CUDA_SUCCESS;
}
