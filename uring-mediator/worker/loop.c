/* SPDX-License-Identifier: MIT */
/*
 * The main loop: take, execute, and when the ring is empty look at it for a while before sleeping.  How long depends
 * on how long the commands before it let us wait: one that came soon after falling asleep lengthens the next look, one for
 * which no look would have been long enough shortens it, so that a slow guest costs no more than POLL_LEAST_NS for each
 * of its commands.  Time in which fences are outstanding does not count, up to AWAITED_NS: the guest waits for them, and goes on
 * with a command that a doorbell and our waking would hold up by 50 us.  While fences are outstanding a sleep lasts at
 * most VGPU_WATCHDOG_MS.  The worker's only thread.
 */
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include <vgpu/clock.h>
#include <vgpu/cores.h>

#include "call.h"
#include "loop.h"
#include "log.h"

#define POLL_LEAST_NS	5000u		/* of the time to look at an empty ring before sleeping */
#define POLL_MOST_NS	200000ull
#define AWAITED_NS	20000000ull	/* after it a doorbell is less than 1/400 of what the guest waited for */
#define BURST		256u	/* commands between two looks at the other descriptors */
#define IDLES		64u	/* of so many looks at an empty ring at least one is a long one */
#define SETTLE_NS	10000000ll	/* length of the first sleep after work: see ring.h on the doorbell */
#define CROWDED_NS	100000ull	/* a yield that takes as long: others want this core */
#define CROWDED_NAPS	16u	/* for so many rests then */
#define NAP_NS		30000	/* and as long, to which the kernel adds its 50 us */
#define SPINS		64u	/* looks at the ring between two looks at the clock */

struct loop {
	struct vgpu_session *s;
	struct vgpu_io *io;
	enum vgpu_consumer_state announced;
	uint64_t window_ns;	/* present length of a look */
	uint64_t looked_ns;	/* length of the present look */
	uint32_t naps;		/* rests left that are naps */
	uint32_t idles;		/* times the ring was found empty */
	bool patient;		/* there are cores to look from while the guest waits */
	bool settled;		/* a limited sleep has passed since the last command */
	uint32_t trace;		/* what the guest has been told */
};

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Only changes are written: the word lies in a cache line that each command of the guest reads. */
static void announce(struct loop *l, enum vgpu_consumer_state state)
{
	if (l->announced == state)
		return;
	l->announced = state;
	vgpu_consumer_announce(&l->s->consumer, state);
	atomic_store_explicit(&l->s->stats->state, state, memory_order_relaxed);
}

/* Is there a reason to stop? Then `why` and *error are set. */
static bool stopped(struct loop *l, enum vgpu_host_error *error, char *why, size_t size)
{
	const struct vgpu_io *io = l->io;

	*error = VGPU_HOST_CLOSED;
	if (io->control_closed)
		snprintf(why, size, "the supervisor is gone");
	else if (io->detach)
		snprintf(why, size, "closed by the supervisor");
	else if (io->wake_closed)
		snprintf(why, size, "the guest is gone");
	else if (l->s->bye)
		snprintf(why, size, "the guest process said goodbye");
	else if (io->broken[0]) {
		snprintf(why, size, "damaged message: %s", io->broken);
		*error = VGPU_HOST_PROTOCOL;
	} else {
		return false;
	}
	return true;
}

/* Execute up to BURST commands. Their number, or -1: protocol broken. */
static int burst(struct loop *l)
{
	struct vgpu_session *s = l->s;
	unsigned int n;

	for (n = 0; n < BURST && !s->bye; n++) {
		int size = vgpu_consumer_take(&s->consumer, s->command);

		if (!size)
			break;
		if (size < 0) {
			vgpu_session_broken(s, "the command ring is damaged at byte %llu",
					    (unsigned long long)s->consumer.head);
			return -1;
		}
		if (vgpu_request_execute(s) < 0)
			return -1;
	}
	return (int)n;
}

/* A short look at an empty ring: nothing is announced, no clock is read. True: a command is there. */
static bool glance(const struct loop *l)
{
	for (unsigned int i = 0; i < SPINS; i++) {
		if (vgpu_consumer_pending(&l->s->consumer))
			return true;
		relax();
	}
	return false;
}

/*
 * Between two looks others may run.  On a crowded core a yield often comes back before the guest, who is one of those that
 * wait for the core, has run; a nap gives it time to write more than one command, still without a doorbell for each.
 */
static void rest(struct loop *l)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t from;

	if (l->naps) {
		l->naps--;
		nanosleep(&nap, NULL);
		return;
	}
	from = vgpu_clock_ns();
	sched_yield();
	if (vgpu_clock_ns() - from >= CROWDED_NS)
		l->naps = CROWDED_NAPS;
}

/* Is it likely that the guest waits for the end of what it sent `ns` ago? */
static bool awaited(const struct loop *l, uint64_t ns)
{
	return l->patient && !l->settled && ns < AWAITED_NS && vgpu_watchdog_outstanding(l->s);
}

