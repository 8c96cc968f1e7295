/* SPDX-License-Identifier: MIT */
/* Life and errors of a session, see session.h. The worker's only thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gen/driver_table.h>

#include "alloc.h"
#include "log.h"
#include "output.h"
#include "graph.h"
#include "session.h"

struct vgpu_session *vgpu_session_new(struct vgpu_device *device, struct vgpu_worker_stats *stats)
{
	struct vgpu_session *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->device = device;
	s->drv = device->drv;
	s->stats = stats;
	s->memory_fd = -1;
	return s;
}

static CUresult destroy(const struct vgpu_driver *drv, const struct vgpu_handle_entry *e)
{
	switch (vgpu_handle_kind_of(e->id)) {
	case VGPU_HANDLE_GRAPHEXEC:
		return drv->cuGraphExecDestroy ? drv->cuGraphExecDestroy(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_GRAPH:
		return drv->cuGraphDestroy ? drv->cuGraphDestroy(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_EVENT:
		return drv->cuEventDestroy_v2 ? drv->cuEventDestroy_v2(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_STREAM:
		return drv->cuStreamDestroy_v2 ? drv->cuStreamDestroy_v2(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_MODULE:
		return drv->cuModuleUnload ? drv->cuModuleUnload(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_LIBRARY:
		return drv->cuLibraryUnload ? drv->cuLibraryUnload(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_TEXREF:
		return drv->cuTexRefDestroy ? drv->cuTexRefDestroy(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_TEXOBJECT:
	case VGPU_HANDLE_SURFOBJECT:
		return vgpu_texture_destroy(drv, e);
	case VGPU_HANDLE_ARRAY:
		return drv->cuArrayDestroy ? drv->cuArrayDestroy(e->obj) : CUDA_SUCCESS;
	case VGPU_HANDLE_MIPMAP:
		return drv->cuMipmappedArrayDestroy ? drv->cuMipmappedArrayDestroy(e->obj) : CUDA_SUCCESS;
	default:
		return CUDA_SUCCESS;	/* dies with its module, graph or context */
	}
}

/* Which objects to sweep: those of one context, or all. */
struct sweep {
	struct vgpu_session *s;
	uint32_t context;
	bool destroy;
};

static void sweep_one(void *ctx, const struct vgpu_handle_entry *e)
{
	const struct sweep *w = ctx;
	enum vgpu_handle_kind kind = vgpu_handle_kind_of(e->id);

	if (w->context && e->context != w->context)
		return;
	if (w->destroy && !e->owner)
		destroy(w->s->drv, e);
	if (kind == VGPU_HANDLE_ARRAY || kind == VGPU_HANDLE_MIPMAP)
		vgpu_array_forget(w->s, e);
	if (kind == VGPU_HANDLE_GRAPHEXEC || kind == VGPU_HANDLE_GRAPH)
		vgpu_graph_memory_gone(w->s, e->obj);
	vgpu_handles_unbind(&w->s->handles, kind, e->id);
}

static void sweep_handles(struct vgpu_session *s, uint32_t context, bool destroy_them)
{
	/* Users before what they use. Libraries belong to no context. */
	static const enum vgpu_handle_kind order[] = {
		VGPU_HANDLE_GRAPHEXEC, VGPU_HANDLE_GRAPH, VGPU_HANDLE_EVENT, VGPU_HANDLE_STREAM,
		VGPU_HANDLE_FUNCTION, VGPU_HANDLE_TEXREF, VGPU_HANDLE_MODULE, VGPU_HANDLE_LIBRARY, VGPU_HANDLE_TEXOBJECT,
		VGPU_HANDLE_SURFOBJECT, VGPU_HANDLE_ARRAY, VGPU_HANDLE_MIPMAP, VGPU_HANDLE_RESOURCEDESC,
	};
	struct sweep w = { s, context, destroy_them };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (!context || order[i] != VGPU_HANDLE_LIBRARY)
			vgpu_handles_each(&s->handles, order[i], sweep_one, &w);
}

void vgpu_session_drop_context(struct vgpu_session *s, uint32_t context)
{
	const struct vgpu_mem_range *r;

	vgpu_stream_drop_context(s, context);
	vgpu_timeline_drop_context(s, context);
	vgpu_prompt_fence_drop_context(s, context);
	vgpu_timeout_drop_context(s, context);
	vgpu_output_forget(s, context);
	vgpu_resources_drop(s, context);
	sweep_handles(s, context, false);
	while ((r = vgpu_ranges_of_context(&s->ranges, context))) {
		if (vgpu_range_charged(r))
			vgpu_memory_forget(s, r->start);
		else
			vgpu_ranges_remove(&s->ranges, r->start);
	}
}

static void free_memory(struct vgpu_session *s)
{
	while (s->ranges.root) {
		struct vgpu_mem_range r = *s->ranges.root;

		if ((vgpu_range_charged(&r) || r.kind == VGPU_RANGE_POINTER) && s->drv->cuMemFree_v2)
			s->drv->cuMemFree_v2(r.start);
		vgpu_ranges_remove(&s->ranges, r.start);
	}
}

