/* SPDX-License-Identifier: MIT */
/* Texture references, as objects behind their handles. Any thread. */
#ifndef VGPU_SHIM_TEXREF_H
#define VGPU_SHIM_TEXREF_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_context;
struct vgpu_module;

struct vgpu_texref {
	uint64_t wire;
	struct vgpu_context *context;
	uint64_t module;	/* wire id of the module that it has a name in, 0: none */
	char *name;		/* there */
	CUarray array;		/* what it shows, as far as it is an array */
	CUmipmappedArray mipmap;
};

/* Forget those of a module, or of a context and without a module. */
void vgpu_texrefs_drop_module(const struct vgpu_module *m);
void vgpu_texrefs_drop(const struct vgpu_context *ctx);

#endif
