/* SPDX-License-Identifier: MIT */
/*
 * From a code image, in any of the forms that CUDA's load calls take, to a parsed PTX module.
 */
#ifndef VGPU_SOFT_IMAGE_H
#define VGPU_SOFT_IMAGE_H

#include <stddef.h>

#include "ptx/ptx.h"
#include "vgpu/cuda_types.h"

/* PTX text of an image that parsed, kept so that it can be parsed again for another context. */
struct soft_code {
	char *text;
	size_t len;
};

/*
 * Finds the PTX in @image and parses it; of a fat binary the entry for the highest architecture that the device has
 * and the interpreter understands. The caller frees code->text and the module. @log, of @log_size bytes or NULL, takes
 * what was wrong, which the device's log gets too. Uses up vgpu_soft_set_image_limit() of this thread.
 */
CUresult soft_image_load(const void *image, struct soft_code *code, struct ptx_module **module, char *log,
			 size_t log_size);
/* Parses once more what soft_image_load() parsed. */
CUresult soft_code_parse(const struct soft_code *code, struct ptx_module **module);

#endif
