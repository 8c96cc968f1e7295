/* SPDX-License-Identifier: MIT */
/* Code images that the guest has sent. The worker's only thread. */
#ifndef VGPU_WORKER_IMAGE_H
#define VGPU_WORKER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>
#include <vgpu/image.h>

struct vgpu_jit;
struct vgpu_session;

/*
 * A complete image whose own lengths stay inside its `bytes`; a NUL follows them.  Of parts: a wrapper of ours, which
 * points at them; `bytes` is the size of them all.  Valid until the image is closed.  INVALID_IMAGE: not there,
 * incomplete, or not what `kind` says.
 */
CUresult vgpu_image_get(struct vgpu_session *s, uint64_t number, uint32_t kind, const void **data, uint64_t *bytes);

/*
 * The same of an input of a link, in which lengths are checked as far as `type` tells what it is. A NUL follows it, too.
 */
CUresult vgpu_image_input(struct vgpu_session *s, uint64_t number, CUjitInputType type, const void **data,
			  uint64_t *bytes);

/* Count bytes that a link holds as if they were an image's. OUT_OF_MEMORY. */
CUresult vgpu_image_charge(struct vgpu_session *s, uint64_t bytes);
void vgpu_image_uncharge(struct vgpu_session *s, uint64_t bytes);

/* Logs of the image's last loading, which it owns from now on; and those that it has, or NULL. */
void vgpu_image_keep(struct vgpu_session *s, uint64_t number, struct vgpu_jit *jit);
const struct vgpu_jit *vgpu_image_jit(const struct vgpu_session *s, uint64_t number);

/* The driver has taken an image that vgpu_image_get() had nothing against: when it is closed others may have it. */
void vgpu_image_loaded(const struct vgpu_session *s, uint64_t number);

/*
 * The driver reads the image as long as the library lives: it stays when the guest closes it, at the library's expense, until
 * vgpu_image_return(). An image is one library's; loaded again, it is copied.
 */
void vgpu_image_lend(struct vgpu_session *s, uint64_t number, uint64_t library);
void vgpu_image_return(struct vgpu_session *s, uint64_t library);
/* Not if a library has it. */
bool vgpu_image_lendable(const struct vgpu_session *s, uint64_t number);

/* Does `is` say so of a complete image that vgpu_image_get() had nothing against, or of one of its parts? */
bool vgpu_image_any(const struct vgpu_session *s, uint64_t number, uint32_t kind,
		    bool (*is)(const struct vgpu_session *s, const void *data, uint64_t bytes));

#endif
