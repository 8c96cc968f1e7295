/* SPDX-License-Identifier: MIT */
/*
 * How the table is filled: each file of calls has one function that puts its own into their slots.
 */
#ifndef VGPU_SOFT_CALLS_H
#define VGPU_SOFT_CALLS_H

#include "gen/driver_table.h"

#define SOFT_SLOT(d, name) ((d)->name = soft_##name)

void soft_fill_device(struct vgpu_driver *d);
void soft_fill_context(struct vgpu_driver *d);
void soft_fill_context_state(struct vgpu_driver *d);
void soft_fill_primary(struct vgpu_driver *d);
void soft_fill_memory(struct vgpu_driver *d);
void soft_fill_host_memory(struct vgpu_driver *d);
void soft_fill_pointer(struct vgpu_driver *d);
void soft_fill_physical(struct vgpu_driver *d);
void soft_fill_space(struct vgpu_driver *d);
void soft_fill_pool(struct vgpu_driver *d);
void soft_fill_pool_share(struct vgpu_driver *d);
void soft_fill_copy(struct vgpu_driver *d);
void soft_fill_copy_3d(struct vgpu_driver *d);
void soft_fill_array(struct vgpu_driver *d);
void soft_fill_copy_array(struct vgpu_driver *d);
void soft_fill_texref(struct vgpu_driver *d);
void soft_fill_texture(struct vgpu_driver *d);
void soft_fill_fill(struct vgpu_driver *d);
void soft_fill_stream(struct vgpu_driver *d);
void soft_fill_event(struct vgpu_driver *d);
void soft_fill_fence(struct vgpu_driver *d);
void soft_fill_host_function(struct vgpu_driver *d);
void soft_fill_module(struct vgpu_driver *d);
void soft_fill_library(struct vgpu_driver *d);
void soft_fill_link(struct vgpu_driver *d);
void soft_fill_function(struct vgpu_driver *d);
void soft_fill_launch(struct vgpu_driver *d);
void soft_fill_graph(struct vgpu_driver *d);
void soft_fill_graph_node(struct vgpu_driver *d);
void soft_fill_graph_exec(struct vgpu_driver *d);
void soft_fill_capture(struct vgpu_driver *d);
void soft_fill_user_object(struct vgpu_driver *d);
void soft_fill_occupancy(struct vgpu_driver *d);
void soft_fill_green(struct vgpu_driver *d);
void soft_fill_condition(struct vgpu_driver *d);

#endif
