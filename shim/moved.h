/* SPDX-License-Identifier: MIT */
/*
 * Pages of the application's own that lie in the arena, since it has registered them: its addresses stay, application,
 * worker and device share what is there. A piece is a stretch of whole pages with one block of the arena; a page lies in one piece
 * at most, however many registered ranges touch it.
 */
#ifndef VGPU_SHIM_MOVED_H
#define VGPU_SHIM_MOVED_H

#include <stdint.h>

#include <vgpu/cuda_types.h>

/*
 * Move the pages of [start, start + bytes), `bytes` not 0, and have the worker register just these bytes. NOT_SUPPORTED:
 * they stay where they are, why was logged; INVALID_VALUE: there is not memory everywhere; or what the worker's driver says.
 */
CUresult vgpu_moved_add(uint64_t start, uint64_t bytes);
/* The reverse of a success. Pages that no registered range touches any more are the application's own again. */
CUresult vgpu_moved_remove(uint64_t start, uint64_t bytes);

/* Around a fork: no page is on its way meanwhile; the child has pages of its own with the same content. */
void vgpu_moved_before_fork(void);
void vgpu_moved_after_fork(void);
void vgpu_moved_in_child(void);

#endif
