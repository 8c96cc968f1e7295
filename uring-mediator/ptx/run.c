/* SPDX-License-Identifier: MIT */
/*
 * ptx_run(): makes the threads of a block, runs them by turns, block after block (or all blocks by turns when the
 * launch is cooperative). Everything is allocated for one run and freed at its end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "exec.h"

#define TURN 4096u  /* instructions that a thread runs before the next one's turn */
#define ROUNDS 64u  /* times that a warp's lanes get a turn before the next warp's */
#define MEMORY_LIMIT (4ull << 30)

int exec_fault(struct thread *t, const struct insn *in, enum ptx_fault_kind kind, uint64_t address, const char *text)
{
	struct ptx_fault *f = t->block->run->fault;

	if (f->kind != PTX_FAULT_NONE)
		return OP_FAULT;
	f->kind = kind;
	f->address = address;
	memcpy(f->block, t->block->ctaid, sizeof(f->block));
	memcpy(f->thread, t->tid, sizeof(f->thread));
	f->line = in ? in->line : 0;
	snprintf(f->text, sizeof(f->text), "%s", text);
	return OP_FAULT;
}

int exec_add_imm(struct thread *t, const struct insn *in)
{
	t->r[in->d] = t->r[in->a] + (uint64_t)in->imm;
	return OP_NEXT;
}

static bool grow(void **p, uint32_t *room, uint64_t want, size_t size)
{
	uint64_t next = *room ? *room : 64;
	char *more;

	if (want <= *room)
		return true;
	while (next < want)
		next *= 2;
	more = realloc(*p, next * size);
	if (!more)
		return false;
	memset(more + *room * size, 0, (next - *room) * size);
	*p = more;
	*room = (uint32_t)next;
	return true;
}

int frame_enter(struct thread *t, const struct insn *in, const struct func *f, uint32_t reg_base, uint32_t frame_base)
{
	uint64_t regs = (uint64_t)reg_base + f->nslots, top = (uint64_t)frame_base + f->frame_size;

	if (top > PTX_STACK_LIMIT || regs > PTX_STACK_LIMIT * 4u)
		return exec_fault(t, in, PTX_FAULT_STACK_OVERFLOW, 0, "the stack of a thread is used up");
	if (!grow((void **)&t->regs, &t->regs_room, regs, sizeof(*t->regs)) ||
	    !grow((void **)&t->local, &t->local_room, top + 16, 1))
		return exec_fault(t, in, PTX_FAULT_STACK_OVERFLOW, 0, "no memory for the stack of a thread");
	t->func = f;
	t->reg_base = reg_base;
	t->frame_base = frame_base;
	t->local_top = (uint32_t)top;
	t->r = t->regs + reg_base;
	t->frame = t->local + frame_base;
	memcpy(t->r, f->init, f->nslots * sizeof(*t->r));
	t->pc = f->code;
	return OP_NEXT;
}

int thread_exit(struct thread *t)
{
	t->state = EXITED;
	t->block->live--;
	t->warp->exited |= 1u << t->lane;
	warp_lane_exited(t->warp);
	barrier_thread_exited(t->block);
	return OP_EXITED;
}

/* Runs one thread until it stops or its turn ends. */
static int thread_turn(struct thread *t)
{
	uint32_t left = TURN;
	int rc = OP_NEXT;

	while (left && rc == OP_NEXT) {
		const struct insn *in = t->pc++;

		left--;
		if (in->guard && !((t->r[in->guard >> 1] ^ in->guard) & 1))
			continue;
		rc = in->fn(t, in);
	}
	t->steps = TURN - left;
	t->block->run->executed += t->steps;
	return rc;
}

/* Runs the lanes of a warp until none is ready, or one has had a whole turn, or often enough. */
static int warp_turn(struct warp *w, bool *progress)
{
	bool again = true;

	for (unsigned round = 0; again && round < ROUNDS; round++) {
		again = false;
		for (uint32_t i = 0; i < w->count; i++) {
			struct thread *t = &w->lanes[i];

			if (t->state != READY)
				continue;
			*progress = true;
			if (thread_turn(t) == OP_FAULT)
				return OP_FAULT;
			again |= t->steps < TURN;
		}
		for (uint32_t i = 0; again && i < w->count; i++)
			if (w->lanes[i].state == READY && w->lanes[i].steps >= TURN)
				again = false;
	}
	*progress |= warp_release_converged(w);
	return OP_NEXT;
}

