/* SPDX-License-Identifier: MIT */
/*
 * Sampling of textures, as the CUDA programming guide ("Texture Fetching") describes it. Pure functions; any thread.
 * Elements are four words: integers extended to 32 bits, or bits of floats; channels that the texture does not have
 * are 0.
 */
#ifndef VGPU_PTX_TEXTURE_H
#define VGPU_PTX_TEXTURE_H

#include "exec.h"

/* Where to sample. */
struct sample_point {
	unsigned dims;    /* 1, 2 or 3 coordinates count */
	float at[3];
	int32_t index[3]; /* when `integer`: elements, neither normalized nor filtered */
	bool integer;
	uint32_t layer;   /* clamped; of a cube the face, behind those of the layers before */
	float lod;
};

/* A shape of textures and surfaces, as a modifier names it. */
struct texture_geometry {
	const char *name;
	uint8_t dims, coordinates; /* that count; that are written, the layer among them */
	bool layered, cube;
};

#define TEXTURE_GEOMETRIES 7
extern const struct texture_geometry texture_geometries[TEXTURE_GEOMETRIES];

struct decode;
/* Consumes the modifier that names a shape: its index, or -1. op_texture.c */
int take_geometry(struct decode *d);

/* Where a direction hits the cube around it: the face and normalized coordinates on it. The direction is p->at. */
void texture_on_cube(struct sample_point *p);
void texture_sample(const struct ptx_texture *x, const struct sample_point *p, uint32_t out[4]);
/* One channel of the four elements between which a filter would blend, in the order of the manual's tld4. */
void texture_gather(const struct ptx_texture *x, const struct sample_point *p, unsigned channel, uint32_t out[4]);
/* An element at @p of words as sust.p takes them. */
void texture_pack(const struct ptx_texture *x, unsigned char *p, const uint32_t in[4]);

static inline unsigned texture_element(const struct ptx_texture *x)
{
	return x->channels * (x->bits / 8u);
}

#endif
