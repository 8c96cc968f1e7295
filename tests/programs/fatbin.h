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
 * One entry of PTX for sm_50 or later: `text` of `size` bytes and a NUL. If filler.bytes (a multiple of 8) is not 0 another
 * one of so many, machine code for the architecture (10 * major + minor), random by `seed`. The caller frees it; NULL
 * without memory. *bytes is the size of it all.
 */
struct fatbin_filler {
	size_t bytes;
	uint32_t arch;
	uint64_t seed;
};

void *fatbin_make(const char *text, size_t size, struct fatbin_filler filler, size_t *bytes);

/* Of a device of this major number, and newer than each of them: it travels, and no driver takes it. */
static inline uint32_t fatbin_arch_beside(int major)
{
	return 10 * (uint32_t)major + 9;
}

#endif
