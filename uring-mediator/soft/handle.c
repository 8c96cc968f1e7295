/* SPDX-License-Identifier: MIT */
/*
 * The table of handles: slots in one array that only grows, free ones in a list, each with a generation that counts
 * its uses. A mutex guards it; nothing is called with the mutex held.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "handle.h"

struct slot {
	struct soft_object *object; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;         /* index + 1 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *slots;
static uint32_t capacity, used, first_free;

/* Bit 62 keeps handles away from NULL, from the special streams 1 and 2 and from addresses. */
static uint64_t encode(enum soft_kind kind, uint32_t generation, uint32_t index)
{
	return 1ull << 62 | (uint64_t)__builtin_ctz(kind) << 52 | (uint64_t)(generation & 0xfffff) << 32 | index;
}

void soft_object_init(struct soft_object *o, enum soft_kind kind, struct soft_context *ctx,
		      void (*release)(struct soft_object *))
{
	atomic_init(&o->refs, 1);
	o->kind = kind;
	o->handle = 0;
	o->ctx = ctx;
	o->release = release;
}

void soft_ref(struct soft_object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

void soft_put(struct soft_object *o)
{
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		o->release(o);
}

static int grow(void)
{
	uint32_t n = capacity ? capacity * 2 : 256;
	struct slot *more = realloc(slots, n * sizeof(*more));

	if (!more)
		return -ENOMEM;
	slots = more;
	capacity = n;
	return 0;
}

int soft_bind(struct soft_object *o)
{
	struct slot *s;
	uint32_t i;

	pthread_mutex_lock(&lock);
	if (!first_free && used == capacity && grow() < 0) {
		pthread_mutex_unlock(&lock);
		return -ENOMEM;
	}
	if (first_free) {
		i = first_free - 1;
		first_free = slots[i].next_free;
	} else {
		i = used++;
		slots[i].generation = 0;
	}
	s = &slots[i];
	s->object = o;
	s->generation++;
	o->handle = encode(o->kind, s->generation, i);
	pthread_mutex_unlock(&lock);
	return 0;
}

static struct slot *find(uint64_t handle, unsigned kinds)
{
	uint32_t i = (uint32_t)handle;
	struct slot *s;

	if (i >= used)
		return NULL;
	s = &slots[i];
	return s->object && s->object->handle == handle && s->object->kind & kinds ? s : NULL;
}

static struct soft_object *take_slot(struct slot *s)
{
	struct soft_object *o = s->object;

	s->object = NULL;
	s->next_free = first_free;
	first_free = (uint32_t)(s - slots) + 1;
	return o;
}

void *soft_get(uint64_t handle, unsigned kinds)
{
	struct soft_object *o = NULL;
	struct slot *s;

	pthread_mutex_lock(&lock);
	s = find(handle, kinds);
	if (s) {
		o = s->object;
		soft_ref(o);
	}
	pthread_mutex_unlock(&lock);
	return o;
}

void *soft_take(uint64_t handle, unsigned kinds)
{
	struct soft_object *o = NULL;
	struct slot *s;

	pthread_mutex_lock(&lock);
	s = find(handle, kinds);
	if (s)
		o = take_slot(s);
	pthread_mutex_unlock(&lock);
	return o;
}

void *soft_take_next(struct soft_context *ctx, uint32_t *at)
{
	struct soft_object *o = NULL;

	pthread_mutex_lock(&lock);
	for (; *at < used && !o; ++*at)
		if (slots[*at].object && slots[*at].object->ctx == ctx)
			o = take_slot(&slots[*at]);
	pthread_mutex_unlock(&lock);
	return o;
}
