/* SPDX-License-Identifier: MIT */
/* Sending code images, and the load call. Runs in the calling thread. */
#include "image_send.h"

#include <stdatomic.h>
#include <string.h>

#include <gen/wire.h>
#include <vgpu/image_hash.h>

#include "call.h"
#include "output.h"
#include "record.h"
#include "session.h"
#include "staging.h"
#include "thread.h"

#define INLINE_BYTES	(64u << 10)

static _Atomic uint64_t next_number = 1;

/* *present: the worker has it from somebody else. */
static CUresult open_image(uint64_t number, uint64_t bytes, const uint64_t hash[2], bool *present)
{
	const struct vgpu_ret_image_open *o;
	struct vgpu_args_image_open *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_image_open, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->image = number;
	a->bytes = bytes;
	memcpy(a->hash, hash, sizeof(a->hash));
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	o = c.ret;
	*present = !r && c.ret_size == sizeof(*o) && o->present;
	vgpu_call_end(&c);
	return r;
}

static CUresult send_inline(uint64_t number, uint64_t at, const uint8_t *data, uint32_t bytes)
{
	struct vgpu_args_image_data *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_image_data, sizeof(*a), bytes, 0);
	if (r)
		return r;
	a = c.args;
	a->image = number;
	a->at = at;
	a->bytes = bytes;
	memcpy(c.payload, data, bytes);
	vgpu_call_submit(&c);
	return CUDA_SUCCESS;
}

void vgpu_image_close(uint64_t number)
{
	struct vgpu_args_image_close *a;
	struct vgpu_call c;

	if (vgpu_call_begin(&c, VGPU_OP_image_close, sizeof(*a), 0, 0))
		return;
	a = c.args;
	a->image = number;
	vgpu_call_submit(&c);
}

CUresult vgpu_image_send(const struct vgpu_image *image, uint64_t *number)
{
	const uint8_t *data = image->data;
	uint64_t hash[2] = { 0, 0 }, at, n;
	bool present;
	CUresult r;

	*number = atomic_fetch_add(&next_number, 1);
	/* A recording holds what is sent: played back to a worker that has never seen it, it must hold all. */
	if (image->size >= VGPU_IMAGE_HASHED_LEAST && !vgpu_recording())
		vgpu_image_hash(image->data, image->size, hash);
	r = open_image(*number, image->size, hash, &present);
	for (at = 0; !r && !present && at < image->size; at += n) {
		n = image->size - at < INLINE_BYTES ? image->size - at : INLINE_BYTES;
		r = send_inline(*number, at, data + at, (uint32_t)n);
	}
	if (r)
		vgpu_image_close(*number);
	return r;
}

_Static_assert(sizeof(struct vgpu_args_module_load) == sizeof(struct vgpu_args_library_load), "one shape");
_Static_assert(sizeof(struct vgpu_ret_module_load) == sizeof(struct vgpu_ret_library_load), "one shape");

static bool take_reply(struct vgpu_jit *jit, const struct vgpu_call *c)
{
	const struct vgpu_ret_module_load *o = c->ret;

	if (c->ret_size < sizeof(*o))
		return false;
	if (o->prints)
		vgpu_output_expect();
	return vgpu_jit_take(jit, &o->jit, o + 1, c->ret_size - (uint32_t)sizeof(*o));
}

CUresult vgpu_image_load(uint16_t op, uint64_t wire, uint64_t number, enum vgpu_image_kind kind, struct vgpu_jit *jit)
{
	struct vgpu_args_module_load *a;	/* the library's has the same members */
	struct vgpu_call c;
	bool more;
	CUresult r;

	r = vgpu_call_begin(&c, op, sizeof(*a), jit->bytes, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->module = wire;
	a->image = number;
	a->kind = kind;
	vgpu_jit_put(jit, &a->jit, c.payload);
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	more = c.ret && take_reply(jit, &c);
	vgpu_call_end(&c);
	if (more)
		vgpu_jit_fetch(jit, number);
	return r;
}