static bool cancelled(const struct run *run)
{
	const atomic_bool *c = run->launch->cancel;

	return c && atomic_load_explicit(c, memory_order_relaxed);
}

/* One turn for every warp. OP_EXITED when the block is done. */
static int block_turn(struct block *b, bool *progress)
{
	for (uint32_t i = 0; i < b->run->nwarps; i++) {
		if (warp_turn(&b->warps[i], progress) == OP_FAULT)
			return OP_FAULT;
		if (cancelled(b->run))
			return exec_fault(&b->threads[0], NULL, PTX_FAULT_CANCELLED, 0, "the launch was cancelled");
	}
	return b->live ? OP_NEXT : OP_EXITED;
}

static int deadlock(struct block *b)
{
	for (uint32_t i = 0; i < b->run->nthreads; i++)
		if (b->threads[i].state != EXITED)
			return exec_fault(&b->threads[i], b->threads[i].wait.in, PTX_FAULT_DEADLOCK, 0,
					  "every thread of the block waits for another");
	return OP_FAULT;
}

static int block_start(struct block *b, uint64_t number)
{
	struct run *run = b->run;
	const struct ptx_launch *l = run->launch;

	b->ctaid[0] = (uint32_t)(number % l->grid[0]);
	b->ctaid[1] = (uint32_t)(number / l->grid[0] % l->grid[1]);
	b->ctaid[2] = (uint32_t)(number / l->grid[0] / l->grid[1]);
	b->live = run->nthreads;
	memset(b->barriers, 0, sizeof(b->barriers));
	for (uint32_t i = 0; i < run->nwarps; i++)
		b->warps[i].exited = b->warps[i].count < WARP_SIZE ? ~0u << b->warps[i].count : 0;
	for (uint32_t i = 0; i < run->nthreads; i++) {
		struct thread *t = &b->threads[i];

		t->state = READY;
		t->carry = false;
		t->depth = 0;
		if (frame_enter(t, NULL, run->entry, 0, 0) != OP_NEXT)
			return -ENOMEM;
	}
	return 0;
}

static int block_init(struct block *b, struct run *run)
{
	const uint32_t *dim = run->launch->block;

	b->run = run;
	b->threads = calloc(run->nthreads, sizeof(*b->threads));
	b->warps = calloc(run->nwarps, sizeof(*b->warps));
	b->shared = calloc(1, run->shared_size + 16u);
	if (!b->threads || !b->warps || !b->shared)
		return -ENOMEM;
	for (uint32_t i = 0; i < run->nthreads; i++) {
		struct thread *t = &b->threads[i];

		t->block = b;
		t->warp = &b->warps[i / WARP_SIZE];
		t->lane = (uint8_t)(i % WARP_SIZE);
		t->linear = i;
		t->tid[0] = i % dim[0];
		t->tid[1] = i / dim[0] % dim[1];
		t->tid[2] = i / dim[0] / dim[1];
		if (!t->lane)
			*t->warp = (struct warp){.lanes = t, .number = i / WARP_SIZE};
		t->warp->count++;
	}
	return 0;
}

static void block_free(struct block *b)
{
	for (uint32_t i = 0; b->threads && i < b->run->nthreads; i++) {
		free(b->threads[i].regs);
		free(b->threads[i].local);
		free(b->threads[i].calls);
	}
	free(b->threads);
	free(b->warps);
	free(b->shared);
}

static int fault_errno(const struct run *run)
{
	return run->fault->kind == PTX_FAULT_CANCELLED ? -ECANCELED : -EFAULT;
}

static int run_in_order(struct run *run, uint64_t first, uint64_t count)
{
	struct block b = {0};
	int err = block_init(&b, run);

	for (uint64_t i = 0; !err && i < count; i++) {
		int rc = OP_NEXT;

		err = block_start(&b, first + i);
		while (!err && rc == OP_NEXT) {
			bool progress = false;

			rc = block_turn(&b, &progress);
			if (rc == OP_NEXT && !progress)
				rc = deadlock(&b);
		}
		if (rc == OP_FAULT)
			err = fault_errno(run);
	}
	block_free(&b);
	return err;
}

