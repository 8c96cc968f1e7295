/* SPDX-License-Identifier: MIT */
/*
 * Code images that one session has sent and the next need not send again.  A store belongs to those who trust each other
 * anyway (docs/ARCHITECTURE.md, "Code that is shared"): one for each VM, and where there is none, one for each user in
 * each PID namespace.  Nothing in one can be seen, felt or pushed out from another.
 *
 * An image is a sealed file; the worker that gives it has hashed it, and only workers of the same store ever get it.  A
 * store holds config.image_store bytes at most and drops what was not wanted for longest.  That of a VM goes with the
 * VM.  Those without a VM stay when their last session ends, as long as all such together are within the same bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vgpu/image_hash.h>

#include "alloc.h"
#include "supervisor.h"

#define IMAGES_MOST	1024u	/* of a store: each holds a descriptor */

struct image {
	struct list link;	/* of its store, wanted longest ago first */
	uint64_t hash[2];
	uint64_t bytes;
	int fd;
};

struct image_store {
	struct list link;	/* of the supervisor; those without sessions in the order in which they lost them */
	const struct vm *vm;
	uid_t uid;		/* unix transport */
	ino_t space;
	struct list images;
	uint32_t sessions;
	struct images_count count;
};

static void image_free(struct image_store *store, struct image *i)
{
	list_del(&i->link);
	store->count.images--;
	store->count.bytes -= i->bytes;
	close(i->fd);
	vgpu_free(i);
}

static void store_free(struct image_store *store)
{
	list_each_safe(at, &store->images)
		image_free(store, container_of(at, struct image, link));
	list_del(&store->link);
	vgpu_free(store);
}

/* ---- which store ---- */

/* The PID namespace of a process, 0 if that is not to be known. */
static ino_t space_of(pid_t pid)
{
	struct stat st;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, &st) ? 0 : st.st_ino;
}

static struct image_store *store_new(struct supervisor *sup, const struct vm *vm, uid_t uid, ino_t space)
{
	struct image_store *store = vgpu_zalloc(sizeof(*store));

	if (!store)
		return NULL;
	store->vm = vm;
	store->uid = uid;
	store->space = space;
	list_init(&store->images);
	list_add_before(&store->link, &sup->image_stores);
	return store;
}

void images_join(struct session *s)
{
	struct supervisor *sup = s->sup;
	ino_t space = s->conn ? space_of(s->conn->pid) : 0;
	struct image_store *found = NULL;

	if (s->monitor || !sup->config.image_store || (s->conn && !space))
		return;
	list_each(at, &sup->image_stores) {
		struct image_store *store = container_of(at, struct image_store, link);

		if (store->vm == s->vm && store->uid == s->uid && store->space == space)
			found = store;
	}
	if (!found)
		found = store_new(sup, s->vm, s->uid, space);
	if (found)
		found->sessions++;
	s->images = found;
}

/* What is left of users that have no session must not add up. */
static void trim_idle(struct supervisor *sup)
{
	uint64_t bytes = 0;

	list_each(at, &sup->image_stores) {
		const struct image_store *store = container_of(at, struct image_store, link);

		if (!store->sessions && store->vm->unix_transport)
			bytes += store->count.bytes;
	}
	list_each_safe(at, &sup->image_stores) {
		struct image_store *store = container_of(at, struct image_store, link);

		if (store->sessions || !store->vm->unix_transport)
			continue;
		if (store->count.images && bytes <= sup->config.image_store)
			continue;
		bytes -= store->count.bytes;
		store_free(store);
	}
}

void images_leave(struct session *s)
{
	struct image_store *store = s->images;

	s->images = NULL;
	if (!store || --store->sessions)
		return;
	list_del(&store->link);
	list_add_before(&store->link, &s->sup->image_stores);
	trim_idle(s->sup);
}

void images_end(const struct vm *vm)
{
	list_each_safe(at, &vm->sup->image_stores) {
		struct image_store *store = container_of(at, struct image_store, link);

		if (store->vm == vm)
			store_free(store);
	}
}

void images_counted(const struct vm *vm, struct images_count *count)
{
	memset(count, 0, sizeof(*count));
	list_each(at, &vm->sup->image_stores) {
		const struct image_store *store = container_of(at, struct image_store, link);

		if (store->vm != vm)
			continue;
		count->images += store->count.images;
		count->bytes += store->count.bytes;
		count->found += store->count.found;
		count->missed += store->count.missed;
		count->dropped += store->count.dropped;
	}
}

/* ---- what is in it ---- */

static struct image *image_find(const struct image_store *store, const struct vgpu_ctl_image *m)
{
	list_each(at, &store->images) {
		struct image *i = container_of(at, struct image, link);

		if (i->bytes == m->bytes && vgpu_image_hash_is(i->hash, m->hash))
			return i;
	}
	return NULL;
}

/* The last ones that are wanted go last. */
static void image_wanted(struct image_store *store, struct image *i)
{
	list_del(&i->link);
	list_add_before(&i->link, &store->images);
}

static void find(struct session *s, struct vgpu_ctl_image *m)
{
	struct image_store *store = s->images;
	struct image *i = store ? image_find(store, m) : NULL;

	m->found = i != NULL;
	if (i)
		image_wanted(store, i);
	if (store && i)
		store->count.found++;
	else if (store)
		store->count.missed++;
	vgpu_msg_init(&m->h, VGPU_CTL_IMAGE, sizeof(*m));
	if (vgpu_msg_send(s->worker->control, &m->h, i ? &i->fd : NULL, i != NULL))
		session_end(s, VGPU_HOST_WORKER_DIED, "the worker does not read its messages");
}

/* Is this a file as control.h describes it? A worker in hostile hands could send anything. */
static bool is_image(const struct vgpu_ctl_image *m, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & VGPU_IMAGE_SEALS) == VGPU_IMAGE_SEALS && !fstat(fd, &st) &&
	       m->bytes < INT64_MAX && (uint64_t)st.st_size == m->bytes + 1;
}

static void make_room(struct image_store *store, uint64_t bytes, uint64_t most)
{
	while (!list_empty(&store->images) && (store->count.images >= IMAGES_MOST || store->count.bytes + bytes > most)) {
		image_free(store, container_of(store->images.next, struct image, link));
		store->count.dropped++;
	}
}

/* Takes the packet's descriptor if the image is kept. */
static void keep(struct session *s, const struct vgpu_ctl_image *m, struct vgpu_packet *packet)
{
	uint64_t most = s->sup->config.image_store;
	struct image_store *store = s->images;
	struct image *i;

	if (!store || packet->fd_count != 1 || m->bytes > most || !is_image(m, packet->fds[0]) || image_find(store, m))
		return;
	i = vgpu_zalloc(sizeof(*i));
	if (!i)
		return;
	make_room(store, m->bytes, most);
	memcpy(i->hash, m->hash, sizeof(i->hash));
	i->bytes = m->bytes;
	i->fd = packet->fds[0];
	packet->fd_count = 0;
	list_add_before(&i->link, &store->images);
	store->count.images++;
	store->count.bytes += i->bytes;
}

void images_message(struct session *s, struct vgpu_packet *packet)
{
	struct vgpu_ctl_image m;

	memcpy(&m, packet->bytes, sizeof(m));
	if (m.h.type == VGPU_CTL_IMAGE_FIND)
		find(s, &m);
	else
		keep(s, &m, packet);
}
