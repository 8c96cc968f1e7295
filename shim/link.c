/* SPDX-License-Identifier: MIT */
/*
 * Linking at run time. The link state is the worker's; inputs are sent as images are, and the image that comes out is
 * fetched when it is made: the application gets a pointer to a copy that lives as long as its link. As natively, one
 * link belongs to one thread at a time.
 */
#include "link.h"

#include <stdlib.h>
#include <string.h>

#include <gen/cuda_api.h>
#include <gen/wire.h>

#include "handle.h"
#include "module.h"

struct vgpu_link_image {
	struct vgpu_link_image *next;
	char data[];
};

static CUresult send_create(struct vgpu_link *l)
{
	struct vgpu_args_link_create *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_link_create, sizeof(*a), l->jit.bytes, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);
	if (r)
		return r;
	a = c.args;
	a->link = l->wire;
	vgpu_jit_put(&l->jit, &a->jit, c.payload);
	return vgpu_call_finish(&c);
}

CUresult cuLinkCreate_v2(unsigned int num_options, CUjit_option *options, void **option_values, CUlinkState *state)
{
	struct vgpu_link *l;
	struct vgpu_jit jit;
	uint64_t wire;
	CUresult r;

	r = vgpu_call_ready(VGPU_CALL_CONTEXT);
	if (r)
		return r;
	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	r = vgpu_jit_parse(num_options, options, option_values, &jit);
	if (!r)
		r = vgpu_handle_new(VGPU_HANDLE_LINKSTATE, &wire);
	if (r)
		return r;
	l = vgpu_handle_object_wire(VGPU_HANDLE_LINKSTATE, wire);
	*l = (struct vgpu_link){ .wire = wire, .jit = jit };
	r = send_create(l);
	if (r)
		vgpu_handle_drop(VGPU_HANDLE_LINKSTATE, wire);
	else
		*state = vgpu_handle_app(VGPU_HANDLE_LINKSTATE, wire);
	return r;
}

/* What the calls of a link begin with. */
static CUresult enter(CUlinkState state, struct vgpu_link **l)
{
	CUresult r = vgpu_call_ready(0);

	if (r)
		return r;
	*l = vgpu_handle_object(VGPU_HANDLE_LINKSTATE, state);
	return *l ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* An input as it comes from the application. */
struct input {
	CUjitInputType type;
	const char *name;	/* NULL: it has none */
	uint32_t name_bytes;	/* with its NUL */
	uint64_t image;
	struct vgpu_jit jit;
};

/* Logs and times are the link's: an input has no such options. */
static CUresult parse_input(struct input *in, const char *name, unsigned int count, CUjit_option *options,
			    void **values)
{
	CUresult r = vgpu_jit_parse(count, options, values, &in->jit);
	size_t bytes = name ? strlen(name) + 1 : 0;

	if (r)
		return r;
	if (in->jit.info.text || in->jit.error.text || in->jit.wall)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes > VGPU_PAYLOAD_MAX_link_add / 16)
		return CUDA_ERROR_INVALID_VALUE;
	in->name = name;
	in->name_bytes = (uint32_t)bytes;
	return CUDA_SUCCESS;
}

/* Submit, wait, end: the answer's structure, and the logs that come with it whatever the result; `jit` lies in the former. */
static CUresult answer(struct vgpu_link *l, struct vgpu_call *c, void *ret, uint32_t size, const struct vgpu_rec_jit_result *jit)
{
	bool more = false;
	CUresult r;

	vgpu_call_submit(c);
	r = vgpu_call_wait(c);
	if (c->ret && c->ret_size >= size) {
		memcpy(ret, c->ret, size);
		more = vgpu_jit_take(&l->jit, jit, (const char *)c->ret + size, c->ret_size - size);
	}
	vgpu_call_end(c);
	if (more)
		vgpu_jit_fetch(&l->jit, l->wire);
	return r;
}

static CUresult send_add(struct vgpu_link *l, const struct input *in)
{
	struct vgpu_ret_link_add o;
	struct vgpu_args_link_add *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_link_add, sizeof(*a), in->jit.bytes + in->name_bytes, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->link = l->wire;
	a->image = in->image;
	a->type = in->type;
	a->name_bytes = in->name_bytes;
	vgpu_jit_put(&in->jit, &a->jit, c.payload);
	if (in->name)
		memcpy((char *)c.payload + in->jit.bytes, in->name, in->name_bytes);
	return answer(l, &c, &o, sizeof(o), &o.jit);
}

