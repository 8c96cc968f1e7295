/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a context and dies with it, and how large the objects
 * behind the handles are.
 */
#include "array.h"
#include "call.h"
#include "context_internal.h"
#include "event.h"
#include "function.h"
#include "graph.h"
#include "green.h"
#include "handle.h"
#include "host_pool.h"
#include "init.h"
#include "link.h"
#include "memory.h"
#include "mirror.h"
#include "texref.h"
#include "texture.h"

static void drop_events(const struct vgpu_context *ctx)
{
	struct vgpu_event *e;
	uint64_t wire = 0;

	while ((wire = vgpu_handle_next(VGPU_HANDLE_EVENT, wire))) {
		e = vgpu_handle_object_wire(VGPU_HANDLE_EVENT, wire);
		if (e && e->context == ctx)
			vgpu_handle_drop(VGPU_HANDLE_EVENT, wire);
	}
}

static void drop_modules(const struct vgpu_context *ctx)
{
	struct vgpu_module *m;
	uint64_t wire = 0;

	vgpu_library_forget_context(ctx);
	while ((wire = vgpu_handle_next(VGPU_HANDLE_MODULE, wire))) {
		m = vgpu_handle_object_wire(VGPU_HANDLE_MODULE, wire);
		if (!m || m->context != ctx)
			continue;
		vgpu_functions_drop(m);
		vgpu_handle_drop(VGPU_HANDLE_MODULE, wire);
	}
}

void vgpu_objects_drop(struct vgpu_context *ctx)
{
	drop_events(ctx);
	drop_modules(ctx);
	vgpu_textures_drop(ctx);
	vgpu_texrefs_drop(ctx);
	vgpu_arrays_drop(ctx);
	vgpu_mirror_drop(0, ctx);
	vgpu_memory_drop(ctx);
}

CUresult vgpu_tables_init(void)
{
	vgpu_handle_object_size(VGPU_HANDLE_STREAM, sizeof(struct vgpu_stream));
	vgpu_handle_object_size(VGPU_HANDLE_EVENT, sizeof(struct vgpu_event));
	vgpu_handle_object_size(VGPU_HANDLE_MEMPOOL, sizeof(struct vgpu_pool));
	vgpu_handle_object_size(VGPU_HANDLE_MODULE, sizeof(struct vgpu_module));
	vgpu_handle_object_size(VGPU_HANDLE_LIBRARY, sizeof(struct vgpu_module));
	vgpu_handle_object_size(VGPU_HANDLE_FUNCTION, sizeof(struct vgpu_function));
	vgpu_handle_object_size(VGPU_HANDLE_KERNEL, sizeof(struct vgpu_function));
	vgpu_handle_object_size(VGPU_HANDLE_ARRAY, sizeof(struct vgpu_array));
	vgpu_handle_object_size(VGPU_HANDLE_MIPMAP, sizeof(struct vgpu_array));
	vgpu_handle_object_size(VGPU_HANDLE_GRAPHEXEC, sizeof(struct vgpu_graph_exec));
	vgpu_handle_object_size(VGPU_HANDLE_GREENCTX, sizeof(struct vgpu_green));
	vgpu_handle_object_size(VGPU_HANDLE_TEXOBJECT, sizeof(struct vgpu_texture));
	vgpu_handle_object_size(VGPU_HANDLE_SURFOBJECT, sizeof(struct vgpu_texture));
	vgpu_handle_object_size(VGPU_HANDLE_TEXREF, sizeof(struct vgpu_texref));
	vgpu_handle_object_size(VGPU_HANDLE_LINKSTATE, sizeof(struct vgpu_link));
	return vgpu_memory_init();
}
