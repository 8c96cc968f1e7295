/* SPDX-License-Identifier: MIT */
/* Texture and surface objects: what a handle in a kernel's hands means. */
#ifndef VGPU_SOFT_TEXTURE_H
#define VGPU_SOFT_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

struct ptx_texture;

/* For struct ptx_textures. Any thread. */
bool soft_texture_find(void *ctx, uint64_t handle, bool surface, struct ptx_texture *out);

#endif
