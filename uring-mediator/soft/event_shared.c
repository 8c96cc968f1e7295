/* SPDX-License-Identifier: MIT */
/*
 * Events of several processes, see event.h. Nothing tells a process of another one's progress, so whoever waits looks at
 * the page now and then, as it does for values in memory. Numbers come from an atomic counter; a word says of all records
 * that fall on it which was the last to be reached, so a record must not pass one that still has its word.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "context.h"
#include "event.h"

#define MAGIC 0x5650534556454e54ull
#define WORDS 510u /* records that may be under way */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define NAP_NS 50000

struct page {
	uint64_t magic;
	_Atomic uint64_t recorded; /* number of the last record; 0: none */
	_Atomic uint64_t reached[WORDS];
};

_Static_assert(sizeof(struct page) == 4096, "it fills a page");

struct soft_shared_event {
	atomic_uint refs;
	int fd;
	struct page *page;
};

struct shared_op {
	struct soft_op op;
	struct soft_shared_event *event; /* a reference */
	uint64_t number;
};

/* ---- the page ---- */

static struct soft_shared_event *adopt(int fd)
{
	struct soft_shared_event *e = malloc(sizeof(*e));
	struct page *p = e ? mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (p == MAP_FAILED) {
		free(e);
		close(fd);
		return NULL;
	}
	atomic_init(&e->refs, 1);
	e->fd = fd;
	e->page = p;
	return e;
}

struct soft_shared_event *soft_shared_new(void)
{
	int fd = memfd_create("vgpu-soft-event", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct soft_shared_event *e;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, sizeof(struct page)) || fcntl(fd, F_ADD_SEALS, SEALS)) {
		close(fd);
		return NULL;
	}
	e = adopt(fd);
	if (e)
		e->page->magic = MAGIC;
	return e;
}

struct soft_shared_event *soft_shared_open(int fd)
{
	struct soft_shared_event *e;
	struct stat st;

	if (fstat(fd, &st) || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || st.st_size != sizeof(struct page))
		return NULL;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	e = fd < 0 ? NULL : adopt(fd);
	if (!e || e->page->magic == MAGIC)
		return e;
	soft_shared_put(e);
	return NULL;
}

static struct soft_shared_event *ref(struct soft_shared_event *e)
{
	atomic_fetch_add(&e->refs, 1);
	return e;
}

void soft_shared_put(struct soft_shared_event *e)
{
	if (atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	munmap(e->page, sizeof(*e->page));
	close(e->fd);
	free(e);
}

int soft_shared_descriptor(const struct soft_shared_event *e)
{
	int fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* ---- numbers ---- */

static bool reached(const struct page *p, uint64_t number)
{
	return atomic_load(&p->reached[number % WORDS]) >= number;
}

/* The number of a new record; 0: one that has its word is still under way. */
static uint64_t take_number(struct page *p)
{
	uint64_t last = atomic_load(&p->recorded), next;

	do {
		next = last + 1;
		if (next > WORDS && !reached(p, next - WORDS))
			return 0;
	} while (!atomic_compare_exchange_weak(&p->recorded, &last, next));
	return next;
}

/* ---- operations ---- */

static void run_record(struct soft_op *op)
{
	const struct shared_op *r = (struct shared_op *)op;

	atomic_store(&r->event->page->reached[r->number % WORDS], r->number);
}

static void run_wait(struct soft_op *op)
{
	(void)op;
}

static bool wait_ready(struct soft_op *op)
{
	const struct shared_op *r = (struct shared_op *)op;

	return reached(r->event->page, r->number);
}

static void drop(struct soft_op *op)
{
	soft_shared_put(((struct shared_op *)op)->event);
}

static CUresult submit(struct soft_shared_event *e, struct soft_stream *s, uint64_t number, bool wait)
{
	struct shared_op *op = calloc(1, sizeof(*op));

	if (!op)
		return CUDA_ERROR_OUT_OF_MEMORY;
	op->event = ref(e);
	op->number = number;
	op->op.run = wait ? run_wait : run_record;
	op->op.ready = wait ? wait_ready : NULL;
	op->op.drop = drop;
	op->op.quick = true;
	soft_submit(s, &op->op);
	return CUDA_SUCCESS;
}

CUresult soft_shared_record(struct soft_shared_event *e, struct soft_stream *s)
{
	uint64_t number = take_number(e->page);
	CUresult rc;

	if (!number) {
		soft_log(VGPU_SOFT_WARNING, "cuEventRecord: more than %u records of one event are under way", WORDS);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	rc = submit(e, s, number, false);
	if (rc)	/* nobody shall wait for it */
		atomic_store(&e->page->reached[number % WORDS], number);
	return rc;
}

bool soft_shared_reached(const struct soft_shared_event *e)
{
	return reached(e->page, atomic_load(&e->page->recorded));
}

CUresult soft_shared_wait(struct soft_shared_event *e)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t number = atomic_load(&e->page->recorded);

	while (!reached(e->page, number) && !vgpu_soft_fault())
		nanosleep(&nap, NULL);
	return vgpu_soft_fault();
}

CUresult soft_shared_stream_wait(struct soft_shared_event *e, struct soft_stream *s)
{
	uint64_t number = atomic_load(&e->page->recorded);

	return reached(e->page, number) ? CUDA_SUCCESS : submit(e, s, number, true);
}
