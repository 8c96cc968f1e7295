/* SPDX-License-Identifier: MIT */
/*
 * The handshake (include/vgpu/shm.h, struct vgpu_channel_ctl).  The worker writes the host's half: an offer with the
 * address ranges of its driver and a new epoch.  The guest reserves them, maps the memfd somewhere else and answers
 * with that base, or says that a range is in use there.  Each word of the answer is read once.  When our own process
 * has something at the guest's base, that range joins the next offer.  The worker's only thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gen/driver_table.h>
#include <vgpu/clock.h>

#include "attach.h"
#include "log.h"

#define OFFERS		4u			/* in one handshake */
#define ANSWER_NS	10000000000ll		/* how long a guest may take to answer one */
#define LOWEST_BASE	(16ull << 20)
#define HIGHEST_END	0x7ffffffff000ull	/* end of user addresses with four-level page tables */

/* The memfd must be what the message says and must not shrink under us. */
static int check_memfd(struct vgpu_session *s, const struct vgpu_ctl_attach *a, int memfd, char *why, size_t size)
{
	int seals = fcntl(memfd, F_GET_SEALS);
	struct stat st;

	if (vgpu_shm_geometry(&s->geo, a->shm_size, a->channels) || a->channel >= a->channels) {
		snprintf(why, size, "shared memory of %llu bytes with channel %u of %u is not possible",
			 (unsigned long long)a->shm_size, a->channel, a->channels);
		return -EINVAL;
	}
	if (fstat(memfd, &st) || (uint64_t)st.st_size < a->shm_size) {
		snprintf(why, size, "shared memory is smaller than the %llu bytes announced",
			 (unsigned long long)a->shm_size);
		return -EINVAL;
	}
	if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
		snprintf(why, size, "shared memory is not sealed against shrinking");
		return -EPERM;
	}
	return 0;
}

static void offer(struct vgpu_session *s, struct vgpu_channel_ctl *ctl, const struct vgpu_range *ranges,
		  uint32_t count)
{
	uint32_t epoch = atomic_load_explicit(&ctl->offer_epoch, memory_order_relaxed) + 1;

	memcpy(ctl->ranges, ranges, count * sizeof(*ranges));
	ctl->range_count = count;
	ctl->host_version = VGPU_PROTOCOL_VERSION;
	ctl->device_count = s->device->count;
	ctl->session = s->number;
	ctl->backend = s->device->backend;
	atomic_store_explicit(&ctl->host_error, VGPU_HOST_OK, memory_order_relaxed);
	atomic_store_explicit(&ctl->host_state, VGPU_HOST_OFFER, memory_order_relaxed);
	atomic_store_explicit(&ctl->offer_epoch, epoch, memory_order_release);
}

/* Wait for the answer to the present offer: an enum vgpu_guest_answer, or -ECANCELED, -ETIMEDOUT, -errno. */
static int await_answer(struct vgpu_channel_ctl *ctl, struct vgpu_io *io, uint32_t epoch, uint64_t *base)
{
	uint64_t until = vgpu_clock_ns() + ANSWER_NS;
	int64_t nap = 20000;
	uint32_t answer;
	int ret;

	while (atomic_load_explicit(&ctl->answer_epoch, memory_order_acquire) != epoch) {
		if (io->detach || io->control_closed || io->wake_closed || io->broken[0])
			return -ECANCELED;
		if (vgpu_clock_ns() > until)
			return -ETIMEDOUT;
		ret = vgpu_io_wait(io, nap);
		if (ret < 0)
			return ret;
		nap = nap < 1000000 ? nap * 2 : nap;
	}
	answer = atomic_load_explicit(&ctl->guest_answer, memory_order_relaxed);
	*base = __atomic_load_n(&ctl->arena_base, __ATOMIC_RELAXED);
	return answer == VGPU_ANSWER_ACCEPT || answer == VGPU_ANSWER_CONFLICT ? (int)answer : -EPROTO;
}

