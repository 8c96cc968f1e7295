/* SPDX-License-Identifier: MIT */
/* What the commands that copy have in common.  The worker's only thread. */
#ifndef VGPU_WORKER_COPY_H
#define VGPU_WORKER_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>

struct vgpu_request;
struct vgpu_session;

/* The stream that the request goes into, noted in it; a trace takes the device's time from here. INVALID_HANDLE. */
CUresult vgpu_copy_stream(struct vgpu_session *s, struct vgpu_request *rq, uint64_t id, CUstream *stream);

/*
 * Bytes from the first to the last of `height` rows in each of `depth` slices, none of them 0; false if that is no
 * number or rows overlap.
 */
bool vgpu_copy_span(uint64_t width, uint64_t height, uint64_t pitch, uint64_t depth, uint64_t slice, uint64_t *span);

#endif
