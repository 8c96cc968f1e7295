/* SPDX-License-Identifier: MIT */
/* Questions to the monitor and their answers, see call.h. No state of its own. */
#include "nvml/call.h"

#include <string.h>

#include <vgpu/ring.h>

#include "nvml/device.h"
#include "nvml/init.h"
#include "nvml/link.h"

#define NO_DEVICE UINT32_MAX

void nvml_begin(struct nvml_call *c, uint32_t function, const char *name)
{
	nvml_begin_cold(c, function, name);
	if (!nvml_initialised())
		c->wrong = NVML_ERROR_UNINITIALIZED;
}

void nvml_begin_cold(struct nvml_call *c, uint32_t function, const char *name)
{
	c->name = name;
	c->function = function;
	c->device = NO_DEVICE;
	c->wrong = NVML_SUCCESS;
	c->nulls = 0;
	c->pointers = 0;
	c->asked_size = 0;
	c->result_count = 0;
}

static void wrong(struct nvml_call *c, nvmlReturn_t error)
{
	if (!c->wrong)
		c->wrong = error;
}

static void put_bytes(struct nvml_call *c, const void *bytes, uint32_t size)
{
	uint32_t padded = vgpu_align8(size);

	if (size > NVML_ASKED_MAX || padded > NVML_ASKED_MAX - c->asked_size) {
		wrong(c, NVML_ERROR_INVALID_ARGUMENT);
		return;
	}
	memset(c->asked + c->asked_size + size, 0, padded - size);
	memcpy(c->asked + c->asked_size, bytes, size);
	c->asked_size += padded;
}

void nvml_put(struct nvml_call *c, uint64_t value)
{
	put_bytes(c, &value, sizeof(value));
}

void nvml_put_device(struct nvml_call *c, nvmlDevice_t device)
{
	uint32_t index = 0;

	if (!c->wrong && !nvml_device_index(device, &index))
		wrong(c, NVML_ERROR_INVALID_ARGUMENT);
	if (c->device == NO_DEVICE)
		c->device = index;
	else
		nvml_put(c, index);
}

static void note_pointer(struct nvml_call *c, const void *p)
{
	c->nulls |= (uint64_t)!p << c->pointers++;
}

static struct nvml_result *add_result(struct nvml_call *c, enum nvml_result_kind kind, void *to, uint32_t size)
{
	struct nvml_result *r = &c->results[c->result_count++];

	*r = (struct nvml_result){ .kind = kind, .to = to, .size = size, .wanted = size };
	note_pointer(c, to);
	return r;
}

void nvml_out(struct nvml_call *c, void *to, uint32_t size)
{
	add_result(c, NVML_RESULT_BYTES, to, size);
}

void nvml_buffer(struct nvml_call *c, char *to, uint32_t size)
{
	add_result(c, NVML_RESULT_BYTES, to, size);
}

void nvml_text(struct nvml_call *c, char *to, uint32_t size)
{
	add_result(c, NVML_RESULT_TEXT, to, size);
}

void nvml_room(struct nvml_call *c, void *to, uint32_t size, uint32_t whole)
{
	nvml_put(c, size);
	add_result(c, NVML_RESULT_BYTES, to, whole)->wanted = size < whole ? size : whole;
}

void nvml_list(struct nvml_call *c, unsigned int *count, void *items, uint32_t size)
{
	uint32_t most = (NVML_ANSWER_MAX - 512) / size, wanted = count ? *count : 0;
	struct nvml_result *r;

	note_pointer(c, count);
	r = add_result(c, NVML_RESULT_LIST, items, size);
	r->count = count;
	r->wanted = wanted < most ? wanted : most;
	nvml_put(c, r->wanted);
}

void nvml_array(struct nvml_call *c, int count, void *items, uint32_t size)
{
	if (count <= 0 || !items || (uint32_t)count > (NVML_ASKED_MAX - 64) / size) {
		wrong(c, NVML_ERROR_INVALID_ARGUMENT);
		return;
	}
	nvml_put(c, (uint64_t)count);
	put_bytes(c, items, (uint32_t)count * size);
	add_result(c, NVML_RESULT_BYTES, items, (uint32_t)count * size);
}

void nvml_struct(struct nvml_call *c, void *s, const uint32_t *versions, uint32_t count)
{
	uint32_t word = 0, size, i;

	if (s)
		memcpy(&word, s, sizeof(word));
	for (i = 0; i < count && versions[i] != word; i++)
		;
	size = s && i < count ? word & 0xffffff : 0;
	nvml_put(c, size);
	if (size)
		put_bytes(c, s, size);
	else
		nvml_put(c, word);
	add_result(c, NVML_RESULT_BYTES, s, size);
}

/* ---- the answer ---- */

struct answer {
	const uint8_t *bytes;
	uint32_t size, at;
};

/* The next piece, or NULL if the answer is shorter than the question calls for. */
static const void *next(struct answer *a, uint32_t size)
{
	const uint8_t *p = a->bytes + a->at;

	if (size > a->size || a->at > a->size - size)
		return NULL;
	a->at += vgpu_align8(size);
	return p;
}

static nvmlReturn_t take_text(struct answer *a, const struct nvml_result *r, nvmlReturn_t result)
{
	const char *text = next(a, NVML_TEXT);
	size_t length = text ? strnlen(text, NVML_TEXT) : NVML_TEXT;

	if (length == NVML_TEXT)
		return NVML_ERROR_UNKNOWN;
	if (result || !r->to)
		return result;
	if (length >= r->size)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	memcpy(r->to, text, length + 1);
	return NVML_SUCCESS;
}

/* The count comes back with both results that speak of it, the items only when all of them fit. */
static nvmlReturn_t take_list(struct answer *a, const struct nvml_result *r, nvmlReturn_t result)
{
	const uint32_t *count = next(a, 8);
	const void *items = next(a, r->wanted * r->size);

	if (!count || !items)
		return NVML_ERROR_UNKNOWN;
	if (result && result != NVML_ERROR_INSUFFICIENT_SIZE)
		return result;
	if (!result && *count > r->wanted && r->to)
		return NVML_ERROR_UNKNOWN;
	if (!result && r->to)
		memcpy(r->to, items, (size_t)*count * r->size);
	if (r->count)
		*r->count = *count;
	return result;
}

static nvmlReturn_t take(struct answer *a, const struct nvml_result *r, nvmlReturn_t result)
{
	const void *p;

	switch (r->kind) {
	case NVML_RESULT_TEXT:
		return take_text(a, r, result);
	case NVML_RESULT_LIST:
		return take_list(a, r, result);
	case NVML_RESULT_BYTES:
		break;
	}
	p = next(a, r->size);
	if (!p)
		return NVML_ERROR_UNKNOWN;
	if (!result && r->to)
		memcpy(r->to, p, r->wanted);
	return result;
}

nvmlReturn_t nvml_end(struct nvml_call *c)
{
	uint8_t bytes[NVML_ANSWER_MAX] __attribute__((aligned(8)));
	struct answer a = { .bytes = bytes };
	nvmlReturn_t result = c->wrong;
	uint32_t i;

	if (result)
		return result;
	result = nvml_link_ask(c, c->device == NO_DEVICE ? 0 : c->device, bytes, &a.size);
	if (!a.size && result)
		return result;	/* nobody was asked */
	for (i = 0; i < c->result_count; i++)
		result = take(&a, &c->results[i], result);
	return result;
}
