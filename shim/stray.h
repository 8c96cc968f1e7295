/* SPDX-License-Identifier: MIT */
/*
 * Device addresses outside the ranges that the worker offered when the session opened. A driver is free to map where
 * it likes; what it hands out there is reserved here afterwards, so that the kernel gives this process no host memory
 * at such an address later on. Not locked: memory.c calls with its table's lock held.
 */
#ifndef VGPU_SHIM_STRAY_H
#define VGPU_SHIM_STRAY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The driver handed out [start, start + size). Nothing happens for what lies in the offer. True if (some of) it lies
 * outside; then it is reserved, and stays so. An address that the process already uses is told once, as a warning.
 */
bool vgpu_stray_note(uint64_t start, uint64_t size);

#endif
