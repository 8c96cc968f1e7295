/* SPDX-License-Identifier: MIT */
/* The worker's handle tables, see handles.h. Owned by the session, used on the worker's only thread. */
#include <errno.h>
#include <stdlib.h>

#include "handles.h"

struct vgpu_handle_entry *vgpu_handles_at(const struct vgpu_handles *h, enum vgpu_handle_kind kind, uint32_t index)
{
	struct vgpu_handle_entry *page;

	if (kind >= VGPU_HANDLE_KINDS || index >= VGPU_HANDLE_PAGE * VGPU_HANDLE_PAGES)
		return NULL;
	page = h->pages[kind][index / VGPU_HANDLE_PAGE];
	if (!page || !page[index % VGPU_HANDLE_PAGE].id)
		return NULL;
	return &page[index % VGPU_HANDLE_PAGE];
}

struct vgpu_handle_entry *vgpu_handles_find(const struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id)
{
	struct vgpu_handle_entry *e = vgpu_handles_at(h, kind, vgpu_handle_index(id));

	return e && e->id == id ? e : NULL;
}

static struct vgpu_handle_entry *make_page(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint32_t page)
{
	if (h->pages[kind][page] || h->page_count == VGPU_HANDLE_BUDGET)
		return h->pages[kind][page];
	h->pages[kind][page] = calloc(VGPU_HANDLE_PAGE, sizeof(struct vgpu_handle_entry));
	if (h->pages[kind][page])
		h->page_count++;
	return h->pages[kind][page];
}

static int prepare(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id)
{
	uint32_t index = vgpu_handle_index(id);

	if (kind == VGPU_HANDLE_NONE || kind >= VGPU_HANDLE_KINDS || vgpu_handle_kind_of(id) != kind)
		return -EINVAL;
	if (index >= VGPU_HANDLE_PAGE * VGPU_HANDLE_PAGES)
		return -EINVAL;
	if (!make_page(h, kind, index / VGPU_HANDLE_PAGE))
		return -ENOMEM;
	return vgpu_handles_at(h, kind, index) ? -EEXIST : 0;
}

int vgpu_handles_bind(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id, void *obj)
{
	uint32_t index = vgpu_handle_index(id);
	int ret = prepare(h, kind, id);
	struct vgpu_handle_entry *e;

	if (ret < 0)
		return ret;
	e = &h->pages[kind][index / VGPU_HANDLE_PAGE][index % VGPU_HANDLE_PAGE];
	*e = (struct vgpu_handle_entry){ .id = id, .obj = obj };
	h->live[kind]++;
	return 0;
}

void vgpu_handles_unbind(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t id)
{
	struct vgpu_handle_entry *e = vgpu_handles_find(h, kind, id);

	if (!e)
		return;
	*e = (struct vgpu_handle_entry){ 0 };
	h->live[kind]--;
}

void vgpu_handles_each(struct vgpu_handles *h, enum vgpu_handle_kind kind,
		       void (*fn)(void *ctx, const struct vgpu_handle_entry *entry), void *ctx)
{
	for (uint32_t p = 0; p < VGPU_HANDLE_PAGES && h->live[kind]; p++) {
		struct vgpu_handle_entry *page = h->pages[kind][p];

		for (uint32_t i = 0; page && i < VGPU_HANDLE_PAGE; i++)
			if (page[i].id)
				fn(ctx, &page[i]);
	}
}

struct disown {
	struct vgpu_handles *handles;
	enum vgpu_handle_kind kind;
	uint64_t owner;
};

static void disown_one(void *ctx, const struct vgpu_handle_entry *entry)
{
	struct disown *d = ctx;

	if (entry->owner == d->owner)
		vgpu_handles_unbind(d->handles, d->kind, entry->id);
}

void vgpu_handles_disown(struct vgpu_handles *h, enum vgpu_handle_kind kind, uint64_t owner)
{
	struct disown d = { h, kind, owner };

	vgpu_handles_each(h, kind, disown_one, &d);
}

void vgpu_handles_free(struct vgpu_handles *h)
{
	for (uint32_t k = 0; k < VGPU_HANDLE_KINDS; k++) {
		for (uint32_t p = 0; p < VGPU_HANDLE_PAGES; p++) {
			free(h->pages[k][p]);
			h->pages[k][p] = NULL;
		}
		h->live[k] = 0;
	}
	h->page_count = 0;
}