/* All blocks alive at once, a turn each. */
static int run_together(struct run *run, uint64_t first, uint64_t count)
{
	struct block *blocks = count <= 65536 ? calloc(count, sizeof(*blocks)) : NULL;
	uint64_t live = count;
	int err = blocks ? 0 : -ENOMEM;

	for (uint64_t i = 0; blocks && i < count; i++) {
		blocks[i].run = run;
		if (!err)
			err = block_init(&blocks[i], run);
		if (!err)
			err = block_start(&blocks[i], first + i);
	}
	while (!err && live) {
		bool any = false;

		for (uint64_t i = 0; !err && i < count; i++) {
			bool progress = false;
			int rc = blocks[i].live ? block_turn(&blocks[i], &progress) : OP_NEXT;

			any |= progress;
			live -= rc == OP_EXITED;
			if (rc == OP_FAULT)
				err = fault_errno(run);
		}
		for (uint64_t i = 0; !err && !any && i < count; i++)
			if (blocks[i].live && deadlock(&blocks[i]) == OP_FAULT)
				err = fault_errno(run);
	}
	for (uint64_t i = 0; blocks && i < count; i++)
		block_free(&blocks[i]);
	free(blocks);
	return err;
}

static const struct func *func_of(const struct ptx_launch *l)
{
	for (uint32_t i = 0; i < l->module->nentries; i++)
		if (&l->module->entries[i]->entry == l->entry)
			return l->module->entries[i];
	return NULL;
}

/* 0 when the launch fits its entry. */
static int check_launch(const struct ptx_launch *l, const struct func *f, uint64_t *blocks)
{
	const struct ptx_entry *e = l->entry;
	uint64_t threads = 1;

	*blocks = 1;
	for (unsigned i = 0; i < 3; i++) {
		if (!l->block[i] || l->block[i] > 1024 || !l->grid[i])
			return -EINVAL;
		if (e->reqntid[0] && e->reqntid[i] != l->block[i])
			return -EINVAL;
		threads *= l->block[i];
		if (__builtin_mul_overflow(*blocks, (uint64_t)l->grid[i], blocks))
			return -EINVAL;
	}
	if (threads > e->max_threads || l->params_size < e->params_size || (e->params_size && !l->params))
		return -EINVAL;
	if (l->first_block > *blocks || l->num_blocks > *blocks - l->first_block)
		return -EINVAL;
	if (l->dynamic_shared > PTX_SHARED_LIMIT)
		return -EINVAL;
	if (threads * (f->nslots * 8ull + f->frame_size) > MEMORY_LIMIT)
		return -ENOMEM;
	for (size_t i = 0; i < l->module->nglobals; i++)
		if (!l->module->globals[i].bound)
			return -EINVAL;
	return 0;
}

int ptx_run(const struct ptx_launch *l, struct ptx_fault *fault)
{
	struct run run = {.launch = l, .fault = fault};
	uint64_t blocks, count;
	int err;

	*fault = (struct ptx_fault){0};
	if (!l->module || !l->entry)
		return -EINVAL;
	run.entry = func_of(l);
	if (!run.entry)
		return -EINVAL;
	err = check_launch(l, run.entry, &blocks);
	if (err)
		return err;
	run.nthreads = l->block[0] * l->block[1] * l->block[2];
	run.nwarps = (run.nthreads + WARP_SIZE - 1) / WARP_SIZE;
	run.dynamic_base = (run.entry->shared_base + run.entry->shared_size + 127u) & ~127u;
	run.shared_size = run.dynamic_base + l->dynamic_shared;
	if (l->cooperative)
		run.cache[RANGE_CACHE] = (struct ptx_range){(uintptr_t)&run.workspace, sizeof(run.workspace),
							    (unsigned char *)&run.workspace, true};
	count = l->num_blocks ? l->num_blocks : blocks - l->first_block;
	err = l->cooperative ? run_together(&run, l->first_block, count) : run_in_order(&run, l->first_block, count);
	free(run.textures);
	if (l->executed)
		*l->executed += run.executed;
	return err;
}
