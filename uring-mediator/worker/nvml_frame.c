/* SPDX-License-Identifier: MIT */
/* Parameters and results of a question, and the handler of all of them, see nvml_frame.h. The worker's only thread. */
#include "nvml_frame.h"

#include <string.h>

#include <gen/wire.h>
#include <gen/worker_hand.h>
#include <vgpu/ring.h>

#include "monitor.h"
#include "session.h"

/* Where the driver finds what goes to nobody: longer than any struct of NVML. */
static uint8_t scratch[65536] __attribute__((aligned(8)));

/* The next `size` bytes of the question, or NULL. */
static const void *next(struct nvml_frame *f, uint32_t size)
{
	const uint8_t *p = f->asked + f->asked_at;

	if (size > f->asked_size - f->asked_at || vgpu_align8(size) > f->asked_size - f->asked_at) {
		f->bad = true;
		return NULL;
	}
	f->asked_at += vgpu_align8(size);
	return p;
}

uint64_t nvml_take(struct nvml_frame *f)
{
	const uint64_t *p = next(f, sizeof(*p));

	return p ? *p : 0;
}

nvmlDevice_t nvml_take_device(struct nvml_frame *f)
{
	uint64_t index = f->device_taken ? nvml_take(f) : f->device;

	f->device_taken = true;
	return index < f->monitor->count ? f->monitor->devices[index] : NULL;
}

/* Is the next pointer NULL with the caller? */
static bool is_null(struct nvml_frame *f)
{
	return f->nulls >> f->pointers++ & 1;
}

static void *reserve(struct nvml_frame *f, uint32_t size)
{
	uint8_t *p = f->answer + f->answer_at;

	if (size > f->answer_size - f->answer_at || vgpu_align8(size) > f->answer_size - f->answer_at) {
		f->bad = true;
		return NULL;
	}
	f->answer_at += vgpu_align8(size);
	return p;
}

void *nvml_room(struct nvml_frame *f, uint32_t size)
{
	void *p = reserve(f, size);

	if (!is_null(f))
		return p;
	f->missing = true;
	return NULL;
}

unsigned int nvml_take_size(struct nvml_frame *f, uint32_t whole)
{
	uint64_t size = nvml_take(f);

	return size < whole ? (unsigned int)size : whole;
}

unsigned int *nvml_take_count(struct nvml_frame *f, uint32_t item)
{
	uint64_t wanted = nvml_take(f);
	unsigned int *count = nvml_room(f, 8);

	if (wanted > f->answer_size / item || (!count && wanted))
		f->bad = true;
	else if (count)
		*count = (unsigned int)wanted;
	return count;
}

void *nvml_room_list(struct nvml_frame *f, const unsigned int *count, uint32_t item)
{
	bool none = is_null(f);
	void *items = scratch;

	if (!f->bad && count && *count)
		items = reserve(f, *count * item);
	f->missing |= none && count && *count;
	return none ? NULL : items;
}

static void *copied(struct nvml_frame *f, uint64_t size)
{
	const void *from = size <= f->asked_size ? next(f, (uint32_t)size) : NULL;
	void *to = from ? reserve(f, (uint32_t)size) : NULL;

	if (to)
		memcpy(to, from, size);
	else
		f->bad = true;
	return to;
}

/* Nothing of it but its version word: NULL if there is no struct at all. */
static void *take_strange(struct nvml_frame *f, nvmlReturn_t otherwise)
{
	uint32_t word = (uint32_t)nvml_take(f);

	if (is_null(f)) {
		f->missing = true;
		return NULL;
	}
	f->strange = otherwise;
	memset(scratch, 0, sizeof(scratch));
	memcpy(scratch, &word, sizeof(word));
	return scratch;
}

void *nvml_take_struct(struct nvml_frame *f, const uint32_t *versions, uint32_t count, nvmlReturn_t otherwise)
{
	uint64_t size = nvml_take(f);
	uint32_t *s;

	if (!size)
		return take_strange(f, otherwise);
	s = is_null(f) || size < sizeof(*s) ? NULL : copied(f, size);
	/* How long the struct is says its version word, to whoever fills it: it must be one that the driver knows. */
	for (uint32_t i = 0; s && i < count; i++)
		if (versions[i] == *s && (*s & 0xffffff) == size)
			return s;
	f->bad = true;
	return NULL;
}

void *nvml_take_array(struct nvml_frame *f, int count, uint32_t item)
{
	if (is_null(f) || count <= 0 || (uint32_t)count > f->answer_size / item) {
		f->bad = true;
		return NULL;
	}
	return copied(f, (uint64_t)count * item);
}

nvmlReturn_t nvml_frame_wrong(const struct nvml_frame *f)
{
	if (f->bad)
		return NVML_ERROR_UNKNOWN;
	if (!f->strict)
		return NVML_SUCCESS;
	return f->missing ? NVML_ERROR_INVALID_ARGUMENT : f->strange;
}

/* A struct that the driver knows and nobody here does has been filled for nobody. */
static nvmlReturn_t told(const struct nvml_frame *f, nvmlReturn_t r)
{
	return !r && f->strange ? NVML_ERROR_ARGUMENT_VERSION_MISMATCH : r;
}

/* Ascending by id. */
static const struct nvml_row *find(uint32_t id)
{
	size_t low = 0, high = NVML_ROWS;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (nvml_rows[middle].id == id)
			return &nvml_rows[middle];
		if (nvml_rows[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool has(const struct vgpu_nvml *table, const struct nvml_row *row)
{
	const void *fn;

	memcpy(&fn, (const char *)table + row->offset, sizeof(fn));
	return fn;
}

bool vgpu_monitor_allows(uint16_t op)
{
	return op == VGPU_OP_nvml_call || op == VGPU_OP_noop || op == VGPU_OP_ping || op == VGPU_OP_session_bye;
}

CUresult vgpu_handle_nvml_call(struct vgpu_session *s, struct vgpu_request *rq)
{
	const struct vgpu_args_nvml_call *a = rq->args;
	struct vgpu_ret_nvml_call *o = rq->ret;
	const struct nvml_row *row = find(a->function);
	uint32_t end = sizeof(*o);
	struct nvml_frame f = {
		.monitor = s->device->monitor, .asked = rq->payload, .asked_size = rq->payload_size & ~7u,
		.device = a->device, .nulls = a->nulls, .answer_size = (rq->ret_cap - end) & ~7u,
	};

	if (!f.monitor)
		return vgpu_session_broken(s, "a question about devices to a worker");
	if (!row)
		return vgpu_session_broken(s, "NVML function %u does not exist", a->function);
	f.strict = f.monitor->soft || !row->symbol;
	f.answer = vgpu_room(rq, &end, f.answer_size);
	if (!f.answer)
		return VGPU_BROKEN;
	if (has(&f.monitor->table, row))
		o->result = told(&f, row->run(&f.monitor->table, &f));
	else	/* a driver's library that is too old; or what makes no sense for the soft device */
		o->result = f.monitor->soft ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_FUNCTION_NOT_FOUND;
	if (f.bad)
		return vgpu_session_broken(s, "parameters of NVML function %u make no sense", a->function);
	rq->ret_size = sizeof(*o) + f.answer_at;
	return CUDA_SUCCESS;
}
