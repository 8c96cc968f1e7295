/* SPDX-License-Identifier: MIT */
/* Sampling of textures, see texture.h. */
#include <math.h>

#include "float.h"
#include "texture.h"

#define FRACTION 256.0f /* a filter's weights have eight bits behind the point */

/* Two neighbours in one dimension, -1 when the border is meant, and the weight of the second. */
struct axis {
	int64_t i[2];
	float weight;
};

static bool returns_float(const struct ptx_texture *x)
{
	return x->channel == PTX_CHANNEL_FLOAT || (x->as_float && x->bits < 32);
}

/* A coordinate as a number that is not NaN and fits an index with room to spare. */
static double bounded(double v)
{
	return v != v ? 0 : v < -1e9 ? -1e9 : v > 1e9 ? 1e9 : v;
}

static int64_t modulo(int64_t i, int64_t n)
{
	return (i % n + n) % n;
}

/* The element that stands for number @i of @n: itself, another, or -1 for the border. */
static int64_t resolve(int64_t i, int64_t n, enum ptx_address_mode mode)
{
	if (i >= 0 && i < n)
		return i;
	switch (mode) {
	case PTX_ADDRESS_WRAP:
		return modulo(i, n);
	case PTX_ADDRESS_MIRROR:
		i = modulo(i, 2 * n);
		return i < n ? i : 2 * n - 1 - i;
	case PTX_ADDRESS_BORDER:
		return -1;
	default:
		return i < 0 ? 0 : n - 1;
	}
}

/* Wrapping and mirroring are for normalized coordinates only; others are clamped instead. */
static enum ptx_address_mode mode_of(const struct ptx_texture *x, unsigned dim)
{
	enum ptx_address_mode mode = x->address[dim];

	if (x->linear_memory)
		return PTX_ADDRESS_BORDER;
	return x->normalized || mode == PTX_ADDRESS_BORDER ? mode : PTX_ADDRESS_CLAMP;
}

static struct axis point_axis(const struct ptx_texture *x, const struct sample_point *p, unsigned dim, int64_t n)
{
	struct axis a = {.weight = 0};
	int64_t i = p->integer ? p->index[dim]
			       : (int64_t)floor(bounded(x->normalized ? (double)p->at[dim] * (double)n : p->at[dim]));

	a.i[0] = a.i[1] = resolve(i, n, mode_of(x, dim));
	return a;
}

static struct axis linear_axis(const struct ptx_texture *x, const struct sample_point *p, unsigned dim, int64_t n)
{
	double v = bounded(x->normalized ? (double)p->at[dim] * (double)n : p->at[dim]) - 0.5;
	double steps = floor(v * FRACTION + 0.5), whole = floor(steps / FRACTION);
	struct axis a = {.weight = (float)((steps - whole * FRACTION) / FRACTION)};

	a.i[0] = resolve((int64_t)whole, n, mode_of(x, dim));
	a.i[1] = resolve((int64_t)whole + 1, n, mode_of(x, dim));
	return a;
}

static uint32_t channel_at(const struct ptx_texture *x, const unsigned char *p, unsigned c)
{
	unsigned size = x->bits / 8u;
	uint64_t v = 0;

	memcpy(&v, p + c * size, size);
	if (x->channel == PTX_CHANNEL_FLOAT)
		return size == 4 ? (uint32_t)v : f32_bits((float)float_to_double(v, format_f16));
	return x->channel == PTX_CHANNEL_SIGNED ? (uint32_t)sign_extend(v, size) : (uint32_t)v;
}

/* The element at @p as four words; integers stay integers. */
static void texture_unpack(const struct ptx_texture *x, const unsigned char *p, uint32_t out[4])
{
	for (unsigned c = 0; c < 4; c++)
		out[c] = c < x->channels ? channel_at(x, p, c) : 0;
}

void texture_pack(const struct ptx_texture *x, unsigned char *p, const uint32_t in[4])
{
	unsigned size = x->bits / 8u;

	for (unsigned c = 0; c < x->channels; c++) {
		uint64_t v = in[c];

		if (x->channel == PTX_CHANNEL_FLOAT && size == 2)
			v = float_from_double(as_f32(v), format_f16, RND_RN);
		memcpy(p + c * size, &v, size);
	}
}

/* An integer channel read as a float: the whole range is 0..1, or -1..1 with two ways to say -1. */
static float normalized(const struct ptx_texture *x, uint32_t v)
{
	float most = x->channel == PTX_CHANNEL_SIGNED ? (float)((1u << (x->bits - 1)) - 1) : (float)((1u << x->bits) - 1);
	float f = x->channel == PTX_CHANNEL_SIGNED ? (float)(int32_t)v / most : (float)v / most;

	return f < -1 ? -1 : f;
}

/* Of the channels that there are, and inside the range of integers read as floats. */
static float border_of(const struct ptx_texture *x, unsigned c)
{
	float v = c < x->channels ? x->border[c] : 0, least = x->channel == PTX_CHANNEL_SIGNED ? -1 : 0;

	if (x->channel == PTX_CHANNEL_FLOAT)
		return v;
	return v < least ? least : v > 1 ? 1 : v;
}