void vgpu_session_free(struct vgpu_session *s)
{
	if (!s)
		return;
	vgpu_callbacks_end(s);
	vgpu_timeline_free(s);
	vgpu_prompt_fence_free(s);
	vgpu_timeout_stop(s);
	if (!s->sticky) {
		vgpu_stream_release(s);
		sweep_handles(s, 0, true);
		vgpu_user_objects_end(s);
		free_memory(s);
	}
	vgpu_output_release(s);
	vgpu_links_release(s);
	vgpu_image_release(s);
	vgpu_share_release(s);
	vgpu_physical_release(s);
	vgpu_resources_release(s);
	vgpu_host_ranges_release(s);
	vgpu_arena_release(s);
	vgpu_ranges_free(&s->ranges);
	vgpu_nodes_release(s);
	vgpu_graph_memory_end(s);
	vgpu_handles_free(&s->handles);
	free(s->thread_streams);
	free(s->conditionals);
	if (s->base)
		munmap(s->base, s->geo.total_size);
	free(s);
}

const struct vgpu_driver *vgpu_session_driver(const struct vgpu_session *s)
{
	return s->drv;
}

CUresult vgpu_session_enter(struct vgpu_session *s, uint32_t context)
{
	struct vgpu_handle_entry *e;
	CUresult r;

	if (!context || context == s->context)
		return CUDA_SUCCESS;
	e = vgpu_handles_at(&s->handles, VGPU_HANDLE_CONTEXT, context);
	if (!e)
		return CUDA_ERROR_INVALID_CONTEXT;
	r = s->drv->cuCtxSetCurrent(e->obj);
	if (!r)
		s->context = context;
	return r;
}

uint32_t vgpu_session_home(const struct vgpu_session *s)
{
	const struct vgpu_handle_entry *e = vgpu_handles_at(&s->handles, VGPU_HANDLE_CONTEXT, s->context);

	return e && e->owner ? vgpu_handle_index(e->owner) : s->context;
}

/* Is this an error after which a context answers nothing else? */
static bool is_sticky(CUresult result)
{
	switch (result) {
	case CUDA_ERROR_ILLEGAL_ADDRESS:
	case CUDA_ERROR_LAUNCH_TIMEOUT:
	case CUDA_ERROR_ASSERT:
	case CUDA_ERROR_HARDWARE_STACK_ERROR:
	case CUDA_ERROR_ILLEGAL_INSTRUCTION:
	case CUDA_ERROR_MISALIGNED_ADDRESS:
	case CUDA_ERROR_INVALID_ADDRESS_SPACE:
	case CUDA_ERROR_INVALID_PC:
	case CUDA_ERROR_LAUNCH_FAILED:
	case CUDA_ERROR_TENSOR_MEMORY_LEAK:
	case CUDA_ERROR_ECC_UNCORRECTABLE:
	case CUDA_ERROR_NVLINK_UNCORRECTABLE:
	case CUDA_ERROR_CONTAINED:
	case CUDA_ERROR_DEVICE_UNAVAILABLE:
	case CUDA_ERROR_EXTERNAL_DEVICE:
	case CUDA_ERROR_DEINITIALIZED:
		return true;
	default:
		return false;
	}
}

void vgpu_session_note(struct vgpu_session *s, CUresult result)
{
	if (s->sticky || !is_sticky(result))
		return;
	s->sticky = result;
	if (s->channel)
		atomic_store_explicit(&s->channel->ctl.sticky_error, (uint32_t)result, memory_order_release);
	vgpu_log(VGPU_LOG_WARNING, NULL, "the context is lost: CUDA error %d; the guest's waits return it", result);
}

CUresult vgpu_session_broken(struct vgpu_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->broken, sizeof(s->broken), fmt, ap);
	va_end(ap);
	return VGPU_BROKEN;
}

CUresult vgpu_session_lookup(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void **obj)
{
	struct vgpu_handle_entry *e;

	if (kind == VGPU_HANDLE_STREAM && vgpu_handle_index(id) < VGPU_STREAM_INDEX_FIRST)
		return vgpu_stream_builtin(s, id, obj);
	if (kind == VGPU_HANDLE_FUNCTION && vgpu_handle_kind_of(id) == VGPU_HANDLE_KERNEL)
		kind = VGPU_HANDLE_KERNEL;
	e = vgpu_handles_find(&s->handles, kind, id);
	if (!e)
		return vgpu_handle_error(kind);
	*obj = e->obj;
	return CUDA_SUCCESS;
}

CUresult vgpu_session_bind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id, void *obj)
{
	int ret = vgpu_handles_bind(&s->handles, kind, id, obj);

	if (!ret)	/* streams are the only objects that a green context has of its own */
		vgpu_handles_find(&s->handles, kind, id)->context =
			kind == VGPU_HANDLE_STREAM ? s->context : vgpu_session_home(s);
	else
		return vgpu_session_broken(s, "handle 0x%016llx cannot be bound: %s", (unsigned long long)id,
					   strerror(-ret));
	return CUDA_SUCCESS;
}

void vgpu_session_unbind(struct vgpu_session *s, enum vgpu_handle_kind kind, uint64_t id)
{
	vgpu_handles_unbind(&s->handles, kind, id);
}
