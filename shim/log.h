/* SPDX-License-Identifier: MIT */
/*
 * Lines on stderr, prefix "vgpu: shim:". VGPU_LOG=error|warn|info|debug says
 * how many; the default is error. Any thread; one write(2) a line. errno is kept.
 */
#ifndef VGPU_SHIM_LOG_H
#define VGPU_SHIM_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum vgpu_log_level {
	VGPU_LOG_ERROR = 0,
	VGPU_LOG_WARN = 1,
	VGPU_LOG_INFO = 2,
	VGPU_LOG_DEBUG = 3,
};

/* Gets errors and warnings, too: `length` bytes, no newline. NULL where there is no cuLogs*: in libnvidia-ml. Set once, by logs.c. */
extern void (*vgpu_log_sink)(enum vgpu_log_level level, const char *line, size_t length);

void vgpu_log_set_level(enum vgpu_log_level level);
bool vgpu_log_enabled(enum vgpu_log_level level);
__attribute__((format(printf, 2, 3))) void vgpu_log(enum vgpu_log_level level, const char *format, ...);

#define vgpu_error(...)	vgpu_log(VGPU_LOG_ERROR, __VA_ARGS__)
#define vgpu_warn(...)	vgpu_log(VGPU_LOG_WARN, __VA_ARGS__)
#define vgpu_info(...)	vgpu_log(VGPU_LOG_INFO, __VA_ARGS__)
#define vgpu_debug(...)	do { if (vgpu_log_enabled(VGPU_LOG_DEBUG)) vgpu_log(VGPU_LOG_DEBUG, __VA_ARGS__); } while (0)

#endif
