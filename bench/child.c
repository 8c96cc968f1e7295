/* SPDX-License-Identifier: MIT */
/* Processes that measure together, see child.h. A byte down a pipe starts a round, a byte back says how it went. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "gbench.h"

#define MARK "--child"

static bool say(int fd, char byte)
{
	return write(fd, &byte, 1) == 1;
}

static bool hear(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1 && byte == 1;
}

void child_main(int argc, char **argv, const struct child_job *job)
{
	bool ok;

	if (argc != 2 || strcmp(argv[1], MARK))
		return;
	ok = job->prepare();
	while (say(STDOUT_FILENO, ok) && ok && hear(STDIN_FILENO))
		ok = job->round();
	exit(!ok);
}

/* The program again, with the ends of two pipes as its standard input and output. */
static void become(int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execl("/proc/self/exe", "bench", MARK, (char *)NULL);
	_exit(127);
}

static bool start_one(struct children *c)
{
	int down[2], up[2], i = c->count;

	if (pipe(down))
		return false;
	if (pipe(up)) {
		close(down[0]);
		close(down[1]);
		return false;
	}
	fflush(NULL);
	c->pid[i] = fork();
	if (!c->pid[i]) {
		/* Others' ends must not keep their pipes open. */
		for (int j = 0; j < i; j++) {
			close(c->to[j]);
			close(c->from[j]);
		}
		close(down[1]);
		close(up[0]);
		become(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	c->to[i] = down[1];
	c->from[i] = up[0];
	c->count++;
	return c->pid[i] > 0;
}

bool children_start(struct children *c, int count)
{
	bool ok = count <= CHILDREN_MAX;

	c->count = 0;
	for (int i = 0; i < count && ok; i++)
		ok = start_one(c);
	for (int i = 0; i < c->count && ok; i++)
		ok = hear(c->from[i]);
	if (!ok)
		children_stop(c);
	return ok;
}

double children_round(struct children *c)
{
	uint64_t start = gbench_clock();
	bool ok = true;

	for (int i = 0; i < c->count; i++)
		ok &= say(c->to[i], 1);
	for (int i = 0; i < c->count; i++)
		ok &= hear(c->from[i]);
	return ok ? (double)(gbench_clock() - start) / 1e9 : -1;
}

void children_stop(struct children *c)
{
	for (int i = 0; i < c->count; i++) {
		close(c->to[i]);
		close(c->from[i]);
	}
	for (int i = 0; i < c->count; i++)
		if (c->pid[i] > 0)
			waitpid(c->pid[i], NULL, 0);
	c->count = 0;
}
