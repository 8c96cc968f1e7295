/* SPDX-License-Identifier: MIT */
/*
 * Contexts, the stack of current contexts that each thread has, and the check that opens every call.
 *
 * Context structures live in one static array and are never freed, so that a stale pointer in another thread finds a
 * destroyed context instead of garbage. The first SOFT_MAX_DEVICES of them are the devices' primary contexts, which
 * keep their handles through all their lives.
 */
#ifndef VGPU_SOFT_CONTEXT_H
#define VGPU_SOFT_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "fifo.h"
#include "scheduler.h"
#include "vgpu/cuda_types.h"

#define SOFT_MAX_CONTEXTS 64

struct soft_context {
	_Atomic uint64_t handle; /* 0: slot unused */
	atomic_bool active;
	atomic_bool cancelled;   /* being destroyed by force: its work is dropped */
	uint32_t index;          /* in the array */
	struct soft_device *device;
	struct soft_context *base; /* owns all objects but streams: itself, of a green context the primary one */
	unsigned flags;
	uint64_t id;
	size_t limits[CU_LIMIT_MAX];
	struct soft_fifo fifo;       /* what its kernels print */
	_Atomic uint64_t kernel_heap; /* bytes that kernels have got by malloc */
	CUfunc_cache cache_config;
	CUsharedconfig shared_config;
	uint64_t peers;              /* bit i: peer access to the context at index i is on */
	struct soft_stream legacy;   /* the default stream */
	struct soft_stream gate;     /* all work waits for what is in it: cuCtxWaitEvent */
	unsigned num_sms;            /* of the device, for green contexts: counted, kernels run on all */
	struct soft_stream *busy;    /* streams that are not idle; under the scheduler's lock */
};

/* What every call that does work begins with: initialised, not poisoned, a current context that is alive. */
CUresult soft_enter(struct soft_context **ctx);
/* The same without the need for a context. */
CUresult soft_enter_any(void);
/* The same for a call that takes a context, NULL for the current one. INVALID_CONTEXT: it is not alive. */
CUresult soft_enter_context(CUcontext handle, struct soft_context **ctx);
/* The same for a call that takes a stream, as soft_stream_of() does; with a reference. */
CUresult soft_enter_stream(CUstream handle, struct soft_stream **s);
/*
 * How a call about one object goes on, after it began with *@rc: its other arguments, then the handle. The object, with a
 * reference, if *@rc stays 0.
 */
void *soft_enter_object(CUresult *rc, uint64_t handle, unsigned kinds, bool arguments_ok);
/* Only that the process may use CUDA at all; works in a poisoned one. */
CUresult soft_enter_poisoned(void);
/* The current one of @ctx and its green contexts. */
struct soft_context *soft_context_here(struct soft_context *ctx);
/* A live context by its handle; NULL when there is none. */
struct soft_context *soft_context_get(CUcontext handle);
/* The live context at @index (of the array, of a memory tag); NULL when there is none. */
struct soft_context *soft_context_at(uint32_t index);
CUcontext soft_context_handle(const struct soft_context *ctx);
/* Primary contexts; release is INVALID_CONTEXT for one that nobody holds. */
CUresult soft_primary_retain(struct soft_device *d, struct soft_context **ctx);
CUresult soft_primary_release(struct soft_device *d);
/* Makes one in a free slot, a green context if @base, the primary one, is not NULL. NULL when there are too many. */
struct soft_context *soft_context_make(struct soft_device *d, unsigned flags, struct soft_context *base);
/* The next living green context of @ctx in slots from *@at on, which is 0 at first; NULL when none is left. */
struct soft_context *soft_context_green(const struct soft_context *ctx, uint32_t *at);
/* soft_context_close, and the slot is free. */
void soft_context_free(struct soft_context *ctx);
/* Brings a context to life: streams, limits. Its slot is the caller's. */
void soft_context_open(struct soft_context *ctx, struct soft_device *d, unsigned flags);
/* Waits a moment for its work, then stops what is left, and destroys all that it owns. */
void soft_context_close(struct soft_context *ctx);
/* A stream without a handle, for one operation. A reference, or NULL. */
struct soft_stream *soft_stream_hidden(struct soft_context *ctx);
/* Waits for all work of all contexts. */
void soft_context_drain_all(void);
struct soft_context *soft_primary_of(const struct soft_device *d);
bool soft_context_flags_valid(unsigned flags);

/* The stream of a call: NULL and the special handles included. Takes a reference. */
CUresult soft_stream_of(struct soft_context *ctx, CUstream handle, struct soft_stream **out);

/* Poisons the process; the first error stays. Whoever calls this without holding locks calls soft_sched_kick after. */
void soft_poison(CUresult error);
bool soft_poisoned(void);

#endif
