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
	_Atomic uint32_t attached;	/* cuCtxAttach without a cuCtxDetach yet */
	uint64_t green;			/* wire id of its CUgreenCtx, 0: it is no green context */
	struct vgpu_context *home;	/* owns what is made in it: itself, of a green one the primary */
	_Atomic uint32_t greens;	/* green contexts of this primary one */
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
/* The context that owns what the calling thread makes, or NULL. */
struct vgpu_context *vgpu_context_home(void);
/* 0 and the context behind a handle (NULL: the current one), or the error. */
CUresult vgpu_context_get(CUcontext app, struct vgpu_context **ctx);
CUcontext vgpu_context_app(const struct vgpu_context *ctx);
/* The next living green context of a primary one after `after` (NULL: the first), or NULL. */
struct vgpu_context *vgpu_context_green(const struct vgpu_context *primary, const struct vgpu_context *after);
/* Work of unknown extent may come to all its streams: each needs a new fence. */
void vgpu_context_touch(struct vgpu_context *ctx);
/* The primary context of a device, active or not; device is valid. */
struct vgpu_context *vgpu_context_primary(int device);

static inline bool vgpu_context_lent(struct vgpu_context *ctx)
{
	bool lends = ctx && !vgpu_thread.current;

	if (lends)
		vgpu_thread.current = ctx;
	return lends;
}

/* As VGPU_STREAM_LENDS, of anything else that belongs to a context. NULL lends nothing. */
#define VGPU_CONTEXT_LENDS(ctx) \
	__attribute__((cleanup(vgpu_context_take_back), unused)) const bool lent_context = vgpu_context_lent(ctx)

/* Wait until all streams of the context are idle, of a primary one those of its green contexts too. */
CUresult vgpu_context_synchronize(struct vgpu_context *ctx);
/* Wait until nothing is pending in any context. For memory that the GPU may still touch. */
CUresult vgpu_context_synchronize_all(void);

#endif
