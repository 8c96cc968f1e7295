/* SPDX-License-Identifier: MIT */
/*
 * Mirrors of managed variables, see mirror.h. A shadow holds what host and device agreed on last: a byte of the mirror
 * that differs from it was changed by the host, a byte of the device's by a kernel. So a fetch takes nothing from a
 * thread that writes while another one waits. Copies go through a stream of their own, which no other one orders and no
 * capture sees: what they must follow has been waited for, and what must follow them is sent when they are done.
 */
#include "mirror.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/cuda_api.h>

#include "call.h"
#include "context.h"
#include "copy.h"
#include "handle.h"
#include "log.h"
#include "managed.h"
#include "maps.h"
#include "memory.h"
#include "session.h"
#include "stream.h"
#include "thread.h"

#define PIECE	(1u << 20)	/* bytes fetched at a time */
#define LINE	64u		/* bytes compared at a time */
#define BLOCK	4096u		/* bytes of which at most one stretch is sent */

struct mirror {
	struct mirror *next;
	uint64_t start, size;
	uint64_t owner;			/* wire id of a module or library */
	struct vgpu_context *context;
	CUstream stream;		/* shared by the mirrors of a context */
	uint8_t *shadow;
	bool holds;			/* the primary context of device 0, since nobody else had one */
};

_Atomic bool vgpu_mirrors;

static struct mirror *list;
static uint8_t fetched[PIECE];
/* Of the list, of `fetched` and of all shadows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The copies are ordinary calls, which lead here again; a signal handler may find its thread in here. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

static bool enter(void)
{
	if (inside || vgpu_thread.busy || atomic_load(&vgpu_session.state) != VGPU_SESSION_OPEN)
		return false;
	inside = true;
	pthread_mutex_lock(&lock);
	return true;
}

static void leave(void)
{
	pthread_mutex_unlock(&lock);
	inside = false;
}

static uint8_t *host(const struct mirror *m)
{
	return (uint8_t *)(uintptr_t)m->start;
}

/* ---- pages ---- */

static uint64_t page_of(uint64_t address)
{
	return address & ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
}

