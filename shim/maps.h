/* SPDX-License-Identifier: MIT */
/*
 * What this process has mapped where, as its kernel says it. Allocates nothing and takes no lock: a fork's child may ask.
 */
#ifndef VGPU_SHIM_MAPS_H
#define VGPU_SHIM_MAPS_H

#include <stdbool.h>
#include <stdint.h>

/* A mapping, or what of it lies in the range asked for. */
struct vgpu_area {
	uint64_t start, end;
	uint64_t offset;	/* of `start` in the file, if there is one */
	int prot;		/* PROT_* */
	bool shared;		/* MAP_SHARED */
	bool stack;		/* the stack of the first thread */
};

/* The lowest `most` areas that touch [from, to), cut to it, by address. Their number, or -errno. */
int vgpu_maps_read(uint64_t from, uint64_t to, struct vgpu_area *areas, int most);

#endif
