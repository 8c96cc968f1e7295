/* SPDX-License-Identifier: MIT */
/*
 * Moving pages of the application into the arena, and back: they are exchanged for those of a block, and for private ones again
 * (pages.c), which other threads do not notice. One mutex over the list of pieces and all moving; it is held while the
 * worker is asked.
 *
 * What stays where it is: memory that is shared already, whose other sharers would be lost; the stack; code; more
 * than a part of the arena, so that copies and pinned memory find some, too.
 */
#include "moved.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gen/wire.h>

#include "call.h"
#include "log.h"
#include "maps.h"
#include "memory.h"
#include "pages.h"
#include "record.h"
#include "session.h"
#include "thread.h"

#define PAGE		4096ull
#define AREAS		16		/* mappings that one range may touch */
#define ARENA_PART	2u		/* of the arena, this part at most */
#define CHILD_MS	10000	/* for a child that is stopped before it has its copies */
#define FRAMES		(64ull << 10)	/* bytes of stack that a call may use below this file's callers */

struct piece {
	uint64_t start, bytes;
	uint8_t *block;		/* of the arena */
	uint8_t *fresh;		/* pages that are to be at `start` next: the block's, or private ones; else NULL */
	uint64_t used;		/* bytes at the start of `fresh` that are no longer there */
	uint32_t users;		/* registered ranges that touch it */
	bool moved;		/* the application's pages are the block's */
};

/* A range that is being registered. */
struct range {
	uint64_t start, bytes;	/* as the application says */
	uint64_t from, to;	/* its pages */
	int count;
	struct vgpu_area areas[AREAS];	/* what is there */
};

static struct {
	pthread_mutex_t lock;
	struct piece *at;	/* by address */
	uint32_t count, room;
	uint64_t bytes;		/* in all of them */
	bool file_known;
	uint64_t file;		/* what the kernel calls the start of the shared memory in its file */
	int child[2];		/* of a fork that is under way: the child ends its end when it has copies; -1: nothing to copy */
} pieces = { .lock = PTHREAD_MUTEX_INITIALIZER, .child = { -1, -1 } };

/* ---- the list ---- */