static int map_at(struct vgpu_session *s, int memfd, uint64_t base)
{
	void *p;

	if (base % 4096 || base < LOWEST_BASE || base > HIGHEST_END - s->geo.total_size)
		return -EPROTO;
	p = mmap((void *)(uintptr_t)base, s->geo.total_size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, memfd, 0);
	if (p == MAP_FAILED)
		return -errno;
	if ((uint64_t)(uintptr_t)p != base) {	/* a kernel older than the flag */
		munmap(p, s->geo.total_size);
		return -EEXIST;
	}
	s->base = p;
	s->memory_fd = fcntl(memfd, F_DUPFD_CLOEXEC, 0);	/* without it, no memory of the guest's own can be registered */
	/* Fewer pages to register, where the host gives huge ones to shared memory; where it does not, nothing is lost. */
	madvise((uint8_t *)p + s->geo.arena_at, s->geo.total_size - s->geo.arena_at, MADV_HUGEPAGE);
	return 0;
}

/* Fences are written by the device: its driver must know them, at the address that we know. */
static int register_fences(struct vgpu_session *s, char *why, size_t size)
{
	void *fences = (void *)s->channel->fences;
	CUdeviceptr at = 0;
	CUresult r = CUDA_ERROR_NOT_SUPPORTED;

	if (s->drv->cuMemHostRegister_v2 && s->drv->cuMemHostGetDevicePointer_v2) {
		r = s->drv->cuMemHostRegister_v2(fences, sizeof(s->channel->fences),
						 CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
		if (!r)
			r = s->drv->cuMemHostGetDevicePointer_v2(&at, fences, 0);
	}
	if (!r && at == (CUdeviceptr)(uintptr_t)fences)
		return 0;
	snprintf(why, size, "the driver cannot write fences into shared memory (CUDA error %d)", r);
	return -EIO;
}

static int start(struct vgpu_session *s, const struct vgpu_ctl_attach *a, char *why, size_t size)
{
	struct vgpu_channel_ctl *ctl;
	int ret;

	s->channel = vgpu_shm_channel(s->base, &s->geo, a->channel);
	ctl = &s->channel->ctl;
	ret = s->device->monitor ? 0 : register_fences(s, why, size);
	if (ret)
		return ret;
	vgpu_consumer_init(&s->consumer, &s->channel->ring, s->channel->ring_data, VGPU_RING_BYTES);
	if (s->consumer.head % VGPU_CMD_ALIGN) {
		snprintf(why, size, "the ring starts at byte %llu", (unsigned long long)s->consumer.head);
		return -EPROTO;
	}
	vgpu_consumer_announce(&s->consumer, VGPU_CONSUMER_RUNNING);
	atomic_store_explicit(&ctl->trace, a->trace, memory_order_relaxed);
	atomic_store_explicit(&ctl->host_state, VGPU_HOST_READY, memory_order_release);
	return 0;
}

/* Offers until the guest accepts one and its base is free here, too. */
static int negotiate(struct vgpu_session *s, struct vgpu_channel_ctl *ctl, struct vgpu_io *io, int memfd)
{
	struct vgpu_range ranges[VGPU_MAX_RANGES];
	uint32_t count = s->device->range_count;
	uint64_t base = 0;
	int ret;

	memcpy(ranges, s->device->ranges, sizeof(ranges));
	for (unsigned int i = 0; i < OFFERS; i++) {
		offer(s, ctl, ranges, count);
		ret = await_answer(ctl, io, atomic_load_explicit(&ctl->offer_epoch, memory_order_relaxed), &base);
		if (ret == VGPU_ANSWER_CONFLICT)
			return -EADDRINUSE;
		if (ret < 0)
			return ret;
		if (__atomic_load_n(&ctl->guest_version, __ATOMIC_RELAXED) >> 16 != VGPU_PROTOCOL_MAJOR)
			return -EPROTO;
		ret = map_at(s, memfd, base);
		if (ret != -EEXIST)
			return ret;
		vgpu_log(VGPU_LOG_INFO, NULL, "the guest's base 0x%llx is taken in this process; next offer",
			 (unsigned long long)base);
		if (count == VGPU_MAX_RANGES)
			break;
		ranges[count++] = (struct vgpu_range){ base, s->geo.total_size };
	}
	return -EADDRINUSE;
}

/*
 * Another major protocol: say ours, so that the guest can name both.  Zero: a guest of the unix transport that has
 * not come round to introducing itself; its HELLO had the version, and its answer is looked at again.
 */
static bool speaks_our_version(struct vgpu_channel_ctl *ctl, char *why, size_t size)
{
	uint32_t theirs = __atomic_load_n(&ctl->guest_version, __ATOMIC_RELAXED);

	ctl->host_version = VGPU_PROTOCOL_VERSION;
	if (!theirs || theirs >> 16 == VGPU_PROTOCOL_MAJOR)
		return true;
	snprintf(why, size, "the guest speaks protocol %u.%u, this worker %u.%u", theirs >> 16, theirs & 0xffff,
		 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
	return false;
}

static void refuse(struct vgpu_channel_ctl *ctl, enum vgpu_host_error error, const char *why)
{
	snprintf(ctl->host_text, sizeof(ctl->host_text), "%s", why);
	atomic_store_explicit(&ctl->host_error, (uint32_t)error, memory_order_relaxed);
	atomic_store_explicit(&ctl->host_state, VGPU_HOST_REFUSED, memory_order_release);
}

static enum vgpu_host_error code_of(int ret)
{
	switch (ret) {
	case -EPROTO:
	case -EINVAL:
	case -EPERM:
		return VGPU_HOST_PROTOCOL;
	case -EPROTONOSUPPORT:
		return VGPU_HOST_VERSION;
	case -ETIMEDOUT:
		return VGPU_HOST_CLOSED;
	case -EADDRINUSE:
		return VGPU_HOST_ADDRESS;
	default:
		return VGPU_HOST_WORKER_DIED;
	}
}

int vgpu_attach(struct vgpu_session *s, struct vgpu_io *io, const struct vgpu_ctl_attach *a, int memfd,
		enum vgpu_host_error *error, char *why, size_t size)
{
	int ret = check_memfd(s, a, memfd, why, size);
	struct vgpu_channel *channel;

	*error = code_of(ret);
	if (ret)
		return ret;
	channel = mmap(NULL, VGPU_CHANNEL_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd,
		       (off_t)(s->geo.channels_at + a->channel * VGPU_CHANNEL_STRIDE));
	if (channel == MAP_FAILED) {
		snprintf(why, size, "cannot map the channel: %s", strerror(errno));
		*error = VGPU_HOST_WORKER_DIED;
		return -ENOMEM;
	}
	s->number = a->session;
	s->memory_limit = a->memory_limit;
	s->ahead_most = a->register_ahead;
	s->share_images = a->images;
	snprintf(why, size, "the handshake failed");
	ret = speaks_our_version(&channel->ctl, why, size) ? negotiate(s, &channel->ctl, io, memfd) : -EPROTONOSUPPORT;
	if (ret == -ETIMEDOUT)
		snprintf(why, size, "the guest did not answer the address offer");
	else if (ret == -EPROTO)
		snprintf(why, size, "the guest answered the address offer with nonsense");
	else if (!ret)
		ret = start(s, a, why, size);
	else if (ret != -EADDRINUSE && ret != -ECANCELED && ret != -EPROTONOSUPPORT)
		snprintf(why, size, "cannot map the shared memory at the guest's address: %s", strerror(-ret));
	*error = code_of(ret);
	if (ret && ret != -EADDRINUSE && ret != -ECANCELED)
		refuse(&channel->ctl, *error, why);
	munmap(channel, VGPU_CHANNEL_STRIDE);
	return ret;
}

void vgpu_attach_end(struct vgpu_session *s, enum vgpu_host_error error, const char *text)
{
	struct vgpu_channel_ctl *ctl;

	if (!s->channel)
		return;
	ctl = &s->channel->ctl;
	snprintf(ctl->host_text, sizeof(ctl->host_text), "%s", text);
	atomic_store_explicit(&ctl->host_error, (uint32_t)error, memory_order_relaxed);
	atomic_store_explicit(&ctl->host_state, VGPU_HOST_DEAD, memory_order_release);
}
