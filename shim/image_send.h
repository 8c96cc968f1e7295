/* SPDX-License-Identifier: MIT */
/*
 * A code image on its way to the worker: opened, sent in pieces (through
 * staging slots when it is large), named by number in the load call, closed.
 */
#ifndef VGPU_SHIM_IMAGE_SEND_H
#define VGPU_SHIM_IMAGE_SEND_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "image.h"

/* Send it; *number names it until vgpu_image_close(). */
CUresult vgpu_image_send(const struct vgpu_image *image, uint64_t *number);
void vgpu_image_close(uint64_t number);

/* The application's JIT options, what of them travels and where the answers go. */
struct vgpu_jit {
	char *info_log, *error_log;
	uint32_t info_bytes, error_bytes;
	unsigned int count;
	CUjit_option *options;
	void **values;
};

/* Load what was sent as the module or library `wire`; op: module_load or library_load. */
CUresult vgpu_image_load(uint16_t op, uint64_t wire, uint64_t number, enum vgpu_image_kind kind, struct vgpu_jit *jit);
/* Look through the options. INVALID_VALUE if they make no sense. */
CUresult vgpu_jit_parse(unsigned int count, CUjit_option *options, void **values, struct vgpu_jit *jit);

#endif
