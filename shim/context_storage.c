/* SPDX-License-Identifier: MIT */
/*
 * Context-local storage: values that libraries of NVIDIA hang on a context,
 * reached through an export table (export_tables.c). Asked for on most calls
 * of the runtime, so each thread remembers its last hit.
 */
#include "context_storage.h"

#include <stdlib.h>

#include "context.h"
#include "context_internal.h"
#include "thread.h"

struct vgpu_storage {
	struct vgpu_storage *next;
	void *key, *value;
	vgpu_storage_destructor destroy;
};

/* Bumped by each change, so that what threads remember cannot be stale. */
static _Atomic uint64_t changes = 1;

static __thread struct {
	uint64_t change;
	uint64_t context_id;
	void *key, *value;
} hit __attribute__((tls_model("initial-exec")));

static struct vgpu_storage **find(struct vgpu_context *ctx, void *key)
{
	struct vgpu_storage **at = &ctx->storage;

	while (*at && (*at)->key != key)
		at = &(*at)->next;
	return at;
}

CUresult vgpu_context_storage_put(CUcontext app, void *key, void *value, vgpu_storage_destructor destroy)
{
	struct vgpu_context *ctx;
	struct vgpu_storage *s, *made;
	CUresult r = vgpu_context_get(app, &ctx);

	if (r)
		return r;
	made = malloc(sizeof(*made));
	if (!made)
		return CUDA_ERROR_OUT_OF_MEMORY;
	vgpu_lock(&ctx->lock);
	s = *find(ctx, key);
	if (!s) {
		s = made;
		made = NULL;
		s->key = key;
		s->next = ctx->storage;
		ctx->storage = s;
	}
	s->value = value;
	s->destroy = destroy;
	atomic_fetch_add(&changes, 1);
	vgpu_unlock(&ctx->lock);
	free(made);
	return CUDA_SUCCESS;
}

CUresult vgpu_context_storage_delete(CUcontext app, void *key)
{
	struct vgpu_context *ctx;
	struct vgpu_storage **at, *s;
	CUresult r = vgpu_context_get(app, &ctx);

	if (r)
		return r;
	vgpu_lock(&ctx->lock);
	at = find(ctx, key);
	s = *at;
	if (s)
		*at = s->next;
	atomic_fetch_add(&changes, 1);
	vgpu_unlock(&ctx->lock);
	free(s);
	return s ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult vgpu_context_storage_get(void **value, CUcontext app, void *key)
{
	uint64_t change = atomic_load_explicit(&changes, memory_order_acquire);
	struct vgpu_context *ctx;
	struct vgpu_storage *s;
	CUresult r = vgpu_context_get(app, &ctx);

	if (r)
		return r;
	if (hit.change == change && hit.key == key && hit.context_id == ctx->id) {
		*value = hit.value;
		return CUDA_SUCCESS;
	}
	vgpu_lock(&ctx->lock);
	s = *find(ctx, key);
	if (s) {
		*value = hit.value = s->value;
		hit.key = key;
		hit.context_id = ctx->id;
		hit.change = change;
	}
	vgpu_unlock(&ctx->lock);
	return s ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void vgpu_context_storage_drop(struct vgpu_context *ctx)
{
	struct vgpu_storage *s, *next;

	vgpu_lock(&ctx->lock);
	s = ctx->storage;
	ctx->storage = NULL;
	atomic_fetch_add(&changes, 1);
	vgpu_unlock(&ctx->lock);
	for (; s; s = next) {
		next = s->next;
		if (s->destroy)
			s->destroy(vgpu_context_app(ctx), s->key, s->value);
		free(s);
	}
}
