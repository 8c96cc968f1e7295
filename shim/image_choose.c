/* SPDX-License-Identifier: MIT */
/*
 * Choosing among the entries of a fat binary.  Its headers are the application's; like the driver we believe what they say
 * of lengths, as long as all of it stays inside the image.  Formats as in image.h.  No state, any thread.
 */
#include "image_choose.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KIND_PTX	1u
#define KIND_CUBIN	2u
#define GROW		8u	/* pieces for which there is room, a multiple of this */
#define RENAMED_FROM	10u	/* majors from which on a device's number has changed between releases of the toolkit */

struct head {
	uint32_t magic;
	uint16_t version, size;
	uint64_t payload;
};

/* The begin of an entry's header. */
struct entry {
	uint16_t kind, version;
	uint32_t size;		/* of the header */
	uint64_t payload;	/* bytes behind it */
	uint32_t reserved[3];
	uint32_t arch;
};

_Static_assert(sizeof(struct head) == sizeof(((struct vgpu_image_choice *)0)->head), "format");
_Static_assert(sizeof(struct entry) == 32, "format");

/* Machine code runs on devices of its own major number, PTX on its own architecture and all later ones. */
static bool runs_on(const struct entry *e, uint32_t arch)
{
	if (e->kind == KIND_PTX)
		return e->arch <= arch;
	return e->arch / 10 == arch / 10 || (e->arch / 10 >= RENAMED_FROM && arch / 10 >= RENAMED_FROM);
}

static bool wanted(const struct entry *e, const uint32_t *archs, uint32_t count)
{
	uint32_t i;

	if (e->kind != KIND_PTX && e->kind != KIND_CUBIN)
		return true;	/* the driver knows what it is for */
	for (i = 0; i < count; i++)
		if (runs_on(e, archs[i]))
			return true;
	return false;
}

/* The entry at `at`, and its bytes with those of its header; 0 if it does not lie in the image. */
static uint64_t entry_at(const struct vgpu_image *image, uint64_t at, struct entry *e)
{
	uint64_t left = image->size - at;

	if (left < sizeof(*e))
		return 0;
	memcpy(e, (const uint8_t *)image->data + at, sizeof(*e));
	if (e->size < sizeof(*e) || e->size > left || e->payload > left - e->size)
		return 0;
	return e->size + e->payload;
}

/* One more piece; the one before grows if this follows it. */
static bool add(struct vgpu_image_choice *c, const uint8_t *data, uint64_t bytes)
{
	struct vgpu_image_piece *last = c->count ? &c->pieces[c->count - 1] : NULL, *more;

	c->bytes += bytes;
	if (last && (const uint8_t *)last->data + last->bytes == data) {
		last->bytes += bytes;
		return true;
	}
	if (c->count % GROW == 0) {
		more = realloc(c->pieces, (c->count + GROW) * sizeof(*more));
		if (!more)
			return false;
		c->pieces = more;
	}
	c->pieces[c->count++] = (struct vgpu_image_piece){ data, bytes };
	return true;
}

/* The header and the entries that are wanted. False: better send all. */
static bool choose(const struct vgpu_image *image, const uint32_t *archs, uint32_t count, struct vgpu_image_choice *c)
{
	const uint8_t *data = image->data;
	uint32_t runnable = 0;
	struct entry e;
	struct head h;
	uint64_t at, n;

	memcpy(&h, data, sizeof(h));
	if (h.size != sizeof(h) || !add(c, c->head, sizeof(h)))
		return false;
	for (at = sizeof(h); at < image->size; at += n) {
		n = entry_at(image, at, &e);
		if (!n)
			return false;
		if (!wanted(&e, archs, count))
			continue;
		runnable += e.kind == KIND_PTX || e.kind == KIND_CUBIN;
		if (!add(c, data + at, n))
			return false;
	}
	h.payload = c->bytes - sizeof(h);
	memcpy(c->head, &h, sizeof(h));
	return runnable && c->bytes < image->size;
}

void vgpu_image_choose(const struct vgpu_image *image, const uint32_t *archs, uint32_t count,
		       struct vgpu_image_choice *c)
{
	*c = (struct vgpu_image_choice){ .whole = { image->data, image->size } };
	if (image->kind == VGPU_IMAGE_FATBIN && count && choose(image, archs, count, c))
		return;
	free(c->pieces);
	c->pieces = &c->whole;
	c->count = 1;
	c->bytes = image->size;
}

void vgpu_image_choice_free(struct vgpu_image_choice *c)
{
	if (c->pieces != &c->whole)
		free(c->pieces);
}
