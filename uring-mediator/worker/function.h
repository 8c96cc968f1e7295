/* SPDX-License-Identifier: MIT */
/* What the driver tells of a kernel's parameters, for those who launch it. The worker's only thread. */
#ifndef VGPU_WORKER_FUNCTION_H
#define VGPU_WORKER_FUNCTION_H

#include "session.h"

/*
 * Where parameter @i of a function's or kernel's handle lies in its block, in bytes. INVALID_VALUE behind the last one,
 * NOT_SUPPORTED from a driver before 12.4.
 */
CUresult vgpu_function_parameter(const struct vgpu_session *s, const struct vgpu_handle_entry *e, size_t i, size_t *offset,
				 size_t *size);

#endif
