/* SPDX-License-Identifier: MIT */
/*
 * The application's options of the JIT: what of them travels, and where the answers go. Any thread; the options of a
 * link are used under the link's lock.
 */
#ifndef VGPU_SHIM_JIT_H
#define VGPU_SHIM_JIT_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "call.h"

struct vgpu_rec_jit_request;
struct vgpu_rec_jit_result;

struct vgpu_jit_buffer {
	char *text;		/* the application's; NULL: no log */
	uint32_t room;		/* bytes of it */
	uint32_t used;		/* bytes that came with the last answer */
	void **size;		/* the value that takes how many; NULL: none */
};

struct vgpu_jit {
	unsigned int count;
	CUjit_option *options;	/* the application's, for the length of the call */
	void **values;
	uint32_t records, bytes;	/* of the options that travel, with their data */
	struct vgpu_jit_buffer info, error;
	void **wall, **threads;	/* values that take answers; NULL: none */
};

/* Look through the options. INVALID_VALUE if they make no sense. */
CUresult vgpu_jit_parse(unsigned int count, CUjit_option *options, void **values, struct vgpu_jit *jit);
/* Fill a command's request and the first jit->bytes bytes of its payload. */
void vgpu_jit_put(const struct vgpu_jit *jit, struct vgpu_rec_jit_request *request, void *payload);
/*
 * The answer that came with a call: `carried` bytes of the logs at `text`. True: vgpu_jit_fetch() has to get the rest
 * from `owner`, when the call has ended.
 */
bool vgpu_jit_take(struct vgpu_jit *jit, const struct vgpu_rec_jit_result *result, const void *text, uint32_t carried);
void vgpu_jit_fetch(struct vgpu_jit *jit, uint64_t owner);

#endif
