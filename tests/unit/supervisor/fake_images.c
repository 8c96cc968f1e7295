/* SPDX-License-Identifier: MIT */
/* The images that a fake worker keeps and finds, see fake_worker.h. A process that fails ends. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_worker.h"
#include "message.h"

static struct vgpu_ctl_image message(uint16_t type, const struct fake_image *f)
{
	struct vgpu_ctl_image m = { .hash = { f->hash, f->hash }, .bytes = f->bytes };

	vgpu_msg_init(&m.h, type, sizeof(m));
	return m;
}

static void keep(const struct fake_image *f)
{
	struct vgpu_ctl_image m = message(VGPU_CTL_IMAGE_KEEP, f);
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || pwrite(fd, &f->hash, sizeof(f->hash), 0) != sizeof(f->hash) ||
	    ftruncate(fd, (off_t)f->bytes + (f->flaw == FAKE_SHORT ? 0 : 1)) ||
	    (f->flaw != FAKE_UNSEALED && fcntl(fd, F_ADD_SEALS, VGPU_IMAGE_SEALS)) ||
	    vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &m.h, &fd, f->flaw != FAKE_NO_FILE))
		exit(1);
	close(fd);
}

static void look_at(int fd, struct fake_found *o)
{
	struct stat st;

	if (fstat(fd, &st) || pread(fd, &o->first, sizeof(o->first), 0) != sizeof(o->first))
		exit(1);
	o->size = (uint64_t)st.st_size;
	o->fixed = pwrite(fd, o, 1, 0) < 0;
}

static int find(const struct fake_image *f, struct fake_found *o)
{
	struct vgpu_ctl_image m = message(VGPU_CTL_IMAGE_FIND, f);
	struct vgpu_packet p;

	if (vgpu_msg_send(VGPU_WORKER_CONTROL_FD, &m.h, NULL, 0) || vgpu_msg_recv(VGPU_WORKER_CONTROL_FD, &p, 0) <= 0 ||
	    p.h.type != VGPU_CTL_IMAGE)
		exit(1);
	memcpy(&m, p.bytes, sizeof(m));
	if (p.fd_count)
		look_at(p.fds[0], o);
	vgpu_packet_close_fds(&p);
	return !m.found;
}

/* Each is asked for: its answer says that there is room for the next message. */
static void keep_all(const struct fake_image *f)
{
	struct fake_image one = *f;
	struct fake_found o;

	for (one.hash = f->hash + f->more; one.hash > f->hash; one.hash--) {
		keep(&one);
		find(&one, &o);
	}
	keep(f);
}

void fake_image(struct vgpu_reply_slot *reply, const struct fake_image *f, uint32_t shared)
{
	struct fake_found *o = (struct fake_found *)reply->data;

	*o = (struct fake_found){ .shared = shared };
	reply->result = 0;
	if (f->c.op == FAKE_KEEP)
		keep_all(f);
	else
		reply->result = find(f, o);
	atomic_store(&reply->done, f->c.seq);
}
