/* SPDX-License-Identifier: MIT */
/*
 * One copy is a job on the caller's stack. Each thread at work takes the next
 * piece until none is left; the pieces of one copy touch disjoint memory, so
 * their order in the ring does not matter, and all are published before the
 * call returns. Nothing is held between two pieces but staging slots.
 */
#include "bulk.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <gen/wire.h>

#include "copy.h"
#include "crew.h"
#include "staging.h"
#include "stream.h"

#define AHEAD		4u		/* pieces to pageable memory that one thread alone has under way */
#define AHEAD_EACH	2u		/* that each of several has */
#define ALONE		(1ull << 20)	/* copies up to this are not worth waking anybody */
#define PIECE_LEAST	(128ull << 10)
#define PAST_CACHE	(4ull << 20)	/* more than this is written past the cache: nobody reads it soon */

struct job {
	uint64_t device;		/* address of the device's side */
	uint8_t *host;
	uint64_t bytes, piece;
	struct vgpu_stream *stream;
	uint32_t ahead;			/* pieces under way for one thread */
	_Atomic uint64_t next;		/* where the next piece begins */
	_Atomic int32_t error;		/* CUresult of the first that failed: no piece is begun after it */
};

struct piece {
	struct vgpu_staging *slot;
	uint64_t at, bytes;
};

/* The next piece is this thread's. False: there is none, or something has failed. */
static bool take(struct job *j, struct piece *p)
{
	if (atomic_load_explicit(&j->error, memory_order_relaxed))
		return false;
	p->at = atomic_fetch_add_explicit(&j->next, j->piece, memory_order_relaxed);
	if (p->at >= j->bytes)
		return false;
	p->bytes = j->bytes - p->at < j->piece ? j->bytes - p->at : j->piece;
	return true;
}

static void fail(struct job *j, CUresult r)
{
	int32_t none = 0;

	atomic_compare_exchange_strong(&j->error, &none, (int32_t)r);
}

/*
 * From a slot, which is in the cache, to memory that is not: stores that do not read the line first take two thirds
 * of the time of memcpy. `from` and the amounts are what slots are, `to` is as the application has it.
 */
static void copy_out(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
#if defined(__SSE2__)
	uint64_t head = -(uintptr_t)to & 63;
	__m128i a, b, c, d;

	head = head < bytes ? head : bytes;
	memcpy(to, from, head);
	to += head;
	from += head;
	bytes -= head;
	for (; bytes >= 64; bytes -= 64, to += 64, from += 64) {
		a = _mm_loadu_si128((const __m128i *)(const void *)from);
		b = _mm_loadu_si128((const __m128i *)(const void *)(from + 16));
		c = _mm_loadu_si128((const __m128i *)(const void *)(from + 32));
		d = _mm_loadu_si128((const __m128i *)(const void *)(from + 48));
		_mm_stream_si128((__m128i *)(void *)to, a);
		_mm_stream_si128((__m128i *)(void *)(to + 16), b);
		_mm_stream_si128((__m128i *)(void *)(to + 32), c);
		_mm_stream_si128((__m128i *)(void *)(to + 48), d);
	}
	_mm_sfence();
#endif
	memcpy(to, from, bytes);
}

static void work_to_device(void *job)
{
	struct job *j = job;
	struct piece p;
	CUresult r;

	while (take(j, &p)) {
		r = vgpu_staging_get(&p.slot);
		if (r) {
			fail(j, r);
			return;
		}
		memcpy(p.slot->memory, j->host + p.at, p.bytes);
		r = vgpu_copy_arena(VGPU_OP_memcpy_h2d_arena, j->device + p.at, vgpu_staging_offset(p.slot), p.bytes,
				    j->stream, &p.slot->fence);
		vgpu_staging_put(p.slot);
		if (r)
			fail(j, r);
	}
}

/* Have the next piece sent to a slot. False: no piece, or no slot that can be had without waiting. */
static bool fetch(struct job *j, struct piece *p, bool wait)
{
	CUresult r = CUDA_SUCCESS;

	p->slot = wait ? NULL : vgpu_staging_try();
	if (!p->slot && !wait)
		return false;
	if (!p->slot)
		r = vgpu_staging_get(&p->slot);
	if (r) {
		fail(j, r);
		return false;
	}
	if (take(j, p)) {
		r = vgpu_copy_arena(VGPU_OP_memcpy_d2h_arena, j->device + p->at, vgpu_staging_offset(p->slot), p->bytes,
				    j->stream, &p->slot->fence);
		if (!r)
			return true;
		fail(j, r);
	}
	vgpu_staging_put(p->slot);
	return false;
}

/* Wait for a piece, copy it out, give its slot back; after an error only the last. */
static void land(struct job *j, struct piece *p)
{
	CUresult r = (CUresult)atomic_load_explicit(&j->error, memory_order_relaxed);

	if (!r)
		r = vgpu_fence_wait(p->slot->fence);
	if (r)
		fail(j, r);
	else if (j->bytes > PAST_CACHE)
		copy_out(j->host + p->at, p->slot->memory, p->bytes);
	else
		memcpy(j->host + p->at, p->slot->memory, p->bytes);
	vgpu_staging_put(p->slot);
}

static void work_from_device(void *job)
{
	struct piece pieces[AHEAD];
	uint32_t first = 0, last = 0;		/* free-running; pieces [first, last) are under way */
	struct job *j = job;

	for (;;) {
		while (last - first < j->ahead && fetch(j, &pieces[last % AHEAD], first == last))
			last++;
		if (first == last)
			return;
		land(j, &pieces[first++ % AHEAD]);
	}
}

static CUresult run(struct job *j, void (*work)(void *job))
{
	uint32_t threads = j->bytes > ALONE ? vgpu_crew_size() : 1;
	uint64_t most = vgpu_staging_bytes();
	uint64_t pieces;

	/* Three for each thread, so that there is something on the bus while others are copied. */
	j->piece = (j->bytes / (3 * threads) + 4095) & ~4095ull;
	if (j->piece < PIECE_LEAST)
		j->piece = PIECE_LEAST;
	if (j->piece > most)
		j->piece = most;
	pieces = (j->bytes + j->piece - 1) / j->piece;
	j->ahead = threads > 1 ? AHEAD_EACH : AHEAD;
	vgpu_crew_run(work, j, pieces < threads ? (uint32_t)pieces - 1 : threads - 1);
	return (CUresult)atomic_load(&j->error);
}

CUresult vgpu_bulk_to_device(uint64_t dst, const uint8_t *src, uint64_t bytes, struct vgpu_stream *s)
{
	struct job j = { .device = dst, .host = (uint8_t *)(uintptr_t)src, .bytes = bytes, .stream = s };

	return run(&j, work_to_device);
}

CUresult vgpu_bulk_from_device(uint8_t *dst, uint64_t src, uint64_t bytes, struct vgpu_stream *s)
{
	struct job j = { .device = src, .host = dst, .bytes = bytes, .stream = s };

	return run(&j, work_from_device);
}
