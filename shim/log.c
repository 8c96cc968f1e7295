/* SPDX-License-Identifier: MIT */
/*
 * The shim's lines on stderr, errors and warnings for cuLogs*, too. Owns nothing but the level, which config.c sets
 * once before other threads can be inside, and the sink; safe from any thread.
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

static enum vgpu_log_level log_level = VGPU_LOG_ERROR;
void (*vgpu_log_sink)(enum vgpu_log_level level, const char *line, size_t length);

void vgpu_log_set_level(enum vgpu_log_level level)
{
	log_level = level;
}

bool vgpu_log_enabled(enum vgpu_log_level level)
{
	return level <= log_level;
}

void vgpu_log(enum vgpu_log_level level, const char *format, ...)
{
	static const char *const tag[] = { "error: ", "warning: ", "", "debug: " };
	int kept = errno;
	char line[512];
	va_list ap;
	size_t at;
	int n;

	if (level > VGPU_LOG_WARN && !vgpu_log_enabled(level))
		return;
	n = snprintf(line, sizeof(line), "vgpu: shim: %s", tag[level]);
	at = (size_t)n;
	va_start(ap, format);
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	at += (size_t)n < sizeof(line) - at - 1 ? (size_t)n : sizeof(line) - at - 2;
	if (level <= VGPU_LOG_WARN && vgpu_log_sink)
		vgpu_log_sink(level, line, at);
	line[at++] = '\n';
	if (vgpu_log_enabled(level) && write(STDERR_FILENO, line, at) < 0)
		at = 0;		/* nobody reads stderr: there is nothing else to tell */
	errno = kept;
}

/*
 * Names are string literals of the generated file, so the pointer is the identity. Stderr is told of each once,
 * cuLogs* of each call; neither under the lock, since a callback may call in here again.
 */
CUresult vgpu_unsupported(const char *name)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const char *told[1024];
	char line[128];
	bool first;
	size_t i;
	int n;

	pthread_mutex_lock(&lock);
	for (i = 0; i < sizeof(told) / sizeof(told[0]) && told[i]; i++)
		if (told[i] == name || !strcmp(told[i], name))
			break;
	first = i < sizeof(told) / sizeof(told[0]) && !told[i];
	if (first)
		told[i] = name;
	pthread_mutex_unlock(&lock);
	n = snprintf(line, sizeof(line), "vgpu: shim: error: %s is not supported: CUDA_ERROR_NOT_SUPPORTED", name);
	if (first)
		vgpu_error("%s is not supported: CUDA_ERROR_NOT_SUPPORTED", name);
	else if (vgpu_log_sink && n > 0 && (size_t)n < sizeof(line))
		vgpu_log_sink(VGPU_LOG_ERROR, line, (size_t)n);
	return CUDA_ERROR_NOT_SUPPORTED;
}
