/* SPDX-License-Identifier: MIT */
/*
 * The handshake with the worker, and the session's end.
 *
 * The worker offers: "my driver has or will use these addresses". This
 * process reserves them (so that no host pointer is ever ambiguous), maps the
 * whole shared memory at a base that suits both, and answers. If an address is taken here,
 * it answers CONFLICT and another worker, with another layout, offers.
 *
 * Everything until READY runs in the thread of the first cuInit.
 */
#include "session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <gen/cuda_api.h>

#include "config.h"
#include "log.h"
#include "wait.h"

#define LOW_AREA_END	0xc000000000ull	/* uring-mediator/worker/maps.c extends the area up to there */
#define LOW_AREA_SURE	(4ull << 30)
#define HANDSHAKE_NS	30000000000ull
#define LOST_NS		2000000000ull	/* how long the host may take to say why a session ended */

struct vgpu_session vgpu_session;

/*
 * Where the shared memory may lie. The first group is inside what TSan calls
 * application memory and below where the kernel puts mappings; the others are
 * clear of ASan's shadow and heap and of where executables are loaded.
 */
static const uint64_t candidates[] = {
	0x7e9000000000ull, 0x7eb000000000ull, 0x7ed000000000ull, 0x7ef000000000ull,
	0x6a0000000000ull, 0x4a0000000000ull, 0x2a0000000000ull, 0x1a0000000000ull,
	0x557000000000ull, 0x002000000000ull,
};

#define CANDIDATES	(sizeof(candidates) / sizeof(candidates[0]))

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static bool clear_of_ranges(const struct vgpu_session *s, uint64_t base)
{
	uint32_t i;

	for (i = 0; i < s->range_count; i++)
		if (overlaps(base, s->geometry.total_size, s->ranges[i].start, s->ranges[i].size))
			return false;
	return true;
}

/* Map the whole memory at the first candidate from *next on that is free. */
static int map_memory(struct vgpu_session *s, size_t *next)
{
	void *p;

	for (; *next < CANDIDATES; (*next)++) {
		if (!clear_of_ranges(s, candidates[*next]))
			continue;
		p = mmap((void *)candidates[*next], s->geometry.total_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED_NOREPLACE, s->transport.memory_fd, 0);
		if (p == (void *)candidates[*next]) {
			s->base = p;
			s->channel = vgpu_shm_channel(p, &s->geometry, s->transport.channel);
			return 0;
		}
		if (p != MAP_FAILED)	/* a kernel that does not know the flag, or a sanitizer's wrapper */
			munmap(p, s->geometry.total_size);
	}
	snprintf(s->transport.text, sizeof(s->transport.text),
		 "no free stretch of %llu MiB of addresses for the shared memory: is there a limit on address space (ulimit -v)?",
		 (unsigned long long)(s->geometry.total_size >> 20));
	return -ENOMEM;
}

static void release_ranges(struct vgpu_session *s, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		munmap((void *)s->ranges[i].start, s->ranges[i].size);
	s->range_count = 0;
}

/*
 * Reserve *r. Of a range that begins where the driver has its low area only the beginning is sure to be used, the rest
 * is room to grow, and a program may have its heap there (Java's): then as much of it as is free is kept. Device
 * memory that comes to lie behind that is dealt with in stray.c.
 */
static bool reserve_range(struct vgpu_range *r)
{
	void *p;

	for (;;) {
		p = mmap((void *)r->start, r->size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == (void *)r->start)
			return true;
		if (p != MAP_FAILED)
			munmap(p, r->size);
		if (r->start >= LOW_AREA_END || r->size / 2 < LOW_AREA_SURE)
			return false;
		r->size = r->size / 2 & ~4095ull;
	}
}

/* Reserve all of the offer's ranges, or none. 0, -EEXIST, or -EPROTO for an offer without sense. */
static int reserve_ranges(struct vgpu_session *s)
{
	const struct vgpu_channel_ctl *ctl = &s->channel->ctl;
	uint32_t i, count = ctl->range_count;
	struct vgpu_range r;

	if (count > VGPU_MAX_RANGES)
		return -EPROTO;
	for (i = 0; i < count; i++) {
		r = ctl->ranges[i];
		if (!r.size || (r.start | r.size) & 4095 || r.start + r.size < r.start) {
			release_ranges(s, i);
			return -EPROTO;
		}
		s->ranges[i] = r;
		if (!reserve_range(&s->ranges[i])) {
			vgpu_info("addresses %#llx..%#llx of the worker's driver are in use here: asking for another worker",
				  (unsigned long long)r.start, (unsigned long long)(r.start + r.size));
			release_ranges(s, i);
			return -EEXIST;
		}
	}
	s->range_count = count;
	return 0;
}

