/* SPDX-License-Identifier: MIT */
/*
 * bench_driver in several processes at once, each with CUDA of its own: they are forked before anything of CUDA is opened,
 * begin each repetition together, and the first one gathers what all of them took.  When one dies, all end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

struct bench_together {
	pthread_barrier_t barrier;
	struct bench_samples samples[BENCH_PROCESSES_MAX];
};

static void child_died(int signal)
{
	(void)signal;
	_exit(2);
}

static struct bench_together *make(unsigned int count)
{
	struct bench_together *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t shared;

	if (t == MAP_FAILED)
		return NULL;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&t->barrier, &shared, count);
	pthread_barrierattr_destroy(&shared);
	return t;
}

/* The first process speaks for all. */
static void become_child(struct bench_setup *b, unsigned int number)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_DFL);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	b->process = number;
}

void bench_together_start(struct bench_setup *b)
{
	pid_t pid;

	if (b->processes <= 1)
		return;
	b->together = make(b->processes);
	if (!b->together)
		bench_die("mmap", CUDA_ERROR_OUT_OF_MEMORY);
	signal(SIGCHLD, child_died);
	for (unsigned int i = 1; i < b->processes; i++) {
		fflush(NULL);
		pid = fork();
		if (pid < 0)
			bench_die("fork", CUDA_ERROR_OUT_OF_MEMORY);
		if (!pid) {
			become_child(b, i);
			return;
		}
	}
}

void bench_together_wait(const struct bench_setup *b)
{
	if (b->together)
		pthread_barrier_wait(&b->together->barrier);
}

void bench_together_gather(const struct bench_setup *b, struct bench_samples *s)
{
	struct bench_together *t = b->together;

	if (!t)
		return;
	t->samples[b->process] = *s;
	pthread_barrier_wait(&t->barrier);
	for (unsigned int i = 0; i < b->processes; i++)
		for (unsigned int k = 0; k < s->count; k++)
			if (t->samples[i].us[k] > s->us[k])
				s->us[k] = t->samples[i].us[k];
	for (unsigned int k = 0; k < s->count; k++)
		s->us[k] /= b->processes;
	pthread_barrier_wait(&t->barrier);
}

int bench_together_end(const struct bench_setup *b)
{
	int status, failed = 0;

	if (!b->together)
		return 0;
	signal(SIGCHLD, SIG_DFL);
	pthread_barrier_wait(&b->together->barrier);
	if (b->process)
		return 0;
	for (unsigned int i = 1; i < b->processes; i++)
		if (wait(&status) < 0 || status)
			failed = 2;
	return failed;
}
