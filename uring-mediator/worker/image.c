/* SPDX-License-Identifier: MIT */
/*
 * Code images on their way in: contents of the announced size that fill piece by piece, or are there at once because
 * another session has sent them, then are loaded as often as wanted, then closed.  Lengths inside an image are checked
 * against its size before a driver, which trusts them, sees it; pointers are never taken from it: a wrapper, which has
 * some, is made here.  Formats: CUDA-fat-binary and ELF headers as NVIDIA's tools write them.  The worker's only thread.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gen/wire.h>
#include <gen/worker_hand.h>

#include "content.h"
#include "image.h"
#include "jit.h"
#include "session.h"

#define IMAGE_MOST	(1ull << 30)	/* bytes of all open images and links of a session */

/* As nvcc makes them: the fat binary that was linked already, and those that the driver links. */
struct wrapper {
	uint32_t magic, version;
	const void *linked;
	const void *const *parts;	/* NULL at the end */
	const void *array[];
};

struct vgpu_image {
	uint64_t number, filled;
	struct vgpu_content content;
	bool loaded;			/* the driver took it */
	uint64_t library;		/* that runs on it; 0: none does */
	struct wrapper *wrapper;	/* around the parts, once they have been asked for */
	struct vgpu_jit *jit;		/* logs of its loading that nobody has fetched yet */
	struct vgpu_image *next;
};

static struct vgpu_image *find(const struct vgpu_session *s, uint64_t number)
{
	struct vgpu_image *i = s->images;

	while (i && i->number != number)
		i = i->next;
	return i;
}