static void answer(struct vgpu_session *s, uint32_t epoch, enum vgpu_guest_answer what)
{
	struct vgpu_channel_ctl *ctl = &s->channel->ctl;

	ctl->arena_base = (uint64_t)(uintptr_t)s->base;
	atomic_store_explicit(&ctl->guest_answer, what, memory_order_relaxed);
	atomic_store_explicit(&ctl->answer_epoch, epoch, memory_order_release);
}

/* The memory lies where the worker's driver may want to be: go elsewhere. */
static int move_memory(struct vgpu_session *s, size_t *next)
{
	uint8_t *old = s->base;
	int r = map_memory(s, next);

	if (!r)
		munmap(old, s->geometry.total_size);
	return r;
}

static void occupy(uint64_t at, uint64_t size)
{
	void *p = mmap((void *)at, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	vgpu_info("VGPU_TEST_OCCUPY: %#llx, %#llx bytes: %s", (unsigned long long)at, (unsigned long long)size,
		  p == MAP_FAILED ? strerror(errno) : "occupied");
}

/* Where VGPU_TEST_OCCUPY wants a page. Below 1 TiB and at it the cuda driver has the same places in each process. */
static uint64_t occupied_range(const struct vgpu_channel_ctl *ctl, enum vgpu_occupy which)
{
	const struct vgpu_range *best = &ctl->ranges[0];
	uint32_t i;

	for (i = 1; which == VGPU_OCCUPY_LARGEST && i < ctl->range_count && i < VGPU_MAX_RANGES; i++)
		if (ctl->ranges[i].start > 1ull << 40 &&
		    (best->start <= 1ull << 40 || ctl->ranges[i].size > best->size))
			best = &ctl->ranges[i];
	return best->start;
}

/* One offer. `again`: it follows one that was accepted, so the base did not suit the worker. */
static int take_offer(struct vgpu_session *s, uint32_t epoch, bool again, size_t *next)
{
	uint64_t base = (uint64_t)(uintptr_t)s->base;
	uint32_t i, count = s->channel->ctl.range_count;
	bool move = again;
	int r;

	release_ranges(s, s->range_count);
	if (vgpu_config.occupy && count)
		occupy(occupied_range(&s->channel->ctl, vgpu_config.occupy), 4096);
	vgpu_config.occupy = VGPU_OCCUPY_NOTHING;
	for (i = 0; i < count && i < VGPU_MAX_RANGES; i++)
		move |= overlaps(base, s->geometry.total_size, s->channel->ctl.ranges[i].start,
				 s->channel->ctl.ranges[i].size);
	if (move) {
		(*next)++;
		memcpy(s->ranges, s->channel->ctl.ranges, sizeof(s->ranges));
		s->range_count = count < VGPU_MAX_RANGES ? count : VGPU_MAX_RANGES;
		r = move_memory(s, next);
		s->range_count = 0;
		if (r)
			return r;
	}
	r = reserve_ranges(s);
	if (r && r != -EEXIST) {
		snprintf(s->transport.text, sizeof(s->transport.text), "the worker's offer of addresses makes no sense");
		return r;
	}
	answer(s, epoch, r ? VGPU_ANSWER_CONFLICT : VGPU_ANSWER_ACCEPT);
	return r ? 1 : 0;
}

static const char *host_error_name(uint32_t error)
{
	static const char *const names[] = {
		"ended", "no mediator on the host", "protocol version", "no usable GPU on the host", "quota",
		"the worker refused a command of this process", "the worker died", "no worker with suitable addresses",
		"closed on request", "a kernel took too long",
	};

	return error < sizeof(names) / sizeof(names[0]) ? names[error] : "unknown reason";
}

static int host_refused(struct vgpu_session *s)
{
	const struct vgpu_channel_ctl *ctl = &s->channel->ctl;
	char text[sizeof(ctl->host_text)];
	uint32_t error = atomic_load(&ctl->host_error);

	memcpy(text, ctl->host_text, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (error == VGPU_HOST_VERSION)
		snprintf(s->transport.text, sizeof(s->transport.text),
			 "protocol mismatch: this shim speaks %u.%u, the worker %u.%u; install the shim and the mediator of one release",
			 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR, ctl->host_version >> 16, ctl->host_version & 0xffff);
	else
		snprintf(s->transport.text, sizeof(s->transport.text), "the host refused this process (%s): %s",
			 host_error_name(error), text[0] ? text : "see vgpuctl status on the host");
	return error == VGPU_HOST_NO_DEVICE ? -ENODEV : -ECONNREFUSED;
}

static int shake_hands(struct vgpu_session *s, size_t *next)
{
	struct vgpu_channel_ctl *ctl;
	struct vgpu_wait w = VGPU_WAIT_INIT;
	uint32_t state, epoch, seen = 0;
	bool accepted = false;
	int r;

	for (;;) {
		ctl = &s->channel->ctl;
		state = atomic_load_explicit(&ctl->host_state, memory_order_acquire);
		if (state == VGPU_HOST_READY && accepted)
			return 0;
		if (state == VGPU_HOST_REFUSED || state == VGPU_HOST_DEAD)
			return host_refused(s);
		epoch = atomic_load_explicit(&ctl->offer_epoch, memory_order_acquire);
		if (state == VGPU_HOST_OFFER && epoch != seen) {
			r = take_offer(s, epoch, accepted, next);
			if (r < 0)
				return r;
			accepted = !r;
			seen = epoch;
			continue;
		}
		if (vgpu_wait_step(&w) && !s->transport.ops->alive(&s->transport)) {
			if (atomic_load(&ctl->host_state) == VGPU_HOST_REFUSED)
				return host_refused(s);
			snprintf(s->transport.text, sizeof(s->transport.text),
				 "the mediator went away while this process was connecting: its log says why");
			return -ECONNRESET;
		}
		if (vgpu_wait_elapsed(&w) > HANDSHAKE_NS) {
			snprintf(s->transport.text, sizeof(s->transport.text),
				 "no worker answered within %llu s (host state %u): see vgpuctl status on the host",
				 HANDSHAKE_NS / 1000000000ull, state);
			return -ETIMEDOUT;
		}
	}
}

static void introduce(struct vgpu_session *s)
{
	struct vgpu_channel_ctl *ctl = &s->channel->ctl;

	ctl->guest_version = VGPU_PROTOCOL_VERSION;
	ctl->guest_pid = (uint32_t)getpid();
	ctl->guest_batch = vgpu_config.batch;
	ctl->guest_batch_usec = vgpu_config.batch > 1 ? vgpu_config.batch_usec : 0;
	ctl->guest_flags = vgpu_config.monitor ? VGPU_GUEST_MONITOR : 0;
	prctl(PR_GET_NAME, ctl->guest_name);	/* writes at most 16 bytes */
	atomic_thread_fence(memory_order_release);
}

static int check_header(struct vgpu_session *s)
{
	const struct vgpu_shm_header *h = (const struct vgpu_shm_header *)s->base;

	if (h->magic == VGPU_SHM_MAGIC && h->version >> 16 == VGPU_PROTOCOL_MAJOR &&
	    h->total_size == s->geometry.total_size && h->channel_count == s->geometry.channel_count)
		return 0;
	snprintf(s->transport.text, sizeof(s->transport.text),
		 "protocol mismatch: this shim speaks %u.%u, the shared memory was made by %u.%u; install parts of one release",
		 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR, h->version >> 16, h->version & 0xffff);
	return -EPROTO;
}

/* The memory is mapped: ask for a worker, and agree with it. */
static int meet_worker(struct vgpu_session *s, size_t *next)
{
	int r = check_header(s);

	if (r)
		return r;
	introduce(s);
	r = s->transport.ops->start(&s->transport);
	return r ? r : shake_hands(s, next);
}

CUresult vgpu_session_open(void)
{
	struct vgpu_session *s = &vgpu_session;
	size_t next = 0;
	int r;

	if (vgpu_config.occupy_size)
		occupy(vgpu_config.occupy_at, vgpu_config.occupy_size);
	s->range_count = 0;
	s->base = NULL;
	r = vgpu_transport_open(&s->transport, &vgpu_config);
	if (r) {
		vgpu_error("%s", s->transport.text);
		return CUDA_ERROR_NO_DEVICE;
	}
	s->geometry = s->transport.geometry;
	r = map_memory(s, &next);
	if (!r)
		r = meet_worker(s, &next);
	if (r) {
		vgpu_error("%s", s->transport.text);
		vgpu_session_close();
		return r == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_NO_DEVICE;
	}
	vgpu_info("session %u, channel %u, transport %s (%s), %llu MiB shared at %p, batch %u", s->channel->ctl.session,
		  s->transport.channel, s->transport.ops->name, s->transport.mapping,
		  (unsigned long long)(s->geometry.total_size >> 20), (void *)s->base, vgpu_config.batch);
	return CUDA_SUCCESS;
}

void vgpu_session_close(void)
{
	struct vgpu_session *s = &vgpu_session;

	s->transport.ops->close(&s->transport);
	release_ranges(s, s->range_count);
	if (s->base)
		munmap(s->base, s->geometry.total_size);
	s->base = NULL;
}

static const char *error_name(CUresult error)
{
	const char *name = NULL;

	return cuGetErrorName(error, &name) || !name ? "an error" : name;
}

/* A context that was lost before the session was keeps its own error, as natively. */
static CUresult death_error(const struct vgpu_channel_ctl *ctl)
{
	uint32_t sticky = atomic_load_explicit(&ctl->sticky_error, memory_order_acquire);

	if (sticky)
		return (CUresult)sticky;
	return atomic_load(&ctl->host_error) == VGPU_HOST_TIMEOUT ? CUDA_ERROR_LAUNCH_TIMEOUT :
								    CUDA_ERROR_DEVICE_UNAVAILABLE;
}

static CUresult declare_dead(const char *hop, const char *text)
{
	CUresult error = death_error(&vgpu_session.channel->ctl);
	uint32_t open = VGPU_SESSION_OPEN;

	atomic_store(&vgpu_session.error, error);
	if (atomic_compare_exchange_strong(&vgpu_session.state, &open, VGPU_SESSION_DEAD))
		vgpu_error("session %u is over: %s%s%s; calls of this process return %s from now on",
			   vgpu_session.channel->ctl.session, hop, text[0] ? ": " : "", text, error_name(error));
	return error;
}

CUresult vgpu_session_lost(const char *text)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;
	CUresult r;

	while (!(r = vgpu_session_check()) && vgpu_wait_elapsed(&w) < LOST_NS)
		vgpu_wait_step(&w);
	return r ? r : declare_dead(text, "");
}

CUresult vgpu_session_check(void)
{
	struct vgpu_session *s = &vgpu_session;
	struct vgpu_channel_ctl *ctl = &s->channel->ctl;
	char text[sizeof(ctl->host_text)];
	bool alive;

	if (atomic_load(&s->state) != VGPU_SESSION_OPEN)
		return (CUresult)atomic_load(&s->error);
	alive = s->transport.ops->alive(&s->transport);
	if (atomic_load_explicit(&ctl->host_state, memory_order_acquire) == VGPU_HOST_DEAD) {
		memcpy(text, ctl->host_text, sizeof(text));
		text[sizeof(text) - 1] = '\0';
		return declare_dead(host_error_name(atomic_load(&ctl->host_error)), text);
	}
	if (!alive)
		return declare_dead(s->transport.registers ? "the host's mediator is gone (device link down)" :
							     "the mediator closed the connection", "");
	return CUDA_SUCCESS;
}

bool vgpu_session_is_arena(uint64_t address)
{
	uint64_t base = (uint64_t)(uintptr_t)vgpu_session.base;

	return address - base < vgpu_session.geometry.total_size;
}

bool vgpu_session_is_device(uint64_t address)
{
	const struct vgpu_session *s = &vgpu_session;
	uint32_t i;

	for (i = 0; i < s->range_count; i++)
		if (address - s->ranges[i].start < s->ranges[i].size)
			return true;
	return false;
}
