/* SPDX-License-Identifier: MIT */
/*
 * The handler of SIGSEGV behind the guard, installed when it is first needed and when another has taken its place; a fault
 * that is not a guard's goes to the handler that was there before. It stays: a thread may have faulted under a guard
 * and come to its handler when that is long over. The handler runs in any thread, and reads atomics and its own thread's
 * words only; the rest runs in the one thread that has a guard.
 *
 * userfaultfd would make threads wait without a signal, but containers and gVisor do not have it, and the mapping of a
 * device's memory cannot be watched with it. What is left open is a system call that writes to such a page in just that
 * moment (it fails with EFAULT), and a thread that blocks SIGSEGV and stores there (the kernel ends the process).
 */
#include "guard.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEVELS	4u	/* handlers of others that ours may lie over */

static struct {
	_Atomic uint64_t start, end;	/* of the guard now, end 0: none */
	_Atomic uint32_t ended;		/* goes on before and after a guard ends; a futex */
	_Atomic uint32_t waiting;	/* threads that wait for that */
	uint32_t levels;
	struct sigaction previous[LEVELS];	/* what each level's handler lies over; written before that is installed */
} guard;

/* The last fault of this thread that was tried once more, since it may have been under a guard that had just ended. */
static __thread struct {
	uint64_t address;
	uint32_t ended;
} tried __attribute__((tls_model("initial-exec")));

/* Where this thread last was in each level's handler: one that is entered again below itself is called in a circle. */
static __thread struct {
	const siginfo_t *info;
	const char *frame;
} entered[LEVELS] __attribute__((tls_model("initial-exec")));

static bool guarded(uint64_t address)
{
	return address >= atomic_load(&guard.start) && address < atomic_load(&guard.end);
}

static void futex(int op, uint32_t value)
{
	syscall(SYS_futex, &guard.ended, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/*
 * Until there is no guard over this address: to fault again and again would hold up the thread that has it, which
 * needs the kernel's lock over the mappings. False: there was none.
 */
static bool wait_for_end(uint64_t address)
{
	uint32_t ended = atomic_load(&guard.ended);

	if (!guarded(address))
		return false;
	atomic_fetch_add(&guard.waiting, 1);
	for (; guarded(address); ended = atomic_load(&guard.ended))
		futex(FUTEX_WAIT, ended);
	atomic_fetch_sub(&guard.waiting, 1);
	return true;
}

/* Is a store that has just failed worth another try? */
static bool try_again(const siginfo_t *info)
{
	uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
	uint32_t ended;

	if (info->si_code != SEGV_ACCERR)
		return false;
	if (wait_for_end(address))
		return true;
	ended = atomic_load(&guard.ended);	/* not before: the guard that was not seen any more is among them */
	if (tried.ended == ended && tried.address == address)
		return false;
	tried.ended = ended;
	tried.address = address;
	return true;
}

/* As it would be without any handler. */
static void die(const siginfo_t *info)
{
	signal(SIGSEGV, SIG_DFL);
	if (info->si_code <= 0)	/* sent by somebody; a fault comes again by itself */
		raise(SIGSEGV);
}

static void pass_on(uint32_t level, int number, siginfo_t *info, void *context)
{
	const struct sigaction *p = &guard.previous[level];
	const char *frame = __builtin_frame_address(0);
	bool circle = entered[level].info == info && frame < entered[level].frame;

	entered[level].info = info;
	entered[level].frame = frame;
	if (circle || p->sa_handler == SIG_DFL || p->sa_handler == SIG_IGN)
		die(info);
	else if (p->sa_flags & SA_SIGINFO)
		p->sa_sigaction(number, info, context);
	else
		p->sa_handler(number);
}

static void on_fault(uint32_t level, int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!try_again(info))
		pass_on(level, number, info, context);
	errno = saved;
}

#define HANDLER(level) \
	static void on_fault_##level(int number, siginfo_t *info, void *context) \
	{ \
		on_fault(level, number, info, context); \
	}

HANDLER(0)
HANDLER(1)
HANDLER(2)
HANDLER(3)

static void (*const handlers[LEVELS])(int, siginfo_t *, void *) = { on_fault_0, on_fault_1, on_fault_2, on_fault_3 };

static bool same_handler(const struct sigaction *a, const struct sigaction *b)
{
	return !((a->sa_flags ^ b->sa_flags) & SA_SIGINFO) && a->sa_handler == b->sa_handler;
}

/* Which handler of ours goes over `now`: the one that did before, or one that lies over nothing yet. LEVELS: none is left. */
static uint32_t level_over(const struct sigaction *now)
{
	uint32_t i;

	for (i = 0; i < guard.levels; i++)
		if (same_handler(&guard.previous[i], now))
			return i;
	if (i < LEVELS) {
		guard.previous[i] = *now;
		guard.levels++;
	}
	return i;
}

/*
 * One of ours on top is enough. Each handler of another has one of its own over it, so that one which calls what was there
 * before it finds what it did.
 */
static int install(void)
{
	struct sigaction now, ours = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	uint32_t i;

	if (sigaction(SIGSEGV, NULL, &now))
		return -errno;
	for (i = 0; now.sa_flags & SA_SIGINFO && i < LEVELS; i++)
		if (now.sa_sigaction == handlers[i])
			return 0;
	i = level_over(&now);
	if (i == LEVELS)
		return -EBUSY;
	ours.sa_sigaction = handlers[i];
	ours.sa_mask = now.sa_mask;
	ours.sa_flags |= now.sa_flags & SA_NODEFER;
	return sigaction(SIGSEGV, &ours, NULL) ? -errno : 0;
}

int vgpu_guard_begin(struct vgpu_guard *g, uint64_t start, uint64_t end)
{
	sigset_t all;
	int r = install();

	if (r)
		return r;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &g->mask);
	atomic_store(&guard.start, start);
	atomic_store(&guard.end, end);
	return 0;
}

void vgpu_guard_end(struct vgpu_guard *g)
{
	atomic_fetch_add(&guard.ended, 1);	/* for who no longer sees the guard */
	atomic_store(&guard.end, 0);
	atomic_fetch_add(&guard.ended, 1);	/* for who still saw it, and is about to wait */
	if (atomic_load(&guard.waiting))
		futex(FUTEX_WAKE, INT_MAX);
	pthread_sigmask(SIG_SETMASK, &g->mask, NULL);
}
