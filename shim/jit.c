/* SPDX-License-Identifier: MIT */
/* Options of the JIT, see jit.h. Runs in the calling thread. */
#include "jit.h"

#include <string.h>

#include <gen/wire.h>
#include <vgpu/image.h>

#define CARRIED	VGPU_RET_PAYLOAD_MAX_jit_log

/* The option that counts the elements of a list; -1 if this one is no list. */
static int counted_by(CUjit_option option)
{
	switch ((int)option) {
	case CU_JIT_GLOBAL_SYMBOL_NAMES:
	case CU_JIT_GLOBAL_SYMBOL_ADDRESSES:
		return CU_JIT_GLOBAL_SYMBOL_COUNT;
	case CU_JIT_REFERENCED_KERNEL_NAMES:
		return CU_JIT_REFERENCED_KERNEL_COUNT;
	case CU_JIT_REFERENCED_VARIABLE_NAMES:
		return CU_JIT_REFERENCED_VARIABLE_COUNT;
	default:
		return -1;
	}
}

/* Where the last value of an option stands, NULL if it is not there. */
static void **value_of(const struct vgpu_jit *jit, CUjit_option option)
{
	for (unsigned int i = jit->count; i--;)
		if (jit->options[i] == option)
			return &jit->values[i];
	return NULL;
}

static uint32_t number_of(const struct vgpu_jit *jit, CUjit_option option)
{
	void **value = value_of(jit, option);

	return value ? (uint32_t)(uintptr_t)*value : 0;
}

static bool is_log(CUjit_option option)
{
	return option == CU_JIT_INFO_LOG_BUFFER || option == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES ||
	       option == CU_JIT_ERROR_LOG_BUFFER || option == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES;
}

/* Logs go another way; of an option that is there more than once the last one counts. */
static bool travels(const struct vgpu_jit *jit, unsigned int i)
{
	return !is_log(jit->options[i]) && value_of(jit, jit->options[i]) == &jit->values[i];
}

/* The data of option i, laid out at `to` unless that is NULL. Bytes. */
static size_t put_data(const struct vgpu_jit *jit, unsigned int i, char *to)
{
	int counter = counted_by(jit->options[i]);
	uint32_t n = counter < 0 ? 0 : number_of(jit, (CUjit_option)counter);
	const char *const *name = (const char *const *)jit->values[i];
	size_t at = 0, size;

	if (jit->options[i] == CU_JIT_GLOBAL_SYMBOL_ADDRESSES) {
		if (to && n)
			memcpy(to, jit->values[i], n * sizeof(void *));
		return n * sizeof(void *);
	}
	for (uint32_t k = 0; k < n; k++, at += size) {
		size = strlen(name[k]) + 1;
		if (to)
			memcpy(to + at, name[k], size);
	}
	return at;
}

/* A list is there, has no holes, and its length is sane. */
static bool list_ok(const struct vgpu_jit *jit, CUjit_option option, uint32_t n)
{
	void **value = value_of(jit, option);

	if (n && (!value || !*value || n > VGPU_PAYLOAD_MAX_link_create / sizeof(void *)))
		return false;
	for (uint32_t k = 0; option != CU_JIT_GLOBAL_SYMBOL_ADDRESSES && k < n; k++)
		if (!((const char *const *)*value)[k])
			return false;
	return true;
}

static bool lists_ok(const struct vgpu_jit *jit)
{
	uint32_t symbols = number_of(jit, CU_JIT_GLOBAL_SYMBOL_COUNT);

	return list_ok(jit, CU_JIT_GLOBAL_SYMBOL_NAMES, symbols) &&
	       list_ok(jit, CU_JIT_GLOBAL_SYMBOL_ADDRESSES, symbols) &&
	       list_ok(jit, CU_JIT_REFERENCED_KERNEL_NAMES, number_of(jit, CU_JIT_REFERENCED_KERNEL_COUNT)) &&
	       list_ok(jit, CU_JIT_REFERENCED_VARIABLE_NAMES, number_of(jit, CU_JIT_REFERENCED_VARIABLE_COUNT));
}

static CUresult measure(struct vgpu_jit *jit)
{
	size_t bytes = 0;

	for (unsigned int i = 0; i < jit->count; i++) {
		if (!travels(jit, i))
			continue;
		jit->records++;
		bytes += sizeof(struct vgpu_rec_jit_option) + vgpu_align8(put_data(jit, i, NULL));
	}
	/* Half, so that a name fits behind it. */
	if (bytes > VGPU_PAYLOAD_MAX_link_create / 2)
		return CUDA_ERROR_INVALID_VALUE;
	jit->bytes = (uint32_t)bytes;
	return CUDA_SUCCESS;
}

static void find_log(const struct vgpu_jit *jit, CUjit_option buffer, CUjit_option size, struct vgpu_jit_buffer *log)
{
	void **text = value_of(jit, buffer);

	log->size = value_of(jit, size);
	log->text = text && log->size ? *text : NULL;
	log->room = log->text ? (uint32_t)(uintptr_t)*log->size : 0;
	if (log->room > VGPU_JIT_LOG_MOST)
		log->room = VGPU_JIT_LOG_MOST;
}

