/* SPDX-License-Identifier: MIT */
/* Doubly linked list with a head; a link is part of the object it links. One thread. */
#ifndef VGPU_LIST_H
#define VGPU_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert `item` in front of `at`; with a head for `at`: append. */
static inline void list_add_before(struct list *item, struct list *at)
{
	item->next = at;
	item->prev = at->prev;
	at->prev->next = item;
	at->prev = item;
}

/* Take out; the item may be taken out again without harm. */
static inline void list_del(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#define list_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The body may take out and free `pos`, and no other item. */
#define list_each_safe(pos, head)					\
	for (struct list *pos = (head)->next, *pos##_next = pos->next;	\
	     pos != (head); pos = pos##_next, pos##_next = pos->next)

#endif
