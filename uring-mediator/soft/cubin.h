/* SPDX-License-Identifier: MIT */
/*
 * What this device links into: nothing here is machine code, so the "cubin" of cuLinkComplete is an ELF64 file of our
 * own with a section for each PTX text, which is linked again when it is loaded. It is ELF since that is what those
 * who handle cubins expect and measure, and no other device takes it: its sections have a type that only we know.
 * Works on memory that may be hostile. No state, any thread.
 */
#ifndef VGPU_SOFT_CUBIN_H
#define VGPU_SOFT_CUBIN_H

#include <stdbool.h>
#include <stddef.h>

#include "image.h"

/* Writes one, for the caller to free. False: no memory. */
bool soft_cubin_make(const struct soft_code *code, void **image, size_t *size);
/* The texts in it, none in a cubin of another device. -EINVAL: damaged; -ENOMEM. */
int soft_cubin_read(const void *image, size_t limit, struct soft_code *code);

#endif
