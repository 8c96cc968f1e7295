/* SPDX-License-Identifier: MIT */
/* Sending code images, and the load call. Runs in the calling thread. */
#include "image_send.h"

#include <stdatomic.h>
#include <string.h>

#include <gen/wire.h>
#include <vgpu/image_hash.h>

#include "call.h"
#include "device.h"
#include "image_choose.h"
#include "output.h"
#include "record.h"
#include "session.h"
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

/* One stretch of the image, from `at` on. */
static CUresult send_piece(uint64_t number, uint64_t at, const struct vgpu_image_piece *p)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t done, n;

	for (done = 0; done < p->bytes && !r; done += n) {
		n = p->bytes - done < INLINE_BYTES ? p->bytes - done : INLINE_BYTES;
		r = send_inline(number, at + done, (const uint8_t *)p->data + done, (uint32_t)n);
	}
	return r;
}

static CUresult send_choice(const struct vgpu_image_choice *c, uint64_t number)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t at = 0;
	uint32_t i;

	for (i = 0; i < c->count && !r; i++) {
		r = send_piece(number, at, &c->pieces[i]);
		at += c->pieces[i].bytes;
	}
	return r;
}

/* A recording holds what is sent: played back to a worker that has never seen it, it must hold all. So nothing is named. */
static void name(const struct vgpu_image_choice *c, uint64_t hash[2])
{
	XXH3_state_t state;
	uint32_t i;

	hash[0] = hash[1] = 0;
	if (c->bytes < VGPU_IMAGE_HASHED_LEAST || vgpu_recording())
		return;
	XXH3_128bits_reset(&state);
	for (i = 0; i < c->count; i++)
		XXH3_128bits_update(&state, c->pieces[i].data, c->pieces[i].bytes);
	vgpu_image_hash_end(&state, hash);
}

static void choose(const struct vgpu_image *image, struct vgpu_image_choice *c)
{
	uint32_t archs[VGPU_DEVICES], count = (uint32_t)vgpu_device_count(), i;
	const int *a;

	for (i = 0; i < count; i++) {
		a = vgpu_device((CUdevice)i)->attributes;
		archs[i] = (uint32_t)(10 * a[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] +
				      a[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR]);
	}
	vgpu_image_choose(image, archs, count, c);
}

CUresult vgpu_image_send(const struct vgpu_image *image, uint64_t *number)
{
	struct vgpu_image_choice c;
	uint64_t hash[2];
	bool present;
	CUresult r;

	choose(image, &c);
	name(&c, hash);
	*number = atomic_fetch_add(&next_number, 1);
	r = open_image(*number, c.bytes, hash, &present);
	if (!r && !present)
		r = send_choice(&c, *number);
	if (r)
		vgpu_image_close(*number);
	vgpu_image_choice_free(&c);
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
