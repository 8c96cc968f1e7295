/* SPDX-License-Identifier: MIT */
/*
 * Contexts as the guest sees them. The real ones are the worker's; which one
 * is current, the stack of each thread and the list of streams are here.
 */
#ifndef VGPU_SHIM_CONTEXT_H
#define VGPU_SHIM_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgpu/cuda_types.h>

#include "stream.h"

struct vgpu_storage;

struct vgpu_context {
	uint64_t wire;
	uint64_t id;			/* cuCtxGetId: never used twice */
	_Atomic bool alive;
	bool primary;
	int device;			/* as the application numbers them */
	uint32_t flags;
	uint32_t api_version;
	uint32_t uses;			/* primary: retains; under the primaries' lock */
	pthread_mutex_t lock;		/* list of streams, storage */
	struct vgpu_stream *streams;	/* created in this context, the legacy one first */
	struct vgpu_stream *working;	/* those with work since they were last seen idle; see stream.h */
	struct vgpu_stream legacy;
	_Atomic uint32_t capturing;	/* blocking streams of it that are being captured */
	struct vgpu_storage *storage;	/* context_storage.c */
};

/* Called once by cuInit after the devices are known. */
CUresult vgpu_context_init(void);
/* The calling thread's context, or NULL; `CUDA_ERROR_INVALID_CONTEXT` is the caller's to return. */
struct vgpu_context *vgpu_context_current(void);
/* 0 and the context behind a handle (NULL: the current one), or the error. */
CUresult vgpu_context_get(CUcontext app, struct vgpu_context **ctx);
CUcontext vgpu_context_app(const struct vgpu_context *ctx);
/* The primary context of a device, active or not; device is valid. */
struct vgpu_context *vgpu_context_primary(int device);
/* Wait until all streams of the context are idle. */
CUresult vgpu_context_synchronize(struct vgpu_context *ctx);
/* Wait until nothing is pending in any context. For memory that the GPU may still touch. */
CUresult vgpu_context_synchronize_all(void);

#endif
