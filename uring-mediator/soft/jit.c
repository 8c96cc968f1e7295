/* SPDX-License-Identifier: MIT */
/* Options of the JIT and its logs, see jit.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "jit.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set(struct soft_jit *j, CUjit_option option, void **value)
{
	switch ((int)option) {
	case CU_JIT_INFO_LOG_BUFFER:
		j->info.text = *value;
		break;
	case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
		j->info.size = value;
		break;
	case CU_JIT_ERROR_LOG_BUFFER:
		j->error.text = *value;
		break;
	case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
		j->error.size = value;
		break;
	case CU_JIT_WALL_TIME:
		j->wall = value;
		break;
	case CU_JIT_LOG_VERBOSE:
		j->verbose = (uint32_t)(uintptr_t)*value;
		break;
	}
}

static void open_log(struct soft_jit_log *log)
{
	log->room = log->text && log->size ? (uint32_t)(uintptr_t)*log->size : 0;
	if (log->room)
		log->text[0] = 0;
}

CUresult soft_jit_open(struct soft_jit *j, unsigned n, const CUjit_option *options, void **values)
{
	memset(j, 0, sizeof(*j));
	if (n && (!options || !values))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < n; i++) {
		if ((unsigned)options[i] >= CU_JIT_NUM_OPTIONS)
			return CUDA_ERROR_INVALID_VALUE;
		set(j, options[i], &values[i]);
	}
	open_log(&j->info);
	open_log(&j->error);
	return CUDA_SUCCESS;
}

void soft_jit_begin(struct soft_jit *j)
{
	j->since = now_ns();
}

void soft_jit_end(struct soft_jit *j)
{
	float ms;

	j->ms += (double)(now_ns() - j->since) / 1e6;
	ms = (float)j->ms;
	if (j->wall)
		memcpy(j->wall, &ms, sizeof(ms));
	if (j->info.size)
		*j->info.size = (void *)(uintptr_t)j->info.used;
	if (j->error.size)
		*j->error.size = (void *)(uintptr_t)j->error.used;
}

/* What does not fit is left out, beginning with the newline. */
static void add_line(struct soft_jit_log *log, const char *line)
{
	int n;

	if (log->used + 1 >= log->room)
		return;
	n = snprintf(log->text + log->used, log->room - log->used, "%s\n", line);
	log->used += n > 0 ? (size_t)n : 0;
	if (log->used >= log->room)
		log->used = log->room - 1;
}

void soft_jit_error(struct soft_jit *j, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	soft_log(VGPU_SOFT_ERROR, "module: %s", line);
	if (j)
		add_line(&j->error, line);
}

void soft_jit_info(struct soft_jit *j, const char *format, ...)
{
	char line[512];
	va_list args;

	if (!j || !j->verbose)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	add_line(&j->info, line);
}
