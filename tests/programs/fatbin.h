/* SPDX-License-Identifier: MIT */
/*
 * A fat binary as nvcc writes it around PTX, of any size. Format: as cuobjdump shows it. Needs nothing of CUDA.
 */
#ifndef VGPU_TEST_FATBIN_H
#define VGPU_TEST_FATBIN_H

#include <stddef.h>
#include <stdint.h>

#define FATBIN_ENTRY_AT	16u	/* where the header of the first entry begins, that of the PTX */
#define FATBIN_TEXT_AT	80u	/* and where the PTX does */

/*
 * One entry of PTX for sm_50 or later: `text` of `size` bytes and a NUL. If `filler` is not 0 another one of so many bytes
 * (a multiple of 8), machine code for a device that none runs any more, random by `seed`. The caller frees it; NULL
 * without memory. *bytes is the size of it all.
 */
void *fatbin_make(const char *text, size_t size, size_t filler, uint64_t seed, size_t *bytes);

#endif
