/* SPDX-License-Identifier: MIT */
/*
 * Graphs as structures: making, copying, connecting, asking. See graph.h.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void soft_graph_lock(void)
{
	pthread_mutex_lock(&lock);
}

void soft_graph_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* Structures are freed by their owner: references only keep handles from being followed too late. */
static void release(struct soft_object *o)
{
	free(o);
}

struct soft_graph *soft_graph_new(void)
{
	struct soft_graph *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	soft_object_init(&g->obj, SOFT_GRAPH, NULL, release);
	if (soft_bind(&g->obj) < 0) {
		free(g);
		return NULL;
	}
	return g;
}

/* With the lock held nobody else drops the table's reference. */
static void *borrow(uint64_t handle, enum soft_kind kind)
{
	struct soft_object *o = soft_get(handle, kind);

	if (o)
		soft_put(o);
	return o;
}

struct soft_graph *soft_graph_get(CUgraph handle)
{
	return borrow((uint64_t)(uintptr_t)handle, SOFT_GRAPH);
}

struct soft_node *soft_node_get(CUgraphNode handle)
{
	return borrow((uint64_t)(uintptr_t)handle, SOFT_NODE);
}

struct soft_node *soft_node_new(struct soft_graph *g)
{
	struct soft_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	soft_object_init(&n->obj, SOFT_NODE, NULL, release);
	if (soft_bind(&n->obj) < 0) {
		free(n);
		return NULL;
	}
	n->graph = g;
	n->p.type = CU_GRAPH_NODE_TYPE_EMPTY;
	if (g->last)
		g->last->next = n;
	else
		g->first = n;
	g->last = n;
	g->count++;
	return n;
}

static void unhandle(struct soft_object *o)
{
	soft_take(o->handle, o->kind);
	soft_put(o);
}

static void cut(struct soft_node *n, const struct soft_node *on)
{
	uint32_t i, kept = 0;

	for (i = 0; i < n->num_deps; i++) {
		if (n->deps[i] == on)
			continue;
		n->deps[kept] = n->deps[i];
		n->edges[kept++] = n->edges[i];
	}
	n->num_deps = kept;
}

void soft_node_free(struct soft_node *n)
{
	struct soft_graph *g = n->graph;
	struct soft_node **p = &g->first, *last = NULL;

	while (*p != n) {
		last = *p;
		p = &last->next;
	}
	*p = n->next;
	if (g->last == n)
		g->last = last;
	g->count--;
	for (last = g->first; last; last = last->next)
		cut(last, n);
	soft_node_drop_params(n);
	free(n->deps);
	free(n->edges);
	unhandle(&n->obj);
}

void soft_graph_free(struct soft_graph *g)
{
	struct soft_node *n, *next;

	for (n = g->first; n; n = next) {
		next = n->next;
		soft_node_drop_params(n);
		free(n->deps);
		free(n->edges);
		unhandle(&n->obj);
	}
	soft_users_free(&g->users);
	unhandle(&g->obj);
}

void soft_graph_unmark(struct soft_graph *g)
{
	for (struct soft_node *n = g->first; n; n = n->next)
		n->mark = 0;
}

/*
 * Visits @n and all that it depends on, except what is marked; each goes behind those it depends on into order[], which
 * may be NULL, from @count on. Returns the new count. A chain may be far longer than a stack is deep: the way back is kept
 * in the nodes. A mark is one more than the number of dependencies that were looked at.
 */
static size_t visit(struct soft_node *n, struct soft_node **order, size_t count)
{
	struct soft_node *on;

	n->mark = 1;
	n->back = NULL;
	while (n) {
		if (n->mark > n->num_deps) {
			if (order)
				order[count++] = n;
			n = n->back;
			continue;
		}
		on = n->deps[n->mark++ - 1];
		if (on->mark)
			continue;
		on->mark = 1;
		on->back = n;
		n = on;
	}
	return count;
}

void soft_node_mark_before(struct soft_node *n)
{
	if (!n->mark)
		visit(n, NULL, 0);
}