/* The element (i, j, k), k a slice or layer, or the border when one of them is -1. */
static void element_at(const struct ptx_texture *x, const struct ptx_level *l, int64_t i, int64_t j, int64_t k,
		       uint32_t out[4])
{
	bool border = i < 0 || j < 0 || k < 0;

	if (border) {
		for (unsigned c = 0; c < 4; c++)
			out[c] = returns_float(x) && !x->linear_memory ? f32_bits(border_of(x, c)) : 0;
		return;
	}
	texture_unpack(x, l->host + (uint64_t)k * l->slice + (uint64_t)j * l->pitch + (uint64_t)i * texture_element(x), out);
	if (returns_float(x) && x->channel != PTX_CHANNEL_FLOAT)
		for (unsigned c = 0; c < x->channels; c++)
			out[c] = f32_bits(normalized(x, out[c]));
}

/*
 * The three axes of a sample; those that the texture or the instruction does not have stay at element 0. A line is a plane
 * of one row, of which a filter reads the upper edge, where half of what it sees is the border.
 */
static void axes_of(const struct ptx_texture *x, const struct ptx_level *l, const struct sample_point *p, bool filter,
		    struct axis axis[3])
{
	const uint32_t extent[3] = {l->width, l->height, l->depth};

	memset(axis, 0, 3 * sizeof(*axis));
	for (unsigned d = 0; d < p->dims; d++)
		axis[d] = filter ? linear_axis(x, p, d, extent[d]) : point_axis(x, p, d, extent[d]);
	if (p->dims == 1 && filter && !x->layered)
		axis[1] = linear_axis(x, p, 1, 1);
	if (x->layered || x->cube)
		axis[2].i[0] = axis[2].i[1] = p->layer < l->depth ? p->layer : l->depth - 1;
}

static void blend(const struct ptx_texture *x, const struct ptx_level *l, const struct axis axis[3], uint32_t out[4])
{
	double sum[4] = {0};
	uint32_t v[4];

	for (unsigned corner = 0; corner < 8; corner++) {
		double weight = 1;
		int64_t i[3];

		for (unsigned d = 0; d < 3; d++) {
			bool second = corner >> d & 1;

			weight *= second ? (double)axis[d].weight : 1 - (double)axis[d].weight;
			i[d] = axis[d].i[second];
		}
		if (weight == 0)
			continue;
		element_at(x, l, i[0], i[1], i[2], v);
		for (unsigned c = 0; c < 4; c++)
			sum[c] += weight * (double)as_f32(v[c]);
	}
	for (unsigned c = 0; c < 4; c++)
		out[c] = f32_bits((float)sum[c]);
}

static void sample_level(const struct ptx_texture *x, uint32_t level, const struct sample_point *p, uint32_t out[4])
{
	const struct ptx_level *l = &x->level[level];
	bool filter = x->filter && !p->integer && returns_float(x);
	struct axis axis[3];

	axes_of(x, l, p, filter, axis);
	if (filter)
		blend(x, l, axis, out);
	else
		element_at(x, l, axis[0].i[0], axis[1].i[0], axis[2].i[0], out);
}

/* The level of detail inside the limits of the texture and of its levels. */
static float level_of(const struct ptx_texture *x, const struct sample_point *p)
{
	float lod = p->lod != p->lod ? 0 : p->lod + x->lod_bias, last = (float)(x->levels - 1);

	lod = lod > x->lod_max ? x->lod_max : lod;
	lod = lod < x->lod_min ? x->lod_min : lod;
	return lod < 0 ? 0 : lod > last ? last : lod;
}

/* CUDA programming guide, "Cubemap Textures": the largest coordinate names the face, the others divided by it the place. */
void texture_on_cube(struct sample_point *p)
{
	static const struct {
		uint8_t s, t;		/* coordinates */
		int8_t s_sign, t_sign;
	} faces[6] = {{2, 1, -1, -1}, {2, 1, 1, -1}, {0, 2, 1, 1}, {0, 2, 1, -1}, {0, 1, 1, -1}, {0, 1, -1, -1}};
	float size[3] = {fabsf(p->at[0]), fabsf(p->at[1]), fabsf(p->at[2])};
	unsigned major = size[0] >= size[1] && size[0] >= size[2] ? 0 : size[1] >= size[2] ? 1 : 2;
	unsigned face = 2 * major + (p->at[major] < 0);
	float s = faces[face].s_sign * p->at[faces[face].s], t = faces[face].t_sign * p->at[faces[face].t];

	p->at[0] = (s / size[major] + 1) / 2;
	p->at[1] = (t / size[major] + 1) / 2;
	p->dims = 2;
	p->layer = p->layer * 6 + face;
}

void texture_sample(const struct ptx_texture *x, const struct sample_point *p, uint32_t out[4])
{
	float lod = level_of(x, p), steps, part;
	uint32_t first, next[4];

	if (!x->mip_filter || !returns_float(x)) {
		sample_level(x, (uint32_t)floorf(lod + 0.5f), p, out);
		return;
	}
	steps = floorf(lod * FRACTION + 0.5f);
	first = (uint32_t)(steps / FRACTION);
	part = (steps - (float)first * FRACTION) / FRACTION;
	sample_level(x, first, p, out);
	if (part == 0)
		return;
	sample_level(x, first + 1, p, next);
	for (unsigned c = 0; c < 4; c++)
		out[c] = f32_bits((1 - part) * as_f32(out[c]) + part * as_f32(next[c]));
}

void texture_gather(const struct ptx_texture *x, const struct sample_point *p, unsigned channel, uint32_t out[4])
{
	static const uint8_t order[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};
	const struct ptx_level *l = &x->level[0];
	struct axis axis[3];
	uint32_t v[4];

	axes_of(x, l, p, true, axis);
	for (unsigned n = 0; n < 4; n++) {
		element_at(x, l, axis[0].i[order[n][0]], axis[1].i[order[n][1]], axis[2].i[0], v);
		out[n] = v[channel];
	}
}
