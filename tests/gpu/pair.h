/* SPDX-License-Identifier: MIT */
/*
 * A second process for the programs about sharing: a fork from before CUDA is initialised, which does what a message asks
 * for and answers with the result. It has a context of its own, made for the first request.
 */
#ifndef VGPU_GPU_PAIR_H
#define VGPU_GPU_PAIR_H

#include "gpu_test.h"

/* What both are made of. `act` runs in the other process; *result is NOT_INITIALIZED without it if that has no context. */
struct pair_kind {
	size_t request, answer;		/* bytes of the two structures; an answer begins with its CUresult */
	void (*act)(const void *request, int fd, void *answer);
};

struct pair {
	const struct pair_kind *kind;
	pid_t process;
	int socket;
};

/* Before the first call of CUDA. 0, or -1. */
int pair_start(struct pair *p, const struct pair_kind *kind);
/* Has the other process do it; the descriptor (-1: none) goes along as a copy. */
void pair_ask(const struct pair *p, const void *request, int fd, void *answer);
/* The other process ends; its exit status. */
int pair_end(struct pair *p);

#endif
