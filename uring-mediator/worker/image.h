/* SPDX-License-Identifier: MIT */
/* Code images that the guest has sent. The worker's only thread. */
#ifndef VGPU_WORKER_IMAGE_H
#define VGPU_WORKER_IMAGE_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

struct vgpu_session;

enum vgpu_image_kind {		/* values on the wire */
	VGPU_IMAGE_PTX = 1,
	VGPU_IMAGE_FATBIN = 2,
	VGPU_IMAGE_ELF = 3,
};

/*
 * A complete image whose own lengths stay inside its `bytes`; a NUL follows them.  Valid until the image is closed.
 * INVALID_IMAGE: not there, incomplete, or not what `kind` says.
 */
CUresult vgpu_image_get(struct vgpu_session *s, uint64_t number, uint32_t kind, const void **data, uint64_t *bytes);

#endif
