/* SPDX-License-Identifier: MIT */
/*
 * A code image on its way to the worker: what matters of it is chosen, named by its hash and, if the worker does not
 * have it, sent in pieces; named by number in the load call; closed.
 */
#ifndef VGPU_SHIM_IMAGE_SEND_H
#define VGPU_SHIM_IMAGE_SEND_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "image.h"
#include "jit.h"

/* Send it, unless another process has; *number names it until vgpu_image_close(). */
CUresult vgpu_image_send(const struct vgpu_image *image, uint64_t *number);
void vgpu_image_close(uint64_t number);

/* Load what was sent as the module or library `wire`; op: module_load or library_load. */
CUresult vgpu_image_load(uint16_t op, uint64_t wire, uint64_t number, enum vgpu_image_kind kind, struct vgpu_jit *jit);

#endif