static bool makes_cycle(struct soft_node *n, struct soft_node *on)
{
	soft_graph_unmark(n->graph);
	soft_node_mark_before(on);
	return n->mark;
}

static bool grow(struct soft_node *n)
{
	uint32_t room = n->num_deps ? n->num_deps * 2 : 4;
	struct soft_node **deps;
	CUgraphEdgeData *edges;

	if (n->num_deps && (n->num_deps < 4 || n->num_deps & (n->num_deps - 1)))
		return true;
	deps = realloc(n->deps, room * sizeof(struct soft_node *));
	if (deps)
		n->deps = deps;
	edges = deps ? realloc(n->edges, room * sizeof(*edges)) : NULL;
	if (edges)
		n->edges = edges;
	return edges;
}

CUresult soft_node_depend(struct soft_node *n, struct soft_node *on, const CUgraphEdgeData *edge)
{
	uint32_t i;

	if (!on || on->graph != n->graph)
		return CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < n->num_deps; i++)
		if (n->deps[i] == on)
			return CUDA_ERROR_INVALID_VALUE;
	if (!grow(n))
		return CUDA_ERROR_OUT_OF_MEMORY;
	n->deps[n->num_deps] = on;
	n->edges[n->num_deps++] = edge ? *edge : (CUgraphEdgeData){ 0 };
	return CUDA_SUCCESS;
}

static CUresult copy_nodes(struct soft_graph *to, struct soft_graph *from)
{
	struct soft_node *n, *c, **copies;
	CUresult rc = CUDA_SUCCESS;
	uint32_t i = 0, d;

	copies = calloc(from->count + 1, sizeof(struct soft_node *));
	if (!copies)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (n = from->first; n && !rc; n = n->next) {
		c = copies[i] = soft_node_new(to);
		n->mark = i++;
		rc = c ? soft_node_assign(c, n) : CUDA_ERROR_OUT_OF_MEMORY;
		if (!rc)
			c->twin = n->obj.handle;
	}
	for (n = from->first, i = 0; n && !rc; n = n->next, i++)
		for (d = 0; d < n->num_deps && !rc; d++) {
			rc = grow(copies[i]) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
			if (rc)
				break;
			copies[i]->deps[d] = copies[n->deps[d]->mark];
			copies[i]->edges[d] = n->edges[d];
			copies[i]->num_deps++;
		}
	free(copies);
	return rc;
}

struct soft_graph *soft_graph_copy(struct soft_graph *g)
{
	struct soft_graph *c = soft_graph_new();

	if (!c)
		return NULL;
	c->twin = g->obj.handle;
	if (copy_nodes(c, g) || soft_users_copy(c, g)) {
		soft_graph_free(c);
		return NULL;
	}
	return c;
}

void soft_graph_order(struct soft_graph *g, struct soft_node **order)
{
	struct soft_node *n;
	size_t count = 0;

	soft_graph_unmark(g);
	for (n = g->first; n; n = n->next)
		if (!n->mark)
			count = visit(n, order, count);
}

struct soft_node *soft_graph_twin(struct soft_graph *g, uint64_t handle)
{
	struct soft_node *n, *inner;

	for (n = g->first; n; n = n->next) {
		if (n->twin == handle)
			return n;
		inner = n->child ? soft_graph_twin(n->child, handle) : NULL;
		if (inner)
			return inner;
	}
	return NULL;
}

/* ---- calls ---- */

