/* SPDX-License-Identifier: MIT */
/* What module.c, library.c and link.c share: images from memory and from files. */
#ifndef VGPU_SHIM_MODULE_H
#define VGPU_SHIM_MODULE_H

#include <vgpu/cuda_types.h>

#include "image.h"
#include "image_send.h"

/* A file's contents (to be freed), and a NUL behind them. FILE_NOT_FOUND, OUT_OF_MEMORY. */
CUresult vgpu_file_read(const char *name, void **data, size_t *bytes);
/* A file's contents (to be freed) and what they are. FILE_NOT_FOUND, INVALID_IMAGE. */
CUresult vgpu_module_read_file(const char *name, void **data, struct vgpu_image *image);
/* Send an image and load it as `wire`; op: module_load or library_load. */
CUresult vgpu_module_load_image(uint16_t op, uint64_t wire, const struct vgpu_image *image, struct vgpu_jit *jit);

#endif