CUresult vgpu_jit_parse(unsigned int count, CUjit_option *options, void **values, struct vgpu_jit *jit)
{
	memset(jit, 0, sizeof(*jit));
	if ((count && (!options || !values)) || count > VGPU_JIT_OPTIONS_MOST)
		return CUDA_ERROR_INVALID_VALUE;
	jit->count = count;
	jit->options = options;
	jit->values = values;
	if (!lists_ok(jit))
		return CUDA_ERROR_INVALID_VALUE;
	find_log(jit, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, &jit->info);
	find_log(jit, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, &jit->error);
	jit->wall = value_of(jit, CU_JIT_WALL_TIME);
	jit->threads = value_of(jit, CU_JIT_THREADS_PER_BLOCK);
	return measure(jit);
}

void vgpu_jit_put(const struct vgpu_jit *jit, struct vgpu_rec_jit_request *request, void *payload)
{
	struct vgpu_rec_jit_option *record = payload;
	char *data = (char *)(record + jit->records);
	size_t bytes;

	*request = (struct vgpu_rec_jit_request){
		.option_count = jit->records, .info_log_bytes = jit->info.room, .error_log_bytes = jit->error.room,
	};
	for (unsigned int i = 0; i < jit->count; i++) {
		if (!travels(jit, i))
			continue;
		bytes = put_data(jit, i, data);
		*record = (struct vgpu_rec_jit_option){ .option = jit->options[i], .bytes = (uint32_t)bytes,
							.value = (uint64_t)(uintptr_t)jit->values[i] };
		if (counted_by(jit->options[i]) >= 0)
			record->value = number_of(jit, (CUjit_option)counted_by(jit->options[i]));
		memset(data + bytes, 0, vgpu_align8(bytes) - bytes);
		data += vgpu_align8(bytes);
		record++;
	}
}

/* The part of [at, at + n) that belongs to this log, which begins at `begin`. */
static void place(const struct vgpu_jit_buffer *log, uint32_t begin, uint32_t at, const char *text, uint32_t n)
{
	uint32_t skip = at < begin ? begin - at : 0;

	if (skip >= n || at + skip - begin >= log->used)
		return;
	at = at + skip - begin;
	n = n - skip < log->used - at ? n - skip : log->used - at;
	memcpy(log->text + at, text + skip, n);
}

static void place_both(const struct vgpu_jit *jit, uint32_t at, const char *text, uint32_t n)
{
	place(&jit->info, 0, at, text, n);
	place(&jit->error, jit->info.used, at, text, n);
}

static void begin_log(struct vgpu_jit_buffer *log, uint32_t size)
{
	if (!log->room)
		return;
	log->used = size < log->room ? size : log->room;
	if (log->used < log->room)
		log->text[log->used] = '\0';
	*log->size = (void *)(uintptr_t)size;
}

static void end_log(const struct vgpu_jit_buffer *log)
{
	if (log->room)
		log->text[log->room - 1] = '\0';
}

bool vgpu_jit_take(struct vgpu_jit *jit, const struct vgpu_rec_jit_result *result, const void *text, uint32_t carried)
{
	begin_log(&jit->info, result->info_log_size);
	begin_log(&jit->error, result->error_log_size);
	if (jit->wall)
		memcpy(jit->wall, &result->wall_time, sizeof(result->wall_time));
	if (jit->threads)
		*jit->threads = (void *)(uintptr_t)result->threads_per_block;
	place_both(jit, 0, text, carried);
	end_log(&jit->info);
	end_log(&jit->error);
	return carried < jit->info.used + jit->error.used;
}

/* One piece; bytes of it, 0 if there is none. */
static uint32_t fetch(struct vgpu_jit *jit, uint64_t owner, uint32_t at)
{
	const struct vgpu_ret_jit_log *o;
	struct vgpu_args_jit_log *a;
	uint32_t n = 0;
	struct vgpu_call c;

	if (vgpu_call_begin(&c, VGPU_OP_jit_log, sizeof(*a), 0, VGPU_CALL_REPLY))
		return 0;
	a = c.args;
	a->owner = owner;
	a->at = at;
	vgpu_call_submit(&c);
	if (!vgpu_call_wait(&c) && c.ret_size >= sizeof(*o)) {
		o = c.ret;
		n = o->bytes <= c.ret_size - sizeof(*o) ? o->bytes : 0;
		place_both(jit, at, (const char *)(o + 1), n);
	}
	vgpu_call_end(&c);
	return n;
}

void vgpu_jit_fetch(struct vgpu_jit *jit, uint64_t owner)
{
	uint32_t at = CARRIED, n;

	for (; at < jit->info.used + jit->error.used; at += n) {
		n = fetch(jit, owner, at);
		if (!n)
			break;
	}
	end_log(&jit->info);
	end_log(&jit->error);
}
