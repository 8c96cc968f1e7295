/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes, for commands and for nodes of graphs: what the guest describes, checked, as the driver wants it.
 * The worker's only thread.
 */
#ifndef VGPU_WORKER_COPY_H
#define VGPU_WORKER_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <gen/wire.h>
#include <vgpu/cuda_types.h>

struct vgpu_session;

/*
 * Bytes from the first to the last of `height` rows in each of `depth` slices, none of them 0; false if that is no
 * number or rows overlap.
 */
bool vgpu_copy_span(uint64_t width, uint64_t height, uint64_t pitch, uint64_t depth, uint64_t slice, uint64_t *span);

#endif