/* What the calls below begin with: the lock is held when this succeeds. */
static CUresult enter(CUgraph handle, struct soft_graph **g)
{
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	soft_graph_lock();
	*g = soft_graph_get(handle);
	if (*g)
		return CUDA_SUCCESS;
	soft_graph_unlock();
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuGraphCreate(CUgraph *out, unsigned int flags)
{
	struct soft_graph *g;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || flags)
		return CUDA_ERROR_INVALID_VALUE;
	soft_graph_lock();
	g = soft_graph_new();
	if (g)
		*out = (CUgraph)(uintptr_t)g->obj.handle;
	soft_graph_unlock();
	return g ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult soft_cuGraphDestroy(CUgraph handle)
{
	struct soft_graph *g;
	CUresult rc = enter(handle, &g);

	if (rc)
		return rc;
	if (g->owner)
		rc = CUDA_ERROR_INVALID_VALUE;
	else
		soft_graph_free(g);
	soft_graph_unlock();
	return rc;
}

static CUresult soft_cuGraphClone(CUgraph *out, CUgraph original)
{
	struct soft_graph *g, *c;
	CUresult rc = out ? enter(original, &g) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	c = soft_graph_copy(g);
	if (c)
		*out = (CUgraph)(uintptr_t)c->obj.handle;
	soft_graph_unlock();
	return c ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Lists: fills what there is room for, tells how many there are when there is nowhere to put them. */
struct list {
	CUgraphNode *from, *to;
	CUgraphEdgeData *edges;
	size_t room, count;
};

static void put(struct list *l, const struct soft_node *from, const struct soft_node *to, const CUgraphEdgeData *edge)
{
	if (l->from && l->count < l->room) {
		l->from[l->count] = (CUgraphNode)(uintptr_t)from->obj.handle;
		if (l->to)
			l->to[l->count] = (CUgraphNode)(uintptr_t)to->obj.handle;
		if (l->edges)
			l->edges[l->count] = *edge;
	}
	l->count++;
}

static CUresult finish(const struct list *l, size_t *count)
{
	if (!l->from || l->count < *count)
		*count = l->count;
	soft_graph_unlock();
	return CUDA_SUCCESS;
}

static CUresult list_nodes(CUgraph handle, CUgraphNode *nodes, size_t *count, bool roots)
{
	struct list l = { .from = nodes, .room = count ? *count : 0 };
	struct soft_graph *g;
	struct soft_node *n;
	CUresult rc = count ? enter(handle, &g) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	for (n = g->first; n; n = n->next)
		if (!roots || !n->num_deps)
			put(&l, n, n, NULL);
	return finish(&l, count);
}

static CUresult soft_cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	return list_nodes(graph, nodes, count, false);
}

static CUresult soft_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	return list_nodes(graph, nodes, count, true);
}

static CUresult soft_cuGraphGetEdges_v2(CUgraph handle, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges,
					size_t *count)
{
	struct list l = { from, to, edges, count ? *count : 0, 0 };
	struct soft_graph *g;
	struct soft_node *n;
	CUresult rc = count && !from == !to ? enter(handle, &g) : CUDA_ERROR_INVALID_VALUE;
	uint32_t i;

	if (rc)
		return rc;
	for (n = g->first; n; n = n->next)
		for (i = 0; i < n->num_deps; i++)
			put(&l, n->deps[i], n, &n->edges[i]);
	return finish(&l, count);
}

static CUresult soft_cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
	return soft_cuGraphGetEdges_v2(graph, from, to, NULL, count);
}

static CUresult neighbours(CUgraphNode handle, struct list *l, size_t *count, bool behind)
{
	struct soft_node *n, *o;
	CUresult rc = count ? soft_enter_any() : CUDA_ERROR_INVALID_VALUE;
	uint32_t i;

	if (rc)
		return rc;
	soft_graph_lock();
	n = soft_node_get(handle);
	if (!n) {
		soft_graph_unlock();
		return CUDA_ERROR_INVALID_VALUE;
	}
	l->room = *count;
	for (i = 0; !behind && i < n->num_deps; i++)
		put(l, n->deps[i], n, &n->edges[i]);
	for (o = behind ? n->graph->first : NULL; o; o = o->next)
		for (i = 0; i < o->num_deps; i++)
			if (o->deps[i] == n)
				put(l, o, o, &o->edges[i]);
	return finish(l, count);
}

static CUresult soft_cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *edges,
						   size_t *count)
{
	return neighbours(node, &(struct list){ .from = nodes, .edges = edges }, count, false);
}

static CUresult soft_cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return neighbours(node, &(struct list){ .from = nodes }, count, false);
}

static CUresult soft_cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *nodes, CUgraphEdgeData *edges,
						     size_t *count)
{
	return neighbours(node, &(struct list){ .from = nodes, .edges = edges }, count, true);
}

