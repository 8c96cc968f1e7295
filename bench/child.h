/* SPDX-License-Identifier: MIT */
/*
 * Processes that measure together: this program again, as often as asked, each with CUDA of its own.  They are started
 * by fork and exec, because CUDA does not survive a fork, prepare themselves, and then run rounds at the same time.
 * One thread.
 */
#ifndef VGPU_BENCH_CHILD_H
#define VGPU_BENCH_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILDREN_MAX 16

struct children {
	int count;
	pid_t pid[CHILDREN_MAX];
	int to[CHILDREN_MAX], from[CHILDREN_MAX];	/* pipes */
};

/* What a child does: get ready (true), and then one round as often as it is asked. */
struct child_job {
	bool (*prepare)(void);
	bool (*round)(void);
};

/* First thing in main(): in a child it does the job and never returns. */
void child_main(int argc, char **argv, const struct child_job *job);

/* Start `count` and wait until all are ready. False with none left when one is not. */
bool children_start(struct children *c, int count);

/* A round of all of them. Seconds from the start of the first to the end of the last, or a negative number. */
double children_round(struct children *c);

/* End them, and wait until they have ended. */
void children_stop(struct children *c);

#endif
