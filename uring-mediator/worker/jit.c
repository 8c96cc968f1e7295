/* SPDX-License-Identifier: MIT */
/* Options of the JIT and its logs, see jit.h. The worker's only thread. */
#include <stdlib.h>
#include <string.h>

#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "jit.h"
#include "session.h"

#define CARRIED		VGPU_RET_PAYLOAD_MAX_jit_log	/* the same in each reply that carries logs */
#define OWN_LOG		4096u

/* No driver knows it. An option that we do not know could take a pointer: the driver says what it says of unknown ones. */
#define UNKNOWN		((CUjit_option)0x7fffffff)

_Static_assert(VGPU_RET_PAYLOAD_MAX_module_load == CARRIED && VGPU_RET_PAYLOAD_MAX_library_load == CARRIED &&
	       VGPU_RET_PAYLOAD_MAX_link_add == CARRIED && VGPU_RET_PAYLOAD_MAX_link_complete == CARRIED, "one size");

enum { SYMBOL_NAMES, SYMBOL_ADDRESSES, KERNEL_NAMES, VARIABLE_NAMES };

static unsigned int put(struct vgpu_jit *j, CUjit_option option, void *value)
{
	j->option[j->count] = option;
	j->value[j->count] = value;
	return j->count++;
}

static void *number(uint64_t value)
{
	return (void *)(uintptr_t)value;
}

/* Names one behind the other, each with its NUL, exactly as many as there should be. */
static bool find_names(struct vgpu_jit_list *l, const char *data, uint32_t bytes)
{
	const char *end = data + bytes;
	uint64_t i;

	for (i = 0; i < l->count && data < end; i++) {
		l->entry[i] = (void *)(uintptr_t)data;
		data += strnlen(data, (size_t)(end - data)) + 1;
	}
	return i == l->count && data == end;
}

static bool find_addresses(struct vgpu_jit_list *l, const uint64_t *data, uint32_t bytes)
{
	if (bytes != l->count * sizeof(*data))
		return false;
	for (uint64_t i = 0; i < l->count; i++)
		l->entry[i] = number(data[i]);
	return true;
}

static CUresult take_list(struct vgpu_session *s, const struct vgpu_rec_jit_option *in, const void *data, int which,
			  struct vgpu_jit *j)
{
	struct vgpu_jit_list *l = &j->list[which];

	/* Each element has a byte at least. */
	if (l->entry || in->value > in->bytes)
		return vgpu_session_broken(s, "list of JIT option %u", in->option);
	l->count = in->value;
	l->entry = calloc(l->count + 1, sizeof(*l->entry));
	if (!l->entry)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (which == SYMBOL_ADDRESSES ? !find_addresses(l, data, in->bytes) : !find_names(l, data, in->bytes))
		return vgpu_session_broken(s, "elements of JIT option %u", in->option);
	put(j, (CUjit_option)in->option, l->entry);
	return CUDA_SUCCESS;
}

static CUresult take_option(struct vgpu_session *s, const struct vgpu_rec_jit_option *in, const void *data,
			    struct vgpu_jit *j)
{
	unsigned int i;

	switch (in->option) {
	case CU_JIT_GLOBAL_SYMBOL_NAMES:
		return take_list(s, in, data, SYMBOL_NAMES, j);
	case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
		return take_list(s, in, data, SYMBOL_ADDRESSES, j);
	case CU_JIT_REFERENCED_KERNEL_NAMES:
		return take_list(s, in, data, KERNEL_NAMES, j);
	case CU_JIT_REFERENCED_VARIABLE_NAMES:
		return take_list(s, in, data, VARIABLE_NAMES, j);
	case CU_JIT_INFO_LOG_BUFFER:
	case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
	case CU_JIT_ERROR_LOG_BUFFER:
	case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
		return vgpu_session_broken(s, "JIT option %u", in->option);
	}
	if (in->bytes)
		return vgpu_session_broken(s, "data of JIT option %u", in->option);
	i = put(j, in->option < CU_JIT_NUM_OPTIONS ? (CUjit_option)in->option : UNKNOWN, number(in->value));
	if (in->option == CU_JIT_WALL_TIME)
		j->wall_at = i + 1;
	if (in->option == CU_JIT_THREADS_PER_BLOCK)
		j->threads_at = i + 1;
	return CUDA_SUCCESS;
}

/* A driver reads as many elements as the option says that counts them. */
static CUresult check_counts(struct vgpu_session *s, const struct vgpu_jit *j)
{
	const struct vgpu_jit_list *l = j->list;
	uint64_t n;

	for (unsigned int i = 0; i < j->count; i++) {
		n = (uintptr_t)j->value[i];
		if (j->option[i] == CU_JIT_GLOBAL_SYMBOL_COUNT &&
		    (n != l[SYMBOL_NAMES].count || n != l[SYMBOL_ADDRESSES].count))
			return vgpu_session_broken(s, "count of symbols");
		if (j->option[i] == CU_JIT_REFERENCED_KERNEL_COUNT && n != l[KERNEL_NAMES].count)
			return vgpu_session_broken(s, "count of kernels");
		if (j->option[i] == CU_JIT_REFERENCED_VARIABLE_COUNT && n != l[VARIABLE_NAMES].count)
			return vgpu_session_broken(s, "count of variables");
	}
	return CUDA_SUCCESS;
}

