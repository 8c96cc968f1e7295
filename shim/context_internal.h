/* SPDX-License-Identifier: MIT */
/* What the files that make and unmake contexts share: context.c, primary_context.c, and the tables they empty. */
#ifndef VGPU_SHIM_CONTEXT_INTERNAL_H
#define VGPU_SHIM_CONTEXT_INTERNAL_H

#include "context.h"

/* Fill a zeroed context with wire set; its legacy stream exists afterwards, until vgpu_streams_drop() or a teardown. */
CUresult vgpu_context_setup(struct vgpu_context *ctx, int device, uint32_t flags);
/* The worker's context is going away: all that lives in it dies here, too. */
void vgpu_context_teardown(struct vgpu_context *ctx);
CUresult vgpu_context_push(struct vgpu_context *ctx);
CUresult vgpu_primary_init(void);
/* Have this thread's stack and streams cleaned up when it ends. */
void vgpu_thread_at_exit(void);

/* stream.c */
CUresult vgpu_stream_setup_legacy(struct vgpu_context *ctx);
void vgpu_streams_drop(struct vgpu_context *ctx);
void vgpu_thread_streams_drop(void);
/* objects.c: modules, functions, events, arrays and memory of a context */
void vgpu_objects_drop(struct vgpu_context *ctx);
/* green.c: the green contexts of a primary one that goes away */
void vgpu_greens_drop(struct vgpu_context *primary);
/* context_storage.c */
void vgpu_context_storage_drop(struct vgpu_context *ctx);

#endif