/*
 * Look at an empty ring for window_ns of our own time; neither rests count nor what is awaited. True: a command or an
 * event came.
 */
static bool look(struct loop *l)
{
	const uint64_t start = vgpu_clock_ns();
	uint64_t from = start, now;

	l->looked_ns = 0;
	announce(l, VGPU_CONSUMER_POLLING);
	do {
		if (glance(l))
			return true;
		vgpu_count(&l->s->stats->polls, SPINS);
		if (vgpu_io_poll(l->io))
			return true;
		now = vgpu_clock_ns();
		l->looked_ns = awaited(l, now - start) ? 0 : l->looked_ns + now - from;
		rest(l);
		from = vgpu_clock_ns();
	} while (l->looked_ns < l->window_ns);
	return false;
}

/*
 * After a sleep: was it worth while?  A guest that shares our core can write only after we have left it, so that its command
 * comes at once when we sleep: the looks must become long then, too, for each of them yields the core without a doorbell.
 */
static void adapt(struct loop *l, uint64_t waited_ns)
{
	if (waited_ns < POLL_MOST_NS) {
		l->window_ns = 2 * (waited_ns > l->window_ns ? waited_ns : l->window_ns);
		if (l->window_ns > POLL_MOST_NS)
			l->window_ns = POLL_MOST_NS;
	} else {
		l->window_ns /= 2;
	}
	if (l->window_ns < POLL_LEAST_NS)
		l->window_ns = POLL_LEAST_NS;
}

/* How long the next sleep may be, ns; negative: until something comes. */
static int64_t sleep_limit(const struct loop *l)
{
	if (!l->settled)
		return SETTLE_NS;
	if (vgpu_timeline_outstanding(l->s))
		return VGPU_TIMELINE_MS * 1000000ll;
	return !l->s->sticky && vgpu_watchdog_outstanding(l->s) ? VGPU_WATCHDOG_MS * 1000000ll : -1;
}

/* Sleep until something comes. 0 or -errno of the io_uring. */
static int sleep_now(struct loop *l)
{
	struct vgpu_session *s = l->s;
	uint64_t start;
	int ret;

	if (!vgpu_consumer_may_sleep(&s->consumer)) {
		l->announced = VGPU_CONSUMER_RUNNING;
		return 0;
	}
	l->announced = VGPU_CONSUMER_ASLEEP;
	atomic_store_explicit(&s->stats->state, VGPU_CONSUMER_ASLEEP, memory_order_relaxed);
	vgpu_count(&s->stats->sleeps, 1);
	start = vgpu_clock_ns();
	ret = vgpu_io_wait(l->io, sleep_limit(l));
	l->settled = true;
	announce(l, VGPU_CONSUMER_RUNNING);
	adapt(l, l->looked_ns + vgpu_clock_ns() - start);
	return ret;
}

/* The CALL that has come, if there is one and the answer to the one before is out. 0, or -1: protocol broken. */
static int call(struct loop *l)
{
	if (!l->io->call_size || l->io->answering)
		return 0;
	return vgpu_call_serve(l->s, l->io);
}

static int idle(struct loop *l)
{
	uint32_t trace = atomic_load_explicit(&l->s->stats->trace, memory_order_relaxed);
	int ret = 0;

	/* Calls that come one by one, each with an answer, keep to this line; what else is due gets its turn. */
	if (++l->idles % IDLES && glance(l))
		return 0;
	if (trace != l->trace)
		atomic_store_explicit(&l->s->channel->ctl.trace, trace, memory_order_relaxed);
	l->trace = trace;
	vgpu_watchdog_run(l->s, vgpu_clock_ns());
	vgpu_timeline_collect(l->s);
	if (!look(l) && !(l->settled && vgpu_arena_step_ahead(l->s)))
		ret = sleep_now(l);
	announce(l, VGPU_CONSUMER_RUNNING);
	return ret;
}

enum vgpu_host_error vgpu_loop_run(struct vgpu_session *s, struct vgpu_io *io, char *why, size_t size)
{
	struct loop l = { .s = s, .io = io, .window_ns = POLL_MOST_NS,
			  .announced = VGPU_CONSUMER_ASLEEP, .trace = UINT32_MAX, .patient = vgpu_cores() > VGPU_FEW_CORES };
	enum vgpu_host_error error;

	announce(&l, VGPU_CONSUMER_RUNNING);
	while (!stopped(&l, &error, why, size)) {
		int n = burst(&l);

		if (n)
			l.settled = false;
		if (!n && idle(&l) < 0) {
			snprintf(why, size, "io_uring failed");
			return VGPU_HOST_WORKER_DIED;
		}
		vgpu_io_poll(io);
		if (n < 0 || call(&l) < 0) {
			snprintf(why, size, "%s", s->broken);
			return VGPU_HOST_PROTOCOL;
		}
	}
	return error;
}