static CUresult take_options(struct vgpu_session *s, const struct vgpu_request *rq, uint32_t count, uint32_t *at,
			     struct vgpu_jit *j)
{
	const struct vgpu_rec_jit_option *in;
	const void *data;
	CUresult r = CUDA_SUCCESS;

	if (count > VGPU_JIT_OPTIONS_MOST)
		return vgpu_session_broken(s, "%u options of the JIT", count);
	in = vgpu_take(rq, at, count * (uint32_t)sizeof(*in));
	if (!in)
		return vgpu_session_broken(s, "options of the JIT do not fit their payload");
	for (uint32_t i = 0; i < count && !r; i++) {
		data = vgpu_take(rq, at, in[i].bytes);
		if (!data)
			return vgpu_session_broken(s, "data of JIT options do not fit their payload");
		r = take_option(s, &in[i], data, j);
	}
	return r ? r : check_counts(s, j);
}

static CUresult make_log(struct vgpu_session *s, struct vgpu_jit *j, struct vgpu_jit_log *log, CUjit_option buffer,
			 CUjit_option size, uint32_t wanted, uint32_t least)
{
	if (wanted > VGPU_JIT_LOG_MOST)
		return vgpu_session_broken(s, "log of %u bytes", wanted);
	log->wanted = wanted;
	log->room = wanted ? wanted : least;
	if (!log->room)
		return CUDA_SUCCESS;
	log->text = calloc(1, log->room);
	if (!log->text)
		return CUDA_ERROR_OUT_OF_MEMORY;
	put(j, buffer, log->text);
	log->at = put(j, size, number(log->room));
	return CUDA_SUCCESS;
}

CUresult vgpu_jit_take(struct vgpu_session *s, const struct vgpu_request *rq, const struct vgpu_rec_jit_request *asked,
		       uint32_t *at, bool explain, struct vgpu_jit **out)
{
	struct vgpu_jit *j = calloc(1, sizeof(*j));
	CUresult r;

	*out = j;
	if (!j)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = take_options(s, rq, asked->option_count, at, j);
	if (!r)
		r = make_log(s, j, &j->info, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
			     asked->info_log_bytes, 0);
	if (!r)
		r = make_log(s, j, &j->error, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
			     asked->error_log_bytes, explain ? OWN_LOG : 0);
	return r;
}

void vgpu_jit_free(struct vgpu_jit *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < sizeof(j->list) / sizeof(j->list[0]); i++)
		free(j->list[i].entry);
	free(j->info.text);
	free(j->error.text);
	free(j);
}

const char *vgpu_jit_error(const struct vgpu_jit *j)
{
	if (!j->error.text)
		return "";
	j->error.text[j->error.room - 1] = '\0';
	return j->error.text;
}

/* What the driver says in the option: bytes of this log. */
static uint32_t said(const struct vgpu_jit *j, const struct vgpu_jit_log *log)
{
	return log->wanted ? (uint32_t)(uintptr_t)j->value[log->at] : 0;
}

static uint32_t used(const struct vgpu_jit *j, const struct vgpu_jit_log *log)
{
	uint32_t n = said(j, log);

	return n < log->wanted ? n : log->wanted;
}

bool vgpu_jit_fits(const struct vgpu_jit *j)
{
	return used(j, &j->info) + used(j, &j->error) <= CARRIED;
}

/* Moves what [at, at + room) has of this log, which begins at `begin`. Bytes moved. */
static uint32_t read_log(const struct vgpu_jit *j, const struct vgpu_jit_log *log, uint32_t begin, uint32_t at,
			 uint8_t *to, uint32_t room)
{
	uint32_t n = used(j, log);

	if (at < begin || at - begin >= n)
		return 0;
	at -= begin;
	n = n - at < room ? n - at : room;
	memcpy(to, log->text + at, n);
	return n;
}

uint32_t vgpu_jit_read(const struct vgpu_jit *j, uint32_t at, void *to, uint32_t room)
{
	uint32_t n = read_log(j, &j->info, 0, at, to, room);

	return n + read_log(j, &j->error, used(j, &j->info), at + n, (uint8_t *)to + n, room - n);
}

void vgpu_jit_reply(const struct vgpu_jit *j, struct vgpu_rec_jit_result *o, struct vgpu_request *rq, uint32_t end)
{
	o->info_log_size = said(j, &j->info);
	o->error_log_size = said(j, &j->error);
	if (j->wall_at)
		memcpy(&o->wall_time, &j->value[j->wall_at - 1], sizeof(o->wall_time));
	if (j->threads_at)
		o->threads_per_block = (uint32_t)(uintptr_t)j->value[j->threads_at - 1];
	rq->ret_size = end + vgpu_jit_read(j, 0, (uint8_t *)rq->ret + end, CARRIED);
}
