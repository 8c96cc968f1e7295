/* SPDX-License-Identifier: MIT */
/* What module.c and library.c share: images from memory and from files. */
#ifndef VGPU_SHIM_MODULE_H
#define VGPU_SHIM_MODULE_H

#include <vgpu/cuda_types.h>

#include "image.h"
#include "image_send.h"

/* A file's contents (to be freed) and what they are. FILE_NOT_FOUND, INVALID_IMAGE. */
CUresult vgpu_module_read_file(const char *name, void **data, struct vgpu_image *image);
/* Send an image and load it as `wire`; op: module_load or library_load. */
CUresult vgpu_module_load_image(uint16_t op, uint64_t wire, const struct vgpu_image *image, struct vgpu_jit *jit);

#endif
