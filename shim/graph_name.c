/* SPDX-License-Identifier: MIT */
/*
 * Executable graphs that device code launches. A kernel is given the handle as a plain number, so the application has to
 * hold the driver's own: its name. Here is which of our ids it stands for. Such names are never sent; entries are freed
 * with their graph. Any thread, one lock, which only those who hold a name take.
 */
#include <stdlib.h>

#include "call.h"
#include "graph.h"
#include "thread.h"

#define BUCKETS	256u

struct entry {
	struct entry *next;
	uintptr_t name;
	uint64_t exec;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *buckets[BUCKETS];

/* Where the pointer to the name's entry is, or would be. Locked. */
static struct entry **place(uintptr_t name)
{
	struct entry **at = &buckets[(name >> 4 ^ name >> 12) % BUCKETS];

	while (*at && (*at)->name != name)
		at = &(*at)->next;
	return at;
}

CUresult vgpu_graph_name_add(CUgraphExec name, uint64_t exec)
{
	struct entry **at, *e;

	vgpu_lock(&lock);
	at = place((uintptr_t)name);
	e = *at;
	if (!e)
		e = *at = calloc(1, sizeof(*e));
	if (e) {
		e->name = (uintptr_t)name;
		e->exec = exec;	/* one that was there went with its context, and nobody said so */
	}
	vgpu_unlock(&lock);
	return e ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

uint64_t vgpu_graph_name_find(const void *name)
{
	struct entry *e;
	uint64_t exec;

	vgpu_lock(&lock);
	e = *place((uintptr_t)name);
	exec = e ? e->exec : 0;
	vgpu_unlock(&lock);
	return exec;
}

void vgpu_graph_name_drop(CUgraphExec name, uint64_t exec)
{
	struct entry **at, *e;

	vgpu_lock(&lock);
	at = place((uintptr_t)name);
	e = *at;
	if (e && e->exec == exec)
		*at = e->next;
	else
		e = NULL;	/* the driver has given the name away again already */
	vgpu_unlock(&lock);
	free(e);
}
