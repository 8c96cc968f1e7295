/* SPDX-License-Identifier: MIT */
/*
 * Code images on the wire: what image_data has brought together and module_load names. Written by the shim, checked
 * by the worker.
 */
#ifndef VGPU_IMAGE_H
#define VGPU_IMAGE_H

#include <stdint.h>

#define VGPU_FATBIN_WRAPPER_MAGIC	0x466243b1u
#define VGPU_FATBIN_MAGIC		0xba55ed50u

/* Field `kind` of module_load and library_load. */
enum vgpu_image_kind {
	VGPU_IMAGE_NONE = 0,
	VGPU_IMAGE_PTX = 1,
	VGPU_IMAGE_FATBIN = 2,
	VGPU_IMAGE_ELF = 3,
	VGPU_IMAGE_PARTS = 4,	/* a directory and the fat binaries that it names */
};

/*
 * What a wrapper of version 2 points at, as nvcc -rdc=true makes it: a linked fat binary, which may be empty, and
 * those that are linked when they are loaded. The image begins with a directory head and `count` entries, the linked
 * fat binary first. Each fat binary fills its entry, begins on a multiple of VGPU_IMAGE_PART_ALIGN and overlaps
 * neither the directory nor the one before.
 */
#define VGPU_IMAGE_PARTS_MOST	4096u
#define VGPU_IMAGE_PART_ALIGN	8u

struct vgpu_image_directory {
	uint32_t count;		/* 1 .. VGPU_IMAGE_PARTS_MOST */
	uint32_t reserved;	/* 0 */
};

struct vgpu_image_part {
	uint64_t at;		/* bytes from the begin of the image */
	uint64_t bytes;
};

/* Bytes of one log of the JIT that can be asked for, with its NUL; and options in one call. */
#define VGPU_JIT_LOG_MOST	(1u << 20)
#define VGPU_JIT_OPTIONS_MOST	64u

_Static_assert(sizeof(struct vgpu_image_directory) == 8, "wire");
_Static_assert(sizeof(struct vgpu_image_part) == 16, "wire");

#endif
