/* SPDX-License-Identifier: MIT */
/*
 * User objects: counted by the application and by graphs; the destructor is called by whoever drops the last
 * reference. A graph's list of references is its owner's to change.
 */
#include <stdlib.h>

#include "calls.h"
#include "context.h"
#include "graph.h"

struct soft_user {
	struct soft_object obj; /* SOFT_USER; one reference of the table, one for each part of count */
	_Atomic uint64_t count;
	CUhostFn fn;
	void *data;
};

static void release(struct soft_object *o)
{
	free(o);
}

static void drop(struct soft_user *u, uint64_t n)
{
	if (atomic_fetch_sub(&u->count, n) != n)
		return;
	if (soft_take(u->obj.handle, SOFT_USER))
		soft_put(&u->obj);
	u->fn(u->data);
	soft_put(&u->obj); /* the creator's */
}

static CUresult soft_cuUserObjectCreate(CUuserObject *out, void *data, CUhostFn fn, unsigned int count,
					unsigned int flags)
{
	struct soft_user *u;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	if (!out || !fn || !count || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	u = calloc(1, sizeof(*u));
	if (!u)
		return CUDA_ERROR_OUT_OF_MEMORY;
	soft_object_init(&u->obj, SOFT_USER, NULL, release);
	u->fn = fn;
	u->data = data;
	atomic_init(&u->count, count);
	soft_ref(&u->obj);
	if (soft_bind(&u->obj) < 0) {
		free(u);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*out = (CUuserObject)(uintptr_t)u->obj.handle;
	return CUDA_SUCCESS;
}

static CUresult change(CUuserObject handle, unsigned int count, bool more)
{
	struct soft_user *u;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	u = count ? soft_get((uint64_t)(uintptr_t)handle, SOFT_USER) : NULL;
	if (!u)
		return CUDA_ERROR_INVALID_VALUE;
	if (more)
		atomic_fetch_add(&u->count, count);
	else if (count <= atomic_load(&u->count))
		drop(u, count);
	else
		rc = CUDA_ERROR_INVALID_VALUE;
	soft_put(&u->obj);
	return rc;
}

static CUresult soft_cuUserObjectRetain(CUuserObject object, unsigned int count)
{
	return change(object, count, true);
}

static CUresult soft_cuUserObjectRelease(CUuserObject object, unsigned int count)
{
	return change(object, count, false);
}

static CUresult add(struct soft_graph *g, struct soft_user *u, uint32_t count)
{
	struct soft_user_ref *r;

	for (r = g->users; r && r->user != u; r = r->next)
		;
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r)
			return CUDA_ERROR_OUT_OF_MEMORY;
		soft_ref(&u->obj);
		r->user = u;
		r->next = g->users;
		g->users = r;
	}
	r->count += count;
	return CUDA_SUCCESS;
}

CUresult soft_users_copy(struct soft_graph *to, const struct soft_graph *from)
{
	const struct soft_user_ref *r;
	CUresult rc = CUDA_SUCCESS;

	for (r = from->users; r && !rc; r = r->next) {
		rc = add(to, r->user, r->count);
		if (!rc)
			atomic_fetch_add(&r->user->count, r->count);
	}
	return rc;
}

void soft_users_free(struct soft_user_ref **list)
{
	struct soft_user_ref *r;

	while ((r = *list)) {
		*list = r->next;
		if (r->count)
			drop(r->user, r->count);
		soft_put(&r->user->obj);
		free(r);
	}
}

static CUresult soft_cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags)
{
	struct soft_graph *g;
	struct soft_user *u;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	u = count && !(flags & ~CU_GRAPH_USER_OBJECT_MOVE) ? soft_get((uint64_t)(uintptr_t)object, SOFT_USER) : NULL;
	if (!u)
		return CUDA_ERROR_INVALID_VALUE;
	soft_graph_lock();
	g = soft_graph_get(graph);
	rc = g ? add(g, u, count) : CUDA_ERROR_INVALID_VALUE;
	if (!rc && !(flags & CU_GRAPH_USER_OBJECT_MOVE))
		atomic_fetch_add(&u->count, count);
	soft_graph_unlock();
	soft_put(&u->obj);
	return rc;
}

static CUresult soft_cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count)
{
	struct soft_user_ref *r = NULL;
	struct soft_graph *g;
	struct soft_user *u;
	CUresult rc = soft_enter_any();

	if (rc)
		return rc;
	u = count ? soft_get((uint64_t)(uintptr_t)object, SOFT_USER) : NULL;
	if (!u)
		return CUDA_ERROR_INVALID_VALUE;
	soft_graph_lock();
	g = soft_graph_get(graph);
	for (r = g ? g->users : NULL; r && r->user != u; r = r->next)
		;
	rc = r && r->count >= count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (!rc)
		r->count -= count;
	soft_graph_unlock();
	if (!rc)
		drop(u, count);
	soft_put(&u->obj);
	return rc;
}

void soft_fill_user_object(struct vgpu_driver *d)
{
	SOFT_SLOT(d, cuUserObjectCreate);
	SOFT_SLOT(d, cuUserObjectRetain);
	SOFT_SLOT(d, cuUserObjectRelease);
	SOFT_SLOT(d, cuGraphRetainUserObject);
	SOFT_SLOT(d, cuGraphReleaseUserObject);
}