/* The first piece that ends behind `address`: its index, or pieces.count. */
static uint32_t lower_bound(uint64_t address)
{
	uint32_t low = 0, high = pieces.count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (pieces.at[mid].start + pieces.at[mid].bytes <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct piece *insert(uint32_t i, const struct piece *p)
{
	uint32_t room = pieces.room ? 2 * pieces.room : 16;
	struct piece *at;

	if (pieces.count == pieces.room) {
		at = realloc(pieces.at, room * sizeof(*at));
		if (!at)
			return NULL;
		pieces.at = at;
		pieces.room = room;
	}
	memmove(&pieces.at[i + 1], &pieces.at[i], (pieces.count - i) * sizeof(*p));
	pieces.at[i] = *p;
	pieces.count++;
	pieces.bytes += p->bytes;
	return &pieces.at[i];
}

static void erase(uint32_t i)
{
	pieces.count--;
	pieces.bytes -= pieces.at[i].bytes;
	memmove(&pieces.at[i], &pieces.at[i + 1], (pieces.count - i) * sizeof(*pieces.at));
}

/* ---- the worker's side ---- */

/* A driver takes its time for both: after a success there is something else to do before answer(). */
static CUresult ask_register(struct vgpu_call *c, const struct range *range)
{
	struct vgpu_args_host_register *a;
	CUresult r = vgpu_call_begin(c, VGPU_OP_host_register, sizeof(*a), 0, VGPU_CALL_REPLY | VGPU_CALL_CONTEXT);

	if (r)
		return r;
	a = c->args;
	a->address = range->start;
	a->bytes = range->bytes;
	vgpu_call_submit(c);
	return CUDA_SUCCESS;
}

static CUresult ask_unregister(struct vgpu_call *c, const struct range *range)
{
	struct vgpu_args_host_unregister *a;
	CUresult r = vgpu_call_begin(c, VGPU_OP_host_unregister, sizeof(*a), 0, VGPU_CALL_REPLY);

	if (r)
		return r;
	a = c->args;
	a->address = range->start;
	vgpu_call_submit(c);
	return CUDA_SUCCESS;
}

static CUresult answer(struct vgpu_call *c)
{
	CUresult r = vgpu_call_wait(c);

	vgpu_call_end(c);
	return r;
}

static uint64_t offset_of(const struct piece *p)
{
	return (uint64_t)(p->block - vgpu_session.base);
}

static CUresult tell_map(const struct piece *p)
{
	struct vgpu_args_host_map *a;
	struct vgpu_call c;
	CUresult r = vgpu_call_begin(&c, VGPU_OP_host_map, sizeof(*a), 0, VGPU_CALL_REPLY);

	if (r)
		return r;
	a = c.args;
	a->address = p->start;
	a->offset = offset_of(p);
	a->bytes = p->bytes;
	return vgpu_call_finish(&c);
}

static void tell_unmap(const struct piece *p)
{
	struct vgpu_args_host_unmap *a;
	struct vgpu_call c;

	if (vgpu_call_begin(&c, VGPU_OP_host_unmap, sizeof(*a), 0, 0))
		return;	/* the session is over, and the worker with it */
	a = c.args;
	a->address = p->start;
	vgpu_call_submit(&c);
}

/* ---- moving ---- */

/* The fresh pages of an area, which lies behind all that were asked for before: now the caller's. */
static uint8_t *fresh_of(struct piece *p, const struct vgpu_area *a)
{
	uint64_t at = a->start - p->start;

	vgpu_pages_drop(p->fresh + p->used, at - p->used);
	p->used = a->end - p->start;
	return p->fresh + at;
}

static void drop_fresh(struct piece *p)
{
	if (p->fresh)
		vgpu_pages_drop(p->fresh + p->used, p->bytes - p->used);
	p->fresh = NULL;
	p->used = 0;
}

/* Pages of a piece that are still the block's, with the content that they have, for the application alone. */
static int take_back_area(struct piece *p, const struct vgpu_area *a)
{
	uint64_t size = a->end - a->start, done;
	uint8_t *own = p->fresh ? fresh_of(p, a) : vgpu_pages_private(a->start, size);
	int r;

	if (!own)
		return -ENOMEM;
	r = vgpu_pages_exchange(a, own, &done);
	vgpu_pages_drop(own + done, size - done);
	return r;
}

/* Offset 0 would be natural; sysfs adds the address of the device's memory. */
static uint64_t file_start(void)
{
	uint64_t base = (uint64_t)(uintptr_t)vgpu_session.base;
	struct vgpu_area a;

	if (!pieces.file_known && vgpu_maps_read(base, base + PAGE, &a, 1) == 1) {
		pieces.file = a.offset;
		pieces.file_known = true;
	}
	return pieces.file;
}

/* Is this area, at its place, the piece's block? */
static bool is_block(const struct vgpu_area *a, const struct piece *p, uint64_t file)
{
	return a->shared && a->offset == file + offset_of(p) + (a->start - p->start);
}

/*
 * The application may have unmapped some of it, or put something else there: that is not touched. -EBUSY: shared memory
 * is there that might be the block all the same.
 */
static int take_back(struct piece *p)
{
	uint64_t from = p->start, to = p->start + p->bytes, file = file_start();
	struct vgpu_area areas[AREAS];
	int i, n, r = 0;

	do {
		n = vgpu_maps_read(from, to, areas, AREAS);
		for (i = 0; i < n && !r; i++)
			if (areas[i].shared)
				r = is_block(&areas[i], p, file) ? take_back_area(p, &areas[i]) : -EBUSY;
		if (n > 0)
			from = areas[n - 1].end;
	} while (n == AREAS && !r);
	return n < 0 ? n : r;
}

static int move_in(struct piece *p, const struct range *range)
{
	struct vgpu_area a;
	uint64_t done;
	uint8_t *fresh;
	int i, r = 0;

	if (!p->fresh)
		return -ENOMEM;
	for (i = 0; i < range->count && !r; i++) {
		a = range->areas[i];
		a.start = a.start < p->start ? p->start : a.start;
		a.end = a.end > p->start + p->bytes ? p->start + p->bytes : a.end;
		if (a.start >= a.end)
			continue;
		fresh = fresh_of(p, &a);
		r = vgpu_pages_exchange(&a, fresh, &done);
		vgpu_pages_drop(fresh + done, a.end - a.start - done);
	}
	drop_fresh(p);
	return r;
}

/* ---- what may move ---- */

/* A page that is shared must be a piece's, just there, and one that is not must be in none. */
static bool is_as_listed(struct vgpu_area a, uint64_t file)
{
	const struct piece *p;
	uint64_t end;
	uint32_t i;

	for (; a.start < a.end; a.offset += end - a.start, a.start = end) {
		i = lower_bound(a.start);
		p = i < pieces.count && pieces.at[i].start < a.end ? &pieces.at[i] : NULL;
		if (!a.shared)
			return !p;
		if (!p || p->start > a.start || !is_block(&a, p, file))
			return false;
		end = p->start + p->bytes;
	}
	return true;
}

/* Why these pages stay where they are, or NULL. */
static const char *obstacle(const struct range *range)
{
	uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0), file = file_start();
	const struct vgpu_area *a;
	int i;

	if (range->count == AREAS)
		return "it lies in too many mappings";
	for (i = 0; i < range->count; i++) {
		a = &range->areas[i];
		if (a->stack || (a->start < here + FRAMES && a->end > here - FRAMES))
			return "it lies on a stack";
		if (a->prot & PROT_EXEC)
			return "it can be executed";
		if (!is_as_listed(*a, file))
			return "it is shared with other mappings";
	}
	return NULL;
}

/* What the range covers. INVALID_VALUE: not all of it is memory that can be read. */
static CUresult survey(struct range *range)
{
	uint64_t at = range->from;
	int i;

	range->count = vgpu_maps_read(range->from, range->to, range->areas, AREAS);
	if (range->count < 0)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (i = 0; i < range->count; i++) {
		if (range->areas[i].start != at || !(range->areas[i].prot & PROT_READ))
			return CUDA_ERROR_INVALID_VALUE;
		at = range->areas[i].end;
	}
	return at == range->to || range->count == AREAS ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- pieces ---- */

static CUresult piece_new(uint32_t i, uint64_t start, uint64_t bytes)
{
	struct piece p = { .start = start, .bytes = bytes };
	uint64_t most = (uint64_t)vgpu_arena.extent_count * vgpu_arena.extent_size / ARENA_PART;
	CUresult r;

	if (pieces.bytes + bytes <= most)
		p.block = vgpu_arena_alloc_plain(&vgpu_arena, bytes);
	if (!p.block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = tell_map(&p);
	if (r) {
		vgpu_arena_free(&vgpu_arena, p.block);
	} else if (!insert(i, &p)) {
		tell_unmap(&p);
		vgpu_arena_free(&vgpu_arena, p.block);
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	return r;
}

/* If its pages cannot be taken back they stay the block's: better that than the loss of them. */
static void piece_delete(uint32_t i)
{
	struct piece *p = &pieces.at[i];
	int r = p->moved ? take_back(p) : 0;

	drop_fresh(p);
	tell_unmap(p);
	if (r)
		vgpu_warn("registered memory at %#llx stays in the arena: %s", (unsigned long long)p->start, strerror(-r));
	else
		vgpu_arena_free(&vgpu_arena, p->block);
	erase(i);
}

static void drop_unused(const struct range *range)
{
	uint32_t i = lower_bound(range->from);

	while (i < pieces.count && pieces.at[i].start < range->to) {
		if (pieces.at[i].users)
			i++;
		else
			piece_delete(i);
	}
}

/* A piece for each stretch of the range that has none. */
static CUresult fill_gaps(const struct range *range)
{
	uint64_t at = range->from, end;
	CUresult r = CUDA_SUCCESS;
	uint32_t i;

	for (; at < range->to && !r; at = end) {
		i = lower_bound(at);
		end = i < pieces.count && pieces.at[i].start < range->to ? pieces.at[i].start : range->to;
		if (end > at)
			r = piece_new(i, at, end - at);
		else
			end = pieces.at[i].start + pieces.at[i].bytes;
	}
	return r;
}

/* Reading makes pages of shared memory for stores, too, and those that are there already many at a time. */
static void make_fresh(const struct range *range)
{
	struct piece *p;
	uint32_t i;

	for (i = lower_bound(range->from); i < pieces.count && pieces.at[i].start < range->to; i++) {
		p = &pieces.at[i];
		if (p->moved)
			continue;
		p->fresh = vgpu_pages_of_file(p->start, p->bytes, vgpu_session.transport.memory_fd, offset_of(p));
		if (p->fresh)
			vgpu_memory_touch(p->fresh, p->bytes, MADV_POPULATE_READ);
	}
}

/* What the application gets back when nobody else uses the pieces. */
static void make_private(const struct range *range)
{
	struct piece *p;
	uint32_t i;

	for (i = lower_bound(range->from); i < pieces.count && pieces.at[i].start < range->to; i++) {
		p = &pieces.at[i];
		if (!p->users)
			p->fresh = vgpu_pages_private(p->start, p->bytes);	/* NULL: take_back() asks again */
	}
}

static int move_all(const struct range *range)
{
	uint32_t i;
	int r = 0;

	for (i = lower_bound(range->from); i < pieces.count && pieces.at[i].start < range->to && !r; i++) {
		if (pieces.at[i].moved)
			continue;
		pieces.at[i].moved = true;	/* in part, if it fails */
		r = move_in(&pieces.at[i], range);
	}
	return r;
}

static void use(const struct range *range, int more)
{
	uint32_t i;

	for (i = lower_bound(range->from); i < pieces.count && pieces.at[i].start < range->to; i++)
		pieces.at[i].users += (uint32_t)more;
}

static struct range pages_of(uint64_t start, uint64_t bytes)
{
	return (struct range){ .start = start, .bytes = bytes, .from = start & ~(PAGE - 1),
			       .to = (start + bytes + PAGE - 1) & ~(PAGE - 1) };
}

/* With the worker's consent first: nothing has to be undone in the application's memory without it. */
static CUresult settle(const struct range *range)
{
	CUresult r = fill_gaps(range);
	struct vgpu_call c;
	int error;

	if (!r)
		r = ask_register(&c, range);
	if (r)
		return r;
	make_fresh(range);
	r = answer(&c);
	if (r)
		return r;
	error = move_all(range);
	if (!error)
		return CUDA_SUCCESS;
	vgpu_info("registered memory at %#llx cannot be replaced: %s", (unsigned long long)range->start, strerror(-error));
	if (!ask_unregister(&c, range))
		answer(&c);
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult stays(const struct range *range, const char *why)
{
	vgpu_info("%llu bytes of registered memory at %#llx have no address on the device: %s",
		  (unsigned long long)range->bytes, (unsigned long long)range->start, why);
	return CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult add(struct range *range)
{
	CUresult r = survey(range);
	const char *why;

	if (r)
		return r;
	why = vgpu_recording() ? "a recording cannot hold it" : obstacle(range);
	if (why)
		return stays(range, why);
	r = settle(range);
	if (!r) {
		use(range, 1);
		return CUDA_SUCCESS;
	}
	drop_unused(range);
	if (r == CUDA_ERROR_OUT_OF_MEMORY)
		return stays(range, "it is too large for the shared memory");
	return r == CUDA_ERROR_NOT_SUPPORTED ? stays(range, "its place is taken in the worker") : r;
}

CUresult vgpu_moved_add(uint64_t start, uint64_t bytes)
{
	struct range range = pages_of(start, bytes);
	CUresult r;

	vgpu_lock(&pieces.lock);
	r = add(&range);
	vgpu_unlock(&pieces.lock);
	return r;
}

/* The content is the device's to change until the worker answers. */
CUresult vgpu_moved_remove(uint64_t start, uint64_t bytes)
{
	struct range range = pages_of(start, bytes);
	struct vgpu_call c;
	CUresult r;

	vgpu_lock(&pieces.lock);
	r = ask_unregister(&c, &range);
	use(&range, -1);
	if (!r) {
		make_private(&range);
		r = answer(&c);
	}
	drop_unused(&range);
	vgpu_unlock(&pieces.lock);
	return r;
}

/* ---- fork ---- */

/* A handler of a signal that forks while this thread has the lock: nothing it could wait for. */
void vgpu_moved_before_fork(void)
{
	if (vgpu_thread.busy)
		return;
	pthread_mutex_lock(&pieces.lock);
	if (!pieces.count || pipe2(pieces.child, O_CLOEXEC))
		pieces.child[0] = pieces.child[1] = -1;
}

/*
 * Natively the kernel makes the child's copies before fork() returns: what this thread stores next, or has the device
 * store, the child must not see. The end of the pipe comes, too, when there is no child or it has died.
 */
void vgpu_moved_after_fork(void)
{
	struct pollfd done = { .fd = pieces.child[0], .events = POLLIN };
	int saved = errno;

	if (vgpu_thread.busy)
		return;
	if (done.fd >= 0) {
		close(pieces.child[1]);
		while (poll(&done, 1, CHILD_MS) < 0 && errno == EINTR)
			;
		close(done.fd);
		pieces.child[0] = pieces.child[1] = -1;
	}
	pthread_mutex_unlock(&pieces.lock);
	errno = saved;
}

void vgpu_moved_in_child(void)
{
	uint32_t i;

	pthread_mutex_init(&pieces.lock, NULL);
	for (i = 0; i < pieces.count; i++)
		if (pieces.at[i].moved && take_back(&pieces.at[i]))
			vgpu_warn("a child shares registered memory at %#llx with its parent",
				  (unsigned long long)pieces.at[i].start);
	pieces.count = 0;
	if (pieces.child[0] >= 0) {
		close(pieces.child[0]);
		close(pieces.child[1]);
	}
}
