/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines of the stub: "hop=stub vm=7 channel=3 what happened".  They go to
 * the owner's callback.  A guest can provoke lines (by opening channels in a
 * loop), so that more than a few a second are counted instead of printed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "internal.h"

#define LINES_PER_SECOND	20

uint64_t stub_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static bool log_allowed(struct vgpu_stub *s, char *line, size_t size)
{
	uint64_t now = stub_now_ns();

	if (now - s->log.window >= 1000000000ull) {
		s->log.window = now;
		s->log.lines = 0;
		if (s->log.suppressed) {
			snprintf(line, size, "hop=stub vm=%u %llu lines were suppressed",
				 s->config.vm_id, (unsigned long long)s->log.suppressed);
			s->ops.log(s->ops.opaque, VGPU_STUB_WARNING, line);
			s->log.suppressed = 0;
		}
	}
	if (s->log.lines >= LINES_PER_SECOND) {
		s->log.suppressed++;
		return false;
	}
	s->log.lines++;
	return true;
}

/* `channel` < 0: the line is about no channel. */
void stub_log(struct vgpu_stub *s, enum vgpu_stub_level level, int channel, const char *fmt, ...)
{
	char line[512];
	int at;
	va_list ap;

	if (!s->ops.log || !log_allowed(s, line, sizeof(line)))
		return;
	at = snprintf(line, sizeof(line), "hop=stub vm=%u ", s->config.vm_id);
	if (channel >= 0)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "channel=%d ", channel);
	va_start(ap, fmt);
	vsnprintf(line + at, sizeof(line) - (size_t)at, fmt, ap);
	va_end(ap);
	s->ops.log(s->ops.opaque, level, line);
}

void stub_trace(struct vgpu_stub *s, const char *fmt, ...)
{
	char line[256];
	int at;
	va_list ap;

	if (!s->ops.trace)
		return;
	at = snprintf(line, sizeof(line), "hop=stub vm=%u ", s->config.vm_id);
	va_start(ap, fmt);
	vsnprintf(line + at, sizeof(line) - (size_t)at, fmt, ap);
	va_end(ap);
	s->ops.trace(s->ops.opaque, line);
}
