/* SPDX-License-Identifier: MIT */
/*
 * One question to the monitor, built by the generated functions: begin, one line for each parameter, end. Lives on the
 * caller's stack; any thread. What is wrong with a NULL or with a struct of an unknown version says the driver: each
 * function has an order of its own in which it looks at its parameters. A handle that is none is remembered and makes
 * nvml_end() return its error without asking; so does a library that is not initialised.
 */
#ifndef VGPU_NVML_CALL_H
#define VGPU_NVML_CALL_H

#include <stdint.h>

#include <vgpu/nvml.h>

#define NVML_RESULTS 6		/* more than any function has */

enum nvml_result_kind {
	NVML_RESULT_BYTES,
	NVML_RESULT_TEXT,	/* as much as fits, or INSUFFICIENT_SIZE */
	NVML_RESULT_LIST,
};

struct nvml_result {
	enum nvml_result_kind kind;
	void *to;
	unsigned int *count;	/* LIST */
	uint32_t size;		/* bytes in the answer; LIST: of one item */
	uint32_t wanted;	/* LIST: items that the caller has room for, at most what an answer holds; BYTES: bytes of them */
};

struct nvml_call {
	const char *name;
	uint32_t function, device;
	nvmlReturn_t wrong;	/* what a parameter is wrong with, or NVML_SUCCESS */
	uint64_t nulls;		/* a bit for each pointer so far: which are NULL */
	uint32_t pointers;
	uint32_t asked_size, result_count;
	struct nvml_result results[NVML_RESULTS];
	uint8_t asked[NVML_ASKED_MAX] __attribute__((aligned(8)));
};

void nvml_begin(struct nvml_call *c, uint32_t function, const char *name);
/* Of a function that needs no initialised library. */
void nvml_begin_cold(struct nvml_call *c, uint32_t function, const char *name);
void nvml_put(struct nvml_call *c, uint64_t value);
/* The first device is the call's own, the second a parameter. */
void nvml_put_device(struct nvml_call *c, nvmlDevice_t device);
void nvml_out(struct nvml_call *c, void *to, uint32_t size);
void nvml_buffer(struct nvml_call *c, char *to, uint32_t size);
void nvml_text(struct nvml_call *c, char *to, uint32_t size);
/* `size`: what the caller has room for, of the `whole` that the answer has. */
void nvml_room(struct nvml_call *c, void *to, uint32_t size, uint32_t whole);
void nvml_list(struct nvml_call *c, unsigned int *count, void *items, uint32_t size);
void nvml_array(struct nvml_call *c, int count, void *items, uint32_t size);
/* `versions`: the version words that are understood; each has the size in its low 24 bits. Of another struct only the word goes. */
void nvml_struct(struct nvml_call *c, void *s, const uint32_t *versions, uint32_t count);
nvmlReturn_t nvml_end(struct nvml_call *c);

/* A function's handle cannot be one: there is nothing that it could name. */
nvmlReturn_t nvml_wrong(const char *name);
/* A function's number cannot be one of something that exists. */
nvmlReturn_t nvml_missing(unsigned int id);
/* Says once for each name that it is not supported. */
nvmlReturn_t nvml_unsupported(const char *name);
/* The same for what only the host's administrator may do. */
nvmlReturn_t nvml_denied(const char *name);

#endif
