/* SPDX-License-Identifier: MIT */
/*
 * One image out of a wrapper's fat binary and the parts to be linked with it. Reads the application's memory, whose
 * lengths it has to believe (see image.h); any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

static uint64_t aligned(uint64_t at)
{
	return (at + VGPU_IMAGE_PART_ALIGN - 1) & ~(uint64_t)(VGPU_IMAGE_PART_ALIGN - 1);
}

/* The parts behind the array's pointers: fat binaries, some of them in wrappers of their own. */
static int measure_parts(const struct vgpu_image *image, struct vgpu_image *parts, uint32_t count)
{
	uint32_t i;

	parts[0] = *image;
	for (i = 1; i < count; i++)
		if (vgpu_image_parse(image->prelinked[i - 1], UINT64_MAX, &parts[i]) ||
		    parts[i].kind != VGPU_IMAGE_FATBIN)
			return -EINVAL;
	return image->kind == VGPU_IMAGE_FATBIN ? 0 : -EINVAL;
}

/* Bytes of the joined image; *entries says where the parts lie in it. */
static int lay_out(const struct vgpu_image *parts, struct vgpu_image_part *entries, uint32_t count, uint64_t *bytes)
{
	uint64_t at = sizeof(struct vgpu_image_directory) + count * sizeof(*entries);
	uint32_t i;

	for (i = 0; i < count; i++) {
		at = aligned(at);
		entries[i] = (struct vgpu_image_part){ .at = at, .bytes = parts[i].size };
		if (__builtin_add_overflow(at, parts[i].size, &at) || at > INT64_MAX)
			return -EINVAL;
	}
	*bytes = at;
	return 0;
}

static int copy_parts(const struct vgpu_image *parts, const struct vgpu_image_part *entries, uint32_t count,
		      struct vgpu_image *joined)
{
	const struct vgpu_image_directory head = { .count = count };
	uint8_t *to = calloc(1, joined->size);
	uint32_t i;

	if (!to)
		return -ENOMEM;
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), entries, count * sizeof(*entries));
	for (i = 0; i < count; i++)
		memcpy(to + entries[i].at, parts[i].data, parts[i].size);
	joined->data = to;
	return 0;
}

int vgpu_image_join(const struct vgpu_image *image, struct vgpu_image *joined)
{
	struct vgpu_image_part *entries;
	struct vgpu_image *parts;
	uint32_t count = 1;
	int r = -ENOMEM;

	while (image->prelinked[count - 1])
		if (++count > VGPU_IMAGE_PARTS_MOST)
			return -EINVAL;
	*joined = (struct vgpu_image){ .kind = VGPU_IMAGE_PARTS };
	entries = calloc(count, sizeof(*entries));
	parts = calloc(count, sizeof(*parts));
	if (entries && parts)
		r = measure_parts(image, parts, count);
	if (!r)
		r = lay_out(parts, entries, count, &joined->size);
	if (!r)
		r = copy_parts(parts, entries, count, joined);
	free(entries);
	free(parts);
	return r;
}
