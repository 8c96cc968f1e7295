/* SPDX-License-Identifier: MIT */
/*
 * Contents of code images, see content.h.  What is given away was hashed here, either on its way into the file or over
 * the sealed file: the guest's word for a hash only ever finds something, it never names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vgpu/image_hash.h>

#include "content.h"
#include "io.h"
#include "log.h"
#include "session.h"

/* The file, whose size and seals are checked, as memory. 0 or -errno. */
static int map(struct vgpu_content *c)
{
	int seals = fcntl(c->fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & VGPU_IMAGE_SEALS) != VGPU_IMAGE_SEALS || fstat(c->fd, &st) ||
	    (uint64_t)st.st_size != c->bytes + 1)
		return -EPERM;
	p = mmap(NULL, c->bytes + 1, PROT_READ, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	c->data = p;
	return 0;
}

/* Has another session sent it? */
static bool find(struct vgpu_session *s, struct vgpu_content *c)
{
	struct vgpu_ctl_image m = { .hash = { c->hash[0], c->hash[1] }, .bytes = c->bytes };

	vgpu_msg_init(&m.h, VGPU_CTL_IMAGE_FIND, sizeof(m));
	if (vgpu_io_ask(s->io, &m.h, -1, VGPU_CTL_IMAGE, &c->fd))
		return false;
	if (c->fd < 0)
		return false;
	if (m.found && m.bytes == c->bytes && vgpu_image_hash_is(m.hash, c->hash) && !map(c))
		return true;
	close(c->fd);
	c->fd = -1;
	return false;
}

static int make_file(struct vgpu_content *c)
{
	c->fd = memfd_create("vgpu-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (c->fd < 0)
		return -errno;
	if (!ftruncate(c->fd, (off_t)c->bytes + 1)) {
		c->hashing = XXH3_createState();
		if (c->hashing && XXH3_128bits_reset(c->hashing) == XXH_OK)
			return 0;
	}
	XXH3_freeState(c->hashing);
	c->hashing = NULL;
	close(c->fd);
	c->fd = -1;
	return -ENOMEM;
}

int vgpu_content_open(struct vgpu_session *s, struct vgpu_content *c, uint64_t bytes, const uint64_t hash[2])
{
	bool shared = s->io && s->share_images && vgpu_image_hash_given(hash) && bytes >= VGPU_IMAGE_HASHED_LEAST;

	*c = (struct vgpu_content){ .bytes = bytes, .hash = { hash[0], hash[1] }, .fd = -1 };
	if (shared && find(s, c)) {
		c->found = true;
		return 0;
	}
	if (shared && !make_file(c))
		return 0;
	c->data = calloc(1, bytes + 1);
	return c->data ? 0 : -ENOMEM;
}

static int write_file(int fd, uint64_t at, const uint8_t *from, uint64_t bytes)
{
	ssize_t n;

	/* Not through a mapping: a fault and a page of zeros for each 4 KiB take longer than the copy. */
	for (; bytes; bytes -= (uint64_t)n, from += n, at += (uint64_t)n) {
		n = pwrite(fd, from, bytes, (off_t)at);
		if (n <= 0)
			return -ENOMEM;
	}
	return 0;
}

int vgpu_content_write(struct vgpu_content *c, uint64_t at, const void *from, uint64_t bytes, bool stable)
{
	if (c->fd < 0) {
		memcpy(c->data + at, from, bytes);
		return 0;
	}
	if (c->data)
		return -EPERM;
	if (stable && at == c->hashed && XXH3_128bits_update(c->hashing, from, bytes) == XXH_OK)
		c->hashed += bytes;
	else if (at < c->hashed)
		c->hashed = UINT64_MAX;	/* overwritten: to be hashed again */
	return write_file(c->fd, at, from, bytes);
}

int vgpu_content_seal(struct vgpu_content *c)
{
	if (c->data)
		return 0;
	return fcntl(c->fd, F_ADD_SEALS, VGPU_IMAGE_SEALS) ? -errno : map(c);
}

static void hash_of(const struct vgpu_content *c, uint64_t hash[2])
{
	if (c->hashed == c->bytes)
		vgpu_image_hash_end(c->hashing, hash);
	else
		vgpu_image_hash(c->data, c->bytes, hash);
}

void vgpu_content_keep(struct vgpu_session *s, const struct vgpu_content *c)
{
	struct vgpu_ctl_image m = { .bytes = c->bytes };

	if (c->fd < 0 || c->found || !c->data || !s->io)
		return;
	hash_of(c, m.hash);
	if (!vgpu_image_hash_is(m.hash, c->hash)) {
		vgpu_log(VGPU_LOG_NOTICE, NULL, "code image of %llu bytes is not what its hash says: not kept",
			 (unsigned long long)c->bytes);
		return;
	}
	vgpu_msg_init(&m.h, VGPU_CTL_IMAGE_KEEP, sizeof(m));
	/* A supervisor that is too busy for it misses nothing but this one. */
	vgpu_msg_send(s->io->control, &m.h, &c->fd, 1);
}

void vgpu_content_close(struct vgpu_content *c)
{
	if (c->fd < 0) {
		free(c->data);
		return;
	}
	if (c->data)
		munmap(c->data, c->bytes + 1);
	XXH3_freeState(c->hashing);
	close(c->fd);
}
