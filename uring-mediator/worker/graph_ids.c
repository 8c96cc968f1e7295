/* SPDX-License-Identifier: MIT */
/*
 * Ids of graph nodes. Most nodes are made by the driver, so the worker chooses their ids: index of a slot, and a
 * generation that counts its uses. A node has an id from the moment that the guest first sees it until it or the graph
 * around it is destroyed; after that the driver may use its address for another node, so nothing of it may be left
 * here. Owned by the session, used on the worker's only thread.
 */
#include <stdlib.h>

#include "graph.h"

#define SLOTS_MOST	(1u << 21)

struct slot {
	CUgraphNode node;	/* NULL: free */
	uint64_t graph;
	uint32_t generation;
	uint32_t next;		/* in its bucket, or of the free ones: index + 1 */
};

struct vgpu_nodes {
	struct slot *slots;
	uint32_t *buckets;	/* index + 1 */
	uint32_t room, used;	/* as many buckets as room, a power of two */
	uint32_t first_free;
};

static uint32_t *bucket_of(struct vgpu_nodes *n, CUgraphNode node)
{
	uint64_t h = (uint64_t)(uintptr_t)node * 0x9e3779b97f4a7c15ull;

	return &n->buckets[(h >> 32) & (n->room - 1)];
}

static bool grow(struct vgpu_nodes *n)
{
	uint32_t room = n->room ? n->room * 2 : 256;
	uint32_t *buckets = calloc(room, sizeof(*buckets)), *b;
	struct slot *slots = buckets && room <= SLOTS_MOST ? realloc(n->slots, room * sizeof(*slots)) : NULL;

	if (!slots) {
		free(buckets);
		return false;
	}
	free(n->buckets);
	n->slots = slots;
	n->buckets = buckets;
	n->room = room;
	for (uint32_t i = 0; i < n->used; i++) {
		if (!slots[i].node)
			continue;
		b = bucket_of(n, slots[i].node);
		slots[i].next = *b;
		*b = i + 1;
	}
	return true;
}

static uint64_t id_of(const struct vgpu_nodes *n, uint32_t i)
{
	return vgpu_handle_make(VGPU_HANDLE_GRAPHNODE, n->slots[i].generation, i + 1);
}

static struct slot *take_slot(struct vgpu_nodes *n, uint32_t *index)
{
	struct slot *slot;

	if (n->first_free) {
		*index = n->first_free - 1;
		slot = &n->slots[*index];
		n->first_free = slot->next;
		slot->generation++;
		return slot;
	}
	if (n->used == n->room && !grow(n))
		return NULL;
	*index = n->used++;
	n->slots[*index] = (struct slot){ .generation = 1 };
	return &n->slots[*index];
}

CUresult vgpu_node_id(struct vgpu_session *s, CUgraphNode node, uint64_t graph, uint64_t *id)
{
	struct vgpu_nodes *n = s->nodes;
	struct slot *slot;
	uint32_t i, *b;

	*id = 0;
	if (!node)
		return CUDA_SUCCESS;
	if (!n)
		n = s->nodes = calloc(1, sizeof(*n));
	if (!n)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (i = n->room ? *bucket_of(n, node) : 0; i; i = n->slots[i - 1].next)
		if (n->slots[i - 1].node == node) {
			*id = id_of(n, i - 1);
			return CUDA_SUCCESS;
		}
	slot = take_slot(n, &i);
	if (!slot)
		return CUDA_ERROR_OUT_OF_MEMORY;
	b = bucket_of(n, node);
	slot->node = node;
	slot->graph = graph;
	slot->next = *b;
	*b = i + 1;
	*id = id_of(n, i);
	return vgpu_session_bind(s, VGPU_HANDLE_GRAPHNODE, *id, node);
}

static void drop(struct vgpu_session *s, uint32_t i)
{
	struct vgpu_nodes *n = s->nodes;
	uint32_t *b = bucket_of(n, n->slots[i].node);

	vgpu_session_unbind(s, VGPU_HANDLE_GRAPHNODE, id_of(n, i));
	while (*b != i + 1)
		b = &n->slots[*b - 1].next;
	*b = n->slots[i].next;
	n->slots[i].node = NULL;
	n->slots[i].next = n->first_free;
	n->first_free = i + 1;
}

uint64_t vgpu_node_graph(const struct vgpu_session *s, uint64_t node)
{
	return s->nodes->slots[vgpu_handle_index(node) - 1].graph;
}

void vgpu_node_forget(struct vgpu_session *s, uint64_t node)
{
	if (vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPHNODE, node))
		drop(s, vgpu_handle_index(node) - 1);
}

struct search {
	uint64_t owner;
	const void *obj;
	uint64_t found;
};

static void match(void *ctx, const struct vgpu_handle_entry *e)
{
	struct search *w = ctx;

	if (w->obj ? e->obj == w->obj : e->owner == w->owner)
		w->found = e->id;
}

static uint64_t search(struct vgpu_session *s, uint64_t owner, const void *obj)
{
	struct search w = { owner, obj, 0 };

	vgpu_handles_each(&s->handles, VGPU_HANDLE_GRAPH, match, &w);
	return w.found;
}

void vgpu_graph_forget(struct vgpu_session *s, uint64_t graph)
{
	struct vgpu_nodes *n = s->nodes;
	uint64_t inner;

	for (uint32_t i = 0; n && i < n->used; i++)
		if (n->slots[i].node && n->slots[i].graph == graph)
			drop(s, i);
	while ((inner = search(s, graph, NULL))) {
		vgpu_graph_forget(s, inner);
		vgpu_session_unbind(s, VGPU_HANDLE_GRAPH, inner);
	}
}

uint64_t vgpu_graph_known(struct vgpu_session *s, CUgraph graph)
{
	return search(s, 0, graph);
}

CUresult vgpu_graph_id(struct vgpu_session *s, CUgraph graph, uint64_t fresh, uint64_t owner, uint64_t *id)
{
	CUresult r;

	*id = vgpu_graph_known(s, graph);
	if (*id)
		return CUDA_SUCCESS;
	*id = fresh;
	r = vgpu_session_bind(s, VGPU_HANDLE_GRAPH, fresh, graph);
	if (!r)
		vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, fresh)->owner = owner;
	return r;
}

uint64_t vgpu_graph_root(const struct vgpu_session *s, uint64_t graph)
{
	const struct vgpu_handle_entry *e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, graph);

	while (e && e->owner && vgpu_handle_kind_of(e->owner) == VGPU_HANDLE_GRAPH) {
		graph = e->owner;
		e = vgpu_handles_find(&s->handles, VGPU_HANDLE_GRAPH, graph);
	}
	return graph;
}

void vgpu_nodes_release(struct vgpu_session *s)
{
	if (!s->nodes)
		return;
	free(s->nodes->slots);
	free(s->nodes->buckets);
	free(s->nodes);
	s->nodes = NULL;
}
