/* SPDX-License-Identifier: MIT */
/*
 * The table of the soft device, filled once.
 */
#include <pthread.h>

#include "calls.h"
#include "soft.h"

static struct vgpu_driver table;

static void fill(void)
{
	soft_fill_device(&table);
	soft_fill_context(&table);
	soft_fill_context_state(&table);
	soft_fill_primary(&table);
	soft_fill_memory(&table);
	soft_fill_host_memory(&table);
	soft_fill_pointer(&table);
	soft_fill_pool(&table);
	soft_fill_pool_share(&table);
	soft_fill_physical(&table);
	soft_fill_space(&table);
	soft_fill_copy(&table);
	soft_fill_copy_3d(&table);
	soft_fill_array(&table);
	soft_fill_copy_array(&table);
	soft_fill_texref(&table);
	soft_fill_texture(&table);
	soft_fill_fill(&table);
	soft_fill_stream(&table);
	soft_fill_event(&table);
	soft_fill_fence(&table);
	soft_fill_host_function(&table);
	soft_fill_module(&table);
	soft_fill_library(&table);
	soft_fill_link(&table);
	soft_fill_function(&table);
	soft_fill_launch(&table);
	soft_fill_graph(&table);
	soft_fill_graph_node(&table);
	soft_fill_graph_exec(&table);
	soft_fill_capture(&table);
	soft_fill_user_object(&table);
	soft_fill_occupancy(&table);
	soft_fill_green(&table);
	soft_fill_condition(&table);
}

const struct vgpu_driver *vgpu_soft_driver(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill);
	return &table;
}