static CUresult add(struct vgpu_link *l, struct input *in, const void *data, size_t size)
{
	const struct vgpu_image image = { .data = data, .size = size };
	CUresult r = vgpu_image_send(&image, &in->image);

	if (r)
		return r;
	r = send_add(l, in);
	vgpu_image_close(in->image);
	return r;
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size, const char *name,
			  unsigned int num_options, CUjit_option *options, void **option_values)
{
	struct input in = { .type = type };
	struct vgpu_link *l;
	CUresult r;

	r = enter(state, &l);
	if (r)
		return r;
	if (!data || !size)
		return CUDA_ERROR_INVALID_VALUE;
	r = parse_input(&in, name, num_options, options, option_values);
	return r ? r : add(l, &in, data, size);
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path, unsigned int num_options,
			  CUjit_option *options, void **option_values)
{
	struct input in = { .type = type };
	struct vgpu_link *l;
	size_t size;
	void *data;
	CUresult r;

	r = enter(state, &l);
	if (r)
		return r;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	r = parse_input(&in, path, num_options, options, option_values);
	if (!r)
		r = vgpu_file_read(path, &data, &size);
	if (r)
		return r;
	r = size ? add(l, &in, data, size) : CUDA_ERROR_INVALID_IMAGE;
	free(data);
	return r;
}

static CUresult send_complete(struct vgpu_link *l, uint64_t *bytes)
{
	struct vgpu_ret_link_complete o = { 0 };
	struct vgpu_args_link_complete *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_link_complete, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->link = l->wire;
	r = answer(l, &c, &o, sizeof(o), &o.jit);
	*bytes = o.bytes;
	return r;
}

/* What there is of the image from `at` on, as far as it fits a reply; *got: bytes of it. */
static CUresult fetch(const struct vgpu_link *l, uint64_t at, char *to, uint64_t room, uint32_t *got)
{
	const struct vgpu_ret_link_image *o;
	struct vgpu_args_link_image *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_link_image, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->link = l->wire;
	a->at = at;
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	o = c.ret;
	if (!r && (c.ret_size < sizeof(*o) || !o->bytes || o->bytes > c.ret_size - sizeof(*o) || o->bytes > room))
		r = vgpu_call_broken();
	if (!r) {
		*got = o->bytes;
		memcpy(to, o + 1, *got);
	}
	vgpu_call_end(&c);
	return r;
}

/* The next image of the link. */
static CUresult fetch_all(struct vgpu_link *l, uint64_t bytes)
{
	struct vgpu_link_image *image = malloc(sizeof(*image) + bytes);
	CUresult r = CUDA_SUCCESS;
	uint32_t n = 0;

	if (!image)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint64_t at = 0; at < bytes && !r; at += n)
		r = fetch(l, at, image->data + at, bytes - at, &n);
	if (r) {
		free(image);
		return r;
	}
	image->next = l->images;
	l->images = image;
	return CUDA_SUCCESS;
}

CUresult cuLinkComplete(CUlinkState state, void **cubin, size_t *size)
{
	struct vgpu_link *l;
	uint64_t bytes = 0;
	CUresult r;

	r = enter(state, &l);
	if (r)
		return r;
	if (!cubin)
		return CUDA_ERROR_INVALID_VALUE;
	r = send_complete(l, &bytes);
	if (!r)
		r = fetch_all(l, bytes);
	if (r)
		return r;
	*cubin = l->images->data;
	if (size)
		*size = bytes;
	return CUDA_SUCCESS;
}

/* The application's options may be gone by now: nothing is written to them. */
CUresult cuLinkDestroy(CUlinkState state)
{
	struct vgpu_args_link_destroy *a;
	struct vgpu_link_image *image;
	struct vgpu_link *l;
	struct vgpu_call c;
	CUresult r;

	r = enter(state, &l);
	if (r)
		return r;
	r = vgpu_call_begin(&c, VGPU_OP_link_destroy, sizeof(*a), 0, 0);
	if (r)
		return r;
	a = c.args;
	a->link = l->wire;
	vgpu_call_submit(&c);
	while ((image = l->images)) {
		l->images = image->next;
		free(image);
	}
	vgpu_handle_drop(VGPU_HANDLE_LINKSTATE, l->wire);
	return CUDA_SUCCESS;
}