static uint64_t pages_end(const struct mirror *m)
{
	return page_of(m->start + m->size - 1) + (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Some mirror has something in that page. */
static bool is_shared(uint64_t page)
{
	const struct mirror *m;

	for (m = list; m; m = m->next)
		if (page >= page_of(m->start) && page < pages_end(m))
			return true;
	return false;
}

/* The pages that are this mirror's alone: variables are disjoint, so only the first and the last can be another's. */
static void own_pages(const struct mirror *m, uint64_t *from, uint64_t *to)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	*from = page_of(m->start);
	*to = pages_end(m);
	if (is_shared(*from))
		*from += page;
	if (*from < *to && is_shared(*to - page))
		*to -= page;
}

/* Open the reservation; false if there is anything else. Not in the list yet. */
static bool open_pages(const struct mirror *m)
{
	struct vgpu_area area[2];
	uint64_t from, to;

	own_pages(m, &from, &to);
	if (from >= to)
		return true;
	return vgpu_maps_read(from, to, area, 2) == 1 && area[0].start == from && area[0].end == to &&
	       area[0].prot == PROT_NONE && !area[0].shared &&
	       !mprotect((void *)from, to - from, PROT_READ | PROT_WRITE);
}

/* Back to a reservation. No longer in the list. */
static void close_pages(const struct mirror *m)
{
	uint64_t from, to;

	own_pages(m, &from, &to);
	if (from < to && mmap((void *)from, to - from, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		vgpu_warn("the place of a managed variable at %#llx is not reserved any more",
			  (unsigned long long)m->start);
}

/* ---- content ---- */

/*
 * A copy by the mirror's stream that is over when this returns. The thread's context may be another, or none, and it may
 * be about to send a command to other streams.
 */
static CUresult copy(const struct mirror *m, uint64_t dst, uint64_t src, uint64_t bytes)
{
	struct vgpu_stream *s = vgpu_handle_object(VGPU_HANDLE_STREAM, m->stream);
	struct vgpu_thread *t = &vgpu_thread, before = *t;
	CUresult r;

	if (!s)
		return CUDA_ERROR_INVALID_HANDLE;
	t->current = m->context;
	t->touched[0] = NULL;
	r = vgpu_copy(dst, src, bytes, s, true);
	if (!r)
		r = vgpu_stream_wait(s);
	t->current = before.current;
	memcpy(t->touched, before.touched, sizeof(t->touched));
	return r;
}

/* What of [at, end) the host has changed, from the first such byte to the last. */
static CUresult send_block(const struct mirror *m, uint64_t at, uint64_t end)
{
	const uint8_t *now = host(m);

	if (!memcmp(now + at, m->shadow + at, end - at))
		return CUDA_SUCCESS;
	while (at < end && now[at] == m->shadow[at])
		at++;
	while (end > at && now[end - 1] == m->shadow[end - 1])
		end--;
	memcpy(m->shadow + at, now + at, end - at);
	return copy(m, m->start + at, (uint64_t)(uintptr_t)(m->shadow + at), end - at);
}

void vgpu_mirror_send(void)
{
	const struct mirror *m;
	uint64_t at;

	if (!enter())
		return;
	for (m = list; m; m = m->next)
		for (at = 0; at < m->size; at += BLOCK)
			if (send_block(m, at, m->size - at < BLOCK ? m->size : at + BLOCK))
				break;	/* the session's error, which the call behind this is told */
	leave();
}

/* `bytes` that were fetched, for the place `at`: what the device has changed goes into mirror and shadow. */
static void merge(const struct mirror *m, uint64_t at, uint64_t bytes)
{
	uint64_t i, line, end;

	for (line = 0; line < bytes; line = end) {
		end = bytes - line < LINE ? bytes : line + LINE;
		if (!memcmp(fetched + line, m->shadow + at + line, end - line))
			continue;
		for (i = line; i < end; i++)
			if (fetched[i] != m->shadow[at + i])
				host(m)[at + i] = m->shadow[at + i] = fetched[i];
	}
}

static CUresult fetch(const struct mirror *m)
{
	CUresult r = CUDA_SUCCESS;
	uint64_t at, bytes;

	for (at = 0; at < m->size && !r; at += bytes) {
		bytes = m->size - at < PIECE ? m->size - at : PIECE;
		r = copy(m, (uint64_t)(uintptr_t)fetched, m->start + at, bytes);
		if (!r)
			merge(m, at, bytes);
	}
	return r;
}

void vgpu_mirror_fetch(void)
{
	const struct mirror *m;

	if (!enter())
		return;
	for (m = list; m && !fetch(m); m = m->next)
		;
	leave();
}

/* ---- making and dropping ---- */

static struct mirror *find(uint64_t start)
{
	struct mirror *m;

	for (m = list; m && m->start != start; m = m->next)
		;
	return m;
}

static CUstream stream_of(const struct vgpu_context *ctx)
{
	const struct mirror *m;

	for (m = list; m && m->context != ctx; m = m->next)
		;
	return m ? m->stream : NULL;
}

static CUresult refuse(const struct mirror *m)
{
	vgpu_error("a managed variable lies at %#llx, %#llx bytes, where this process has other memory: it cannot have it",
		   (unsigned long long)m->start, (unsigned long long)m->size);
	return CUDA_ERROR_NOT_SUPPORTED;
}

static void destroy(struct mirror *m)
{
	struct vgpu_range_info info;

	vgpu_memory_remove(m->start, 1u << VGPU_RANGE_MIRROR, &info);
	vgpu_managed_forget(m->start, m->size);
	if (!stream_of(m->context) && m->context->alive)
		cuStreamDestroy_v2(m->stream);
	free(m->shadow);
	free(m);
}

/* A mirror that is complete but for its pages and content. */
static CUresult set_up(struct mirror *m)
{
	CUresult r;

	m->shadow = calloc(1, m->size);
	if (!m->shadow)
		return CUDA_ERROR_OUT_OF_MEMORY;
	m->stream = stream_of(m->context);
	r = m->stream ? CUDA_SUCCESS : vgpu_stream_create(&m->stream, m->context, CU_STREAM_NON_BLOCKING, 0);
	if (!r)
		r = vgpu_memory_add(VGPU_RANGE_MIRROR, m->start, m->size, 0);
	if (r)
		return r;
	if (!open_pages(m))
		return refuse(m);
	r = fetch(m);
	if (r)
		close_pages(m);
	return r;
}

CUresult vgpu_mirror_make(CUdeviceptr start, size_t bytes, uint64_t owner, bool hold)
{
	CUcontext held;
	struct mirror *m;
	CUresult r;

	if (!start || !bytes)
		return CUDA_SUCCESS;
	if (!vgpu_context_home())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!enter())
		return CUDA_ERROR_NOT_PERMITTED;
	m = find(start) ? NULL : calloc(1, sizeof(*m));
	r = m || find(start) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	if (m) {
		*m = (struct mirror){ .start = start, .size = bytes, .owner = owner, .context = vgpu_context_home() };
		r = set_up(m);
		if (r)
			destroy(m);
	}
	if (m && !r) {
		m->next = list;
		list = m;
		atomic_store(&vgpu_mirrors, true);
		m->holds = hold && !cuDevicePrimaryCtxRetain(&held, 0);
	}
	leave();
	return r;
}

void vgpu_mirror_drop(uint64_t owner, const struct vgpu_context *ctx)
{
	struct mirror **at, *m;
	uint32_t held = 0;

	if (!atomic_load(&vgpu_mirrors) || !enter())
		return;
	for (at = &list; (m = *at);) {
		if (m->owner != owner && m->context != ctx) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		held += m->holds && m->context->alive;
		close_pages(m);
		destroy(m);
	}
	atomic_store(&vgpu_mirrors, list != NULL);
	leave();
	while (held--)
		cuDevicePrimaryCtxRelease(0);
}
