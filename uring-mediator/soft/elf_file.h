/* SPDX-License-Identifier: MIT */
/*
 * Sections of ELF64 files, and the fat binaries that nvcc puts into host objects and their archives. Works on memory
 * that may be hostile: nothing outside [image, image + limit) is read. No state, any thread.
 */
#ifndef VGPU_SOFT_ELF_FILE_H
#define VGPU_SOFT_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

struct elf_section {
	uint32_t type;
	const char *name;          /* "" if it has none */
	const unsigned char *data; /* inside the image */
	size_t size;
};

/* Calls @each for each section that has data, until it returns something else than 0. That, or -EINVAL: damaged. */
int elf_each_section(const void *image, size_t limit, int (*each)(void *ctx, const struct elf_section *s), void *ctx);

/*
 * Calls @each for each fat binary in a host object, or in the objects of an archive ("ar"). As above; -EINVAL also for
 * what is neither.
 */
int elf_each_fatbin(const void *image, size_t limit, int (*each)(void *ctx, const void *fatbin, size_t limit),
		    void *ctx);

#endif
