/* SPDX-License-Identifier: MIT */
/* Sending code images, and the load call with its JIT options and logs. Runs in the calling thread. */
#include "image_send.h"

#include <stdatomic.h>
#include <string.h>

#include <gen/wire.h>

#include "call.h"
#include "output.h"
#include "session.h"
#include "staging.h"
#include "thread.h"

#define INLINE_BYTES	(64u << 10)

static _Atomic uint64_t next_number = 1;

static CUresult open_image(uint64_t number, uint64_t bytes)
{
	struct vgpu_args_image_open *a;
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, VGPU_OP_image_open, sizeof(*a), 0, VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->image = number;
	a->bytes = bytes;
	return vgpu_call_finish(&c);
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
	uint64_t at, n;
	CUresult r;

	*number = atomic_fetch_add(&next_number, 1);
	r = open_image(*number, image->size);
	for (at = 0; at < image->size && !r; at += n) {
		n = image->size - at < INLINE_BYTES ? image->size - at : INLINE_BYTES;
		r = send_inline(*number, at, data + at, (uint32_t)n);
	}
	if (r)
		vgpu_image_close(*number);
	return r;
}

/* Options whose value is a number that the worker needs; the rest stays here. */
static bool travels(CUjit_option option)
{
	switch ((int)option) {
	case CU_JIT_MAX_REGISTERS:
	case CU_JIT_THREADS_PER_BLOCK:
	case CU_JIT_OPTIMIZATION_LEVEL:
	case CU_JIT_TARGET_FROM_CUCONTEXT:
	case CU_JIT_TARGET:
	case CU_JIT_FALLBACK_STRATEGY:
	case CU_JIT_GENERATE_DEBUG_INFO:
	case CU_JIT_LOG_VERBOSE:
	case CU_JIT_GENERATE_LINE_INFO:
	case CU_JIT_CACHE_MODE:
	case CU_JIT_FTZ:
	case CU_JIT_PREC_DIV:
	case CU_JIT_PREC_SQRT:
	case CU_JIT_FMA:
		return true;
	default:
		return false;
	}
}

CUresult vgpu_jit_parse(unsigned int count, CUjit_option *options, void **values, struct vgpu_jit *jit)
{
	unsigned int i;

	memset(jit, 0, sizeof(*jit));
	if (count && (!options || !values))
		return CUDA_ERROR_INVALID_VALUE;
	if (count > VGPU_PAYLOAD_MAX_module_load / sizeof(struct vgpu_rec_jit_option))
		return CUDA_ERROR_INVALID_VALUE;
	jit->count = count;
	jit->options = options;
	jit->values = values;
	for (i = 0; i < count; i++) {
		switch ((int)options[i]) {
		case CU_JIT_INFO_LOG_BUFFER:
			jit->info_log = values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			jit->info_bytes = (uint32_t)(uintptr_t)values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER:
			jit->error_log = values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			jit->error_bytes = (uint32_t)(uintptr_t)values[i];
			break;
		}
	}
	return CUDA_SUCCESS;
}

static uint32_t put_options(const struct vgpu_jit *jit, struct vgpu_rec_jit_option *out)
{
	uint32_t n = 0;
	unsigned int i;

	for (i = 0; i < jit->count; i++) {
		if (!travels(jit->options[i]))
			continue;
		if (out) {
			out[n].option = jit->options[i];
			out[n].reserved = 0;
			out[n].value = (uint64_t)(uintptr_t)jit->values[i];
		}
		n++;
	}
	return n;
}

/* One log of the reply into the application's buffer; its length without the NUL. */
static uint32_t put_log(char *to, uint32_t room, const char *from, uint32_t size)
{
	if (!to || !room)
		return 0;
	if (size > room - 1)
		size = room - 1;
	memcpy(to, from, size);
	to[size] = '\0';
	return (uint32_t)strlen(to);
}

static void take_reply(struct vgpu_jit *jit, const struct vgpu_call *c)
{
	const struct vgpu_ret_module_load *o = c->ret;
	const char *text = (const char *)(o + 1);
	uint32_t info, error;
	unsigned int i;

	if (c->ret_size < sizeof(*o) || o->info_log_size > c->ret_size - sizeof(*o) ||
	    o->error_log_size > c->ret_size - sizeof(*o) - o->info_log_size)
		return;
	if (o->prints)
		vgpu_output_expect();
	info = put_log(jit->info_log, jit->info_bytes, text, o->info_log_size);
	error = put_log(jit->error_log, jit->error_bytes, text + o->info_log_size, o->error_log_size);
	for (i = 0; i < jit->count; i++) {
		if (jit->options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
			jit->values[i] = (void *)(uintptr_t)info;
		else if (jit->options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
			jit->values[i] = (void *)(uintptr_t)error;
		else if (jit->options[i] == CU_JIT_WALL_TIME)
			memcpy(&jit->values[i], &o->wall_time, sizeof(o->wall_time));
	}
}

_Static_assert(sizeof(struct vgpu_args_module_load) == sizeof(struct vgpu_args_library_load), "one shape");
_Static_assert(sizeof(struct vgpu_ret_module_load) == sizeof(struct vgpu_ret_library_load), "one shape");

CUresult vgpu_image_load(uint16_t op, uint64_t wire, uint64_t number, enum vgpu_image_kind kind, struct vgpu_jit *jit)
{
	uint32_t options = put_options(jit, NULL);
	struct vgpu_args_module_load *a;	/* the library's has the same members */
	struct vgpu_call c;
	CUresult r;

	r = vgpu_call_begin(&c, op, sizeof(*a), options * (uint32_t)sizeof(struct vgpu_rec_jit_option), VGPU_CALL_REPLY);
	if (r)
		return r;
	a = c.args;
	a->module = wire;
	a->image = number;
	a->kind = kind;
	a->option_count = options;
	a->info_log_bytes = jit->info_log ? jit->info_bytes : 0;
	a->error_log_bytes = jit->error_log ? jit->error_bytes : 0;
	put_options(jit, c.payload);
	vgpu_call_submit(&c);
	r = vgpu_call_wait(&c);
	if (c.ret)
		take_reply(jit, &c);
	vgpu_call_end(&c);
	return r;
}