CUresult vgpu_image_charge(struct vgpu_session *s, uint64_t bytes)
{
	if (bytes > IMAGE_MOST - s->image_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	s->image_bytes += bytes;
	return CUDA_SUCCESS;
}

void vgpu_image_uncharge(struct vgpu_session *s, uint64_t bytes)
{
	s->image_bytes -= bytes;
}

CUresult vgpu_handle_image_open(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_image_open *a = rq->args;
	struct vgpu_ret_image_open *o = rq->ret;
	struct vgpu_image *i;

	if (find(s, a->image))
		return vgpu_session_broken(s, "image %llu is open already", (unsigned long long)a->image);
	if (!a->bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	if (a->bytes > IMAGE_MOST - s->image_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	i = calloc(1, sizeof(*i));
	if (!i)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (vgpu_content_open(s, &i->content, a->bytes, a->hash)) {
		free(i);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	i->number = a->image;
	i->next = s->images;
	s->images = i;
	s->image_bytes += a->bytes;
	if (i->content.found) {
		i->filled = a->bytes;
		vgpu_count(&s->stats->image_bytes_spared, a->bytes);
	}
	o->present = i->content.found;
	rq->ret_size = sizeof(*o);
	return CUDA_SUCCESS;
}

CUresult vgpu_handle_image_data(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_image_data *a = rq->args;
	struct vgpu_image *i = find(s, a->image);
	const void *from = rq->payload_size ? rq->payload : vgpu_arena_at(s, a->arena_offset, a->bytes);
	int ret;

	/* An image that could not be opened: its pieces are on the way already. */
	if (!i)
		return CUDA_ERROR_INVALID_IMAGE;
	if (!from || (rq->payload_size && rq->payload_size != a->bytes) || a->at > i->content.bytes ||
	    a->bytes > i->content.bytes - a->at)
		return vgpu_session_broken(s, "image piece of %llu bytes at %llu", (unsigned long long)a->bytes,
					   (unsigned long long)a->at);
	ret = vgpu_content_write(&i->content, a->at, from, a->bytes, rq->payload_size);
	if (ret == -EPERM)
		return vgpu_session_broken(s, "a piece of image %llu, which is complete", (unsigned long long)a->image);
	if (ret)
		return CUDA_ERROR_OUT_OF_MEMORY;
	i->filled += a->bytes;
	vgpu_count(&s->stats->image_bytes, a->bytes);
	rq->bytes = a->bytes;
	return CUDA_SUCCESS;
}

static void drop(struct vgpu_image **at)
{
	struct vgpu_image *i = *at;

	*at = i->next;
	vgpu_jit_free(i->jit);
	free(i->wrapper);
	vgpu_content_close(&i->content);
	free(i);
}

/* The guest has closed it; a library goes on with it, and has it for itself. */
static void pass_on(struct vgpu_session *s, struct vgpu_image **at)
{
	struct vgpu_image *i = *at;

	*at = i->next;
	i->next = s->library_images;
	s->library_images = i;
}

CUresult vgpu_handle_image_close(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_image_close *a = rq->args;

	for (struct vgpu_image **at = &s->images; *at; at = &(*at)->next) {
		if ((*at)->number != a->image)
			continue;
		if ((*at)->loaded)
			vgpu_content_keep(s, &(*at)->content);
		vgpu_image_uncharge(s, (*at)->content.bytes);
		if ((*at)->library)
			pass_on(s, at);
		else
			drop(at);
		return CUDA_SUCCESS;
	}
	return CUDA_SUCCESS;
}

bool vgpu_image_lendable(const struct vgpu_session *s, uint64_t number)
{
	const struct vgpu_image *i = find(s, number);

	return i && !i->library;
}

void vgpu_image_lend(struct vgpu_session *s, uint64_t number, uint64_t library)
{
	struct vgpu_image *i = find(s, number);

	if (i)
		i->library = library;
}

void vgpu_image_return(struct vgpu_session *s, uint64_t library)
{
	struct vgpu_image **at = &s->library_images;

	for (struct vgpu_image *i = s->images; i; i = i->next)
		if (i->library == library)
			i->library = 0;
	while (*at && (*at)->library != library)
		at = &(*at)->next;
	if (*at)
		drop(at);
}

void vgpu_image_release(struct vgpu_session *s)
{
	while (s->images) {
		vgpu_image_uncharge(s, s->images->content.bytes);
		drop(&s->images);
	}
	while (s->library_images)
		drop(&s->library_images);
}

static bool fatbin_fits(const uint8_t *p, uint64_t bytes)
{
	uint32_t magic;
	uint16_t header;
	uint64_t payload;

	if (bytes < 16)
		return false;
	memcpy(&magic, p, 4);
	memcpy(&header, p + 6, 2);
	memcpy(&payload, p + 8, 8);
	return magic == VGPU_FATBIN_MAGIC && header >= 16 && header <= bytes && payload <= bytes - header;
}

static bool table_fits(uint64_t at, uint64_t count, uint64_t size, uint64_t least, uint64_t bytes)
{
	return !count || (size >= least && at <= bytes && count <= (bytes - at) / size);
}

static bool elf_fits(const uint8_t *p, uint64_t bytes)
{
	Elf64_Ehdr e;
	Elf64_Shdr sh;

	if (bytes < sizeof(e))
		return false;
	memcpy(&e, p, sizeof(e));
	if (memcmp(e.e_ident, ELFMAG, SELFMAG) || e.e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	if (!table_fits(e.e_phoff, e.e_phnum, e.e_phentsize, sizeof(Elf64_Phdr), bytes) ||
	    !table_fits(e.e_shoff, e.e_shnum, e.e_shentsize, sizeof(sh), bytes))
		return false;
	for (unsigned int i = 0; i < e.e_shnum; i++) {
		memcpy(&sh, p + e.e_shoff + (uint64_t)i * e.e_shentsize, sizeof(sh));
		if (sh.sh_type != SHT_NOBITS && !table_fits(sh.sh_offset, sh.sh_size ? 1 : 0, sh.sh_size, 0, bytes))
			return false;
	}
	return true;
}

/* Text: what it begins with is no number that a driver takes for another kind of image. */
static bool ptx_fits(const uint8_t *p)
{
	return *p && strchr(" \t\r\n./", *p);
}

static struct vgpu_image_part entry(const struct vgpu_image *i, uint32_t index)
{
	struct vgpu_image_part part;

	memcpy(&part, i->content.data + sizeof(struct vgpu_image_directory) + index * sizeof(part), sizeof(part));
	return part;
}

/* The directory's entry `index`, if its fat binary lies behind `*end`, which moves on. */
static const uint8_t *part_at(const struct vgpu_image *i, uint32_t index, uint64_t *end)
{
	const struct vgpu_image_part part = entry(i, index);

	if (part.at < *end || part.at > i->content.bytes || part.bytes > i->content.bytes - part.at ||
	    part.at % VGPU_IMAGE_PART_ALIGN || !fatbin_fits(i->content.data + part.at, part.bytes))
		return NULL;
	*end = part.at + part.bytes;
	return i->content.data + part.at;
}

static CUresult wrap_parts(struct vgpu_image *i)
{
	struct vgpu_image_directory head;
	struct wrapper *w;
	uint64_t end;

	if (i->content.bytes < sizeof(head))
		return CUDA_ERROR_INVALID_IMAGE;
	memcpy(&head, i->content.data, sizeof(head));
	end = sizeof(head) + (uint64_t)head.count * sizeof(struct vgpu_image_part);
	if (!head.count || head.count > VGPU_IMAGE_PARTS_MOST || head.reserved || end > i->content.bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	w = calloc(1, sizeof(*w) + (head.count + 1) * sizeof(w->array[0]));
	if (!w)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*w = (struct wrapper){ .magic = VGPU_FATBIN_WRAPPER_MAGIC, .version = 2, .parts = w->array + 1 };
	for (uint32_t part = 0; part < head.count; part++) {
		w->array[part] = part_at(i, part, &end);
		if (!w->array[part]) {
			free(w);
			return CUDA_ERROR_INVALID_IMAGE;
		}
	}
	w->linked = w->array[0];
	i->wrapper = w;
	return CUDA_SUCCESS;
}

static CUresult get_parts(struct vgpu_image *i, const void **data, uint64_t *bytes)
{
	CUresult r = i->wrapper ? CUDA_SUCCESS : wrap_parts(i);

	*data = i->wrapper;
	*bytes = i->content.bytes;
	return r;
}

CUresult vgpu_image_get(struct vgpu_session *s, uint64_t number, uint32_t kind, const void **data, uint64_t *bytes)
{
	struct vgpu_image *i = find(s, number);
	bool fits;

	if (!i || i->filled != i->content.bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	if (vgpu_content_seal(&i->content))
		return CUDA_ERROR_OUT_OF_MEMORY;
	switch (kind) {
	case VGPU_IMAGE_PTX:
		fits = ptx_fits(i->content.data);	/* ends with the NUL behind the buffer at the latest */
		break;
	case VGPU_IMAGE_FATBIN:
		fits = fatbin_fits(i->content.data, i->content.bytes);
		break;
	case VGPU_IMAGE_ELF:
		fits = elf_fits(i->content.data, i->content.bytes);
		break;
	case VGPU_IMAGE_PARTS:
		return get_parts(i, data, bytes);
	default:
		return vgpu_session_broken(s, "image of kind %u", kind);
	}
	*data = i->content.data;
	*bytes = i->content.bytes;
	return fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

CUresult vgpu_image_input(struct vgpu_session *s, uint64_t number, CUjitInputType type, const void **data,
			  uint64_t *bytes)
{
	struct vgpu_image *i = find(s, number);
	bool fits = true;

	if (!i || i->filled != i->content.bytes)
		return CUDA_ERROR_INVALID_IMAGE;
	if (vgpu_content_seal(&i->content))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (type == CU_JIT_INPUT_CUBIN || type == CU_JIT_INPUT_OBJECT)
		fits = elf_fits(i->content.data, i->content.bytes);
	else if (type == CU_JIT_INPUT_FATBINARY)
		fits = fatbin_fits(i->content.data, i->content.bytes);
	*data = i->content.data;
	*bytes = i->content.bytes;
	return fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

void vgpu_image_keep(struct vgpu_session *s, uint64_t number, struct vgpu_jit *jit)
{
	struct vgpu_image *i = find(s, number);

	vgpu_jit_free(i->jit);
	i->jit = jit;
}

const struct vgpu_jit *vgpu_image_jit(const struct vgpu_session *s, uint64_t number)
{
	const struct vgpu_image *i = find(s, number);

	return i ? i->jit : NULL;
}

void vgpu_image_loaded(const struct vgpu_session *s, uint64_t number)
{
	find(s, number)->loaded = true;
}

bool vgpu_image_any(const struct vgpu_session *s, uint64_t number, uint32_t kind,
		    bool (*is)(const struct vgpu_session *s, const void *data, uint64_t bytes))
{
	const struct vgpu_image *i = find(s, number);
	struct vgpu_image_part part;

	if (kind != VGPU_IMAGE_PARTS)
		return is(s, i->content.data, i->content.bytes);
	for (uint32_t n = 0; i->wrapper->array[n]; n++) {
		part = entry(i, n);
		if (is(s, i->content.data + part.at, part.bytes))
			return true;
	}
	return false;
}