static CUresult soft_cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *nodes, size_t *count)
{
	return neighbours(node, &(struct list){ .from = nodes }, count, true);
}

static CUresult add_edge(const struct soft_graph *g, CUgraphNode from, CUgraphNode to, const CUgraphEdgeData *edge)
{
	struct soft_node *n = soft_node_get(to), *on = soft_node_get(from);

	if (!n || n->graph != g || !on || on->graph != g || makes_cycle(n, on))
		return CUDA_ERROR_INVALID_VALUE;
	return soft_node_depend(n, on, edge);
}

static CUresult soft_cuGraphAddDependencies_v2(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
					       const CUgraphEdgeData *edges, size_t count)
{
	struct soft_graph *g;
	CUresult rc = enter(handle, &g);
	size_t i;

	if (rc)
		return rc;
	if (count && (!from || !to))
		rc = CUDA_ERROR_INVALID_VALUE;
	for (i = 0; i < count && !rc; i++)
		rc = add_edge(g, from[i], to[i], edges ? &edges[i] : NULL);
	soft_graph_unlock();
	return rc;
}

static CUresult soft_cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count)
{
	return soft_cuGraphAddDependencies_v2(graph, from, to, NULL, count);
}

static CUresult soft_cuGraphRemoveDependencies_v2(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
						  const CUgraphEdgeData *edges, size_t count)
{
	struct soft_node *n, *on;
	struct soft_graph *g;
	CUresult rc = enter(handle, &g);
	uint32_t before;
	size_t i;

	(void)edges;	/* between two nodes there is one edge */
	if (rc)
		return rc;
	for (i = 0; i < count && !rc; i++) {
		n = from && to ? soft_node_get(to[i]) : NULL;
		on = n ? soft_node_get(from[i]) : NULL;
		before = n ? n->num_deps : 0;
		if (on && n->graph == g)
			cut(n, on);
		rc = n && n->num_deps < before ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	}
	soft_graph_unlock();
	return rc;
}

static CUresult soft_cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
					       size_t count)
{
	return soft_cuGraphRemoveDependencies_v2(graph, from, to, NULL, count);
}

static CUresult soft_cuGraphNodeFindInClone(CUgraphNode *out, CUgraphNode original, CUgraph clone)
{
	struct soft_node *n = NULL;
	struct soft_graph *g;
	CUresult rc = out ? enter(clone, &g) : CUDA_ERROR_INVALID_VALUE;

	if (rc)
		return rc;
	if (soft_node_get(original))
		n = soft_graph_twin(g, (uint64_t)(uintptr_t)original);
	if (n)
		*out = (CUgraphNode)(uintptr_t)n->obj.handle;
	soft_graph_unlock();
	return n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult soft_cuGraphDestroyNode(CUgraphNode handle)
{
	struct soft_node *n;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	soft_graph_lock();
	n = soft_node_get(handle);
	if (n)
		soft_node_free(n);
	soft_graph_unlock();
	return n ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void soft_fill_graph(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuGraphCreate);
	SOFT_SLOT(d, cuGraphDestroy);
	SOFT_SLOT(d, cuGraphClone);
	SOFT_SLOT(d, cuGraphGetNodes);
	SOFT_SLOT(d, cuGraphGetRootNodes);
	SOFT_SLOT(d, cuGraphGetEdges);
	SOFT_SLOT(d, cuGraphGetEdges_v2);
	SOFT_SLOT(d, cuGraphNodeGetDependencies);
	SOFT_SLOT(d, cuGraphNodeGetDependencies_v2);
	SOFT_SLOT(d, cuGraphNodeGetDependentNodes);
	SOFT_SLOT(d, cuGraphNodeGetDependentNodes_v2);
	SOFT_SLOT(d, cuGraphAddDependencies);
	SOFT_SLOT(d, cuGraphAddDependencies_v2);
	SOFT_SLOT(d, cuGraphRemoveDependencies);
	SOFT_SLOT(d, cuGraphRemoveDependencies_v2);
	SOFT_SLOT(d, cuGraphNodeFindInClone);
	SOFT_SLOT(d, cuGraphDestroyNode);
}
