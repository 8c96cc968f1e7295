/* SPDX-License-Identifier: MIT */
/* Texture and surface objects, as the application made them. Any thread. */
#ifndef VGPU_SHIM_TEXTURE_H
#define VGPU_SHIM_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_context;

/* The object behind ids of both kinds. What the application holds is `value`, the driver's, since kernels use it. */
struct vgpu_texture {
	struct vgpu_texture *next;	/* with the same hash; under texture.c's lock, as all of it */
	struct vgpu_context *context;	/* values are its own */
	uint64_t wire, value;
	bool has_view;
	CUDA_RESOURCE_DESC resource;
	CUDA_TEXTURE_DESC sampler;
	CUDA_RESOURCE_VIEW_DESC view;
};

/* Forget the objects of a context. */
void vgpu_textures_drop(const struct vgpu_context *ctx);

#endif
