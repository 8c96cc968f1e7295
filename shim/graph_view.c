/* SPDX-License-Identifier: MIT */
/*
 * What the guest remembers of graph nodes: memory that the application was given pointers to, and copies of pageable
 * memory, which are more than the worker knows. One table under one mutex; an entry dies with its node or its graph.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "thread.h"

#define BUCKETS	256u

struct view {
	struct view *next;
	uint64_t node, graph;
	void *room;
	size_t bytes;
	bool copies;
	CUDA_MEMCPY3D copy;
};

static struct {
	pthread_mutex_t lock;
	struct view *buckets[BUCKETS];
} views = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct view **place(uint64_t node)
{
	struct view **p = &views.buckets[(uint32_t)node % BUCKETS];

	while (*p && (*p)->node != node)
		p = &(*p)->next;
	return p;
}

static struct view *get(uint64_t node, uint64_t graph)
{
	struct view **p = place(node);

	if (*p)
		return *p;
	*p = calloc(1, sizeof(**p));
	if (*p) {
		(*p)->node = node;
		(*p)->graph = graph;
	}
	return *p;
}

static void drop(struct view **p)
{
	struct view *v = *p;

	*p = v->next;
	free(v->room);
	free(v);
}

void *vgpu_view_room(uint64_t node, uint64_t graph, size_t bytes)
{
	void *room = NULL, *more;
	struct view *v;

	vgpu_lock(&views.lock);
	v = get(node, graph);
	if (v && v->bytes < bytes) {
		more = realloc(v->room, bytes);
		v->room = more ? more : v->room;
		v->bytes = more ? bytes : v->bytes;
	}
	if (v && v->bytes >= bytes)
		room = v->room;
	vgpu_unlock(&views.lock);
	return room;
}

CUresult vgpu_view_set_copy(uint64_t node, uint64_t graph, const CUDA_MEMCPY3D *c)
{
	struct view *v;

	vgpu_lock(&views.lock);
	v = get(node, graph);
	if (v) {
		v->copies = true;
		v->copy = *c;
	}
	vgpu_unlock(&views.lock);
	return v ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

bool vgpu_view_copy(uint64_t node, CUDA_MEMCPY3D *c)
{
	const struct view *v;
	bool found;

	vgpu_lock(&views.lock);
	v = *place(node);
	found = v && v->copies;
	if (found && c)
		*c = v->copy;
	vgpu_unlock(&views.lock);
	return found;
}

void vgpu_view_drop_node(uint64_t node)
{
	struct view **p;

	vgpu_lock(&views.lock);
	p = place(node);
	if (*p)
		drop(p);
	vgpu_unlock(&views.lock);
}

void vgpu_view_drop_graph(uint64_t graph)
{
	struct view **p;
	uint32_t i;

	vgpu_lock(&views.lock);
	for (i = 0; i < BUCKETS; i++)
		for (p = &views.buckets[i]; *p;)
			if ((*p)->graph == graph)
				drop(p);
			else
				p = &(*p)->next;
	vgpu_unlock(&views.lock);
}
