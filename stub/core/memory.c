/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory behind BAR2: one sparse, sealed memfd.  The stub maps only the
 * header and the channels, and writes only the header and the host's words
 * of a channel without a worker; guest and worker map the file themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static int memory_fail(char *err, size_t err_size, const char *what)
{
	int code = errno;

	snprintf(err, err_size, "%s: %s", what, strerror(code));
	return -code;
}

static int memory_check(struct vgpu_stub *s, char *err, size_t err_size)
{
	uint64_t size = s->config.memory;

	if (size < VGPU_SHM_MIN_SIZE || size > VGPU_SHM_MAX_SIZE || (size & (size - 1))) {
		snprintf(err, err_size,
			 "memory of %llu bytes: accepted is a power of two from 64M to 64G",
			 (unsigned long long)size);
		return -EINVAL;
	}
	if (vgpu_shm_geometry(&s->geometry, size, s->config.channels)) {
		uint64_t most = size / 2 / VGPU_CHANNEL_STRIDE;

		snprintf(err, err_size, "channels=%u: accepted is 1 to %llu with memory of %lluM",
			 s->config.channels,
			 (unsigned long long)(most < VGPU_MAX_CHANNELS ? most : VGPU_MAX_CHANNELS),
			 (unsigned long long)(size >> 20));
		return -EINVAL;
	}
	return 0;
}

/*
 * The file, of this size, of reserved huge pages or ordinary.  All of one of huge pages is mapped for a moment, so that
 * the kernel sets them aside now and nobody gets SIGBUS later.  Descriptor or -errno.
 */
static int memory_file(uint64_t size, bool huge)
{
	int fd = memfd_create("vgpu-bar2", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u));
	void *all = MAP_FAILED;
	int rc;

	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, (off_t)size) ? -errno : 0;
	if (!rc && huge) {
		all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		rc = all == MAP_FAILED ? -errno : 0;
	}
	if (all != MAP_FAILED)
		munmap(all, size);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

static int memory_open(struct vgpu_stub *s, char *err, size_t err_size)
{
	uint64_t size = s->geometry.total_size;
	enum vgpu_stub_pages pages = s->config.pages;
	int fd = pages == VGPU_STUB_PAGES_OFF ? -ENOMEM : memory_file(size, true);

	if (fd < 0 && pages == VGPU_STUB_PAGES_ON) {
		snprintf(err, err_size, "no huge pages for memory of %lluM (%s): raise vm.nr_hugepages, or say hugepages=auto",
			 (unsigned long long)(size >> 20), strerror(-fd));
		return fd;
	}
	if (fd >= 0)
		stub_log(s, VGPU_STUB_INFO, -1, "memory of %lluM in huge pages", (unsigned long long)(size >> 20));
	else
		fd = memory_file(size, false);
	if (fd < 0)
		snprintf(err, err_size, "memory: %s", strerror(-fd));
	s->memfd = fd;
	return fd < 0 ? fd : 0;
}

int stub_memory_create(struct vgpu_stub *s, char *err, size_t err_size)
{
	int rc = memory_check(s, err, err_size);

	if (!rc)
		rc = memory_open(s, err, err_size);
	if (rc)
		return rc;
	s->base = mmap(NULL, s->geometry.arena_at, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, s->memfd, 0);
	if (s->base == MAP_FAILED) {
		s->base = NULL;
		return memory_fail(err, err_size, "memory: mmap");
	}
	vgpu_shm_format(s->base, &s->geometry, s->config.vm_id);
	if (fcntl(s->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return memory_fail(err, err_size, "memory: seal");
	return 0;
}

void stub_memory_destroy(struct vgpu_stub *s)
{
	if (s->base)
		munmap(s->base, s->geometry.arena_at);
	if (s->memfd >= 0)
		close(s->memfd);
	s->base = NULL;
	s->memfd = -1;
}

/* After a reset of the guest, which may have overwritten the header. */
void stub_memory_format(struct vgpu_stub *s)
{
	vgpu_shm_format(s->base, &s->geometry, s->config.vm_id);
	stub_memory_link(s, atomic_load(&s->link_up));
}

/* Tell the guest whether there is a mediator. */
void stub_memory_link(struct vgpu_stub *s, bool up)
{
	struct vgpu_shm_header *h = s->base;

	atomic_store(&h->link_epoch, atomic_load(&s->link_epoch));
	atomic_store(&h->link_up, up);
}

struct vgpu_channel_ctl *stub_memory_ctl(struct vgpu_stub *s, const struct stub_channel *chan)
{
	return &vgpu_shm_channel(s->base, &s->geometry, chan->index)->ctl;
}
