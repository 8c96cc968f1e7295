/* SPDX-License-Identifier: MIT */
/*
 * Code images of the application: what a bare pointer points at, and how long
 * it is. Formats: fat binary wrapper and container as nvcc embeds them, ELF64, PTX text
 * (facts observed from nvcc's output and public tools such as cuobjdump).
 *
 * The pointer is the application's and so is the length that its headers
 * state: like the native driver we have to believe it. vgpu_image_size()
 * takes a limit so that tests and sized callers stay inside their buffer.
 */
#ifndef VGPU_SHIM_IMAGE_H
#define VGPU_SHIM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <vgpu/image.h>

struct vgpu_image {
	enum vgpu_image_kind kind;
	const void *data;	/* inside the application's memory */
	uint64_t size;		/* bytes, PTX with its NUL */
	/* wrapper version 2: NULL-terminated array of fat binaries to be linked; else NULL */
	const void *const *prelinked;
};

/*
 * Look through a wrapper, if it is one, and measure. `limit`: bytes that may
 * be read at data, UINT64_MAX when nobody knows. 0, or -EINVAL if it is none of the formats or does
 * not fit the limit.
 */
int vgpu_image_parse(const void *data, uint64_t limit, struct vgpu_image *image);

/* The image with its parts needs to be joined before it can be sent. */
static inline int vgpu_image_has_parts(const struct vgpu_image *image)
{
	return image->prelinked && *image->prelinked;
}

/*
 * The image and its parts as one image of kind VGPU_IMAGE_PARTS, in memory that the caller frees (joined->data). 0,
 * -EINVAL if a part is no fat binary or there are too many, -ENOMEM.
 */
int vgpu_image_join(const struct vgpu_image *image, struct vgpu_image *joined);

#endif
