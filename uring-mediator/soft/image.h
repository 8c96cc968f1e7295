/* SPDX-License-Identifier: MIT */
/*
 * From a code image, in any of the forms that CUDA's load calls take, to a parsed PTX module.
 */
#ifndef VGPU_SOFT_IMAGE_H
#define VGPU_SOFT_IMAGE_H

#include <stddef.h>

#include "jit.h"
#include "ptx/ptx.h"
#include "vgpu/cuda_types.h"

/* The PTX texts of an image that could be linked, kept so that it can be done again for another context. */
struct soft_code {
	struct ptx_text *texts; /* each text is ours, too */
	size_t count;
};

/*
 * Finds the PTX in @image and parses it; of a fat binary the entry for the highest architecture that the device has
 * and the interpreter understands; of a wrapper whose fat binary is empty the same of each part, linked. The caller
 * frees the module and, by soft_code_free(), the texts; after a failure there are none. @jit, which
 * may be NULL, gets what was wrong. Uses up vgpu_soft_set_image_limit() of this thread.
 */
CUresult soft_image_load(const void *image, struct soft_code *code, struct ptx_module **module, struct soft_jit *jit);
/* Parses once more what soft_image_load() parsed. */
CUresult soft_code_parse(const struct soft_code *code, struct ptx_module **module);
void soft_code_free(struct soft_code *code);
/* One text more, a copy of it or the text itself, which free() will get. -ENOMEM, and then the text is freed. */
int soft_code_add(struct soft_code *code, const void *text, size_t len);
int soft_code_adopt(struct soft_code *code, char *text, size_t len);
/* Says in the logs what ptx_link() or ptx_check() had against the input of that name; its result as CUDA's. */
CUresult soft_code_refuse(struct soft_jit *jit, const char *name, int rc, const struct ptx_diag *diag);

#endif
